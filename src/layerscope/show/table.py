"""The two tables of the classic walk through a net: activation shapes and param shapes, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from layerscope.measure.cost import Cost, layer_costs
from layerscope.net import Net


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """One blob.  `before` names the values that were written over in place, oldest first."""

    blob: str
    shape: tuple[int, ...]
    layer: str
    type: str
    bytes: int
    before: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParamRow:
    """One layer with params."""

    layer: str
    type: str
    shapes: tuple[tuple[int, ...], ...]
    weights: int
    bytes: int
    multiply_adds: int
    loaded: bool


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One layer that cannot be computed, and why."""

    layer: str
    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tables:
    """Both tables, with their totals at the batch size of the file."""

    net: str
    format: str
    activations: tuple[ActivationRow, ...]
    params: tuple[ParamRow, ...]
    totals: Cost
    not_computed: tuple[ReasonRow, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return asdict(self)


def tables(net: Net) -> Tables:
    """Both tables of a net; weights are not needed."""
    costs = layer_costs(net)
    types = {top: layer.type for layer in net.layers for top in layer.tops}
    before: dict[str, list[str]] = {}
    for name, blob in net.blobs.items():
        if blob.replaced:
            before.setdefault(_base(net, name), []).append(name)
    activations = tuple(
        ActivationRow(
            blob=name,
            shape=blob.shape,
            layer=blob.layer,
            type=types[name],
            bytes=4 * _count(blob.shape),
            before=tuple(before.get(name, ())),
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
            bytes=4 * sum(param.size for param in layer.params),
            multiply_adds=cost.multiply_adds,
            loaded=all(param.array is not None for param in layer.params),
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
    return Tables(net.name, net.format, activations, params, totals, reasons, net.notes)


def _count(dims: tuple[int, ...]) -> int:
    total = 1
    for dim in dims:
        total *= dim
    return total


def _base(net: Net, name: str) -> str:
    """The blob that a replaced write belongs to: blob@layer without its layer."""
    layer = net.blobs[name].layer
    for base in net.blobs:
        if not net.blobs[base].replaced and name.startswith(f"{base}@{layer}"):
            return base
    return name
