"""One step of an explanation: what a rule found, in numbers that are ready to be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.explain.registry import Floats, Kind, Reading, Terms
from layerscope.net import Layer
from layerscope.text import number

MOST_OPERANDS = 32


@dataclass(frozen=True, slots=True)
class Operand:
    """One number that takes part.

    Attributes:
        role: what the formula calls it.
        source: what it is read from: a blob, a param, or a value inside of the layer.
        index: where.
        value: the number.
        weight: what it is multiplied by; None where nothing is.
        weight_source, weight_index: where the weight is learned; "" and () otherwise.
        part: what it adds to the result.
    """

    role: str
    source: str
    index: tuple[int, ...]
    value: float
    weight: float | None
    weight_source: str
    weight_index: tuple[int, ...]
    part: float


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The cells of a convolution or a pooling, as planes (P, height, width), in their order.

    Attributes:
        values: the patch; 0 where not `inside`.
        weights: the kernel, or None for a pooling.
        parts: their product, or what each cell adds.
        inside: False for padding, and for the gaps of a deconvolution.
        channels: the channel of the source that each plane is of.
        labels: "channel 5", with the place on further axes.
        rows, columns: where the cells lie on the source's last two axes; below 0 in the padding.
        winner: the cell that was taken, (plane, row, column), or None.
    """

    values: Floats
    weights: Floats | None
    parts: Floats
    inside: NDArray[np.bool_]
    channels: NDArray[np.int64]
    labels: tuple[str, ...]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    winner: tuple[int, int, int] | None

    @property
    def sums(self) -> Floats:
        """What each plane adds to the result."""
        summed: Floats = self.parts.sum(axis=(1, 2))
        return summed

    @property
    def order(self) -> NDArray[np.int64]:
        """The planes, that with the largest absolute sum first."""
        return np.argsort(-np.abs(np.nan_to_num(self.sums)), kind="stable")


