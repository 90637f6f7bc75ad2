"""A graph of blocks as a picture: what flows in a net, drawn as solids, named and connected."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import get_args

from layerscope import text
from layerscope.errors import UsageError
from layerscope.files import format_of, write_file
from layerscope.pictures import png
from layerscope.pictures.heading import Swatch, heading
from layerscope.pictures.layout import Layout, Point, Size, arrange
from layerscope.pictures.lettering import drawable
from layerscope.pictures.ruler import Ruler, shortened
from layerscope.pictures.sheet import Area, Group, Line, Mark, Sheet, Spot, Words
from layerscope.pictures.solid import Direction, Solid, solid

FORMATS = ("svg", "png", "pdf")
_GRAY = "#8a9099"
_MARGIN = 20
_NARROWEST = 420
_NAME, _SHAPE, _BADGE = 12, 11, 10  # sizes of the letters
_ROOM = 150  # of a label
_BESIDE, _BELOW = 8, 4  # from a block to its label
_ARROW = (4, 7)


@dataclass(frozen=True, slots=True)
class Block:
    """One node of the graph.

    Attributes:
        key: its name among the blocks; also the name in edges.
        title: what is written first.
        shape: (N, C, ...), or None where it is not known (then the block is dashed) or where
            there is no array.
        family: a key of the families, which gives its colour.
        detail: what it is, in one line, for those who point at it or cannot see it.
        link: the id on the page that it leads to, or "".
        added: what was done to it in place: (words, family) of each, in order.
        role: "input", "output" or "", written beside it; an output has a strong outline.
        computed: whether it is; if not, it and the edges to it are dashed.
    """

    key: str
    title: str
    shape: tuple[int, ...] | None
    family: str
    detail: str = ""
    link: str = ""
    added: tuple[tuple[str, str], ...] = ()
    role: str = ""
    computed: bool = True


class Diagram:
    """A drawn graph, which shows itself in a notebook and saves itself.

    Attributes:
        sheet: the list of what is drawn; `svg`, PNG and PDF are made of it.
        caption: one printable line.
        blocks, edges: how many there are.
    """

    def __init__(self, sheet: Sheet, caption: str, blocks: int, edges: int) -> None:
        self.sheet = sheet
        self.caption = caption
        self.blocks = blocks
        self.edges = edges

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.sheet.width

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.sheet.height

    @cached_property
    def svg(self) -> str:
        """One `svg` element: a file of its own, or a part of a page, whose colours it takes on.

        A page sets them as --ink (words), --dim (lines, small words) and --page (background).
        """
        from layerscope.pictures.svg import svg

        return svg(self.sheet)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Diagram {self.width}x{self.height}: {self.caption}>"

    def png(self, scale: float = 1) -> bytes:
        """The diagram as a PNG file, `scale` pixels for each of its own.

        Raises:
            LimitError: more than 2^26 pixels.
        """
        from layerscope.pictures.raster import pixels

        return png.encode(pixels(self.sheet, scale), compress=6, caption=self.caption)

    def pdf(self) -> bytes:
        """The diagram as a PDF file of one page, 96 pixels to the inch.

        Where that would pass 200 inches, the longest page that PDF knows, it is made smaller.
        """
        from layerscope.pictures.pdf import pdf

        return pdf(self.sheet)

    def save(self, path: str | os.PathLike[str], scale: float = 1) -> None:
        """Write the diagram as .svg, .png or .pdf, as the name asks for.

        Args:
            path: the file.
            scale: pixels of a PNG for each pixel of the diagram; the other formats have none.

        Raises:
            UsageError: another suffix, or `path` is a folder.
            LimitError: a PNG of more than 2^26 pixels.
            SystemFaultError: the system refused; an existing file is untouched.
        """
        target = Path(path)
        kind = format_of(target, FORMATS)
        if kind == "svg":
            write_file(target, self.svg.encode())
        else:
            write_file(target, self.png(scale) if kind == "png" else self.pdf())


def diagram(
    blocks: Sequence[Block],
    edges: Iterable[tuple[str, str]],
    families: Mapping[str, str],
    *,
    title: str = "",
    subtitle: str = "",
    direction: Direction = "down",
) -> Diagram:
    """Lay out and draw a graph of blocks.

    Args:
        blocks: in an order in which every edge leads to a later one.
        edges: (from, to) as keys of blocks; those to a block that is not computed are
            dashed.
        families: family to colour ("#rrggbb"), in the order of the legend, which has those that
            are used.
        title: the first line.
        subtitle: the lines below it.
        direction: "down" or "right".

    Raises:
        UsageError: a key that is not there or there twice, an edge that leads backwards, a
            direction that is neither.
        LimitError: the edges are too long; see `layout`.
    """
    if direction not in get_args(Direction):
        raise UsageError(f"direction {text.quoted(direction)}: possible: down, right")
    number = {block.key: at for at, block in enumerate(blocks)}
    if len(number) < len(blocks):
        raise UsageError("two blocks have the same key")
    pairs = list(dict.fromkeys(edges))
    try:
        ends = [(number[source], number[target]) for source, target in pairs]
    except KeyError as error:
        raise UsageError(f"no block has the key {text.quoted(error.args[0])}") from None
    drawn = [_Drawn(block, families, direction) for block in blocks]
    layout = arrange([each.size for each in drawn], ends)
    width = max(_NARROWEST, layout.width if direction == "down" else layout.height)
    head = heading(title, subtitle, _swatches(blocks, families), (_MARGIN, _MARGIN), width)
    return _composed(drawn, ends, layout, head, title, direction)


def _swatches(blocks: Sequence[Block], families: Mapping[str, str]) -> list[Swatch]:
    """The families that are used, in their order."""
    solid_ones = {block.family for block in blocks if block.computed}
    solid_ones |= {family for block in blocks for _, family in block.added}
    used = solid_ones | {block.family for block in blocks}
    return [
        Swatch(family, color, family not in solid_ones)
        for family, color in families.items()
        if family in used
    ]


class _Drawn:
    """A block as a solid with its label, and the room that they need."""

    def __init__(self, block: Block, families: Mapping[str, str], direction: Direction) -> None:
        self.block = block
        self.down = direction == "down"
        added = [families.get(family, _GRAY) for _, family in block.added]
        color = families.get(block.family, _GRAY)
        bold = block.role == "output"
        shape = () if block.shape is None and block.computed else block.shape
        self.solid: Solid = solid(shape, color, added, direction, bold=bold)
        self.lines = _label(block)
        self.label = max(_width(words, size) for words, size, _ in self.lines)
        self.tall = sum(size + 3 for _, size, _ in self.lines)
        each = self.solid
        if self.down:
            right = each.width - each.port + _BESIDE + self.label
            self.size = Size(each.port, right, max(each.height, self.tall))
        else:
            below = each.height - each.port + _BELOW + self.tall
            self.size = Size(each.port, below, max(each.width, self.label))

    def corner(self, port: Point) -> Point:
        """Where the solid's corner is, for a port in the directions of the layout."""
        along = self.solid.height if self.down else self.solid.width
        flow = port.y + (self.size.length - along) // 2
        across = port.x - self.solid.port
        return Point(across, flow) if self.down else Point(flow, across)

    def meets(self, port: Point) -> tuple[int, int]:
        """Along the flow, where edges meet the solid: coming, going."""
        corner = self.corner(port)
        start = corner.y if self.down else corner.x
        return start + self.solid.enters, start + self.solid.leaves

    def group(self, port: Point, shift: Spot, arrow: Sequence[Mark]) -> Group:
        """The drawing."""
        corner = self.corner(port)
        at = (corner.x + shift[0], corner.y + shift[1])
        marks = [_moved(mark, at) for mark in self.solid.marks] + self._words(at) + list(arrow)
        return Group(self.block.key, text.printable(self.block.detail or self.block.title, 1000),
                     self.block.link, tuple(marks))  # fmt: skip

    def _words(self, at: Spot) -> list[Mark]:
        if self.down:
            x = at[0] + self.solid.width + _BESIDE
            y = at[1] + (self.solid.height - self.tall) / 2
        else:
            x = at[0] + self.solid.width / 2
            y = at[1] + self.solid.height + _BELOW
        marks: list[Mark] = []
        for words, size, color in self.lines:
            y += size + 3
            marks.append(Words(x, round(y - 3), words, size, self.label, color, not self.down))
        return marks


