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

Floats: TypeAlias = NDArray[Any]

TURN = 8.0
"""The largest turn, in degrees."""
SCALE = 0.08
"""The largest change of size: by a factor of exp(-0.08) to exp(0.08)."""
SHIFT = 1 / 28
"""The largest shift, of the longer side: 8 pixels of 227."""
_MOST, _NUMBERS = 24, 2_000_000  # turns that are kept, and pixels of all of them together


@dataclass(frozen=True, slots=True)
class Warp:
    """One movement: where each pixel comes from, in a plane with a margin.

    Attributes:
        places: (4, H * W), the four neighbours of where a pixel comes from.
        weights: (4, H * W), what each counts (bilinear); their sum is 1.
        corner: (y, x) in that plane where the image lies; this is what shifts it.
    """

    places: NDArray[np.intp]
    weights: NDArray[np.float32]
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
        count = int(np.clip(_NUMBERS // (height * width), 4, _MOST))
        self._made = [self._turned(generator) for _ in range(count)]

    def draw(self, generator: np.random.Generator) -> Warp:
        """One of them, shifted by whole pixels."""
        found = self._made[int(generator.integers(len(self._made)))]
        down, right = generator.integers(-self._shift, self._shift + 1, 2)
        corner = (self._margin - int(down), self._margin - int(right))
        return Warp(found.places, found.weights, corner)

    def apply(self, warp: Warp, images: Floats) -> Floats:
        """Move images (N, C, H, W), which are differences from gray: beyond the edge is 0."""
        height, width = self.size
        plane = np.zeros((self._high, self._wide), images.dtype)
        inner = plane[warp.corner[0] :, warp.corner[1] :][:height, :width]
        found = np.empty((int(np.prod(images.shape[:2])), height * width), images.dtype)
        part = np.empty(height * width, images.dtype)
        for image, moved in zip(images.reshape(-1, height, width), found, strict=True):
            inner[:] = image
            flat = plane.ravel()
            np.multiply(flat.take(warp.places[0]), warp.weights[0], out=moved)
            for places, weights in zip(warp.places[1:], warp.weights[1:], strict=True):
                np.take(flat, places, out=part, mode="clip")
                part *= weights
                moved += part
        return found.reshape(images.shape)

    def back(self, warp: Warp, gradients: Floats) -> Floats:
        """What `apply` does, transposed: each gradient goes to the places its pixel came from."""
        height, width = self.size
        found = np.empty((int(np.prod(gradients.shape[:2])), height, width), gradients.dtype)
        places = warp.places.ravel()
        for moved, image in zip(gradients.reshape(-1, height * width), found, strict=True):
            plane = np.bincount(places, (warp.weights * moved).ravel(), self._high * self._wide)
            plane = plane.reshape(self._high, self._wide)
            image[:] = plane[warp.corner[0] :, warp.corner[1] :][:height, :width]
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
        places = np.stack([first, first + 1, first + self._wide, first + self._wide + 1])
        weights = np.stack(
            [(1 - low) * (1 - far), (1 - low) * far, low * (1 - far), low * far]
        ).reshape(4, -1)
        return Warp(places, weights.astype(np.float32), (self._margin, self._margin))
