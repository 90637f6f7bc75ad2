"""How a net shows itself in a notebook: the two shape tables, escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from layerscope.net import Net
from layerscope.show.table import Tables, tables
from layerscope.text import count, printable, shape, size


def net_html(net: Net) -> str:
    """The two tables of a net as HTML."""
    found = tables(net)
    totals = found.totals
    return (
        f"<div><strong>{_text(found.net)}</strong> ({_text(found.format)}): "
        f"{totals.weights:,} weights ({size(totals.weight_bytes)}), "
        f"{count(totals.multiply_adds)} multiply-adds"
        '<div style="display:flex;gap:2em;flex-wrap:wrap;align-items:flex-start">'
        f"{activations_html(found)}{params_html(found)}</div></div>"
    )


def activations_html(found: Tables) -> str:
    """The table of activation shapes."""
    rows = [(_text(row.blob), shape(row.shape), _text(row.type)) for row in found.activations]
    return _table("activations", ("blob", "shape", "layer type"), rows)


def params_html(found: Tables) -> str:
    """The table of param shapes."""
    rows = [
        (
            _text(row.layer),
            " ".join(shape(each) for each in row.shapes),
            f"{row.weights:,}",
            count(row.multiply_adds),
        )
        for row in found.params
    ]
    return _table("params", ("layer", "shapes", "weights", "multiply-adds"), rows)


def _text(foreign: str) -> str:
    return escape(printable(foreign), quote=True)


def _table(caption: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
