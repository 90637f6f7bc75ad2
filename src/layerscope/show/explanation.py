"""An explanation as text, and the object that a notebook shows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.blobs import Blobs
from layerscope.measure.explain import Derivation, Explainer, Operand, Step, Unit, Window
from layerscope.measure.explain.derivation import CONSTANT
from layerscope.measure.top import probability_blob, score_blob
from layerscope.net import Layer, Net
from layerscope.show.sight import sight_of
from layerscope.text import number, plural, printable, times, wrapped_line

if TYPE_CHECKING:
    from layerscope.pictures import Plot

WIDTH = 100
PLANES, OPERANDS, STEPS = 3, 8, 12
_BESIDE = 5  # up to so many columns the patch, the kernel and the product stand side by side
_BLOCKS = ("patch", "kernel", "product")


def derivation_text(found: Derivation, field: str = "", label: str = "") -> str:
    """An explanation in aligned lines of at most 100 columns.

    Args:
        found: what to say.
        field: what the unit sees of the input, in words.
        label: the class that the unit stands for.
    """
    lines = [*_head(found, field, label)]
    for position, step in enumerate(found.steps[:STEPS]):
        lines += ["", *_step_lines(position + 1, step)]
    total = len(found.steps) + found.more
    if total > STEPS:
        least = "at least " if found.more else ""
        lines += ["", f"{STEPS} of {least}{total} steps shown; all of them: as JSON"]
    lines += ["", *_verdict(found)]
    return "\n".join(wrapped_line(line, WIDTH) for line in lines)


def _head(found: Derivation, field: str, label: str) -> Iterator[str]:
    named = f"  ({label})" if label else ""
    yield f"{unit_label(found)} = {number(found.value, 7)}{named}"
    if found.layers:
        yield f"  {', then '.join(map(layer_label, found.layers))}"
    if field:
        yield f"  {field}"
    if found.statement:
        yield f"  fed from {found.statement}" if found.pixel else f"  {found.statement}"
    if found.pixel:
        yield f"  {pixel_words(found)}"


def _verdict(found: Derivation) -> Iterator[str]:
    if found.reason:
        yield found.reason
        for name, dims in found.bottoms:
            yield f"  {printable(name, 40)} {times(dims)}"
        return
    if not found.steps or found.recomputed is None or found.difference is None:
        return
    yield f"engine (float32)      {number(found.value, 9)}"
    yield f"recomputed (float64)  {number(found.recomputed, 9)}"
    yield (
        f"difference            {number(found.difference, 3)}, that is"
        f" {number(found.relative or 0.0, 2)} of the sum of absolute terms {number(found.size, 4)}"
    )
    if found.strongest:
        yield f"owes most to          {printable(found.strongest)}"


def pixel_words(found: Derivation) -> str:
    """The pixel that a number of an input comes from."""
    kind = "gray" if len(found.pixel) == 1 else "red, green, blue"
    return f"pixel ({kind}): {', '.join(map(str, found.pixel))}"


def unit_label(found: Derivation) -> str:
    """The unit, and the image of the batch where it is not the first."""
    image = f" (image {found.unit.image})" if found.unit.image else ""
    return f"{printable(found.unit)}{image}"


def layer_label(layer: Layer) -> str:
    """A layer with its type and settings."""
    summary = f", {layer.summary}" if layer.summary else ""
    return f"{printable(layer.name, 40)} ({printable(layer.type)}{summary})"


def step_label(step: Step) -> str:
    """Whose step it is, and what it makes."""
    name = f"{printable(step.layer.name, 40)} " if step.layer else ""
    return f"{name}({step.op}): {place(step.target, step.index)}"


def place(name: str, index: Sequence[int]) -> str:
    """A unit of a blob or a param as text."""
    if not index:
        return printable(name, 40)
    return f"{printable(name, 40)}[{', '.join(map(str, index))}]"


def _step_lines(position: int, step: Step) -> Iterator[str]:
    yield f"{position}  {step_label(step)}"
    yield f"   = {equation(step, 7)}"
    if position > 1 and step.engine is not None:
        difference = number(step.engine - step.result, 2)
        yield f"   the engine has {number(step.engine, 7)}, difference {difference}"
    if step.window is not None:
        yield from window_lines(step, step.window)
        return
    for role in dict.fromkeys(operand.role for operand in step.operands):
        yield from _role_lines(step, role)


def equation(step: Step, digits: int) -> str:
    """The formula and its result, which is not said twice."""
    result = number(step.result, digits)
    if step.formula == number(step.result):
        return result
    done = step.formula.endswith(f" {number(step.result)}") and number(step.result) == result
    return step.formula if done else f"{step.formula} = {result}"


def _role_lines(step: Step, role: str) -> Iterator[str]:
    operands, count = step.operands_of(role), step.counts[role]
    if count == 1 and len(operands) == 1 and operands[0].source == CONSTANT:
        return
    if count == 1 and len(operands) == 1:
        verb = "taken from" if step.kind == "copy" and role == "x" else f"{role} is"
        yield f"   {verb} {place(operands[0].source, operands[0].index)}"
        return
    yield f"   {role_heading(step, role, OPERANDS)}"
    yield from _rows(step, operands[:OPERANDS])


def role_heading(step: Step, role: str, most: int) -> str:
    """How many of an input's numbers are shown, and in which order."""
    shown = min(len(step.operands_of(role)), most)
    what, _, extra = _noun(step).partition(" with ")
    extra = f" with {extra}" if extra else ""
    return f"{shown} of {step.counts[role]:,} {what} shown{extra}, {_order(step)}"


