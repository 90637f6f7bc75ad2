from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from layerscope.errors import UsageError
from layerscope.pictures.scale import SCALES, Scale, measure, real_numbers, stretch


class Scaled(NamedTuple):
    levels: np.ndarray[Any, Any]
    low: float
    high: float
    finite: np.ndarray[Any, Any] | None


def normalize(tiles: Any, scale: Scale = "all") -> Scaled:
    """Levels 0..255, as a grid finds them step by step."""
    array = real_numbers(tiles)
    extent = measure(array, scale)
    return Scaled(stretch(array, extent), *extent.range, extent.finite)


def slow(tiles: np.ndarray[Any, Any], scale: Scale) -> np.ndarray[Any, Any]:
    """The levels by exact fractions, value by value; a value exactly between two goes up."""
    out = np.zeros(tiles.shape, np.uint8)
    every = [Fraction(float(v)) for v in tiles.ravel() if math.isfinite(v)]
    for index in np.ndindex(tiles.shape):
        if not math.isfinite(tiles[index]):
            continue
        peers = every
        if scale in ("tile", "tile-signed"):
            peers = [Fraction(float(v)) for v in tiles[index[0]].ravel() if math.isfinite(v)]
        low, high, top = min(peers), max(peers), 255
        if scale in ("signed", "tile-signed"):
            high = max(abs(low), abs(high))
            low, top = -high, 254
        value = Fraction(float(tiles[index]))
        share = (value - low) / (high - low) * top if high > low else Fraction(top // 2)
        out[index] = math.floor(share + Fraction(1, 2))
    return out


def test_all_goes_from_lowest_to_highest_of_the_stack() -> None:
    tiles = np.array([[[0.0, 1.0, 2.0]], [[3.0, 4.0, 5.0]]])
    scaled = normalize(tiles, "all")
    np.testing.assert_array_equal(scaled.levels, [[[0, 51, 102]], [[153, 204, 255]]])
    assert (scaled.low, scaled.high, scaled.finite) == (0, 5, None)


def test_tile_signed_has_zero_in_the_middle_of_each_tile() -> None:
    tiles = np.array([[[-1.0, 0.0, 0.5]], [[0.0, 10.0, 5.0]], [[np.nan, np.inf, -np.inf]]])
    scaled = normalize(tiles, "tile-signed")
    assert scaled.levels[:2].tolist() == [[[0, 127, 191]], [[127, 254, 191]]]
    assert (scaled.low, scaled.high) == (-10, 10)


def test_tile_goes_from_lowest_to_highest_of_each_tile() -> None:
    tiles = np.array([[[0.0, 1.0, 5.0]], [[-10.0, 10.0, 0.0]], [[7.0, 7.0, 7.0]]])
    scaled = normalize(tiles, "tile")
    np.testing.assert_array_equal(scaled.levels, [[[0, 51, 255]], [[0, 255, 128]], [[127] * 3]])
    assert (scaled.low, scaled.high) == (-10, 10)


def test_signed_puts_zero_in_the_middle() -> None:
    scaled = normalize(np.array([[-1.0, 0.0, 0.5, 2.0]], np.float32), "signed")
    np.testing.assert_array_equal(scaled.levels, [[64, 127, 159, 254]])
    assert (scaled.low, scaled.high) == (-2, 2)


@pytest.mark.parametrize("value", [0.0, 3.25, -1e30, 1e-320])
@pytest.mark.parametrize("scale", ["all", "tile"])
def test_equal_values_are_mid_gray(value: float, scale: Scale) -> None:
    assert (normalize(np.full((2, 3, 5), value), scale).levels == 127).all()


def test_equal_values_compared_with_zero() -> None:
    assert (normalize(np.zeros((2, 3)), "signed").levels == 127).all()
    assert (normalize(np.full((2, 3), 4.0), "signed").levels == 254).all()
    assert (normalize(np.full((2, 3), -4.0), "signed").levels == 0).all()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", ">f4", "g", "u1", "i1", "i2", "u2", "i4", "i8", "?"]
)
def test_every_type_agrees_with_the_slow_way(scale: Scale, dtype: str) -> None:
    rng = np.random.default_rng(3)
    tiles = (rng.standard_normal((3, 5, 7)) * 40).astype(dtype)
    got, want = normalize(tiles, scale).levels.astype(int), slow(tiles, scale).astype(int)
    # Float32 may fall on the other side of a half; more than that would be a fault.
    assert np.abs(got - want).max() <= 1
    assert (got != want).mean() < 0.03


