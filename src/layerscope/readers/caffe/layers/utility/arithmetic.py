"""Blobs added, multiplied, compared and summed up: Eltwise, Reduction, Softmax."""

from __future__ import annotations

import numpy as np

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural, quoted, shape


@layer(
    "Eltwise",
    v1="ELTWISE",
    bottoms=(2, None),
    tops=1,
    param="eltwise_param",
    source="caffe/src/caffe/layers/eltwise_layer.cpp",
)
def eltwise(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> str:
    """Add (with a factor each), multiply, or take the largest of blobs of one shape."""
    p = layer.param
    for bottom in bottoms:
        if g.shape(bottom) != g.shape(bottoms[0]):
            raise layer.error(
                f"its bottoms are {shape(g.shape(bottoms[0]))} and {shape(g.shape(bottom))};"
                " they must be alike"
            )
    if len(p.coeff) and (p.operation != "SUM" or len(p.coeff) != len(bottoms)):
        raise layer.error(
            f"{plural(len(p.coeff), 'coeff')} for {plural(len(bottoms), 'bottom')} and"
            f" {p.operation}; they go with SUM, one for each bottom",
            "coeff",
        )
    layer.summary = {"SUM": "sum", "PROD": "product", "MAX": "largest"}.get(p.operation, "")
    if p.operation == "SUM":
        return _sum(g, layer, bottoms)
    if p.operation == "PROD":
        return _chain(g, "Mul", bottoms)
    if p.operation == "MAX":
        return g.op("Max", *bottoms)
    raise layer.error(f"operation: {p.operation} is not known; SUM, PROD and MAX are", "operation")


def _sum(g: GraphBuilder, layer: LayerSpec, bottoms: tuple[str, ...]) -> str:
    """Add up, each bottom times its factor; in place, Caffe clears the first before it adds it."""
    coeff = [float(c) for c in layer.param.coeff] or [1.0] * len(bottoms)
    if any(c != 1 for c in coeff):
        layer.summary += f", times {', '.join(f'{c:g}' for c in coeff)}"
    terms = list(zip(bottoms, coeff, strict=True))
    if layer.in_place:
        del terms[0]
        layer.notes.append(
            f"layer {quoted(layer.name)} writes its sum over its first bottom"
            f" {quoted(layer.message.top[0])}, which Caffe clears before it is added: as there, it"
            " is not in the sum"
        )
    scaled = (b if c == 1 else g.op("Mul", b, g.constant(c, "coeff")) for b, c in terms)
    return _chain(g, "Add", tuple(scaled))


def _chain(g: GraphBuilder, kind: str, bottoms: tuple[str, ...]) -> str:
    """A op B op C, in Caffe's order."""
    total = bottoms[0]
    for each in bottoms[1:]:
        total = g.op(kind, total, each)
    return total


@layer(
    "Reduction",
    bottoms=1,
    tops=1,
    param="reduction_param",
    source="caffe/src/caffe/layers/reduction_layer.cpp",
)
def reduction(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Sum up everything from `axis` on: values, absolute values, squares, or the mean.

    The axes from `axis` on are dropped; from axis 0 one number is left, of shape ().
    """
    p = layer.param
    dims = g.shape(x)
    axis = layer.axis(p.axis, dims)
    kinds = {"SUM": "ReduceSum", "ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare"}
    kinds["MEAN"] = "ReduceMean"
    if p.operation not in kinds:
        raise layer.error(
            f"operation: {p.operation} is not known; {', '.join(kinds)} are", "operation"
        )
    words = {"SUM": "sum", "ASUM": "sum of absolute values", "SUMSQ": "sum of squares"}
    layer.summary = f"{words.get(p.operation, 'mean')} from axis {axis}"
    axes = g.constant(np.arange(axis, len(dims), dtype=np.int64), "axes")
    y = g.op(kinds[p.operation], x, axes, keepdims=0)
    if p.coeff == 1:
        return y
    layer.summary += f", times {p.coeff:g}"
    return g.op("Mul", y, g.constant(float(p.coeff), "coeff"))


@layer(
    "Softmax",
    v1="SOFTMAX",
    bottoms=1,
    tops=1,
    param="softmax_param",
    source="caffe/src/caffe/layers/softmax_layer.cpp",
)
def softmax(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Turn scores into probabilities that add up to 1 along an axis (channels unless given)."""
    axis = layer.axis(layer.param.axis, g.shape(x))
    layer.summary = f"along axis {axis}"
    return g.op("Softmax", x, axis=axis)
