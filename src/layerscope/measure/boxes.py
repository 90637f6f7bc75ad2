"""Boxes of positions in a blob: one set of places for each axis, and how shapes rearrange them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import TypeAlias

from layerscope.measure.places import Places, gathered, holds, moved, united, within

Box: TypeAlias = tuple[Places, ...]
Part: TypeAlias = tuple[Box, bool]  # a box, and whether each end of it is really reached

MOST_PARTS = 8  # of one value; more are taken together, and are then an upper bound
MOST_PLACES = 4096  # positions that are looked at one by one
_MOST_SINGLE = 16


def whole(dims: Sequence[int]) -> Box:
    """Every position of an array."""
    return tuple(range(dim) for dim in dims)


def broadcast(box: Box, dims: Sequence[int]) -> Box:
    """What an operand of shape `dims` gives to a box of the result of an elementwise op."""
    tail = box[len(box) - len(dims) :]
    return tuple(range(1) if dim == 1 else places for places, dim in zip(tail, dims, strict=True))


def add(parts: list[Part], new: Part) -> None:
    """Add a box to those of one value: together with one that it continues, where there is one.

    Two boxes that differ along one axis only are one box; nothing is lost by that.
    """
    box, exact = new
    for i, (old, known) in enumerate(parts):
        if known != exact:
            continue
        other = [k for k, (a, b) in enumerate(zip(old, box, strict=True)) if a != b]
        if len(other) <= 1 or all(holds(old[k], box[k]) for k in other):
            if len(other) == 1:
                k = other[0]
                parts[i] = ((*old[:k], united(old[k], box[k]), *old[k + 1 :]), exact)
            return
        if all(holds(box[k], old[k]) for k in other):
            parts[i] = new
            return
    parts.append(new)
    if len(parts) > MOST_PARTS:
        parts[:] = [(hull([box for box, _ in parts]), False)]


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box with all of these in it; each axis from its first to its last place."""
    return tuple(
        range(min(each[0] for each in axis), max(each[-1] for each in axis) + 1)
        for axis in zip(*boxes, strict=True)
    )


def reshaped(box: Box, dims: Sequence[int], before: Sequence[int]) -> Iterator[Part]:
    """The boxes of an array of shape `before` that a reshape to `dims` puts into a box.

    Axes that are kept are passed on as they are, though the box reach over the edge.
    """
    blocks = list(_blocks(dims, before))
    choices = [
        _regrouped(box[new], [dims[i] for i in new_axes], [before[i] for i in old_axes])
        for new_axes, old_axes in blocks
        for new in [slice(new_axes.start, new_axes.stop)]
    ]
    for choice in product(*choices):
        yield tuple(p for part, _ in choice for p in part), all(exact for _, exact in choice)


def _blocks(dims: Sequence[int], before: Sequence[int]) -> Iterator[tuple[range, range]]:
    """The shortest runs of axes, new and old, that hold the same number of positions."""
    i = j = 0
    while i < len(dims) or j < len(before):
        start_i, start_j = i, j
        new = old = 1
        if i < len(dims) and j < len(before):
            new, old, i, j = dims[i], before[j], i + 1, j + 1
            while new != old:
                if new < old:
                    new, i = new * dims[i], i + 1
                else:
                    old, j = old * before[j], j + 1
        else:  # only axes of one position are left
            i, j = len(dims), len(before)
        yield range(start_i, i), range(start_j, j)


def _regrouped(box: Box, dims: list[int], before: list[int]) -> list[Part]:
    """`reshaped` within one block."""
    wide, wide_before = ([k for k, dim in enumerate(d) if dim != 1] for d in (dims, before))
    if len(wide) == len(wide_before) == 1:
        kept = box[wide[0]]
        return [(tuple(kept if dim != 1 else range(1) for dim in before), True)]
    if len(dims) == len(before) == 1:
        return [(box, True)]
    inside = [within(places, dim) for places, dim in zip(box, dims, strict=True)]
    if not all(inside):
        return []
    if all(len(places) == dim for places, dim in zip(inside, dims, strict=True)):
        return [(whole(before), True)]
    flat = _flat(inside, dims)
    if flat is None:
        return [(whole(before), False)]
    if isinstance(flat, range) and flat.step == 1:
        return [(part, True) for part in _cut(flat[0], flat[-1], before)]
    return _scattered(flat, before)


def _flat(box: Sequence[Places], dims: Sequence[int]) -> Places | None:
    """The places of a box in the array laid out as one axis; None where they are too many."""
    flat: Places = range(1)
    for places, dim in zip(box, dims, strict=True):
        if isinstance(places, range) and len(places) == dim:
            if isinstance(flat, range) and flat.step == 1:
                flat = range(flat[0] * dim, (flat[-1] + 1) * dim)
                continue
        if len(flat) == 1:
            flat = moved(places, 1, flat[0] * dim)
        elif len(places) == 1:
            flat = moved(flat, dim, places[0])
        elif len(flat) * len(places) > MOST_PLACES:
            return None
        else:
            flat = gathered(f * dim + p for f in flat for p in places)
    return flat


def _cut(first: int, last: int, dims: Sequence[int]) -> Iterator[Box]:
    """A run of the flat array as boxes: what is left of a row, whole rows, the start of a row."""
    if len(dims) <= 1:
        yield (range(first, last + 1),) if dims else ()
        return
    row = prod(dims[1:])
    (top, left), (bottom, right) = divmod(first, row), divmod(last, row)
    if top == bottom:
        yield from ((range(top, top + 1), *rest) for rest in _cut(left, right, dims[1:]))
        return
    if left:
        yield from ((range(top, top + 1), *rest) for rest in _cut(left, row - 1, dims[1:]))
        top += 1
    if right < row - 1:
        yield from ((range(bottom, bottom + 1), *rest) for rest in _cut(0, right, dims[1:]))
        bottom -= 1
    if top <= bottom:
        yield (range(top, bottom + 1), *whole(dims[1:]))


def _scattered(flat: Places, dims: Sequence[int]) -> list[Part]:
    """Places of the flat array that are not in a row: a box where they are one, or single ones."""
    if len(flat) > MOST_PLACES:
        return [(whole(dims), False)]
    found = []
    for place in flat:
        index = []
        for dim in reversed(dims):
            place, rest = divmod(place, dim)
            index.append(rest)
        found.append(index[::-1])
    box = tuple(gathered(axis) for axis in zip(*found, strict=True))
    if prod(len(places) for places in box) == len(flat):
        return [(box, True)]
    if len(flat) <= _MOST_SINGLE:
        return [(tuple(range(i, i + 1) for i in index), True) for index in found]
    return [(box, False)]
