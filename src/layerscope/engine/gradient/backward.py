"""Reverse mode: a net's graph and the graph of its gradients, as one ONNX graph.

Values between the wanted ones and the targets get a gradient: the sum of what each node that reads
them gives back.  Nothing else of the net is in the graph that is run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import helper

from layerscope.engine.gradient.registry import QUANTIZED, STOPS, Node, rules
from layerscope.engine.gradient.tape import FLOATS, Tape, sized_by_run
from layerscope.errors import UnsupportedError
from layerscope.net import Graph, Net, once, values_read
from layerscope.text import quoted

MARKERS = {
    "gradient: passes": "the gradient goes to the first input as it is, although the op cuts",
    "gradient: stops": "the gradient is zero, although the op has one",
    "gradient: at VALUE": "of all nodes of a layer: what it read and wrote is taken to be VALUE",
    "gradient: square at VALUE": "the same, and the slope is squared in place of the gradient",
    "gradient: offset NUMBER": "of Sqrt: it is added to the root before that divides",
}
"""What the text of a node (its doc_string) may say about its gradient.

Caffe's backward of a few losses is not the derivative of their forward; there the reader writes
one of these into the one node where the two part, and the graph stays plain ONNX.
"""

_AT, _SQUARE = "gradient: at ", "gradient: square at "


@dataclass(frozen=True, slots=True, eq=False)
class Backward:
    """A net with its gradients, ready to run.

    Attributes:
        net: its graph holds what is needed of the forward graph, and the backward graph; its inputs
            are those of the forward graph that are read, and the seeds.
        seeds: target value to the input that takes its gradient.
        gradients: wanted value to the value that holds its gradient; "" where that is zero.
        order: every value that has a gradient, in the order in which those are computed.
        givers: value to the parts that its gradient is the sum of, each with the position of the
            node that gave it; those of the seeds are left out.
    """

    net: Net
    seeds: dict[str, str]
    gradients: dict[str, str]
    order: dict[str, str]
    givers: dict[str, dict[str, int]]


def backward(
    net: Net,
    targets: Sequence[str],
    wanted: Sequence[str],
    blocked: Collection[tuple[int, str]] = (),
    mode: str = "",
) -> Backward:
    """The graph of the gradients of `targets` with respect to `wanted`.

    Args:
        net: at the shapes of the run.
        targets: ONNX values; each gets an input for its seed.
        wanted: ONNX values: inputs, blobs, params.
        blocked: (position of a node, value that it reads) through which no gradient goes.
        mode: whose rules, where not the derivative's: "guided" or "deconvolution".

    Raises:
        UnsupportedError: an op between them has no rule, or the graph is quantized.
    """
    graph = net.graph
    tape = Tape(graph)
    tape.mode = mode
    nodes = [_node(each, i) for i, each in enumerate(graph.nodes)]
    between = _reached(net, nodes, wanted, _before(graph, targets), tape, blocked)
    seeds = {target: f"gradient/seed:{target}" for target in dict.fromkeys(targets)}
    parts: dict[str, list[str]] = {target: [seed] for target, seed in seeds.items()}
    order: dict[str, str] = {}
    givers: dict[str, dict[str, int]] = {}
    names = layer_names(net)
    left: dict[str, dict[str, str]] = {}  # layer -> value to the one that is read in its place
    for i in sorted(between.nodes, reverse=True):
        node = replace(nodes[i], wanted=between.inputs(nodes[i]))
        tape.prefix = names[i]
        dys = [tape.total(value, parts, order) for value in node.outputs]
        if not any(dys):
            continue
        if node.marker.startswith((_AT, _SQUARE)):
            found = _by_memory(tape, node, dys[0], net, left)
        else:
            found = _derived(tape, node, dys) if node.wanted or node.op not in rules() else {}
        for position, dx in found.items():
            if position in node.wanted and dx:
                parts.setdefault(node.inputs[position], []).append(dx)
                givers.setdefault(node.inputs[position], {})[dx] = i
    gradients = {value: tape.total(value, parts, order) for value in wanted}
    joined = replace(net, graph=_joined(graph, tape, seeds, order, givers))
    return Backward(joined, seeds, gradients, order, givers)


def pruned(found: Backward, values: Iterable[str], given: Collection[str] = ()) -> Net:
    """The net of a backward graph, with what some of its values need and no more.

    Args:
        found: the graph.
        values: what it shall give.
        given: forward values that are known, and become inputs instead of being computed again.
    """
    return replace(found.net, graph=_kept(found.net.graph, values, frozenset(given)))


@dataclass(frozen=True, slots=True)
class _Between:
    """What lies between wanted values and targets."""

    nodes: list[int]
    values: set[str]
    blocked: Collection[tuple[int, str]]

    def inputs(self, node: Node) -> frozenset[int]:
        return frozenset(
            i
            for i, value in enumerate(node.inputs)
            if value in self.values and (node.position, value) not in self.blocked
        )


def _node(proto: onnx.NodeProto, position: int) -> Node:
    settings = {each.name: helper.get_attribute_value(each) for each in proto.attribute}
    settings = {k: v.decode() if isinstance(v, bytes) else v for k, v in settings.items()}
    text = proto.doc_string
    marker = text if text.startswith("gradient: ") else ""
    return Node(
        f"{proto.domain}.{proto.op_type}" if proto.domain else proto.op_type,
        tuple(proto.input),
        tuple(proto.output),
        settings,
        marker=marker,
        position=position,
    )


def _before(graph: Graph, targets: Iterable[str]) -> set[int]:
    """The nodes that the targets are computed by."""
    needed, found = set(targets), set()
    for i in range(len(graph.nodes) - 1, -1, -1):
        if not needed.isdisjoint(graph.nodes[i].output):
            found.add(i)
            needed.update(values_read(graph.nodes[i]))
    return found


def _reached(
    net: Net,
    nodes: Sequence[Node],
    wanted: Iterable[str],
    before: set[int],
    tape: Tape,
    blocked: Collection[tuple[int, str]],
) -> _Between:
    """The nodes through which a change of the wanted values reaches the targets."""
    values, found = {value for value in wanted if tape.is_float(value)}, []
    for i in sorted(before):
        node = nodes[i]
        if node.op in STOPS or node.marker == "gradient: stops":
            continue
        read = values_read(net.graph.nodes[i])
        if any(value in values and (i, value) not in blocked for value in read):
            if node.op in QUANTIZED:
                raise UnsupportedError(
                    f"layer {quoted(layer_names(net)[i])} ({node.op}) works on whole numbers, which"
                    " have no gradient; take the net as it was before it was quantized"
                )
            made = [value for value in node.outputs if value and tape.is_float(value)]
            values.update(made)
            found += [i] if made else []
    return _Between(found, values, blocked)


def _by_memory(
    tape: Tape, node: Node, dy: str, net: Net, left: dict[str, dict[str, str]]
) -> dict[int, str]:
    """The gradient as if the node's layer had read and written the value that its marker names."""
    layer = next(each for each in net.layers if node.position in each.nodes)
    bottom, top = (net.blobs[keys[0]].value for keys in (layer.bottoms, layer.tops))
    square = node.marker.startswith(_SQUARE)
    if layer.name not in left:
        memory = node.marker.removeprefix(_SQUARE).removeprefix(_AT)
        left[layer.name] = {bottom: memory, top: memory}
        for i in layer.nodes:
            if not set(net.graph.nodes[i].output) <= left[layer.name].keys():
                tape.again(i, left[layer.name])
    changed = left[layer.name]
    seen = replace(
        node,
        inputs=tuple(changed.get(value, value) for value in node.inputs),
        outputs=tuple(changed.get(value, value) for value in node.outputs),
    )
    if square and node.y == top:
        dy = tape.op("Add", tape.zeros(top), tape.constant(1.0, top))
    found = _derived(tape, seen, [dy])
    for i, dx in found.items():
        if square and node.inputs[i] == bottom:
            found[i] = tape.mul(dx, dx)
    return found


