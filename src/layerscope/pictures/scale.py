"""Numbers to levels: the one place where a value becomes a brightness."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from layerscope import text
from layerscope.errors import UsageError

Scale: TypeAlias = Literal["all", "tile", "signed", "tile-signed"]
SCALES: tuple[Scale, ...] = get_args(Scale)

Levels: TypeAlias = npt.NDArray[np.uint8]
Numbers: TypeAlias = npt.NDArray[Any]

# Values handled at once: three passes over a piece of this size stay in the processor's cache.
_PIECE = 1 << 15


class Extent(NamedTuple):
    """What a stack of tiles spans, and so how its values become levels.

    Attributes:
        low: the value of level 0: one number, or (n, 1) float64 with one for each tile.
        high: the value of the top level, of the same shape.
        finite: (n, ...) bool, False where a value is NaN or infinite; None when all are finite.
        scale: the mode that `low` and `high` were found with.
    """

    low: Any
    high: Any
    finite: npt.NDArray[np.bool_] | None
    scale: Scale

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest end over all tiles; NaN when no value is finite."""
        low, high = np.atleast_1d(self.low), np.atleast_1d(self.high)
        known = low <= high
        if not known.any():
            return float("nan"), float("nan")
        return float(low[known].min()), float(high[known].max())

    @property
    def missing(self) -> int:
        """How many values are NaN or infinite."""
        if self.finite is None:
            return 0
        return int(self.finite.size - np.count_nonzero(self.finite))


def real_numbers(values: npt.ArrayLike) -> Numbers:
    """The values as an array of a type that can be compared and multiplied at full speed.

    Float16 and bool are widened (their arithmetic is slow, or missing); nothing else is copied.

    Raises:
        UsageError: complex numbers, text or objects.
    """
    array = np.asarray(values)
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype.kind in "iu" or array.dtype in (np.float32, np.float64):
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    kind = text.printable(array.dtype)
    raise UsageError(f"a picture needs real numbers; found values of type {kind}")


def measure(tiles: Numbers, scale: Scale) -> Extent:
    """Find the ends of the scale.

    Args:
        tiles: (n, ...) as `real_numbers` returns them, not empty.
        scale: "all": the lowest value of the whole stack becomes level 0, the highest the top one.
            "tile": the same within each tile.  "signed": from -m to m, where m is the largest
            magnitude, so zero is always the middle level.  "tile-signed": the same within each
            tile.

    Equal values have no contrast: they become the middle level (those scaled around zero only when
    they are zero, as they are compared with zero and not with each other).  NaN and infinities take
    no part.

    Raises:
        UsageError: an empty stack, or an unknown scale.
    """
    if scale not in SCALES:
        known = ", ".join(SCALES)
        raise UsageError(f"scale {text.quoted(scale)} is unknown; possible: {known}")
    if tiles.ndim == 0 or tiles.size == 0:
        raise UsageError(f"nothing to draw: the array of shape {text.shape(tiles.shape)} is empty")
    axis = 1 if scale.startswith("tile") else None
    flat = tiles.reshape(len(tiles), -1) if axis else tiles
    with np.errstate(invalid="ignore"):
        low, high = (
            flat.min(axis=axis, keepdims=bool(axis)),
            flat.max(axis=axis, keepdims=bool(axis)),
        )
    finite = None
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        finite = np.isfinite(flat)
        low = flat.min(axis=axis, keepdims=bool(axis), where=finite, initial=np.inf)
        high = flat.max(axis=axis, keepdims=bool(axis), where=finite, initial=-np.inf)
        finite = finite.reshape(tiles.shape)
    low, high = np.float64(low), np.float64(high)
    if scale.endswith("signed"):
        some = low <= high  # a tile without a finite value has no ends
        high = np.where(some, np.maximum(-low, high), high)
        low = np.where(some, -high, low)
        low, high = (low, high) if axis else (np.float64(low), np.float64(high))
    return Extent(low, high, finite, scale)


def stretch(tiles: Numbers, extent: Extent, top: int = 255) -> Levels:
    """Turn values into levels: (n, ...) numbers -> (n, ...) uint8 within 0..top.

    A level is (value - low) / (high - low) * top, rounded to the nearest.  "signed" leaves the
    last level out when `top` is odd, so that zero has a level of its own.  `tiles` may be the
    first few of those that were measured.  Works piece by piece: no copy of the whole is made.
    """
    if extent.scale.endswith("signed"):
        top -= top % 2
    flat = tiles.reshape(len(tiles), -1)
    levels = np.empty(flat.shape, np.uint8)
    step = max(1, _PIECE // flat.shape[1])
    line = _Line(extent, flat.dtype, top)
    buffer = np.empty((min(step, len(flat)), flat.shape[1]), line.dtype)
    with np.errstate(all="ignore"):  # what is not finite is set below
        for start in range(0, len(flat), step):
            piece = slice(start, min(start + step, len(flat)))
            line(flat[piece], piece, buffer, levels[piece])
    shaped: Levels = levels.reshape(tiles.shape)
    if extent.finite is not None:
        shaped[~extent.finite[: len(tiles)]] = 0
    return shaped


class _Line:
    """The straight line from values to levels, in float32 where that is exact enough."""

    def __init__(self, extent: Extent, dtype: np.dtype[Any], top: int) -> None:
        low, high = np.asarray(extent.low), np.asarray(extent.high)
        with np.errstate(all="ignore"):
            span = high - low
            equal = ~(span > 0)
            # A power of two that keeps what follows away from the ends of float64.
            self.unit = np.where(span > 1e300, 2.0**-8, np.where(span < 1e-290, 2.0**500, 1.0))
            self.unit[equal] = 1.0
            self.start = np.where(equal, 0.0, low * self.unit)
            span = np.where(equal, 1.0, high * self.unit - self.start)
        self.factor = np.where(equal, 0.0, top / span)
        self.rest = np.where(equal, top // 2 + 0.5, 0.5)  # the cast cuts, so a half rounds
        narrow = dtype == np.float32 or dtype.itemsize < 4
        within = bool(((span > 1e-30) & (span < 1e37)).all())
        self.dtype = np.dtype(np.float32 if narrow and within else np.float64)

    def __call__(
        self, values: Numbers, piece: slice, buffer: npt.NDArray[Any], levels: Levels
    ) -> None:
        """Write the levels of one piece of the tiles; `buffer` is room to work in."""
        unit, start, factor, rest = (
            (each[piece] if each.ndim else each).astype(self.dtype)
            for each in (self.unit, self.start, self.factor, self.rest)
        )
        out = buffer[: len(values)]
        if (unit != 1).any():
            values = np.multiply(values, unit, out=out)
        if start.any():
            values = np.subtract(values, start, out=out)
        np.multiply(values, factor, out=out)
        np.add(out, rest, out=out)
        np.copyto(levels, out, casting="unsafe")
