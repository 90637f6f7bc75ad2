"""Graph builder: every reader says what a net computes through these few calls.

Values are names.  The shape of each is known as soon as it exists, by ONNX's own shape inference
for one node, so no rule of an op is written a second time here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from layerscope.errors import LimitError, UnsupportedError, UsageError
from layerscope.net import IR_VERSION, OPSET, Graph
from layerscope.text import quoted, shape

FLOAT = onnx.TensorProto.FLOAT
INT64 = onnx.TensorProto.INT64
BOOL = onnx.TensorProto.BOOL
MAX_ELEMENTS = 2**40  # of one blob; more is a damaged or hostile file

_OPSETS = [helper.make_opsetid("", OPSET)]


class GraphBuilder:
    """Collects nodes, shapes and arrays.

    Args:
        input_shapes: what the caller asked for in place of the shapes that the file states.

    Attributes:
        free_batch: whether the graph still works at another batch size.
        prefix: begins the names of new values, usually the layer's name.
    """

    def __init__(self, input_shapes: Mapping[str, Sequence[int]] | None = None) -> None:
        self.asked = {name: tuple(dims) for name, dims in (input_shapes or {}).items()}
        self.nodes: list[onnx.NodeProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.types: dict[str, int] = {}
        self.tensors: dict[str, NDArray[Any] | None] = {}
        self.inputs: list[str] = []
        self.free_batch = True
        self.prefix = ""

    # --- values ---

    def input(self, name: str, dims: Sequence[int]) -> str:
        """A value that is fed from outside; the shape that the caller asked for comes first.

        Raises:
            UsageError: the caller's shape has a number below 1.
        """
        dims = self.asked.get(name, dims)
        if any(d < 1 for d in dims):
            raise UsageError(
                f"input {quoted(name)}: shape {shape(dims)}; every number must be at least 1"
            )
        self.inputs.append(name)
        return self._value(name, dims, FLOAT)

    def drop_input(self, name: str) -> None:
        """Forget an input that no node reads."""
        self.inputs.remove(name)
        del self.shapes[name], self.types[name]

    def param(self, name: str, dims: Sequence[int], array: NDArray[Any] | None) -> str:
        """A learned array; without weights only its shape is known."""
        name = self.fresh(name)
        self.tensors[name] = array
        return self._value(name, dims, FLOAT)

    def constant(self, array: Any, name: str = "constant") -> str:
        """A small array that belongs to the graph: a shape, a factor, a pad."""
        content = np.asarray(array)
        if content.dtype == np.float64:
            content = content.astype(np.float32)
        name = self.fresh(f"{self.prefix}/{name}")
        self.tensors[name] = content
        return self._value(name, content.shape, helper.np_dtype_to_tensor_dtype(content.dtype))

    def derived(self, dims: Sequence[int], array: NDArray[Any] | None, name: str) -> str:
        """An array computed from params, or just its shape when there are no weights."""
        return self.param(f"{self.prefix}/{name}", dims, array)

    def shape(self, value: str) -> tuple[int, ...]:
        """The shape of a value, at the batch size of the file."""
        return self.shapes[value]

    def fresh(self, name: str) -> str:
        """A name that no value has yet."""
        if name not in self.shapes:
            return name
        number = 2
        while f"{name}:{number}" in self.shapes:
            number += 1
        return f"{name}:{number}"

    def _value(self, name: str, dims: Sequence[int], element: int) -> str:
        whole = tuple(int(d) for d in dims)
        elements = 1
        for dim in whole:
            elements *= max(dim, 0)
        if elements > MAX_ELEMENTS:
            raise LimitError(f"{quoted(name)} would be {whole}: more than any machine holds")
        self.shapes[name] = whole
        self.types[name] = element
        return name

    # --- nodes ---

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and give the output."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with several outputs.

        Raises:
            UnsupportedError: the shapes do not fit the op.
        """
        node = self._node(kind, outputs, inputs, attributes)
        for name, (dims, element) in zip(node.output, self._infer(node), strict=True):
            self._value(name, dims, element)
        self.nodes.append(node)
        return list(node.output)

    def remark(self, value: str, words: str) -> str:
        """Say in the last node, which gives `value`, how its gradient is taken.

        The words are those of the engine's `MARKERS`.
        """
        assert self.nodes[-1].output[0] == value
        self.nodes[-1].doc_string = words
        return value

    def selection(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node that keeps some rows of its first input; how many, only a run tells.

        The shape that is noted is that of all rows.
        """
        node = self._node(kind, 1, inputs, attributes)
        self.nodes.append(node)
        return self._value(node.output[0], self.shapes[inputs[0]], self.types[inputs[0]])

    def _node(
        self, kind: str, outputs: int, inputs: Sequence[str], attributes: dict[str, Any]
    ) -> onnx.NodeProto:
        names: list[str] = []
        for _ in range(outputs):
            name = self.fresh(f"{self.prefix}/{kind}")
            self.shapes[name] = ()  # taken, until the shape is known
            names.append(name)
        return helper.make_node(kind, list(inputs), names, name=self.fresh(names[0]), **attributes)

    def bounded(self, kind: str, dims: Sequence[int], *inputs: str, **attributes: Any) -> str:
        """Add a node whose output's size depends on the numbers; `dims` is the most it can be."""
        node = self._node(kind, 1, inputs, attributes)
        ((_, element),) = self._infer(node, tuple(dims))
        self.nodes.append(node)
        return self._value(node.output[0], dims, element)

    def _infer(
        self, node: onnx.NodeProto, most: tuple[int, ...] | None = None
    ) -> list[tuple[tuple[int, ...], int]]:
        """Shapes and types of a node's outputs; `most` stands for a shape that is not fixed."""
        given = [name for name in node.input if name]
        known = {n: helper.make_tensor_type_proto(self.types[n], self.shapes[n]) for n in given}
        data = {
            n: numpy_helper.from_array(array)
            for n in given
            if (array := self.tensors.get(n)) is not None and array.size <= 64
        }
        try:
            found = shape_inference.infer_node_outputs(
                _schema(node.op_type),
                node,
                known,
                data,
                opset_imports=_OPSETS,
                ir_version=IR_VERSION,
            )
        except (onnx.shape_inference.InferenceError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UnsupportedError(f"{node.op_type} does not fit: {reason}") from None
        results = []
        for name in node.output:
            tensor = found[name].tensor_type
            dims = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
            if most is not None:
                dims = most
            if min(dims, default=1) < 0:
                raise UnsupportedError(f"{node.op_type}: its output's shape {dims} is not known")
            results.append((dims, tensor.elem_type))
        return results

    def rename(self, value: str, name: str, since: int) -> None:
        """Give the output of a node added since position `since` its final name."""
        self.shapes[name] = self.shapes.pop(value)
        self.types[name] = self.types.pop(value)
        for node in self.nodes[since:]:
            for names in (node.input, node.output):
                for i, each in enumerate(names):
                    if each == value:
                        names[i] = name

    def reshape(self, value: str, dims: Sequence[int]) -> str:
        """Reshape; 0 keeps an axis, -1 takes what is left."""
        return self.op("Reshape", value, self.constant(np.asarray(dims, np.int64), "shape"))

    def finish(self) -> Graph:
        """The graph, as a net holds it."""
        return Graph(
            nodes=tuple(self.nodes),
            shapes=self.shapes,
            types=self.types,
            tensors=self.tensors,
            inputs=tuple(self.inputs),
            free_batch=self.free_batch,
        )


@cache
def _schema(kind: str) -> onnx.defs.OpSchema:
    return onnx.defs.get_schema(kind, OPSET)
