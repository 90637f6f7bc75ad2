"""Batch normalization as PSPNet, SegNet and ENet have it: with scale and shift, in one layer."""

from __future__ import annotations

import numpy as np

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape


@layer(
    "BN",
    v1="BN",
    bottoms=1,
    tops=1,
    param="bn_param",
    source="Batch normalization (Ioffe and Szegedy 2015), yjxiong/caffe, alexgkendall/caffe-segnet",
)
def bn(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Normalize each channel, scale and shift it.  (N, C, ...) -> the same.

    Four blobs are scale, shift, mean, variance (PSPNet, ENet).  Two are scale and shift (SegNet):
    applied alone with bn_mode INFERENCE, else after normalizing by the batch's own statistics.
    """
    p = layer.param
    dims = g.shape(x)
    if len(dims) < 2:
        raise layer.error(f"takes (N, C, ...), the bottom is {shape(dims)}")
    if p.bn_mode not in ("LEARN", "INFERENCE"):
        raise layer.error(f"bn_mode: {p.bn_mode} is not known; LEARN, INFERENCE are", "bn_mode")
    blobs = len(layer.stored) or (2 if p.has("bn_mode") else 4)
    if blobs not in (2, 4):
        raise layer.unsupported(f"BN with {blobs} blobs; 2 (SegNet) and 4 (PSPNet) are known")
    channels = dims[1]
    scale, shift, *more = (layer.weight((channels,), _filler(p, i)) for i in range(blobs))
    eps = float(p.var_eps if blobs == 2 or _older(p) else p.eps)
    if more and p.moving_average:
        layer.summary = f"stored statistics, eps {eps:g}, scale and shift"
        return g.op("BatchNormalization", x, scale, shift, *more, epsilon=eps)
    ends = [-1] + [1] * (len(dims) - 2)
    scale, shift = g.reshape(scale, ends), g.reshape(shift, ends)
    if p.bn_mode == "INFERENCE" and not more:
        layer.summary = "scale and shift, with the statistics folded in"
    else:
        layer.summary = f"statistics of the batch itself, eps {eps:g}, scale and shift"
        x = _standardized(g, x, dims, eps)
    return g.op("Add", g.op("Mul", x, scale), shift)


def _older(p: Message) -> bool:
    """Whether the settings are of the older four-blob form (scale_filler, var_eps ...)."""
    names = ("var_eps", "decay", "moving_average", "scale_filler", "shift_filler")
    return any(p.has(name) for name in names)


def _filler(p: Message, index: int) -> Message:
    """How a blob begins where it has no weights."""
    names = (("slope_filler", "scale_filler"), ("bias_filler", "shift_filler"))
    for name in names[index] if index < 2 else ():
        if p.has(name):
            found: Message = getattr(p, name)
            return found
    filler = Message(message_type("FillerParameter"))
    filler.set("value", 1.0 if index in (0, 3) else 0.0)
    return filler


def _standardized(g: GraphBuilder, x: str, dims: tuple[int, ...], eps: float) -> str:
    """Take off the mean and divide by the deviation, over everything but the channels."""
    over = [i for i in range(len(dims)) if i != 1]
    axes = g.constant(np.asarray(over, np.int64), "axes")
    centred = g.op("Sub", x, g.op("ReduceMean", x, axes, keepdims=1))
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), axes, keepdims=1)
    return g.op("Div", centred, g.op("Sqrt", g.op("Add", variance, g.constant(eps, "eps"))))
