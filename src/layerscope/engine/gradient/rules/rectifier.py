"""Rectifiers on ways back that are not the derivative: what attribution calls guided and deconv.

Both look at the gradient that comes from above and let only what is positive through.  A rectifier
is Relu, Clip from 0 on (ReLU6), and a Where that takes a value if it is above 0 and else 0 (Caffe's
Clip); all other ops keep their own rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.engine.gradient.backward import between
from layerscope.engine.gradient.registry import Gradients, Node, rule, rules
from layerscope.engine.gradient.tape import Tape
from layerscope.net import Net

OPS = ("Relu", "Clip", "Where")


@rule(*OPS, mode="deconvolution")
def deconvolution(t: Tape, node: Node, dy: str) -> Gradients:
    """Give dy where dy > 0, else 0, whether or not x is (Zeiler and Fergus, ECCV 2014)."""
    if not _rectifies(t, node.op, node.inputs):
        return rules()[node.op].derive(t, node, dy)
    dy = t.op("Relu", dy)
    if node.op == "Clip" and node.has(2):  # the upper end is no rectifier
        dy = t.gate(t.op("LessOrEqual", node.x, node.inputs[2]), dy, node.x)
    return {1 if node.op == "Where" else 0: dy}


@rule(*OPS, mode="guided")
def guided(t: Tape, node: Node, dy: str) -> Gradients:
    """Give the derivative where dy > 0, else 0 (Springenberg et al., ICLR 2015 workshop)."""
    if _rectifies(t, node.op, node.inputs):
        dy = t.op("Relu", dy)
    return rules()[node.op].derive(t, node, dy)


def rectifiers(net: Net, target: str, wanted: str) -> int:
    """How many rectifiers lie between two values of a net."""
    tape = Tape(net.graph)
    nodes = between(net, target, wanted)
    return sum(node.op_type in OPS and _rectifies(tape, node.op_type, node.input) for node in nodes)


def _rectifies(t: Tape, op: str, inputs: Sequence[str]) -> bool:
    if op == "Relu":
        return True
    if op == "Clip":
        return len(inputs) > 1 and _is_zero(t, inputs[1])
    condition, above, below = inputs
    asked = next((node for node in t.graph.nodes if condition in node.output), None)
    if asked is None or asked.op_type not in ("Greater", "GreaterOrEqual"):
        return False
    return list(asked.input) == [above, below] and _is_zero(t, below)


def _is_zero(t: Tape, value: str) -> bool:
    found = t.array(value) if value else None
    return found is not None and found.size == 1 and float(found.ravel()[0]) == 0
