"""Any number of any value of a graph: from the blobs of a run, or computed on demand in float64.

A run keeps the blobs.  What lies between the nodes of one layer is not kept: it is computed here
for just the units that are asked for, by the same rules that explain it, and remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from layerscope.blobs import Blobs
from layerscope.measure.explain.registry import (
    Floats,
    NoArithmeticError,
    Node,
    Places,
    Reading,
    find_rule,
)
from layerscope.net import Graph, Net, values_read

DEEP = 24  # nested calls; what is deeper is computed from its beginning instead
MOST_NUMBERS = 1 << 26  # of one value that is computed here
_PIECE = 1 << 20  # terms at once
POINTWISE = frozenset(
    ("Abs BatchNormalization Elu Exp HardSigmoid HardSwish Identity LeakyRelu Mish PRelu Relu"
     " Sigmoid Softplus Tanh Add Sub Mul Div Pow Neg").split()
)  # fmt: skip
"""Ops of which one unit needs no more than a few numbers."""
PLAIN_MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity")
UNSIZED = ("Compress", "NonMaxSuppression", "NonZero", "Unique")
"""Ops whose output's size depends on the numbers: only a run tells it."""


class Values:
    """The numbers of one run of a net.

    Args:
        net: with its weights.
        blobs: the run; what it holds is read, never computed.  Only a blob that a function of
            single numbers writes over in place is computed anew, so that ReLU(convolution) is
            recomputed as a whole.

    Attributes:
        known: value to array: what is read.
        kept: the same with the blobs that were written over.
    """

    def __init__(self, net: Net, blobs: Blobs) -> None:
        self._net = net
        self.known: dict[str, NDArray[Any]] = {
            name: array for name, array in net.graph.tensors.items() if array is not None
        }
        self.known.update({name: fed.array for name, fed in blobs.fed.items()})
        for name, array in blobs.items():
            if name in net.blobs:
                self.known[net.blobs[name].value] = array
        self.kept = dict(self.known)
        self.producers: dict[str, tuple[int, int]] = {
            value: (position, output)
            for position, node in enumerate(net.graph.nodes)
            for output, value in enumerate(node.output)
        }
        for value in self._written_over():
            self.known.pop(value, None)
        self._made: dict[str, tuple[Floats, NDArray[np.bool_]]] = {}
        self._attributes: dict[str, dict[str, Any]] = {}
        self._depth = 0

    def _written_over(self) -> set[str]:
        """The values of replaced blobs that only functions of single numbers read."""
        found = {blob.value for blob in self._net.blobs.values() if blob.replaced}
        found -= {blob.value for blob in self._net.blobs.values() if not blob.replaced}
        found &= self.producers.keys()
        for node in self._net.graph.nodes:
            if node.op_type not in POINTWISE:
                found.difference_update(values_read(node))
        return found

    def attributes(self, node: onnx.NodeProto) -> Mapping[str, Any]:
        """The attributes of a node as Python has them."""
        key = next(name for name in node.output if name)
        if key not in self._attributes:
            self._attributes[key] = {
                a.name: onnx.helper.get_attribute_value(a) for a in node.attribute
            }
        return self._attributes[key]

    @cached_property
    def graph(self) -> Graph:
        """The graph at the batch size of the run, which tells the shapes of inner values."""
        fed = {name: self.known[name].shape for name in self._net.inputs if name in self.known}
        shapes = self._net.graph.shapes
        if all(dims == shapes[name] for name, dims in fed.items()):
            return self._net.graph
        return self._net.reshaped(**fed).graph

    @cached_property
    def unsized(self) -> frozenset[str]:
        """The values that a run did not keep and whose size only a run tells."""
        found: set[str] = set()
        for node in self._net.graph.nodes:
            if node.op_type in UNSIZED or not found.isdisjoint(values_read(node)):
                found |= set(node.output) - self.known.keys()
        return frozenset(found)

    def shape(self, value: str) -> tuple[int, ...]:
        """The shape of a value in this run.

        Raises:
            NoArithmeticError: it was not kept, and its size depends on the numbers.
        """
        array = self.kept.get(value)
        if array is not None:
            return array.shape
        if value in self.unsized:
            raise NoArithmeticError(self._op(value))
        return self.graph.shapes[value]

    def element(self, value: str) -> int:
        """The ONNX element type of a value."""
        return self._net.graph.types[value]

    def constant(self, value: str) -> bool:
        """Whether a value is a stored array: a param, or a setting of the graph."""
        return value in self._net.graph.tensors

    def node(self, value: str) -> Node:
        """The node that makes a value."""
        position, output = self.producers[value]
        return Node(self._net.graph.nodes[position], output, self)

    def reading(self, value: str, where: Places) -> Reading:
        """How units of a value are made from the inputs of its node.

        Raises:
            NoArithmeticError: there is no rule for that op, or for one that it needs.
        """
        node = self.node(value)
        with np.errstate(all="ignore"):  # what is not finite is shown as such
            return find_rule(node.proto.op_type)(node, where)

    def through_moves(
        self, value: str, index: Places, moves: Collection[str] = PLAIN_MOVES
    ) -> tuple[str, Places]:
        """Where numbers of a value that was not kept come from, behind a reshape or the like."""
        while value not in self.known and value in self.producers:
            node = self.node(value)
            if node.proto.op_type not in moves:
                break
            places = np.broadcast_arrays(*index)
            flat = tuple(each.reshape(-1) for each in places)
            terms = self.reading(value, flat).terms[0]
            value = terms.source
            index = tuple(np.reshape(each, places[0].shape) for each in terms.index)
        return value, index

    def at(self, value: str, index: Places) -> Floats:
        """Numbers of a value, float64; `index` has an array for each axis.

        Raises:
            NoArithmeticError: they were not kept, and there is no rule to compute them.
        """
        array = self.known.get(value)
        if array is not None:
            return np.asarray(array[index], np.float64)
        if value not in self.producers:
            raise NoArithmeticError(f"{value} without weights")
        if self._depth >= DEEP and value not in self._made:
            self._from_the_beginning(value)
        return self._computed(value, index)

    def whole(self, value: str) -> Floats:
        """All numbers of a value, float64, in its shape."""
        array = self.known.get(value)
        if array is not None:
            return np.asarray(array, np.float64)
        dims = self.shape(value)
        return self.at(value, tuple(np.indices(dims, sparse=True))) if dims else self.at(value, ())

    def _computed(self, value: str, index: Places) -> Floats:
        dims = self.shape(value)
        count = prod(dims)
        if count > MOST_NUMBERS:
            raise NoArithmeticError(self._op(value))
        if value not in self._made:
            self._made[value] = (np.empty(count), np.zeros(count, np.bool_))
        numbers, done = self._made[value]
        asked = np.broadcast_arrays(*index) if index else []
        form = asked[0].shape if asked else ()
        flat = np.ravel_multi_index(asked, dims) if asked else np.zeros((), np.int64)
        missing = np.unique(flat[~done[flat]])
        if missing.size:
            self._fill(value, missing)
        return numbers[flat].reshape(form)

    def _fill(self, value: str, missing: NDArray[np.int64]) -> None:
        dims = self.shape(value)
        numbers, done = self._made[value]
        step = max(1, _PIECE // max(1, self._terms(value)))
        self._depth += 1
        try:
            for start in range(0, missing.size, step):
                piece = missing[start : start + step]
                numbers[piece] = self.reading(value, unraveled(piece, dims)).result
                done[piece] = True
        finally:
            self._depth -= 1

    def _terms(self, value: str) -> int:
        """About how many numbers one unit of a value is made of."""
        node = self.node(value)
        op = node.proto.op_type
        if op in ("Conv", "ConvTranspose"):
            return prod(node.shape(1)[1:])
        if op in ("MaxPool", "AveragePool"):
            return prod(node.attribute("kernel_shape", [1]))
        if op in ("Gemm", "MatMul", "Softmax") or op.startswith(("Reduce", "Scatter", "Arg")):
            return max(node.shape(0), default=1) * max(1, prod(node.shape(0)) // 4096)
        return 16

    def _from_the_beginning(self, value: str) -> None:
        """Compute all that a value needs in the order of the graph, so that calls do not nest."""
        needed, waiting = set(), [value]
        while waiting:
            name = waiting.pop()
            if name in needed or name in self.known or name not in self.producers:
                continue
            needed.add(name)
            node = self._net.graph.nodes[self.producers[name][0]]
            waiting += values_read(node)
        needed.discard(value)
        depth, self._depth = self._depth, 0
        try:
            for name in sorted(needed, key=self.producers.__getitem__):
                self.whole(name)
        finally:
            self._depth = depth

    def _op(self, value: str) -> str:
        return str(self._net.graph.nodes[self.producers[value][0]].op_type)


def unraveled(flat: NDArray[np.int64], dims: tuple[int, ...]) -> Places:
    """Positions in the flattened array as an index array for each axis; none for a scalar."""
    return tuple(np.unravel_index(flat, dims)) if dims else ()
