"""A line of points over steps, each point a link: how a number goes from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, cos, inf, isfinite, pi, sin

from layerscope.pictures.sheet import Area, Group, Line, Mark, Sheet, Spot, Words
from layerscope.text import printable

HEIGHT = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 26, 40
_LEAST, _MOST = 720, 1040  # of the width
_SIZE = 11.0
BAD, GOOD = "#c92a2a", "#2458b8"


@dataclass(frozen=True, slots=True)
class Point:
    """One step.

    Attributes:
        name: printable.
        value: inf is drawn on the upper edge, -inf and NaN on the lower one.
        title: what is said of it.
        link: the id on the page that it leads to.
        bad: whether it has the colour of a warning.
    """

    name: str
    value: float
    title: str
    link: str
    bad: bool = False


def curve(
    points: Sequence[Point],
    *,
    label: str,
    edge: str,
    limit: float | None = None,
    marked: int | None = None,
) -> Sheet:
    """Draw points from left to right, higher is better.

    Args:
        points: in their order.
        label: what the numbers are, with their unit.
        edge: what a point on the upper edge is.
        limit: a level to draw as a line.
        marked: the point to name in large letters.
    """
    width = max(_LEAST, min(_MOST, _LEFT + _RIGHT + 44 * len(points)))
    frame = _Frame(width, len(points), _range([p.value for p in points], limit))
    parts: list[Mark | Group] = [*_axes(frame, label, edge), *_names(frame, points)]
    if limit is not None:
        y = frame.y(limit)
        parts.append(Line((_LEFT, y), (((width - _RIGHT, y),),), BAD, dashed=True))
        parts.append(Words(width - _RIGHT - 70, y - 4, f"limit {limit:g}", _SIZE, 70, BAD))
    spots = [frame.spot(i, point.value) for i, point in enumerate(points)]
    if len(spots) > 1:
        parts.append(Line(spots[0], tuple((spot,) for spot in spots[1:]), "dim"))
    radius = 4.5 if len(points) < 80 else 3.0
    for i, (point, spot) in enumerate(zip(points, spots, strict=True)):
        ring = Area(_disk(spot, radius), BAD if point.bad else GOOD)
        if i == marked:
            ring = Area(_disk(spot, 7.5), BAD, "ink", 2)
        parts.append(Group(point.name, point.title, point.link, (ring,)))
    if marked is not None:
        parts.append(_name(frame, points[marked].name, spots[marked:]))
    words = f"{label} of {len(points)} steps"
    return Sheet(width, HEIGHT, words, parts)


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    count: int
    ends: tuple[float, float]

    def spot(self, index: int, value: float) -> Spot:
        room = self.width - _LEFT - _RIGHT - 24
        return _LEFT + 12 + room * (index + 0.5) / max(1, self.count), self.y(value)

    def y(self, value: float) -> float:
        """Equal (inf) has a line of its own above the highest number."""
        low, high = self.ends
        lowest = HEIGHT - _BOTTOM
        if value == inf:
            return _TOP
        if not isfinite(value):
            return lowest
        share = (value - low) / (high - low)
        return lowest - share * (lowest - _TOP - 22)


def _range(values: Sequence[float], limit: float | None) -> tuple[float, float]:
    known = [value for value in values if isfinite(value)]
    known += [limit] if limit is not None else []
    low, high = min([0.0, *known]), max([20.0, *known])
    step = _step(high - low)
    return step * (low // step), step * ceil(high / step)


def _step(span: float) -> float:
    return next((step for step in (5.0, 10.0, 20.0, 50.0, 100.0) if span / step <= 6), span / 5)


def _axes(frame: _Frame, label: str, edge: str) -> list[Mark]:
    low, high = frame.ends
    step = _step(high - low)
    right = frame.width - _RIGHT
    marks: list[Mark] = [Words(4, 13, printable(label), _SIZE + 1, 400)]
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        y = frame.y(value)
        marks.append(Line((_LEFT, y), (((right, y),),), "#b9c0c8", dashed=value != low))
        marks.append(Words(8, y + 4, f"{value:g}", _SIZE, 40, "dim"))
    marks.append(Line((_LEFT, frame.y(inf)), (((right, frame.y(inf)),),), "#b9c0c8"))
    marks.append(Words(8, frame.y(inf) + 4, printable(edge), _SIZE, 46, "dim"))
    return marks


def _names(frame: _Frame, points: Sequence[Point]) -> list[Mark]:
    """The names below the axis, as many as have room, from the first one on."""
    found: list[Mark] = []
    free = 0.0
    for i, point in enumerate(points):
        words = printable(point.name, 18)
        room = 0.6 * _SIZE * len(words)
        x = frame.spot(i, 0)[0]
        if x - room / 2 < free or x + room / 2 > frame.width:
            continue
        free = x + room / 2 + 8
        floor = HEIGHT - _BOTTOM
        found.append(Line((x, floor), (((x, floor + 5),),), "dim"))
        found.append(Words(x, floor + 18, words, _SIZE, room, "dim", middle=True))
    return found


def _disk(middle: Spot, radius: float) -> tuple[Spot, ...]:
    """A polygon that looks round."""
    turns = (2 * pi * i / 16 for i in range(16))
    return tuple((middle[0] + radius * cos(t), middle[1] + radius * sin(t)) for t in turns)


def _name(frame: _Frame, name: str, spots: Sequence[Spot]) -> Words:
    """The name beside the first of some points, where it covers none of the next ones."""
    spot, size, words = spots[0], 15.0, printable(name, 40)
    room = 0.62 * size * len(words)
    x = spot[0] + 12 if spot[0] + 12 + room < frame.width else spot[0] - 12 - room
    rises = any(y < spot[1] for _, y in spots[1:6]) and spot[1] < HEIGHT - _BOTTOM - 40
    y = spot[1] + 24 if rises or spot[1] < _TOP + 20 else spot[1] - 12
    return Words(x, y, words, size, room, BAD)
