"""How nodes hang together: each value is written once and before it is read; graphs in graphs."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from copy import deepcopy

from onnx import NodeProto, defs

from layerscope.errors import ReadError
from layerscope.net import values_read
from layerscope.readers.onnx.draft import OWN_DOMAINS
from layerscope.text import nearest_hint, quoted

_OPTIONAL = defs.OpSchema.FormalParameterOption.Optional


def label(node: NodeProto) -> str:
    """A node as a message names it: its name and op, or its output."""
    output = next((name for name in node.output if name), "")
    kind = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return f"node {quoted(node.name or output)} ({kind})"


def with_inner(
    node: NodeProto, change: Callable[[Iterable[NodeProto]], Iterable[NodeProto]]
) -> NodeProto:
    """The node with what `change` makes of the nodes of each graph inside it (If, Loop, Scan)."""
    if not any(a.HasField("g") or a.graphs for a in node.attribute):
        return node
    node = deepcopy(node)
    for attribute in node.attribute:
        held = [attribute.g] if attribute.HasField("g") else []
        for graph in (*held, *attribute.graphs):
            nodes = list(change(graph.node))
            del graph.node[:]
            graph.node.extend(nodes)
    return node


def renamed(node: NodeProto, old: str, new: str) -> NodeProto:
    """The node reading another value in the place of one, also in the graphs inside it."""
    if old not in values_read(node):
        return node
    node = deepcopy(node)
    waiting = [node]
    while waiting:
        reader = waiting.pop()
        reader.input[:] = [new if name == old else name for name in reader.input]
        for attribute in reader.attribute:
            held = [attribute.g] if attribute.HasField("g") else []
            for graph in (*held, *attribute.graphs):
                if old not in {each.name for each in (*graph.input, *graph.initializer)}:
                    waiting += graph.node
    return node


def with_every_output(
    nodes: Iterable[NodeProto], given: Iterable[str], opset: int
) -> list[NodeProto]:
    """The nodes with a name for each output that is left out and that their op always has.

    ONNX Runtime crashes on a Split, If or Loop without, and refuses other ops.
    """
    nodes = list(nodes)
    taken = set(given)
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        taken.update(node.output)
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                taken.update(each.name for each in (*graph.input, *graph.initializer))
                waiting += graph.node

    def complete(some: Iterable[NodeProto]) -> list[NodeProto]:
        return [with_inner(_with_outputs(node, opset, taken), complete) for node in some]

    return complete(nodes) if "" in taken else nodes  # hardly any file leaves one out


def _with_outputs(node: NodeProto, opset: int, taken: set[str]) -> NodeProto:
    own = node.domain in OWN_DOMAINS and defs.has(node.op_type, opset)
    if "" not in node.output or not own:
        return node
    formal = defs.get_schema(node.op_type, opset).outputs
    node = deepcopy(node)
    first = node.name or next(filter(None, node.output), node.op_type)
    for i, name in enumerate(node.output):
        if not name and formal and formal[min(i, len(formal) - 1)].option != _OPTIONAL:
            name = f"{first}/{i}"
            while name in taken:
                name += "'"
            taken.add(name)
            node.output[i] = name
    return node


def ordered(
    nodes: list[NodeProto], given: Iterable[str], outputs: Iterable[str]
) -> list[NodeProto]:
    """The nodes in an order in which they can run: the file's own wherever that is one.

    Args:
        nodes: the nodes of the graph.
        given: the values that are there from the start: inputs and weights.
        outputs: the values that the graph gives.

    Raises:
        ReadError: a value is written twice or by nobody, or nodes wait for each other.
    """
    start = dict.fromkeys(given)
    writers: dict[str, NodeProto] = {}
    for node in nodes:
        for name in filter(None, node.output):
            if name in writers or name in start:
                other = label(writers[name]) if name in writers else "an input or a weight"
                raise ReadError(f"value {quoted(name)} is written twice: {other} and {label(node)}")
            writers[name] = node
    known = {*start, *writers}
    reads = [values_read(node) for node in nodes]
    for node, names in zip(nodes, reads, strict=True):
        for name in names:
            if name not in known:
                raise ReadError(
                    f"{label(node)} reads {quoted(name)}, which nothing writes"
                    f"{nearest_hint(name, known)}"
                )
    for name in outputs:
        if name not in known:
            raise ReadError(
                f"output {quoted(name)} is written by no node{nearest_hint(name, known)}"
            )
    return _sorted(nodes, reads, set(start))


def _sorted(nodes: list[NodeProto], reads: list[list[str]], there: set[str]) -> list[NodeProto]:
    """By what each reads, those that can run first in the order of the file."""
    waiting: dict[str, list[int]] = {}
    missing = [0] * len(nodes)
    for i, names in enumerate(reads):
        for name in set(names) - there:
            waiting.setdefault(name, []).append(i)
            missing[i] += 1
    found: list[NodeProto] = []
    ready = [i for i, count in enumerate(missing) if not count]
    heapq.heapify(ready)
    while ready:
        i = heapq.heappop(ready)
        found.append(nodes[i])
        for name in nodes[i].output:
            for reader in waiting.pop(name, ()):
                missing[reader] -= 1
                if not missing[reader]:
                    heapq.heappush(ready, reader)
    if len(found) < len(nodes):
        stuck = next(node for i, node in enumerate(nodes) if missing[i])
        raise ReadError(f"{label(stuck)} waits for itself: the graph runs in a circle")
    return found
