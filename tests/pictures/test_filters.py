"""Filters as tiles: which channels are shown, where, and what the caption says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layerscope.errors import UsageError
from layerscope.pictures import Filters, color, filters, grid


def weights(*dims: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(6).normal(size=dims).astype(np.float32)


def levels(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One filter's levels by hand: zero in the middle, the largest magnitude at an end."""
    return np.floor((values / np.abs(values).max() + 1) * color.TOP / 2 + 0.5).astype(int)


def tile(made: Filters, index: int) -> np.ndarray[Any, Any]:
    x, y = made.origin(index)
    height, width = made.tile
    return made.pixels[y : y + height, x : x + width]


def test_three_channels_are_colours_around_zero() -> None:
    w = weights(5, 3, 4, 6)
    made = filters(w, channels="BGR", title="conv1")
    assert made.caption.startswith(
        "conv1: 5 of 5 filters shown, 4x6 each in colour (from BGR),"
        " scaled each filter around zero (mid gray): "
    )
    np.testing.assert_array_equal(made.pixels, grid(w, "tile-signed", channels="BGR").pixels)
    zeros = filters(np.zeros((1, 3, 2, 2)))
    assert (zeros.array == 127).all()


def test_few_channels_are_all_shown_in_their_order() -> None:
    w = weights(4, 5, 2, 3)
    made = filters(w)
    assert "4 of 4 filters shown, all 5 input channels side by side, 2x3 each" in made.caption
    assert made.tile == (2, 5 * 4 - 1)
    assert made.inputs.tolist() == [[0, 1, 2, 3, 4]] * 4
    for i in range(4):
        wanted = levels(w[i])
        strip = tile(made, i)
        for k in range(5):
            np.testing.assert_array_equal(strip[:, 4 * k : 4 * k + 3], wanted[k])
        assert (strip[:, 3::4] == color.EMPTY).all()


def test_of_many_channels_the_strongest_are_shown_first() -> None:
    w = np.full((2, 40, 1, 2, 2), 0.01)
    w[0, 7], w[0, 30], w[1, 39] = 5, -9, 2
    w[1, 3, 0, 0, 0] = np.nan  # nothing is stronger: it must be seen
    made = filters(w[:, :, 0])
    assert "8 of 40 input channels, the strongest of each filter" in made.caption
    assert "1 value not finite" in made.caption
    assert made.inputs[0, :3].tolist() == [30, 7, 0]
    assert made.inputs[1, :3].tolist() == [3, 39, 0]
    assert filters(w[:, :, 0], inputs=2).inputs.tolist() == [[30, 7], [3, 39]]
    assert filters(w[:, :, 0], inputs=99).inputs.shape == (2, 40)
    assert (tile(made, 0)[:, :2] == 0).all()  # -9 is the lowest of its filter
    assert tile(made, 1)[0, 0] == color.MISSING


def test_other_shapes() -> None:
    deep = weights(3, 2, 4, 5, 6)
    made = filters(deep)
    assert "all 2 input channels side by side, 4 slices of 5x6 side by side" in made.caption
    strip = tile(made, 1)
    wanted = levels(deep[1])
    np.testing.assert_array_equal(strip[:, 25 + 6 : 25 + 12], wanted[1, 1])
    for dims in ((4, 7, 5), (4, 7, 1, 5), (4, 7, 5, 1)):
        made = filters(weights(*dims))
        assert "4 of 4 filters shown, 7x5 each (channels x width)" in made.caption
        np.testing.assert_array_equal(tile(made, 2), levels(weights(*dims)[2].reshape(7, 5)))
    for dims in ((6, 9), (6, 9, 1, 1)):
        made = filters(weights(*dims), "signed", color="diverging")
        assert "6 of 6 filters shown, one row each, scaled around zero: " in made.caption
        np.testing.assert_array_equal(made.pixels, levels(weights(6, 9)))
    assert filters(weights(9, 1, 5, 5)).pixels.shape == (17, 17)


def test_limits_are_said() -> None:
    w = weights(384, 256, 3, 3)
    made = filters(w, limit=64, title="conv3")
    assert made.caption.startswith(
        "conv3: 64 of 384 filters shown, 8 of 256 input channels, the strongest of each filter"
    )
    assert (made.shown, made.total) == (64, 384)
    np.testing.assert_array_equal(tile(made, 63), tile(filters(w), 63))
    width, height = made.width, made.height
    assert 0.5 < width / height < 2


def test_pixels_lead_to_their_filter() -> None:
    made = filters(weights(12, 4, 3, 3))
    for i in range(12):
        x, y = made.origin(i)
        assert made.index_at(x, y) == i


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros(4), {}, r"found \(4,\); a vector is drawn by plot\(\)"),
        (np.zeros((2,) * 6), {}, r"found \(2, 2, 2, 2, 2, 2\)"),
        (np.zeros((0, 3, 2, 2)), {}, r"the weights \(0, 3, 2, 2\) are empty"),
        (np.zeros((2, 4, 2, 2)), {"limit": 0}, "limit 0 is not possible"),
        (np.zeros((2, 4, 2, 2)), {"inputs": 0}, "inputs 0 is not possible"),
        (np.zeros((2, 4, 2, 2)), {"scale": "none"}, 'scale "none" is unknown'),
        (np.zeros((2, 3, 2, 2)), {"channels": "GBR"}, 'channels "GBR" is unknown'),
        (np.zeros((2, 4, 2, 2)), {"color": "jet"}, 'color map "jet" is unknown'),
        (np.zeros((2, 4, 2, 2), complex), {}, "needs real numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn(array: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        filters(array, **options)