def _noun(step: Step) -> str:
    if step.kind == "softmax":
        return "numbers with their exp"
    if step.kind == "norm":
        return f"{'channels' if step.op == 'LRN' else 'numbers'} with their squares"
    return "products" if step.operands[0].weight_source else "numbers"


def _order(step: Step) -> str:
    if step.kind in ("largest", "smallest"):
        return f"{step.kind} first"
    return "largest first"


def _rows(step: Step, operands: Sequence[Operand]) -> Iterator[str]:
    weighed = any(operand.weight is not None for operand in step.operands)
    named = [place(o.source, o.index) for o in operands]
    wide = max(map(len, named), default=0)
    for words, operand in zip(named, operands, strict=True):
        line = f"   {words:{wide}}  {number(operand.value):>11}"
        if operand.weight is not None and weighed:
            learned = place(operand.weight_source, operand.weight_index)
            learned = f"  {learned}" if operand.weight_source else ""
            line += f"  x {number(operand.weight):>11}  = {number(operand.part):>11}{learned}"
        elif operand.part != operand.value:
            what = "square" if step.kind == "norm" else "exp" if step.kind == "softmax" else "part"
            line += f"  {what} {number(operand.part):>11}"
        yield line


def window_lines(step: Step, window: Window) -> Iterator[str]:
    """The planes of a window as small matrices, those that add most first."""
    shown = window.order[:PLANES]
    total = len(window.values)
    source = printable(step.operands[0].source if step.operands else step.terms[0].source, 40)
    rows, columns = spans(window)
    if not rows:
        yield f"   reads nothing of {source}: {outside_words(step)}"
        return
    outside = f"; {outside_words(step)} (.)" if step.outside else ""
    yield f"   reads rows {rows}, columns {columns} of {source}{outside}"
    if window.weights is None:
        yield from _matrices(window, int(shown[0]), ("patch",))
        if window.winner is not None:
            _, row, column = window.winner
            at = f"row {window.rows[row]}, column {window.columns[column]}"
            yield f"   the winner, in brackets, is at {at}"
        return
    if total > 1:
        yield f"   {len(shown)} of {total} channels shown, largest sums first"
    many = len(window.columns) <= _BESIDE
    for plane in shown.tolist():
        yield f"   {window.labels[plane]} adds {number(float(window.sums[plane]))}"
        lines = list(_matrices(window, plane, _BLOCKS)) if many else []
        if not lines or max(map(len, lines)) > WIDTH:
            lines = list(_matrices(window, plane, ("product",)))
        if max(map(len, lines)) <= WIDTH:
            yield from lines
    yield f"   largest products ({min(OPERANDS, len(step.operands))} of {step.counts['x']:,} shown)"
    yield from _rows(step, step.operands[:OPERANDS])


def spans(window: Window) -> tuple[str, str]:
    """The rows and the columns that are read; in a deconvolution those that are there, if any."""
    if not window.inside.any():
        return "", ""
    found = []
    for places, others in ((window.rows, (0, 2)), (window.columns, (0, 1))):
        backward = len(places) > 1 and places[0] >= places[-1]
        seen = places[window.inside.any(axis=others)] if backward else places
        low, high = (int(seen.min()), int(seen.max())) if seen.size else (0, 0)
        found.append(f"{low}..{high}" if high > low else f"{low}")
    return found[0], found[1]


def outside_words(step: Step) -> str:
    """What the cells are that are not there."""
    cells = plural(step.outside, "cell")
    return f"{cells} left empty by the stride" if step.op == "ConvTranspose" else f"{cells} outside"


def _matrices(window: Window, plane: int, which: Sequence[str]) -> Iterator[str]:
    """Matrices side by side with a line of names above; as narrow as their numbers allow."""
    arrays = {"patch": window.values, "kernel": window.weights, "product": window.parts}
    found = [arrays[name] for name in which]
    inside = window.inside[plane]
    blocks = []
    for name, array in zip(which, found, strict=True):
        assert array is not None
        shown = np.ones_like(inside) if name == "kernel" else inside
        unit = 1.0
        if len(window.columns) > _BESIDE:
            unit = _unit(array)
            name = f"{name}, in units of {number(unit)}" if unit != 1 else name
        cells = _cells(array[plane] / unit, shown, whole=len(window.columns) > _BESIDE)
        if window.winner is not None and window.winner[0] == plane and name.startswith("patch"):
            _, row, column = window.winner
            cells[row][column] = f"[{cells[row][column]}]"
        titled = len(which) > 1 or "units" in name
        blocks.append(_block(name, cells, titled=titled))
    for parts in zip(*blocks, strict=True):
        yield "   " + "   ".join(parts).rstrip()


