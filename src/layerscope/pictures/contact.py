"""A contact sheet: pictures side by side, each with a line below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerscope.errors import UsageError
from layerscope.pictures import lettering
from layerscope.pictures.image import Picture

if TYPE_CHECKING:
    from PIL import ImageFont

Rgb = npt.NDArray[np.uint8]
WIDE = 1600  # of a page, unless a side is asked for
_GAP = 8
_SMALLEST, _LARGEST = 11, 16  # letters
_NARROWEST = 72  # a tile below this has no room for a line
_WHITE, _DARK = 255, 34


def contact_sheet(
    tiles: Sequence[Rgb], labels: Sequence[str], caption: str, *, side: int | None = None
) -> Picture:
    """Pictures in rows on a white page, with a line below each and the caption below all.

    Args:
        tiles: (H, W, 3) uint8, all of one size.
        labels: one for each; what is too wide ends in an ellipsis.
        caption: what the page shows.
        side: pixels of the longer side of a tile; by default as many as it has, less where the page
            would be wider than 1600, and whole multiples where it is tiny.

    Raises:
        UsageError: there are no tiles, they differ in size, or the side is below 1.
    """
    if not tiles or len({tile.shape for tile in tiles}) > 1 or len(tiles) != len(labels):
        raise UsageError("a contact sheet needs pictures of one size, each with its label")
    if side is not None and not 1 <= side <= WIDE:
        raise UsageError(f"a side of {side} pixels is not possible; possible: 1 to {WIDE}")
    columns = math.ceil(math.sqrt(len(tiles) * 1.3)) if len(tiles) > 3 else len(tiles)
    height, width = _side(tiles[0].shape, columns, side)
    cell = max(width, _NARROWEST)
    font = _font(min(max(cell // 12, _SMALLEST), _LARGEST))
    below = round(font.size * 1.7)
    rows = -(-len(tiles) // columns)
    page = np.full(
        (rows * (height + below + _GAP), columns * (cell + _GAP) - _GAP, 3), _WHITE, np.uint8
    )
    for number, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        row, column = divmod(number, columns)
        y, x = row * (height + below + _GAP), column * (cell + _GAP)
        page[y : y + height, x : x + width] = _sized(tile, height, width)
        page[y + height : y + height + below, x : x + cell] = _line(label, cell, below, font)
    return Picture(lettering.page(page, [caption]), caption)


def _side(shape: tuple[int, ...], columns: int, side: int | None) -> tuple[int, int]:
    """(height, width) of a tile on the page."""
    height, width = shape[:2]
    longest = max(height, width)
    if side is None:
        room = min(WIDE // columns - _GAP, 2 * WIDE // 7)
        side = longest * max(1, 128 // longest) if longest <= room else max(room, 1)
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def _sized(tile: Rgb, height: int, width: int) -> Rgb:
    """A tile smaller, averaged, or larger, each pixel as a square."""
    from PIL import Image

    if tile.shape[:2] == (height, width):
        return tile
    way = Image.Resampling.BOX if height < tile.shape[0] else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(tile).resize((width, height), way))


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _line(label: str, room: int, height: int, font: ImageFont.FreeTypeFont) -> Rgb:
    """One line of text as (height, room, 3)."""
    from PIL import Image, ImageDraw

    words = shortened(lettering.drawable(label), room, font)
    strip = Image.new("L", (room, height), _WHITE)
    ImageDraw.Draw(strip).text((1, 1), words, font=font, fill=_DARK)
    return np.repeat(np.asarray(strip)[:, :, None], 3, axis=2)


def shortened(words: str, room: float, font: lettering.Ruler) -> str:
    """The words, or their beginning and an ellipsis, no wider than `room`."""
    if font.getlength(words) <= room:
        return words
    while words and font.getlength(words + "…") > room:
        words = words[:-1]
    return words + "…"
