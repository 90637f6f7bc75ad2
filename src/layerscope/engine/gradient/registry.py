"""The rules of reverse mode: one decorated function for each ONNX op.

    @rule("Relu")
    def relu(t, node, dy): ...

A rule is given the gradient of what its node writes and adds the nodes that compute the gradient of
what it reads.  From the entry come dispatch, the message about an op without a rule, the table of
`docs/gradient.md`, and the demand for a test by finite differences.

Ops whose result is a whole number, a truth value or a shape, or changes in steps only, stand in
`STOPS`: their gradient is zero wherever it exists.

A way of going back that is not the derivative (guided backpropagation) has rules of its own for a
few ops, `@rule("Relu", mode="guided")`, and those here for all others.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

STOPS = frozenset(
    """
    ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor And Or Xor Not
    Equal Greater GreaterOrEqual Less LessOrEqual IsInf IsNaN
    Ceil Floor Hardmax Round Sign Shape Size NonZero NonMaxSuppression OneHot
    ConstantOfShape EyeLike RandomUniform RandomNormal RandomUniformLike RandomNormalLike
    Bernoulli Multinomial Range Constant
    """.split()
)
QUANTIZED = frozenset(
    """
    QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul ConvInteger
    MatMulInteger QLinearAdd QLinearMul QGemm QLinearGlobalAveragePool QLinearAveragePool
    """.split()
)

Gradients = str | Mapping[int, str]
"""Of the first input alone, or input position to gradient."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node of the forward graph, as its rule sees it.

    Attributes:
        op: the ONNX op.
        inputs, outputs: values; "" where one is left out.
        settings: its attributes.
        wanted: the positions of the inputs whose gradient is asked for; a rule may give more.
        marker: what the reader says about its gradient, or ""; see `backward.MARKERS`.
        position: its place in the graph.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    wanted: frozenset[int] = frozenset()
    marker: str = ""
    position: int = -1

    @property
    def x(self) -> str:
        """The first input."""
        return self.inputs[0]

    @property
    def y(self) -> str:
        """The first output."""
        return self.outputs[0]

    def has(self, position: int) -> bool:
        """Whether that input is given."""
        return position < len(self.inputs) and bool(self.inputs[position])

    def get(self, name: str, default: Any) -> Any:
        """A setting, or the default that ONNX states for it."""
        return self.settings.get(name, default)


Derive = Callable[..., Gradients]


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry.

    Attributes:
        op: the ONNX op.
        derive: `derive(t, node, *dys)` adds nodes to the tape `t`; one `dy` for each output, ""
            where nothing depends on that output.
    """

    op: str
    derive: Derive

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.derive.__doc__ or "").strip().splitlines()[0]


_rules: dict[str, dict[str, Rule]] = {"": {}}


def rule(*ops: str, mode: str = "") -> Callable[[Derive], Derive]:
    """Register the function that derives some ops; `mode` names what is not the derivative."""

    def register(function: Derive) -> Derive:
        entries = _rules.setdefault(mode, {})
        for op in ops:
            if op in entries:
                raise AssertionError(f"op {op} has two rules")
            entries[op] = Rule(op, function)
        return function

    return register


@cache
def rules(mode: str = "") -> dict[str, Rule]:
    """All rules by op; those of a mode in the place of the derivative's."""
    package = importlib.import_module("layerscope.engine.gradient.rules")
    for part in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{part.name}")
    return dict(sorted({**_rules[""], **_rules[mode]}.items()))


def replaced(mode: str) -> frozenset[str]:
    """The ops that a mode has rules of its own for."""
    rules()
    return frozenset(_rules[mode])
