"""The distribution of numbers, against NumPy's own slow ways."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.measure.distribution import BINS, distribution

random = np.random.default_rng(3)


@pytest.mark.parametrize(
    "values",
    [
        random.normal(size=(5, 31, 7)).astype(np.float32),
        np.maximum(0, random.normal(size=(6, 200_000))).astype(np.float32),
        random.normal(size=(70_000, 3)).astype(np.float32),
        random.normal(size=17),
        random.integers(-4, 9, size=(3, 40)),
        np.float16([[1, 2, -3], [0, 0, 0]]),
        np.float32(2.5),
        1e34 * random.normal(size=(2, 99)).astype(np.float32),
        1e-36 * random.normal(size=(2, 99)),
        1e300 * random.normal(size=(2, 99)),
    ],
    ids=["maps", "long", "many", "vector", "integers", "half", "scalar", "large", "small", "huge"],
)
def test_against_numpy(values: np.ndarray) -> None:
    found = distribution(values)
    wide = np.asarray(values, np.float64)
    rows = wide.reshape(len(wide), -1) if wide.ndim > 1 else wide.reshape(1, -1)
    assert (found.low, found.high, found.size) == (wide.min(), wide.max(), wide.size)
    assert found.mean == pytest.approx(wide.mean(), rel=1e-5, abs=1e-6 * np.abs(wide).max())
    assert found.zeros == (wide == 0).sum() and found.not_finite == 0
    np.testing.assert_array_equal(found.lows, rows.min(axis=1))
    np.testing.assert_array_equal(found.highs, rows.max(axis=1))
    assert (found.channels, found.dead) == (len(rows), (rows == 0).all(axis=1).sum())
    scale = np.abs(wide).max() or 1  # NumPy's histogram has no room for 1e300
    wanted, _ = np.histogram(wide / scale, BINS, (found.low / scale, found.high / scale))
    if wide.ndim:  # of one number NumPy takes the middle step
        wanted[np.histogram([0.0], BINS, (found.low / scale, found.high / scale))[0] > 0] -= (
            found.zeros
        )
        assert found.counts.sum() == wanted.sum()
        # A value on an edge may fall to either side, as float32 rounds.
        assert np.abs(np.cumsum(found.counts) - np.cumsum(wanted)).max() <= max(3, 1e-4 * wide.size)


def test_numbers_that_are_not_finite_take_no_part() -> None:
    values = np.array([[1, np.nan, 3], [np.inf, -np.inf, 2], [np.nan] * 3, [0, 0, 0]], np.float32)
    found = distribution(values)
    assert (found.low, found.high, found.mean) == (0, 3, 1)
    assert (found.not_finite, found.zeros, found.dead) == (6, 3, 1)
    np.testing.assert_array_equal(found.lows, [1, 2, np.inf, 0])
    np.testing.assert_array_equal(found.highs, [3, 2, -np.inf, 0])
    assert found.counts.sum() == 3 and found.counts[-1] == 1


def test_nothing_finite_and_nothing_at_all() -> None:
    found = distribution(np.full((2, 3), np.nan))
    assert (found.low, found.mean, found.high, found.not_finite) == (0, 0, 0, 6)
    empty = distribution(np.zeros((0, 3)))
    assert (empty.size, empty.channels, empty.counts.sum()) == (0, 0, 0)


def test_a_mean_that_float32_could_not_add_up() -> None:
    values = np.full((1, 20_000_000), 0.1, np.float32)
    assert distribution(values).mean == pytest.approx(0.1, rel=1e-6)
