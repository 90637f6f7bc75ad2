"""The page of a comparison: each blob of A, of B, and what lies between, side by side.

It is made of the parts of the report: the same packing, the same views, the same policy.  One pair
of blobs is held at a time, and only its packed form is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.comparison.result import Arrays, Comparison, Row, Side
from layerscope.files import write_file
from layerscope.pictures.curve import Point, curve
from layerscope.pictures.svg import svg
from layerscope.show.differences import (
    HEADS,
    alignment_words,
    cells,
    limit_words,
    remarks,
    row_name,
    side_words,
    signal_words,
    value_words,
    verdict,
)
from layerscope.show.drawing import planes
from layerscope.show.figures import (
    BLOB_BYTES,
    MOST_COLUMNS,
    MOST_OF_A_PARAM,
    Figure,
    Source,
    figure,
    share,
)
from layerscope.show.page import style
from layerscope.show.shell import WITHOUT_SCRIPT, Shell, fed_picture, notes_html, text
from layerscope.text import plural, printable, shape

Progress = Callable[[int, int, str], None]

SIDES = ("A", "B", "A − B")
_SIGNED = {"scale": "signed", "color": "diverging"}


def report(
    found: Comparison,
    path: str | PathLike[str],
    *,
    labels: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Write the page; it shows the input for which the first row that differs is worst.

    Args:
        found: the comparison.
        path: the page to write; it is replaced only when the new one is complete.
        labels: the names of the classes.
        progress: called as progress(done, total, blob name).

    Raises:
        SystemFaultError: the page cannot be written.
    """
    target = Path(path)
    page = "\n".join(_Page(found, list(labels)).whole(progress))
    write_file(target, page.encode("utf-8", "backslashreplace"))
    return target


@dataclass(frozen=True, slots=True)
class _Trio:
    """What is drawn of a row: A, B and the difference."""

    figures: tuple[Figure, Figure, Figure]
    image: str


