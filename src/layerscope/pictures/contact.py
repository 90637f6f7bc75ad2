"""A contact sheet: a heading, and pictures side by side, each with a line below it."""

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
_PAGE = 360  # a page of fewer pixels has no room for a heading
_WHITE, _DARK = 255, 34


def contact_sheet(
    tiles: Sequence[Rgb], labels: Sequence[str], caption: str, *,
    tails: Sequence[str] | None = None, side: int | None = None,
) -> Picture:  # fmt: skip
    """Pictures in rows on a white page, with a line below each and the caption above all.

    Args:
        tiles: (H, W, 3) uint8, all of one size.
        labels: one for each; what is too wide ends in an ellipsis.
        caption: what the page shows; in one line where it fits, in letters of 11 to 16 pixels.
        tails: what follows each label and stays when that is cut: a number.
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
    wide = columns * (cell + _GAP) - _GAP
    page = np.full((rows * (height + below + _GAP) - _GAP, max(wide, _PAGE), 3), _WHITE, np.uint8)
    words = zip(labels, tails or [""] * len(tiles), strict=True)
    for number, (tile, (label, tail)) in enumerate(zip(tiles, words, strict=True)):
        row, column = divmod(number, columns)
        y, x = row * (height + below + _GAP), column * (cell + _GAP)
        page[y : y + height, x : x + width] = _sized(tile, height, width)
        line = shortened(lettering.drawable(label), cell - 2, font, lettering.drawable(tail))
        page[y + height : y + height + below, x : x + cell] = _lines([line], cell, below, font)
    if caption:
        page = np.concatenate([_heading(caption, page.shape[1]), page])
    return Picture(lettering.page(page, []), caption)


def _heading(caption: str, room: int) -> Rgb:
    """The caption as (height, room, 3): the largest letters in which it is one line."""
    words = lettering.drawable(caption)
    for size in range(_LARGEST, _SMALLEST - 1, -1):
        font = _font(size)
        lines = lettering.wrapped(words, room - 2, font)
        if len(lines) == 1:
            break
    strip = _lines(lines, room, round(font.size * 1.4), font)
    return np.concatenate([strip, np.full((_GAP, room, 3), _WHITE, np.uint8)])


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


def _lines(lines: Sequence[str], room: int, step: int, font: ImageFont.FreeTypeFont) -> Rgb:
    """Lines of text as (step * lines, room, 3)."""
    from PIL import Image, ImageDraw

    strip = Image.new("L", (room, step * len(lines)), _WHITE)
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        draw.text((1, 1 + step * number), line, font=font, fill=_DARK)
    return np.repeat(np.asarray(strip)[:, :, None], 3, axis=2)


def shortened(words: str, room: float, font: lettering.Ruler, tail: str = "") -> str:
    """The words and their tail, or the beginning of the words, an ellipsis, and the tail.

    No wider than `room`: a tail that is wider itself is cut at its end.
    """
    if font.getlength(words + tail) <= room:
        return words + tail
    while words and font.getlength(f"{words}…{tail}") > room:
        words = words[:-1]
    if words or not tail:
        return f"{words}…{tail}"
    return shortened(tail, room, font)
