"""Pooling over regions, back to where a pooling came from, and reading between the places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from layerscope.engine.gradient.composite import Parts, through
from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape, size
from layerscope.errors import UnsupportedError


@rule("MaxUnpool")
def max_unpool(t: Tape, node: Node, dy: str) -> str:
    """Give dy at the places that x was put to."""
    if node.has(2) or t.rank(node.x) != 4:
        raise UnsupportedError("with a stated output shape, or but two axes, has no gradient here")
    flat = t.reshape(dy, [size(t.shape(node.y))])
    picked = t.op("Gather", flat, t.reshape(node.inputs[1], [size(t.shape(node.x))]), axis=0)
    return t.reshape_as(picked, node.x)


@rule("RoiAlign")
def roi_align(t: Tape, node: Node, dy: str) -> str:
    """Give dy by the nearness of each place; regions count as given.

    The mean over a bin is a product with a matrix along the rows and one along the columns.
    """
    if node.get("mode", "avg") != "avg":
        raise UnsupportedError(f"mode {node.get('mode', '')}; avg has a gradient here")
    wide = [int(node.get(name, 1)) for name in ("output_height", "output_width")]
    rows, columns = (_nearness(t, node, axis, wide[axis]) for axis in (0, 1))
    spread = t.op("MatMul", t.op("Transpose", rows, perm=[0, 1, 3, 2]), dy)
    spread = t.op("MatMul", spread, columns)  # (R, C, H, W)
    index = t.op("Unsqueeze", node.inputs[2], t.constant(np.asarray([1], np.int64)))
    return t.op("ScatterND", t.zeros(node.x), index, spread, reduction="add")


def _nearness(t: Tape, node: Node, axis: int, bins: int) -> str:
    """(R, 1, bins, extent): what the bins of each region take of each row or column."""
    x, extent = node.x, t.shape(node.x)[2 + axis]
    half = node.get("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    ends = []
    for column in (1 - axis, 3 - axis):  # x1 y1 x2 y2
        corner = t.op("Gather", node.inputs[1], t.constant(np.asarray([column])), axis=1)
        corner = t.times(corner, float(node.get("spatial_scale", 1.0)), x)
        ends.append(t.sub(corner, t.constant(0.5, x)) if half else corner)
    length = t.sub(ends[1], ends[0])
    length = length if half else t.op("Max", length, t.constant(1.0, x))
    step = t.times(length, 1 / bins, x)  # (R, 1)
    samples = int(node.get("sampling_ratio", 0))
    if not samples:
        raise UnsupportedError("sampling_ratio 0 (by the size of each region) has no gradient here")
    offset = (np.arange(bins * samples) + 0.5) / samples
    place = t.add(ends[0], t.mul(step, t.constant(offset[None], x)))  # (R, bins * samples)
    inside = t.op(
        "And",
        t.op("GreaterOrEqual", place, t.constant(-1.0, x)),
        t.op("LessOrEqual", place, t.constant(float(extent), x)),
    )
    last = float(extent - 1)
    held = t.op("Clip", place, t.constant(0.0, x), t.constant(last, x))
    held = t.op("Unsqueeze", held, t.constant(np.asarray([2], np.int64)))
    away = t.op("Abs", t.sub(held, t.constant(np.arange(float(extent)), x)))
    near = t.op("Relu", t.sub(t.constant(1.0, x), away))  # (R, bins * samples, extent)
    known = t.op("Unsqueeze", t.op("Cast", inside, to=t.type(x)), t.constant(np.asarray([2])))
    shares = t.times(t.mul(near, known), 1 / samples, x)
    regions = t.shape(node.inputs[1])[0]
    return t.sum(t.reshape(shares, [regions, 1, bins, samples, extent]), [3], keepdims=False)


@rule("MaxRoiPool")
def max_roi_pool(t: Tape, node: Node, dy: str) -> str:
    """Give dy to the winner of each bin, the first of equal ones; regions count as given.

    The op does not say which place won, so a Scan looks for it, region by region.
    """
    regions, channels, *bins = t.shape(node.y)
    dims, count = t.shape(node.x), regions * size(bins)
    low, high = zip(*(_limits(t, node, axis, bins[axis]) for axis in (0, 1)), strict=True)
    rows, columns = (_cells(t, *ends) for ends in zip(low, high, strict=True))
    image = t.op("Cast", _column(t, node, 0), to=TensorProto.INT64)  # (R, 1)
    place = _winners(t, node, image, rows, columns, bins)  # (R, C, bins)
    first = t.op("Mul", image, t.constant(channels)), t.constant(np.arange(channels)[None])
    maps = t.op("Unsqueeze", t.add(*first), t.constant(np.asarray([2])))
    index = t.add(t.op("Mul", maps, t.constant(dims[2] * dims[3])), place)
    there = [t.op("Greater", *ends) for ends in zip(high, low, strict=True)]
    there[0] = t.reshape(there[0], [regions, 1, bins[0], 1])
    there[1] = t.reshape(there[1], [regions, 1, 1, bins[1]])
    given = t.gate(t.op("And", *there), dy, node.x)
    flat = t.reshape(t.zeros(node.x), [size(dims)])
    added = t.op(
        "ScatterElements", flat, t.reshape(index, [channels * count]),
        t.reshape(given, [channels * count]), axis=0, reduction="add",
    )  # fmt: skip
    return t.reshape_as(added, node.x)


def _column(t: Tape, node: Node, which: int) -> str:
    return t.op("Gather", node.inputs[1], t.constant(np.asarray([which])), axis=1)


def _limits(t: Tape, node: Node, axis: int, bins: int) -> tuple[str, str]:
    """Where the bins begin and end (behind the last), (R, bins), within the map."""
    x, extent = node.x, t.shape(node.x)[2 + axis]
    ends = []
    for which in (2 - axis, 4 - axis):  # image x1 y1 x2 y2
        corner = t.times(_column(t, node, which), float(node.get("spatial_scale", 1.0)), x)
        # To the nearest, halves away from zero, as in C.
        near = t.op("Floor", t.add(t.op("Abs", corner), t.constant(0.5, x)))
        ends.append(t.mul(near, t.op("Sign", corner)))
    length = t.add(t.sub(ends[1], ends[0]), t.constant(1.0, x))
    step = t.div(t.op("Max", length, t.constant(1.0, x)), t.constant(float(bins), x))
    found = []
    for rounding, offset in (("Floor", 0.0), ("Ceil", 1.0)):
        counted = t.constant(np.arange(bins)[None] + offset, x)
        edge = t.add(t.op(rounding, t.mul(step, counted)), ends[0])
        edge = t.op("Clip", edge, t.constant(0.0, x), t.constant(float(extent), x))
        found.append(t.op("Cast", edge, to=TensorProto.INT64))
    return found[0], found[1]


def _cells(t: Tape, low: str, high: str) -> tuple[str, str]:
    """The cells of each bin, (R, bins, most), and which of them are in it."""
    wide = t.op("ReduceMax", t.sub(high, low), keepdims=0)
    most = t.op("Max", wide, t.constant(1))
    offset = t.op("Range", t.constant(0), most, t.constant(1))
    axis = t.constant(np.asarray([2]))
    cells = t.add(t.op("Unsqueeze", low, axis), offset)
    inside = t.op("Less", cells, t.op("Unsqueeze", high, axis))
    return t.op("Where", inside, cells, t.constant(0)), inside


def _winners(
    t: Tape, node: Node, image: str,
    rows: tuple[str, str], columns: tuple[str, str], bins: Sequence[int],
) -> str:  # fmt: skip
    """The place of the largest cell of each bin in its map: (R, C, bins)."""
    steps: list[Any] = []
    whole = {name: t.constant(np.asarray(n)) for name, n in {
        "behind": [2], "apart": [1, 2], "around": [0, 2], "one": [1], "flat": [-1],
        "width": t.shape(node.x)[3], "bins": [1, size(bins), -1], "maps": [-1, size(bins)],
    }.items()}  # fmt: skip
    lowest = t.constant(-np.inf, node.x)

    def add(kind: str, out: str, *inputs: str, **settings: Any) -> None:
        steps.append(helper.make_node(kind, inputs, [out], **settings))

    add("Gather", "map", node.x, "image", axis=0)  # (1, C, H, W)
    add("Squeeze", "planes", "map", t.constant(np.asarray([0])))
    add("Reshape", "every row", "row", whole["flat"])
    add("Reshape", "every column", "column", whole["flat"])
    add("Gather", "in rows", "planes", "every row", axis=1)
    add("Gather", "windows", "in rows", "every column", axis=2)  # (C, ph K, pw L)
    add("Unsqueeze", "row high", "row in", whole["apart"])  # (ph, K) -> (ph, 1, 1, K)
    add("Transpose", "row wide", "row high", perm=[0, 1, 3, 2])  # (ph, 1, K, 1)
    add("Unsqueeze", "column wide", "column in", whole["around"])  # (1, pw, 1, L)
    add("And", "inside", "row wide", "column wide")  # (ph, pw, K, L)
    add("Shape", "row sizes", "row")
    add("Shape", "column sizes", "column")
    add("Concat", "split sizes", whole["flat"], "row sizes", "column sizes", axis=0)
    add("Reshape", "split", "windows", "split sizes")  # (C, ph, K, pw, L)
    add("Transpose", "cells", "split", perm=[0, 1, 3, 2, 4])
    add("Where", "known", "inside", "cells", lowest)
    add("Reshape", "listed", "known", t.constant(np.asarray([0, size(bins), -1])))
    add("ArgMax", "best", "listed", axis=2, keepdims=0)  # (C, ph pw)
    add("Unsqueeze", "row tall", "row", whole["apart"])
    add("Transpose", "row places", "row tall", perm=[0, 1, 3, 2])
    add("Mul", "row start", "row places", whole["width"])
    add("Unsqueeze", "column places", "column", whole["around"])
    add("Add", "places", "row start", "column places")  # (ph, pw, K, L)
    add("Reshape", "place list", "places", t.constant(np.asarray([size(bins), -1])))
    add("Transpose", "best turned", "best", perm=[1, 0])
    add("GatherElements", "place turned", "place list", "best turned", axis=1)
    add("Transpose", "place", "place turned", perm=[1, 0])
    whole_number, truth = TensorProto.INT64, TensorProto.BOOL
    reads = [
        ("image", whole_number, 1), ("row", whole_number, 2), ("row in", truth, 2),
        ("column", whole_number, 2), ("column in", truth, 2),
    ]  # fmt: skip
    body = helper.make_graph(
        steps, "a region",
        [helper.make_tensor_value_info(name, kind, [None] * rank) for name, kind, rank in reads],
        [helper.make_tensor_value_info("place", whole_number, [None, None])],
    )  # fmt: skip
    return t.op("Scan", image, *rows, *columns, body=body, num_scan_inputs=5)


@rule("Col2Im")
def col2im(t: Tape, node: Node, dy: str) -> str:
    """Give each column the numbers of its place: a convolution with one filter for each tap."""
    block = t.ints(node.inputs[2])
    if block is None:
        raise UnsupportedError("the size of its blocks is computed, not fixed")
    taps, channels = size(block), t.shape(node.y)[1]
    filters = np.tile(np.eye(taps).reshape(taps, 1, *block), (channels, 1, *[1] * len(block)))
    names = ("dilations", "pads", "strides")
    settings = {name: node.settings[name] for name in names if name in node.settings}
    columns = t.op("Conv", dy, t.constant(filters, node.x), group=channels, **settings)
    return t.reshape_as(columns, node.x)


@rule("AffineGrid")
def affine_grid(t: Tape, node: Node, dy: str) -> str:
    """Give dy times the places that the matrix was multiplied with, added up."""
    sizes = t.ints(node.inputs[1])
    if sizes is None:
        raise UnsupportedError("the size of its grid is computed, not fixed")
    images, _, *space = sizes
    lines = [
        np.linspace(-1, 1, n) if node.get("align_corners", 0) else (2 * np.arange(n) + 1) / n - 1
        for n in space
    ]
    grid = np.stack(np.meshgrid(*lines, indexing="ij")[::-1], -1).reshape(-1, len(space))
    places = np.concatenate([grid, np.ones((len(grid), 1))], 1)  # x, y, (z,) 1
    rows = t.reshape(dy, [images, len(grid), len(space)])
    return t.op("MatMul", t.op("Transpose", rows, perm=[0, 2, 1]), t.constant(places, node.x))


@rule("GridSample")
def grid_sample(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """x: dy by the nearness of each place; grid: by the slope there, the steps' being 0."""
    mode, padding = node.get("mode", "bilinear"), node.get("padding_mode", "zeros")
    if mode not in ("bilinear", "linear", "nearest") or padding not in ("zeros", "border"):
        raise UnsupportedError(f"mode {mode} with padding {padding} has no gradient here")
    if t.rank(node.x) != 4:
        raise UnsupportedError("over other than two axes has no gradient here")
    p, (x, grid) = Parts(t), node.inputs
    images, channels, *extents = t.shape(x)
    made = size(t.shape(node.y)[2:])
    places = []
    for axis, extent in enumerate(extents):  # the grid holds x, then y
        at = p.op("Gather", grid, p.index(1 - axis), axis=3)
        half = (extent - 1) / 2 if node.get("align_corners", 0) else extent / 2
        at = p.op("Add", p.op("Mul", at, p.number(half, x)), p.number((extent - 1) / 2, x))
        if padding == "border":
            at = p.op("Clip", at, p.number(0, x), p.number(extent - 1, x))
        places.append(p.op("Reshape", at, t.constant(np.asarray([images, 1, made]))))
    flat = p.op("Reshape", x, t.constant(np.asarray([images, channels, size(extents)])))
    wide = t.constant(np.asarray([images, channels, made]))
    parts = [
        _corner(p, flat, places, extents, corner, wide, nearest=mode == "nearest")
        for corner in ([(0, 0)] if mode == "nearest" else np.ndindex(2, 2))
    ]
    y = p.op("Sum", *parts) if len(parts) > 1 else parts[0]
    y = p.op("Reshape", y, t.constant(np.asarray(t.shape(node.y))))
    return through(t, node, p, {y: dy})


