"""What is packed is what was there, to half a step; an independent reader of the bytes."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from layerscope.pictures.packed import pack

random = np.random.default_rng(9)


def unpacked(data: str, tiles: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (tiles, size), and the low and high ends (tiles,), read as the docstring says."""
    raw = zlib.decompress(base64.b64decode(data))
    low = np.frombuffer(raw, "<f4", tiles).astype(np.float64)
    high = np.frombuffer(raw, "<f4", tiles, offset=4 * tiles).astype(np.float64)
    codes = np.frombuffer(raw, np.uint8, offset=8 * tiles).reshape(tiles, size)
    values = low[:, None] + (codes.astype(np.float64) - 1) / 254 * (high - low)[:, None]
    values[codes == 0] = np.nan
    return values, low, high


@pytest.mark.parametrize("factor", [1, 1e-37, 1e37, 1e-5])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_come_back(factor: float, kind: type) -> None:
    tiles = (factor * random.normal(size=(9, 11, 13))).astype(kind)
    values, low, high = unpacked(pack(tiles, tiles.min((1, 2)), tiles.max((1, 2))), 9, 143)
    step = (high - low)[:, None] / 254
    assert (np.abs(values - tiles.reshape(9, -1)) <= 0.505 * step).all()


def test_the_ends_and_equal_values_are_exact() -> None:
    tiles = np.array([[-1.5, 0, 2.25], [7, 7, 7], [0, 0, 0]], np.float32)
    values, *_ = unpacked(pack(tiles, tiles.min(1), tiles.max(1)), 3, 3)
    assert values[0, 0] == -1.5 and values[0, 2] == 2.25
    assert (values[1] == 7).all() and (values[2] == 0).all()


def test_what_is_not_finite_has_its_own_code() -> None:
    tiles = np.array([[1, np.nan, 2, np.inf], [np.nan] * 4, [-np.inf, 5, 5, 5]], np.float32)
    data = pack(tiles, np.array([1, np.inf, 5]), np.array([2, -np.inf, 5]))
    values, low, high = unpacked(data, 3, 4)
    np.testing.assert_array_equal(values[0], [1, np.nan, 2, np.nan])
    assert np.isnan(values[1]).all() and low[1] == high[1] == 0
    np.testing.assert_array_equal(values[2], [np.nan, 5, 5, 5])


def test_numbers_that_do_not_repeat_cost_a_byte() -> None:
    tiles = random.normal(size=(64, 56, 56)).astype(np.float32)
    assert len(pack(tiles, tiles.min((1, 2)), tiles.max((1, 2)))) < 1.34 * tiles.size