def _derived(tape: Tape, node: Node, dys: Sequence[str]) -> dict[int, str]:
    if node.marker == "gradient: passes":
        return {0: tape.unbroadcast(dys[0], node.x, tape.shape(node.y))}
    found = rules(tape.mode).get(node.op)
    where = f"layer {quoted(tape.prefix)} ({node.op})"
    if found is None:
        raise UnsupportedError(
            f"{where}: there is no rule for the gradient of {node.op}; {len(rules())} ops have one"
            " (docs/gradient.md)"
        )
    try:
        given = found.derive(tape, node, *dys)
    except UnsupportedError as error:
        raise UnsupportedError(f"{where}: {error}") from None
    return {0: given} if isinstance(given, str) else dict(given)


def layer_names(net: Net) -> list[str]:
    """For each node the name of the layer that it belongs to, or its own."""
    names = [node.name or node.output[0] for node in net.graph.nodes]
    for layer in net.layers:
        for position in layer.nodes:
            names[position] = layer.name
    return names


def _joined(
    graph: Graph,
    tape: Tape,
    seeds: dict[str, str],
    order: dict[str, str],
    givers: dict[str, dict[str, int]],
) -> Graph:
    """Forward and backward as one graph."""
    forward = [n for i, node in enumerate(graph.nodes) for n in tape.replaced.get(i, [node])]
    shapes = dict(graph.shapes) | {name: a.shape for name, a in tape.tensors.items()}
    types = dict(graph.types) | {
        name: helper.np_dtype_to_tensor_dtype(a.dtype) for name, a in tape.tensors.items()
    }
    types |= {gradient: tape.type(value) for value, gradient in order.items()}
    types |= {part: tape.type(value) for value, parts in givers.items() for part in parts}
    free = sized_by_run(graph)
    for target, seed in seeds.items():
        dims = graph.shapes[target]
        shapes[seed] = (-1,) * len(dims) if target in free else dims
        types[seed] = graph.types.get(target, onnx.TensorProto.FLOAT)
    return replace(
        graph,
        nodes=(*forward, *tape.nodes),
        shapes=shapes,
        types=types,
        tensors={**graph.tensors, **tape.tensors},
        inputs=(*graph.inputs, *seeds.values()),
        free_batch=False,
    )