def _corner(
    p: Parts, flat: str, places: Sequence[str], extents: Sequence[int], corner: Sequence[int],
    wide: str, *, nearest: bool,
) -> str:  # fmt: skip
    """What one of the four places around each point gives: (N, C, points)."""
    index, factor = [], ""
    for at, extent, step in zip(places, extents, corner, strict=True):
        low = p.op("Round", at) if nearest else p.op("Floor", at)
        low = p.op("Add", low, p.number(step, at)) if step else low
        inside = p.op("And", p.op("GreaterOrEqual", low, p.number(0, at)),
                      p.op("LessOrEqual", low, p.number(extent - 1, at)))  # fmt: skip
        near = p.op("CastLike", inside, at)
        if not nearest:
            away = p.op("Abs", p.op("Sub", at, low))
            near = p.op("Mul", near, p.op("Sub", p.number(1, at), away))
        factor = p.op("Mul", factor, near) if factor else near
        held = p.op("Clip", low, p.number(0, at), p.number(extent - 1, at))
        index.append(p.op("Cast", held, to=TensorProto.INT64))
    whole = p.op("Add", p.op("Mul", index[0], p.index(extents[1])), index[1])
    return p.op("Mul", p.op("GatherElements", flat, p.op("Expand", whole, wide), axis=2), factor)
