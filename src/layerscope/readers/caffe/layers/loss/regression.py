"""Numbers against numbers, and pairs against each other."""

from __future__ import annotations

from math import prod

import numpy as np

from layerscope.readers.caffe.layers.loss.labels import (
    MODES,
    check_batch,
    counted,
    flat,
    masked,
    one_per_image,
    scaled,
    total,
)
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import BOOL, INT64, GraphBuilder
from layerscope.text import shape


@layer(
    "EuclideanLoss",
    v1="EUCLIDEAN_LOSS",
    bottoms=2,
    tops=1,
    source="caffe/src/caffe/layers/euclidean_loss_layer.cpp",
)
def euclidean_loss(g: GraphBuilder, layer: LayerSpec, x: str, y: str) -> str:
    """Half the squared distance of two blobs, by the number of images."""
    check_batch(g, layer, (x, y))
    size = _same_size(g, layer, x, y)
    apart = g.op("Sub", flat(g, x), flat(g, y))
    return scaled(g, g.op("ReduceMean", g.op("Mul", apart, apart), keepdims=0), size / 2)


@layer(
    "SigmoidCrossEntropyLoss",
    v1="SIGMOID_CROSS_ENTROPY_LOSS",
    bottoms=2,
    tops=1,
    param="sigmoid_param",
    source="caffe/src/caffe/layers/sigmoid_cross_entropy_loss_layer.cpp",
)
def sigmoid_cross_entropy_loss(g: GraphBuilder, layer: LayerSpec, x: str, target: str) -> str:
    """Cross entropy of sigmoid(x) and targets between 0 and 1, by the number of images."""
    check_batch(g, layer, (x, target))
    size = _same_size(g, layer, x, target)
    settings = layer.message.loss_param
    mode = settings.normalization if settings.has("normalization") else "BATCH_SIZE"
    if not settings.has("normalization") and settings.has("normalize"):
        mode = "VALID" if settings.normalize else "BATCH_SIZE"
    if mode not in MODES:
        raise layer.error(f"normalization: {mode} is not known; {', '.join(MODES)} are")
    layer.summary = f"normalization {mode.lower().replace('_', ' ')}"
    x, target = flat(g, x), flat(g, target)
    losses = g.op("Sub", g.op("Softplus", x), g.op("Mul", x, target))
    valid = counted(g, g.op("Cast", target, to=INT64), settings)
    return total(g, masked(g, losses, valid), mode, valid, size)


@layer(
    "ContrastiveLoss",
    v1="CONTRASTIVE_LOSS",
    bottoms=3,
    tops=1,
    param="contrastive_loss_param",
    source="caffe/src/caffe/layers/contrastive_loss_layer.cpp",
)
def contrastive_loss(g: GraphBuilder, layer: LayerSpec, x: str, y: str, alike: str) -> str:
    """Half the squared distance of pairs that are alike; of the others, what lacks to `margin`.

    For the others it is max(margin - distance, 0) squared, in the legacy version
    max(margin - squared distance, 0).
    """
    p = layer.param
    check_batch(g, layer, (x, y))
    check_batch(g, layer, (x, alike))
    one_per_image(g, layer, alike)
    _same_size(g, layer, x, y)
    if any(d != 1 for d in g.shape(x)[2:]):
        raise layer.error(f"takes (N, C), the bottoms are {shape(g.shape(x))}")
    layer.summary = f"margin {p.margin:g}" + (", legacy version" if p.legacy_version else "")
    apart = g.op("Sub", flat(g, x), flat(g, y))
    last = g.constant(np.asarray([1], np.int64), "channels")
    square = g.op("ReduceSum", g.op("Mul", apart, apart), last, keepdims=0)
    margin = g.constant(float(p.margin), "margin")
    if p.legacy_version:
        other = g.op("Relu", g.op("Sub", margin, square))
    else:
        # Caffe's backward divides by the distance + 1e-4.
        distance = g.remark(g.op("Sqrt", square), "gradient: offset 0.0001")
        short = g.op("Relu", g.op("Sub", margin, distance))
        other = g.op("Mul", short, short)
    # Caffe takes the label as a whole number: 0.5 is 0, not alike.
    same = g.op("Cast", g.op("Cast", g.reshape(alike, [-1]), to=INT64), to=BOOL)
    return scaled(g, g.op("ReduceMean", g.op("Where", same, square, other), keepdims=0), 0.5)


def _same_size(g: GraphBuilder, layer: LayerSpec, x: str, y: str) -> int:
    """How many numbers each image has, in both bottoms."""
    first, second = g.shape(x), g.shape(y)
    if prod(first[1:]) != prod(second[1:]):
        raise layer.error(f"its bottoms are {shape(first)} and {shape(second)}; they must be alike")
    return prod(first[1:])