def _kept(graph: Graph, values: Iterable[str], given: frozenset[str]) -> Graph:
    needed, nodes = set(values), []
    for node in reversed(graph.nodes):
        if needed.isdisjoint(set(node.output) - given):
            continue
        if not given.isdisjoint(node.output):  # only its other outputs are asked for
            node, whole = onnx.NodeProto(), node
            node.CopyFrom(whole)
            for i, name in enumerate(node.output):
                node.output[i] = f"{name} again" if name in given else name
        nodes.append(node)
        needed.update(values_read(node))
    tensors = {name: array for name, array in graph.tensors.items() if name in needed}
    inputs = tuple(n for n in dict.fromkeys((*graph.inputs, *sorted(given))) if n in needed)
    return replace(graph, nodes=tuple(reversed(nodes)), tensors=tensors, inputs=inputs)


@once
def upstream(net: Net, target: str) -> set[str]:
    """The values that a value is computed by, and itself; inputs and params are left out."""
    nodes = (net.graph.nodes[i] for i in _before(net.graph, [target]))
    return {name for node in nodes for name in node.output if name}


@once
def between(net: Net, target: str, wanted: str) -> list[onnx.NodeProto]:
    """The nodes through which a value is computed from another, in order."""
    touched, found = {wanted}, []
    for i in sorted(_before(net.graph, [target])):
        node = net.graph.nodes[i]
        if not touched.isdisjoint(values_read(node)):
            touched.update(node.output)
            found.append(node)
    return found


@once
def values_between(net: Net, target: str, wanted: str) -> frozenset[str]:
    """The values through which a value is computed from another, and itself."""
    nodes = between(net, target, wanted)
    # A node of several outputs (Split, MaxPool with places) gives some that lead elsewhere.
    read = {v for node in nodes for v in values_read(node)} | {target}
    return frozenset(v for node in nodes for v in node.output if v in read)


@once
def dependent(net: Net, target: str, wanted: str) -> tuple[bool, str]:
    """Whether a value is computed from another, and the layer at which its gradient stops."""
    graph = net.graph
    before, touched = _before(graph, [target]), {wanted}
    stop, names = "", layer_names(net)
    for i in sorted(before):
        node = graph.nodes[i]
        if touched.isdisjoint(values_read(node)):
            continue
        touched.update(node.output)
        ends = (graph.types.get(value) for value in (node.input[0], node.output[0]))
        whole = node.op_type == "Cast" and any(element not in FLOATS for element in ends)
        stops = whole or node.op_type in STOPS or node.doc_string == "gradient: stops"
        if not stop and stops:
            stop = names[i]
    return target in touched, stop
