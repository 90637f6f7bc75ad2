"""Attributions as a picture: the image as it was fed, and each map over it with its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import UsageError
from layerscope.measure.attribution import Attribution
from layerscope.pictures import Plot
from layerscope.pictures.board import SMALL, Board, tinted
from layerscope.pictures.color import TOP, Color
from layerscope.pictures.scale import Extent
from layerscope.text import brief, number, plural, printable, shape

WIDTH = 760.0
BARS = 8
_EDGE, _GAP = 16.0, 18.0
_COLUMNS = 4  # of a sheet of several methods
_HIGHEST, _LOWEST = 420.0, 12.0
_NARROWEST = 120.0  # of the bar of colors
_SOFT = "#555b66"
_BAR = 9.0
_LINE = 16.0
_CUT = 99.0  # percent of the places whose color does not end, for maps of single pixels
_MANY = 1000  # places, below which all are shown
_FAR = 0.25  # of the largest: maps that begin above it begin at their lowest number
PLAIN = 190  # the gray below a map without an image, and below the color bar
COVER, BEND = 0.92, 0.6  # how much of the image the strongest color hides, and how soon
HUE = 0.55  # of a signed map: how far from white its faintest color is

_FOR_AND_AGAINST = ("#c0392b", "#2f62b5")  # as in the map: red for, blue against
Floats = NDArray[np.float64]
Rgb = NDArray[np.uint8]


def attribution_picture(found: Sequence[Attribution]) -> Plot:
    """Draw attributions of one unit: one large, several as a sheet of tiles with a heading each.

    Raises:
        UsageError: nothing to draw, or a map with three or more spatial axes.
    """
    if not found:
        raise UsageError("nothing to draw: no attribution is given")
    for each in found:
        if not 1 <= each.map.ndim <= 2:
            raise UsageError(
                f"the map of {each.way} is {shape(each.map.shape)}, which is no picture; save it"
                " as .npy"
            )
    return _sheet(found) if len(found) > 1 else _single(found[0])


def _single(found: Attribution) -> Plot:
    board = Board(WIDTH)
    room = WIDTH - 2 * _EDGE
    y = _head(board, found, found.heading, [_how(found)])
    if found.map.ndim == 1:
        y = _vector(board, found, (_EDGE, y, room))
    else:
        left, wide = _EDGE, (room - _GAP) / 2
        if found.picture is not None:
            board.text(left, y, f"{printable(found.input, 24)}, as it was fed", size=SMALL)
            inner = _fitted(found, wide - 16)
            board.image((left + 16, y + _LINE, *inner), found.picture)
            left += max(inner[0] + 16, _NARROWEST) + _GAP
        y = _tile(board, found, (left, y, wide), large=True)
    if found.shares is not None and len(found.shares) > 1 and found.map.ndim == 2:
        y = _channels(board, found, (_EDGE, y + 4, room))
    y = board.rule(_EDGE, y + 4, room)
    for note in found.notes:
        y = board.text(_EDGE, y, note, size=SMALL, color=_SOFT, room=room)
    return board.plot(found.heading)


def _sheet(found: Sequence[Attribution]) -> Plot:
    board = Board(WIDTH)
    first = found[0]
    title = first.heading.removesuffix(f", {first.way}")
    line = f"{plural(len(found), 'way')} to ask what counts for it, each with its own scale"
    if any(each.map.ndim == 2 and ramp_of(each).over for each in found):
        line += "; colors that say ≥ end at 99 % of the places"
    y = _head(board, first, title, [line])
    wide = (WIDTH - 2 * _EDGE - (_COLUMNS - 1) * _GAP) / _COLUMNS
    cells: list[Attribution | None] = [*([None] if first.picture is not None else []), *found]
    for start in range(0, len(cells), _COLUMNS):
        below = y
        for column, each in enumerate(cells[start : start + _COLUMNS]):
            box = (_EDGE + column * (wide + _GAP), y, wide)
            if each is None:
                below = max(below, _fed(board, first, box))
            elif each.map.ndim == 2:
                below = max(below, _tile(board, each, box, large=False))
            else:
                words = board.text(*box[:2], each.way, bold=True, size=SMALL, room=wide)
                below = max(below, _vector(board, each, (box[0], words, wide)))
        y = below + 10
    return board.plot(title)


def _head(board: Board, found: Attribution, title: str, lines: Sequence[str]) -> float:
    room = WIDTH - 2 * _EDGE
    y = board.text(_EDGE, 10, title, size=18, bold=True, room=room)
    for line in lines:
        y = board.text(_EDGE, y + 2, line, color=_SOFT, room=room)
    if found.fed:
        y = board.text(_EDGE, y, f"{printable(found.input, 24)}: {found.fed}", size=SMALL,
                       color=_SOFT, room=room)  # fmt: skip
    return board.rule(_EDGE, y + 2, room)


def _how(found: Attribution) -> str:
    """The paper, and the settings that are numbers."""
    known = [f"{name} {value}" for name, value in found.settings.items()
             if isinstance(value, (int, float, str)) and not isinstance(value, bool)]  # fmt: skip
    return "; ".join([found.paper, *([", ".join(known)] if known else [])])


def _fed(board: Board, found: Attribution, box: tuple[float, float, float]) -> float:
    x, y, wide = box
    assert found.picture is not None
    y = board.text(x, y, "As it was fed", bold=True, size=SMALL)
    y = board.text(x, y, printable(found.input, 24), size=SMALL, color=_SOFT)
    picture = found.picture
    pixels = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    return board.tile((x, y + 2, *_fitted(found, wide)), pixels)


def _tile(
    board: Board, found: Attribution, box: tuple[float, float, float], *, large: bool
) -> float:
    """A map over its image, with its heading and the bar of its colors; gives the y below."""
    x, y, wide = box
    ramp = ramp_of(found)
    pixels = overlay(found, ramp)
    if large:
        board.text(x, y, reading(found), size=SMALL, room=wide)
        inner = _fitted(found, wide - 16)
        y = board.image((x + 16, y + _LINE, *inner), pixels) + 6
        x, wide = x + 16, max(inner[0], _NARROWEST)
    else:
        y = board.text(x, y, found.title, bold=True, size=SMALL, room=wide)
        where = f"at {printable(found.at, 24)}" if found.at else f"at {printable(found.input, 24)}"
        y = board.text(x, y, where, size=SMALL, color=_SOFT, room=wide) + 2
        inner = _fitted(found, wide)
        y = board.tile((x, y, *inner), pixels) + 5
    if not ramp.most:
        return board.text(x, y, "0 everywhere", size=SMALL, room=wide)
    board.tile((x, y, wide, _BAR), ramp.bar())
    y += _BAR + 1
    low, high = ramp.ends()
    board.text(x, y, low, size=SMALL)
    y = board.text(x + wide, y, high, size=SMALL, align="right")
    rest = [ramp.over if large else ramp.over.rpartition("; ")[2]] if ramp.over else []
    if found.completeness is not None and not large:
        rest.append(f"gap {brief(found.completeness.gap)}")
    if rest:
        y = board.text(x, y, ", ".join(rest), size=SMALL, color=_SOFT, room=wide)
    return y


def reading(found: Attribution) -> str:
    """What the colors mean."""
    if found.signed:
        return "red speaks for the unit, blue against it"
    if found.reduction == "largest":
        return "the largest magnitude of a pixel's channels"
    return "the brighter, the more it counts"


def _fitted(found: Attribution, wide: float) -> tuple[float, float]:
    """Width and height of a map in a column of that width."""
    rows, columns = found.map.shape
    high = min(wide * rows / columns, _HIGHEST)
    return high * columns / rows, max(high, _LOWEST)


def _vector(board: Board, found: Attribution, box: tuple[float, float, float]) -> float:
    """The numbers that count most, as bars."""
    x, y, wide = box
    values = found.map
    order = np.argsort(-np.abs(values), kind="stable")[: 2 * BARS]
    words = f"{len(order)} of {plural(len(values), 'number')} shown, largest first"
    y = board.text(x, y, words, size=SMALL, color=_SOFT, room=wide)
    rows = [(str(int(i)), number(float(values[i]), 3), float(values[i])) for i in order]
    return board.bars((x, y + 2, wide), rows, colors=_FOR_AND_AGAINST)


def _channels(board: Board, found: Attribution, box: tuple[float, float, float]) -> float:
    """The channels of a layer that add most."""
    assert found.shares is not None
    x, y, wide = box
    shown = found.ranking(BARS)
    words = f"{len(shown)} of {plural(len(found.shares), 'channel')} of {printable(found.at, 40)}"
    y = board.text(x, y, f"{words} shown, those that add most first", size=SMALL, color=_SOFT)
    rows = [(f"channel {channel}", number(adds, 3), adds) for channel, adds in shown]
    return board.bars((x, y + 2, wide), rows, colors=_FOR_AND_AGAINST)


@dataclass(frozen=True, slots=True)
class Ramp:
    """How a map's numbers become colors over an image.

    Attributes:
        low, high: the numbers at which the colors end; `low` is -`high` for a signed map.
        most: the largest magnitude that there is.
        color: the palette.
    """

    low: float
    high: float
    most: float
    color: Color

    def paint(self, values: Floats, ground: Floats) -> Rgb:
        """Numbers over a gray ground (H, W): the more they are, the more color covers it."""
        inside = np.clip(np.nan_to_num(values), self.low, self.high)
        share = (inside - self.low) / ((self.high - self.low) or 1.0)
        if self.color == "diverging":
            # Not through white, which would stand on the image as a bright rim: the two hues.
            share = np.abs(2 * share - 1)
            inside = np.sign(inside) * (HUE + (1 - HUE) * share)
            colors = tinted(inside, "diverging", Extent(-1.0, 1.0, None, "signed"))
        else:
            colors = tinted(inside, self.color, Extent(self.low, self.high, None, "all"))
        cover = COVER * share[..., None] ** BEND
        found: Rgb = np.rint(colors * cover + ground[..., None] * (1 - cover)).astype(np.uint8)
        return found

    def bar(self) -> Rgb:
        """The colors from low to high, over plain gray."""
        values = np.linspace(self.low, self.high, TOP + 1)[None]
        return self.paint(values, np.full(values.shape, float(PLAIN)))

    @property
    def over(self) -> str:
        """What lies behind the ends, in words."""
        cut = self.most > max(self.high, -self.low) * 1.0001
        return f"colors end at 99 % of the places; largest {brief(self.most)}" if cut else ""

    def ends(self) -> tuple[str, str]:
        """What to write at the two ends of the bar."""
        cut = bool(self.over)
        low = ("≤ " if cut and self.low < 0 else "") + brief(self.low)
        return low, ("≥ " if cut else "") + brief(self.high)


def ramp_of(found: Attribution) -> Ramp:
    """The scale of a map: from 0, or from the lowest where all are far from it, to the largest.

    Values of the unit go from the lowest to the largest: 0 is nothing special among them.

    In maps of single pixels a few stand out by far; there the colors end at the 99th percentile,
    as in the paper on SmoothGrad, and the bar says what the largest is.
    """
    values = np.nan_to_num(np.asarray(found.map, np.float64), posinf=0, neginf=0)
    size = np.abs(values)
    most = float(size.max(initial=0))
    if found.level and values.size:
        return Ramp(float(values.min()), float(values.max()), most, "heat")
    fine = not found.at and found.reduction != "none" and values.size >= _MANY
    high = float(np.percentile(size, _CUT)) if fine and size.size else most
    high = high or most or 1.0
    if found.signed:
        return Ramp(-high, high, most, "diverging")
    least = float(values.min()) if values.size else 0.0
    return Ramp(least if _FAR * high < least < high else 0.0, high, most, "heat")


def overlay(found: Attribution, ramp: Ramp) -> Rgb:
    """The map over the image in gray, (H, W, 3)."""
    values = np.asarray(found.map, np.float64)
    return ramp.paint(values, ground(found.picture, values.shape))


def ground(picture: NDArray[Any] | None, dims: tuple[int, ...]) -> Floats:
    """The gray (H, W) that a map of that shape lies on: the image, where it has that size."""
    if picture is None or picture.shape[:2] != dims:
        return np.full(dims, float(PLAIN))
    gray = picture.astype(np.float64)
    if gray.ndim == 3:
        gray = gray @ np.array([0.299, 0.587, 0.114])
    found: Floats = 40 + 0.8 * gray
    return found
