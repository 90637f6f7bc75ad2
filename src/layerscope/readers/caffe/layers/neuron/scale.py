"""Factors and biases along some axes: Scale and Bias."""

from __future__ import annotations

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape


@layer(
    "Scale",
    bottoms=(1, 2),
    tops=1,
    param="scale_param",
    source="caffe/src/caffe/layers/scale_layer.cpp",
)
def scale(g: GraphBuilder, layer: LayerSpec, x: str, factor: str = "") -> str:
    """Multiply by a factor along some axes, learned or the second bottom, and add a bias."""
    p = layer.param
    dims = g.shape(x)
    if factor:
        axis, given = _given_axes(g, layer, factor, dims, "factor")
    else:
        axis, given = learned_axes(g, layer, dims)
        filler = p.filler
        if not p.has("filler"):  # Caffe begins with the unit factor
            filler.set("value", 1.0)
        factor = layer.weight(given, filler)
    layer.summary = f"one factor for each of {shape(given)}, from axis {axis}"
    y = g.op("Mul", x, along(g, factor, axis, dims))
    if not p.bias_term:
        return y
    layer.summary += ", and a bias"
    return g.op("Add", y, along(g, layer.weight(given, p.bias_filler), axis, dims))


@layer(
    "Bias",
    bottoms=(1, 2),
    tops=1,
    param="bias_param",
    source="caffe/src/caffe/layers/bias_layer.cpp",
)
def bias(g: GraphBuilder, layer: LayerSpec, x: str, term: str = "") -> str:
    """Add a bias along some axes, learned or the second bottom."""
    p = layer.param
    dims = g.shape(x)
    if term:
        axis, given = _given_axes(g, layer, term, dims, "bias")
    else:
        axis, given = learned_axes(g, layer, dims)
        term = layer.weight(given, p.filler)
    layer.summary = f"one bias for each of {shape(given)}, from axis {axis}"
    return g.op("Add", x, along(g, term, axis, dims))


def _given_axes(
    g: GraphBuilder, layer: LayerSpec, value: str, dims: tuple[int, ...], noun: str
) -> tuple[int, tuple[int, ...]]:
    """First axis and shape of a factor or bias that is the second bottom.

    One number (shape ()) goes with every value, whatever `axis` is.
    """
    given = g.shape(value)
    axis = layer.axis(layer.param.axis, dims) if given else 0
    if dims[axis : axis + len(given)] != given:
        raise layer.error(
            f"a {noun} {shape(given)} does not fit a bottom {shape(dims)} from axis {axis}"
        )
    return axis, given


def learned_axes(
    g: GraphBuilder, layer: LayerSpec, dims: tuple[int, ...]
) -> tuple[int, tuple[int, ...]]:
    """First axis and shape of a learned factor or bias (`axis` and `num_axes`)."""
    p = layer.param
    if p.num_axes == 0:
        return 0, ()
    axis = layer.axis(p.axis, dims)
    end = len(dims) if p.num_axes == -1 else axis + p.num_axes
    if p.num_axes < -1 or end > len(dims):
        raise layer.error(f"num_axes {p.num_axes} from axis {axis} of {shape(dims)}", "num_axes")
    if axis == 0:
        g.free_batch = False  # a learned number for each image of the batch
    return axis, dims[axis:end]


def along(g: GraphBuilder, value: str, axis: int, dims: tuple[int, ...]) -> str:
    """The value with ones behind it, so that it broadcasts from `axis` of `dims`."""
    behind = len(dims) - axis - len(g.shape(value))
    if not g.shape(value) or not behind:
        return value
    return g.reshape(value, [0] * len(g.shape(value)) + [1] * behind)
