"""A vector as a strip of bars: small and quick, for the many short vectors of a net."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerscope import text
from layerscope.errors import UsageError
from layerscope.pictures import color as colors
from layerscope.pictures.image import Picture
from layerscope.pictures.scale import measure, real_numbers

WIDTH, HEIGHT = 512, 64
_WIDEST = 16
_PAGE, _BAR, _ZERO, _MISSING = 0, 1, 2, 3
_PALETTE = np.full((256, 3), colors.PAGE, np.uint8)
_PALETTE[_BAR], _PALETTE[_ZERO] = (42, 111, 187), (138, 143, 152)
_PALETTE[_MISSING] = colors.NOT_A_NUMBER
_PALETTE.flags.writeable = False


def bars(values: npt.ArrayLike, title: str = "") -> Picture:
    """Draw each value of a vector as a bar from the line of zero, up or down.

    More than 512 values share columns; a column reaches from the lowest to the highest of its
    values.  The column of a value that is not finite is magenta.

    Args:
        values: real numbers of any shape, read in order.
        title: what the caption starts with.

    Raises:
        UsageError: no values, or not numbers.
    """
    array = real_numbers(values).reshape(-1)
    if array.size == 0:
        raise UsageError("nothing to draw: there are no values")
    extent = measure(array[None], "all")
    low, high = extent.range
    numbers = array.astype(np.float64)
    finite = np.isfinite(numbers)
    numbers[~finite] = 0
    unit = max(1.0, np.abs(numbers).max() / 1e300)  # the ends of float64 have no difference
    columns = min(len(numbers), WIDTH)
    starts = np.arange(columns) * len(numbers) // columns
    ends = (
        np.minimum(np.minimum.reduceat(numbers, starts), 0) / unit,
        np.maximum(np.maximum.reduceat(numbers, starts), 0) / unit,
    )
    missing = ~np.logical_and.reduceat(finite, starts)
    caption = f"{text.printable(title)}: " if title else ""
    caption += f"{text.plural(len(array), 'value')}, {low:.4g} … {high:.4g}"
    if columns < len(array):
        caption += f", {len(array) / columns:.3g} to a column"
    if extent.missing:
        caption += f"; {text.plural(extent.missing, 'value')} not finite (magenta)"
    return Picture(_drawn(*ends, missing), caption, _PALETTE)


def _drawn(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], missing: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """The columns as pixels; one that is not zero has at least one pixel."""
    bottom, top = float(low.min()), float(high.max())
    span = top - bottom
    room = HEIGHT - 1
    zero = round(room * (top / span)) if span > 0 else room // 2
    up, down = (
        np.ceil(end / (span or 1.0) * room * (1 - 1e-12))[None] for end in (high, -low)
    )  # up to the next pixel, but not to one more because of the last digit
    above = zero - np.arange(HEIGHT)[:, None]
    strip = np.where((above > 0) & (above <= up) | (above < 0) & (-above <= down), _BAR, _PAGE)
    strip[:, missing] = _MISSING
    wide = max(1, min(_WIDEST, WIDTH // len(low)))
    page = strip.repeat(wide, axis=1)
    if wide > 2:  # a gap between neighbours
        page[:, wide - 1 :: wide] = _PAGE
        page = page[:, :-1]
    page[zero] = np.where(page[zero] == _MISSING, _MISSING, _ZERO)
    return page.astype(np.uint8)