@pytest.mark.parametrize("scale", SCALES)
def test_many_pieces_agree_with_one(scale: Scale) -> None:
    rng = np.random.default_rng(4)
    tiles = rng.standard_normal((37, 53, 61)).astype(np.float32)
    extent = measure(tiles, scale)
    whole = stretch(tiles, extent)
    for index in (0, 10, 11, 36):
        low = extent.low[index] if scale.startswith("tile") else extent.low
        high = extent.high[index] if scale.startswith("tile") else extent.high
        top = 254 if scale.endswith("signed") else 255
        exact = (tiles[index].astype(float) - low) / (high - low) * top
        assert np.abs(whole[index] - exact).max() < 0.501


def test_a_large_offset_does_not_eat_the_differences() -> None:
    tiles = np.array([[16777216.0, 16777218.0, 16777226.0]], np.float32)
    np.testing.assert_array_equal(normalize(tiles).levels, [[0, 51, 255]])


@pytest.mark.parametrize("dtype", ["f8", "i4", "i8", "u4"])
def test_what_float32_cannot_tell_apart(dtype: str) -> None:
    tiles = np.array([[2000000000, 2000000001, 2000000005]], dtype)
    np.testing.assert_array_equal(normalize(tiles).levels, [[0, 51, 255]])


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("f4", -3.4e38, 3.4e38),
        ("f8", -1.7e308, 1.7e308),
        ("f8", 0.0, 5e-324),
        ("f8", 0.0, 1e-300),
        ("f4", 0.0, 1e-45),
        ("f2", -65504, 65504),
        ("i8", -(2**63), 2**63 - 1),
        ("u8", 0, 2**64 - 1),
    ],
)
@pytest.mark.parametrize("scale", ["all", "tile"])
def test_the_ends_of_a_type(dtype: str, low: float, high: float, scale: Scale) -> None:
    tiles = np.array([[low, high]], dtype)
    np.testing.assert_array_equal(normalize(tiles, scale).levels, [[0, 255]])


def test_huge_and_tiny_tiles_side_by_side() -> None:
    tiles = np.array([[-1.7e308, 0, 1.7e308], [0, 1e-310, 2e-310], [1, 2, 3]])
    np.testing.assert_array_equal(normalize(tiles, "tile").levels, [[0, 128, 255]] * 3)


@pytest.mark.parametrize("scale", SCALES)
def test_what_is_not_finite_takes_no_part(scale: Scale) -> None:
    tiles = np.array([[[np.nan, -2.0, 1.0]], [[np.inf, -np.inf, 2.0]]], np.float32)
    scaled = normalize(tiles, scale)
    np.testing.assert_array_equal(scaled.levels, slow(tiles, scale))
    np.testing.assert_array_equal(scaled.finite, np.isfinite(tiles))
    assert (scaled.low, scaled.high) == (-2, 2)


@pytest.mark.parametrize("scale", SCALES)
def test_nothing_finite_at_all(scale: Scale) -> None:
    scaled = normalize(np.full((2, 3, 5), np.nan), scale)
    assert (scaled.levels == 0).all()
    assert math.isnan(scaled.low)
    assert math.isnan(scaled.high)
    assert scaled.finite is not None
    assert not scaled.finite.any()


@given(
    tiles=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int16]),
        hnp.array_shapes(min_dims=2, max_dims=3),
    ),
    scale=st.sampled_from(["all", "signed"]),
)
def test_a_larger_value_never_gets_a_lower_level(tiles: Any, scale: Scale) -> None:
    levels = normalize(tiles, scale).levels.ravel()
    values = tiles.ravel()
    order = np.argsort(values[np.isfinite(values)], kind="stable")
    ranked = levels[np.isfinite(values)][order].astype(int)
    assert (np.diff(ranked) >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_input_is_not_changed(dtype: Any) -> None:
    tiles = np.array([[1.0, np.nan, 3.0]], dtype)
    before = tiles.copy()
    tiles.flags.writeable = False
    normalize(tiles)
    np.testing.assert_array_equal(tiles, before)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((2, 3), complex), "real numbers"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.array([[None]]), "real numbers"),
        (np.zeros((0, 3)), r"\(0, 3\) is empty"),
        (np.float32(3), "empty"),
    ],
)
def test_what_cannot_be_scaled(values: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        normalize(values)


def test_an_unknown_scale_lists_the_known() -> None:
    with pytest.raises(UsageError, match='"log" is unknown; possible: all, tile, signed'):
        normalize(np.zeros((2, 3)), "log")  # type: ignore[arg-type]
