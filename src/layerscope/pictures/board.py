"""A page of labelled tiles, bars and lines of text, drawn from the top down.

Every part tells its height before it is drawn, so nothing overlaps and nothing is cut off.  All
lengths are points (1/72 inch), from the upper left corner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from layerscope.pictures import color as colors
from layerscope.pictures import frame
from layerscope.pictures.frame import BLUE, GRAY, INK
from layerscope.pictures.lettering import wrapped
from layerscope.pictures.plot import Plot
from layerscope.pictures.scale import Extent, measure, stretch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RED = "#d1495b"
SMALL = 10.0
_TINY = 6.0
_TICKS = 14.0  # the numbers below an image
_HIDDEN = (226, 228, 232)  # a cell that is not there

Floats: TypeAlias = npt.NDArray[np.float64]
Rgb: TypeAlias = npt.NDArray[np.uint8]
_Draw: TypeAlias = "Callable[[Figure, float], None]"


class Board:
    """A page of a width that grows downwards.

    Args:
        width: of the page.
    """

    def __init__(self, width: float) -> None:
        self.width = width
        self._parts: list[_Draw] = []
        self._bottom = 0.0

    def plot(self, title: str) -> Plot:
        """The page, as high as what was put on it."""
        from matplotlib.figure import Figure

        with frame.style():
            height = self._bottom + 12
            page = Figure(figsize=(self.width / 72, height / 72))
            page.patch.set_facecolor("white")
            for draw in self._parts:
                draw(page, height)
        return Plot(page, page.axes, title)

    def text(  # noqa: PLR0913 - where, what, and by name how
        self, x: float, y: float, words: str, *, size: float = frame.LETTER, room: float = 0.0,
        color: str = INK, bold: bool = False, align: str = "left",
    ) -> float:  # fmt: skip
        """Write lines with their upper edge at `y`, wrapped to `room`; gives the y below."""
        clean = " ".join(map(frame.drawable, words.split(" ")))  # each is cut alone, not the line
        lines = wrapped(clean, room, _Ruler(size * (1.09 if bold else 1))) if room else [clean]
        step = 1.35 * size

        def draw(page: Figure, height: float) -> None:
            for number, line in enumerate(lines):
                page.text(
                    x / self.width, 1 - (y + step * number + 0.2 * size) / height, line,
                    fontsize=size, color=color, va="top", ha=align, parse_math=False,
                    fontweight="bold" if bold else "normal",
                )  # fmt: skip

        return self._add(draw, y + step * len(lines))

    def tile(
        self,
        box: tuple[float, float, float, float],
        pixels: Rgb,
        words: Sequence[Sequence[str]] | None = None,
        mark: tuple[int, int] | None = None,
        widest: str = "",
    ) -> float:
        """Draw a plane of colours (H, W, 3) into (x, y, width, height); gives the y below.

        Args:
            box: where.
            pixels: one colour for each cell.
            words: what to write into the cells.
            mark: (row, column) of a cell to draw a frame around.
            widest: a text that has to fit a cell too, so that several tiles have like letters.
        """
        _, y, wide, high = box

        def draw(page: Figure, height: float) -> None:
            axes = self._axes(page, height, box)
            axes.imshow(pixels, interpolation="nearest", aspect="auto")
            _bare(axes)
            rows, columns = pixels.shape[:2]
            if max(rows, columns) <= 16:
                axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
                axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
                axes.grid(True, which="minor", color="white", linewidth=0.8)
                axes.tick_params(which="both", length=0)
            if words is not None:
                _write(axes, pixels, [*words, [widest]], (wide / columns, high / rows))
            if mark is not None:
                _frame(axes, (mark[1] - 0.5, mark[0] - 0.5, 1, 1), 2.5)

        return self._add(draw, y + high)

    def image(
        self,
        box: tuple[float, float, float, float],
        pixels: Rgb,
        mark: tuple[float, float, float, float] | None = None,
        corner: tuple[int, int] = (0, 0),
    ) -> float:
        """Draw an image, (H, W) or (H, W, 3), with a frame around (x, y, width, height) of it.

        `corner` are the numbers (x, y) of the upper left pixel, for the numbers at the edges.
        """
        _, y, _, high = box

        def draw(page: Figure, height: float) -> None:
            axes = self._axes(page, height, box)
            rows, columns = pixels.shape[:2]
            left, top = corner
            axes.imshow(
                pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto",
                extent=(left - 0.5, left + columns - 0.5, top + rows - 0.5, top - 0.5),
            )  # fmt: skip
            axes.grid(False)
            for side in ("top", "right"):
                axes.spines[side].set_visible(True)
            for axis, count, first in ((axes.xaxis, columns, left), (axes.yaxis, rows, top)):
                axis.set_ticks(sorted({first, first + (count - 1) // 2, first + count - 1}))
            axes.tick_params(labelsize=8, length=2, pad=1.5)
            if mark is not None:
                _frame(axes, mark, 1.8)

        return self._add(draw, y + high + _TICKS)

    def bars(
        self,
        box: tuple[float, float, float],
        rows: Sequence[tuple[str, str, float]],
        highlight: int | None = None,
        colors: tuple[str, str] = (BLUE, RED),
    ) -> float:
        """Draw (name, numbers, value) as horizontal bars from a line of zero; gives the y below.

        `box` is (x, y, width), `colors` those of positive and of negative values.
        """
        x, y, wide = box
        step = 15.0
        most = max((abs(v) for _, _, v in rows if np.isfinite(v)), default=0.0) or 1.0
        longest = 0.45 * wide * frame.LETTER / SMALL  # `shortened` counts in larger letters
        names = [frame.shortened(frame.drawable(name), longest) for name, _, _ in rows]
        notes = [frame.drawable(note) for _, note, _ in rows]
        left = max((frame.width(n, SMALL) for n in names), default=0.0) + 6
        middle = max((frame.width(n, SMALL) for n in notes), default=0.0) + 14
        negative = any(v < 0 for _, _, v in rows)
        for number, (name, note, row) in enumerate(zip(names, notes, rows, strict=True)):
            top = y + step * number
            self.text(x, top, name, size=SMALL)
            self.text(x + left, top, note, size=SMALL, color="#555b66")
            room = max(40.0, wide - left - middle)
            zero = x + left + middle + (room / 2 if negative else 0)
            reach = (room / 2 if negative else room) * abs(row[2]) / most
            reach = reach if np.isfinite(reach) else 0.0
            color = colors[1] if row[2] < 0 else "#3a8f5c" if number == highlight else colors[0]
            self._bar((zero - reach if row[2] < 0 else zero, top + 2, reach, step - 5), color)
        return y + step * len(rows)

    def rule(self, x: float, y: float, wide: float) -> float:
        """Draw a thin line; gives the y below."""
        self._bar((x, y + 3, wide, 0.6), "#d5d8dd")
        return y + 8

    def _bar(self, box: tuple[float, float, float, float], color: str) -> None:
        x, y, wide, high = box

        def draw(page: Figure, height: float) -> None:
            from matplotlib.patches import Rectangle

            place = (x / self.width, 1 - (y + high) / height)
            page.add_artist(
                Rectangle(place, wide / self.width, high / height, color=color, linewidth=0)
            )

        self._add(draw, y + high)

    def _add(self, draw: _Draw, bottom: float) -> float:
        self._parts.append(draw)
        self._bottom = max(self._bottom, bottom)
        return bottom

    def _axes(self, page: Figure, height: float, box: tuple[float, float, float, float]) -> Axes:
        x, y, wide, high = box
        place = (x / self.width, 1 - (y + high) / height, wide / self.width, high / height)
        return page.add_axes(place)


def tinted(
    values: Floats, color: colors.Color, extent: Extent, inside: npt.NDArray[np.bool_] | None = None
) -> Rgb:
    """A plane (H, W) as colours on a scale that was measured over several; gray outside."""
    levels = stretch(values, extent._replace(finite=None), colors.TOP)
    found: Rgb = colors.palette(color)[levels].copy()
    found[~np.isfinite(values)] = colors.NOT_A_NUMBER
    if inside is not None:
        found[~inside] = _HIDDEN
    return found


def scale_of(values: Floats, *, signed: bool) -> Extent:
    """The scale over several planes."""
    return measure(values, "signed" if signed else "all")


class _Ruler:
    """What `wrapped` measures words with."""

    def __init__(self, size: float) -> None:
        self.size = size

    def getlength(self, words: str, /) -> float:
        """How wide words are."""
        return frame.width(words, self.size)


def _bare(axes: Any) -> None:
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(GRAY)


def _frame(axes: Any, box: tuple[float, float, float, float], thick: float) -> None:
    """A red frame on white, which is seen on any ground."""
    from matplotlib.patches import Rectangle

    x, y, wide, high = box
    for color, width in (("white", thick + 1.6), (RED, thick)):
        axes.add_patch(
            Rectangle((x, y), wide, high, fill=False, edgecolor=color, linewidth=width, zorder=5,
                      clip_on=False)
        )  # fmt: skip


def _write(
    axes: Any, pixels: Rgb, words: Sequence[Sequence[str]], cell: tuple[float, float]
) -> None:
    """Numbers in the cells, dark on light and light on dark; none where they would be tiny."""
    widest = max((frame.width(word, 10) for row in words for word in row), default=1.0)
    size = min(10.0, 10 * (cell[0] - 5) / max(widest, 1.0), 0.7 * cell[1])
    if size < _TINY:
        return
    light = pixels @ np.array([0.299, 0.587, 0.114])
    for y, row in enumerate(words[: len(pixels)]):
        for x, word in enumerate(row):
            color = INK if light[y, x] > 140 else "white"
            axes.text(x, y, word, ha="center", va="center", fontsize=size, color=color,
                      parse_math=False)  # fmt: skip
