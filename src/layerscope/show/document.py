"""The HTML of the report: header, map of the layers, a section a layer, and what is packed.

Words, tables and numbers are here, for every reader; the script of the page adds the pictures.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from layerscope.blobs import Blobs
from layerscope.measure.cost import Cost, layer_costs
from layerscope.measure.receptive import receptive_fields
from layerscope.measure.top import Guess, probability_blob, top
from layerscope.net import Layer, Net
from layerscope.pictures import Picture
from layerscope.pictures.color import COLORS, palette
from layerscope.show.contents import (
    anchor,
    blocks,
    contents_html,
    family_class,
    family_style,
)
from layerscope.show.figures import FEW, Figure, Source
from layerscope.show.notebook import activations_html, escaped, params_html
from layerscope.show.page import script, style
from layerscope.show.table import field_words, tables
from layerscope.text import count, printable, shape, size, times

_FIRST = 'document.documentElement.classList.add("js");'
_FIRST += 'addEventListener("load",()=>document.documentElement.classList.add("ready"));'


class Document:
    """The page, put together layer by layer."""

    def __init__(self, net: Net, blobs: Blobs, labels: Sequence[str]) -> None:
        self._net, self._blobs, self._labels = net, blobs, labels
        self._costs, self._fields = layer_costs(net), receptive_fields(net)
        self._contents, self._blocks = list(contents_html(net)), blocks(net)
        self._sections: list[str] = []
        self._panels: list[dict[str, Any]] = []
        self._spreads: list[dict[str, Any]] = []
        self._data: list[str] = []
        self._places: dict[int, str] = {}  # id of a source to that of its data

    def layer(self, index: int, layer: Layer, figures: Mapping[str | int, Figure]) -> None:
        """Add the section of one layer; `figures` are by the name of a top or number of a param."""
        self._sections.append("".join(self._section(index, layer, figures)))

    def page(self) -> str:
        """The whole page."""
        return "\n".join(self._parts())

    def _parts(self) -> Iterator[str]:
        net, found = self._net, tables(self._net)
        name, totals = _text(net.name), found.totals
        yield (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{self._policy()}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>{name}: every layer</title><style>{_style()}</style>"
            f"<script>{_FIRST}</script></head><body>"
        )
        yield f'<header class="top"><h1>{name}</h1><p class="dim">{len(net.layers)} layers,'
        yield f"{totals.weights:,} weights ({size(totals.weight_bytes)}),"
        yield f"{count(totals.multiply_adds)} multiply-adds{found.for_batch}</p></header>"
        yield '<div class="page">'
        yield from self._contents
        yield "<main>"
        yield self._input()
        yield from _notes(net.notes)
        yield '<div class="bar" role="toolbar" aria-label="how pictures are drawn"></div>'
        yield "<noscript><p>The pictures of this page are drawn by its own script, which is"
        yield "switched off; words, tables and numbers are all here.</p></noscript>"
        yield from self._sections
        yield f'<section><h2>Shapes</h2><div class="tables">{activations_html(found, styled=False)}'
        yield f'{params_html(found, styled=False)}</div></section></main></div><footer class="dim">'
        yield "layerscope</footer>"
        yield _island("index", self._index())
        yield f"<script>{script()}</script>"
        for number, data in enumerate(self._data):
            yield f'<script type="application/base64" id="data{number}">{data}</script>'
        yield "</body></html>"

    def _policy(self) -> str:
        """What may run and be drawn: our own script and styles, by their hashes, and nothing else.

        A style inside the diagram counts as a style of the page.
        """
        drawn = re.findall("<style>(.*?)</style>", "".join(self._contents), re.DOTALL)
        styles = " ".join(map(_hash, [_style(), *drawn]))
        scripts = " ".join(map(_hash, [_FIRST, script()]))
        return (
            f"default-src 'none'; img-src data:; style-src {styles}; script-src {scripts};"
            " base-uri 'none'; form-action 'none'"
        )

    def _index(self) -> dict[str, Any]:
        palettes = {name: b64encode(palette(name).tobytes()).decode("ascii") for name in COLORS}
        return {"palettes": palettes, "panels": self._panels, "spreads": self._spreads}

    def _input(self) -> str:
        """What was fed, and the most likely classes."""
        net, blobs = self._net, self._blobs
        parts = ['<section class="fed"><h2>Input</h2><div class="fed">']
        for name, fed in blobs.fed.items():
            if fed.picture is not None:
                parts.append(_fed_picture(name, fed.picture, fed.statement))
            else:
                parts.append(f"<p>{_text(name)}: {_text(fed.statement)}</p>")
        last = probability_blob(net)
        if last is not None and last in blobs and blobs[last].size:
            parts.append(_guesses(last, blobs[last], self._labels))
        return "".join(parts) + "</div></section>"

    def _section(
        self, index: int, layer: Layer, figures: Mapping[str | int, Figure]
    ) -> Iterator[str]:
        """One layer: what it does, its blobs, its params."""
        family, block = family_class(self._net, layer), self._blocks[index]
        yield f'<section class="layer {family}" id="{anchor(index)}" data-block="{block}"'
        yield ' tabindex="-1">'
        yield f'<h2><span class="number">{index + 1}</span> {_text(layer.name)}'
        yield f"<small>{_text(layer.type)}</small></h2>"
        if layer.summary:
            yield f'<p class="summary">{_text(layer.summary)}</p>'
        yield self._facts(layer, self._costs[index])
        if layer.reason:
            yield f'<p class="reason">{_text(layer.reason)}</p>'
        for name in layer.tops:
            if name in self._blobs:
                yield self._top(layer, name, figures.get(name))
        for number, param in enumerate(layer.params):
            if param.array is not None:
                yield self._param(layer, number, figures.get(number))
        yield "</section>"

    def _facts(self, layer: Layer, cost: Cost) -> str:
        facts = []
        if layer.bottoms:
            reads = [f"{b} {times(self._shape(b))}" for b in layer.bottoms]
            facts.append(("reads", ", ".join(reads)))
        if layer.tops:
            facts.append(("writes", ", ".join(f"{t} {times(self._shape(t))}" for t in layer.tops)))
        facts += [("sees", words) for top in layer.tops[:1] if (words := self._seen(top))]
        if cost.weights:
            facts.append(("weights", f"{cost.weights:,} ({size(cost.weight_bytes)})"))
        if cost.multiply_adds:
            facts.append(("multiply-adds", count(cost.multiply_adds)))
        rows = "".join(
            f"<div><dt>{name}</dt><dd>{_text(words)}</dd></div>" for name, words in facts
        )
        return f'<dl class="facts">{rows}</dl>' if rows else ""

    def _seen(self, top: str) -> str:
        """The receptive field of a blob's units, in words."""
        extent, stride, _ = field_words(self._fields[top])
        if extent in ("-", "1x1"):
            return ""
        if not stride:
            return extent.replace("all", "the whole input")
        return f"{extent}, stride {stride}"

    def _shape(self, name: str) -> tuple[int, ...]:
        return self._blobs[name].shape if name in self._blobs else self._net.blobs[name].shape

    def _top(self, layer: Layer, name: str, figure: Figure | None) -> str:
        title = f"{_text(name)} {shape(self._blobs[name].shape)}"
        if figure is not None and figure.source.array.size == 1:
            return f"<p>{title}: {figure.source.array.item():.6g}</p>"
        if figure is not None:
            return self._figure(figure)
        value = self._net.blobs[name].value
        same = [b for b in layer.bottoms if self._net.blobs[b].value == value]
        if same:
            return f'<p class="dim">{title}: the same as {_text(same[0])}</p>'
        return f'<p class="dim">{title}: no numbers</p>'  # a Filter may have selected nothing

    def _param(self, layer: Layer, number: int, figure: Figure | None) -> str:
        param = layer.params[number]
        title = _text(f"{printable(param.name)} {shape(param.shape)}")
        if figure is None:
            which = f"param {number + 1} of {len(layer.params)}"
            return f'<p class="dim">{title}: no numbers ({which})</p>'
        if param.size <= FEW:
            numbers = ", ".join(f"{value:.4g}" for value in param.data.ravel())
            words = _text(", ".join(figure.source.words))
            return f'<p>{title}: {numbers} <span class="dim">({words})</span></p>'
        return self._figure(figure)

    def _figure(self, figure: Figure) -> str:
        """Caption and numbers of one array, and the boxes that the script fills."""
        source, spread = figure.source, figure.spread
        words = _text("; ".join([figure.statement, *source.words]))
        stage = ""
        if figure.panel:
            stage = (
                f'<div class="view"><div class="stage" data-panel="{self._panel(figure)}"></div>'
                '<p class="readout" aria-live="polite"></p></div>'
            )
        counts = [int(each) for each in spread.counts]
        self._spreads.append({"low": spread.low, "high": spread.high, "counts": counts})
        label = _text(f"{source.title}: how its values are spread")
        hidden = "" if spread.counts.sum() > FEW else " hidden"
        box = f'<div class="spread" data-spread="{len(self._spreads) - 1}"'
        kind = "tiles" if source.tiles is not None else "vector"
        return (
            f'<figure class="{kind}"><figcaption><b>{_text(source.name)}</b> '
            f'{shape(source.dims)} <span class="dim">{words}</span></figcaption>'
            f'<div class="side">{box} data-title="{label}"{hidden}></div>'
            f"{_numbers(figure)}</div>{stage}</figure>"
        )

    def _panel(self, figure: Figure) -> int:
        """Put what is drawn into the index of the page, and its data behind the page."""
        panel, source = figure.panel, figure.source
        if panel["kind"] == "tiles":
            panel["tiles"]["data"] = self._place(source, figure.data)
        self._panels.append(panel)
        return len(self._panels) - 1

    def _place(self, source: Source, data: str) -> str:
        """The id of the element with a source's data: its own, or that of its parent."""
        if source.parent is not None:
            return self._places[id(source.parent)]
        self._data.append(data)
        return self._places.setdefault(id(source), f"data{len(self._data) - 1}")


