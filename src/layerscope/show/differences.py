"""A comparison as lines of text, and as a table for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, isinf

import numpy as np

from layerscope.comparison import Comparison
from layerscope.comparison.result import Row, Side
from layerscope.measure.similarity import Measure
from layerscope.show.notebook import escaped
from layerscope.show.terminal import aligned
from layerscope.text import plural, printable, times

MEASURE_WORDS: dict[Measure, str] = {
    "relative": "largest difference / largest value",
    "absolute": "largest difference",
    "snr": "signal to noise in dB",
    "cosine": "cosine similarity",
}
HEADS = ("shape", "max |d|", "mean |d|", "relative", "SNR dB", "cosine", "flips")
MOST_NAMES = 8
_NAME = 26
_MORE = 7  # letters that A's name gets beyond half of that: it is the one that the rest speaks of
_LINE = 98


def comparison_text(found: Comparison) -> str:
    """Sides, notes, alignment, a row for each pair, and what differs first."""
    words = [f"A  {side_words(found.a)}", f"B  {side_words(found.b)}", *_fed(found)]
    words += [f"note: {printable(note, 500)}" for note in found.notes]
    lines = [line for each in (*words, "", alignment_words(found)) for line in _folded(each)]
    return "\n".join([*lines, "", _table(found), "", *_folded(verdict(found))])


def side_words(side: Side) -> str:
    """`deploy.prototxt + a.caffemodel (CaffeNet, caffe, 23 layers)`."""
    files = " + ".join(printable(file, 60) for file in side.files)
    what = f"{side.format}, {plural(side.layers, 'layer')}"
    name = printable(side.net, 60)
    return f"{files} ({name}, {what})" if files else f"{name} ({what})"


def _fed(found: Comparison) -> Iterator[str]:
    for entry in found.inputs[:MOST_NAMES]:
        (name_a, *how_a), (name_b, *how_b) = (
            each.split(": ", 1) for each in (entry.fed_a, entry.fed_b)
        )
        if entry.fed_a == entry.fed_b:
            yield f"input {entry.name}: {entry.fed_a}"
        elif how_a and how_a == how_b:
            yield f"input {entry.name}: {name_a} in A, {name_b} in B: {how_a[0]}"
        else:
            yield f"input {entry.name}"
            yield f"  A  {entry.fed_a}"
            yield f"  B  {entry.fed_b}"
    if len(found.inputs) > MOST_NAMES:
        yield f"and {plural(len(found.inputs) - MOST_NAMES, 'input')} more"


def alignment_words(found: Comparison) -> str:
    """`12 of 14 blobs aligned (10 by name, 2 by order); only in A: ...; only in B: ...`.

    What a quantizer put in between is many and says little: it is counted.
    """
    of_a, of_b = found.total
    noun = "blobs" if found.kind == "blobs" else "params"
    aligned_ = len(found.rows) + len(found.not_held)
    how = ", ".join(
        f"{count} by {way}"
        for way in ("name", "like name", "order", "folded norm", "map")
        if (count := sum(row.how == way for row in found.rows))
    )
    words = f"{aligned_} of {of_a} {noun} aligned"
    if of_a != of_b:
        words = f"{aligned_} {noun} aligned of {of_a} in A and {of_b} in B"
    words += f" ({how or 'none can be held'})"
    for side, names in (("A", found.only_a), ("B", found.only_b)):
        if names:
            words += f"; only in {side}: {_listed(names)}"
    for side, names in (("A", found.again_a), ("B", found.again_b)):
        if names:
            words += f"; other names in {side} of blobs above: {_listed(names)}"
    for side, names in (("A", found.coded_a), ("B", found.coded_b)):
        if names:
            words += f"; {len(names)} more in {side} only code or decode (quantizing)"
    for many, what in ((found.unlike, "not alike"), (found.not_held, "not held")):
        if many:
            words += f"; {what}: {_listed(many)}"
    return words


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name, 60) for name in names[:MOST_NAMES])
    rest = len(names) - MOST_NAMES
    return f"{shown} and {rest} more" if rest > 0 else shown


def verdict(found: Comparison) -> str:
    """What differs first, or that nothing does."""
    row = found.first
    noun = "blob" if found.kind == "blobs" else "param"
    if row is None and found.not_held and found.rows:
        apart = plural(len(found.not_held), f"aligned {noun}")
        return f"{apart} could not be held, the shapes differ: {_listed(found.not_held)}"
    if row is None:
        worst = found.worst
        if worst is None:
            return f"no {noun} could be held against another: not one has the same shape in both"
        if all(each.worst.equal for each in found.rows):
            return f"no difference: all {len(found.rows)} aligned {noun}s are equal"
        many = len(found.rows)
        within = f"the one aligned {noun} is" if many == 1 else f"all {many} aligned {noun}s are"
        return (
            f"{within} within the limit ({limit_words(found)});"
            f" the worst is {printable(worst.a, 60)}: {value_words(worst, found.by)}"
        )
    before = found.rows.index(row)
    layer = f"layer {printable(row.layer_a, 60)}, {printable(row.type_a, 40)}"
    words = f"first that differs: {printable(row.a, 60)} ({layer}):"
    words += f" {value_words(row, found.by)}; the limit is {limit_words(found)}"
    beyond = sum(each.beyond for each in found.rows)
    words += (
        f"; {beyond} of {plural(len(found.rows), noun)} {'is' if beyond == 1 else 'are'} beyond"
    )
    if before:
        words += f", the {before} before this {'is' if before == 1 else 'are'} within"
    return words


def limit_words(found: Comparison) -> str:
    """`snr 32 dB or more`, `relative 0.001 or less`."""
    more = "or more" if found.by in ("snr", "cosine") else "or less"
    unit = " dB" if found.by == "snr" else ""
    return f"{found.by} {found.threshold:g}{unit} {more}"


def value_words(row: Row, by: Measure) -> str:
    """A measure with its name, and where the largest difference is."""
    measures = row.worst
    if measures.apart:
        return f"NaN or infinite in one and not in the other at {plural(measures.apart, 'place')}"
    value = measures.value(by)
    if by == "snr":
        words = f"snr {decibels(value)}" + (" dB" if isfinite(value) else "")
    else:
        words = f"{by} {value:.6g}" if by == "cosine" else f"{by} {value:.3g}"
    if measures.absolute:
        place = tuple(int(i) for i in np.unravel_index(measures.place, row.shape_a or (1,)))
        words += f" (A {measures.at_a:.4g}, B {measures.at_b:.4g} at {place})"
    return words


def decibels(value: float) -> str:
    """`38.2`; equal arrays have no noise."""
    if isinf(value):
        return "equal" if value > 0 else "no signal"
    return f"{value:.1f}"


def cells(row: Row) -> tuple[str, ...]:
    """The words of one row below `HEADS`."""
    found = row.worst
    if found.apart and not found.absolute:  # 0 and "equal" would hide what is not finite
        return (times(row.shape_a), *["-"] * (len(HEADS) - 1))
    return (
        times(row.shape_a),
        f"{found.absolute:.3g}",
        f"{found.mean:.2g}",
        f"{found.relative:.3g}",
        decibels(found.snr),
        f"{found.cosine:.6f}" if found.cosine < 1 else "1",
        f"{100 * found.flips:.2g} %" if found.flips else "0",
    )


def signal_words(row: Row) -> str:
    """The signal to noise of a row with its unit; `-` where only what is not finite differs."""
    words = cells(row)[HEADS.index("SNR dB")]
    return f"{words} dB" if isfinite(row.worst.snr) else words


def row_name(row: Row, length: int = _NAME) -> str:
    """A's name, and B's where it is another; of a long one of A the end, which tells it apart."""
    if row.a == row.b:
        return printable(row.a, length)
    half = max(8, (length - 3) // 2)
    of_a = printable(row.a, 4000)
    if len(of_a) > half + _MORE:
        of_a = "…" + of_a[1 - half - _MORE :]
    return f"{of_a} = {printable(row.b, half)}"


def remarks(row: Row) -> str:
    """What a row needs beside its numbers: NaN, a transposed B."""
    found, words = row.worst, []
    if found.nan_a or found.nan_b:
        words.append(f"NaN: {found.nan_a:,} in A, {found.nan_b:,} in B")
    if found.infinite_a or found.infinite_b:
        words.append(f"infinite: {found.infinite_a:,} in A, {found.infinite_b:,} in B")
    if row.turned:
        words.append(row.turned)
    return "; ".join(words)


def _table(found: Comparison) -> str:
    """The rows; the first that differs has an arrow, the others beyond the limit a dot."""
    noun = "blob" if found.kind == "blobs" else "param"
    if not found.rows:
        return "  none"
    first = found.first
    rows: list[tuple[str, ...]] = [("", noun, *HEADS)]
    for row in found.rows:
        mark = ">" if row is first else ("·" if row.beyond else "")
        rows.append((mark, row_name(row), *cells(row)))
    lines = aligned(rows, right=range(3, len(rows[0])), indent="").split("\n")
    told = [lines[0]]
    for row, line in zip(found.rows, lines[1:], strict=True):
        told.append(line)
        if remarks(row):
            told.append(f"     {remarks(row)}")
    if len(found.inputs) > 1:
        told.append("")
        told.append(f"each row is the worst of {len(found.inputs)} inputs; --json has the means")
    return "\n".join(told)


def _folded(words: str) -> list[str]:
    """A long line as several, cut after a comma or a space."""
    lines, rest = [], words
    indent = " " * (len(words) - len(words.lstrip()) + 2)
    while len(rest) > _LINE:
        cut = rest.rfind(" ", 40, _LINE)
        cut = cut if cut > 0 else _LINE
        lines.append(rest[:cut])
        rest = indent + rest[cut:].lstrip()
    return [*lines, rest]


def comparison_html(found: Comparison) -> str:
    """The verdict and the table for a notebook."""
    head = "".join(
        f"<th>{word}</th>" for word in ("blob" if found.kind == "blobs" else "param", *HEADS)
    )
    body = "".join(_html_row(row, first=row is found.first) for row in found.rows)
    return (
        f"<div><strong>{escaped(verdict(found), 600)}</strong>"
        f"<p>A: {escaped(side_words(found.a), 300)}<br>B: {escaped(side_words(found.b), 300)}<br>"
        f"{escaped(alignment_words(found), 2000)}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _html_row(row: Row, *, first: bool) -> str:
    words = [row_name(row, 60), *cells(row)]
    mark = ' style="font-weight:bold"' if first else ""
    return f"<tr{mark}>" + "".join(f"<td>{escaped(word)}</td>" for word in words) + "</tr>"
