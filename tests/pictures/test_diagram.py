"""Graphs of blocks as pictures: what is drawn, in three formats, and what hostile names do."""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from layerscope.errors import LimitError, UsageError
from layerscope.pictures import raster
from layerscope.pictures.diagram import Block, Diagram, diagram
from layerscope.pictures.heading import Swatch, heading
from layerscope.pictures.ruler import Ruler, shortened
from layerscope.pictures.sheet import Area, Group, Line, Words

GOLDEN = Path(__file__).parent / "diagram.svg"
FAMILIES = {
    "input": "#f0f2f4",
    "convolution": "#2b83d6",
    "activation": "#f0e442",
    "loss": "#c64f00",
}
SVG = "{http://www.w3.org/2000/svg}"
BLOCKS = [
    Block("data", "data", (1, 3, 227, 227), "input", role="input"),
    Block(
        "conv1",
        "conv1",
        (1, 96, 55, 55),
        "convolution",
        detail="conv1 (1, 96, 55, 55): Convolution",
        link="layer-1",
        added=(("ReLU", "activation"),),
    ),
    Block("odd", "odd", None, "convolution", computed=False),
    Block("fc", "fc", (1, 1000), "convolution"),
    Block("loss", "loss", (), "loss", role="output"),
]
EDGES = [("data", "conv1"), ("conv1", "odd"), ("conv1", "fc"), ("fc", "loss")]


def drawn(**how: str) -> Diagram:
    return diagram(BLOCKS, EDGES, FAMILIES, title="a net", subtitle="of five blocks", **how)  # type: ignore[arg-type]


def outline(svg: str) -> list[tuple[int, str, tuple[str, ...]]]:
    """Every element: its depth, tag and names of attributes."""
    found = []

    def walk(element: ElementTree.Element, depth: int) -> None:
        found.append((depth, element.tag, tuple(sorted(element.attrib))))
        for each in element:
            walk(each, depth + 1)

    walk(ElementTree.fromstring(svg), 0)
    return found


def test_golden() -> None:
    """The whole SVG as text; after a wanted change look at it, then write `drawn().svg` there."""
    assert drawn().svg == GOLDEN.read_text()


def test_what_a_block_says() -> None:
    root = ElementTree.fromstring(drawn().svg)
    assert root.get("role") == "group"  # it holds a link
    assert root.get("aria-label") == "a net: 5 blocks, 4 edges"
    groups = {each.get("data-key"): each for each in root.iter(f"{SVG}g")}
    assert list(groups) == ["data", "conv1", "odd", "fc", "loss"]
    conv = groups["conv1"]
    assert conv.findtext(f"{SVG}title") == "conv1 (1, 96, 55, 55): Convolution"
    assert [each.text for each in conv.iter(f"{SVG}text")] == ["conv1", "(1, 96, 55, 55)", "+ ReLU"]
    (link,) = root.iter(f"{SVG}a")
    assert link.get("href") == "#layer-1" and link[0] is conv
    dashed = [each for each in root.iter(f"{SVG}path") if each.get("stroke-dasharray")]
    assert len(dashed) == 1 and len(list(root.iter(f"{SVG}path"))) == len(EDGES)
    assert [each.text for each in groups["odd"].iter(f"{SVG}text")] == ["?", "odd"]
    plain = [Block("a", "a", (3, 4), "loss")]
    assert ElementTree.fromstring(diagram(plain, [], FAMILIES).svg).get("role") == "img"


def test_the_legend_has_what_is_used() -> None:
    words = [mark.words for mark in drawn().sheet.parts if isinstance(mark, Words)]
    assert words == ["a net", "of five blocks", "input", "convolution", "activation", "loss"]
    marks, _ = heading(
        "", "", [Swatch("seen", "#112233"), Swatch("not", "#445566", True)], (0, 0), 99
    )
    seen, missing = (mark for mark in marks if isinstance(mark, Area))
    assert (seen.fill, seen.dashed) == ("#112233", False)
    assert (missing.fill, missing.outline, missing.dashed) == ("", "#445566", True)


def test_words_of_the_head_and_legend_are_wrapped() -> None:
    legend = [Swatch(f"family {each}", "#112233") for each in range(9)]
    marks, tall = heading("title " * 30, "", legend, (20, 20), 300)
    for mark in marks:
        if isinstance(mark, Words):
            assert mark.x + Ruler(mark.size).getlength(mark.words) <= 320
            assert mark.y <= 20 + tall
    assert len({mark.y for mark in marks if isinstance(mark, Words)}) > 4


