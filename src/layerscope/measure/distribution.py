"""How a blob's numbers are spread: ends, mean, zeros, dead channels and a histogram, in two passes.

Everything is worked piece by piece, in the processor's cache, so that the 15 million numbers of a
VGG-16 take a tenth of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

BINS = 64
_PIECE = 1 << 16  # numbers handled at once

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """The numbers of an array (C, ...), channel by channel and as a whole.

    Attributes:
        size: how many numbers there are.
        low, mean, high: over the finite ones; 0 where there are none.
        zeros: how many are exactly zero.
        not_finite: how many are NaN or infinite.
        zero_channels: (C,) whether a channel is zero everywhere.
        lows, highs: the ends of each channel (C,), over finite numbers; inf and -inf where a
            channel has none.
        counts: the histogram (BINS,): how many finite numbers other than zero lie in each of BINS
            equal steps from low to high; the last step has its end.
    """

    size: int
    low: float
    mean: float
    high: float
    zeros: int
    not_finite: int
    zero_channels: NDArray[np.bool_]
    lows: Floats
    highs: Floats
    counts: NDArray[np.int64]

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self.lows)

    @property
    def dead(self) -> int:
        """Channels that are zero everywhere."""
        return int(np.count_nonzero(self.zero_channels))


def distribution(values: NDArray[Any]) -> Distribution:
    """The distribution of real numbers (C, ...); a scalar and a vector are one channel."""
    array = np.asarray(values)
    if array.dtype.kind != "f" or array.dtype.itemsize < 4:
        array = array.astype(np.float64 if array.dtype.itemsize > 2 else np.float32)
    channels = len(array) if array.ndim > 1 else 1
    rows = array.reshape(channels, array.size // channels if channels else 0)
    if not rows.size:
        lows, counts = np.full(channels, np.inf), np.zeros(BINS, np.int64)
        return Distribution(0, 0.0, 0.0, 0.0, 0, 0, lows < 0, lows, -lows, counts)
    sums = _Sums(channels)
    for channel, piece in _pieces(rows):
        sums.add(channel, piece)
    low, high = float(sums.lows.min()), float(sums.highs.max())
    finite = int(sums.finite.sum())
    if not finite:
        low = high = 0.0
    mean = float(sums.sums.sum() / finite) if finite else 0.0
    counts, zeros = _histogram(rows, low, high), int(rows.size - sums.others.sum())
    if zeros:
        counts[_step(np.zeros(1), low, high)[0]] -= zeros
    return Distribution(
        size=int(rows.size),
        low=low,
        mean=min(max(mean, low), high),
        high=high,
        zeros=zeros,
        not_finite=int(rows.size - finite),
        zero_channels=sums.others == 0,
        lows=sums.lows,
        highs=sums.highs,
        counts=counts,
    )


class _Sums:
    """What is added up over the pieces, a number for each channel."""

    def __init__(self, channels: int) -> None:
        self.lows, self.highs = np.full(channels, np.inf), np.full(channels, -np.inf)
        self.sums, self.finite = np.zeros(channels), np.zeros(channels, np.int64)
        self.others = np.zeros(channels, np.int64)  # numbers that are not zero

    def add(self, channel: slice, piece: NDArray[Any]) -> None:
        """Take in some numbers (c, n) of the channels in `channel`."""
        with np.errstate(all="ignore"):
            low, high = piece.min(axis=1), piece.max(axis=1)
            total = np.add.reduce(piece, axis=1)
            whole = np.isfinite(total).all()  # one value that is not finite makes the sum so
        number: Any = piece.shape[1]
        if not whole:
            finite = np.isfinite(piece)
            low = piece.min(axis=1, where=finite, initial=np.inf)
            high = piece.max(axis=1, where=finite, initial=-np.inf)
            total = np.add.reduce(piece, axis=1, where=finite, dtype=np.float64)
            number = finite.sum(axis=1)
        np.minimum(self.lows[channel], low, out=self.lows[channel])
        np.maximum(self.highs[channel], high, out=self.highs[channel])
        self.sums[channel] += total
        self.finite[channel] += number
        self.others[channel] += (piece != 0).sum(axis=1)


def _pieces(rows: NDArray[Any]) -> Any:
    """(channels, numbers) pairs: several short channels at once, or a part of a long one."""
    channels, length = rows.shape
    if length > _PIECE:
        for channel in range(channels):
            for start in range(0, length, _PIECE):
                yield (
                    slice(channel, channel + 1),
                    rows[channel : channel + 1, start : start + _PIECE],
                )
        return
    step = max(1, _PIECE // length)
    for start in range(0, channels, step):
        yield slice(start, start + step), rows[start : start + step]


def _histogram(rows: NDArray[Any], low: float, high: float) -> NDArray[np.int64]:
    counts = np.zeros(BINS, np.int64)
    for _, piece in _pieces(rows):
        steps = _step(piece.ravel(), low, high)
        if len(steps):
            counts += np.bincount(steps, minlength=BINS)[:BINS]
    return counts


def _step(numbers: NDArray[Any], low: float, high: float) -> NDArray[np.intp]:
    """The step of the histogram that each finite number is in."""
    span = high - low
    if not span > 0:
        return np.zeros(np.count_nonzero(np.isfinite(numbers)), np.intp)
    if not 1e-30 < span < 1e30:  # float32 would end here
        numbers = numbers.astype(np.float64) / 2.0**100 if span > 1 else numbers * 2.0**100
        low, span = (
            (low / 2.0**100, high / 2.0**100 - low / 2.0**100)
            if span > 1
            else (low * 2.0**100, span * 2.0**100)
        )
    with np.errstate(all="ignore"):
        places = (numbers - numbers.dtype.type(low)) * numbers.dtype.type(BINS / span)
        whole = places if np.isfinite(places.sum()) else places[np.isfinite(places)]
        steps: NDArray[np.intp] = np.minimum(whole, BINS - 1).astype(np.intp)
    return steps
