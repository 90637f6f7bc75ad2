"""Layers that join, split, reshape and compare blobs."""

from __future__ import annotations

from math import prod

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural, shape


@layer(
    "Concat",
    v1="CONCAT",
    bottoms=(1, None),
    tops=1,
    param="concat_param",
    source="caffe/src/caffe/layers/concat_layer.cpp",
)
def concat(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> str:
    """Put blobs behind one another along an axis (channels unless given)."""
    p = layer.param
    if p.has("axis") and p.has("concat_dim"):
        raise layer.error("axis and concat_dim are both given; use axis", "concat_dim")
    first = g.shape(bottoms[0])
    axis = layer.axis(p.concat_dim if p.has("concat_dim") else p.axis, first)
    layer.summary = f"along axis {axis}"
    for bottom in bottoms:
        dims = g.shape(bottom)
        if len(dims) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(dims, first, strict=True)) if i != axis
        ):
            raise layer.error(f"{shape(dims)} and {shape(first)} differ outside axis {axis}")
    return bottoms[0] if len(bottoms) == 1 else g.op("Concat", *bottoms, axis=axis)


@layer(
    "Split",
    v1="SPLIT",
    bottoms=1,
    tops=(1, None),
    source="caffe/src/caffe/layers/split_layer.cpp",
)
def split(g: GraphBuilder, layer: LayerSpec, x: str) -> tuple[str, ...]:
    """Give the same blob to several layers."""
    return (x,) * layer.tops


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
        if any(c != 1 for c in p.coeff):
            layer.summary += f", times {', '.join(f'{c:g}' for c in p.coeff)}"
            pairs = zip(bottoms, p.coeff, strict=True)
            bottoms = tuple(g.op("Mul", b, g.constant(float(c), "coeff")) for b, c in pairs)
        return _chain(g, "Add", bottoms)
    if p.operation == "PROD":
        return _chain(g, "Mul", bottoms)
    if p.operation == "MAX":
        return g.op("Max", *bottoms)
    raise layer.error(f"operation: {p.operation} is not known; SUM, PROD and MAX are", "operation")


def _chain(g: GraphBuilder, kind: str, bottoms: tuple[str, ...]) -> str:
    """A op B op C, in Caffe's order."""
    total = bottoms[0]
    for each in bottoms[1:]:
        total = g.op(kind, total, each)
    return total


@layer(
    "Flatten",
    v1="FLATTEN",
    bottoms=1,
    tops=1,
    param="flatten_param",
    source="caffe/src/caffe/layers/flatten_layer.cpp",
)
def flatten(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Make one axis of the axes from `axis` to `end_axis`."""
    p = layer.param
    dims = g.shape(x)
    first = layer.axis(p.axis, dims)
    last = layer.axis(p.end_axis, dims, "end_axis")
    if last < first:
        raise layer.error(f"end_axis {last} is before axis {first}", "end_axis")
    layer.summary = f"axes {first} to {last}"
    if first == last:
        return g.op("Identity", x)
    after = dims[last + 1 :]
    if first == 0 or not after:
        return g.reshape(x, [0] * first + [-1, *after])
    return g.reshape(x, [0] * first + [prod(dims[first : last + 1]), *after])


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
