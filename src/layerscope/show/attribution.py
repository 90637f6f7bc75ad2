"""Attributions as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan

from layerscope.measure.attribution import Attribution
from layerscope.text import brief, number, plural, printable, times, wrapped_line

WIDTH = 100
CHANNELS = 8


def attribution_text(found: Sequence[Attribution]) -> str:
    """One paragraph for each way: what it found, where, and what to know of it."""
    parts = ["\n".join(wrapped_line(line, WIDTH) for line in _lines(each)) for each in found]
    if found and found[0].fed:
        fed = f"{printable(found[0].input, 40)}: {found[0].fed}"
        parts.insert(0, wrapped_line(fed, WIDTH))
    return "\n\n".join(parts)


def _lines(found: Attribution) -> Iterator[str]:
    plane = found.map
    yield found.heading
    yield f"  {found.paper}"
    size = times(plane.shape[::-1]) if plane.shape else "one number"
    taken = f" from {times(found.values.shape)}" if found.values.shape != plane.shape else ""
    scale = f"{number(float(plane.min()))} to {number(float(plane.max()))}"
    yield f"  map {size}{taken}, from {scale}"
    yield f"  {where_words(found)}"
    if found.shares is not None and len(found.shares) > 1:
        shown = found.ranking(CHANNELS)
        words = ", ".join(f"{channel} {number(adds, 3)}" for channel, adds in shown)
        yield (
            f"  channels that add most, {len(shown)} of {plural(len(found.shares), 'channel')}:"
            f" {words}"
        )
    for note in found.notes:
        yield f"  {note}"


def where_words(found: Attribution) -> str:
    """Where the largest number is, and how far the rest is spread."""
    place = found.strongest
    if not place:
        return "one number only"
    names = ("x", "y") if len(place) == 2 else ("place",) if len(place) == 1 else ()
    pairs = zip(names, reversed(place), strict=True) if names else ()
    at = ", ".join(f"{name} {i}" for name, i in pairs) or str(place)
    words = f"largest {number(float(found.map[place]), 3)} at {at}"
    if found.level:
        return f"{words}; values of the unit, of which the differences count"
    if isnan(found.half):
        return f"{words}; no place speaks for the unit"
    return f"{words}; half of the positive sum lies on {brief(100 * found.half)} % of the places"


def shares_words(found: Attribution, most: int) -> str:
    """The channels of a layer that add most; "" for what has no channels."""
    if found.shares is None or len(found.shares) < 2:
        return ""
    shown = found.ranking(most)
    adds = ", ".join(f"{channel} adds {number(value, 3)}" for channel, value in shown)
    return f"channels, {len(shown)} of {len(found.shares)} shown: {adds}"
