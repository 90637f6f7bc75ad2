"""Blobs put together and taken apart: Concat, Slice, Split, Tile."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

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
    sharing="alone",
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
    "Slice",
    v1="SLICE",
    bottoms=1,
    tops=(1, None),
    param="slice_param",
    source="caffe/src/caffe/layers/slice_layer.cpp",
    sharing="alone",
)
def slice_(g: GraphBuilder, layer: LayerSpec, x: str) -> tuple[str, ...]:
    """Cut a blob into parts along an axis (channels unless given), at points or evenly."""
    p = layer.param
    if p.has("axis") and p.has("slice_dim"):
        raise layer.error("axis and slice_dim are both given; use axis", "slice_dim")
    dims = g.shape(x)
    field = "slice_dim" if p.has("slice_dim") else "axis"
    axis = layer.axis(getattr(p, field), dims, field)
    sizes = _sizes(layer, [int(point) for point in p.slice_point], dims[axis])
    layer.summary = f"{', '.join(map(str, sizes))} along axis {axis}"
    if layer.tops == 1:
        return (x,)
    if axis == 0:
        g.free_batch = False  # the parts' sizes are counted in images
    split = g.constant(np.asarray(sizes, np.int64), "sizes")
    return tuple(g.ops("Split", layer.tops, x, split, axis=axis))


def _sizes(layer: LayerSpec, points: list[int], size: int) -> list[int]:
    """How large each part is; a point says where a part begins."""
    tops = plural(layer.tops, "top")
    if not points:
        if size % layer.tops:
            raise layer.error(f"{size} cannot be cut into {tops} evenly; give slice_point")
        return [size // layer.tops] * layer.tops
    if len(points) != layer.tops - 1:
        raise layer.error(
            f"{plural(len(points), 'slice_point')} for {tops}; there must be one fewer than tops",
            "slice_point",
        )
    if layer.tops > size:
        raise layer.error(f"{tops} of an axis of size {size}", "slice_point")
    edges = [0, *points, size]
    if any(b <= a for a, b in pairwise(edges[:-1])) or points[-1] > size:
        raise layer.error(
            f"slice_point {', '.join(map(str, points))} must grow from 1 to at most {size}",
            "slice_point",
        )
    return [b - a for a, b in pairwise(edges)]


@layer(
    "Split",
    v1="SPLIT",
    bottoms=1,
    tops=(1, None),
    source="caffe/src/caffe/layers/split_layer.cpp",
    sharing="always",
)
def split(g: GraphBuilder, layer: LayerSpec, x: str) -> tuple[str, ...]:
    """Give the same blob to several layers."""
    return (x,) * layer.tops


@layer(
    "Tile",
    bottoms=1,
    tops=1,
    param="tile_param",
    source="caffe/src/caffe/layers/tile_layer.cpp",
)
def tile(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Repeat a blob along an axis (channels unless given)."""
    p = layer.param
    dims = g.shape(x)
    axis = layer.axis(p.axis, dims)
    if not p.has("tiles"):
        raise layer.error("tiles is missing")
    if p.tiles < 1:
        raise layer.error(f"tiles {p.tiles} must be at least 1", "tiles")
    layer.summary = f"{plural(p.tiles, 'time')} along axis {axis}"
    repeats = np.ones(len(dims), np.int64)
    repeats[axis] = p.tiles
    return g.op("Tile", x, g.constant(repeats, "repeats"))
