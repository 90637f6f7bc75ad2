"""Ops over regions by their definition, cell by cell, in float64."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def max_roi_pool(x: Array, rois: Array, bins: list[int], scale: float) -> Array:
    """The largest of each bin, 0 for an empty one; corners go to the nearest whole cell."""
    y = np.zeros((len(rois), x.shape[1], *bins))
    for r, c, i, j in np.ndindex(y.shape):
        x1, y1, x2, y2 = (math.floor(abs(v * scale) + 0.5) * (1 if v >= 0 else -1)
                          for v in rois[r, 1:])  # fmt: skip
        spans = []
        for at, low, high, parts, size in ((i, y1, y2, bins[0], x.shape[2]),
                                           (j, x1, x2, bins[1], x.shape[3])):  # fmt: skip
            step = max(high - low + 1, 1) / parts
            first, last = math.floor(at * step) + low, math.ceil((at + 1) * step) + low
            spans.append(slice(min(max(first, 0), size), min(max(last, 0), size)))
        cells = x[(int(rois[r, 0]), c, *spans)]
        y[r, c, i, j] = cells.max() if cells.size else 0
    return y


def roi_align(x: Array, rois: Array, images: Array, bins: list[int], scale: float,
              samples: int, half: bool) -> Array:  # fmt: skip
    """The mean of `samples` squared points of each bin, each read between four cells."""
    y = np.zeros((len(rois), x.shape[1], *bins))
    for r, c, i, j in np.ndindex(y.shape):
        x1, y1, x2, y2 = rois[r] * scale - (0.5 if half else 0)
        height, width = y2 - y1, x2 - x1
        if not half:
            height, width = max(height, 1), max(width, 1)
        for a, b in np.ndindex(samples, samples):
            down = y1 + (i + (a + 0.5) / samples) * height / bins[0]
            right = x1 + (j + (b + 0.5) / samples) * width / bins[1]
            y[r, c, i, j] += between(x[images[r], c], down, right) / samples**2
    return y


def between(plane: Array, down: float, right: float) -> float:
    """What lies between four cells; 0 more than one cell outside."""
    if not (-1 <= down <= plane.shape[0] and -1 <= right <= plane.shape[1]):
        return 0
    down = min(max(down, 0), plane.shape[0] - 1)
    right = min(max(right, 0), plane.shape[1] - 1)
    i, j = int(down), int(right)
    k, m = min(i + 1, plane.shape[0] - 1), min(j + 1, plane.shape[1] - 1)
    u, v = down - i, right - j
    return ((1 - u) * (1 - v) * plane[i, j] + (1 - u) * v * plane[i, m]
            + u * (1 - v) * plane[k, j] + u * v * plane[k, m])  # fmt: skip


def grid_sample(x: Array, grid: Array, *, border: bool, corners: bool, nearest: bool) -> Array:
    """Read x where the grid says, from -1 to 1 along the map or from edge to edge of it."""
    images, channels, *space = x.shape
    y = np.zeros((images, channels, *grid.shape[1:3]))
    for n, i, j in np.ndindex(images, *grid.shape[1:3]):
        at = []
        for place, extent in zip(grid[n, i, j][::-1], space, strict=True):
            where = (place + 1) / 2 * (extent - 1) if corners else ((place + 1) * extent - 1) / 2
            where = min(max(where, 0), extent - 1) if border else where
            at.append(float(round(where)) if nearest else where)
        low = [math.floor(where) for where in at]
        for step in np.ndindex(2, 2):
            cell = [a + b for a, b in zip(low, step, strict=True)]
            if all(0 <= c < e for c, e in zip(cell, space, strict=True)):
                near = math.prod(1 - abs(w - c) for w, c in zip(at, cell, strict=True))
                y[n, :, i, j] += near * x[(n, slice(None), *cell)]
    return y


def affine_grid(theta: Array, space: list[int], *, corners: bool) -> Array:
    """Each place of a map, x first, from -1 to 1 at its edges or at its outer cells, turned."""
    grid = np.zeros((len(theta), *space, len(space)))
    for n, *at in np.ndindex(len(theta), *space):
        place = [2 * i / (size - 1) - 1 if corners else (2 * i + 1) / size - 1
                 for i, size in zip(at, space, strict=True)]  # fmt: skip
        grid[(n, *at)] = theta[n] @ [*place[::-1], 1]
    return grid
