"""One self-contained page with every layer of a run.

Nothing is fetched: pictures are inline, the policy in the page allows nothing else, and every text
from a file goes through `_text`.  Pixels are enlarged by whole numbers and never made smaller:
what is wider than the page scrolls in a box of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from layerscope.blobs import Blobs
from layerscope.files import write_file
from layerscope.measure.stats import stats
from layerscope.measure.top import Guess, probability_blob, top
from layerscope.net import Layer, Net, Param
from layerscope.pictures import Grid, Picture, Plot
from layerscope.pictures.bars import bars
from layerscope.show.drawing import blob_picture, param_picture
from layerscope.show.notebook import activations_html, escaped, params_html
from layerscope.show.table import tables
from layerscope.text import count, printable, shape, size

Progress = Callable[[int, int, str], None]

FILTER_LIMIT = 256  # filters of a deep layer are many and small; the page says how many it shows
WIDE = 540  # css pixels that a grid is enlarged to: two of them stand side by side
INPUT_WIDE = 300  # the same for an image that was fed
NARROW = 330  # what a telephone has room for
MOST_TIMES = 8
CAPTION_WIDTH = 320
LEAST_PLOT = 0.675  # plots shrink on a small screen to this, then scroll: letters stay readable
FEW = 8  # up to so many numbers of a param are written out

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'"
)

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --dim: #606870; --page: #ffffff; --card: #f5f6f8;
  --line: #d9dde2; --mark: #2458b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --dim: #9aa3ad; --page: #16181b;
  --card: #1f2226; --line: #363b41; --mark: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 70rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
h2 small { color: var(--dim); font-weight: normal; font-size: .9rem; }
p { margin: .25rem 0; } .dim, caption, figcaption { color: var(--dim); font-size: .85rem; }
a { color: var(--mark); }
nav { display: flex; flex-wrap: wrap; gap: .3rem .8rem; margin: 1rem 0; font-size: .9rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem; margin: 1rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: .75rem 0 0; max-width: 100%; }
figcaption { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; max-width: 100%; }
img { display: block; height: auto; }
img.pixels { image-rendering: pixelated; width: calc(var(--wide) * var(--times) * 1px); }
img.plot { width: 100%; }
@media (max-width: 40rem) { body { padding: .75rem; } section { padding: .75rem; }
  img.pixels { width: calc(var(--wide) * var(--few) * 1px); } }
@media (prefers-color-scheme: dark) {
  img.plot, img.bars { filter: invert(.88) hue-rotate(180deg); } }
.tables { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; }
table { border-collapse: collapse; font-size: .85rem; }
caption { text-align: left; font-weight: bold; padding-bottom: .3rem; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; }
td.name { overflow-wrap: anywhere; }
.bar { display: inline-block; height: .7rem; background: var(--mark); vertical-align: middle; }
ul.notes { color: var(--dim); font-size: .85rem; padding-left: 1.2rem; }
@media print { section { break-inside: avoid; } }
"""


