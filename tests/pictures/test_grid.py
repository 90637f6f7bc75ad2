from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.errors import UsageError
from layerscope.pictures import Grid, grid
from layerscope.pictures import color as colors
from layerscope.pictures.grid import MOST_PIXELS

W = 255


def slow(planes: list[Any], columns: int, gap: int) -> list[list[int]]:
    """Lay planes of levels out pixel by pixel."""
    high, wide = len(planes[0]), len(planes[0][0])
    rows = (len(planes) + columns - 1) // columns
    page = [[W] * (columns * (wide + gap) - gap) for _ in range(rows * (high + gap) - gap)]
    for number, plane in enumerate(planes):
        for y in range(high):
            for x in range(wide):
                top, left = number // columns * (high + gap), number % columns * (wide + gap)
                page[top + y][left + x] = int(plane[y][x])
    return page


def levels(n: int, h: int, w: int) -> np.ndarray[Any, Any]:
    """Bytes with both 0 and 255 among them, so that the scale leaves them as they are."""
    made = np.random.default_rng(5).integers(0, 256, (n, h, w))
    made[0, 0, 0], made[-1, -1, -1] = 0, 255
    return made


def test_five_tiles_in_full() -> None:
    tiles = np.array([[[0, 5, 10]], [[15, 20, 25]], [[30, 35, 40]], [[45, 46, 47]], [[48, 49, 51]]])
    made = grid(tiles)
    assert made.pixels.tolist() == [
        [0, 25, 50, W, 75, 100, 125, W, 150, 175, 200],
        [W] * 11,
        [225, 230, 235, W, 240, 245, 255, W, W, W, W],
    ]
    assert (made.rows, made.columns, made.tile) == (2, 3, (1, 3))
    assert (made.shown, made.total, made.low, made.high) == (5, 5, 0, 51)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 9, 10, 17])
@pytest.mark.parametrize("gap", [0, 1, 3])
@pytest.mark.parametrize("columns", [None, 1, 3, 100])
def test_layout_agrees_with_the_slow_way(count: int, gap: int, columns: int | None) -> None:
    tiles = levels(count, 3, 5)
    made = grid(tiles, gap=gap, columns=columns)
    square = next(c for c in range(1, 99) if c * c >= count)
    wide = square if columns is None else min(columns, count)
    assert made.pixels.tolist() == slow(list(tiles), wide, gap)
    assert made.columns == wide


@given(
    n=st.integers(1, 40),
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    gap=st.integers(0, 3),
    columns=st.none() | st.integers(1, 50),
)
def test_pixel_and_tile_law(n: int, h: int, w: int, gap: int, columns: int | None) -> None:
    made = grid(np.zeros((n, h, w)), gap=gap, columns=columns)
    owner = np.full((made.height, made.width), -1)
    for index in range(n):
        x, y = made.origin(index)
        assert (owner[y : y + h, x : x + w] == -1).all()
        owner[y : y + h, x : x + w] = index
        assert made.index_at(x, y) == made.index_at(x + w - 0.5, y + h - 1) == index
    for y, x in np.ndindex(owner.shape):
        assert made.index_at(x, y) == (None if owner[y, x] < 0 else owner[y, x])
    np.testing.assert_array_equal(made.pixels == colors.EMPTY, owner < 0)


@pytest.mark.parametrize("place", [(-1, 0), (0, -0.5), (15, 0), (0, 99), (float("nan"), 0)])
def test_there_is_no_tile_outside(place: tuple[float, float]) -> None:
    made = grid(np.zeros((5, 3, 4)))
    assert (made.width, made.height) == (14, 7)
    assert made.index_at(*place) is None


@pytest.mark.parametrize("index", [-1, 5])
def test_a_tile_that_is_not_there_has_no_origin(index: int) -> None:
    with pytest.raises(UsageError, match=f"tile {index} is not shown; possible: 0 to 4"):
        grid(np.zeros((5, 3, 4))).origin(index)


