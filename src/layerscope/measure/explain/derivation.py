"""What a number of a net is made of, step by step, back to the bottoms of its layer."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layerscope.blobs import Blobs
from layerscope.errors import UsageError
from layerscope.measure.explain import (  # the rules enter themselves
    elementwise,
    moves,
    norms,
    products,
    quantization,
    reductions,
    resampling,
    windows,
)
from layerscope.measure.explain.registry import NoArithmeticError, Reading, Terms
from layerscope.measure.explain.step import Operand, Step, filled, largest
from layerscope.measure.explain.values import PLAIN_MOVES, Values
from layerscope.net import Layer, Net
from layerscope.text import printable, quoted
from layerscope.units import Unit, parse_unit

RULES = (elementwise, moves, norms, products, quantization, reductions, resampling, windows)
MOST_STEPS = 64
CONSTANT = "constant"
SMALLEST = float(np.finfo(np.float32).tiny)  # below it float32 has no full digits


@dataclass(frozen=True, eq=False)
class Derivation:
    """How one unit of a net was computed.

    Attributes:
        unit: which.
        layer: that writes it; None for an input.
        value: as the engine computed it, float32.
        recomputed: from the layer's bottoms in float64; None where there is no arithmetic to show.
        size: the sum of the absolute terms, at least the number itself: what a rounding error is
            to be measured by.  Behind a function of one number it is that of the sum below.
        steps: from the unit back to the bottoms; where a layer wrote in place over the blob of the
            layer before, the steps of that one follow.
        more: steps that are left out.
        reason: why there is no arithmetic, in one line; "" when there is.
        bottoms: name and shape of what the layer reads.
        statement: for an input, how it was fed.
        pixel: for an input that was fed from an image, the pixel it comes from (R, G, B or gray).
        strongest: the unit that it owes most to, as `parse_unit` reads it; None at an input.
    """

    unit: Unit
    layer: Layer | None
    value: float
    recomputed: float | None
    size: float
    steps: tuple[Step, ...]
    more: int
    reason: str
    bottoms: tuple[tuple[str, tuple[int, ...]], ...]
    statement: str
    pixel: tuple[int, ...]
    strongest: str | None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers whose steps these are, in the order in which they run."""
        found = {step.layer.name: step.layer for step in reversed(self.steps) if step.layer}
        return tuple(found.values()) or ((self.layer,) if self.layer else ())

    @property
    def difference(self) -> float | None:
        """Engine's number less ours; 0 where both are the same infinity, or both not a number."""
        if self.recomputed is None:
            return None
        if self.value == self.recomputed or (np.isnan(self.value) and np.isnan(self.recomputed)):
            return 0.0
        return self.value - self.recomputed

    @property
    def relative(self) -> float | None:
        """The absolute difference by `size`."""
        if self.difference is None or self.difference == 0:
            return self.difference
        return abs(self.difference) / max(self.size, SMALLEST)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain lists and dicts."""
        return {
            "unit": str(self.unit), "blob": self.unit.blob, "index": list(self.unit.index),
            "layer": self.layer.name if self.layer else None,
            "type": self.layer.type if self.layer else None,
            "value": self.value, "recomputed": self.recomputed, "difference": self.difference,
            "relative": self.relative, "size": self.size, "reason": self.reason,
            "bottoms": [{"blob": name, "shape": list(dims)} for name, dims in self.bottoms],
            "fed": self.statement, "pixel": list(self.pixel), "strongest": self.strongest,
            "steps": [step.as_json() for step in self.steps], "steps_left_out": self.more,
        }  # fmt: skip


class Explainer:
    """Explains units of one run; it remembers what it computed, so the next unit is quicker.

    Args:
        net: with weights, or one whose weights are filled as `net.run` fills them.
        blobs: a run of it.

    Raises:
        UsageError: the blobs are those of another net.
    """

    def __init__(self, net: Net, blobs: Blobs) -> None:
        self.net = _as_run(net, blobs)
        self.blobs = blobs
        foreign = [name for name in blobs if name not in net.blobs]
        if foreign:
            raise UsageError(
                f"blob {quoted(foreign[0])} of this run is not in net {quoted(net.name)};"
                " give the net that was run"
            )
        self.values = Values(self.net, blobs)
        self._layers = {i: layer for layer in self.net.layers for i in layer.nodes}
        self._names: dict[str, str] = {}
        for blob in self.net.blobs.values():
            plain = "@" not in blob.name
            if blob.value not in self._names or (plain and "@" in self._names[blob.value]):
                self._names[blob.value] = blob.name
        for layer in self.net.layers:
            self._names.update({param.name: param.name for param in layer.params})

    def unit(self, words: str, image: int = 0) -> Unit:
        """A unit from its text; see `parse_unit`."""
        return parse_unit(words, self.net, self.blobs, image)

    def explain(self, unit: Unit | str, image: int = 0) -> Derivation:
        """How a unit was computed.

        Args:
            unit: which, or its text.
            image: of the batch, for a text.

        Raises:
            UnknownNameError, UsageError: there is no such unit.
        """
        if isinstance(unit, str):
            unit = self.unit(unit, image)
        blob = self.net.blobs[unit.blob]
        value = float(np.asarray(self.blobs[unit.blob])[unit.index])
        layer = self._layer_of(blob.value) or self._writer(unit.blob)
        if blob.value not in self.values.producers:
            return self._given(unit, layer, value)
        self._check_bottoms(unit)
        try:
            steps, more = self._steps(blob.value, unit.index)
        except NoArithmeticError as missing:
            return self._generic(unit, layer, value, str(missing))
        strongest = self._strongest(steps, unit)
        first = steps[0]
        return Derivation(
            unit, layer, value, first.result, _size(steps), tuple(steps), more, "",
            self._bottoms(layer), "", (), strongest,
        )  # fmt: skip

    def follow(self, unit: Unit | str, depth: int, image: int = 0) -> list[Derivation]:
        """The explanation of a unit, then of that which it owes most to, and so on to an input.

        Args:
            unit: where to begin.
            depth: how many explanations at most.
            image: of the batch, for a text.
        """
        found = [self.explain(unit, image)]
        while len(found) < depth and found[-1].strongest is not None:
            found.append(self.explain(found[-1].strongest, found[-1].unit.image))
        return found

    def name(self, value: str) -> str:
        """What people call an ONNX value: its blob, or the param's or inner value's own name."""
        if value in self._names:
            return self._names[value]
        array = self.net.graph.tensors.get(value)
        return CONSTANT if array is not None and array.size == 1 else value

    def _layer_of(self, value: str) -> Layer | None:
        found = self.values.producers.get(value)
        return self._layers.get(found[0]) if found else None

    def _writer(self, name: str) -> Layer | None:
        wanted = self.net.blobs[name].layer
        return next((each for each in self.net.layers if each.name == wanted), None)

    def _bottoms(self, layer: Layer | None) -> tuple[tuple[str, tuple[int, ...]], ...]:
        names = layer.bottoms if layer else ()
        return tuple((name, np.shape(self.blobs[name])) for name in names if name in self.blobs)

    def _check_bottoms(self, unit: Unit) -> None:
        layer = self._layer_of(self.net.blobs[unit.blob].value)
        for name in layer.bottoms if layer else ():
            if self.net.blobs[name].value not in self.values.kept:
                raise UsageError(
                    f"unit {quoted(unit)} is made from blob {quoted(name)}, which this run did not"
                    " keep; run the net with all blobs"
                )

    def _given(self, unit: Unit, layer: Layer | None, value: float) -> Derivation:
        """An input, or a blob that is a stored array."""
        fed = self.blobs.fed.get(self.net.blobs[unit.blob].value)
        pixel: tuple[int, ...] = ()
        if fed is not None and len(unit.index) == 4 and unit.index[0] < len(fed.pictures):
            picture = fed.pictures[unit.index[0]]
            rows = 1 if self.net.preprocessing.layout == "NHWC" else 2
            if picture.shape[:2] == fed.array.shape[rows : rows + 2]:
                y, x = unit.index[rows : rows + 2]
                pixel = tuple(int(v) for v in np.ravel(picture[y, x]))
        statement = fed.statement if fed is not None else "a stored array: nothing is computed"
        return Derivation(
            unit, layer, value, value, abs(value), (), 0, "", (), statement, pixel, None
        )

    def _generic(self, unit: Unit, layer: Layer | None, value: float, op: str) -> Derivation:
        """The honest answer where there is no closed arithmetic."""
        reason = f"{printable(op, 60)} has no closed arithmetic here; its inputs are listed"
        return Derivation(
            unit, layer, value, None, abs(value), (), 0, reason, self._bottoms(layer), "", (), None
        )

    def _steps(self, value: str, index: tuple[int, ...]) -> tuple[list[Step], int]:
        """Breadth first from a unit to what the run kept; through blobs that were written over."""
        steps: list[Step] = []
        base = self.net.blobs[self.name(value)].base
        waiting, seen = deque([(value, index)]), {(value, index)}
        while waiting and len(steps) < MOST_STEPS:
            step = self._step(*waiting.popleft())
            steps.append(step)
            for terms in step.terms:
                then = self._next(terms, step, base)
                if then and then not in seen:
                    seen.add(then)
                    waiting.append(then)
        return steps, len(waiting)

    def _next(self, terms: Terms, step: Step, base: str) -> tuple[str, tuple[int, ...]] | None:
        """Where the steps go on from an input of a step: to its operand that counts most."""
        if terms.source not in self.values.producers:
            return None
        below = self.net.blobs.get(self.name(terms.source))
        in_place = below is not None and below.replaced and below.base == base
        if terms.source in self.values.kept and not (in_place and terms.leads):
            return None
        operands = step.operands_of(terms.role)
        return (terms.source, operands[0].index) if operands else None

    def _step(self, value: str, index: tuple[int, ...]) -> Step:
        reading = self.values.reading(value, tuple(np.asarray([i]) for i in index))
        reading = replace(reading, terms=tuple(map(self._behind_moves, reading.terms)))
        node = self.values.node(value)
        layer = self._layer_of(value)
        operands: list[Operand] = []
        counts: dict[str, int] = {}
        outside = 0
        for terms in reading.terms:
            weight = self.name(terms.weight[0]) if terms.weight else ""
            operands += largest(terms, reading.kind, self.name(terms.source), weight)
            cells = terms.values[0].size
            there = cells if terms.inside is None else int(terms.inside[0].sum())
            counts[terms.role] = there
            outside += cells - there
        formula, numbers = filled(reading, tuple(operands))
        result = float(reading.result[0])
        size = abs(result) if reading.size is None else float(np.ravel(reading.size)[0])
        return Step(
            layer=layer, op=node.proto.op_type, kind=reading.kind,
            target=self.name(value), index=index, formula=formula, numbers=numbers,
            operands=tuple(operands), counts=counts, outside=outside,
            result=result, size=max(size, abs(result)),
            engine=self._kept(value, index), terms=reading.terms,
            strongest=self._leading(reading, operands),
            colors=self._colors(reading.terms[0].source) if reading.terms else (),
        )  # fmt: skip

    def _colors(self, source: str) -> tuple[str, ...]:
        """What the channels of an input are called that was fed from a colour image."""
        fed = self.blobs.fed.get(source)
        if fed is None or not fed.pictures or fed.array.shape[1] != 3:
            return ()
        names = ("red", "green", "blue")
        return names[::-1] if self.net.preprocessing.channels == "BGR" else names

    def _behind_moves(self, terms: Terms) -> Terms:
        """The same terms as units of what a reshape or the like within the layer reads.

        A weight is so named as its param, in codes too, though a product reads it turned.
        """
        if terms.weight:
            weight = self.values.through_moves(*terms.weight, (*PLAIN_MOVES, "DequantizeLinear"))
            terms = replace(terms, weight=weight)
        if terms.inside is not None or not terms.index:
            return terms
        source, index = self.values.through_moves(terms.source, terms.index)
        return terms if source == terms.source else replace(terms, source=source, index=index)

    def _kept(self, value: str, index: tuple[int, ...]) -> float | None:
        kept = self.values.kept.get(value)
        return None if kept is None else float(kept[index])

    def _leading(
        self, reading: Reading, operands: list[Operand]
    ) -> tuple[str, tuple[int, ...]] | None:
        """The operand that counts most among those that come from the image."""
        best: tuple[float, str, tuple[int, ...]] | None = None
        for terms in reading.terms:
            if not terms.leads or terms.source in self.net.graph.tensors:
                continue
            mine = [each for each in operands if each.role == terms.role]
            if mine and (best is None or abs(mine[0].part) > best[0]):
                best = (abs(mine[0].part), terms.source, mine[0].index)
        return None if best is None else best[1:]

    def _strongest(self, steps: list[Step], unit: Unit) -> str | None:
        """Along the strongest shares to a blob that another layer wrote."""
        found = {(step.target, step.index): step for step in steps}
        step: Step | None = steps[0]
        while step is not None and step.strongest is not None:
            value, index = step.strongest
            name = self.name(value)
            step = found.get((name, index))
            if step is None and name in self.net.blobs:
                return str(Unit(name, index, unit.image))
        return None


def _as_run(net: Net, blobs: Blobs) -> Net:
    """The net with the weights of the run; at its shapes, where the graph depends on them.

    Labels that were not fed are left out, and with them the losses, as `net.run` does.
    """
    unfed = [name for name in net.optional if blobs.fed and name not in blobs.fed]
    net = net.without(*unfed) if unfed else net
    if not net.graph.free_batch:
        fed = {name: blobs.fed[name].array.shape for name in net.inputs if name in blobs.fed}
        if any(dims != net.graph.shapes[name] for name, dims in fed.items()):
            net = net.reshaped(**fed)
    return net.filled() if net.missing else net


def _size(steps: list[Step]) -> float:
    """The size of the first step, or of the sum that functions of one number stand upon."""
    size, factor = steps[0].size, 1.0
    by_target = {(step.target, step.index): step for step in steps}
    step = steps[0]
    while step.kind in ("function", "copy"):
        operands = [o for o in step.operands if (o.source, o.index) in by_target]
        if len(operands) != 1 or by_target[operands[0].source, operands[0].index] is step:
            break
        below = by_target[operands[0].source, operands[0].index]
        factor *= max(1.0, abs(step.result / below.result)) if below.result else 1.0
        size = max(size, factor * below.size)
        step = below
    return size


def explain(net: Net, blobs: Blobs, unit: Unit | str, *, image: int = 0) -> Derivation:
    """How one unit of a run was computed; for many units make one `Explainer`.

    Args:
        net: the net.
        blobs: a run of it, with all blobs.
        unit: `conv1:12,30,17`, `fc6:100`, `prob:top1` ...
        image: of the batch.

    Raises:
        UnknownNameError, UsageError: there is no such unit, or the run did not keep what it is
            made from.
    """
    return Explainer(net, blobs).explain(unit, image)
