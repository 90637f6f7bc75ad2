"""Rectifiers on ways back that are not the derivative: what attribution calls guided and deconv.

Both look at the gradient that comes from above and let only what is positive through.  A rectifier
is Relu, and Clip from 0 on (ReLU6); all other ops keep their own rules.
"""

from __future__ import annotations

from layerscope.engine.gradient.registry import Node, rule, rules
from layerscope.engine.gradient.tape import Tape


@rule("Relu", "Clip", mode="deconvolution")
def deconvolution(t: Tape, node: Node, dy: str) -> str:
    """Give dy where dy > 0, else 0, whatever x is (Zeiler and Fergus, ECCV 2014)."""
    if _rectifies(t, node):
        return t.op("Relu", dy)
    return str(rules()[node.op].derive(t, node, dy))


@rule("Relu", "Clip", mode="guided")
def guided(t: Tape, node: Node, dy: str) -> str:
    """Give the derivative where dy > 0, else 0 (Springenberg et al., ICLR 2015 workshop)."""
    if _rectifies(t, node):
        dy = t.op("Relu", dy)
    return str(rules()[node.op].derive(t, node, dy))


def _rectifies(t: Tape, node: Node) -> bool:
    if node.op == "Relu":
        return True
    low = t.array(node.inputs[1]) if node.has(1) else None
    return low is not None and low.size == 1 and float(low.ravel()[0]) == 0
