"""The contact sheet: the heading above, every tile where it belongs, lines below, nothing cut off."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from layerscope.errors import UsageError
from layerscope.pictures.contact import WIDE, contact_sheet, shortened
from layerscope.pictures.image import Picture

MARGIN = 12  # of a page with words


def tiles(count: int, height: int, width: int) -> list[np.ndarray]:
    """Tiles of one colour each."""
    return [np.full((height, width, 3), (10 + 2 * i, 200 - i, 90), np.uint8) for i in range(count)]


def first_row(sheet: Picture, tile: np.ndarray) -> int:
    """The first row of the page in which the tile's colour is."""
    return int(np.flatnonzero((sheet.pixels[:, MARGIN] == tile[0, 0]).all(axis=1))[0])


def ink(pixels: np.ndarray) -> np.ndarray:
    """How many rows each line of words has."""
    rows = np.flatnonzero((pixels < 128).any(axis=(1, 2)))
    return np.array([len(part) for part in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)])


def test_the_heading_is_small_and_in_one_line_where_that_fits() -> None:
    words = "17 of 17 units of a net: the image that each wants, and its number for it (128 steps)"
    for count, side, lines in ((96, 100, 1), (20, 100, 1), (1, 20, 2)):
        made = tiles(count, side, side)
        sheet = contact_sheet(made, ["a"] * count, words, side=side)
        heights = ink(sheet.pixels[: first_row(sheet, made[0])])
        assert len(heights) == lines and heights.max() <= 16, (count, heights)
    bare = contact_sheet(made, ["a"], "", side=20)
    assert first_row(bare, made[0]) == MARGIN


def test_long_labels_stay_in_their_cells_and_keep_their_numbers() -> None:
    font = ImageFont.load_default(11)
    name, tail = "inception_4c/double3x3_reduce_branch", ":127 = 13.5"
    assert shortened("conv1", 100, font, tail) == f"conv1{tail}"
    cut = shortened(name, 100, font, tail)
    assert cut.startswith("inc") and cut.endswith(f"…{tail}") and font.getlength(cut) <= 100
    only = shortened(name, 30, font, tail)
    assert only.startswith(":12") and only.endswith("…") and font.getlength(only) <= 30
    made = tiles(6, 100, 100)
    sheet = contact_sheet(made, [name] * 6, "", tails=[tail] * 6)
    for column in (1, 2):  # nothing between two cells
        x = MARGIN + column * 108
        assert (sheet.pixels[:, x - 8 : x] == 255).all()
    assert (sheet.pixels[MARGIN + 100 : MARGIN + 118, MARGIN + 60 : MARGIN + 100] < 100).any()


def test_tiles_stand_in_rows_with_words_below() -> None:
    made = tiles(7, 130, 140)
    sheet = contact_sheet(made, [f"unit {i}" for i in range(7)], "seven of them")
    top = first_row(sheet, made[0])
    assert (sheet.pixels[MARGIN:top] < 100).any() and 20 < top - MARGIN < 40  # one line, above
    pixels = sheet.pixels[top:, MARGIN:]
    columns = 4  # the square root of 7 * 1.3, rounded up
    below = None
    for number, tile in enumerate(made):
        row, column = divmod(number, columns)
        x = column * 148
        y = 0 if row == 0 else below
        assert y is not None
        assert (pixels[y : y + 130, x : x + 140] == tile[0, 0]).all(), number
        if number == 3:  # the next row begins with the colour of its first tile
            below = int(np.flatnonzero((pixels[:, 0] == made[4][0, 0]).all(axis=1))[0])
            assert 140 < below < 190
        words = pixels[y + 130 : y + 150, x : x + 140]
        assert (words < 100).any(), f"no words below tile {number}"
    assert sheet.caption == "seven of them"


@pytest.mark.parametrize(
    ("count", "side", "widest"), [(96, 227, 1650), (3, 900, 1650), (2, 9, 400)]
)
def test_pages_are_neither_huge_nor_tiny(count: int, side: int, widest: int) -> None:
    sheet = contact_sheet(tiles(count, side, side), ["x"] * count, "")
    assert 250 < sheet.width <= widest <= WIDE + 50


def test_small_tiles_are_enlarged_in_squares_and_large_ones_averaged() -> None:
    small = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
    pixels = contact_sheet([small], [""], "").pixels
    times = 14  # 128 // 9
    found = pixels[MARGIN : MARGIN + 9 * times, MARGIN : MARGIN + 9 * times]
    assert (found == small.repeat(times, axis=0).repeat(times, axis=1)).all()
    halves = np.tile(np.array([0, 200], np.uint8)[None, :, None], (40, 20, 3))
    pixels = contact_sheet([halves], [""], "", side=20).pixels
    assert (pixels[MARGIN : MARGIN + 20, MARGIN : MARGIN + 20] == 100).all()


def test_long_and_hostile_labels() -> None:
    font = ImageFont.load_default(12)
    assert shortened("conv1:0", 100, font) == "conv1:0"
    cut = shortened("a name that is much too long for its tile", 100, font)
    assert cut.endswith("…") and 60 < font.getlength(cut) <= 100
    sheet = contact_sheet(tiles(1, 90, 90), ["\x1b[31m\u202ename"], "a\u202eb")
    assert "\u202e" not in sheet.caption


def test_wrong_requests() -> None:
    for made, labels in (
        ([], []),
        (tiles(1, 4, 4) + tiles(1, 5, 4), ["a", "b"]),
        (tiles(2, 4, 4), ["a"]),
    ):
        with pytest.raises(UsageError, match="pictures of one size, each with its label"):
            contact_sheet(made, labels, "")
    with pytest.raises(UsageError, match="a side of 0 pixels"):
        contact_sheet(tiles(1, 4, 4), ["a"], "", side=0)
