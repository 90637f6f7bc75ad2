"""The bytes of an ONNX file to a `Draft`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
)

from layerscope.errors import ReadError, UnsupportedError
from layerscope.readers.file import InputFile
from layerscope.readers.onnx.draft import OWN_DOMAINS, Dims, Draft, Input
from layerscope.readers.onnx.external import Folder
from layerscope.readers.onnx.soundness import check_names, check_nodes
from layerscope.readers.onnx.tensors import array_of
from layerscope.readers.onnx.wire import Parts
from layerscope.text import printable, quoted

OLDEST, NEWEST = 6, 28
NEWEST_IR = 14
_ELEMENTS = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
# What exporters call every graph.
_NAMELESS = {
    "", "main", "main_graph", "graph", "model", "net", "torch-jit-export", "torch_jit",
    "onnx-model", "tf2onnx", "sklearn-onnx",
}  # fmt: skip


def parse(file: InputFile) -> Draft:
    """Read a model.

    Raises:
        ReadError: the file is damaged, or not a whole model.
        UnsupportedError: made for ops that are older or newer than those that are known.
        LimitError: larger than any real net.
    """
    model, parts = _decoded(file)
    if not model.HasField("graph"):
        raise ReadError(f"{file.name}: an ONNX file without a graph")
    graph = model.graph
    check_names(model, file.name)
    opset, domains = _opsets(model, file.name)
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise UnsupportedError(f"{file.name}: sparse weights ({quoted(name)}) are not read")
    tensors, elements = _tensors(graph, parts, Folder(file.path))
    check_nodes(graph, model.functions, file.name, opset)
    nodes = with_constants_as_tensors(graph.node, tensors, elements)
    return Draft(
        name=printable(file.path.stem if graph.name.lower() in _NAMELESS else graph.name),
        nodes=nodes,
        tensors=tensors,
        elements=elements,
        inputs=[_input(each, file.name) for each in graph.input if each.name not in tensors],
        outputs=[each.name for each in graph.output],
        infos=[*graph.value_info, *graph.output],
        opset=opset,
        ir_version=max(8, min(model.ir_version, NEWEST_IR)),
        domains=domains,
        functions=list(model.functions),
        metadata={str(each.key): str(each.value) for each in model.metadata_props},
    )


def _decoded(file: InputFile) -> tuple[ModelProto, Parts]:
    parts = Parts(file.view, file.name)
    try:
        return ModelProto.FromString(parts.skeleton), parts
    except DecodeError:
        raise ReadError(
            f"{file.name}: damaged: no valid ONNX model (or graphs nested very deep)"
        ) from None


def _opsets(model: ModelProto, name: str) -> tuple[int, dict[str, int]]:
    """The version of ONNX's own ops, and those of other domains."""
    found = {each.domain: each.version for each in model.opset_import}
    own = [found.pop(domain) for domain in OWN_DOMAINS if domain in found]
    opset = max(own, default=1 if model.ir_version < 3 else 0)
    if not opset and found:
        opset = NEWEST - 2  # it uses no op of ONNX itself
    if not opset:
        raise ReadError(f"{name}: does not say which version of the ops it means (opset_import)")
    if not OLDEST <= opset <= NEWEST:
        raise UnsupportedError(
            f"{name}: made for opset {opset}; {OLDEST} to {NEWEST} are read:"
            " export it again for one of these"
        )
    return opset, found


def _tensors(
    graph: GraphProto, parts: Parts, folder: Folder
) -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
    tensors: dict[str, NDArray[Any]] = {}
    for i, each in enumerate(graph.initializer):
        if each.name in tensors:
            raise ReadError(f"two weights have the name {quoted(each.name)}")
        try:
            tensors[each.name] = array_of(each, folder, parts.numbers.get(i))
        except ReadError as error:
            raise ReadError(f"{error}{_reader(graph, each.name)}") from None
    return tensors, {each.name: each.data_type for each in graph.initializer}


def _reader(graph: GraphProto, name: str) -> str:
    """Which node a tensor is for, at the end of a message."""
    node = next((each for each in graph.node if name in each.input), None)
    if node is None:
        return ""
    return f"; node {quoted(node.name or node.output[0])} ({printable(node.op_type, 40)}) reads it"


def _input(info: ValueInfoProto, file: str) -> Input:
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        what = (kind or "value of no type").removesuffix("_type").replace("_", " ")
        raise UnsupportedError(
            f"{file}: input {quoted(info.name)} is a {what}; only arrays can be fed"
        )
    tensor = info.type.tensor_type
    if tensor.elem_type == TensorProto.STRING or tensor.elem_type not in _ELEMENTS:
        raise UnsupportedError(
            f"{file}: input {quoted(info.name)} takes"
            f" {'text' if tensor.elem_type == TensorProto.STRING else 'no known type'};"
            " only numbers can be fed"
        )
    if not tensor.HasField("shape"):
        return Input(info.name, tensor.elem_type, None)
    return Input(info.name, tensor.elem_type, dims_of(info))


def dims_of(info: ValueInfoProto) -> Dims:
    """The shape that a model states for a value.

    Some exporters write 0 for an axis that is free: that of the batch, or any of an image.
    """
    dims = info.type.tensor_type.shape.dim
    return tuple(
        d.dim_value
        if d.HasField("dim_value") and d.dim_value >= (len(dims) == 4 or (len(dims) > 1 and not i))
        else d.dim_param or None
        for i, d in enumerate(dims)
    )


def with_constants_as_tensors(
    nodes: Any, tensors: dict[str, NDArray[Any]], elements: dict[str, int]
) -> list[NodeProto]:
    """The nodes without those that only hold a tensor."""
    kept = []
    for node in nodes:
        array = None
        if node.op_type == "Constant" and node.domain in OWN_DOMAINS and len(node.output) == 1:
            array, element = constant_of(node)
        if array is None or node.output[0] in tensors:
            kept.append(node)
        else:
            tensors[node.output[0]], elements[node.output[0]] = array, element
    return kept


def constant_of(node: NodeProto) -> tuple[NDArray[Any] | None, int]:
    """What a Constant node holds, and its element type; None where it is text.

    Raises:
        UnsupportedError: it is sparse.
    """
    simple: dict[str, tuple[Any, int]] = {
        "value_float": (np.float32, TensorProto.FLOAT),
        "value_floats": (np.float32, TensorProto.FLOAT),
        "value_int": (np.int64, TensorProto.INT64),
        "value_ints": (np.int64, TensorProto.INT64),
    }
    for attribute in itertools.islice(node.attribute, 1):
        if attribute.name == "value":
            tensor = attribute.t
            if not tensor.name:
                tensor = TensorProto(name=node.output[0])
                tensor.MergeFrom(attribute.t)
                tensor.name = node.output[0]
            return array_of(tensor, None), tensor.data_type
        if attribute.name == "sparse_value":
            raise UnsupportedError(
                f"node {quoted(node.name or node.output[0])}: sparse weights are not read"
            )
        if attribute.name in simple:
            kind, element = simple[attribute.name]
            values = {
                "value_float": attribute.f, "value_floats": list(attribute.floats),
                "value_int": attribute.i, "value_ints": list(attribute.ints),
            }[attribute.name]  # fmt: skip
            return np.asarray(values, kind), element
    return None, 0
