"""Pooling run backwards."""

from __future__ import annotations

from math import prod

import numpy as np

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import INT64, GraphBuilder
from layerscope.text import shape, times


@layer(
    "Unpooling",
    v1="UNPOOLING",
    bottoms=(1, 2),
    tops=1,
    param="unpooling_param",
    source="DeconvNet (Noh et al. 2015), HyeonwooNoh/caffe unpooling_layer.cpp",
)
def unpooling(g: GraphBuilder, layer: LayerSpec, x: str, mask: str = "") -> str:
    """Spread each value over its window: at one place (MAX), evenly (AVE), or repeated (TILE).

    MAX puts it where the mask of a Pooling layer says, or without a mask into the first place of
    the window; the rest is 0.  Overlapping windows of AVE and TILE add up.
    """
    p = layer.param
    dims = g.shape(x)
    if len(dims) != 4:
        raise layer.error(f"takes (N, C, H, W), the bottom is {shape(dims)}")
    if p.unpool not in ("MAX", "AVE", "TILE"):
        raise layer.error(f"unpool: {p.unpool} is not known; MAX, AVE, TILE are", "unpool")
    if p.unpool != "MAX" and mask:
        raise layer.error(f"a mask goes with MAX, not with {p.unpool}", "unpool")
    kernel, stride = _pair(layer, p, "kernel"), _pair(layer, p, "stride")
    if any(_pair(layer, p, "pad")):
        raise layer.error("pad must be 0", "pad")
    if min(kernel) < 1 or min(stride) < 1:
        raise layer.error("kernel_size and stride must be at least 1")
    windows = list(zip(dims[2:], kernel, stride, strict=True))
    size = _stated_size(layer, p) or [max((d - 1) * s + k, d * s + 1) for d, k, s in windows]
    layer.summary = (
        f"{p.unpool.lower()} of {times(kernel)}, stride {times(stride)}, to {times(size)}"
    )
    if mask:
        return by_mask(g, layer, x, mask, size)
    if p.unpool == "MAX":
        kernel = [1, 1]
    last = [(d - 1) * s + k for d, k, s in zip(dims[2:], kernel, stride, strict=True)]
    starts = [(d - 1) * s for d, s in zip(dims[2:], stride, strict=True)]
    if any(start >= wanted for start, wanted in zip(starts, size, strict=True)):
        raise layer.error(f"an output of {times(size)} has no place for the last window")
    if p.unpool == "AVE":
        x = g.op("Div", x, g.constant(_areas(dims, kernel, stride, size), "areas"))
    ones = g.constant(np.ones((dims[1], 1, *kernel), np.float32), "ones")
    behind = [w - have for w, have in zip(size, last, strict=True)]
    y = g.op("ConvTranspose", x, ones, kernel_shape=kernel, strides=stride, group=dims[1])
    ends = g.constant(np.asarray([0, 0, 0, 0, 0, 0, *behind], np.int64), "behind")
    return g.op("Pad", y, ends) if any(behind) else y


def _pair(layer: LayerSpec, p: Message, stem: str) -> list[int]:
    both = "kernel_size" if stem == "kernel" else stem
    pair = [f"{stem}_h", f"{stem}_w"]
    if any(p.has(name) for name in pair):
        if p.has(both) or not all(p.has(name) for name in pair):
            raise layer.error(f"{both}, or {pair[0]} and {pair[1]}; not a mix", both)
        return [getattr(p, name) for name in pair]
    if stem == "kernel" and not p.has(both):
        raise layer.error("kernel_size is missing")
    return [getattr(p, both)] * 2


def _stated_size(layer: LayerSpec, p: Message) -> list[int] | None:
    if p.has("unpool_h") != p.has("unpool_w") or (p.has("unpool_size") and p.has("unpool_h")):
        raise layer.error("unpool_size, or unpool_h and unpool_w; not a mix")
    if p.has("unpool_h"):
        size = [p.unpool_h, p.unpool_w]
    elif p.has("unpool_size"):
        size = [p.unpool_size] * 2
    else:
        return None
    if min(size) < 1:
        raise layer.error("unpool_size must be at least 1")
    return size


def _areas(
    dims: tuple[int, ...], kernel: list[int], stride: list[int], size: list[int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """How many places each window has within the output: (H, W)."""
    sides = [
        np.minimum(np.arange(d) * s + k, wanted) - np.arange(d) * s
        for d, k, s, wanted in zip(dims[2:], kernel, stride, size, strict=True)
    ]
    return np.outer(*sides).astype(np.float32)


def by_mask(g: GraphBuilder, layer: LayerSpec, x: str, mask: str, size: list[int]) -> str:
    """Values at the places of their plane that the mask names (y * width + x), 0 elsewhere.

    Where two values have one place, the later one stays.
    """
    dims, found = g.shape(x), g.shape(mask)
    if found != dims:
        raise layer.error(f"the mask is {shape(found)}, the bottom {shape(dims)}; not alike")
    values = g.reshape(x, [0, 0, -1])
    index = g.op("Cast", g.reshape(mask, [0, 0, -1]), to=INT64)
    plane = g.constant(np.asarray([prod(size)], np.int64), "plane")
    whole = g.op("Concat", g.op("Shape", x, start=0, end=2), plane, axis=0)
    zeros = g.bounded("ConstantOfShape", (*dims[:2], prod(size)), whole)
    return g.reshape(g.op("ScatterElements", zeros, index, values, axis=2), [0, 0, *size])
