"""The order of the nodes in each rank: few edges should cross.

Sweeps by barycentre, then exchanges of neighbours; the order with the fewest crossings is kept.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerscope.pictures.layout import Layered

_SWEEPS = 12
_PATIENCE = 4  # sweeps without fewer crossings
_EXCHANGES = 4
_MOST_PAIRS = 4096  # ends of two nodes' edges that are compared for an exchange


def ordered(graph: Layered) -> None:
    """Put `graph.rows` into an order with few crossings; the same one each time."""
    best = [list(row) for row in graph.rows]
    fewest = count_crossings(graph)
    idle = 0
    for sweep in range(_SWEEPS):
        if not fewest or idle >= _PATIENCE:
            break
        _sweep(graph, downward=sweep % 2 == 0)
        found = count_crossings(graph)
        idle = 0 if found < fewest else idle + 1
        if found < fewest:
            fewest, best = found, [list(row) for row in graph.rows]
    graph.rows = best
    for _ in range(_EXCHANGES if fewest else 0):
        if not _exchange(graph):
            break


def positions(graph: Layered) -> list[int]:
    """The place of each node in its rank."""
    place = [0] * len(graph.rank)
    for row in graph.rows:
        for at, node in enumerate(row):
            place[node] = at
    return place


def count_crossings(graph: Layered) -> int:
    """How many pairs of edges cross."""
    place = positions(graph)
    crossings = 0
    for row in graph.rows:
        if len(row) < 2:
            continue
        passed: list[int] = []  # ends of the edges further left
        for node in row:
            ends = [place[each] for each in graph.down[node]]
            crossings += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return crossings


def _sweep(graph: Layered, *, downward: bool) -> None:
    """Order each rank by the mean place of its neighbours in the rank before."""
    place = positions(graph)
    near = graph.up if downward else graph.down
    for row in graph.rows if downward else reversed(graph.rows):
        if len(row) < 2:
            continue
        wish = {
            node: sum(place[each] for each in near[node]) / len(near[node])
            if near[node]
            else float(place[node])
            for node in row
        }
        row.sort(key=lambda node: (wish[node], place[node]))
        for at, node in enumerate(row):
            place[node] = at


def _exchange(graph: Layered) -> bool:
    """Exchange neighbours where that takes crossings away; whether there were any."""
    place = positions(graph)
    changed = False
    for row in graph.rows:
        for at in range(len(row) - 1):
            left, right = row[at], row[at + 1]
            gain = sum(_between(near[left], near[right], place) for near in (graph.up, graph.down))
            if gain > 0:
                row[at], row[at + 1] = right, left
                place[left], place[right] = at + 1, at
                changed = True
    return changed


def _between(left: list[int], right: list[int], place: list[int]) -> int:
    """How many crossings fewer the edges of two neighbours have in the other order."""
    if len(left) * len(right) > _MOST_PAIRS:
        return 0
    ends = [(place[one], place[other]) for one in left for other in right]
    return sum(one > other for one, other in ends) - sum(one < other for one, other in ends)
