"""SSD's default boxes: they depend on shapes alone, so they are a constant of the graph."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LimitError
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural, shape, times

MAX_BOXES = 4_000_000
_SAME = 1e-6  # aspect ratios nearer than this are one


@layer(
    "PriorBox",
    bottoms=2,
    tops=1,
    param="prior_box_param",
    source="SSD (Liu et al. 2016), weiliu89/caffe prior_box_layer.cpp",
)
def prior_box(g: GraphBuilder, layer: LayerSpec, x: str, image: str) -> str:
    """Boxes of several sizes around each cell, and their variances.  -> (1, 2, boxes * 4).

    For each min_size: the square, the square of size sqrt(min * max), then the other aspect ratios.
    Corners are fractions of the image; sizes are whole numbers, as SSD cuts them.
    """
    p = layer.param
    for dims in (g.shape(x), g.shape(image)):
        if len(dims) != 4:
            raise layer.error(f"takes two bottoms (N, C, H, W), one is {shape(dims)}")
    cells = g.shape(x)[2:]
    size = _pair(layer, p, "img_size", ("img_h", "img_w")) or g.shape(image)[2:]
    step = _pair(layer, p, "step", ("step_h", "step_w"))
    step = step or (size[0] / cells[0], size[1] / cells[1])
    boxes = _boxes(layer, p)
    number = len(boxes) * cells[0] * cells[1]
    if number > MAX_BOXES:
        raise LimitError(f"{layer.where()}: {number:,} boxes; the limit is {MAX_BOXES:,}")
    layer.summary = f"{plural(len(boxes), 'box').replace('boxs', 'boxes')} at each of"
    layer.summary += f" {times(cells)} cells, steps of {step[0]:g}x{step[1]:g} pixels"
    corners = _corners(cells, size, step, float(p.offset), boxes)
    if p.clip:
        corners = np.clip(corners, 0, 1)
    variances = np.tile(_variances(layer, p), number)
    return g.constant(np.stack([corners.ravel(), variances])[None].astype(np.float32), "boxes")


def _pair(
    layer: LayerSpec, p: Message, both: str, pair: tuple[str, str]
) -> tuple[float, float] | None:
    """A size in y and x, given as one number or as two; None when it is not given."""
    if any(p.has(name) for name in pair):
        if p.has(both):
            raise layer.error(f"{both} and {pair[0]}/{pair[1]} are both given; use one", both)
        found = tuple(getattr(p, name) for name in pair)
    elif p.has(both):
        found = (getattr(p, both),) * 2
    else:
        return None
    if min(found) <= 0:
        names = f"{pair[0]} and {pair[1]}" if any(p.has(n) for n in pair) else both
        raise layer.error(f"{names} must be greater than 0")
    return float(found[0]), float(found[1])


def _boxes(layer: LayerSpec, p: Message) -> list[tuple[float, float]]:
    """Width and height of the boxes of a cell, in SSD's order."""
    least, most = [int(s) for s in p.min_size], [int(s) for s in p.max_size]
    if not least or min(p.min_size) <= 0:
        raise layer.error("min_size must be given, greater than 0", "min_size")
    if most and len(most) != len(least):
        raise layer.error(
            f"{plural(len(most), 'max_size')} for {plural(len(least), 'min_size')}; one for each",
            "max_size",
        )
    if any(b <= a for a, b in zip(p.min_size, p.max_size, strict=False)):
        raise layer.error("every max_size must be greater than its min_size", "max_size")
    ratios: list[float] = [1.0]
    for ratio in p.aspect_ratio:
        if ratio <= 0:
            raise layer.error("every aspect_ratio must be greater than 0", "aspect_ratio")
        if all(abs(ratio - known) >= _SAME for known in ratios):
            ratios += [ratio, 1 / ratio] if p.flip else [ratio]
    boxes: list[tuple[float, float]] = []
    for i, side in enumerate(least):
        boxes.append((side, side))
        if most:
            middle = sqrt(side * most[i])
            boxes.append((middle, middle))
        boxes += [(side * sqrt(r), side / sqrt(r)) for r in ratios if abs(r - 1) >= _SAME]
    return boxes


def _corners(
    cells: tuple[int, ...],
    size: tuple[float, ...],
    step: tuple[float, ...],
    offset: float,
    boxes: list[tuple[float, float]],
) -> NDArray[np.float64]:
    """xmin, ymin, xmax, ymax of (row, column, box, 4), as fractions of the image."""
    y, x = ((np.arange(n) + offset) * s for n, s in zip(cells, step, strict=True))
    half = np.asarray(boxes, np.float64) / 2
    centres = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)[:, :, None]
    image = np.asarray([size[1], size[0]], np.float64)
    low, high = (centres - half) / image, (centres + half) / image
    return np.concatenate([low, high], axis=-1)


def _variances(layer: LayerSpec, p: Message) -> NDArray[np.float64]:
    """The four variances of a box."""
    given = list(p.variance) or [0.1]
    if len(given) not in (1, 4) or min(given) <= 0:
        raise layer.error(
            f"{plural(len(given), 'variance')}; 1 or 4 are taken, all greater than 0", "variance"
        )
    return np.asarray(given * (4 if len(given) == 1 else 1), np.float64)