@dataclass(frozen=True, eq=False)
class Step:
    """How one number is made from numbers before it.

    Attributes:
        layer: whose step.
        op: the ONNX op.
        kind: see `Kind`.
        target, index: what is made: a blob or a value inside of the layer, and where.
        formula: in plain text, with the numbers put in; without the result.
        numbers: the other numbers of the formula, by name.
        operands: those that add most, at most 32 of each input, largest first.
        counts: role to how many numbers there are in all.
        outside: how many cells lie in the padding.
        result: recomputed in float64.
        size: the sum of the absolute terms.
        engine: what the engine computed; None for a value that it did not keep.
        terms: all that was read.
        colors: what the channels of the source are, where it is an image.
    """

    layer: Layer | None
    op: str
    kind: Kind
    target: str
    index: tuple[int, ...]
    formula: str
    numbers: dict[str, float]
    operands: tuple[Operand, ...]
    counts: dict[str, int]
    outside: int
    result: float
    size: float
    engine: float | None
    terms: tuple[Terms, ...]
    strongest: tuple[str, tuple[int, ...]] | None
    """The ONNX value and index that leads back to the image along the largest share."""
    colors: tuple[str, ...] = ()

    @cached_property
    def window(self) -> Window | None:
        """The cells, for a convolution or a pooling; None where a plane has just one."""
        if not self.terms or self.terms[0].inside is None or self.kind == "norm":
            return None
        if self.op not in ("Conv", "ConvTranspose") and not self.op.endswith("Pool"):
            return None
        found = _window(self)
        return found if found.values[0].size > 1 else None

    def operands_of(self, role: str) -> tuple[Operand, ...]:
        """The operands that the formula calls so."""
        return tuple(each for each in self.operands if each.role == role)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain lists and dicts."""
        return {
            "layer": self.layer.name if self.layer else None,
            "type": self.layer.type if self.layer else None, "op": self.op, "kind": self.kind,
            "target": self.target, "index": list(self.index), "formula": self.formula,
            "numbers": self.numbers, "result": self.result, "engine": self.engine,
            "size": self.size, "outside": self.outside, "counts": self.counts,
            "operands": [each for terms in self.terms for each in _rows(terms, self)],
        }  # fmt: skip


def _rows(terms: Terms, step: Step) -> Iterator[dict[str, Any]]:
    """All operands of one input, in their own order."""
    names = {o.source for o in step.operands if o.role == terms.role}
    source = next(iter(names), terms.source)
    positions = np.flatnonzero(_inside(terms))
    for operand in _picked(terms, positions, source, terms.weight[0] if terms.weight else ""):
        yield {
            "role": operand.role, "source": operand.source, "index": list(operand.index),
            "value": operand.value, "weight": operand.weight,
            "weight_source": operand.weight_source, "weight_index": list(operand.weight_index),
            "part": operand.part,
        }  # fmt: skip


def largest(terms: Terms, kind: Kind, source: str, weight: str) -> list[Operand]:
    """The operands of one input that add most, largest first."""
    inside = np.flatnonzero(_inside(terms))
    shares = np.broadcast_to(terms.shares, terms.values.shape)[0].reshape(-1)[inside]
    key = -np.abs(shares)
    if terms.leads and kind in ("largest", "smallest"):
        key = -shares if kind == "largest" else shares
    key = np.nan_to_num(key, nan=-np.inf)
    if key.size > 4 * MOST_OPERANDS:
        few = np.argpartition(key, MOST_OPERANDS)[:MOST_OPERANDS]
        few.sort()
        inside, key = inside[few], key[few]
    order = np.argsort(key, kind="stable")[:MOST_OPERANDS]
    return _picked(terms, inside[order], source, weight)


def _inside(terms: Terms) -> NDArray[np.bool_]:
    if terms.inside is None:
        return np.ones(terms.values[0].size, np.bool_)
    return np.ravel(np.broadcast_to(terms.inside, terms.values.shape)[0])


def _picked(terms: Terms, positions: NDArray[np.int64], source: str, weight: str) -> list[Operand]:
    """The operands at some positions of the flattened window."""
    form = terms.values.shape
    cells = np.unravel_index(positions, form[1:]) if len(form) > 1 else (positions * 0,)[:0]

    def picked(array: NDArray[Any]) -> list[Any]:
        one = np.broadcast_to(array, form)[0]
        return one[cells].tolist() if cells else [one.item()] * len(positions)

    index = [picked(each) for each in terms.index]
    values, parts = picked(terms.values), picked(terms.shares)
    weights = picked(terms.weights) if terms.weights is not None else [None] * len(positions)
    learned = [picked(each) for each in terms.weight[1]] if terms.weight else []
    return [
        Operand(
            terms.role, source, tuple(axis[i] for axis in index), values[i], weights[i],
            weight, tuple(axis[i] for axis in learned), parts[i],
        )
        for i in range(len(positions))
    ]  # fmt: skip


def filled(reading: Reading, operands: tuple[Operand, ...]) -> tuple[str, dict[str, float]]:
    """The formula with its numbers, and the numbers by name."""
    numbers = {name: float(np.ravel(value)[0]) for name, value in reading.numbers.items()}
    counts = {
        name for name, value in reading.numbers.items() if np.asarray(value).dtype.kind == "i"
    }
    found = {role.role: role.value for role in reversed(operands)}
    words = {
        name: f"{int(value):,}"
        if name in counts
        else number(value, 8 if 0 < abs(value - 1) < 1e-3 else 5)  # 1.000011 is not 1
        for name, value in {**found, **numbers}.items()
    }
    return reading.formula.format_map(words).replace("+ -", "- ").replace("- -", "+ "), numbers


def _window(step: Step) -> Window:
    terms = step.terms[0]
    assert terms.inside is not None
    form = terms.values.shape[1:]
    space = form[1:] if step.op.startswith("Conv") else form
    height, width = (1, 1, *space)[-2:]

    def planes(array: NDArray[Any]) -> NDArray[Any]:
        whole: NDArray[Any] = np.broadcast_to(array, terms.values.shape)[0]
        return whole.reshape(-1, height, width)

    index = [planes(each) for each in terms.index]
    channels = index[1][:, 0, 0]
    deep = [each[:, 0, 0] for each in index[2:-2]]
    labels = []
    for i, channel in enumerate(channels.tolist()):
        color = f" ({step.colors[channel]})" if step.colors else ""
        labels.append(f"channel {channel}{color}" + "".join(f", z {each[i]}" for each in deep))
    columns = index[-1][0, 0]
    rows = index[-2][0, :, 0] if len(space) > 1 else np.zeros(1, np.int64)
    inside = planes(terms.inside)
    winner = None
    if step.kind == "largest" and inside.any():
        cells = np.where(inside, planes(terms.values), -np.inf)
        place = np.unravel_index(int(cells.argmax()), cells.shape)
        winner = (int(place[0]), int(place[1]), int(place[2]))
    weights = None if terms.weights is None or terms.weight is None else planes(terms.weights)
    return Window(
        planes(terms.values), weights, planes(terms.shares), inside, channels, tuple(labels),
        rows, columns, winner,
    )  # fmt: skip
