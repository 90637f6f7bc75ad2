"""Where Caffe's backward is not the derivative of its forward: what the nodes say of it.

Caffe's Backward of a few layers looks at their bottom or top again.  Where layers work in place,
later ones have written over it, and the gradient is that of the numbers as they were left: not the
derivative of what was computed, but what Caffe gives, trains with, and what scripts know.
Other layers have no backward: their boxes count as given.
See `layerscope.engine.gradient.backward.MARKERS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from layerscope.net import Blob, Layer

# What Backward_cpu reads.  What reads its top alone is right in place, until a later layer writes
# over that too.  A rectifier reads its bottom, which has the sign of its top.
_READS_BOTTOM = frozenset({"Power", "Log", "BNLL", "Clip"})
# These write their slope over the gradient from above before they multiply the two
# (`caffe_mul(count, top_diff, bottom_diff, bottom_diff)` at the end): what is left is its square.
_SQUARES = frozenset({"Power", "Log"})
_STOPS = frozenset({"DetectionOutput", "Proposal"})
_READS_TOP = frozenset({"ReLU", "ELU", "Exp", "Sigmoid", "TanH", "Softmax"})


def mark_backward(
    layers: Sequence[Layer],
    blobs: Mapping[str, Blob],
    current: Mapping[str, str],
    nodes: Sequence[onnx.NodeProto],
) -> None:
    """Write into the nodes of layers what Caffe's backward does there.

    Args:
        layers: all layers that were built.
        blobs: by key.
        current: blob name to the key of its last write.
        nodes: of the graph.
    """
    for layer in layers:
        if layer.type in _STOPS:
            _mark(nodes, layer, "gradient: stops")
        if layer.type not in _READS_BOTTOM | _READS_TOP or not layer.bottoms or not layer.tops:
            continue
        bottom, top = blobs[layer.bottoms[0]], blobs[layer.tops[0]]
        if bottom.base != top.base or top.base not in current or bottom.value == top.value:
            continue
        left = blobs[current[top.base]].value
        if left == top.value and layer.type in _READS_TOP:
            continue
        how = "square at" if layer.type in _SQUARES else "at"
        _mark(nodes, layer, f"gradient: {how} {left}")


def _mark(nodes: Sequence[onnx.NodeProto], layer: Layer, words: str) -> None:
    for node in nodes[layer.nodes.start : layer.nodes.stop]:
        node.doc_string = words
