"""Bilinear and nearest resizing, as segmentation nets and YOLO have it."""

from __future__ import annotations

import numpy as np

from layerscope.readers.caffe.layers.fork.unpool import by_mask
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape, times

MAX_SIDE = 2**20


@layer(
    "Interp",
    bottoms=1,
    tops=1,
    param="interp_param",
    source="DeepLab (Chen et al. 2015), hszhao/PSPNet interp_layer.cpp",
)
def interp(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Resize bilinearly, corner to corner.  (N, C, H, W) -> (N, C, h, w).

    pad_beg and pad_end are 0 or less: that many rows and columns are cut off first.
    """
    p = layer.param
    dims = g.shape(x)
    if len(dims) != 4:
        raise layer.error(f"takes (N, C, H, W), the bottom is {shape(dims)}")
    if p.pad_beg > 0 or p.pad_end > 0:
        raise layer.error("pad_beg and pad_end may only cut (0 or less)")
    inner = [d + p.pad_beg + p.pad_end for d in dims[2:]]
    if min(inner) < 1:
        raise layer.error(f"pad_beg and pad_end leave {times(inner)} of {times(dims[2:])}")
    size = [_resized(layer, p, d, axis) for d, axis in zip(inner, ("height", "width"), strict=True)]
    if min(size) < 1 or max(size) > MAX_SIDE:
        raise layer.error(f"an output of {size[0]} x {size[1]}")
    layer.summary = f"{times(inner)} to {times(size)}, bilinear, corner to corner"
    if inner != list(dims[2:]):
        ends = [d + p.pad_end for d in dims[2:]]
        numbers = [[-p.pad_beg] * 2, ends, [2, 3]]
        x = g.op("Slice", x, *(g.constant(np.asarray(n, np.int64), "cut") for n in numbers))
    if size == inner:
        return g.op("Identity", x)
    sizes = g.constant(np.asarray(size, np.int64), "size")
    return g.op(
        "Resize", x, "", "", sizes,
        axes=[2, 3], mode="linear", coordinate_transformation_mode="align_corners",
    )  # fmt: skip


def _resized(layer: LayerSpec, p: Message, size: int, axis: str) -> int:
    """The output's size: by factors where they are given, else as height and width say."""
    shrink, zoom = p.has("shrink_factor"), p.has("zoom_factor")
    if p.shrink_factor < 1 or p.zoom_factor < 1:
        raise layer.error("shrink_factor and zoom_factor must be at least 1")
    given = p.has("height") and p.has("width")
    if given and not shrink ^ zoom:
        return int(getattr(p, axis))
    if not shrink and not zoom:
        raise layer.error("zoom_factor, shrink_factor, or height and width must be given")
    size = (size - 1) // p.shrink_factor + 1
    return int(size + (size - 1) * (p.zoom_factor - 1))


@layer(
    "Upsample",
    bottoms=(1, 2),
    tops=1,
    param="upsample_param",
    source="SegNet (Badrinarayanan et al. 2015), alexgkendall/caffe-segnet; YOLOv3's forks",
)
def upsample(g: GraphBuilder, layer: LayerSpec, x: str, mask: str = "") -> str:
    """Enlarge: put values back where max pooling took them from, or repeat each.

    With the mask of a Pooling layer's second top (SegNet) everything else is 0; with one bottom
    (YOLO's forks) every value becomes a square of `scale` (or `stride`) places.
    """
    p = layer.param
    dims = g.shape(x)
    if len(dims) != 4:
        raise layer.error(f"takes (N, C, H, W), the bottom is {shape(dims)}")
    if mask:
        size = _unpooled(layer, p, dims)
        layer.summary = f"to {times(size)}, values back where the mask says"
        return by_mask(g, layer, x, mask, size)
    if p.has("upsample_h") or p.has("upsample_w") or p.has("scale_h") or p.has("scale_w"):
        raise layer.error("upsample_h, scale_h ... need the pooling's mask as a second bottom")
    factor = p.stride if p.has("stride") else p.scale
    if factor < 1 or factor != int(factor) or factor > MAX_SIDE:
        raise layer.error(f"scale {factor:g} must be a whole number, at least 1")
    layer.summary = f"{int(factor)} times, nearest"
    scales = g.constant(np.asarray([1, 1, factor, factor], np.float32), "scales")
    y = g.op(
        "Resize", x, "", scales,
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    if p.has("stride") and p.scale != 1:
        layer.summary += f", values times {p.scale:g}"
        y = g.op("Mul", y, g.constant(float(p.scale), "scale"))
    return y


def _unpooled(layer: LayerSpec, p: Message, dims: tuple[int, ...]) -> list[int]:
    """The output's size in SegNet's form: stated, or a factor less one row or column."""
    if p.has("upsample_h") and p.has("upsample_w"):
        size = [p.upsample_h, p.upsample_w]
        if min(size) <= 1:
            raise layer.error("upsample_h and upsample_w must be greater than 1")
        return size
    if p.has("scale_h") != p.has("scale_w") or (p.has("scale") and p.has("scale_h")):
        raise layer.error("upsample_h and upsample_w, or scale, or scale_h and scale_w")
    factors = [p.scale_h, p.scale_w] if p.has("scale_h") else [p.scale if p.has("scale") else 2] * 2
    if any(f <= 1 or f != int(f) for f in factors):
        raise layer.error("scale must be a whole number greater than 1")
    cut = [p.pad_out_h, p.pad_out_w]
    if any(c and f != 2 for c, f in zip(cut, factors, strict=True)):
        raise layer.error("pad_out_h and pad_out_w go with a scale of 2")
    return [int(d * f) - int(c) for d, f, c in zip(dims[2:], factors, cut, strict=True)]
