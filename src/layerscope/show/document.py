"""The HTML of the report: header, map of the layers, a section a layer, and what is packed.

Words, tables and numbers are here, for every reader; the script of the page adds the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from layerscope.blobs import Blobs
from layerscope.measure.attribution import Attribution
from layerscope.measure.cost import Cost, layer_costs
from layerscope.measure.distribution import Distribution
from layerscope.measure.receptive import receptive_fields
from layerscope.measure.top import Guess, probability_blob, score_blob, top
from layerscope.net import Layer, Net
from layerscope.show.attribution_section import ANCHOR, attribution_html
from layerscope.show.contents import (
    Contents,
    anchor,
    blocks,
    family_class,
    family_style,
)
from layerscope.show.figures import FEW, Figure, Source
from layerscope.show.notebook import activations_html, params_html
from layerscope.show.page import style
from layerscope.show.shell import WITHOUT_SCRIPT, Shell, fed_picture, notes_html, text
from layerscope.show.table import field_words, tables
from layerscope.text import count, printable, shape, size, times


class Document:
    """The page, put together layer by layer."""

    def __init__(self, net: Net, blobs: Blobs, labels: Sequence[str]) -> None:
        self._net, self._blobs, self._labels = net, blobs, labels
        self._costs, self._fields = layer_costs(net), receptive_fields(net)
        self._blocks = blocks(net)
        self._contents = Contents(net)
        self._shell = Shell(style() + family_style() + self._contents.style)
        self._sections: list[str] = []
        self._counts: list[str] = []
        self._places: dict[int, str] = {}  # id of a source to that of its data

    def layer(self, index: int, layer: Layer, figures: Mapping[str | int, Figure]) -> None:
        """Add the section of one layer; `figures` are by the name of a top or number of a param."""
        self._sections.append("".join(self._section(index, layer, figures)))

    def counts(self, found: Sequence[Attribution]) -> None:
        """Add the section on what counts for a unit."""
        self._counts = list(attribution_html(found, self._figure)) if found else []

    def page(self) -> str:
        """The whole page."""
        return "\n".join(self._shell.page(f"{text(self._net.name)}: every layer", self._body()))

    def _body(self) -> Iterator[str]:
        net, found = self._net, tables(self._net)
        name, totals = text(net.name), found.totals
        yield f'<header class="top"><h1>{name}</h1><p class="dim">{len(net.layers)} layers,'
        yield f"{totals.weights:,} weights ({size(totals.weight_bytes)}),"
        counts = f' · <a href="#{ANCHOR}">what counts</a>' if self._counts else ""
        yield f"{count(totals.multiply_adds)} multiply-adds{found.for_batch}{counts}</p></header>"
        yield '<div class="page">'
        yield from self._contents.html()
        yield "<main>"
        yield self._input()
        yield from notes_html(net.notes)
        yield '<div class="bar" role="toolbar" aria-label="how pictures are drawn"></div>'
        yield WITHOUT_SCRIPT
        yield from self._counts
        yield from self._sections
        yield f'<section><h2>Shapes</h2><div class="tables">{activations_html(found, styled=False)}'
        yield f"{params_html(found, styled=False)}</div></section></main></div>"

    def _input(self) -> str:
        """What was fed, and the classes with the largest probabilities or scores."""
        net, blobs = self._net, self._blobs
        parts = ['<section class="fed"><h2>Input</h2><div class="fed">']
        for name, fed in blobs.fed.items():
            if fed.picture is not None:
                parts.append(fed_picture(name, fed.picture, fed.statement))
            else:
                parts.append(f"<p>{text(name)}: {text(fed.statement)}</p>")
        scores = score_blob(net)
        last = probability_blob(net) or scores
        if last is not None and last in blobs and blobs[last].size:
            parts.append(_guesses(last, blobs[last], self._labels, scores=bool(scores)))
        return "".join(parts) + "</div></section>"

    def _section(
        self, index: int, layer: Layer, figures: Mapping[str | int, Figure]
    ) -> Iterator[str]:
        """One layer: what it does, its blobs, its params."""
        family, block = family_class(self._net, layer), self._blocks[index]
        yield f'<section class="layer {family}" id="{anchor(index)}" data-block="{block}"'
        yield ' tabindex="-1">'
        yield f'<h2><span class="number">{index + 1}</span> {text(layer.name)}'
        yield f"<small>{text(layer.type)}</small></h2>"
        if layer.summary:
            yield f'<p class="summary">{text(layer.summary)}</p>'
        yield self._facts(layer, self._costs[index])
        if layer.reason:
            yield f'<p class="reason">{text(layer.reason)}</p>'
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
        rows = "".join(f"<div><dt>{name}</dt><dd>{text(words)}</dd></div>" for name, words in facts)
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
        title = f"{text(name)} {shape(self._blobs[name].shape)}"
        if figure is not None and figure.source.array.size == 1:
            return f"<p>{title}: {figure.source.array.item():.6g}</p>"
        if figure is not None:
            return self._figure(figure)
        value = self._net.blobs[name].value
        same = [b for b in layer.bottoms if self._net.blobs[b].value == value]
        if same:
            return f'<p class="dim">{title}: the same as {text(same[0])}</p>'
        return f'<p class="dim">{title}: no numbers</p>'  # a Filter may have selected nothing

    def _param(self, layer: Layer, number: int, figure: Figure | None) -> str:
        param = layer.params[number]
        title = text(f"{printable(param.name)} {shape(param.shape)}")
        if figure is None:
            which = f"param {number + 1} of {len(layer.params)}"
            return f'<p class="dim">{title}: no numbers ({which})</p>'
        if param.size <= FEW:
            numbers = ", ".join(f"{value:.4g}" for value in param.data.ravel())
            words = text(", ".join(figure.source.words))
            return f'<p>{title}: {numbers} <span class="dim">({words})</span></p>'
        return self._figure(figure)

    def _figure(self, figure: Figure) -> str:
        """Caption and numbers of one array, and the boxes that the script fills."""
        source, spread = figure.source, figure.spread
        words = text("; ".join([figure.statement, *source.words]))
        stage = ""
        if figure.panel:
            stage = (
                f'<div class="view"><div class="stage" data-panel="{self._panel(figure)}"></div>'
                '<p class="readout" aria-live="polite"></p></div>'
            )
        label = text(f"{source.title}: how its values are spread")
        hidden = "" if spread.counts.sum() > FEW else " hidden"
        box = f'<div class="spread" data-spread="{self._shell.spread(spread)}"'
        kind = "tiles" if source.tiles is not None else "vector"
        return (
            f'<figure class="{kind}"><figcaption><b>{text(source.name)}</b> '
            f'{shape(source.dims)} <span class="dim">{words}</span></figcaption>'
            f'<div class="side">{box} data-title="{label}"{hidden}></div>'
            f"{_numbers(figure)}</div>{stage}</figure>"
        )

    def _panel(self, figure: Figure) -> int:
        """Put what is drawn into the index of the page, and its data behind the page."""
        panel, source = figure.panel, figure.source
        if panel["kind"] == "tiles":
            panel["tiles"]["data"] = self._place(source, figure.data)
        return self._shell.panel(panel)

    def _place(self, source: Source, data: str) -> str:
        """The id of the element with a source's data: its own, or that of its parent."""
        if source.parent is not None:
            return self._places[id(source.parent)]
        return self._places.setdefault(id(source), self._shell.data(data))


