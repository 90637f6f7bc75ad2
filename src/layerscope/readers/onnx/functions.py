"""Ops that a file defines itself, written out in place, so that each of their steps is a layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy

from onnx import AttributeProto, FunctionProto, NodeProto

from layerscope.errors import LimitError, ReadError
from layerscope.readers.onnx.draft import OWN_DOMAINS, Draft
from layerscope.readers.onnx.parse import with_constants_as_tensors
from layerscope.readers.onnx.wiring import label, with_inner
from layerscope.text import quoted

MAX_NODES = 50_000
MAX_DEPTH = 32

Key = tuple[str, str, str]


def written_out(draft: Draft) -> None:
    """Replace each call of the file's own functions by the function's nodes.

    Raises:
        ReadError: a function calls itself.
        LimitError: functions that call functions make more nodes than any net has.
    """
    if not draft.functions:
        return
    writer = _Writer(draft.functions)
    draft.nodes = with_constants_as_tensors(
        writer.expanded(draft.nodes), draft.tensors, draft.elements
    )
    for function in draft.functions:
        for entry in function.opset_import:
            if entry.domain not in OWN_DOMAINS:
                draft.domains.setdefault(entry.domain, entry.version)
    for key in writer.known:
        draft.domains.pop(key[0], None)
    draft.functions = []


def function_opsets(draft: Draft) -> set[int]:
    """The versions of ONNX's own ops that the file's functions are written in."""
    return {
        entry.version
        for function in draft.functions
        for entry in function.opset_import
        if entry.domain in OWN_DOMAINS
    } or {draft.opset}


class _Writer:
    """Writes functions out; counts what it has made."""

    def __init__(self, functions: Sequence[FunctionProto]) -> None:
        self.known: dict[Key, FunctionProto] = {_key(each): each for each in functions}
        self._calls = 0
        self._made = 0

    def expanded(self, nodes: Iterable[NodeProto]) -> list[NodeProto]:
        """The nodes with every call replaced, also in the graphs inside nodes."""
        found: list[NodeProto] = []
        waiting = [(node, 0) for node in reversed(list(nodes))]
        while waiting:
            node, depth = waiting.pop()
            function = self.known.get((node.domain, node.op_type, getattr(node, "overload", "")))
            if function is None:
                found.append(with_inner(node, self.expanded))
                continue
            if depth >= MAX_DEPTH:
                raise ReadError(f"{label(node)}: functions call each other without end")
            self._calls += 1
            body = _body(function, node, f"{node.name or node.op_type}#{self._calls}")
            self._made += len(body)
            if self._made > MAX_NODES:
                raise LimitError(f"{label(node)}: functions make more than {MAX_NODES:,} nodes")
            waiting += [(each, depth + 1) for each in reversed(body)]
        return found


def _key(function: FunctionProto) -> Key:
    return function.domain, function.name, getattr(function, "overload", "")


def _body(function: FunctionProto, call: NodeProto, place: str) -> list[NodeProto]:
    """The nodes of one call: values of its own get the place in their names."""
    names = dict.fromkeys(function.input, "")
    names.update(zip(function.input, call.input, strict=False))
    names.update(zip(function.output, call.output, strict=False))
    values: dict[str, AttributeProto] = {each.name: each for each in function.attribute_proto}
    values.update({each.name: each for each in call.attribute})
    found = []
    for original in function.node:
        node = deepcopy(original)
        node.name = f"{place}/{node.name or node.op_type}"
        _rename(node, names, place)
        _give_attributes(node, values)
        found.append(node)
    # An output that is an input of the function: nobody writes it.
    written = {name for node in found for name in node.output}
    for formal, actual in zip(function.output, call.output, strict=False):
        if actual and actual not in written:
            if formal not in function.input:
                raise ReadError(f"{label(call)}: its function writes no {quoted(formal)}")
            source = dict(zip(function.input, call.input, strict=False))[formal]
            found.append(NodeProto(op_type="Identity", name=place, input=[source], output=[actual]))
    return found


def _rename(node: NodeProto, names: dict[str, str], place: str) -> None:
    """Give the values of a function's node the names that they have in the net."""
    for field in (node.input, node.output):
        for i, name in enumerate(field):
            if name:
                field[i] = names.setdefault(name, f"{place}/{name}")
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = dict(names)
            for value in (*graph.input, *graph.initializer):
                own[value.name] = value.name = f"{place}/{value.name}"
            for inner in graph.node:
                _rename(inner, own, place)
            for output in graph.output:
                output.name = own.get(output.name, output.name)


def _give_attributes(node: NodeProto, values: Mapping[str, AttributeProto]) -> None:
    """Fill in the attributes that refer to the call's; what the call leaves out is absent."""
    kept = []
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                _give_attributes(inner, values)
        if not attribute.ref_attr_name:
            kept.append(attribute)
        elif attribute.ref_attr_name in values:
            given = deepcopy(values[attribute.ref_attr_name])
            given.name = attribute.name
            given.ClearField("ref_attr_name")  # an empty one still counts as a reference
            kept.append(given)
    kept = [deepcopy(each) for each in kept]
    del node.attribute[:]
    node.attribute.extend(kept)
