"""Functions with corners: rectifiers, clipping, thresholds."""

from __future__ import annotations

from layerscope.readers.caffe.layers.neuron.scale import along
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import FLOAT, GraphBuilder
from layerscope.text import plural, shape


@layer(
    "AbsVal",
    v1="ABSVAL",
    bottoms=1,
    tops=1,
    source="caffe/src/caffe/layers/absval_layer.cpp",
)
def absval(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Take the sign away."""
    layer.refuse_in_place()
    return g.op("Abs", x)


@layer(
    "Clip",
    bottoms=1,
    tops=1,
    param="clip_param",
    source="caffe/src/caffe/layers/clip_layer.cpp",
)
def clip(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Move what is above max to max, then what is below min to min; NaN becomes min too."""
    p = layer.param
    for field in ("min", "max"):
        if not p.has(field):
            raise layer.error(f"{field} is missing; Clip needs min and max")
    layer.summary = f"to {p.min:g} .. {p.max:g}"
    # Not ONNX's Clip, which keeps NaN, and gives max where min is above it.  At the limits x is
    # what is taken, so that the gradient is 1 there, as in Caffe.
    low, high = g.constant(float(p.min), "min"), g.constant(float(p.max), "max")
    below = g.op("Min", high, x)
    return g.op("Where", g.op("GreaterOrEqual", below, low), below, low)


@layer(
    "ELU",
    bottoms=1,
    tops=1,
    param="elu_param",
    source="caffe/src/caffe/layers/elu_layer.cpp",
)
def elu(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Keep what is positive; alpha * (exp(x) - 1) for the rest."""
    layer.summary = f"alpha {layer.param.alpha:g}"
    return g.op("Elu", x, alpha=float(layer.param.alpha))


@layer(
    "PReLU",
    bottoms=1,
    tops=1,
    param="prelu_param",
    source="caffe/src/caffe/layers/prelu_layer.cpp",
)
def prelu(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Keep what is positive; multiply the rest by a learned slope.  (N, C, ...) -> the same.

    One slope for each channel, or with channel_shared one for all.
    """
    p = layer.param
    dims = g.shape(x)
    if len(dims) < 2:
        raise layer.error(f"takes (N, C, ...), the bottom is {shape(dims)}")
    filler = p.filler
    if not p.has("filler"):  # Caffe begins with a quarter
        filler.set("value", 0.25)
    if p.channel_shared:
        layer.summary = "one learned slope"
        return g.op("PRelu", x, layer.weight((), filler))
    layer.summary = f"a learned slope for each of {plural(dims[1], 'channel')}"
    slope = layer.weight((dims[1],), filler)
    return g.op("PRelu", x, along(g, slope, 1, dims))


@layer(
    "ReLU",
    v1="RELU",
    bottoms=1,
    tops=1,
    param="relu_param",
    source="caffe/src/caffe/layers/relu_layer.cpp",
)
def relu(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Keep what is positive; multiply the rest by negative_slope (0 unless given)."""
    slope = layer.param.negative_slope
    if slope == 0:
        return g.op("Relu", x)
    layer.summary = f"negative slope {slope:g}"
    return g.op("LeakyRelu", x, alpha=float(slope))


@layer(
    "Threshold",
    v1="THRESHOLD",
    bottoms=1,
    tops=1,
    param="threshold_param",
    source="caffe/src/caffe/layers/threshold_layer.cpp",
)
def threshold(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """1 where the value is larger than the threshold, else 0; the threshold itself gives 0."""
    limit = layer.param.threshold
    layer.summary = f"above {limit:g}"
    return g.op("Cast", g.op("Greater", x, g.constant(float(limit), "threshold")), to=FLOAT)