def _unit(numbers: Any) -> float:
    """The power of ten in which the largest number has three digits before the point."""
    finite = np.abs(numbers[np.isfinite(numbers)])
    most = float(finite.max(initial=0))
    return float(10.0 ** (math.floor(math.log10(most)) - 2)) if most > 0 else 1.0


def _cells(array: Any, shown: Any, *, whole: bool) -> list[list[str]]:
    """The numbers of a plane as text; a dot for a cell that is not there."""
    return [
        [_cell(float(v), whole=whole) if there else "." for v, there in zip(row, line, strict=True)]
        for row, line in zip(array, shown, strict=True)
    ]


def _cell(value: float, *, whole: bool) -> str:
    return str(round(value)) if whole and math.isfinite(value) else number(value, 4)


def _block(name: str, cells: list[list[str]], *, titled: bool) -> list[str]:
    wide = max(len(cell) for row in cells for cell in row)
    rows = [" ".join(f"{cell:>{wide}}" for cell in row) for row in cells]
    width = max(len(rows[0]), len(name))
    rows = [f"{row:{width}}" for row in rows]
    return [f"{name:{width}}", *rows] if titled else rows


class Explanation:
    """Why a unit of a net has its value; prints as text, and shows itself as a picture.

    Attributes:
        chain: the explanation of the unit first, then those along the strongest contribution.
    """

    def __init__(self, explainer: Explainer, chain: Sequence[Derivation]) -> None:
        self._explainer = explainer
        self.chain = tuple(chain)

    @property
    def unit(self) -> Unit:
        """The unit that is explained."""
        return self.chain[0].unit

    @property
    def value(self) -> float:
        """Its value, as the engine computed it."""
        return self.chain[0].value

    @property
    def recomputed(self) -> float | None:
        """Its value in float64, from the layer's bottoms; None where there is no arithmetic."""
        return self.chain[0].recomputed

    @property
    def difference(self) -> float | None:
        """The engine's value less the recomputed one."""
        return self.chain[0].difference

    @property
    def steps(self) -> tuple[Step, ...]:
        """From the unit back to the bottoms of its layer."""
        return self.chain[0].steps

    @property
    def strongest(self) -> str | None:
        """The unit that it owes most to; None at an input."""
        return self.chain[0].strongest

    def _label(self, found: Derivation, labels: Sequence[str] | None) -> str:
        """The name of the class that a unit stands for; "" where it is no class."""
        net, unit = self._explainer.net, found.unit
        classes = net.blobs[unit.blob].shape[1:2]
        of_classes = unit.blob == (probability_blob(net) or score_blob(net))
        if not of_classes or labels is None or classes != (len(labels),):
            return ""
        return printable(labels[unit.index[1]])

    def picture(self, position: int = 0) -> Plot:
        """The arithmetic as a picture for a slide; `position` is the place in the chain."""
        from layerscope.show.explanation_picture import explanation_picture

        return explanation_picture(self._explainer, self.chain[position])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as .png, .svg or .pdf, as the name asks for.

        Raises:
            UsageError: another suffix, or `path` is a folder.
            SystemFaultError: the system refused; an existing file is untouched.
        """
        self.picture().save(path)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain lists and dicts; `back` has the rest of the chain."""
        first, *rest = [self._one(each) for each in self.chain]
        return {**first, "back": rest}

    def _one(self, found: Derivation) -> dict[str, Any]:
        return {**found.as_json(), "sees": sight_of(self._explainer, found).as_json()}

    def text(self, labels: Sequence[str] | None = None) -> str:
        """The whole chain in lines of at most 100 columns; `labels` are the names of classes."""
        parts = []
        for found in self.chain:
            words = sight_of(self._explainer, found).words
            parts.append(derivation_text(found, words, self._label(found, labels)))
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<explanation of {printable(self.unit)} = {number(self.value, 7)}>"

    def _repr_png_(self) -> bytes:
        return self.picture().png()


def explain(
    net: Net, inputs: Any, unit: str | Unit, *, image: int = 0, depth: int = 1
) -> Explanation:
    """Why a unit of a net has its value: the numbers and the arithmetic that made it.

    Args:
        net: the net.
        inputs: an image or arrays, as for `net.run`, or the `Blobs` of a run.
        unit: `conv1:12,30,17` (blob: channel, y, x), `fc6:100`, `prob:281`, `prob:top1` ...
        image: which image of the batch.
        depth: how many steps to go back along the strongest contribution, to the pixels at most.

    Raises:
        UnknownNameError: there is no such blob.
        UsageError: there is no such unit, or the run did not keep what it is made from.
        UnsupportedError: the unit is of a layer that cannot be computed.
    """
    from layerscope.engine import run  # the runtime is loaded when it is needed

    blobs = inputs if isinstance(inputs, Blobs) else run(net, inputs, partly=True)
    explainer = Explainer(net, blobs)
    return Explanation(explainer, explainer.follow(unit, max(1, depth), image))
