"""What a blob's numbers are like: range, mean, share of zeros, dead channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Stats:
    """Statistics of one array.

    Attributes:
        low, mean, high, deviation: over the finite numbers; 0 where there are none.
        zeros: share of exact zeros, 0 to 1.
        not_finite: how many numbers are NaN or infinite.
        channels, dead: channels (axis 1) and how many of them are 0 everywhere.
    """

    low: float
    mean: float
    high: float
    deviation: float
    zeros: float
    not_finite: int
    channels: int
    dead: int


def stats(array: NDArray[Any]) -> Stats:
    """Statistics of an array (N, C, ...); fewer axes count as one channel."""
    values = np.asarray(array)
    finite = np.isfinite(values)
    whole = bool(finite.all())
    numbers = values if whole else values[finite]
    if values.ndim > 1:
        axes = tuple(i for i in range(values.ndim) if i != 1)
        dead = int((~values.any(axis=axes)).sum())
        channels = values.shape[1]
    else:
        dead, channels = int(values.size > 0 and not values.any()), 1
    if numbers.size == 0:
        return Stats(0.0, 0.0, 0.0, 0.0, 0.0, int(values.size), channels, dead)
    return Stats(
        low=float(numbers.min()),
        mean=float(numbers.mean(dtype=np.float64)),
        high=float(numbers.max()),
        deviation=float(numbers.std(dtype=np.float64)),
        zeros=float(1 - np.count_nonzero(values) / max(1, values.size)),
        not_finite=int(values.size - numbers.size),
        channels=channels,
        dead=dead,
    )
