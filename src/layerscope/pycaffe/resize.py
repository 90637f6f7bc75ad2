"""Resizing as pycaffe's `io.resize_image` does it, in numpy.

pycaffe calls `skimage.transform.resize(order=1, mode="constant")` for one and three channels and
`scipy.ndimage.zoom` for any other number.  The two differ in what a coordinate means: the first
aligns the edges of the image, the second the centres of the corner pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.pycaffe.errors import CaffeValueError
from layerscope.text import shape


def resize_image(
    im: NDArray[Any], new_dims: Iterable[int], interp_order: int = 1
) -> NDArray[np.float32]:
    """Resize an image, bilinear and without antialiasing.

    Args:
        im: (H, W, K).
        new_dims: (height, width).
        interp_order: 1 for bilinear, 0 for the nearest pixel.

    Returns:
        (height, width, K).

    Raises:
        CaffeValueError: the array is no image, or the order is another one.
    """
    im = np.asarray(im)
    height, width = (int(d) for d in new_dims)
    if im.ndim != 3 or im.size == 0 or height < 1 or width < 1:
        raise CaffeValueError(
            f"resize_image takes an image (H, W, K), found {shape(im.shape)} to {height}x{width}"
        )
    if interp_order not in (0, 1):
        raise CaffeValueError(f"interp_order {interp_order}: 0 and 1 are there")
    if im.shape[-1] not in (1, 3):
        values = _along(im.astype(np.float64), 0, _corners(im.shape[0], height), interp_order)
        values = _along(values, 1, _corners(im.shape[1], width), interp_order)
        return values.astype(np.float32)
    low, high = im.min(), im.max()
    if not high > low:  # a constant image, which has no range to scale into 0..1
        return np.full((height, width, im.shape[-1]), low, np.float32)
    span = np.float64(high) - np.float64(low)
    unit = (im.astype(np.float64) - low) / span
    unit = _along(unit, 0, _edges(im.shape[0], height), interp_order)
    unit = _along(unit, 1, _edges(im.shape[1], width), interp_order)
    found: NDArray[np.float32] = (unit * span + low).astype(np.float32)
    return found


def _edges(old: int, new: int) -> NDArray[np.float64]:
    """Where each new pixel lies on the old axis, when the edges of the images coincide."""
    return (np.arange(new, dtype=np.float64) + 0.5) * (old / new) - 0.5


def _corners(old: int, new: int) -> NDArray[np.float64]:
    """The same when the centres of the corner pixels coincide."""
    return np.arange(new, dtype=np.float64) * ((old - 1) / max(new - 1, 1))


def _along(
    values: NDArray[np.float64], axis: int, at: NDArray[np.float64], order: int
) -> NDArray[np.float64]:
    """Interpolate along one axis; what lies outside is 0, as skimage's "constant" has it."""
    size = values.shape[axis]
    if order == 0:
        return values.take(np.clip(np.floor(at + 0.5).astype(np.intp), 0, size - 1), axis)
    before = np.floor(at).astype(np.intp)
    found = np.zeros((*values.shape[:axis], len(at), *values.shape[axis + 1 :]))
    column = (-1,) + (1,) * (values.ndim - axis - 1)
    for index, weight in ((before, 1 - (at - before)), (before + 1, at - before)):
        inside = (index >= 0) & (index < size)
        share = np.where(inside, weight, 0).reshape(column)
        found += share * values.take(np.clip(index, 0, size - 1), axis)
    return found
