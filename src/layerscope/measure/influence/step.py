"""A node with what its rule needs, and the register of the rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol, TypeAlias

import onnx
from onnx import helper

from layerscope.measure.boxes import Box, broadcast
from layerscope.measure.places import Places
from layerscope.net import Graph, values_read

Found: TypeAlias = Iterable[tuple[int, Box, bool]]


class Rule(Protocol):
    """What one node reads for a box of its output of number `output`."""

    def __call__(self, box: Box, clip: bool, output: int = 0) -> Found:
        """(number of the input, box, exact) for each input that is read."""
        ...


def reads(node: onnx.NodeProto) -> list[str]:
    """The inputs of a node, in their places, and behind them what graphs inside it read."""
    return [*node.input, *(name for name in values_read(node) if name not in node.input)]


class Step:
    """A node with its shapes and constants at hand."""

    def __init__(self, node: onnx.NodeProto, graph: Graph, alive: Collection[str]):
        self.kind = node.op_type
        self.graph = graph
        self.inputs = reads(node)
        self.alive = [i for i, name in enumerate(self.inputs) if name in alive]
        self.dims = [graph.shapes.get(name, ()) for name in self.inputs]
        self.out = [graph.shapes.get(name, ()) for name in node.output]
        self.settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def get(self, name: str, default: Any = None) -> Any:
        """A setting of the node; text is given as text."""
        value = self.settings.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def numbers(self, number: int) -> list[Any] | None:
        """The numbers of a constant input; None where it is not given or is computed."""
        if number >= len(self.inputs) or not self.inputs[number]:
            return None
        array = self.graph.tensors.get(self.inputs[number])
        return None if array is None else array.ravel().tolist()

    def fixed(self, number: int) -> bool:
        """Whether an input is left out, or a constant."""
        left_out = number >= len(self.inputs) or not self.inputs[number]
        return left_out or self.numbers(number) is not None

    def axis(self, default: int) -> int:
        """The setting `axis`, counted from the front."""
        axis: int = self.get("axis", default)
        return axis + len(self.dims[0]) if axis < 0 else axis


def pointwise(step: Step) -> Rule:
    """Elementwise, with broadcasting."""
    same = [i for i in step.alive if step.dims[i] == step.out[0]]
    other = [(i, step.dims[i]) for i in step.alive if step.dims[i] != step.out[0]]

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        found = [(i, box, True) for i in same]
        return [*found, *((i, broadcast(box, dims), True) for i, dims in other)]

    return read


RULES: dict[str, Callable[[Step], Rule | None]] = {}


Maker: TypeAlias = Callable[[Step], "Rule | None"]


def rule(*kinds: str) -> Callable[[Maker], Maker]:
    """Enter the function that makes the rule of these ops; it may give None: not known."""

    def keep(make: Maker) -> Maker:
        RULES.update(dict.fromkeys(kinds, make))
        return make

    return keep


def first(change: Callable[[Box, bool], Box]) -> Rule:
    """A rule for ops that read their first input only (or whose others have no path)."""

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        found = change(box, clip)
        return ((0, found, True),) if all(found) else ()

    return read


def along(step: Step, change: dict[int, Callable[[Places], Places]]) -> Rule:
    """A rule that changes some axes and keeps the others."""
    keep: list[Callable[[Places], Places]] = [
        change.get(axis, lambda places: places) for axis in range(len(step.dims[0]))
    ]
    return first(lambda box, clip: tuple(f(p) for f, p in zip(keep, box, strict=True)))


def every(size: int) -> Callable[[Places], Places]:
    """The change of an axis that is read whole."""
    whole_axis = range(size)
    return lambda places: whole_axis