def _numbers(figure: Figure) -> str:
    """The distribution in numbers."""
    spread = figure.spread
    rows = [("lowest", f"{spread.low:.4g}"), ("highest", f"{spread.high:.4g}")]
    rows.append(("mean", f"{spread.mean:.4g}"))
    zeros = f"{100 * spread.zeros / max(1, spread.size):.1f} %"
    if not spread.zeros:
        rows.append(("zeros", zeros))
    found = "".join(f"<div><dt>{name}</dt><dd>{words}</dd></div>" for name, words in rows)
    if spread.zeros:  # those behind a ReLU would hide all other bars of the histogram
        found += _row("zeros, without bar", zeros)
    dead, channels = figure.dead
    if channels:
        found += _row("channels all zero", f"{dead} of {channels}", bad=dead > 0)
    if spread.not_finite:
        found += _row("NaN or infinite", f"{spread.not_finite:,}", bad=True)
    return f'<dl class="numbers">{found}</dl>'


def _row(name: str, words: str, *, bad: bool = False) -> str:
    kind = "whole bad" if bad else "whole"
    return f'<div class="{kind}"><dt>{name}</dt><dd>{words}</dd></div>'


def _fed_picture(name: str, pixels: Any, statement: str) -> str:
    """The picture as the net saw it, enlarged by a whole number where it is small."""
    picture = Picture(pixels, printable(name))
    by = max(1, min(8, 256 // max(picture.width, picture.height)))
    words = _text(f"{printable(name)}: {statement}")
    return (
        f'<figure class="input"><img class="pixels" src="{picture.data_uri()}" alt="{words}"'
        f' width="{by * picture.width}" height="{by * picture.height}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _guesses(name: str, array: Any, labels: Sequence[str]) -> str:
    rows = "".join(_guess(g) for g in top(array[0], list(labels)))
    which = f", image 1 of {len(array)}" if len(array) > 1 else ""
    caption = f"most likely ({_text(name)}){which}"
    return f'<table class="guesses"><caption>{caption}</caption>{rows}</table>'


def _guess(guess: Guess) -> str:
    """A class with its probability as number and bar."""
    width = 100 * max(0.0, min(1.0, guess.value))
    return (
        f"<tr><td>{100 * guess.value:.2f} %</td>"
        f'<td class="name">{_text(guess.label or f"class {guess.index}")}</td>'
        '<td><svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="100" height="10" class="rest"/><rect width="{width:.2f}" height="10"/>'
        "</svg></td></tr>"
    )


def _notes(notes: Sequence[str]) -> Iterator[str]:
    if notes:
        yield '<ul class="notes">' + "".join(f"<li>{_text(n)}</li>" for n in notes) + "</ul>"


def _style() -> str:
    return style() + family_style()


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"


def _island(name: str, content: Any) -> str:
    """Data for the script; no character in it can end the element."""
    words = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        words = words.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{words}</script>'


def _text(foreign: object) -> str:
    return escaped(foreign, 2000)
