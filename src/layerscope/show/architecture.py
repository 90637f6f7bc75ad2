"""The architecture of a net as a picture: which blobs there are, and which are made of which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from layerscope.net import Layer, Net
from layerscope.pictures.diagram import Block, Diagram
from layerscope.pictures.diagram import diagram as draw
from layerscope.pictures.solid import Direction
from layerscope.text import plural, printable, shape

# Chosen near the colours of Okabe and Ito (https://jfly.uni-koeln.de/color/) so that any two differ
# by 0.07 in Oklab or more, also for those who see fewer colours (Machado and others, 2009).
FAMILIES = {
    "input": "#f0f2f4",
    "convolution": "#2b83d6",
    "pooling": "#f0a500",
    "fully connected": "#cc79a7",
    "normalization": "#007a55",
    "activation": "#f0e442",
    "join, split": "#7fd0f5",
    "recurrent": "#4b35a8",
    "detection": "#6e0f3a",
    "loss": "#c64f00",
    "other": "#c9bda4",
    "not computed": "#b03060",
}
_BY_OP = {
    "pooling": {
        *("MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool"),
        *("MaxRoiPool", "RoiAlign", "MaxUnpool"),
    },
    "normalization": {
        *("BatchNormalization", "InstanceNormalization", "LRN", "MeanVarianceNormalization"),
        *("LayerNormalization", "LpNormalization"),
    },
}
_SCALING = {"Mul", "Add", "Reshape", "Unsqueeze", "Expand", "Identity"}


def net_diagram(
    net: Net, *, links: Mapping[str, str] | None = None, direction: Direction = "down"
) -> Diagram:
    """Draw the architecture of a net: a solid for each blob, named, with its shape, connected.

    The solids are drawn to a log scale: their sides are H and W, and C lies along the flow; vectors
    are bars, single numbers dots.  The batch is not drawn.  A layer that works in place is a slice
    of its blob's solid in its own colour; a layer without a blob is a dot; one that is not computed
    is a dashed box.  Weights are not needed.

    Args:
        net: the net.
        links: blob name to the id of what a click on its block leads to, when the SVG is part of a
            page; layers without a blob go by their own name.
        direction: "down", which suits pages, as they scroll that way, and leaves room for long
            names beside the blocks; or "right", which suits slides and short chains.

    Raises:
        UsageError: another direction.
        LimitError: edges that pass 300,000 ranks in all.
    """
    nodes = _nodes(net)
    keys = _keys(nodes)
    blocks = [_block(net, node, key, links or {}) for node, key in zip(nodes, keys, strict=True)]
    key_of = {id(node): key for node, key in zip(nodes, keys, strict=True)}
    edges = [(key_of[id(source)], key_of[id(node)]) for node in nodes for source in node.sources]
    return draw(
        blocks,
        edges,
        FAMILIES,
        title=printable(net.name),
        subtitle=f"{plural(len(net.layers), 'layer')} in {plural(len(blocks), 'block')}. Drawn to a"
        " log scale: sides are H and W, channels lie along the flow; the batch is not drawn.",
        direction=direction,
    )


@dataclass(slots=True, eq=False)
class _Node:
    """A block to be: a blob with the layers that write it, or a layer without a blob."""

    layer: Layer
    blob: str = ""
    sources: list[_Node] = field(default_factory=list)
    added: list[Layer] = field(default_factory=list)


def _nodes(net: Net) -> list[_Node]:
    """The blocks of a net, in the order of its layers."""
    readers = Counter(bottom for layer in net.layers for bottom in set(layer.bottoms))
    owner: dict[str, _Node] = {}
    aside: dict[str, _Node] = {}
    nodes = []
    for layer in net.layers:
        sources = [owner[bottom] for bottom in layer.bottoms]
        sources += [aside[name] for name in layer.needs if name in aside]
        if _in_place(net, layer, readers):
            node = sources[0]
            node.blob = layer.tops[0]
            node.added.append(layer)
            owner[node.blob] = node
            continue
        for blob in layer.tops or ("",):
            nodes.append(_Node(layer, blob, sources))
            owner[blob] = nodes[-1]
        if layer.reason:
            aside[layer.name] = nodes[-1]
    return nodes


def _in_place(net: Net, layer: Layer, readers: Mapping[str, int]) -> bool:
    """Whether a layer only writes over its one bottom, which nothing else reads."""
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        return False
    before, after = net.blobs[layer.bottoms[0]], net.blobs[layer.tops[0]]
    return before.base == after.base and before.replaced and readers[before.name] == 1


def _keys(nodes: Iterable[_Node]) -> list[str]:
    """A name for each block: that of its blob, or of its layer."""
    taken = {node.blob for node in nodes if node.blob}
    keys = []
    for node in nodes:
        key = node.blob or f"{node.layer.name} (layer)"
        while not node.blob and key in taken:
            key += "'"
        taken.add(key)
        keys.append(key)
    return keys


def _block(net: Net, node: _Node, key: str, links: Mapping[str, str]) -> Block:
    layer = node.layer
    blob = net.blobs[node.blob] if node.blob else None
    role = ""
    if blob is not None:
        fed = blob.value in net.inputs and not layer.bottoms
        role = "input" if fed else "output" if node.blob in net.outputs else ""
    return Block(
        key=key,
        title=node.blob or layer.name,
        shape=blob.shape if blob else None,
        family="input" if role == "input" else family_of(layer, _ops(net, layer)),
        detail=_detail(net, node, role),
        link=links.get(node.blob or layer.name, ""),
        added=tuple((each.type, family_of(each, _ops(net, each))) for each in node.added),
        role=role,
        computed=not layer.reason,
    )


def _ops(net: Net, layer: Layer) -> set[str]:
    return {net.graph.nodes[at].op_type for at in layer.nodes}


def family_of(layer: Layer, ops: Collection[str]) -> str:
    """The key of `FAMILIES` for a layer: by its family, or where that is coarse by its ONNX ops."""
    used = set(ops)
    if layer.reason:
        return "not computed"
    if layer.family in ("normalization", "recurrent", "detection", "loss"):
        return layer.family
    if layer.family == "data":
        return "input"
    if layer.params and used & {"Conv", "ConvTranspose"}:
        return "convolution"
    for family, known in _BY_OP.items():
        if used & known:
            return family
    if layer.params and used & {"Gemm", "MatMul"}:
        return "fully connected"
    if layer.params and used and used <= _SCALING:
        return "normalization"  # the second half of a batch normalization
    if len(layer.bottoms) > 1 or len(layer.tops) > 1:
        return "join, split"
    if layer.family == "neuron" or used & {"Softmax", "LogSoftmax"}:
        return "activation"
    return "other"


def _detail(net: Net, node: _Node, role: str) -> str:
    """What a block is, in one line."""
    layer = node.layer
    name = node.blob or layer.name
    by = "" if layer.name == name else f"layer {printable(layer.name)}, "
    size = f" {shape(net.blobs[node.blob].shape)}" if node.blob else ""
    words = f"{printable(name)}{size}: {by}{printable(layer.type)}"
    words += f", {layer.summary}" if layer.summary else ""
    words += f"; not computed: {layer.reason}" if layer.reason else ""
    if node.added:
        each = (f"{printable(a.type)} ({printable(a.name)})" for a in node.added)
        words += f"; then in place {', '.join(each)}"
    return words + (f"; {role} of the net" if role else "")
