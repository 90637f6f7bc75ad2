"""Which opset ONNX Runtime can run: it lags behind for some ops that only took new types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from onnx import NodeProto, defs, helper

from layerscope.net import OPSET
from layerscope.readers.onnx.draft import OWN_DOMAINS, Draft

ASKED_FROM = 19  # below, the runtime has every op that it will ever have


def with_kernels(draft: Draft, types: Mapping[str, int]) -> None:
    """Read a model as of a lower opset, where the runtime has code for its ops only there.

    Only where every op has the same form in both and its types are those of the lower one, too: a
    new version of an op then adds types that this model does not use.

    Args:
        draft: the model; its opset is changed.
        types: value name to ONNX element type, as far as they are known.
    """
    if draft.opset < ASKED_FROM:
        return
    nodes = list(_all(draft.nodes))
    lacking = {node.op_type for node in nodes if not _has_kernel(node.op_type, draft.opset)}
    if not lacking:
        return
    for target in range(draft.opset - 1, OPSET - 1, -1):
        kinds = {node.op_type for node in nodes}
        if not all(_same_form(kind, draft.opset, target) for kind in kinds):
            return
        if all(_has_kernel(kind, target) for kind in lacking):
            if all(_takes(node, target, types) for node in nodes):
                draft.notes.append(
                    f"ONNX Runtime has no {', '.join(sorted(lacking)[:3])} of opset {draft.opset}:"
                    f" read as opset {target}, where it is the same"
                )
                draft.opset = target
            return


def _all(nodes: list[NodeProto]) -> Iterator[NodeProto]:
    """The nodes of ONNX's own ops, also those inside other nodes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.domain in OWN_DOMAINS:
            yield node
        for attribute in node.attribute:
            for graph in ([attribute.g] if attribute.HasField("g") else [], attribute.graphs):
                for each in graph:
                    waiting += each.node


@cache
def _kernels() -> dict[str, frozenset[tuple[int, int]]]:
    """Op to the ranges of versions that the runtime's CPU part has code for."""
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_opkernel_def

    found: dict[str, set[tuple[int, int]]] = {}
    for each in get_all_opkernel_def():
        if each.domain in OWN_DOMAINS and each.provider.startswith("CPU"):
            found.setdefault(each.op_name, set()).add(tuple(each.version_range))
    return {kind: frozenset(ranges) for kind, ranges in found.items()}


@cache
def _has_kernel(kind: str, opset: int) -> bool:
    """Whether it has code for an op, or the op is defined by others; True for unknown ops."""
    if not defs.has(kind, opset):
        return True
    op: Any = defs.get_schema(kind, opset)
    if op.has_function or op.has_context_dependent_function:
        return True
    version = op.since_version
    # A range without end counts for its first version only: what comes later may be another op.
    return any(
        first == version or (first <= version <= last < 2**31 - 1)
        for first, last in _kernels().get(kind, ())
    )


@cache
def _same_form(kind: str, opset: int, other: int) -> bool:
    """Whether an op has the same inputs, outputs and attributes in two opsets."""
    if not defs.has(kind, opset):
        return True
    if not defs.has(kind, other):
        return False
    one, two = defs.get_schema(kind, opset), defs.get_schema(kind, other)
    if one.since_version == two.since_version:
        return True

    def form(op: defs.OpSchema) -> object:
        attributes = {n: (a.required, str(a.default_value)) for n, a in op.attributes.items()}
        return attributes, [v.name for v in op.inputs], [v.name for v in op.outputs]

    return form(one) == form(two)


def _takes(node: NodeProto, opset: int, types: Mapping[str, int]) -> bool:
    """Whether an op of that opset takes what a node reads and writes."""
    if not defs.has(node.op_type, opset):
        return True
    op = defs.get_schema(node.op_type, opset)
    for names, formal in ((node.input, op.inputs), (node.output, op.outputs)):
        for i, name in enumerate(names):
            element = types.get(name)
            if element and _type_name(element) not in formal[min(i, len(formal) - 1)].types:
                return False
    return True


@cache
def _type_name(element: int) -> str:
    name = helper.tensor_dtype_to_string(element).removeprefix("TensorProto.").lower()
    return f"tensor({name})"
