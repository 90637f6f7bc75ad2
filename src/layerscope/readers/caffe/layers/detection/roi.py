"""Pooling over regions of interest: the maximum (Fast R-CNN), or position-sensitive (R-FCN)."""

from __future__ import annotations

import numpy as np

from layerscope.readers.caffe.layers.detection.boxes import part, whole
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import INT64, GraphBuilder
from layerscope.text import shape

FLOAT, DOUBLE = 1, 11


@layer(
    "ROIPooling",
    bottoms=2,
    tops=1,
    param="roi_pooling_param",
    source="Fast R-CNN (Girshick 2015), rbgirshick/caffe-fast-rcnn roi_pooling_layer.cpp",
)
def roi_pooling(g: GraphBuilder, layer: LayerSpec, x: str, rois: str) -> str:
    """The largest value of each bin of each region.  (N, C, H, W), (R, 5) -> (R, C, h, w).

    Corners times spatial_scale are rounded to whole cells; bins may share cells; an empty bin is 0.
    """
    p = layer.param
    if p.pooled_h < 1 or p.pooled_w < 1:
        raise layer.error("pooled_h and pooled_w must be at least 1")
    regions = _regions(g, layer, x, rois)
    layer.summary = f"{p.pooled_h}x{p.pooled_w} bins a region, scale {p.spatial_scale:g}"
    return g.op(
        "MaxRoiPool", x, regions,
        pooled_shape=[p.pooled_h, p.pooled_w], spatial_scale=float(p.spatial_scale),
    )  # fmt: skip


def _regions(g: GraphBuilder, layer: LayerSpec, x: str, rois: str) -> str:
    """The second bottom as (R, 5): image, x1, y1, x2, y2."""
    dims, found = g.shape(x), g.shape(rois)
    if len(dims) != 4:
        raise layer.error(f"takes (N, C, H, W), the bottom is {shape(dims)}")
    if len(found) < 2 or int(np.prod(found[1:])) != 5:
        raise layer.error(f"regions are (R, 5), the second bottom is {shape(found)}")
    return rois if len(found) == 2 else g.reshape(rois, [-1, 5])


@layer(
    "PSROIPooling",
    bottoms=2,
    tops=1,
    param="psroi_pooling_param",
    source="R-FCN (Dai et al. 2016), daijifeng001/caffe-rfcn psroi_pooling_layer.cu",
)
def psroi_pooling(g: GraphBuilder, layer: LayerSpec, x: str, rois: str) -> str:
    """The mean of each bin, each from a channel of its own.  -> (R, output_dim, group, group).

    Channel (d * group + row) * group + column serves bin (row, column) of output d.  Sums come from
    an integral image in double precision, so a bin costs four look-ups whatever its size.
    """
    p = layer.param
    depth, group = p.output_dim, p.group_size
    if depth < 1 or group < 1 or not p.has("spatial_scale"):
        raise layer.error("output_dim, group_size and spatial_scale must be given")
    regions = _regions(g, layer, x, rois)
    _, channels, height, width = g.shape(x)
    if channels != depth * group * group:
        raise layer.error(
            f"{channels} channels; output_dim {depth} and group_size {group} need"
            f" {depth * group * group}",
            "output_dim",
        )
    layer.summary = f"{depth} outputs, {group}x{group} bins a region, scale {p.spatial_scale:g}"
    low, high = bins(g, regions, group, float(p.spatial_scale), height, width)
    sums = CornerSums(g, x, regions, depth, group)
    x0, y0 = (part(g, low, 1, i, i + 1) for i in (0, 1))
    x1, y1 = (part(g, high, 1, i, i + 1) for i in (0, 1))
    total = g.op("Sub", sums.at(y1, x1), sums.at(y0, x1))
    total = g.op("Add", g.op("Sub", total, sums.at(y1, x0)), sums.at(y0, x0))
    across = g.op("Sub", x1, x0)  # (R, 1, group)
    down = g.op("Unsqueeze", g.op("Sub", y1, y0), whole(g, 3))
    zero, one = whole(g, 0), whole(g, 1)
    sizes = [g.op("Max", each, zero) for each in (g.op("Unsqueeze", across, whole(g, 2)), down)]
    area = g.op("Mul", *sizes)
    mean = g.op("Div", total, g.op("Cast", g.op("Max", area, one), to=DOUBLE))
    nothing = g.constant(np.zeros((), np.float32), "zero")
    return g.op("Where", g.op("Greater", area, zero), g.op("Cast", mean, to=FLOAT), nothing)


def bins(
    g: GraphBuilder, regions: str, group: int, scale: float, height: int, width: int
) -> tuple[str, str]:
    """First cell and the cell behind the last of each bin: (R, 2, group), x before y."""
    corners = g.op("Cast", part(g, regions, 1, 1, 5), to=DOUBLE)
    half = g.op("Cast", g.constant(0.5, "half"), to=DOUBLE)
    # C's round: halves go away from zero.
    rounded = g.op("Floor", g.op("Add", g.op("Abs", corners), half))
    corners = g.op("Cast", g.op("Mul", g.op("Sign", corners), rounded), to=FLOAT)
    factor = g.constant(scale, "scale")
    start = g.op("Mul", part(g, corners, 1, 0, 2), factor)
    end = g.op("Mul", g.op("Add", part(g, corners, 1, 2, 4), g.constant(1.0, "one")), factor)
    size = g.op("Max", g.op("Sub", end, start), g.constant(0.1, "least"))
    step = g.op("Unsqueeze", g.op("Div", size, g.constant(float(group), "group")), whole(g, 2))
    start = g.op("Unsqueeze", start, whole(g, 2))
    limit = g.constant(np.asarray([[[width], [height]]], np.float32), "limit")
    edges = []
    for rounding, offset in (("Floor", 0), ("Ceil", 1)):
        number = g.constant(np.arange(group, dtype=np.float32) + offset, "bin")
        edge = g.op(rounding, g.op("Add", g.op("Mul", number, step), start))
        inside = g.op("Min", g.op("Max", edge, g.constant(0.0, "zero")), limit)
        edges.append(g.op("Cast", inside, to=INT64))
    return edges[0], edges[1]


class CornerSums:
    """Sums over everything above and left of a corner, for each region, output and bin.

    They are (R, depth, group, group), in double precision.
    """

    def __init__(self, g: GraphBuilder, x: str, regions: str, depth: int, group: int) -> None:
        self.g = g
        _, channels, height, width = g.shape(x)
        self.width = width + 1
        pads = whole(g, 0, 0, 1, 1, 0, 0, 0, 0)
        table = g.op("Pad", g.op("Cast", x, to=DOUBLE), pads)
        for axis in (2, 3):
            table = g.op("CumSum", table, g.constant(np.asarray(axis, np.int64), "axis"))
        self.table = g.reshape(table, [-1])
        plane = (height + 1) * (width + 1)
        own = np.arange(channels, dtype=np.int64).reshape(1, depth, group, group) * plane
        image = g.op("Cast", part(g, regions, 1, 0, 1), to=INT64)
        image = g.op("Mul", g.reshape(image, [-1, 1, 1, 1]), whole(g, channels * plane))
        self.base = g.op("Add", image, g.constant(own, "channel"))

    def at(self, rows: str, columns: str) -> str:
        """The sums at corners given by rows and columns, each (R, 1, group)."""
        g = self.g
        down = g.op("Mul", g.op("Unsqueeze", rows, whole(g, 3)), whole(g, self.width))
        across = g.op("Unsqueeze", columns, whole(g, 2))
        place = g.op("Add", self.base, g.op("Add", down, across))
        return g.op("Gather", self.table, place, axis=0)
