"""How alike two arrays are: differences, signal to noise, direction, signs, what is not finite.

Sums run in float64 over blocks of both arrays, whatever their types and memory layouts; no array of
the size of either is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10, sqrt
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Measure = Literal["relative", "absolute", "snr", "cosine"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

_BLOCK = 1 << 16  # numbers at a time: both blocks and what is made of them stay in the cache


@dataclass(frozen=True, slots=True)
class Similarity:
    """A held against B; d is A - B, taken where both are finite.

    Attributes:
        size: how many numbers each has.
        absolute: the largest |d|.
        mean: the mean |d|.
        relative: the largest |d| over the largest |A|; 0 where all d are 0.
        snr: signal to noise in dB, 10 log10(sum A^2 / sum d^2); infinite where all d are 0.
        cosine: of the angle between the two, -1 to 1; 1 where both are 0 everywhere.
        flips: share of the numbers that are positive in one and negative in the other, 0 to 1.
        nan_a, nan_b: how many numbers are NaN.
        infinite_a, infinite_b: how many are infinite.
        apart: places where one of them is not finite and the other is not the same.
        peak: the largest |A|.
        place: where |d| is largest, as an index into A flattened; the first of equals.
        at_a, at_b: the two numbers there.
    """

    size: int
    absolute: float
    mean: float
    relative: float
    snr: float
    cosine: float
    flips: float
    nan_a: int
    nan_b: int
    infinite_a: int
    infinite_b: int
    apart: int
    peak: float
    place: int
    at_a: float
    at_b: float

    @property
    def equal(self) -> bool:
        """Whether all numbers are the same; NaN is the same as NaN here."""
        return self.absolute == 0 and self.apart == 0

    def value(self, by: Measure) -> float:
        """The number of one measure."""
        found: float = getattr(self, by)
        return found

    def beyond(self, threshold: float, by: Measure) -> bool:
        """Whether the two differ by more than the threshold; for snr and cosine: are less alike.

        Where one is not finite and the other is not the same, they always do.
        """
        if self.apart:
            return True
        value = self.value(by)
        return value < threshold if by in ("snr", "cosine") else value > threshold

    def rank(self, by: Measure) -> tuple[int, float]:
        """For sorting: the larger, the less alike."""
        value = self.value(by)
        return self.apart, -value if by in ("snr", "cosine") else value


def similarity(a: NDArray[Any], b: NDArray[Any]) -> Similarity:
    """Hold two arrays of one shape against each other.

    Raises:
        ValueError: their shapes differ.
    """
    tally = Tally()
    tally.add(a, b)
    return tally.result()


class Tally:
    """Sums over pairs of arrays, which together are held against each other as if they were one."""

    def __init__(self) -> None:
        self._size = self._excluded = self._flips = self._apart = 0
        self._nan = [0, 0]
        self._infinite = [0, 0]
        self._sum = self._aa = self._bb = self._ab = self._dd = 0.0
        self._most = self._peak = 0.0
        self._place, self._at = 0, (0.0, 0.0)

    def add(self, a: NDArray[Any], b: NDArray[Any]) -> None:
        """Take in one pair.

        Raises:
            ValueError: their shapes differ.
        """
        if a.shape != b.shape:
            raise ValueError(f"shapes {a.shape} and {b.shape} differ")
        blocks = np.nditer(
            [a, b],
            flags=["external_loop", "buffered", "zerosize_ok"],
            op_flags=[["readonly"], ["readonly"]],
            op_dtypes=[np.float64, np.float64],
            casting="unsafe",
            order="C",  # the place of the largest difference counts in this order
            buffersize=_BLOCK,
        )
        if not a.size:
            return
        with np.errstate(all="ignore"):
            for x, y in blocks:
                self._block(x, y)

    def include(self, other: Tally) -> None:
        """Take in all that another one has seen, as if it came after."""
        if other._most > self._most:
            self._most, self._at = other._most, other._at
            self._place = self._size + other._place
        self._size += other._size
        self._excluded += other._excluded
        self._flips += other._flips
        self._apart += other._apart
        self._nan = [mine + its for mine, its in zip(self._nan, other._nan, strict=True)]
        self._infinite = [m + i for m, i in zip(self._infinite, other._infinite, strict=True)]
        self._sum += other._sum
        self._aa += other._aa
        self._bb += other._bb
        self._ab += other._ab
        self._dd += other._dd
        self._peak = max(self._peak, other._peak)

    def _block(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        start = self._size
        self._size += x.size
        d = x - y
        squares = float(d @ d)
        if not np.isfinite(squares):
            x, y, d = self._finite_only(x, y)
            squares = float(d @ d)
        self._dd += squares
        self._aa += float(x @ x)
        self._bb += float(y @ y)
        self._ab += float(x @ y)
        self._flips += int(np.count_nonzero((np.sign(x) * np.sign(y)) < 0))
        self._peak = max(self._peak, float(x.max()), -float(x.min()))
        np.abs(d, out=d)
        self._sum += float(d.sum())
        worst = int(d.argmax())
        if d[worst] > self._most:
            self._most, self._place = float(d[worst]), start + worst
            self._at = float(x[worst]), float(y[worst])

    def _finite_only(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Count what is not finite, and put 0 in both where either is not."""
        for side, values in enumerate((x, y)):
            self._nan[side] += int(np.isnan(values).sum())
            self._infinite[side] += int(np.isinf(values).sum())
        finite = np.isfinite(x) & np.isfinite(y)
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        self._apart += int(np.count_nonzero(~finite & ~same))
        x, y = np.where(finite, x, 0.0), np.where(finite, y, 0.0)
        self._excluded += int(np.count_nonzero(~finite))
        return x, y, x - y

    def result(self) -> Similarity:
        """What the sums say so far."""
        finite = self._size - self._excluded
        lengths = sqrt(self._aa) * sqrt(self._bb)
        if self._dd == 0:
            cosine = 1.0
        elif lengths:
            cosine = max(-1.0, min(1.0, self._ab / lengths))
        else:
            cosine = 0.0
        relative = self._most / self._peak if self._peak else (inf if self._most else 0.0)
        return Similarity(
            size=self._size,
            absolute=self._most,
            mean=self._sum / finite if finite else 0.0,
            relative=relative,
            snr=_decibels(self._aa, self._dd),
            cosine=cosine,
            flips=self._flips / self._size if self._size else 0.0,
            nan_a=self._nan[0],
            nan_b=self._nan[1],
            infinite_a=self._infinite[0],
            infinite_b=self._infinite[1],
            apart=self._apart,
            peak=self._peak,
            place=self._place,
            at_a=self._at[0],
            at_b=self._at[1],
        )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return inf
    return 10 * (log10(signal) - log10(noise)) if signal else -inf
