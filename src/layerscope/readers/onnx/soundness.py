"""Whether the nodes of a model are what their ops ask for, before anything else looks at them.

ONNX Runtime crashes on some that are not, and inference takes what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    defs,
)

from layerscope.errors import LimitError, ReadError
from layerscope.readers.onnx.draft import OWN_DOMAINS
from layerscope.readers.onnx.tensors import array_of
from layerscope.text import plural, printable, quoted

MAX_NESTING = 16  # graphs inside nodes inside graphs
MAX_NODES = 200_000


def check_nodes(
    graph: GraphProto, functions: Iterable[FunctionProto], name: str, opset: int
) -> None:
    """Refuse what no real net has: too many nodes, graphs nested too deep."""
    count = 0
    level: list[tuple[GraphProto | FunctionProto, int]] = [(graph, 0)]
    level += [(each, 0) for each in functions]
    while level:
        inner, depth = level.pop()
        if depth > MAX_NESTING:
            raise LimitError(f"{name}: graphs nested deeper than {MAX_NESTING}")
        count += len(inner.node)
        if count > MAX_NODES:
            raise LimitError(f"{name}: more than {MAX_NODES:,} nodes")
        for node in inner.node:
            _check_form(node, opset)
            for attribute in node.attribute:
                _refuse_external(attribute, node)
                _check_type(node, attribute, opset)
                if attribute.HasField("g"):
                    level.append((attribute.g, depth + 1))
                level += [(each, depth + 1) for each in attribute.graphs]
        if depth and isinstance(inner, GraphProto):
            for tensor in inner.initializer:
                if tensor.data_location == TensorProto.EXTERNAL:
                    array_of(tensor, None)


def check_names(model: ModelProto, file: str) -> None:
    """Every name has to be text: protobuf gives bytes where the file has no UTF-8."""
    graphs: list[GraphProto | FunctionProto] = [model.graph, *model.functions]
    names: list[Any] = [model.graph.name, *(each.domain for each in model.opset_import)]
    for function in model.functions:
        names += [function.name, function.domain, *function.input, *function.output]
        names += [*function.attribute, *(each.domain for each in function.opset_import)]
    while graphs:
        graph = graphs.pop()
        if isinstance(graph, GraphProto):
            infos = [*graph.input, *graph.output, *graph.value_info]
            names += [each.name for each in (*infos, *graph.initializer)]
            names += [d.dim_param for each in infos for d in each.type.tensor_type.shape.dim]
        for node in graph.node:
            names += [node.op_type, node.domain, node.name, *node.input, *node.output]
            for attribute in node.attribute:
                names += [attribute.name, attribute.ref_attr_name]
                graphs += [attribute.g] if attribute.HasField("g") else []
                graphs += attribute.graphs
        bad = next((name for name in names if not isinstance(name, str)), None)
        if bad is not None:
            raise ReadError(f"{file}: damaged: the name {printable(bad, 60)} is no text")
        names = []


def _check_form(node: NodeProto, opset: int) -> None:
    """A node has to have the inputs, outputs and attributes of its op; else runtimes may crash."""
    if node.domain not in OWN_DOMAINS or not defs.has(node.op_type, opset):
        return
    op = defs.get_schema(node.op_type, opset)
    for what, count, least, most in (
        ("input", len(node.input), op.min_input, op.max_input),
        ("output", len(node.output), op.min_output, op.max_output),
    ):
        if not least <= count <= most:
            raise ReadError(
                f"node {quoted(node.name or node.op_type)}: {plural(count, what)},"
                f" {node.op_type} has {least}{f' to {most}' if most > least else ''}"
            )

    given = {each.name for each in node.attribute}
    for name, attribute in op.attributes.items():
        if attribute.required and name not in given:
            raise ReadError(
                f"node {quoted(node.name or node.op_type)}: attribute {quoted(name)} is missing,"
                f" which {node.op_type} needs"
            )
    formal: list[Any] = [each.option for each in op.inputs]
    for i, name in enumerate(node.input):
        if not name and formal[min(i, len(formal) - 1)].name != "Optional":
            raise ReadError(
                f"node {quoted(node.name or node.op_type)}: input {i} is left out, which"
                f" {node.op_type} needs"
            )


def _check_type(node: NodeProto, attribute: AttributeProto, opset: int) -> None:
    """An attribute has to be of the type that its op says."""
    stated = _attribute_types(node.op_type, opset) if node.domain in OWN_DOMAINS else {}
    if attribute.type != stated.get(attribute.name, attribute.type):
        raise ReadError(
            f"node {quoted(node.name or node.op_type)}: attribute {quoted(attribute.name)} is of"
            f" another type than {node.op_type} has"
        )


@cache
def _attribute_types(kind: str, opset: int) -> dict[str, int]:
    if not defs.has(kind, opset):
        return {}
    found = defs.get_schema(kind, opset).attributes
    kinds: dict[str, Any] = {name: each.type for name, each in found.items()}
    return {name: int(kind.value) for name, kind in kinds.items()}


def _refuse_external(attribute: AttributeProto, node: NodeProto) -> None:
    """External data inside a node would be opened by the runtime, unseen by us."""
    held = [attribute.t, *attribute.tensors, attribute.sparse_tensor.values]
    held += [attribute.sparse_tensor.indices]
    for tensor in held:
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ReadError(
                f"node {quoted(node.name or node.op_type)}: external data inside a node, which is"
                " not read"
            )
