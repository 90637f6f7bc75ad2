"""Gradients without a framework: a net's graph is turned into its backward graph, also ONNX.

registry.py   what a rule is           tape.py       what rules write on
rules/        one rule an ONNX op      backward.py   reverse mode over a whole graph
run.py        `Net.gradient`
"""

from __future__ import annotations

from layerscope.engine.gradient.run import gradient

__all__ = ["gradient"]
