"""Arrays as solids: a block whose edges are as long as the logarithm of its channels and sides.

The channels lie along the flow: looking down a net, a map is a slab that gets thicker with its
channels; looking along it, the block of the classic figures.  Vectors are tall bars, single numbers
dots, and what has no shape is a dashed box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, log, pi, prod, sin
from typing import Literal, TypeAlias

from layerscope.pictures.sheet import Area, Mark, Spot, Words, mixed

Direction: TypeAlias = Literal["down", "right"]

_SIDE = (10, 58, 512)  # pixels for one, pixels for the third number and more
_THICK = (5, 44, 4096)
_TALL = (12, 56, 4096)
_BACK = (0.42, 0.3)  # where a pixel that leads back is drawn: right and up
_SLICE = 5  # pixels for each layer that works in place
_SLICES = 30  # pixels for all of them
_RADIUS = 7
_UNKNOWN = (34, 26)


@dataclass(frozen=True, slots=True)
class Solid:
    """A drawn array, its corner at (0, 0).

    Attributes:
        width, height: of everything that is drawn.
        port: across the flow, where edges come and go.
        enters, leaves: along the flow, where they meet the outline.
        marks: the drawing.
    """

    width: int
    height: int
    port: int
    enters: int
    leaves: int
    marks: tuple[Mark, ...]


def solid(
    shape: Sequence[int] | None,
    color: str,
    slices: Sequence[str],
    direction: Direction,
    *,
    bold: bool = False,
) -> Solid:
    """The solid of an array.

    Args:
        shape: (N, C, ...) with any number of axes, or None where it is not known.
        color: "#rrggbb".
        slices: the colours of what was done to it in place, in order.
        direction: where the net flows to.
        bold: whether the outline is strong, as for an output.
    """
    if shape is None:
        return _unknown(color, direction)
    if prod(shape) == 1:
        return _dot(color, slices, bold=bold)
    channels, high, wide = _axes(shape)
    down = direction == "down"
    if high == wide == 1:
        tall, side = _length(channels, _TALL), _length(1, _SIDE)
        flow, across, back = (tall, side, side) if down else (side, tall, side)
    else:
        sides = (_length(wide, _SIDE), _length(high, _SIDE))
        across, back = sides if down else sides[::-1]
        flow = _length(channels, _THICK)
    return _box((flow, across, back), color, slices, direction, bold=bold)


def _axes(shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width; of more axes the last two are sides, the rest channels."""
    dims = [max(1, int(each)) for each in shape]
    if len(dims) == 1:
        return dims[0], 1, 1
    if len(dims) == 3:
        return dims[1], 1, dims[2]
    if len(dims) == 2:
        return dims[1], 1, 1
    return prod(dims[1:-2]), dims[-2], dims[-1]


def _length(number: int, scale: tuple[int, int, int]) -> int:
    least, most, largest = scale
    return least + round((most - least) * min(1.0, log(number) / log(largest)))


def _box(
    edges: tuple[int, int, int],
    color: str,
    slices: Sequence[str],
    direction: Direction,
    *,
    bold: bool,
) -> Solid:
    """A block with edges along the flow, across it and to the back."""
    flow, across, back = edges
    right, up = round(back * _BACK[0]), round(back * _BACK[1])
    shown = slices[: _SLICES // 2]
    step = min(_SLICE, _SLICES // len(shown)) if shown else 0
    cuts = [0, *(flow + step * each for each in range(len(shown) + 1))]
    down = direction == "down"
    wide, high = (across, cuts[-1]) if down else (cuts[-1], across)
    marks: list[Mark] = []
    for start, end, each in zip(cuts, cuts[1:], (color, *shown), strict=False):
        marks += _slab(start, end, across, (right, up), each, down=down)
    cap = _top(wide, right, up) if down else _side(wide, high, right, up)
    first, last = color, (shown[-1] if shown else color)
    marks.append(Area(cap, _light(first) if down else _dark(last), _edge(first if down else last)))
    if bold:
        marks.append(Area(_outline(wide, high, right, up), "", "ink", 2))
    if down:
        port = (wide + right) // 2
        enters = 0 if port >= right else round(up * (1 - port / right))
        leaves = up + high - (round(up * (port - wide) / right) if port > wide else 0)
    else:
        port = (high + up) // 2
        enters = 0 if port >= up else round(right * (1 - port / up))
        leaves = wide + right - (round(right * (port - high) / up) if port > high else 0)
    return Solid(wide + right, high + up, port, enters, leaves, tuple(marks))


def _slab(
    start: int, end: int, across: int, back: tuple[int, int], color: str, *, down: bool
) -> list[Mark]:
    """The two faces of a part of a block that are along the flow."""
    right, up = back
    if down:
        front = _rectangle(0, up + start, across, up + end)
        other: tuple[Spot, ...] = (
            (across, up + start), (across + right, start), (across + right, end), (across, up + end)
        )  # fmt: skip
        shade = _dark(color)
    else:
        front = _rectangle(start, up, end, up + across)
        other = ((start, up), (start + right, 0), (end + right, 0), (end, up))
        shade = _light(color)
    return [Area(front, color, _edge(color)), Area(other, shade, _edge(color))]


def _rectangle(left: float, top: float, right: float, bottom: float) -> tuple[Spot, ...]:
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _top(wide: int, right: int, up: int) -> tuple[Spot, ...]:
    return (0, up), (right, 0), (wide + right, 0), (wide, up)


def _side(wide: int, high: int, right: int, up: int) -> tuple[Spot, ...]:
    return (wide, up), (wide + right, 0), (wide + right, high), (wide, high + up)


def _outline(wide: int, high: int, right: int, up: int) -> tuple[Spot, ...]:
    return (
        *((0, up), (right, 0), (wide + right, 0)),
        *((wide + right, high), (wide, high + up), (0, high + up)),
    )


def _dot(color: str, slices: Sequence[str], *, bold: bool) -> Solid:
    """A single number; what was done to it in place are rings around it."""
    shown = slices[: _SLICES // 3]
    size = _RADIUS + 3 * len(shown)
    marks: list[Mark] = []
    for ring, each in enumerate((*reversed(shown), color)):
        inner = _round(size, size - 3 * ring)
        strong = bold and ring == 0
        marks.append(Area(inner, each, "ink" if strong else _edge(each), 2 if strong else 1))
    return Solid(2 * size, 2 * size, size, 0, 2 * size, tuple(marks))


def _round(center: int, radius: int) -> tuple[Spot, ...]:
    turns = [2 * pi * each / 16 for each in range(16)]
    return tuple((center + radius * cos(t), center + radius * sin(t)) for t in turns)


def _unknown(color: str, direction: Direction) -> Solid:
    wide, high = _UNKNOWN
    box = Area(_rectangle(0, 0, wide, high), "", color, 1.5, dashed=True)
    mark = Words(wide / 2, high / 2 + 5, "?", 14, wide, middle=True)
    across, along = (wide, high) if direction == "down" else (high, wide)
    return Solid(wide, high, across // 2, 0, along, (box, mark))


def _light(color: str) -> str:
    return mixed(color, "#ffffff", 0.4)


def _dark(color: str) -> str:
    return mixed(color, "#000000", 0.22)


def _edge(color: str) -> str:
    return mixed(color, "#000000", 0.55)
