"""The frame of a plot: style, margins, titles.

Margins are computed from the sizes of the texts, so a figure is drawn once; matplotlib's own
layout would draw everything twice to find them.  All lengths are points (1/72 inch).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from layerscope import text
from layerscope.pictures.lettering import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FONT = "DejaVu Sans"
BLUE, GRAY, INK = "#2a6fbb", "#8a8f98", "#222222"
WIDTH = 6.4 * 72
WIDE = 10.0 * 72
LETTER = 12.0  # the size of every text but the numbers along the axes
NUMBER = 11.0
LINE = 1.3 * LETTER
_TICK = 7.0  # the mark and the space to its number
_GAP = 4.0
_RIGHT = 16.0
_EDGE = 6.0
BELOW = _TICK + NUMBER + _GAP + LINE  # what is below the axes: numbers and the name of the axis

_STYLE: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": LETTER,
    "text.color": INK,
    "axes.titlesize": LETTER,
    "axes.titlelocation": "left",
    "axes.labelsize": LETTER,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRAY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.01,
    "axes.formatter.limits": (-4, 6),
    "grid.color": "#e4e6ea",
    "grid.linewidth": 0.8,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": NUMBER,
    "ytick.labelsize": NUMBER,
    "agg.path.chunksize": 20000,  # lines of a million points otherwise overflow the renderer
    "savefig.bbox": "standard",
    "svg.hashsalt": "layerscope",  # the same file each time
}


class Panel(NamedTuple):
    """Axes and what is written above them.

    Attributes:
        axes: what was drawn into.
        title: what is drawn, if it has a name.
        note: what the numbers are, in one line.
        height: of the axes.
        below: room under the name of the lower axis.
    """

    axes: Axes
    title: str
    note: str
    height: float = 112.0
    below: float = 0.0


@contextmanager
def style() -> Iterator[None]:
    """Our settings of matplotlib, for as long as something is drawn or saved."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def figure(width: float = WIDTH) -> Figure:
    """An empty figure of a width; `fit` gives it its height."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, width / 72))


def owner(axes: Axes) -> Figure:
    """The figure that axes are in, though they be in a part of a figure."""
    found: Any = axes.figure
    while found is not getattr(found, "figure", found):
        found = found.figure
    drawn: Figure = found
    return drawn


def fit(page: Figure, panels: Sequence[Panel]) -> None:
    """Write the titles and place panels below each other; the figure gets the height they need."""
    wide = float(page.get_figwidth()) * 72
    left = _EDGE + LINE + _GAP + _TICK + max(_widest(panel.axes) for panel in panels)
    inside = wide - left - _RIGHT
    heads = [_lines(panel.title, panel.note, inside) for panel in panels]
    above = [_above(panel.axes, head) for panel, head in zip(panels, heads, strict=True)]
    rests = [panel.height + BELOW + panel.below + _EDGE for panel in panels]
    total = sum(above) + sum(rests) + _EDGE
    page.set_size_inches(wide / 72, total / 72)
    top = total - _EDGE
    for panel, head, over, rest in zip(panels, heads, above, rests, strict=True):
        bottom = top - over - panel.height
        panel.axes.set_position((left / wide, bottom / total, inside / wide, panel.height / total))
        _write(panel.axes, head)
        panel.axes.xaxis.set_label_coords(0.5, -(_TICK + NUMBER + _GAP) / panel.height)
        panel.axes.yaxis.set_label_coords(-(left - _EDGE - LINE) / inside, 0.5)
        top -= over + rest


def head(axes: Axes, title: str, note: str) -> None:
    """Write the title of axes that are somebody else's, wrapped to their width."""
    _write(axes, _lines(title, note, max(room(axes), 15 * LETTER)))


def room(axes: Axes) -> float:
    """How wide axes are."""
    return float(axes.bbox.width) / owner(axes).dpi * 72


@functools.lru_cache(4096)
def width(words: str, size: float = LETTER) -> float:
    """How wide a text is that has only letters of the font; see `drawable`."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont(FONT))
    font.set_size(size, 72)
    font.set_text(words, 0.0)
    return font.get_width_height()[0] / 64


def drawable(foreign: str) -> str:
    """A printable text in which only letters remain that the font has."""
    from matplotlib import font_manager

    known = font_manager.get_font(font_manager.findfont(FONT)).get_charmap()
    return "".join(
        c if ord(c) in known else c.encode("ascii", "backslashreplace").decode()
        for c in text.printable(foreign)
    )


def shortened(words: str, inside: float) -> str:
    """The beginning of a text, as much as there is room for, with a mark where it was cut."""
    if width(words) <= inside:
        return words
    while words and width(f"{words}…") > inside:
        words = words[:-1]
    return f"{words}…"


class _Ruler:
    """What `wrapped` measures words with."""

    @staticmethod
    def getlength(words: str) -> float:
        return width(words)


def _lines(title: str, note: str, inside: float) -> list[str]:
    parts = wrapped(drawable(title), inside, _Ruler()) if title else []
    return [*parts, *wrapped(note, inside, _Ruler())]


def _write(axes: Axes, lines: Sequence[str]) -> None:
    """Write the title; a "$" in a name is a "$"."""
    pad = _EDGE + (LINE if _texts(axes.yaxis)[1] else 0)
    axes.set_title("\n".join(lines), parse_math=False, loc="left", y=1.0, pad=pad)


def _above(axes: Axes, lines: Sequence[str]) -> float:
    return LINE * (len(lines) + bool(_texts(axes.yaxis)[1])) + _EDGE


def _texts(axis: Axis) -> tuple[list[str], str]:
    """The numbers along an axis, and what they have in common, which stands at its end."""
    low, high = sorted(axis.get_view_interval())
    reach = (high - low) * 1e-6
    places = [at for at in axis.get_majorticklocs() if low - reach <= at <= high + reach]
    formatter: Any = axis.get_major_formatter()
    return formatter.format_ticks(places), formatter.get_offset()


def _widest(axes: Axes) -> float:
    axes.get_ylim()  # the limits are found only when they are asked for
    return max((width(words, NUMBER) for words in _texts(axes.yaxis)[0]), default=0.0)
