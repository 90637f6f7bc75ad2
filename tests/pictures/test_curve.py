"""The curve over depth: where its points are, and what they lead to."""

from __future__ import annotations

import re
from itertools import pairwise
from math import inf, nan

import pytest

from layerscope.pictures.curve import BAD, HEIGHT, Point, curve
from layerscope.pictures.sheet import Area, Group, Words
from layerscope.pictures.svg import svg

VALUES = [inf, 40.0, 30.0, 10.0, nan, -inf]
POINTS = [Point(f"p{i}", v, f"title {i}", f"row{i}", bad=i > 2) for i, v in enumerate(VALUES)]


def middles(sheet) -> list[tuple[float, float]]:
    found = []
    for group in sheet.parts:
        if isinstance(group, Group):
            (disk,) = group.marks
            assert isinstance(disk, Area)
            xs, ys = zip(*disk.corners, strict=True)
            found.append((sum(xs) / len(xs), sum(ys) / len(ys)))
    return found


def test_points_are_where_their_values_are() -> None:
    spots = middles(curve(POINTS, label="dB", edge="equal"))
    xs, ys = zip(*spots, strict=True)
    steps = [b - a for a, b in pairwise(xs)]
    assert steps == pytest.approx([steps[0]] * 5) and steps[0] > 20
    assert ys[0] < ys[1] < ys[2] < ys[3] < ys[4]  # higher is better; the page counts downwards
    assert ys[3] - ys[2] == pytest.approx(2 * (ys[2] - ys[1]))
    assert ys[4] == ys[5] == pytest.approx(HEIGHT - 40)


def test_everything_stays_on_the_sheet() -> None:
    for count in (1, 3, 40, 300):
        points = [Point(f"a-long-name-{i}", i % 37 - 5.0, "", f"r{i}") for i in range(count)]
        sheet = curve(points, label="dB", edge="equal", limit=20, marked=count - 1)
        for x, y in middles(sheet):
            assert 4 < x < sheet.width - 4 and 4 < y < sheet.height - 4
        for mark in sheet.marks():
            if isinstance(mark, Words):
                left = mark.x - mark.room / 2 if mark.middle else mark.x
                assert left >= 0 and left + min(mark.room, 60) <= sheet.width
        names = [m for m in sheet.marks() if isinstance(m, Words) and m.middle]
        for one, other in pairwise(names):
            assert one.x + one.room / 2 < other.x - other.room / 2


def test_the_limit_is_a_level_and_the_marked_point_is_named() -> None:
    sheet = curve(POINTS, label="dB", edge="equal", limit=30, marked=2)
    words = [m for m in sheet.marks() if isinstance(m, Words)]
    assert any(w.words == "limit 30" for w in words)
    assert any(w.words == "p2" and w.color == BAD and w.size > 12 for w in words)
    drawn = svg(sheet)
    assert re.findall(r'href="#(row\d)"', drawn) == [f"row{i}" for i in range(6)]
    assert "<title>title 3</title>" in drawn


def test_one_point_and_equal_values() -> None:
    for values in ([inf], [12.0], [5.0] * 4, [-30.0, -10.0]):
        points = [Point("x", v, "", "r") for v in values]
        ys = [y for _, y in middles(curve(points, label="dB", edge="equal"))]
        assert all(10 < y < HEIGHT - 30 for y in ys)
