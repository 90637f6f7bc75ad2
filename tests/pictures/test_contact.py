"""The contact sheet: every tile where it belongs, lines below, nothing cut off."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from layerscope.errors import UsageError
from layerscope.pictures.contact import WIDE, contact_sheet, shortened

MARGIN = 12  # of a page with words


def tiles(count: int, height: int, width: int) -> list[np.ndarray]:
    """Tiles of one colour each."""
    return [np.full((height, width, 3), (10 + 2 * i, 200 - i, 90), np.uint8) for i in range(count)]


def test_tiles_stand_in_rows_with_words_below() -> None:
    made = tiles(7, 130, 140)
    sheet = contact_sheet(made, [f"unit {i}" for i in range(7)], "seven of them")
    pixels = sheet.pixels[MARGIN:, MARGIN:]
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