def report(
    net: Net,
    inputs: Any,
    path: str | PathLike[str],
    *,
    labels: Sequence[str] | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Run a net and write every layer onto one page.

    Args:
        net: the net.
        inputs: an image or arrays, as `Net.run` takes them.
        path: the page to write; it is replaced only when the new one is complete.
        labels: the names of the classes.
        allow_missing: run although some layers have no weights.
        progress: called as progress(done, total, layer name).

    Returns:
        The path.

    Raises:
        LayerscopeError: what `Net.run` raises; SystemFaultError when the page cannot be written.
    """
    blobs = inputs if isinstance(inputs, Blobs) else net.run(inputs, allow_missing=allow_missing)
    target = Path(path)
    page = "\n".join(_page(net, blobs, labels, progress))
    write_file(target, page.encode("utf-8", "backslashreplace"))
    return target


def _page(
    net: Net, blobs: Blobs, labels: Sequence[str] | None, progress: Progress | None
) -> Iterator[str]:
    name = _text(net.name)
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: every layer</title><style>{_STYLE}</style></head><body>"
    )
    found = tables(net)
    totals = found.totals
    yield f"<header><h1>{name}</h1><p class=dim>{len(net.layers)} layers,"
    yield f"{totals.weights:,} weights"
    yield f"({size(totals.weight_bytes)}), {count(totals.multiply_adds)} multiply-adds"
    yield f"{found.for_batch}</p></header>"
    yield _prediction(net, blobs, labels)
    yield from _notes(net.notes)
    yield "<nav aria-label=layers>"
    for i, layer in enumerate(net.layers):
        yield f'<a href="#layer{i}">{_text(layer.name)}</a>'
    yield "</nav><main>"
    for i, layer in enumerate(net.layers):
        if progress is not None:
            progress(i, len(net.layers), layer.name)
        yield from _section(net, blobs, layer, i, labels)
    yield f"<section><h2>Shapes</h2><div class=tables>{activations_html(found)}"
    yield params_html(found)
    yield "</div></section></main><footer class=dim>layerscope</footer></body></html>"
    if progress is not None:
        progress(len(net.layers), len(net.layers), "")


def _prediction(net: Net, blobs: Blobs, labels: Sequence[str] | None) -> str:
    """What was fed, and the most likely classes."""
    parts = ["<section><h2>Input</h2><div class=pictures>"]
    for name, fed in blobs.fed.items():
        if fed.picture is not None:
            parts.append(_figure(Picture(fed.picture, f"{printable(name)}: {fed.statement}")))
        else:
            parts.append(f"<p>{_text(name)}: {_text(fed.statement)}</p>")
    last = probability_blob(net)
    if last is not None and last in blobs and blobs[last].size:
        rows = "".join(_guess(g) for g in top(blobs[last][0], list(labels or [])))
        caption = f"most likely ({_text(last)}){_which(len(blobs[last]))}"
        parts.append(f"<table><caption>{caption}</caption>{rows}</table>")
    return "".join(parts) + "</div></section>"


def _guess(guess: Guess) -> str:
    """A class with its probability as number and bar."""
    width = 8 * max(0.0, min(1.0, guess.value))
    return (
        f"<tr><td>{100 * guess.value:.2f} %</td>"
        f"<td class=name>{_text(guess.label or f'class {guess.index}')}</td>"
        f'<td><span class=bar style="width:{width:.2f}rem"></span></td></tr>'
    )


def _notes(notes: Sequence[str]) -> Iterator[str]:
    if notes:
        yield "<ul class=notes>" + "".join(f"<li>{_text(n)}</li>" for n in notes) + "</ul>"


def _section(
    net: Net, blobs: Blobs, layer: Layer, index: int, labels: Sequence[str] | None
) -> Iterator[str]:
    """One layer: what it does, its blobs, its params."""
    summary = f": {layer.summary}" if layer.summary else ""
    yield f'<section id="layer{index}"><h2>{_text(layer.name)}'
    yield f"<small>{_text(layer.type)}{_text(summary)}</small></h2>"
    if layer.bottoms:
        yield f"<p class=dim>reads {_text(', '.join(layer.bottoms))}</p>"
    yield "<div class=pictures>"
    for name in layer.tops:
        if name not in blobs:
            continue
        same = [b for b in layer.bottoms if net.blobs[b].value == net.blobs[name].value]
        if same:
            yield f"<p>{_text(name)} {shape(blobs[name].shape)}: the same as {_text(same[0])}</p>"
            continue
        if not blobs[name].size:  # a Filter may have selected nothing
            yield f"<p>{_text(name)} {shape(blobs[name].shape)}: no numbers</p>"
            continue
        picture = blob_picture(net, blobs, name, labels=labels, as_image=False)
        yield _figure(picture, _statement(net, blobs, name))
    for number, param in enumerate(layer.params):
        if param.array is not None:
            yield _param(net, layer, number, param)
    yield "</div></section>"


def _param(net: Net, layer: Layer, number: int, param: Param) -> str:
    """One param: filters and matrices as pictures, vectors as bars or, where few, as numbers."""
    words = f"param {number + 1} of {len(layer.params)}"
    if param.shared_with:
        words += f", shared with {param.shared_with}"
    title = f"{printable(param.name)} {shape(param.shape)}"
    if param.size > max(param.shape, default=1):
        return _figure(param_picture(net, layer, number, limit=FILTER_LIMIT), words)
    if not param.size:
        return f"<p>{_text(title)}: no numbers ({_text(words)})</p>"
    if param.size <= FEW:
        numbers = ", ".join(f"{value:.4g}" for value in param.data.ravel())
        return f"<p>{_text(title)}: {numbers} <span class=dim>({_text(words)})</span></p>"
    return _figure(bars(param.data, title), words, kind="bars")


def _which(images: int) -> str:
    return f", image 0 of {images}" if images > 1 else ""


def _statement(net: Net, blobs: Blobs, name: str) -> str:
    """The distribution of what is shown of a blob, in one line: of the first image of a batch."""
    array = blobs[name]
    s = stats(array[:1] if array.ndim > 1 else array)
    parts = [f"{s.low:.4g} to {s.high:.4g}, mean {s.mean:.4g}", f"{100 * s.zeros:.1f} % zeros"]
    if s.channels > 1:
        parts.append(f"{s.dead} of {s.channels} channels all zero")
    if s.not_finite:
        parts.append(f"{s.not_finite:,} NaN or infinite")
    fed = blobs.fed.get(name)
    if fed is not None and fed.picture is not None and s.channels == 3:
        order = net.preprocessing.channels
        parts.append(f"channels in the order {', '.join('RGB' if order == 'RGB' else 'BGR')}")
    return ", ".join(parts)


def _figure(picture: Picture | Plot, statement: str = "", kind: str = "image") -> str:
    """A picture with its caption; small ones are enlarged by whole pixels."""
    if isinstance(picture, Plot):
        from base64 import b64encode

        png = b64encode(picture.png()).decode("ascii")
        source, caption = f"data:image/png;base64,{png}", picture.title
        width = round(100 * picture.figure.get_figwidth())  # as `png` draws it
        attributes = f' class=plot style="min-width:{round(LEAST_PLOT * width)}px"'
    else:
        source, caption = picture.data_uri(), picture.caption
        room = WIDE if isinstance(picture, Grid) else INPUT_WIDE
        times = 1 if kind == "bars" else max(1, min(MOST_TIMES, room // picture.width))
        few = max(1, min(times, NARROW // picture.width))
        width, height = picture.width * times, picture.height * times
        attributes = (
            f' class="pixels {kind}" width="{width}" height="{height}" style="--wide:'
            f'{picture.width};--times:{times};--few:{few}{_without_end(picture)}"'
        )
    # The caption wraps at the width of its picture, so that pictures can stand side by side.
    words = _text(caption) + (f"<br>{_text(statement)}" if statement else "")
    return (
        f'<figure style="width:{max(width, CAPTION_WIDTH)}px"><div class=scroll>'
        f'<img src="{source}" alt="{_text(caption)}"{attributes} loading=lazy></div>'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _without_end(picture: Picture) -> str:
    """The style that cuts off the places behind the last tile, which are white in every page."""
    if not isinstance(picture, Grid) or picture.shown == picture.rows * picture.columns:
        return ""
    x, y = picture.origin(picture.shown - 1)
    right = 100 * (x + picture.tile[1]) / picture.width
    down = 100 * (y - 1) / picture.height  # above the gap
    corners = f"0 0,100% 0,100% {down:.4f}%,{right:.4f}% {down:.4f}%,{right:.4f}% 100%,0 100%"
    return f";clip-path:polygon({corners})"


def _text(foreign: object) -> str:
    return escaped(foreign, 2000)