def _label(block: Block) -> list[tuple[str, int, str]]:
    """The lines beside a block: words, size of the letters, colour."""
    lines = [(shortened(text.printable(block.title, 1100), _ROOM, Ruler(_NAME)), _NAME, "ink")]
    if block.shape is not None:
        words = text.shape(block.shape)
        if len(block.shape) == 5:
            words += f" DxHxW {text.times(block.shape[2:])}"
        lines.append((shortened(words, _ROOM, Ruler(_SHAPE)), _SHAPE, "dim"))
    badge = _badge(block)
    return [*lines, (badge, _BADGE, "dim")] if badge else lines


def _width(words: str, size: int) -> int:
    """The room of words, also where a font has no letter for some and shows their escapes."""
    ruler = Ruler(size)
    escaped = min(_ROOM, ruler.getlength(drawable(words)))
    return ceil(max(ruler.getlength(words), escaped))


def _badge(block: Block) -> str:
    """What was added in place, and the role; of what does not fit, how many."""
    ruler = Ruler(_BADGE)
    names = [text.printable(words, 60) for words, _ in block.added]
    for shown in range(min(len(names), _ROOM // _BADGE), -1, -1):
        more = f" + {len(names) - shown} more" if shown < len(names) else ""
        words = "".join(f" + {name}" for name in names[:shown]) + more
        words = ", ".join(filter(None, (block.role, words.strip())))
        if ruler.getlength(words) <= _ROOM:
            return words
    return shortened(words, _ROOM, ruler)


def _composed(
    drawn: Sequence[_Drawn],
    ends: Sequence[tuple[int, int]],
    layout: Layout,
    head: tuple[list[Mark], int],
    title: str,
    direction: Direction,
) -> Diagram:
    """Everything in its place."""
    marks, tall = head
    down = direction == "down"
    wide, high = (layout.width, layout.height) if down else (layout.height, layout.width)
    width = max(_NARROWEST, wide) + 2 * _MARGIN
    shift = (_MARGIN + (max(_NARROWEST, wide) - wide) // 2 * down, _MARGIN + tall)
    meets = [each.meets(port) for each, port in zip(drawn, layout.ports, strict=True)]
    parts: list[Mark | Group] = list(marks)
    for (source, target), route in zip(ends, layout.routes, strict=True):
        # Curves end where the room of a block begins: what leads on to the solid passes its label.
        tip = Point(route[-1].x, meets[target][0] - _ARROW[1] + 1)
        points = [*route, tip] if tip.y >= route[-1].y else [*route[:-1], tip]
        if route[0].y <= layout.ports[source].y + drawn[source].size.length:
            points.insert(0, Point(route[0].x, meets[source][1]))
        parts.append(_line(points, shift, down, not drawn[target].block.computed))
    entered = {target for _, target in ends}
    for at, each in enumerate(drawn):
        port = layout.ports[at]
        arrow = [_arrow(Point(port.x, meets[at][0]), shift, down)] if at in entered else []
        parts.append(each.group(port, shift, arrow))
    counts = f"{text.plural(len(drawn), 'block')}, {text.plural(len(ends), 'edge')}"
    caption = text.printable(f"{title or 'diagram'}: {counts}", 1000)
    sheet = Sheet(width, high + tall + 2 * _MARGIN, caption, parts)
    return Diagram(sheet, caption, len(drawn), len(ends))


def _line(points: Sequence[Point], shift: Spot, down: bool, dashed: bool) -> Line:
    """A route: straight along the flow, curved where it changes its column."""

    def at(x: float, y: float) -> Spot:
        return (x + shift[0], y + shift[1]) if down else (y + shift[0], x + shift[1])

    steps: list[tuple[Spot, ...]] = []
    for one, other in pairwise(points):
        if one.x == other.x:
            if steps and len(steps[-1]) == 1:
                steps.pop()  # one straight line
            steps.append((at(*other),))
        else:
            middle = (one.y + other.y) / 2
            steps.append((at(one.x, middle), at(other.x, middle), at(*other)))
    return Line(at(*points[0]), tuple(steps), dashed=dashed)


def _arrow(tip: Point, shift: Spot, down: bool) -> Area:
    half, long = _ARROW
    corners = ((tip.x, tip.y), (tip.x - half, tip.y - long), (tip.x + half, tip.y - long))
    return Area(
        tuple(
            (x + shift[0], y + shift[1]) if down else (y + shift[0], x + shift[1])
            for x, y in corners
        ),
        "dim",
    )


def _moved(mark: Mark, by: Spot) -> Mark:
    if isinstance(mark, Area):
        return mark._replace(corners=tuple((x + by[0], y + by[1]) for x, y in mark.corners))
    if isinstance(mark, Words):
        return mark._replace(x=mark.x + by[0], y=mark.y + by[1])
    return mark