class _Page:
    def __init__(self, found: Comparison, labels: Sequence[str]) -> None:
        self._found, self._labels = found, labels
        self._shell = Shell(style())
        self._noun = "blob" if found.kind == "blobs" else "param"
        first = found.first or found.worst
        self._input = 0 if first is None else first.input
        self._limits = _limits(found)

    def whole(self, progress: Progress | None) -> Iterator[str]:
        found = self._found
        sections, total = [], len(found.rows)
        places = {row.a: i for i, row in enumerate(found.rows)}
        drawn: dict[int, str] = {}
        for done, (row, arrays) in enumerate(found.arrays(self._input)):
            if progress is not None:
                progress(done, total, row.a)
            place = places[row.a]
            drawn[place] = self._section(place, row, self._trio(place, row, arrays))
        sections = [drawn[place] for place in sorted(drawn)]
        if progress is not None:
            progress(total, total, "")
        title = text(f"{found.a.net} and {found.b.net} compared")
        yield from self._shell.page(title, self._body(sections))

    def _body(self, sections: Sequence[str]) -> Iterator[str]:
        found = self._found
        yield f'<header class="top"><h1>{_headline(found)}</h1>'
        yield f'<p class="dim">{text(verdict(found))}</p></header><div class="page">'
        yield from self._contents()
        yield "<main>"
        yield self._curve()
        yield self._sides()
        yield from notes_html(found.notes)
        yield f"<section><h2>All {self._noun}s</h2><p>{text(alignment_words(found))}</p>"
        yield f"{self._table()}</section>"
        yield '<div class="bar" role="toolbar" aria-label="how pictures are drawn"></div>'
        yield WITHOUT_SCRIPT
        yield from sections
        yield "</main></div>"

    def _contents(self) -> Iterator[str]:
        """The rows as a list, each with its signal to noise as a bar."""
        yield '<div class="contents"><details class="list" open>'
        yield f"<summary>{self._noun}s, with signal to noise in dB</summary>"
        yield f'<nav aria-label="list of {self._noun}s"><ol>'
        for i, row in enumerate(self._found.rows):
            words = signal_words(row).removesuffix(" dB")
            yield f'<li><a class="{_kind(row)}" href="#row{i}">'
            yield f"<span>{text(row_name(row, 50))}</span>"
            yield f"<small>{words}</small></a></li>"
        yield "</ol></nav></details></div>"

    def _curve(self) -> str:
        found, first = self._found, self._found.first
        points = [
            Point(
                name=printable(row.a, 60),
                value=float("nan") if row.worst.apart else row.worst.snr,
                title=f"{row_name(row, 60)}: {value_words(row, found.by)}, {signal_words(row)}",
                link=f"row{i}",
                bad=row.beyond,
            )
            for i, row in enumerate(found.rows)
        ]
        if not points:
            return ""
        sheet = curve(
            points,
            label="signal to noise in dB; 20 dB: a difference of 10 %, 40 dB: 1 %, 60 dB: 0.1 %",
            edge="equal",
            limit=found.threshold if found.by == "snr" else None,
            marked=None if first is None else found.rows.index(first),
        )
        return f'<section class="curve"><div class="scroll">{svg(sheet)}</div></section>'

    def _sides(self) -> str:
        found = self._found
        fed = found.kind == "blobs"
        sides = (("A", found.a), ("B", found.b))
        rows = "".join(_side(name, side, fed=fed) for name, side in sides)
        parts = [f"<section><h2>A and B</h2>{rows}"]
        if found.inputs:
            entry = found.inputs[self._input]
            many = f", number {self._input + 1} of {len(found.inputs)}"
            which = many if len(found.inputs) > 1 else ""
            parts.append(f'<p>Input: {text(entry.name)}{which}</p><div class="fed">')
            shown = list(zip("AB", found.pictures(self._input), (entry.fed_a, entry.fed_b),
                             strict=True))  # fmt: skip
            if entry.fed_a == entry.fed_b:
                shown = [("A and B", *shown[0][1:])]
            for name, picture, words in shown:
                if picture is None:
                    parts.append(f"<p>{name}: {text(words)}</p>")
                else:
                    parts.append(fed_picture(name, picture, words))
            parts.append("</div>")
        return "".join(parts) + "</section>"

    def _table(self) -> str:
        first = self._found.first
        head = f'<th scope="col">{self._noun}</th>'
        head += "".join(f'<th scope="col" class="right">{word}</th>' for word in HEADS)
        rows = []
        for i, row in enumerate(self._found.rows):
            kind = "first" if row is first else ("beyond" if row.beyond else "")
            name = f'<td class="name"><a href="#row{i}">{text(row_name(row, 60))}</a></td>'
            numbers = "".join(f'<td class="right">{text(word)}</td>' for word in cells(row))
            rows.append(f'<tr class="{kind}">{name}{numbers}</tr>')
        return (
            f'<div class="scroll"><table class="rows"><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )

    def _section(self, place: int, row: Row, trio: _Trio) -> str:
        mark = ' <b class="first">differs first</b>' if row is self._found.first else ""
        layers = row.layer_a if row.layer_a == row.layer_b else f"{row.layer_a} = {row.layer_b}"
        types = row.type_a if row.type_a == row.type_b else f"{row.type_a} / {row.type_b}"
        told = [trio.figures[0].statement, trio.image, remarks(row)]
        if row.how != "name":
            told.append(f"aligned by {row.how}")
        words = "; ".join(word for word in told if word)
        return (
            f'<section class="layer {_kind(row)}" id="row{place}" tabindex="-1">'
            f'<h2><span class="number">{place + 1}</span> {text(row_name(row, 80))}{mark}'
            f"<small>{text(layers)}, {text(types)}</small></h2>"
            f"{self._numbers(row)}"
            f'<p class="dim">{shape(row.shape_a)}; {text(words)}</p>'
            f'<div class="trio">{"".join(self._figures(row, trio))}</div></section>'
        )

    def _numbers(self, row: Row) -> str:
        pairs = list(zip(HEADS[1:], cells(row)[1:], strict=True))
        if row.worst.absolute:
            at = tuple(int(i) for i in np.unravel_index(row.worst.place, row.shape_a or (1,)))
            pairs.append(("largest at", f"{at}: A {row.worst.at_a:.5g}, B {row.worst.at_b:.5g}"))
        found = "".join(f"<div><dt>{n}</dt><dd>{text(w)}</dd></div>" for n, w in pairs)
        return f'<dl class="facts">{found}</dl>'

    def _figures(self, row: Row, trio: _Trio) -> Iterator[str]:
        for name, each in zip(SIDES, trio.figures, strict=True):
            stage = '<p class="dim">not drawn</p>'
            if each.panel:
                panel = each.panel
                if panel["kind"] == "tiles":
                    panel["tiles"]["data"] = self._shell.data(each.data)
                number = self._shell.panel(panel)
                stage = (
                    f'<div class="view"><div class="stage" data-panel="{number}"></div>'
                    '<p class="readout" aria-live="polite"></p></div>'
                )
            yield f"<figure><figcaption><b>{name}</b></figcaption>{stage}</figure>"

    def _trio(self, place: int, row: Row, arrays: Arrays) -> _Trio:
        """Pack A, B and A - B of the image with the largest difference."""
        one, other = arrays
        image = ""
        if self._found.kind == "blobs" and one.ndim > 1:
            number = int(np.unravel_index(row.worst.place, one.shape)[0]) if one.size else 0
            image = f"image {number + 1} of {len(one)}" if len(one) > 1 else ""
            one, other = one[number], other[number]
        with np.errstate(all="ignore"):
            apart = np.subtract(one, other, dtype=np.float32)
        made = []
        for name, array in zip(SIDES, (one, other, apart), strict=True):
            source = _source(f"{row.a}, {name}", np.ascontiguousarray(array), self._found.kind)
            source.shown = self._limits[place]
            source.names = self._labels if source.total == len(self._labels) else ()
            made.append(figure(source))
        _on_one_scale(made, group=place)
        return _Trio((made[0], made[1], made[2]), image)


def _limits(found: Comparison) -> list[int]:
    """How many tiles of each row are shown, so that the page stays of a size that opens."""
    stand_ins = []
    for row in found.rows:
        dims = row.shape_a[1:] if found.kind == "blobs" and len(row.shape_a) > 1 else row.shape_a
        empty: NDArray[Any] = np.broadcast_to(np.float32(0), dims)  # a shape without memory
        stand_ins.append(_source(row.a, empty, found.kind))
    share(stand_ins, BLOB_BYTES // len(SIDES))
    return [each.shown for each in stand_ins]


def _source(name: str, array: NDArray[Any], kind: str) -> Source:
    """In which form an array is drawn: maps and kernels as tiles, matrices as one, else bars."""
    source = Source(name, array, array.shape, "value")
    if kind == "blobs":
        if prod(array.shape[1:]) > 1:
            source.tiles = planes(array)
            source.depth = prod(array.shape[1:-2])
            source.unit = "slice" if source.depth > 1 else "channel"
        return source
    sides = tuple(d for d in array.shape if d != 1)
    if array.size > max(array.shape, default=1):
        source.most = MOST_OF_A_PARAM
        if len(array.shape) >= 4 and prod(array.shape[2:]) > 1:
            source.tiles, source.unit = array.reshape(-1, *array.shape[-2:]), "kernel"
            source.depth = len(source.tiles) // max(1, array.shape[0])
        elif sides[-1] <= MOST_COLUMNS:
            source.tiles, source.unit = array.reshape(-1, 1, sides[-1]), "row"
    return source


def _on_one_scale(made: Sequence[Figure], group: int) -> None:
    """A and B get one range, so that equal values look equal; the difference is around zero."""
    low = min(made[0].spread.low, made[1].spread.low)
    high = max(made[0].spread.high, made[1].spread.high)
    for number, each in enumerate(made):
        if not each.panel:
            continue
        each.panel["group"] = group
        if number == 2:
            each.panel["fixed"] = _SIGNED
        elif each.panel["kind"] == "tiles":
            each.panel["tiles"] |= {"low": low, "high": high, "scale": "all"}
        else:
            each.panel["range"] = [low, high]


def _kind(row: Row) -> str:
    """The class that gives a row its colour."""
    return "beyond" if row.beyond else "within"


def _headline(found: Comparison) -> str:
    """What differs first, in large letters."""
    noun = "blobs" if found.kind == "blobs" else "params"
    if found.first is not None:
        place = found.rows.index(found.first)
        return f'<a class="first" href="#row{place}">{text(found.first.a)}</a> differs first'
    if not found.rows:
        return "Nothing could be held against another"
    if all(row.worst.equal for row in found.rows):
        return f"Equal: all {len(found.rows)} {noun}"
    return f"{plural(len(found.rows), noun[:-1])} within {limit_words(found)}"


def _side(name: str, side: Side, *, fed: bool) -> str:
    how = f"<div><dt>prepares an image as</dt><dd>{text(side.preprocessing)}</dd></div>"
    return (
        f'<dl class="facts side"><div><dt><b>{name}</b></dt><dd>{text(side_words(side))}</dd></div>'
        f"{how if fed else ''}</dl>"
    )