HOSTILE = (
    "</script><script>alert(1)</script>",
    "\"' onload='x' & <b> &amp; ]]>",
    "\x1b[31m\x00\u202eevil\u2028\ud800",
    "</svg></title><img src=x>",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    def of(words: str) -> Diagram:
        blocks = [
            Block(words, words, (1, 2, 3, 4), words, words, words, ((words, words),), "input"),
            Block("b", "b", (1, 2, 3, 4), words),
        ]
        return diagram(blocks, [(words, "b")], {words: "#112233"}, title=words, subtitle=words)

    evil, plain = of(name), of("plain")
    assert outline(evil.svg) == outline(plain.svg)
    assert all(letter.isprintable() or letter == "\n" for letter in evil.svg)
    assert evil.svg.encode() and evil.caption.isprintable()
    href = next(each.get("href") for each in ElementTree.fromstring(evil.svg).iter(f"{SVG}a"))
    assert href is not None and re.fullmatch(r"#[\w.~%-]*", href)
    assert evil.png().startswith(b"\x89PNG") and evil.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("direction", ["down", "right"])
def test_the_formats_have_one_size(tmp_path: Path, direction: str) -> None:
    found = drawn(direction=direction)
    for kind in ("svg", "png", "pdf"):
        found.save(tmp_path / f"net.{kind}")
    root = ElementTree.fromstring((tmp_path / "net.svg").read_text())
    assert (root.get("width"), root.get("height")) == (str(found.width), str(found.height))
    with Image.open(tmp_path / "net.png") as picture:
        assert picture.size == (found.width, found.height)
    box = re.search(rb"MediaBox\[0 0 ([\d.]+) ([\d.]+)\]", (tmp_path / "net.pdf").read_bytes())
    assert box and [float(side) / 0.75 for side in box.groups()] == [found.width, found.height]
    with Image.open(io.BytesIO(found.png(scale=2))) as picture:
        assert picture.size == (2 * found.width, 2 * found.height)
    assert found._repr_svg_() == found.svg


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize("long", ["", "a_long_name_in_every_branch"])
def test_nothing_leaves_the_page_and_no_words_lie_on_lines(direction: str, long: str) -> None:
    blocks = [replace(each, title=long or each.title) for each in BLOCKS]
    ways = [*EDGES, ("data", "odd"), ("odd", "loss"), ("data", "loss")]
    found = diagram(blocks, ways, FAMILIES, direction=direction)  # type: ignore[arg-type]
    words, lines = [], []
    for mark in found.sheet.marks():
        if isinstance(mark, Words):
            half = Ruler(mark.size).getlength(mark.words) * (0.5 if mark.middle else 0)
            left = mark.x - half
            right = left + Ruler(mark.size).getlength(mark.words)
            words.append((left, mark.y - 0.8 * mark.size, right, mark.y + 0.2 * mark.size))
            spots = [(left, mark.y - mark.size), (right, mark.y)]
        elif isinstance(mark, Area):
            spots = list(mark.corners)
        else:
            lines.append(raster.flat(mark))
            spots = list(lines[-1])
        assert all(0 <= x <= found.width and 0 <= y <= found.height for x, y in spots)
    for left, top, right, bottom in words:
        for line in lines:
            for (x, y), (to_x, to_y) in pairwise(line):
                for share in np.linspace(0, 1, 20):
                    at_x, at_y = x + share * (to_x - x), y + share * (to_y - y)
                    assert not (left < at_x < right and top < at_y < bottom)


def test_pixels_have_the_colours_of_the_shapes() -> None:
    found = drawn()
    pixels = raster.pixels(found.sheet)
    assert tuple(pixels[0, 0]) == tuple(pixels[-1, -1]) == (255, 255, 255)
    checked = 0
    for part in found.sheet.parts:
        if not isinstance(part, Group):
            continue
        for mark in part.marks:
            if isinstance(mark, Area) and mark.fill.startswith("#") and part.key != "loss":
                x, y = np.mean(mark.corners, axis=0)
                wanted = [int(mark.fill[at : at + 2], 16) for at in (1, 3, 5)]
                assert list(pixels[int(y), int(x)]) == wanted, (part.key, mark)
                checked += 1
    assert checked == 3 + 5 + 3


def test_strips_are_seamless(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = raster.pixels(drawn().sheet)
    monkeypatch.setattr(raster, "_STRIP", 37)
    assert np.array_equal(raster.pixels(drawn().sheet), whole)


def test_a_png_has_a_limit_and_the_others_have_none(tmp_path: Path) -> None:
    blocks = [Block(str(at), str(at), (1, 64, 56, 56), "loss") for at in range(3000)]
    tall = diagram(blocks, [(str(at), str(at + 1)) for at in range(2999)], FAMILIES)
    assert tall.width * tall.height > raster.MAX_PIXELS
    with pytest.raises(
        LimitError, match=r"460 x 1\d\d,\d\d\d pixels, the limit .* 67,108,864; write"
    ):
        tall.save(tmp_path / "net.png")
    assert not (tmp_path / "net.png").exists()
    assert len(outline(tall.svg)) > 3000
    box = re.search(rb"MediaBox\[0 0 ([\d.]+) ([\d.]+)\]", tall.pdf())
    assert box and float(box[2]) == 14_400  # the longest page of PDF


def test_pdf_is_whole() -> None:
    content = drawn().pdf()
    assert content == drawn().pdf()
    start = int(content.rsplit(b"startxref\n", 1)[1].split()[0])
    table = content[start:].split(b"\n")
    assert table[0] == b"xref" and table[1] == b"0 7"
    for number, row in enumerate(table[3:9], start=1):
        assert content[int(row[:10]) :].startswith(b"%d 0 obj\n" % number)
    stream = re.search(rb"/Length (\d+)/Filter/FlateDecode>>stream\n", content)
    assert stream
    drawing = zlib.decompress(content[stream.end() : stream.end() + int(stream[1])]).decode(
        "cp1252"
    )
    assert r"(\(1, 96, 55, 55\)) Tj" in drawing
    slash = diagram([Block("x", "a\\b (c", (1, 2), "loss")], [], FAMILIES).pdf()
    begin = slash.index(b"stream\n") + 7
    assert rb"(a\\b \(c) Tj" in zlib.decompressobj().decompress(slash[begin:])
    assert drawing.count("[4 3] 0 d") == 2  # the odd block and the edge to it
    curves = sum(
        len(step) == 3 for m in drawn().sheet.marks() if isinstance(m, Line) for step in m.steps
    )
    assert len(re.findall(r" c$", drawing, re.MULTILINE)) == curves > 0


def test_what_does_not_fit_is_shortened_and_counted() -> None:
    long = "a_name_that_goes_on_" * 10
    many = tuple((f"Step{at}", "loss") for at in range(40))
    found = diagram([Block("x", long, (1, 2, 3, 4, 5), "loss", "", "", many)], [], FAMILIES)
    name, size, badge = (
        each.words for each in found.sheet.parts[-1].marks if isinstance(each, Words)
    )  # type: ignore[union-attr]
    assert name.startswith("a_name") and name.endswith("on_") and "…" in name
    assert size == "(1, 2, 3, 4, 5) DxHxW 3x4x5"
    shown = badge.count("Step")
    assert 0 < shown < 40 and badge.endswith(f"+ {40 - shown} more")
    assert long in found.svg  # the title has all of it


def test_shortened_keeps_both_ends() -> None:
    ruler = Ruler(10)
    assert shortened("conv1", 100, ruler) == "conv1"
    for room in range(10, 150, 7):
        words = shortened("inception_3a/3x3_reduce", room, ruler)
        assert ruler.getlength(words) <= max(room, ruler.getlength("…"))
    assert shortened("abc", 0, ruler) == "…"
    assert ruler.getlength("ii") < ruler.getlength("mm") < ruler.getlength("数据")


def test_wrong_requests() -> None:
    with pytest.raises(UsageError, match='direction "up": possible: down, right'):
        drawn(direction="up")
    with pytest.raises(UsageError, match='no block has the key "nowhere"'):
        diagram(BLOCKS, [("data", "nowhere")], FAMILIES)
    with pytest.raises(UsageError, match="same key"):
        diagram([BLOCKS[0], BLOCKS[0]], [], FAMILIES)
    with pytest.raises(UsageError, match="must lead from a lower"):
        diagram(BLOCKS, [("conv1", "data")], FAMILIES)
    with pytest.raises(UsageError, match=r"possible: \.svg, \.png, \.pdf"):
        drawn().save("net.jpg")


def test_nothing_to_draw() -> None:
    empty = diagram([], [], FAMILIES)
    assert empty.blocks == 0 and empty.png() and empty.pdf() and ElementTree.fromstring(empty.svg)
