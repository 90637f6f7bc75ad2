"""The two tables of the classic walk through a net: activation shapes and param shapes, as data.

With what each costs, and how much of the image a unit sees.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from layerscope.measure.cost import Cost, layer_costs
from layerscope.measure.receptive import Extent, Receptive, receptive_fields
from layerscope.net import Net
from layerscope.text import printable


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """One blob.

    Attributes:
        blob, shape: its name and its shape at the batch size of the file.
        layer, type: the layer that writes it last.
        bytes: of its numbers.
        before: the names of the values that were written over in place, oldest first.
        types: the types of all layers that write it, the first one first.
        field: how much of the first image-like input a unit sees.
    """

    blob: str
    shape: tuple[int, ...]
    layer: str
    type: str
    bytes: int
    before: tuple[str, ...]
    types: tuple[str, ...]
    field: Receptive


@dataclass(frozen=True, slots=True)
class ParamRow:
    """One layer with params.

    Attributes:
        layer, type: of the layer.
        shapes: of its params.
        weights, bytes: of all its params, be they its own or those of another layer.
        multiply_adds: at the batch size of the file.
        loaded: whether there are numbers for all of them.
        shared_with: for each param the one whose numbers it uses, or "".  The totals count these
            numbers once, in the layer that has them first.
    """

    layer: str
    type: str
    shapes: tuple[tuple[int, ...], ...]
    weights: int
    bytes: int
    multiply_adds: int
    loaded: bool
    shared_with: tuple[str, ...]

    @property
    def sharing(self) -> str:
        """What it shares, in words; nothing where all params are its own."""
        others = [other for other in self.shared_with if other]
        part = "" if len(others) == len(self.shared_with) else "in part "
        names = ", ".join(printable(other) for other in dict.fromkeys(others))
        return f"{part}shared with {names}" if others else ""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer, whether it has params or not.

    Attributes:
        layer, type, bottoms, tops: as in the net.
        multiply_adds, weights, activation_bytes: as in `layerscope.measure.cost.Cost`.
    """

    layer: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    multiply_adds: int
    weights: int
    activation_bytes: int


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One layer that cannot be computed, and why."""

    layer: str
    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tables:
    """Both tables, with their totals at the batch size of the file.

    Attributes:
        net, format: the net's name, and the format of its file.
        activations, params: the rows.
        layers: the cost of every layer.
        totals: the sums; weights that layers share count once.
        not_computed: the layers that cannot be computed, and why.
        notes: those of the net.
        batch: the first axis of the first input; None if it has none.
    """

    net: str
    format: str
    activations: tuple[ActivationRow, ...]
    params: tuple[ParamRow, ...]
    totals: Cost
    not_computed: tuple[ReasonRow, ...]
    notes: tuple[str, ...]
    batch: int | None
    layers: tuple[LayerRow, ...] = ()

    @property
    def for_batch(self) -> str:
        """What the costs are for, in words; nothing when it is one image."""
        return "" if self.batch in (None, 1) else f" for a batch of {self.batch:,}"

    def as_json(self) -> dict[str, Any]:
        """Plain lists and dicts; a stride below 1 is a decimal fraction."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(each) for each in content]
    if isinstance(content, Fraction):
        return int(content) if content.denominator == 1 else float(content)
    return content


def tables(net: Net) -> Tables:
    """Both tables of a net; weights are not needed."""
    costs = layer_costs(net)
    fields = receptive_fields(net)
    types = {top: layer.type for layer in net.layers for top in layer.tops}
    before: dict[str, list[str]] = {}
    for name, blob in net.blobs.items():
        if blob.replaced:
            before.setdefault(blob.base, []).append(name)
    activations = tuple(
        ActivationRow(
            blob=name,
            shape=blob.shape,
            layer=blob.layer,
            type=types[name],
            bytes=net.graph.bytes(blob.value),
            before=tuple(before.get(name, ())),
            types=tuple(types[each] for each in (*before.get(name, ()), name)),
            field=fields[name],
        )
        for name, blob in net.blobs.items()
        if not blob.replaced
    )
    params = tuple(
        ParamRow(
            layer=layer.name,
            type=layer.type,
            shapes=tuple(param.shape for param in layer.params),
            weights=sum(param.size for param in layer.params),
            bytes=sum(param.bytes for param in layer.params),
            multiply_adds=cost.multiply_adds,
            loaded=all(param.array is not None for param in layer.params),
            shared_with=tuple(param.shared_with for param in layer.params),
        )
        for layer, cost in zip(net.layers, costs, strict=True)
        if layer.params
    )
    totals = Cost(
        multiply_adds=sum(c.multiply_adds for c in costs),
        weights=sum(c.weights for c in costs),
        weight_bytes=sum(c.weight_bytes for c in costs),
        activation_bytes=sum(row.bytes for row in activations),
    )
    reasons = tuple(ReasonRow(each.name, each.type, each.reason) for each in net.not_computed)
    layers = tuple(
        LayerRow(
            each.name, each.type, each.bottoms, each.tops,
            cost.multiply_adds, cost.weights, cost.activation_bytes,
        )
        for each, cost in zip(net.layers, costs, strict=True)
    )  # fmt: skip
    return Tables(
        net.name, net.format, activations, params, totals, reasons, net.notes, _batch(net), layers
    )


def field_words(field: Receptive) -> tuple[str, str, str]:
    """A receptive field as (size, stride, start), as the tables show it.

    Axes that are alike are said once for stride and start.  "all" is the whole image, "varies" is
    where units have no field in common, "-" where nothing of the image is seen; "<=" stands before
    an upper bound.
    """
    if field.status == "none" or not field.axes:
        return "-", "", ""
    bound = "<=" if field.status == "upper bound" else ""
    whole = [each if isinstance(each, str) else "varies" for each in field.axes]
    extents = [each if isinstance(each, Extent) else None for each in field.axes]
    sizes = [str(e.size) if e else w for e, w in zip(extents, whole, strict=True)]
    if not any(extents):
        return bound + (sizes[0] if len(set(sizes)) == 1 else "x".join(sizes)), "", ""
    strides = [str(e.stride) if e and e.stride is not None else "-" for e in extents]
    starts = [f"{e.start:g}" if e else "-" for e in extents]
    return bound + "x".join(sizes), _once(strides, "x"), _once(starts, ",")


def _once(words: list[str], mark: str) -> str:
    return words[0] if len(set(words)) == 1 else mark.join(words)


def _batch(net: Net) -> int | None:
    shapes = [net.graph.shapes[name] for name in net.inputs]
    return shapes[0][0] if shapes and shapes[0] else None
