"""Sets of positions on one axis: where a window reads, and which windows read a place.

A set is a `range` with a positive step where it has that form, which windows nearly always give,
and a sorted tuple otherwise.  Both have a length, a first and a last, and are in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Places: TypeAlias = range | tuple[int, ...]

NONE = range(0)


def gathered(positions: Iterable[int]) -> Places:
    """The set of some positions, in its simplest form.

    >>> gathered([4, 2, 3, 2]), gathered([0, 1, 5]), gathered([])
    (range(2, 5), (0, 1, 5), range(0, 0))
    """
    found = sorted(set(positions))
    if len(found) < 2:
        return range(found[0], found[0] + 1) if found else NONE
    step = found[1] - found[0]
    even = range(found[0], found[-1] + 1, step)
    return even if len(even) == len(found) and list(even) == found else tuple(found)


def moved(places: Places, stride: int, offset: int) -> Places:
    """Each position times `stride` (not 0) plus `offset`.

    >>> moved(range(0, 3), 2, 1), moved(range(0, 3), -1, 5)
    (range(1, 6, 2), range(3, 6))
    """
    if stride == 1 and offset == 0:
        return places
    if not isinstance(places, range):
        return gathered(p * stride + offset for p in places)
    if not places:
        return NONE
    ends = sorted((places[0] * stride + offset, places[-1] * stride + offset))
    return range(ends[0], ends[1] + 1, abs(stride) * places.step if len(places) > 1 else 1)


def summed(places: Places, others: range) -> Places:
    """Every sum of one position of each.

    >>> summed(range(3, 4), range(-1, 2)), summed(range(0, 9, 4), range(0, 2))
    (range(2, 5), (0, 1, 4, 5, 8, 9))
    """
    if len(others) == 1:
        return moved(places, 1, others[0])
    if isinstance(places, range) and places:
        if len(places) == 1:
            return range(others.start + places[0], others.stop + places[0], others.step)
        fine, coarse = sorted((places, others), key=lambda each: each.step)
        if coarse.step % fine.step == 0 and len(fine) * fine.step >= coarse.step:
            return range(places[0] + others[0], places[-1] + others[-1] + 1, fine.step)
    return gathered(p + other for p in places for other in others)


def reading(places: Places, stride: int, taps: range) -> Places:
    """The windows that have a tap on one of the places; window i has its taps at i * stride + tap.

    >>> reading(range(3, 4), 2, range(-1, 3)), reading(range(1, 2), 3, range(0, 1))
    (range(1, 3), range(0, 0))
    """
    if isinstance(places, range) and places and places.step == 1 and taps.step == 1:
        first, last = -((taps[-1] - places[0]) // stride), (places[-1] - taps[0]) // stride
        return range(first, last + 1) if first <= last else NONE
    found = (divmod(place - tap, stride) for place in places for tap in taps)
    return gathered(window for window, rest in found if rest == 0)


def within(places: Places, size: int) -> Places:
    """The positions from 0 to `size` - 1.

    >>> within(range(-3, 9, 2), 6), within(range(-4, 0), 6)
    (range(1, 6, 2), range(0, 0))
    """
    if not places or (places[0] >= 0 and places[-1] < size):
        return places
    if not isinstance(places, range):
        return gathered(p for p in places if 0 <= p < size)
    first = places[0] if places[0] >= 0 else places[0] % places.step
    kept = range(first, min(places[-1] + 1, size), places.step)
    return range(kept[0], kept[-1] + 1, kept.step) if kept else NONE


def holds(places: Places, others: Places) -> bool:
    """Whether each of the others is one of the places."""
    if not others or places == others:
        return True
    if not places or others[0] < places[0] or others[-1] > places[-1]:
        return False
    if isinstance(places, range) and places.step == 1:
        return True
    return set(others) <= set(places)


def united(places: Places, others: Places) -> Places:
    """All positions of both."""
    if holds(places, others):
        return places
    if holds(others, places):
        return others
    if isinstance(places, range) and isinstance(others, range) and places.step == others.step == 1:
        low, high = sorted((places, others), key=lambda each: each[0])
        if high[0] <= low[-1] + 1:
            return range(low[0], max(low[-1], high[-1]) + 1)
    return gathered((*places, *others))
