"""Tables and predictions as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layerscope.measure.top import Guess
from layerscope.show.table import Tables, field_words
from layerscope.text import count, plural, printable, shape, size

NAME = 40  # letters of a name, so that a line stays within a hundred columns

WIDTH = 100


def aligned(rows: Iterable[Sequence[str]], right: Sequence[int] = (), indent: str = "  ") -> str:
    """Columns of text; those in `right` are aligned to the right."""
    rows = [list(row) for row in rows]
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def tables_text(found: Tables) -> str:
    """The two tables with their totals."""
    parts = [f"{printable(found.net)} ({found.format})", "", "activations"]
    rows: list[Sequence[str]] = [
        (printable(r.blob, NAME), shape(r.shape), size(r.bytes), *field_words(r.field))
        for r in found.activations
    ]
    heads = ("blob", "shape", "memory", "field", "stride", "start")
    parts.append(aligned([heads, *rows], right=(2, 3, 4, 5)) if rows else "  none")
    replaced = [printable(name, NAME) for row in found.activations for name in row.before]
    if replaced:
        head = f"  and {plural(len(replaced), 'value')} from before an in-place layer: "
        parts.append(head + _first_names(replaced, WIDTH - len(head)))
    parts += ["", "params" + (f" (multiply-adds{found.for_batch})" if found.for_batch else "")]
    rows = [
        (
            printable(r.layer, NAME),
            " ".join(shape(each) for each in r.shapes),
            f"{r.weights:,}",
            size(r.bytes),
            count(r.multiply_adds) if found.activations else "",
            r.sharing,
        )
        for r in found.params
    ]
    costs = "multiply-adds" if found.activations else ""  # weights without a net cost nothing
    heads = ("layer", "shapes", "weights", "memory", costs, "")
    parts.append(aligned([heads, *rows], right=(2, 3, 4)) if rows else "  none")
    totals = found.totals
    weights = f"total: {totals.weights:,} weights ({size(totals.weight_bytes)})"
    if not found.activations:
        return "\n".join([*parts, "", weights])
    parts += [
        "",
        f"{weights}, {count(totals.multiply_adds)} multiply-adds"
        f"{' and' if found.for_batch else ','} {size(totals.activation_bytes)} of activations"
        f"{found.for_batch}",
    ]
    return "\n".join(parts)


def scores_text(guesses: Sequence[Guess]) -> str:
    """The classes of the largest scores, a line each: numbers, as they are no probabilities."""
    rows = [
        (f"{g.value:.4g}", str(g.index), printable(g.label or "(no label)", 80)) for g in guesses
    ]
    return aligned(rows, right=(0, 1))


def _first_names(names: Sequence[str], room: int) -> str:
    """As many names as there is room for, at least one, and a mark where some are left out."""
    shown = 1
    while shown < len(names) and len(", ".join(names[: shown + 1])) + len(" ...") <= room:
        shown += 1
    return ", ".join(names[:shown]) + (" ..." if shown < len(names) else "")


def guesses_text(guesses: Sequence[Guess]) -> str:
    """The most likely classes, a line each."""
    rows = [
        (f"{100 * g.value:6.2f} %", str(g.index), printable(g.label or "(no label)", 80))
        for g in guesses
    ]
    return aligned(rows, right=(1,))
