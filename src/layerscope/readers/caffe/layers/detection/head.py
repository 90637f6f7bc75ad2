"""What stands between SSD's convolutions and its detections."""

from __future__ import annotations

import numpy as np

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape


@layer(
    "Permute",
    bottoms=1,
    tops=1,
    param="permute_param",
    source="SSD (Liu et al. 2016), weiliu89/caffe permute_layer.cpp",
)
def permute(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Change the order of the axes; those that `order` leaves out follow in their own order."""
    dims = g.shape(x)
    order = list(layer.param.order)
    if any(axis >= len(dims) for axis in order) or len(set(order)) < len(order):
        raise layer.error(
            f"order {order}: axes of a bottom {shape(dims)} are 0 to {len(dims) - 1}, each once",
            "order",
        )
    order += [axis for axis in range(len(dims)) if axis not in order]
    layer.summary = f"axes {', '.join(map(str, order))}"
    if order[:1] != [0]:
        g.free_batch = False
    return g.op("Transpose", x, perm=order)


@layer(
    "Normalize",
    bottoms=1,
    tops=1,
    param="norm_param",
    source="ParseNet (Liu et al. 2015), weiliu89/caffe normalize_layer.cpp",
)
def normalize(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Divide by the L2 norm and multiply by a learned scale.  (N, C, ...) -> the same.

    The norm is that of each place's channels, or (across_spatial) of the whole image; eps is added
    to the sum of squares.
    """
    p = layer.param
    dims = g.shape(x)
    if len(dims) < 2:
        raise layer.error(f"takes (N, C, ...), the bottom is {shape(dims)}")
    filler = p.scale_filler
    if not p.has("scale_filler"):
        filler = Message(message_type("FillerParameter"))
        filler.set("value", 1.0)
    factor = layer.weight(() if p.channel_shared else (dims[1],), filler)
    if not p.channel_shared and len(dims) > 2:
        factor = g.reshape(factor, [-1] + [1] * (len(dims) - 2))
    layer.summary = "over the image" if p.across_spatial else "over the channels of each place"
    layer.summary += ", one scale" if p.channel_shared else f", {dims[1]} scales"
    axes = list(range(1, len(dims))) if p.across_spatial else [1]
    energy = g.op("ReduceSumSquare", x, g.constant(np.asarray(axes, np.int64), "axes"), keepdims=1)
    norm = g.op("Sqrt", g.op("Add", energy, g.constant(float(p.eps), "eps")))
    return g.op("Mul", g.op("Div", x, norm), factor)
