"""How a net shows itself in a notebook: the two shape tables, escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from layerscope.net import Net
from layerscope.show.table import ParamRow, Tables, field_words, tables
from layerscope.text import count, printable, shape, size

NAME_LENGTH = 60


def net_html(net: Net) -> str:
    """The two tables of a net as HTML."""
    found = tables(net)
    totals = found.totals
    return (
        f"<div><strong>{escaped(found.net)}</strong> ({escaped(found.format)}): "
        f"{totals.weights:,} weights ({size(totals.weight_bytes)}), "
        f"{count(totals.multiply_adds)} multiply-adds{found.for_batch}"
        '<div style="display:flex;gap:2em;flex-wrap:wrap;align-items:flex-start">'
        f"{activations_html(found)}{params_html(found)}</div></div>"
    )


def activations_html(found: Tables, *, styled: bool = True) -> str:
    """The table of activation shapes, with the layer types and the receptive field of each.

    A page with a style sheet of its own wants no style on each cell: `styled=False`.
    """
    rows = [
        (
            _name(row.blob),
            shape(row.shape),
            escaped(", ".join(row.types)),
            size(row.bytes),
            *map(escaped, field_words(row.field)),
        )
        for row in found.activations
    ]
    heads = ("blob", "shape", "layer types", "memory", "field", "stride", "start")
    return _table("activations", heads, rows, right=(3, 4, 5, 6), styled=styled)


def params_html(found: Tables, *, styled: bool = True) -> str:
    """The table of param shapes, nothing for a net without any; see `activations_html`."""
    if not found.params:
        return ""
    rows = [
        (
            _name(row.layer),
            " ".join(shape(each) for each in row.shapes),
            f"{row.weights:,}{_sharing(row)}",
            count(row.multiply_adds),
        )
        for row in found.params
    ]
    heads = ("layer", "shapes", "weights", f"multiply-adds{found.for_batch}")
    return _table("params", heads, rows, right=(2, 3), styled=styled)


def escaped(foreign: object, limit: int = 120) -> str:
    """Text from a file or about one, as text: escaped, nothing invisible, nothing reordered."""
    return escape(printable(foreign, limit), quote=True)


def _name(foreign: str) -> str:
    return escaped(foreign, NAME_LENGTH)


def _sharing(row: ParamRow) -> str:
    return f" ({escaped(row.sharing)})" if row.sharing else ""


def _table(
    caption: str,
    heads: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    right: Sequence[int] = (),
    *,
    styled: bool = True,
) -> str:
    """A table in a box of its own: where it is too wide it scrolls, and no cell is broken.

    The style is that of each cell, because notebooks have rules of their own for cells.
    """
    sides = [_side(i in right, styled) for i in range(len(heads))]
    head = "".join(
        f'<th scope="col"{side}>{each}</th>' for each, side in zip(heads, sides, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f"<td{s}>{c}</td>" for c, s in zip(row, sides, strict=True)) + "</tr>"
        for row in rows
    )
    box = ' style="overflow-x:auto;max-width:100%"' if styled else ""
    return (
        f"<div class=scroll{box}>"
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _side(right: bool, styled: bool) -> str:
    if styled:
        return f' style="white-space:nowrap;text-align:{"right" if right else "left"}"'
    return ' class="right"' if right else ""
