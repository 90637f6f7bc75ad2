"""The index page of an album: one card for each picture, without a script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from layerscope.show.notebook import escaped
from layerscope.text import plural, shape


class Shown(Protocol):
    """What the page needs of an entry; see `album.Entry`."""

    @property
    def layer(self) -> str:
        """The layer that it belongs to."""

    @property
    def type(self) -> str:
        """The type of that layer."""

    @property
    def kind(self) -> str:
        """Blob, param or layer."""

    @property
    def name(self) -> str:
        """Of the blob or the param."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its array."""

    @property
    def file(self) -> str:
        """The picture, or nothing."""

    @property
    def caption(self) -> str:
        """Of the picture, or why there is none."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""


IN_A_ROW = 3
LEGIBLE = 560  # the caption within a wider picture is too small to read in a card

_POLICY = "script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --dim: #606870; --page: #ffffff; --card: #f5f6f8;
  --line: #d9dde2; --mark: #2458b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --dim: #9aa3ad; --page: #16181b;
  --card: #1f2226; --line: #363b41; --mark: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 80rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
h2 small, .dim, figcaption { color: var(--dim); font-weight: normal; font-size: .85rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; } a { color: var(--mark); }
main { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: flex-start; }
section { width: calc(var(--cards) * 23.5rem - 1rem); max-width: 100%; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; padding: .75rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; max-width: 100%; width: 22.5rem; }
figcaption { margin-top: .5rem; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; background: #ffffff; }
"""


def index_page(
    net: str,
    fed: Sequence[str],
    notes: Sequence[str],
    layers: Iterable[tuple[str, str, str]],
    entries: Sequence[Shown],
    *,
    captions: bool = False,
) -> str:
    """The page.

    Args:
        net: the net's name.
        fed: how each input was made.
        notes: those of the net.
        layers: (name, type, summary) of every layer.
        entries: of the pictures, in the order of the net.
        captions: whether to write the captions under the pictures, which have none themselves.
    """
    return "\n".join(_parts(net, fed, notes, layers, entries, captions)) + "\n"


def _parts(
    net: str, fed: Sequence[str], notes: Sequence[str], layers: Iterable[tuple[str, str, str]],
    entries: Sequence[Shown], captions: bool,
) -> Iterator[str]:  # fmt: skip
    name, drawn = escaped(net), sum(bool(entry.file) for entry in entries)
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: pictures</title><style>{_STYLE}</style></head><body>"
    )
    yield f"<h1>{name}</h1><p class=dim>{plural(drawn, 'picture')} of {len(entries):,} blobs and"
    yield 'params; <a href="index.json">index.json</a> lists them</p>'
    yield from (f"<p class=dim>{escaped(words, 400)}</p>" for words in (*fed, *notes))
    yield "<main>"
    summaries = {(layer, kind): summary for layer, kind, summary in layers}
    for (layer, kind), group in groupby(entries, key=lambda entry: (entry.layer, entry.type)):
        summary = summaries.get((layer, kind), "")
        words = f"{escaped(kind)}{': ' if summary else ''}{escaped(summary, 300)}"
        mine = list(group)
        cards = [_card(entry, captions) for entry in mine if entry.file]
        wide = max(1, min(len(cards), IN_A_ROW))
        yield f'<section style="--cards:{wide}"><h2>{escaped(layer)} <small>{words}</small></h2>'
        if cards:
            yield f"<div class=cards>{''.join(cards)}</div>"
        yield from (_without(entry) for entry in mine if not entry.file)
        yield "</section>"
    yield "</main></body></html>"


def _card(entry: Shown, captions: bool) -> str:
    width, height = entry.size
    caption = escaped(entry.caption, 600)
    return (
        f'<figure><a href="{escaped(entry.file)}"><img src="{escaped(entry.file)}"'
        f' alt="{caption}" width="{width}" height="{height}" loading=lazy></a>'
        f"<figcaption><strong>{escaped(entry.name)}</strong> ({entry.kind})"
        f"{f'<br>{caption}' if captions or width > LEGIBLE else ''}</figcaption></figure>"
    )


def _without(entry: Shown) -> str:
    dims = f" {shape(entry.shape)}" if entry.kind != "layer" else ""
    name = f"{escaped(entry.name)}{dims}: " if entry.kind != "layer" else ""
    return f"<p class=dim>{name}{escaped(entry.caption, 400)}</p>"
