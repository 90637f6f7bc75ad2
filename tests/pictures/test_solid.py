"""Arrays as solids: lengths by hand, nothing outside, edges that meet the outline."""

from __future__ import annotations

import pytest

from layerscope.pictures.sheet import Area
from layerscope.pictures.solid import Direction, Solid, solid

BLUE, RED = "#2b83d6", "#c64f00"


def spots(found: Solid) -> list[tuple[float, float]]:
    return [spot for mark in found.marks if isinstance(mark, Area) for spot in mark.corners]


def front(found: Solid) -> tuple[float, float]:
    """Width and height of the face that looks at us."""
    face = found.marks[0]
    assert isinstance(face, Area)
    (left, top), _, (right, bottom), _ = face.corners
    return right - left, bottom - top


# sides: 10 + 48 log(n) / log(512); channels: 5 + 39 log(c) / log(4096); 64 is half of 4096 in logs
@pytest.mark.parametrize(
    ("shape", "wide", "high"),
    [
        ((1, 64, 1, 512), 58, 24.5),
        ((1, 64, 1, 8), 26, 24.5),  # log 8 / log 512 is a third
        ((1, 4096, 5, 512), 58, 44),
        ((1, 100_000, 5, 9999), 58, 44),  # no longer than that
        ((1, 1, 5, 64), 42, 5),  # two thirds
        ((9, 64), 10, 34),  # a bar: 12 + 44 / 2
        ((64,), 10, 34),
        ((9, 64, 1, 1), 10, 34),
        ((2, 64, 8), 26, 24.5),
        ((2, 8, 8, 3, 64), 42, 24.5),  # 8 x 8 slices of 3 x 64
    ],
)
def test_lengths(shape: tuple[int, ...], wide: float, high: float) -> None:
    for found, expected in zip(front(solid(shape, BLUE, (), "down")), (wide, high), strict=True):
        assert abs(found - expected) <= 0.5
    if len(shape) == 4 and shape[2:] == (1, 512):
        assert front(solid(shape, BLUE, (), "right")) == (
            front(solid(shape, BLUE, (), "down"))[1],
            10,
        )


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize(
    "shape",
    [(), (1,), (1, 1, 1, 1), None, (1, 3), (1, 3, 500, 1), (1, 3, 1, 500), (2, 9, 7, 5), (3, 0, 2)],
)
@pytest.mark.parametrize("slices", [0, 1, 3, 50])
def test_everything_is_inside(
    direction: Direction, shape: tuple[int, ...] | None, slices: int
) -> None:
    found = solid(shape, BLUE, [RED] * slices, direction, bold=True)
    assert 6 < found.width <= 120 and 6 < found.height <= 120
    for x, y in spots(found):
        assert -0.01 <= x <= found.width + 0.01 and -0.01 <= y <= found.height + 0.01
    across, along = (found.width, found.height)[:: 1 if direction == "down" else -1]
    assert 0 < found.port < across and 0 <= found.enters < found.leaves <= along


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize("shape", [(1, 64, 8, 64), (1, 64, 500, 1), (1, 64, 1, 500), (1, 900)])
def test_edges_meet_the_outline(direction: Direction, shape: tuple[int, ...]) -> None:
    """Along the port the drawing begins where edges come in and ends where they leave."""
    from PIL import Image, ImageDraw

    found = solid(shape, BLUE, [RED], direction)
    image = Image.new("L", (8 * found.width + 8, 8 * found.height + 8), 0)
    draw = ImageDraw.Draw(image)
    for mark in found.marks:
        if isinstance(mark, Area):
            draw.polygon([(8 * x, 8 * y) for x, y in mark.corners], fill=255)
    at = 8 * found.port
    size = image.size
    lit = [
        y for y in range(size[1] if direction == "down" else size[0])
        if image.getpixel((at, y) if direction == "down" else (y, at))
    ]  # fmt: skip
    assert abs(lit[0] / 8 - found.enters) <= 1 and abs(lit[-1] / 8 - found.leaves) <= 1


def test_what_works_in_place_is_a_slice() -> None:
    plain, sliced = (
        solid((1, 8, 8, 8), BLUE, (), "down"),
        solid((1, 8, 8, 8), BLUE, (RED, RED), "down"),
    )
    assert sliced.height - plain.height == 2 * 5
    fills = [mark.fill for mark in sliced.marks if isinstance(mark, Area)]
    assert fills.count(RED) == 2 and fills.count(BLUE) == 1
    right = solid((1, 8, 8, 8), BLUE, (RED, RED), "right")
    assert right.width - solid((1, 8, 8, 8), BLUE, (), "right").width == 2 * 5
    dot = solid((), BLUE, (RED,), "down")
    assert [mark.fill for mark in dot.marks if isinstance(mark, Area)] == [RED, BLUE]


def test_unknown_is_dashed_and_an_output_bold() -> None:
    (box, _) = solid(None, BLUE, (), "down").marks
    assert isinstance(box, Area) and box.dashed and not box.fill
    bold = solid((1, 8, 8, 8), BLUE, (), "down", bold=True).marks[-1]
    assert isinstance(bold, Area) and (bold.outline, bold.width) == ("ink", 2)
