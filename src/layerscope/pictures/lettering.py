"""Words under a picture: a white page, dark text, nothing cut off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from layerscope import text

_MARGIN = 12
_NARROWEST = 360  # a page of fewer pixels would break nearly every caption
_SMALLEST, _LARGEST = 14, 40
_WHITE, _DARK = 255, 34
_DRAWN_MARKS = "…“”‘’–"  # what the built-in font has beside ASCII


class Ruler(Protocol):
    """A font, as far as it tells how wide words are."""

    def getlength(self, words: str, /) -> float:
        """The width of the words, in the unit of the room."""


def page(pixels: npt.NDArray[np.uint8], lines: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Put pixels on a white page with lines of text below.

    Args:
        pixels: (H, W) gray or (H, W, 3) RGB, uint8.
        lines: what to write; each is wrapped to the width of the page, which grows with the
            picture, as does the size of the letters.

    Returns:
        (H', W') or (H', W', 3) uint8; the picture's corner is at (12, 12), its pixels unchanged.
    """
    height, width = pixels.shape[:2]
    room = max(width, _NARROWEST)
    words = _written(lines, room, min(max(room // 45, _SMALLEST), _LARGEST)) if lines else None
    below = 0 if words is None else len(words)
    shape = (height + below + 2 * _MARGIN, room + 2 * _MARGIN, *pixels.shape[2:])
    sheet = np.full(shape, _WHITE, np.uint8)
    sheet[_MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width] = pixels
    if words is not None:
        rest = words if pixels.ndim == 2 else words[:, :, None]
        sheet[_MARGIN + height : _MARGIN + height + below, _MARGIN : _MARGIN + room] = rest
    return sheet


def wrapped(line: str, room: float, font: Ruler) -> list[str]:
    """Break a line so that no part is wider than `room`: at spaces, else within a word."""
    parts = [""]
    for word in re.split("(?<!…) (?!…)", line):  # "low … high" stays together
        longer = f"{parts[-1]} {word}" if parts[-1] else word
        if font.getlength(longer) <= room:
            parts[-1] = longer
            continue
        if parts[-1]:
            parts.append("")
        for letter in word:
            if parts[-1] and font.getlength(parts[-1] + letter) > room:
                parts.append("")
            parts[-1] += letter
    return parts


def drawable(foreign: str) -> str:
    r"""A text in which only letters remain that the font has; the others become their escapes.

    >>> drawable("conv\u00e9 …")
    'conv\\xe9 …'
    """
    words = text.printable(foreign, limit=1000)
    return "".join(
        c if c.isascii() or c in _DRAWN_MARKS else c.encode("ascii", "backslashreplace").decode()
        for c in words
    )


def _written(lines: Sequence[str], room: int, size: int) -> npt.NDArray[np.uint8]:
    """The lines as a strip of (height, room) uint8."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    parts = [part for line in lines for part in wrapped(drawable(line), room, font)]
    step = round(size * 1.35)
    strip = Image.new("L", (room, size // 2 + step * len(parts)), _WHITE)
    draw = ImageDraw.Draw(strip)
    for number, part in enumerate(parts):
        draw.text((0, size // 2 + step * number), part, font=font, fill=_DARK)
    return np.asarray(strip)