@pytest.mark.parametrize(
    ("shape", "total", "tile", "colored"),
    [
        ((5, 7), 1, (5, 7), False),
        ((5, 3), 1, (5, 3), False),
        ((4, 5, 7), 4, (5, 7), False),
        ((4, 5, 3), 4, (5, 3), False),
        ((4, 1, 5, 7), 4, (5, 7), False),
        ((4, 2, 5, 7), 8, (5, 7), False),
        ((4, 3, 5, 7), 4, (5, 7), True),
        ((4, 5, 7, 3), 4, (5, 7), True),
        ((4, 3, 5, 3), 4, (5, 3), True),
        ((4, 3, 3, 3), 4, (3, 3), True),
        ((8, 4, 3, 3), 32, (3, 3), False),
        ((1, 9, 1, 1), 9, (1, 1), False),
    ],
)
def test_which_axes_are_tiles_and_colours(
    shape: tuple[int, ...], total: int, tile: tuple[int, int], colored: bool
) -> None:
    made = grid(np.arange(np.prod(shape)).reshape(shape))
    assert (made.total, made.tile, made.pixels.ndim == 3) == (total, tile, colored)


def test_planes_of_several_channels_are_in_order() -> None:
    tiles = levels(6, 5, 7)
    made = grid(tiles.reshape(3, 2, 5, 7), columns=4)
    assert made.pixels.tolist() == slow(list(tiles), 4, 1)


def test_colour_order() -> None:
    pixel = np.array([0, 51, 255]).reshape(1, 3, 1, 1)
    assert grid(pixel).array.tolist() == [[[0, 51, 255]]]
    assert grid(pixel, channels="BGR").array.tolist() == [[[255, 51, 0]]]
    assert grid(pixel.reshape(1, 1, 1, 3), channels="BGR").array.tolist() == [[[255, 51, 0]]]


def test_colour_tiles_are_scaled_together() -> None:
    pictures = np.array([[0, 10, 20], [30, 40, 51]]).reshape(2, 1, 1, 3)
    assert grid(pictures).array[0, ::2].tolist() == [[0, 50, 100], [150, 200, 255]]
    assert grid(pictures, "tile").array[0, ::2].tolist() == [[0, 128, 255], [0, 121, 255]]


def test_limit_shows_the_first_but_scales_over_all() -> None:
    tiles = np.arange(96 * 2 * 3).reshape(96, 2, 3) * 1.0
    made = grid(tiles, limit=36, title="conv1")
    assert (made.shown, made.total, made.columns, made.high) == (36, 96, 6, 575)
    assert made.caption == "conv1: 36 of 96 shown, 2x3 each, scaled over all: 0 … 575"
    assert made.pixels[0, 0] == 0
    assert made.pixels[-1, -1] == round(215 / 575 * 255)


def test_a_picture_that_would_be_too_large_shows_what_fits() -> None:
    tiles = np.broadcast_to(np.float32(1), (900, 199, 149))
    made = grid(tiles)
    assert made.caption.startswith(f"{made.shown} of 900 shown, 199x149 each")
    assert made.shown < 900
    assert made.width * made.height <= MOST_PIXELS
    more = grid(tiles, limit=made.shown + 1)
    assert (more.height + 1) * (more.width + 1) > MOST_PIXELS
    assert grid(tiles, limit=900).shown == 900


def test_one_tile_is_always_shown() -> None:
    assert grid(np.zeros((2, 1, 4096 * 4096 + 1), np.uint8)).shown == 1


def test_many_small_tiles_fit() -> None:
    made = grid(np.zeros((256, 96, 5, 5), np.float32))
    assert (made.shown, made.total) == (24576, 24576)


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ("all", "scaled over all: -3.21 … 12.1"),
        ("tile", "scaled each by its own: -3.21 … 12.1"),
        ("signed", "scaled around zero: -12.1 … 12.1"),
    ],
)
def test_caption_states_scale_and_range(scale: Any, words: str) -> None:
    tiles = np.array([[[-3.2149, 1.0]], [[0.0, 12.1]]])
    assert grid(tiles, scale).caption == f"2 of 2 shown, 1x2 each, {words}"


