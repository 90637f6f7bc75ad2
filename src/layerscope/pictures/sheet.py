"""A drawing as a list of shapes, which `svg`, `raster` and `pdf` each put on paper the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, TypeAlias

INKS = {"ink": "#1c2024", "dim": "#5a636c", "page": "#ffffff"}
"""Colours by their part in the drawing; a page that shows the SVG may set others (--ink, ...)."""

Spot: TypeAlias = tuple[float, float]
Color: TypeAlias = str  # a key of INKS, or "#rrggbb"


class Area(NamedTuple):
    """A filled polygon with an outline.

    Attributes:
        corners: in pixels.
        fill: its colour, or "" for none.
        outline: the colour of the outline, or "" for none.
        width: of the outline.
        dashed: whether the outline is.
    """

    corners: tuple[Spot, ...]
    fill: Color
    outline: Color = ""
    width: float = 1
    dashed: bool = False


class Line(NamedTuple):
    """A line of straight parts and curves.

    Attributes:
        start: where it begins.
        steps: of each part the points after its start: one (straight), or three (a cubic Bezier
            curve: two controls and its end).
        color: its colour.
        dashed: whether it is.
    """

    start: Spot
    steps: tuple[tuple[Spot, ...], ...]
    color: Color = "dim"
    dashed: bool = False


class Words(NamedTuple):
    """One line of text.

    Attributes:
        x, y: on the base line: its start, or its middle when `middle`.
        words: printable.
        size: of the letters.
        room: what it may take at most; known to fit in Helvetica.
        color: its colour.
        middle: whether it is centred.
    """

    x: float
    y: float
    words: str
    size: float
    room: float
    color: Color = "ink"
    middle: bool = False


Mark: TypeAlias = Area | Line | Words


@dataclass(frozen=True, slots=True)
class Group:
    """Marks that are one thing.

    Attributes:
        key: its name for programs.
        title: what is said of it, printable.
        link: the id on the page that it leads to, or "".
        marks: drawn in this order.
    """

    key: str
    title: str
    link: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A drawing.

    Attributes:
        width, height: in pixels.
        label: what it shows, in one line.
        parts: drawn in this order.
    """

    width: int
    height: int
    label: str
    parts: Sequence[Mark | Group]

    def marks(self) -> Iterator[Mark]:
        """All marks in the order in which they are drawn."""
        for part in self.parts:
            if isinstance(part, Group):
                yield from part.marks
            else:
                yield part


def extent(mark: Mark) -> tuple[float, float]:
    """The first and last y that a mark may touch."""
    if isinstance(mark, Words):
        return mark.y - 1.2 * mark.size, mark.y + 0.5 * mark.size
    spots = (
        mark.corners if isinstance(mark, Area) else (mark.start, *chain.from_iterable(mark.steps))
    )
    return min(y for _, y in spots) - 3, max(y for _, y in spots) + 3


def mixed(color: str, other: str, share: float) -> str:
    """A colour with a share of another.

    >>> mixed("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = [(int(color[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(one + (two - one) * share):02x}" for one, two in pairs)
