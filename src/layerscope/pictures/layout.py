"""Layered layout of a graph (Sugiyama, Tagawa and Toda, 1981), on integers.

Every node gets a rank by the longest path to it; an edge over several ranks is led through points
of its own, so that it passes blocks at a distance; the nodes of a rank are ordered so that few
edges cross (`crossings`); what follows one another is put into one straight column (`columns`).

Edges leave one source as one line and part where they must: that is what the picture should say,
and a blob that a thousand layers read costs a thousand points, not half a million.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from layerscope.errors import LimitError, UsageError
from layerscope.pictures.columns import places
from layerscope.pictures.crossings import count_crossings, ordered
from layerscope.text import plural

MAX_POINTS = 300_000  # through which long edges are led


class Point(NamedTuple):
    """A place on the page."""

    x: int
    y: int


class Size(NamedTuple):
    """The room that a node wants around its port, the line on which edges come and go.

    Attributes:
        left, right: across, from the port to its ends.
        length: along the ranks, from where edges come in to where they leave.
    """

    left: int
    right: int
    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is; ranks go down.

    Attributes:
        ports: of each node the point where its edges come in.
        routes: of each edge its points, from node to node; between two points with the same x it
            is straight, else it changes its column between two ranks.  What edges of one source
            share is part of the first of them only: the others begin where they part from it.
        ranks: of each node.
        width, height: of everything.
        crossings: how many pairs of edges cross.
    """

    ports: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    ranks: tuple[int, ...]
    width: int
    height: int
    crossings: int


@dataclass(slots=True)
class Layered:
    """The graph with the points of its long edges; every edge leads to the next rank.

    Attributes:
        real: how many of the nodes were given; those after them are points.
        rank: of each node.
        rows: the nodes of each rank, from left to right.
        up, down: the neighbours of each node in the ranks before and after.
        trunk: the nodes of a longest path, from its end.
    """

    real: int
    rank: list[int]
    rows: list[list[int]]
    up: list[list[int]]
    down: list[list[int]]
    trunk: list[int]


