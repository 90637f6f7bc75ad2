"""The head of a diagram: title, what is said about it, and the legend of its colours."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from layerscope import text
from layerscope.pictures.lettering import wrapped
from layerscope.pictures.ruler import Ruler
from layerscope.pictures.sheet import Area, Mark, Spot, Words

_TITLE, _SMALL = 16, 11  # sizes of the letters
_SIDE = 12  # of a swatch
_BESIDE, _APART = 6, 14  # from a swatch to its name, from the name to the next swatch
_LINE = 18  # of the legend
_BELOW = 16
_WIDEST = 900


class Swatch(NamedTuple):
    """One colour of the legend; hollow for what is drawn as a dashed outline."""

    name: str
    color: str
    hollow: bool = False


def heading(
    title: str, subtitle: str, legend: Sequence[Swatch], corner: Spot, room: float
) -> tuple[list[Mark], int]:
    """What is written above a diagram, and how tall it is.

    Args:
        title: the first line.
        subtitle: smaller, below it.
        legend: the colours.
        corner: where it begins: left and top.
        room: its width; longer lines are wrapped.
    """
    room = min(room, _WIDEST)
    left, top = corner
    marks: list[Mark] = []
    y = top
    for words, size, color in ((title, _TITLE, "ink"), (subtitle, _SMALL, "dim")):
        for line in wrapped(text.printable(words, 1000), room, Ruler(size)) if words else ():
            y += size + 5
            marks.append(Words(left, y - 5, line, size, room, color))
    x, y = left, y + 10
    for swatch in legend:
        wide = ceil(Ruler(_SMALL).getlength(swatch.name))
        if x > left and x + _SIDE + _BESIDE + wide > left + room:
            x, y = left, y + _LINE
        marks.append(_square(x, y, swatch))
        marks.append(Words(x + _SIDE + _BESIDE, y + _SIDE - 2, swatch.name, _SMALL, wide))
        x += _SIDE + _BESIDE + wide + _APART
    return marks, ceil(y - top + (_LINE if legend else 0) + _BELOW)


def _square(x: float, y: float, swatch: Swatch) -> Area:
    corners = ((x, y), (x + _SIDE, y), (x + _SIDE, y + _SIDE), (x, y + _SIDE))
    if swatch.hollow:
        return Area(corners, "", swatch.color, 1.5, dashed=True)
    return Area(corners, swatch.color, "dim", 0.5)
