"""Convolution, its transpose, and the windows that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from layerscope.errors import LimitError
from layerscope.readers.caffe.layers.vision.geometry import Geometry, check_fits, read_geometry
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural, shape, times

MAX_WINDOWS = 2**28  # numbers of all windows of one channel: their places are kept in memory


@layer(
    "Convolution",
    v1="CONVOLUTION",
    bottoms=(1, None),
    tops=(1, None),
    param="convolution_param",
    source="caffe/src/caffe/layers/base_conv_layer.cpp, conv_layer.cpp",
)
def convolution(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Slide learned filters over the spatial axes.  (N, C, ...) -> (N, num_output, ...).

    With another `axis`, all axes before it are independent images.
    """
    found, dims = _common(g, layer, bottoms)
    outputs, group = layer.param.num_output, layer.param.group
    weights = _weights(g, layer, (outputs, found.channels // group), found)
    check_fits(layer, found, dims)
    return _apply(g, "Conv", bottoms, weights, found, group)


@layer(
    "Deconvolution",
    v1="DECONVOLUTION",
    bottoms=(1, None),
    tops=(1, None),
    param="convolution_param",
    source="caffe/src/caffe/layers/base_conv_layer.cpp, deconv_layer.cpp",
)
def deconvolution(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Spread each value over a learned filter: a convolution backwards, which makes maps larger."""
    found, dims = _common(g, layer, bottoms)
    outputs, group = layer.param.num_output, layer.param.group
    weights = _weights(g, layer, (found.channels, outputs // group), found)
    if any(size < 1 for size in found.spread):
        raise layer.error(
            f"a bottom {shape(dims)} becomes {times(found.spread)} with pad {times(found.pad)}",
            "pad",
        )
    return _apply(g, "ConvTranspose", bottoms, weights, found, group)


@layer(
    "Im2col",
    v1="IM2COL",
    bottoms=1,
    tops=1,
    param="convolution_param",
    source="caffe/src/caffe/layers/im2col_layer.cpp, util/im2col.cpp",
)
def im2col(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Lay out each window as channels.  (N, C, H, W) -> (N, C * kernel_h * kernel_w, h, w)."""
    dims = g.shape(x)
    found = read_geometry(layer, dims)
    if not found.space:
        raise layer.error(f"axis {found.axis} of a bottom {shape(dims)} has none behind it", "axis")
    check_fits(layer, found, dims)
    taps, out = prod(found.kernel), found.fitting
    if taps * prod(out) > MAX_WINDOWS:
        raise LimitError(f"{layer.where()}: {plural(taps * prod(out), 'number')} for each channel")
    layer.summary = ", ".join([f"windows of {times(found.kernel)}", *found.words()])
    images = found.to_images(g, x)
    if any(found.pad):
        before = [0, 0, *found.pad]
        pads = g.constant(np.asarray(before * 2, np.int64), "pads")
        images = g.op("Pad", images, pads)
    padded = g.shape(images)[2:]
    flat = g.reshape(images, [0, 0, -1])
    windows = g.op("Gather", flat, g.constant(_places(found, padded), "places"), axis=2)
    return found.from_images(g, g.reshape(windows, [0, found.channels * taps, *out]), dims)


def _places(found: Geometry, padded: Sequence[int]) -> np.ndarray:
    """Where each tap of each window lies in the flattened padded image: (taps, windows)."""
    each = zip(found.kernel, found.dilation, found.fitting, found.stride, strict=True)
    along = [
        np.arange(k)[:, None] * d + np.arange(out)[None, :] * stride for k, d, out, stride in each
    ]
    axes = len(along)
    places = np.zeros((1,) * (2 * axes), np.int64)
    for i, (positions, size) in enumerate(zip(along, padded, strict=True)):
        spread = [1] * (2 * axes)
        spread[i], spread[axes + i] = positions.shape
        places = places * size + positions.reshape(spread)
    return places.reshape(prod(found.kernel), -1)


def _common(
    g: GraphBuilder, layer: LayerSpec, bottoms: Sequence[str]
) -> tuple[Geometry, tuple[int, ...]]:
    """What both directions ask of their settings; the shape of the first bottom."""
    p = layer.param
    dims = g.shape(bottoms[0])
    found = read_geometry(layer, dims)
    channels, outputs, group = found.channels, p.num_output, p.group
    if outputs < 1:
        raise layer.error("num_output must be at least 1", "num_output")
    if group < 1 or channels % group or outputs % group:
        raise layer.error(
            f"{channels} channels in, {outputs} out cannot be split into {group} groups", "group"
        )
    if any(g.shape(bottom)[1:] != dims[1:] for bottom in bottoms):
        raise layer.error("its bottoms must all have one shape")
    parts = [f"{outputs} filters {times(found.kernel)}", *found.words()]
    layer.summary = ", ".join([*parts, *([f"{group} groups"] if group > 1 else [])])
    return found, dims


def _weights(
    g: GraphBuilder, layer: LayerSpec, ends: tuple[int, int], found: Geometry
) -> list[str]:
    """Filters and bias; without spatial axes the filters get one for ONNX."""
    p = layer.param
    filters = layer.weight((*ends, *found.kernel), p.weight_filler)
    weights = [filters if found.space else g.reshape(filters, [*ends, 1])]
    return [*weights, layer.weight((p.num_output,), p.bias_filler)] if p.bias_term else weights


def _apply(
    g: GraphBuilder,
    kind: str,
    bottoms: Sequence[str],
    weights: Sequence[str],
    found: Geometry,
    group: int,
) -> tuple[str, ...]:
    """The same filters on every bottom."""
    tops = []
    for bottom in bottoms:
        images = found.to_images(g, bottom)
        y = g.op(kind, images, *weights, group=group, **found.attributes)
        tops.append(found.from_images(g, y, g.shape(bottom)))
    return tuple(tops)