def _numbers(figure: Figure) -> str:
    """The distribution in numbers."""
    spread = figure.spread
    rows = [("lowest", f"{spread.low:.4g}"), ("highest", f"{spread.high:.4g}")]
    rows.append(("mean", f"{spread.mean:.4g}"))
    zeros = _zeros(spread)
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


def _zeros(spread: Distribution) -> str:
    """Their share; neither a few of many nor all but a few are rounded away."""
    if not spread.zeros:
        return "none"
    part = 100 * spread.zeros / spread.size
    if part < 0.1:
        return "&lt; 0.1 %"
    return "&gt; 99.9 %" if 99.9 < part < 100 else f"{part:.1f} %"


def _row(name: str, words: str, *, bad: bool = False) -> str:
    kind = "whole bad" if bad else "whole"
    return f'<div class="{kind}"><dt>{name}</dt><dd>{words}</dd></div>'


def _guesses(name: str, array: Any, labels: Sequence[str], *, scores: bool) -> str:
    rows = "".join((_score if scores else _guess)(g) for g in top(array[0], list(labels)))
    which = f", image 1 of {len(array)}" if len(array) > 1 else ""
    caption = f"most likely ({text(name)}){which}"
    if scores:
        caption = f"largest scores ({text(name)}; the net ends without a softmax){which}"
    return f'<table class="guesses"><caption>{caption}</caption>{rows}</table>'


def _guess(guess: Guess) -> str:
    """A class with its probability as number and bar."""
    width = 100 * max(0.0, min(1.0, guess.value))
    return (
        f"<tr><td>{100 * guess.value:.2f} %</td>{_class(guess)}"
        '<td><svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="100" height="10" class="rest"/><rect width="{width:.2f}" height="10"/>'
        "</svg></td></tr>"
    )


def _score(guess: Guess) -> str:
    """A class with its score: a number, as it is no share of anything."""
    return f'<tr><td class="right">{guess.value:.4g}</td>{_class(guess)}</tr>'


def _class(guess: Guess) -> str:
    return f'<td class="name">{text(guess.label or f"class {guess.index}")}</td>'
