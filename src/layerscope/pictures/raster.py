"""A drawing as pixels, drawn by Pillow in strips, so that a long one needs little memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from layerscope.errors import LimitError
from layerscope.pictures.lettering import drawable
from layerscope.pictures.ruler import shortened
from layerscope.pictures.sheet import INKS, Area, Line, Mark, Sheet, Spot, Words, extent

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

MAX_PIXELS = 1 << 26
_FINE = 3  # each pixel is drawn as 3 x 3
_STRIP = 400
_BENDS = 12  # straight parts of a curve
_DASH, _SPACE = 4.0, 3.0


def pixels(sheet: Sheet, scale: float = 1) -> npt.NDArray[np.uint8]:
    """The drawing as (H, W, 3) uint8 RGB.

    Args:
        sheet: the drawing.
        scale: pixels for each pixel of the drawing.

    Raises:
        LimitError: more than `MAX_PIXELS` pixels.
    """
    from PIL import Image, ImageDraw

    width, height = round(sheet.width * scale), round(sheet.height * scale)
    if width * height > MAX_PIXELS:
        raise LimitError(
            f"the diagram has {width:,} x {height:,} pixels, the limit of a PNG is {MAX_PIXELS:,};"
            " write .svg or .pdf, which have none"
        )
    marks = [(*extent(mark), mark) for mark in sheet.marks()]
    found = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP):
        rows = min(_STRIP, height - top)
        image = Image.new("RGB", (width * _FINE, rows * _FINE), INKS["page"])
        brush = _Brush(ImageDraw.Draw(image), scale * _FINE, top * _FINE)
        for first, last, mark in marks:
            if last * scale >= top and first * scale <= top + rows:
                brush.draw(mark)
        found[top : top + rows] = np.asarray(image.reduce(_FINE))
    return found


class _Brush:
    """Draws marks onto one strip."""

    def __init__(self, draw: ImageDraw, times: float, above: int) -> None:
        self.drawing = draw
        self.times = times
        self.above = above

    def draw(self, mark: Mark) -> None:
        if isinstance(mark, Words):
            self._write(mark)
        elif isinstance(mark, Area):
            if mark.fill:
                self.drawing.polygon(list(map(self._at, mark.corners)), fill=_rgb(mark.fill))
            if mark.outline:
                closed = (*mark.corners, mark.corners[0])
                self._line(closed, mark.outline, mark.width, mark.dashed)
        else:
            self._line(flat(mark), mark.color, 1.3, mark.dashed)

    def _line(self, way: tuple[Spot, ...], color: str, width: float, dashed: bool) -> None:
        thick = max(1, round(width * self.times))
        for part in dashes(way) if dashed else [way]:
            spots = list(map(self._at, part))
            self.drawing.line(spots, fill=_rgb(color), width=thick, joint="curve")

    def _write(self, mark: Words) -> None:
        from PIL import ImageFont

        x, y = self._at((mark.x, mark.y))
        font = ImageFont.load_default(mark.size * self.times)
        words = shortened(drawable(mark.words), mark.room * self.times, font)
        anchor = "ms" if mark.middle else "ls"
        self.drawing.text((x, y), words, fill=_rgb(mark.color), font=font, anchor=anchor)

    def _at(self, spot: Spot) -> tuple[int, int]:
        """A place on the strip, whole: Pillow would round those above and below differently."""
        return round(spot[0] * self.times), round(spot[1] * self.times) - self.above


def flat(line: Line) -> tuple[Spot, ...]:
    """The corners of a line whose curves are made of straight parts."""
    way = [line.start]
    for step in line.steps:
        if len(step) == 1:
            way.append(step[0])
            continue
        begin = way[-1]
        for part in range(1, _BENDS + 1):
            t = part / _BENDS
            shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            spots = (begin, *step)
            x = sum(share * spot[0] for share, spot in zip(shares, spots, strict=True))
            y = sum(share * spot[1] for share, spot in zip(shares, spots, strict=True))
            way.append((x, y))
    return tuple(way)


def dashes(way: tuple[Spot, ...]) -> Iterator[tuple[Spot, Spot]]:
    """The dashes of a line."""
    left, drawn = _DASH, True
    for (x, y), (to_x, to_y) in pairwise(way):
        length = float(np.hypot(to_x - x, to_y - y))
        done = 0.0
        while done < length:
            step = min(left, length - done)
            if drawn:
                ends = (done / length, (done + step) / length)
                begin, end = ((x + (to_x - x) * e, y + (to_y - y) * e) for e in ends)
                yield begin, end
            done += step
            left -= step
            if left <= 0:
                drawn = not drawn
                left = _DASH if drawn else _SPACE


def _rgb(color: str) -> str:
    return INKS.get(color, color)