def arrange(
    sizes: Sequence[Size],
    edges: Iterable[tuple[int, int]],
    *,
    gap: int = 24,
    channel: int = 26,
) -> Layout:
    """Place the nodes and lead the edges.

    Args:
        sizes: of each node.
        edges: (from, to) as positions in `sizes`, from the lower to the higher; an edge that is
            there twice is led once, and its second route is empty.
        gap: between the nodes of a rank.
        channel: between two ranks; the width in which edges change their column.

    Raises:
        UsageError: an edge leads backwards or to no node.
        LimitError: long edges need more than `MAX_POINTS` points.
    """
    wanted = list(edges)
    for source, target in wanted:
        if not 0 <= source < target < len(sizes):
            raise UsageError(f"edge {source} -> {target} of {plural(len(sizes), 'node')}: must lead"
                             " from a lower to a higher number")  # fmt: skip
    graph = layered(len(sizes), wanted)
    ordered(graph)
    room = [*sizes, *[Size(0, 0, 0)] * (len(graph.rank) - len(sizes))]
    across = places(graph, room, gap)
    starts, ends, height = _bands(graph, room, across, channel)
    ports = tuple(
        Point(across[node], (starts[rank] + ends[rank] - room[node].length) // 2)
        for node, rank in enumerate(graph.rank[: len(sizes)])
    )
    return Layout(
        ports=ports,
        routes=tuple(
            _route(chain, ports, room, graph, across, (starts, ends))
            for chain in _chains(graph, wanted)
        ),
        ranks=tuple(graph.rank[: len(sizes)]),
        width=max((across[node] + size.right for node, size in enumerate(room)), default=0),
        height=height,
        crossings=count_crossings(graph),
    )


def layered(number: int, edges: Sequence[tuple[int, int]]) -> Layered:
    """The graph with ranks, and with points where an edge passes a rank.

    Raises:
        LimitError: more than `MAX_POINTS` points.
    """
    after: list[list[int]] = [[] for _ in range(number)]
    before: list[list[int]] = [[] for _ in range(number)]
    for source, target in sorted(set(edges)):
        after[source].append(target)
        before[target].append(source)
    depth = [0] * number
    for node in range(number):
        depth[node] = max((depth[each] + 1 for each in before[node]), default=0)
    rank = list(depth)
    for node in range(number):  # what is read late, as labels are, comes late
        if not before[node] and after[node]:
            rank[node] = min(depth[each] for each in after[node]) - 1
    graph = Layered(number, rank, [], [[] for _ in rank], [[] for _ in rank], [])
    _lead(graph, after)
    graph.rows = [[] for _ in range(max(rank, default=-1) + 1)]
    for node in _walked(graph):
        graph.rows[rank[node]].append(node)
    graph.trunk = _trunk(depth, before)
    return graph


def _lead(graph: Layered, after: Sequence[Sequence[int]]) -> None:
    """Add the points: one chain for each source, as long as its longest edge."""
    points = sum(
        max((graph.rank[target] for target in targets), default=0) - graph.rank[source] - 1
        for source, targets in enumerate(after)
        if targets
    )
    if points > MAX_POINTS:
        raise LimitError(
            f"the edges pass {points:,} ranks in all; the limit of a diagram is {MAX_POINTS:,}"
        )
    for source, targets in enumerate(after):
        chain = [source]
        for target in sorted(targets, key=graph.rank.__getitem__):
            while graph.rank[target] - graph.rank[source] > len(chain):
                graph.rank.append(graph.rank[source] + len(chain))
                graph.up.append([])
                graph.down.append([])
                _join(graph, chain[-1], len(graph.rank) - 1)
                chain.append(len(graph.rank) - 1)
            _join(graph, chain[graph.rank[target] - graph.rank[source] - 1], target)


def _join(graph: Layered, source: int, target: int) -> None:
    graph.down[source].append(target)
    graph.up[target].append(source)


def _walked(graph: Layered) -> list[int]:
    """All nodes, depth first from the sources: neighbours in the tree stay neighbours."""
    seen = [False] * len(graph.rank)
    found: list[int] = []
    for start in range(graph.real):
        pending = [start] if not graph.up[start] else []
        while pending:
            node = pending.pop()
            if not seen[node]:
                seen[node] = True
                found.append(node)
                pending += sorted(graph.down[node], reverse=True)
    return found


def _trunk(depth: Sequence[int], before: Sequence[Sequence[int]]) -> list[int]:
    """A longest path, from its end; of several ways the one in the middle."""
    if not depth:
        return []
    path = [max(range(len(depth)), key=depth.__getitem__)]
    while depth[path[-1]]:
        ways = [each for each in before[path[-1]] if depth[each] == depth[path[-1]] - 1]
        path.append(ways[len(ways) // 2])
    return path


def _bands(
    graph: Layered, room: Sequence[Size], across: Sequence[int], channel: int
) -> tuple[list[int], list[int], int]:
    """Where each rank starts and ends; far moves between two ranks get a wider channel."""
    starts: list[int] = []
    ends: list[int] = []
    here = 0
    for row in graph.rows:
        starts.append(here)
        ends.append(here + max(room[node].length for node in row))
        far = max(
            (abs(across[node] - across[to]) for node in row for to in graph.down[node]), default=0
        )
        here = ends[-1] + channel + min(channel, far // 12)
    return starts, ends, ends[-1] if ends else 0


def _chains(graph: Layered, edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Of each edge the nodes that it goes through and no edge before it did."""
    source = list(range(graph.real))  # of each point's chain; points come after one before them
    for point in range(graph.real, len(graph.rank)):
        source.append(source[graph.up[point][0]])
    enters = {(source[step], node): step for node in range(graph.real) for step in graph.up[node]}
    led = [False] * len(graph.rank)
    found: list[list[int]] = []
    for edge in edges:
        step = enters.pop(edge, None)
        if step is None:  # led before
            found.append([])
            continue
        chain = [edge[1], step]
        while step >= graph.real and not led[step]:
            led[step] = True
            step = graph.up[step][0]
            chain.append(step)
        found.append(chain[::-1])
    return found


def _route(
    chain: Sequence[int],
    ports: Sequence[Point],
    room: Sequence[Size],
    graph: Layered,
    across: Sequence[int],
    bands: tuple[Sequence[int], Sequence[int]],
) -> tuple[Point, ...]:
    """The points of one edge; those on a straight line are left out."""
    if not chain:
        return ()
    starts, ends = bands
    first, last = chain[0], chain[-1]
    if first < graph.real:
        route = [Point(ports[first].x, ports[first].y + room[first].length)]
    else:
        route = [Point(across[first], ends[graph.rank[first]])]
    for node, after in pairwise(chain):
        if across[node] != across[after]:
            route.append(Point(across[node], ends[graph.rank[node]]))
            route.append(Point(across[after], starts[graph.rank[after]]))
    route.append(ports[last])
    return tuple(dict.fromkeys(route))
