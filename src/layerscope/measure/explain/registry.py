"""What a rule is: one function for each ONNX op that says which numbers make which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

if TYPE_CHECKING:
    from layerscope.measure.explain.values import Values

Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = tuple[NDArray[np.int64], ...]
"""Units of one value: an index array for each axis, of shapes that broadcast together."""

Kind = Literal["sum", "window", "largest", "smallest", "copy", "function", "norm", "softmax"]
"""How a number is made: "sum" of products, mean or sum of a "window", "largest" or "smallest" of
several, "copy" of another unit, a "function" of a few, a "norm" by neighbours, a "softmax"."""


class NoArithmeticError(Exception):
    """An op, or a setting of it, for which there is no rule; the message is its name."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What one input of a node gives to n units.

    Attributes:
        source: the ONNX value that is read.
        index: where: an index array for each of its axes; they broadcast to `values.shape`.
        values: what was read, (n, ...) float64; 0 where not `inside`.
        weights: what each is multiplied by, of a shape that broadcasts; None for 1.
        weight: the ONNX value of the weights and their index arrays, where they are learned.
        inside: False for cells that are not there: padding, or the gaps of a deconvolution.
        role: what the formula calls it.
        parts: what each adds to the result; values times weights unless given.
        leads: whether a way back to the image may go through it.
    """

    source: str
    index: Places
    values: Floats
    weights: Floats | None = None
    weight: tuple[str, Places] | None = None
    inside: NDArray[np.bool_] | None = None
    role: str = "x"
    parts: Floats | None = None
    leads: bool = True

    @property
    def shares(self) -> Floats:
        """What each adds to the result."""
        if self.parts is not None:
            return self.parts
        return self.values if self.weights is None else self.values * self.weights


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How n units of a node's output are made.

    Attributes:
        result: (n,) float64.
        kind: how.
        formula: in plain text; `{role}` stands for a term with one number or for one of `numbers`.
        terms: what is read.  Only the first unit's are looked at, so where units read from
            different inputs these are those of the first.
        numbers: other numbers of the formula, (n,) or scalar: constants and intermediate results.
        size: sum of the absolute terms, (n,); the measure of a rounding error.
    """

    result: Floats
    kind: Kind
    formula: str
    terms: tuple[Terms, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    size: Floats | None = None


Rule: TypeAlias = "Callable[[Node, Places], Reading]"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One ONNX node with what a rule needs to read its inputs.

    Attributes:
        proto: the node.
        output: which of its outputs is asked for.
        values: gives numbers and shapes.
    """

    proto: onnx.NodeProto
    output: int
    values: Values

    @property
    def inputs(self) -> tuple[str, ...]:
        """Its inputs; "" for one that is left out."""
        return tuple(self.proto.input)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its attributes; text as bytes."""
        return self.values.attributes(self.proto)

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, or the default where it is not set."""
        return self.settings.get(name, default)

    def has(self, position: int) -> bool:
        """Whether the input at a position is given."""
        return position < len(self.proto.input) and bool(self.proto.input[position])

    def shape(self, position: int = 0) -> tuple[int, ...]:
        """The shape of an input."""
        return self.values.shape(self.proto.input[position])

    @property
    def out(self) -> tuple[int, ...]:
        """The shape of the output that is asked for."""
        return self.values.shape(self.proto.output[self.output])

    def at(self, position: int, index: Places) -> Floats:
        """Numbers of an input."""
        return self.values.at(self.proto.input[position], index)

    def whole(self, position: int) -> Floats:
        """All numbers of an input: for the small arrays that are settings."""
        return self.values.whole(self.proto.input[position])

    def integers(self, position: int) -> list[int]:
        """All numbers of an input, which are whole."""
        return [int(v) for v in self.whole(position).reshape(-1)]

    def axis(self, default: int = 0, rank: int | None = None) -> int:
        """The attribute `axis`, counted from the front."""
        rank = len(self.shape()) if rank is None else rank
        return int(self.attribute("axis", default)) % max(rank, 1)


_rules: dict[str, Rule] = {}


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Enter a function as the rule of some ONNX ops."""

    def enter(function: Rule) -> Rule:
        for op in ops:
            assert op not in _rules, f"two rules for {op}"
            _rules[op] = function
        return function

    return enter


def find_rule(op: str) -> Rule:
    """The rule of an op.

    Raises:
        NoArithmeticError: there is none.
    """
    found = _rules.get(op)
    if found is None:
        raise NoArithmeticError(op)
    return found


def explained_ops() -> tuple[str, ...]:
    """The ops that have a rule, sorted."""
    return tuple(sorted(_rules))


def column(numbers: NDArray[Any], axes: int) -> NDArray[Any]:
    """(n,) as (n, 1, ...) with `axes` ones behind, to broadcast over a window."""
    return numbers.reshape(len(numbers), *(1,) * axes)


def placed(node: Node, position: int, where: Places) -> Places:
    """Where ONNX's broadcasting reads an input for units of the output."""
    shape = node.shape(position)
    if not shape:
        return ()
    skipped = len(where) - len(shape)
    return tuple(
        where[skipped + axis] if size != 1 else np.zeros_like(where[skipped + axis])
        for axis, size in enumerate(shape)
    )


def total(shares: Floats) -> Floats:
    """(n, ...) summed to (n,)."""
    summed: Floats = shares.reshape(len(shares), -1).sum(axis=1)
    return summed
