"""Small movements of the image, so that no single pixel's place matters: shift, turn, scale.

What a unit answers to only at one exact place is noise to people.  So each step of an ascent sees
the image moved a little, by another movement each (as in "Feature Visualization", Distill 2017).
What comes in from beyond the edge is gray.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from layerscope.dreams.scratch import Scratch

Floats: TypeAlias = NDArray[Any]

TURN = 8.0
"""The largest turn, in degrees."""
SCALE = 0.08
"""The largest change of size: by a factor of exp(-0.08) to exp(0.08)."""
SHIFT = 1 / 28
"""The largest shift, of the longer side: 8 pixels of 227."""
_MOST, _NUMBERS = 24, 2_000_000  # turns that are kept, and pixels of all of them together


@dataclass(frozen=True, slots=True)
class Cells:
    """Which pixels come from each cell of the plane, for the way back.

    Attributes:
        order: (H * W,), the pixels: the first of each cell, then the second of each, and so on.
        ends: how many cells have a first pixel, a second, ...; those that have a second one are the
            first of those that have one.
        weights: (4, H * W), those of the warp in this order.
        ranks: (high, wide), where in `order` the first pixel of a cell is; `ends[0]` for none.
    """

    order: NDArray[np.intp]
    ends: tuple[int, ...]
    weights: NDArray[np.float32]
    ranks: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Warp:
    """One movement: where each pixel comes from, in a plane with a margin.

    Attributes:
        first: (H * W,), the upper left of the four neighbours of where a pixel comes from; this is
            the cell of the pixel.
        weights: (4, H * W), what each counts (bilinear): upper left, upper right, lower left, lower
            right; their sum is 1.
        cells: the same seen from the cells.
        corner: (y, x) in that plane where the image lies; this is what shifts it.
    """

    first: NDArray[np.intp]
    weights: NDArray[np.float32]
    cells: Cells
    corner: tuple[int, int]


class Warps:
    """A store of turns and scales, made once; each is shifted anew when it is used.

    Args:
        size: (H, W) of the images.
        generator: draws them.
    """

    def __init__(self, size: tuple[int, int], generator: np.random.Generator) -> None:
        height, width = self.size = size
        self._shift = max(1, round(max(size) * SHIFT))
        half = np.hypot(height, width) / 2
        # A corner moves at most by this; two more for the neighbours of a place.
        reach = half * (np.exp(SCALE) - 1 + np.radians(TURN) * np.exp(SCALE)) + 1
        self._margin = int(np.ceil(reach)) + self._shift + 2
        self._wide = width + 2 * self._margin
        self._high = height + 2 * self._margin
        self._scratch = Scratch()
        count = int(np.clip(_NUMBERS // (height * width), 4, _MOST))
        self._made = [self._turned(generator) for _ in range(count)]

    def draw(self, generator: np.random.Generator) -> Warp:
        """One of them, shifted by whole pixels."""
        found = self._made[int(generator.integers(len(self._made)))]
        down, right = generator.integers(-self._shift, self._shift + 1, 2)
        corner = (self._margin - int(down), self._margin - int(right))
        return Warp(found.first, found.weights, found.cells, corner)

    def apply(self, warp: Warp, images: Floats) -> Floats:
        """Move images (N, C, H, W), which are differences from gray: beyond the edge is 0."""
        height, width = self.size
        plane = self._scratch.array("plane", (self._high, self._wide), images.dtype)
        plane[:] = 0
        inner = plane[warp.corner[0] :, warp.corner[1] :][:height, :width]
        found = np.empty((int(np.prod(images.shape[:2])), height * width), images.dtype)
        part = self._scratch.array("part", (height * width,), images.dtype)
        for image, moved in zip(images.reshape(-1, height, width), found, strict=True):
            inner[:] = image
            flat = plane.ravel()
            np.take(flat, warp.first, out=moved, mode="clip")
            moved *= warp.weights[0]
            rest = (1, self._wide, self._wide + 1)
            for offset, weights in zip(rest, warp.weights[1:], strict=True):
                np.take(flat[offset:], warp.first, out=part, mode="clip")
                part *= weights
                moved += part
        return found.reshape(images.shape)

    def back(self, warp: Warp, gradients: Floats) -> Floats:
        """What `apply` does, transposed: each gradient goes to the places its pixel came from.

        It goes to its cell first, where it is added to the others of that cell, and from there to
        the four corners, so that nothing is scattered.
        """
        height, width = self.size
        cells, (top, left) = warp.cells, warp.corner
        ranks = cells.ranks[top - 1 : top + height, left - 1 : left + width].ravel()
        found = np.empty((int(np.prod(gradients.shape[:2])), height, width), gradients.dtype)
        kind = gradients.dtype
        sums = self._scratch.array("sums", (height * width + 1,), kind)
        by_cell = self._scratch.array("by cell", (height * width,), kind)
        spread = self._scratch.array("spread", (height + 1, width + 1), kind)
        for moved, image in zip(gradients.reshape(-1, height * width), found, strict=True):
            np.take(moved, cells.order, out=by_cell, mode="clip")
            for corner, weights in enumerate(cells.weights):
                np.multiply(by_cell, weights, out=sums[:-1])
                _gather(sums, cells.ends)
                np.take(sums, ranks, out=spread.reshape(-1), mode="clip")
                down, right = 1 - corner // 2, 1 - corner % 2
                part = spread[down : down + height, right : right + width]
                if corner:
                    image += part
                else:
                    image[:] = part
        return found.reshape(gradients.shape)

    def _turned(self, generator: np.random.Generator) -> Warp:
        """A movement by a random angle, scale, and part of a pixel."""
        height, width = self.size
        angle = np.radians(generator.uniform(-TURN, TURN))
        scale = np.exp(generator.uniform(-SCALE, SCALE))
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        y, x = np.mgrid[:height, :width].astype(np.float64)
        y -= (height - 1) / 2
        x -= (width - 1) / 2
        down, right = generator.uniform(0, 1, 2)
        rows = cosine * y - sine * x + (height - 1) / 2 + self._margin + down
        columns = sine * y + cosine * x + (width - 1) / 2 + self._margin + right
        top, left = np.floor(rows), np.floor(columns)
        low, far = rows - top, columns - left
        first = (top * self._wide + left).astype(np.intp).ravel()
        weights = np.stack(
            [(1 - low) * (1 - far), (1 - low) * far, low * (1 - far), low * far]
        ).reshape(4, -1)
        weights = weights.astype(np.float32)
        corner = (self._margin, self._margin)
        return Warp(first, weights, _cells(first, weights, (self._high, self._wide)), corner)


def _cells(first: NDArray[np.intp], weights: NDArray[np.float32], plane: tuple[int, int]) -> Cells:
    """A warp as its cells see it."""
    by_cell = np.argsort(first, kind="stable")
    cells = first[by_cell]
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    counts = np.diff(starts, append=len(cells))
    fullest = np.argsort(-counts, kind="stable")  # so those with a second pixel come first
    ends = tuple(int((counts > number).sum()) for number in range(int(counts.max())))
    order = np.concatenate(
        [by_cell[starts[fullest[:end]] + number] for number, end in enumerate(ends)]
    )
    ranks = np.full(plane[0] * plane[1], len(starts), np.intp)
    ranks[cells[starts[fullest]]] = np.arange(len(starts))
    return Cells(order, ends, np.ascontiguousarray(weights[:, order]), ranks.reshape(plane))


def _gather(sums: Floats, ends: tuple[int, ...]) -> None:
    """Add the second, third, ... pixels of cells to their first, in place; a 0 follows those."""
    start = ends[0]
    for end in ends[1:]:
        sums[:end] += sums[start : start + end]
        start += end
    sums[ends[0]] = 0
