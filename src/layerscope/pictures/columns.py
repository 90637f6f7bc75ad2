"""Where the nodes of a layered graph are across: what follows one another stands in one column.

Edges are chosen that shall be straight (the longest path first, then the inner parts of long edges,
then those in the middle of a fork); none of these cross, so their columns have an order.  Columns
are packed by it, then each moves towards its neighbours as far as those beside it let it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from layerscope.pictures.crossings import positions

if TYPE_CHECKING:
    from layerscope.pictures.layout import Layered

_SWEEPS = 16


class Room(Protocol):
    """What a node needs across."""

    @property
    def left(self) -> int:
        """From its port to its left end."""

    @property
    def right(self) -> int:
        """From its port to its right end."""


def places(graph: Layered, room: Sequence[Room], gap: int) -> list[int]:
    """The x of each node's port; the leftmost end is at 0, nodes of a rank are `gap` apart."""
    column = _columns(graph)
    number = max(column, default=-1) + 1
    beside = _distances(graph, column, room, gap)
    order = _from_left(number, beside)
    across = _packed(number, order, beside)
    _drawn_together(graph, column, across, order, beside)
    x = [across[each] for each in column]
    first = min((x[node] - room[node].left for node in range(len(x))), default=0)
    return [each - first for each in x]


def _columns(graph: Layered) -> list[int]:
    """The column of each node."""
    place = positions(graph)
    trunk = set(zip(graph.trunk[1:], graph.trunk, strict=False))
    column = [-1] * len(graph.rank)
    found = 0
    for row in graph.rows:
        for node in row:
            if column[node] < 0:
                column[node] = found
                found += 1
        for source, target in _straight(graph, row, place, trunk):
            column[target] = column[source]
    return column


def _straight(
    graph: Layered, row: Sequence[int], place: Sequence[int], trunk: set[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The edges below a rank that shall be straight: one at most for a node, and none cross."""

    def wish(edge: tuple[int, int]) -> tuple[bool, bool, int, int]:
        source, target = edge
        points = (source >= graph.real) + (target >= graph.real)
        middle = _aside(target, graph.down[source], place) + _aside(source, graph.up[target], place)
        return edge not in trunk, points < 2, middle + (points == 1), place[source]

    chosen: list[tuple[int, int]] = []
    taken: list[tuple[int, int]] = []  # places of their ends, from left to right
    for source, target in sorted(((s, t) for s in row for t in graph.down[s]), key=wish):
        ends = (place[source], place[target])
        at = bisect_left(taken, ends)
        left = at == 0 or (taken[at - 1][0] < ends[0] and taken[at - 1][1] < ends[1])
        right = at == len(taken) or (taken[at][0] > ends[0] and taken[at][1] > ends[1])
        if left and right:
            taken.insert(at, ends)
            chosen.append((source, target))
    return chosen


def _aside(node: int, among: Sequence[int], place: Sequence[int]) -> int:
    """How far a node is from the middle of those it is among."""
    if len(among) == 1:
        return 0
    before = sum(place[each] < place[node] for each in among) if len(among) < 64 else place[node]
    return abs(2 * before - (len(among) - 1))


def _distances(
    graph: Layered, column: Sequence[int], room: Sequence[Room], gap: int
) -> list[dict[int, int]]:
    """Of each column those right of it, with the least distance."""
    beside: list[dict[int, int]] = [{} for _ in range(max(column, default=-1) + 1)]
    for row in graph.rows:
        for left, right in pairwise(row):
            points = (left >= graph.real) + (right >= graph.real)
            apart = room[left].right + room[right].left + (gap if points < 2 else gap // 2)
            known = beside[column[left]]
            known[column[right]] = max(apart, known.get(column[right], 0))
    return beside


def _from_left(number: int, beside: Sequence[dict[int, int]]) -> list[int]:
    """The columns, each after all that are left of it."""
    waits = [0] * number
    for known in beside:
        for right in known:
            waits[right] += 1
    order = [each for each in range(number) if not waits[each]]
    for each in order:  # grows while it is read
        for right in beside[each]:
            waits[right] -= 1
            if not waits[right]:
                order.append(right)
    return order


def _packed(number: int, order: Sequence[int], beside: Sequence[dict[int, int]]) -> list[int]:
    """Each column in the middle between the leftmost and the rightmost place it could have."""
    least = [0] * number
    for each in order:
        for right, apart in beside[each].items():
            least[right] = max(least[right], least[each] + apart)
    most = [max(least, default=0)] * number
    for each in reversed(order):
        for right, apart in beside[each].items():
            most[each] = min(most[each], most[right] - apart)
    return [(low + high) // 2 for low, high in zip(least, most, strict=True)]


def _drawn_together(
    graph: Layered,
    column: Sequence[int],
    across: list[int],
    order: Sequence[int],
    beside: Sequence[dict[int, int]],
) -> None:
    """Move each column towards the median of what its edges lead to."""
    near: list[list[int]] = [[] for _ in across]
    for source, targets in enumerate(graph.down):
        for target in targets:
            one, other = column[source], column[target]
            if one != other:
                near[one].append(other)
                near[other].append(one)
    before: list[dict[int, int]] = [{} for _ in across]
    for left, known in enumerate(beside):
        for right, apart in known.items():
            before[right][left] = apart
    for sweep in range(_SWEEPS):
        moved = False
        for each in order if sweep % 2 else reversed(order):
            if not near[each]:
                continue
            wish = _median([across[other] for other in near[each]])
            for left, apart in before[each].items():
                wish = max(wish, across[left] + apart)
            for right, apart in beside[each].items():
                wish = min(wish, across[right] - apart)
            moved |= wish != across[each]
            across[each] = wish
        if not moved:
            break


def _median(values: list[int]) -> int:
    values.sort()
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) // 2