def test_values_that_are_not_finite_are_counted_and_marked() -> None:
    tiles = np.array([[[0.0, np.nan, 4.0]], [[np.inf, -np.inf, 2.0]]])
    made = grid(tiles)
    assert made.caption.endswith("scaled over all: 0 … 4; 3 values not finite (magenta)")
    black, white, pink, gray = [0] * 3, [255] * 3, [255, 0, 255], [128] * 3
    assert made.array.tolist() == [[black, pink, white, white, pink, pink, gray]]


def test_some_of_the_tiles_that_are_each_scaled_by_their_own() -> None:
    tiles = np.random.default_rng(4).normal(size=(10, 3, 4))
    for scale in ("tile", "tile-signed"):
        some, whole = grid(tiles, scale, limit=5, columns=5), grid(tiles, scale, columns=5)
        np.testing.assert_array_equal(some.pixels, whole.pixels[:3])


def test_those_beyond_the_limit_are_counted_too() -> None:
    tiles = np.array([[[0.0, 4.0]], [[np.nan, 2.0]]])
    made = grid(tiles, limit=1)
    assert "1 value not finite" in made.caption
    assert made.array.tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize("scale", ["all", "tile", "signed"])
def test_all_nan_is_all_magenta(scale: Any) -> None:
    made = grid(np.full((1, 2, 3), np.nan), scale)
    assert (made.array == colors.NOT_A_NUMBER).all()
    assert made.caption.endswith("nan … nan; 6 values not finite (magenta)")


def test_a_colour_pixel_with_one_bad_channel_is_marked() -> None:
    pictures = np.array([[0, np.nan, 20], [30, 40, 51]]).reshape(2, 1, 1, 3)
    assert grid(pictures).array[0, ::2].tolist() == [[255, 0, 255], [150, 200, 255]]


def test_signed_is_blue_white_red() -> None:
    blue, white, red = grid(np.array([[-2.0, 0.0, 2.0]]), "signed").array[0]
    assert white.tolist() == [255, 255, 255]
    assert blue[2] > 150 > blue[0]
    assert red[0] > 150 > red[2]


def test_signed_can_be_gray() -> None:
    made = grid(np.array([[-2.0, 0.0, 1.0]]), "signed", color="gray")
    assert made.pixels.tolist() == [[0, 127, 191]]


def test_gaps_are_white_in_every_colour_map() -> None:
    for name in colors.COLORS:
        assert (grid(np.zeros((2, 3, 5)), color=name).array[:, 5] == 255).all()


def test_strides_do_not_matter() -> None:
    blob = np.random.default_rng(6).standard_normal((9, 10, 14))
    part = blob[::2, ::2, ::-2]
    np.testing.assert_array_equal(grid(part).pixels, grid(part.copy()).pixels)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((), r"found \(\)$"),
        ((7,), r"found \(7,\); a vector is drawn by plot\(\)"),
        ((2, 3, 5, 7, 11), r"found \(2, 3, 5, 7, 11\)"),
        ((0, 5, 7), r"\(0, 5, 7\) is empty"),
        ((4, 0, 7), r"\(4, 0, 7\) is empty"),
        ((4, 0, 5, 7), r"\(4, 0, 5, 7\) is empty"),
        ((4, 3, 5, 0), r"\(4, 3, 5, 0\) is empty"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        grid(np.zeros(shape))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, "limit 0 is not possible; possible: 1 and more"),
        ({"columns": -2}, "columns -2 is not possible"),
        ({"gap": -1}, "gap -1 is not possible; possible: 0 to 64"),
        ({"gap": 10**12}, "possible: 0 to 64"),
        ({"scale": "log"}, "possible: all, tile, signed"),
        ({"color": "jet"}, "possible: gray, heat, diverging"),
        ({"channels": "RGBA"}, "possible: RGB, BGR"),
    ],
)
def test_options_that_are_not_possible(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        grid(np.zeros((4, 5, 7)), **options)


def test_colour_tiles_take_no_colour_map() -> None:
    with pytest.raises(UsageError, match="take no colour map"):
        grid(np.zeros((4, 3, 5, 7)), color="heat")


def test_a_hostile_title_is_made_printable() -> None:
    made = grid(np.zeros((1, 2, 3)), title="conv\n\x1b[31m" + "x" * 5000)
    assert made.caption.isprintable()
    assert "1 of 1 shown" in made.caption
    assert isinstance(made, Grid)
