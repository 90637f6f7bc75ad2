"""What rules write on: nodes of the backward graph, beside the forward graph that they read.

Shapes are fixed here: the backward graph is built for one batch, so that what was broadcast is
summed back, and what was reshaped goes back, without asking at run time.  The exception is what
lies behind ops whose output's size only a run tells; there the graph asks with Shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from layerscope.engine.gradient.folding import fixed_values
from layerscope.engine.gradient.registry import Node
from layerscope.net import Graph

FLOATS = frozenset(
    {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.BFLOAT16,
    }
)
_SIZE_BY_RUN = frozenset({"Compress", "NonZero", "NonMaxSuppression", "Unique"})


def sized_by_run(graph: Graph) -> set[str]:
    """The values whose size only a run tells; the stated one is the most it can be."""
    found: set[str] = set()
    for node in graph.nodes:
        if node.op_type in _SIZE_BY_RUN or not found.isdisjoint(node.input):
            found.update(node.output)
    return found


class Tape:
    """Nodes added behind a forward graph.

    Args:
        graph: the forward graph, at the shapes of the run.

    Attributes:
        nodes: what was added, in an order in which it can run.
        tensors: the arrays that were added.
        prefix: begins the names of new nodes.
        mode: whose rules are followed; "" for the derivative's.
        replaced: position of a forward node to what stands in its place, where it has to give more
            than it did, or the gradient needs most of it anyway.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, NDArray[Any]] = {}
        self.prefix = ""
        self.mode = ""
        self.replaced: dict[int, list[onnx.NodeProto]] = {}
        self._names = 0
        self._copies: dict[str, str] = {}
        self._known: dict[str, tuple[tuple[int, ...], int]] = {}
        self._small: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._held = {
            node.output[0]: numpy_helper.to_array(attribute.t)
            for node in graph.nodes
            if node.op_type == "Constant"
            for attribute in node.attribute
            if attribute.name == "value"
        }
        self._open = sized_by_run(graph)
        self._made: dict[str, NDArray[Any]] | None = None

    # --- what is known of the forward graph ---

    def shape(self, value: str) -> tuple[int, ...]:
        """The shape of a forward value, or of one that `know` was told of."""
        if value in self._known:
            return self._known[value][0]
        if value in self.tensors:
            return self.tensors[value].shape
        return self.graph.shapes[self._copies.get(value, value)]

    def rank(self, value: str) -> int:
        """How many axes a forward value has."""
        return len(self.shape(value))

    def is_float(self, value: str) -> bool:
        """Whether a gradient can go through a value."""
        return self.type(value) in FLOATS

    def type(self, value: str) -> int:
        """The ONNX element type of a forward value, or of one that `know` was told of."""
        if value in self._known:
            return self._known[value][1]
        if value in self.tensors:
            return helper.np_dtype_to_tensor_dtype(self.tensors[value].dtype)
        return self.graph.types.get(self._copies.get(value, value), onnx.TensorProto.FLOAT)

    def array(self, value: str) -> NDArray[Any] | None:
        """The numbers of a value that is fixed, or None."""
        found = self.graph.tensors.get(value, self.tensors.get(value))
        found = self._held.get(value) if found is None else found
        if found is not None:
            return found
        if self._made is None:
            self._made = fixed_values(self.graph, self._held, self._open)
        return self._made.get(value)

    def know(self, value: str, dims: tuple[int, ...], element: int) -> None:
        """Note the shape and type of a value that is computed again, so that rules can read it."""
        self._known[value] = (dims, element)

    def ints(self, value: str) -> list[int] | None:
        """The whole numbers of a value that is fixed, or None."""
        found = self.array(value)
        return None if found is None else [int(each) for each in found.ravel()]

    # --- values ---

    def constant(self, content: Any, like: str = "") -> str:
        """A fixed array; floats take the type of the value `like`."""
        array = np.asarray(content)
        if array.dtype.kind == "f" or like:
            element = self.type(like)
            array = array.astype(helper.tensor_dtype_to_np_dtype(element))
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        return self.fixed(array)

    def fixed(self, array: NDArray[Any]) -> str:
        """A fixed array in the type that it has."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        key = (array.dtype.str, array.shape, array.tobytes() if array.size <= 64 else b"")
        if array.size <= 64 and key in self._small:
            return self._small[key]
        name = self._fresh("fixed")
        self.tensors[name] = array
        if array.size <= 64:
            self._small[key] = name
        return name

    def dims(self, value: str) -> str:
        """The shape of a forward value, as a value."""
        if value in self._open:
            return self.op("Shape", value)
        return self.constant(np.asarray(self.shape(value), np.int64))

    def _fresh(self, kind: str) -> str:
        self._names += 1
        return f"gradient/{self.prefix}/{kind}:{self._names}"

    # --- nodes ---

    def op(self, kind: str, *inputs: str, **settings: Any) -> str:
        """Add a node with one output and give the output."""
        return self.ops(kind, 1, *inputs, **settings)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **settings: Any) -> list[str]:
        """Add a node with several outputs."""
        names = [self._fresh(kind) for _ in range(outputs)]
        node = helper.make_node(kind, list(inputs), names, name=names[0], **settings)
        self.nodes.append(node)
        return names

    def second_output(self, node: Node) -> str:
        """The second output of a forward node, which is asked for where it is not there yet."""
        if len(node.outputs) > 1 and node.outputs[1]:
            return node.outputs[1]
        if node.position not in self.replaced:
            more = onnx.NodeProto()
            more.CopyFrom(self.graph.nodes[node.position])
            del more.output[1:]
            more.output.append(self._fresh(f"{node.op}.second"))
            self.replaced[node.position] = [more]
        return str(self.replaced[node.position][-1].output[1])

    @contextmanager
    def instead_of(self, node: Node) -> Iterator[None]:
        """Let what is added within stand in a forward node's place; the last gives its output.

        Where the node is seen with other values than it has in the graph, nothing is replaced.
        """
        later, self.nodes = self.nodes, []
        yield
        forward = self.graph.nodes[node.position]
        if tuple(forward.input) == node.inputs and tuple(forward.output) == node.outputs:
            self.nodes[-1].output[0] = node.y
            self.replaced[node.position], self.nodes = self.nodes, []
        self.nodes = later + self.nodes

    def again(self, position: int, changed: dict[str, str]) -> None:
        """Compute a forward node again from other values.

        Args:
            position: of the node in the graph.
            changed: forward value to the one in its place; the node's outputs are added to it.
        """
        node = onnx.NodeProto()
        node.CopyFrom(self.graph.nodes[position])
        node.name = self._fresh(node.op_type)
        names = [(node.input, i) for i in range(len(node.input))]
        for value in node.output:
            if value and value not in changed:
                changed[value] = self._fresh("again")
                self._copies[changed[value]] = value
        names += [(node.output, i) for i in range(len(node.output))]
        for among, i in names:
            among[i] = changed.get(among[i], among[i])
        self.nodes.append(node)

    def total(self, value: str, parts: dict[str, list[str]], order: dict[str, str]) -> str:
        """The gradient of a value, once all that read it have given theirs; "" where none did.

        `parts` is value to what each of its readers gave; `order` takes value to gradient, in the
        order in which they are added up.
        """
        if value in order:
            return order[value]
        given = parts.get(value, [])
        if not given:
            return ""
        # One by one: the runtime adds within a convolution what a convolution gave last.
        order[value] = reduce(self.add, reversed(given))
        return order[value]

    def add(self, a: str, b: str) -> str:
        """The sum."""
        return self.op("Add", a, b)

    def sub(self, a: str, b: str) -> str:
        """The difference."""
        return self.op("Sub", a, b)

    def mul(self, a: str, b: str) -> str:
        """The product."""
        return self.op("Mul", a, b)

    def div(self, a: str, b: str) -> str:
        """The quotient."""
        return self.op("Div", a, b)

    def times(self, a: str, factor: float, like: str = "") -> str:
        """A value multiplied by a number."""
        return a if factor == 1 else self.mul(a, self.constant(float(factor), like))

    def gate(self, condition: str, dy: str, like: str) -> str:
        """`dy` where the condition holds, else 0; of what is infinite, not a number, as in Caffe.

        A product: the runtime's Where takes thirty times as long.
        """
        return self.mul(dy, self.op("Cast", condition, to=self.type(like)))

    def where(self, condition: str, dy: str, like: str) -> str:
        """`dy` where the condition holds, else 0."""
        return self.op("Where", condition, dy, self.constant(0.0, like))

    def zeros(self, value: str) -> str:
        """Zeros in the shape and type of a forward value."""
        dtype = helper.tensor_dtype_to_np_dtype(self.type(value))
        zero = numpy_helper.from_array(np.zeros(1, dtype))
        return self.op("ConstantOfShape", self.dims(value), value=zero)

    def sum(self, value: str, axes: Sequence[int], *, keepdims: bool = True) -> str:
        """The sum over some axes."""
        if not axes:
            return value
        return self.op(
            "ReduceSum", value, self.constant(np.asarray(axes, np.int64)), keepdims=int(keepdims)
        )

    def reshape(self, value: str, dims: Sequence[int]) -> str:
        """Another shape of as many numbers."""
        return self.op("Reshape", value, self.constant(np.asarray(dims, np.int64)), allowzero=1)

    def reshape_as(self, value: str, like: str) -> str:
        """The shape of a forward value."""
        return self.op("Reshape", value, self.dims(like), allowzero=1)

    def slice(self, value: str, starts: Sequence[int], ends: Sequence[int]) -> str:
        """A box of a value, over all its axes."""
        axes = np.arange(len(starts))
        return self.op(
            "Slice", value, *(self.constant(np.asarray(n, np.int64)) for n in (starts, ends, axes))
        )

    def pad(self, value: str, before: Sequence[int], after: Sequence[int]) -> str:
        """Zeros around a value; negative numbers cut it."""
        if not any(before) and not any(after):
            return value
        return self.op("Pad", value, self.constant(np.asarray([*before, *after], np.int64)))

    def unbroadcast(self, dy: str, value: str, dims: Sequence[int]) -> str:
        """A gradient of shape `dims` summed over the axes along which `value` was repeated."""
        own = self.shape(value)
        if own == tuple(dims):
            return dy
        lead = len(dims) - len(own)
        axes = [*range(lead)]
        axes += [lead + i for i, d in enumerate(own) if d == 1 and dims[lead + i] != 1]
        summed = self.sum(dy, axes)
        return self.reshape_as(summed, value) if lead else summed


def size(dims: Sequence[int]) -> int:
    """How many numbers a shape has."""
    return prod(int(d) for d in dims)
