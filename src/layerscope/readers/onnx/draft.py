"""A model on its way to a net: its nodes in the order in which they run, its tensors as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

OWN_DOMAINS = ("", "ai.onnx")  # of ONNX's own ops
SMALL = 1024  # bytes: such arrays go along where shapes are inferred from numbers

Dims = tuple[int | str | None, ...]  # a name for an axis that is free, None for a nameless one


@dataclass(frozen=True, slots=True)
class Input:
    """A value that is fed.

    Attributes:
        name, element: its name and ONNX element type.
        dims: what the file says of its shape; None where it says nothing.
    """

    name: str
    element: int
    dims: Dims | None


@dataclass(slots=True)
class Draft:
    """A model between file and net.

    Attributes:
        name: of the graph, or of the file where the graph has none worth showing.
        nodes, tensors, inputs, outputs: the graph.
        elements: tensor name to ONNX element type.
        infos: what the file says of shapes in between.
        opset, ir_version, domains: which ops are meant.
        functions: ops that the file itself defines.
        metadata: the file's own notes.
        notes: what the user should know.
        inner: values that are no blobs: what makes them belongs to the layer that reads them.
    """

    name: str
    nodes: list[NodeProto]
    tensors: dict[str, NDArray[Any]]
    elements: dict[str, int]
    inputs: list[Input]
    outputs: list[str]
    infos: list[ValueInfoProto]
    opset: int
    ir_version: int
    domains: dict[str, int] = field(default_factory=dict)
    functions: list[FunctionProto] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    inner: frozenset[str] = frozenset()

    def copy(self) -> Draft:
        """Another one with lists of its own; nodes and arrays are the same."""
        return replace(
            self,
            nodes=list(self.nodes),
            tensors=dict(self.tensors),
            elements=dict(self.elements),
            inputs=list(self.inputs),
            functions=list(self.functions),
            domains=dict(self.domains),
            notes=list(self.notes),
        )

    def constant(self, name: str, array: Any) -> str:
        """Add a small tensor; gives its name."""
        content = np.asarray(array)
        self.tensors[name] = content
        self.elements[name] = helper.np_dtype_to_tensor_dtype(content.dtype)
        return name

    def model(
        self, shapes: Mapping[str, Sequence[int]], outputs: Iterable[str], extra: Any = ()
    ) -> ModelProto:
        """The model without its large arrays, which are only declared, for fixed input shapes."""
        graph = GraphProto(name="net")
        graph.node.extend(self.nodes)
        graph.node.extend(extra)
        for each in self.inputs:
            graph.input.append(
                helper.make_tensor_value_info(each.name, each.element, shapes[each.name])
            )
        graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
        for name, array in self.tensors.items():
            graph.initializer.append(tensor_proto(name, array, self.elements[name]))
        imports = [helper.make_opsetid("", self.opset)]
        imports += [helper.make_opsetid(*each) for each in self.domains.items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=self.ir_version)

    def large(self) -> dict[str, NDArray[Any]]:
        """The arrays that `model` only declares."""
        return {name: array for name, array in self.tensors.items() if not is_small(array)}


def is_small(array: NDArray[Any]) -> bool:
    """Whether an array stands in a model itself; text always does."""
    return array.nbytes <= SMALL or array.dtype.kind in "OSU"


def tensor_proto(name: str, array: NDArray[Any], element: int) -> TensorProto:
    """A tensor with its numbers if they are few, else only its declaration."""
    if is_small(array):
        return numpy_helper.from_array(np.asarray(array), name)
    tensor = TensorProto(
        name=name, data_type=element, dims=array.shape, data_location=TensorProto.EXTERNAL
    )
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "given as arrays"
    return tensor
