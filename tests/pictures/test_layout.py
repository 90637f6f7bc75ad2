"""Layered layout: hand-made small cases, and what must hold for every graph."""

from __future__ import annotations

import sys
from itertools import combinations, pairwise, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.errors import LimitError, UsageError
from layerscope.pictures.crossings import count_crossings, ordered
from layerscope.pictures.layout import Layout, Point, Size, arrange, layered

Graph = tuple[list[Size], list[tuple[int, int]]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    number = draw(st.integers(1, 14))
    length = st.integers(0, 60)
    sizes = [Size(draw(length), draw(length), draw(length)) for _ in range(number)]
    pairs = list(combinations(range(number), 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []
    return sizes, edges


def boxes(sizes: list[Size], layout: Layout) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom of each node."""
    return [
        (port.x - size.left, port.y, port.x + size.right, port.y + size.length)
        for size, port in zip(sizes, layout.ports, strict=True)
    ]


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_nodes_stay_apart_and_on_the_page(graph: Graph) -> None:
    sizes, edges = graph
    found = arrange(sizes, edges, gap=10, channel=12)
    placed = boxes(sizes, found)
    for left, top, right, bottom in placed:
        assert 0 <= left <= right <= found.width and 0 <= top <= bottom <= found.height
    for one, other in combinations(placed, 2):
        beside = one[2] + 10 <= other[0] or other[2] + 10 <= one[0]
        above = one[3] + 12 <= other[1] or other[3] + 12 <= one[1]
        assert beside or above
    assert arrange(sizes, edges, gap=10, channel=12) == found


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_edges_lead_forward_and_through_no_node(graph: Graph) -> None:
    sizes, edges = graph
    found = arrange(sizes, edges)
    placed = boxes(sizes, found)
    begun: dict[int, set[Point]] = {}
    for (source, target), route in zip(edges, found.routes, strict=True):
        assert found.ranks[source] < found.ranks[target]
        if not route:  # only where the same edge came before
            assert edges.count((source, target)) > 1
            continue
        port = found.ports[source]
        starts = begun.setdefault(source, {Point(port.x, port.y + sizes[source].length)})
        starts |= _between(starts, route)
        assert route[-1] == found.ports[target]
        for one, other in pairwise(route):
            assert one.y <= other.y
            for left, top, right, bottom in placed:
                apart = other.y <= top or bottom <= one.y
                if one.x == other.x:  # straight: it may pass beside a node
                    assert apart or not left < one.x < right
                else:
                    assert apart
        for point in route:
            assert 0 <= point.x <= found.width and 0 <= point.y <= found.height


def _between(starts: set[Point], route: tuple[Point, ...]) -> set[Point]:
    """The points of a route that begins at the source, or where a line from there has been."""
    first = route[0]
    assert first in starts or any(p.x == first.x and p.y <= first.y for p in starts)
    return set(route[:-1])


def test_a_chain_is_straight() -> None:
    found = arrange([Size(10, 20, 30), Size(5, 5, 10)], [(0, 1)])
    assert found.ports == ((10, 0), (10, 56))
    assert found.routes == (((10, 30), (10, 56)),)
    assert (found.width, found.height, found.ranks) == (30, 66, (0, 1))
    sizes = [Size(each % 7, 3 * each % 11, 5) for each in range(400)]
    long = arrange(sizes, list(pairwise(range(400))))
    assert len({port.x for port in long.ports}) == 1
    assert long.width == 6 + 10 and long.height == 400 * 5 + 399 * 26


def test_a_fork_and_a_shortcut_by_hand() -> None:
    size = Size(10, 10, 20)
    fork = arrange([size] * 4, [(0, 1), (0, 2), (1, 3), (2, 3)])
    # The second way goes on straight; a move of 44 widens the channel of 26 by 44 // 12.
    assert fork.ports == ((54, 0), (10, 49), (54, 49), (54, 98))
    assert fork.routes[0] == ((54, 20), (10, 49))
    assert fork.routes[1] == ((54, 20), (54, 49))
    assert (fork.width, fork.height, fork.crossings) == (64, 118, 0)
    short = arrange([size] * 3, [(0, 1), (1, 2), (0, 2)])
    assert short.ports == ((10, 0), (10, 48), (10, 96))
    assert short.routes[2] == ((10, 20), (44, 48), (44, 68), (10, 96))
    assert short.width == 44


def test_what_is_read_late_comes_late() -> None:
    found = arrange([Size(1, 1, 1)] * 5, [(0, 2), (2, 3), (3, 4), (1, 4)])
    assert found.ranks == (0, 2, 1, 2, 3)


def test_edges_of_one_source_share_their_way() -> None:
    chain = list(pairwise(range(6)))
    found = arrange([Size(4, 4, 8)] * 6, [*chain, (0, 3), (0, 5)])
    to_three, to_five = found.routes[-2:]
    assert to_three[0] == (4, 8)  # from the source
    assert to_five[0] == to_three[-2]  # from where the other left the line
    again = arrange([Size(4, 4, 8)] * 2, [(0, 1), (0, 1)])
    assert again.routes[1] == ()


@pytest.mark.parametrize(
    ("edges", "crossings"),
    [
        ([(s, t) for s in range(2) for t in range(2, 4)], 1),  # K2,2 has one whatever the order
        ([(s, t) for s in range(3) for t in range(3, 6)], 9),  # K3,3: (3 choose 2) squared
        ([(0, 3), (1, 2)], 0),
        ([(0, 1), (0, 2), (1, 5), (1, 3), (2, 4), (2, 6)], 0),  # a tree
        ([(0, 4), (1, 3), (2, 5), (3, 7), (4, 6), (5, 8)], 0),  # three chains
    ],
)
def test_known_crossings(edges: list[tuple[int, int]], crossings: int) -> None:
    number = max(map(max, edges)) + 1
    assert arrange([Size(3, 3, 3)] * number, edges).crossings == crossings


@pytest.mark.parametrize(
    "edges",
    [
        # Sweeps alone keep two crossings.
        [(0, 3), (0, 5), (1, 3), (2, 4), (3, 7), (3, 8), (4, 6), (4, 8), (5, 6)],
        # Exchanges alone keep one.
        [(0, 4), (1, 5), (2, 3), (2, 5), (3, 6), (3, 8), (4, 6), (5, 8)],
    ],
)
def test_three_by_three_is_ordered_as_well_as_it_can_be(edges: list[tuple[int, int]]) -> None:
    found = layered(9, edges)
    orders = product(*(permutations(row) for row in found.rows))
    fewest = min(_slow_count([list(row) for row in rows], found.down) for rows in orders)
    ordered(found)
    assert count_crossings(found) == fewest


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_crossings_are_counted_right_and_get_no_more(graph: Graph) -> None:
    found = layered(len(graph[0]), graph[1])
    before = count_crossings(found)
    assert before == _slow_count(found.rows, found.down)
    nodes = [sorted(row) for row in found.rows]
    ordered(found)
    assert count_crossings(found) <= before
    assert [sorted(row) for row in found.rows] == nodes


def _slow_count(rows: list[list[int]], down: list[list[int]]) -> int:
    crossings = 0
    for above, below in pairwise(rows):
        edges = [(above.index(s), below.index(t)) for s in above for t in down[s]]
        crossings += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(edges, 2))
    return crossings


def test_inception_modules_have_a_straight_trunk() -> None:
    edges, last = [], 0
    for module in range(5):
        one, three, three_b, five, five_b, pool, proj, join = range(8 * module + 1, 8 * module + 9)
        edges += [(last, one), (last, three), (last, five), (last, pool)]
        edges += [(three, three_b), (five, five_b), (pool, proj)]
        edges += [(each, join) for each in (one, three_b, five_b, proj)]
        last = join
    number = 41
    found = arrange([Size(20, 100, 40)] * number, edges)
    joins = range(0, 41, 8)
    assert found.crossings == 0
    assert len({found.ports[join].x for join in joins}) == 1


@pytest.mark.parametrize("edge", [(1, 0), (1, 1), (0, 2), (-1, 1)])
def test_edges_must_lead_forward(edge: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"of 2 nodes: must lead from a lower to a higher number"):
        arrange([Size(1, 1, 1)] * 2, [edge])


def test_nothing_at_all() -> None:
    found = arrange([], [])
    assert (found.width, found.height, found.ports, found.crossings) == (0, 0, (), 0)


def test_too_many_long_edges_are_refused_at_once() -> None:
    number = 20_000
    edges = [*pairwise(range(number)), *((each, number - 1) for each in range(number - 2))]
    with pytest.raises(LimitError, match=r"pass 199,970,001 ranks in all; the limit .* is 300,000"):
        arrange([Size(1, 1, 1)] * number, edges)


@pytest.mark.parametrize("shape", ["chain", "one read by all", "shortcuts"])
def test_work_grows_with_the_net_not_with_its_square(shape: str) -> None:
    """Calls of functions, counted instead of seconds."""

    def calls(number: int) -> int:
        edges = list(pairwise(range(number)))
        if shape == "one read by all":
            edges += [(0, each) for each in range(2, number)]
        elif shape == "shortcuts":
            edges += [(each, each + 3) for each in range(0, number - 3, 3)]
        counted = 0

        def count(*_: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count)
        try:
            arrange([Size(5, 5, 5)] * number, edges)
        finally:
            sys.setprofile(None)
        return counted

    assert calls(800) < 2.3 * calls(400)
