"""Layers that divide by a measure of energy or spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.nvidia import has_scale_and_bias, scaled_batch_norm
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural, quoted, shape


@layer(
    "LRN",
    v1="LRN",
    bottoms=1,
    tops=1,
    param="lrn_param",
    source="caffe/src/caffe/layers/lrn_layer.cpp",
)
def lrn(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Divide each value by a power of the local energy.  (N, C, H, W) -> the same.

    Across channels: x / (k + alpha / size * sum of squares of `size` channels) ** beta.  Within a
    channel: the mean square of a size x size window, and 1 in place of k.
    """
    p = layer.param
    dims = g.shape(x)
    size = p.local_size
    if size % 2 == 0:
        raise layer.error(f"local_size {size} must be odd", "local_size")
    layer.summary = f"{p.norm_region}, size {size}, alpha {p.alpha:g}, beta {p.beta:g}, k {p.k:g}"
    layer.summary = layer.summary.replace("_", " ").lower()
    if len(dims) != 4:
        raise layer.error(f"takes (N, C, H, W), the bottom is {shape(dims)}")
    if p.norm_region == "ACROSS_CHANNELS":
        if layer.in_place:
            return _squared_factor(g, layer, x)
        return g.op("LRN", x, size=size, alpha=float(p.alpha), beta=float(p.beta), bias=float(p.k))
    if p.norm_region != "WITHIN_CHANNEL":
        raise layer.error(f"norm_region: {p.norm_region} is not known", "norm_region")
    half = (size - 1) // 2
    energy = g.op(
        "AveragePool", g.op("Mul", x, x),
        kernel_shape=[size, size], pads=[half] * 4, strides=[1, 1], count_include_pad=1,
    )  # fmt: skip
    base = g.op("Add", g.op("Mul", energy, g.constant(p.alpha)), g.constant(1.0))
    return g.op("Mul", x, g.op("Pow", base, g.constant(-p.beta)))


def _squared_factor(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """What Caffe makes in place: it writes the factor over the values, then squares that.

    `CrossChannelForward_cpu` raises the energy into its top and multiplies that by its bottom.
    """
    p = layer.param
    layer.notes.append(
        f"layer {quoted(layer.name)} works in place across channels, where Caffe's result is the"
        " square of its factor without the values: as there"
    )
    channel = np.arange(g.shape(x)[1])
    near = np.abs(channel[:, None] - channel) <= (p.local_size - 1) // 2
    band = (near * np.float32(p.alpha / p.local_size)).astype(np.float32)[:, :, None, None]
    energy = g.op("Conv", g.op("Mul", x, x), g.constant(band, "window"))
    return g.op("Pow", g.op("Add", energy, g.constant(p.k)), g.constant(-2 * p.beta))


@layer(
    "BatchNorm",
    bottoms=1,
    tops=1,
    param="batch_norm_param",
    source="caffe/src/caffe/layers/batch_norm_layer.cpp",
)
def batch_norm(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Take off the mean and divide by the deviation of each channel.  (N, C, ...) -> the same.

    The stored mean and variance are sums; the third blob is what to divide them by, and where it
    is 0 Caffe takes 0 for both.  NVIDIA's Caffe keeps scale and bias in the same layer.
    """
    if has_scale_and_bias(layer):
        return scaled_batch_norm(g, layer, x)
    p = layer.param
    dims = g.shape(x)
    channels = dims[1] if len(dims) > 1 else 1
    unit = Message(message_type("FillerParameter"))
    unit.set("value", 1.0)
    layer.weight((channels,))
    layer.weight((channels,), unit)
    layer.weight((1,), unit)
    train = layer.message.has("phase") and layer.message.phase == "TRAIN"
    if not p.use_global_stats if p.has("use_global_stats") else train:
        layer.summary = f"statistics of the batch itself, eps {p.eps:g}"
        return _local(g, x, dims, p.eps)
    layer.summary = f"stored statistics, eps {p.eps:g}"
    mean, variance = _stored_statistics(layer)
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    one_axis = len(dims) == 1  # Caffe counts it as one channel
    y = g.op(
        "BatchNormalization", g.reshape(x, [0, 1]) if one_axis else x,
        g.constant(ones, "ones"), g.constant(zeros, "zeros"),
        g.derived((channels,), mean, "mean"), g.derived((channels,), variance, "variance"),
        epsilon=float(p.eps),
    )  # fmt: skip
    return g.reshape(y, [-1]) if one_axis else y


def _stored_statistics(
    layer: LayerSpec,
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Mean and variance, or None where there are no weights."""
    sums, squares, factor = (layer.array(i) for i in range(3))
    if sums is None or squares is None or factor is None:
        return None, None
    divisor = float(factor[0])
    if divisor == 0:
        layer.notes.append(
            f"layer {quoted(layer.name)}: its third blob, which the statistics are divided by,"
            " is 0; mean and variance count as 0, as in Caffe"
        )
    inverse = np.float32(0 if divisor == 0 else 1 / divisor)
    variance = squares * inverse
    negative = int((variance < 0).sum())
    if negative:
        layer.notes.append(
            f"layer {quoted(layer.name)}: {plural(negative, 'channel')} with a negative variance"
        )
    return sums * inverse, variance


def _local(g: GraphBuilder, x: str, dims: tuple[int, ...], eps: float) -> str:
    """Statistics over everything but the channels."""
    axes = [i for i in range(len(dims)) if i != 1] if len(dims) > 1 else [0]
    over = g.constant(np.asarray(axes, np.int64), "axes")
    centred = g.op("Sub", x, g.op("ReduceMean", x, over, keepdims=1))
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), over, keepdims=1)
    return g.op("Div", centred, g.op("Sqrt", g.op("Add", variance, g.constant(eps))))


@layer(
    "MVN",
    v1="MVN",
    bottoms=1,
    tops=1,
    param="mvn_param",
    source="caffe/src/caffe/layers/mvn_layer.cpp",
)
def mvn(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Take off the mean of a map, or of an image, and divide by its deviation.

    (N, C, H, W) -> the same; (x - mean) / (deviation + eps).  A bottom with fewer axes gets ones
    behind: (N, C) -> (N, C, 1, 1), as Caffe counts it.
    """
    p = layer.param
    dims = g.shape(x)
    if len(dims) > 4:
        raise layer.error(f"takes (N, C, H, W), the bottom is {shape(dims)}")
    layer.summary = "each image" if p.across_channels else "each map"
    layer.summary += f", eps {p.eps:g}" if p.normalize_variance else ", mean only"
    if len(dims) < 4:
        x = g.reshape(x, [0] * len(dims) + [1] * (4 - len(dims)))
    over = g.constant(np.asarray([1, 2, 3] if p.across_channels else [2, 3], np.int64), "axes")
    centred = g.op("Sub", x, g.op("ReduceMean", x, over, keepdims=1))
    if not p.normalize_variance:
        return centred
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), over, keepdims=1)
    return g.op("Div", centred, g.op("Add", g.op("Sqrt", variance), g.constant(p.eps, "eps")))
