"""Reading between the places: resizing, and pooling over regions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.explain.products import spread
from layerscope.measure.explain.registry import (
    Floats,
    NoArithmeticError,
    Node,
    Places,
    Reading,
    Terms,
    column,
    rule,
    total,
)


def _factors(node: Node) -> list[float]:
    """Output size by input size of every axis, as the node states it."""
    dims, out = node.shape(), node.out
    rank = len(dims)
    axes = [a % rank for a in node.attribute("axes", list(range(rank)))]
    factors = [1.0] * rank
    for i, axis in enumerate(axes):
        factors[axis] = (
            float(node.whole(2)[i])
            if node.has(2) and node.whole(2).size
            else out[axis] / dims[axis]
        )
    return factors


def _coordinates(node: Node, at: NDArray[np.int64], axis: int, factor: float) -> Floats:
    """Where output places lie on an axis of the input."""
    size, out = node.shape()[axis], node.out[axis]
    mode = node.attribute("coordinate_transformation_mode", b"half_pixel")
    # For the nearest cell the engine's own rounding decides, else every digit counts.
    kind = np.float32 if node.attribute("mode", b"nearest") == b"nearest" else np.float64
    place: NDArray[Any] = at.astype(kind)
    step: Any = kind(factor)
    if mode == b"asymmetric":
        found = place / step
    elif mode == b"align_corners":
        found = place * kind(size - 1) / kind(max(out - 1, 1))
    elif mode == b"half_pixel" or (mode == b"pytorch_half_pixel" and out > 1):
        found = (place + kind(0.5)) / step - kind(0.5)
    elif mode == b"pytorch_half_pixel":
        found = place * 0
    else:
        raise NoArithmeticError(f"Resize, {mode.decode()}")
    return np.asarray(found, np.float64)


def _nearest(node: Node, place: Floats) -> NDArray[np.int64]:
    mode = node.attribute("nearest_mode", b"round_prefer_floor")
    roundings: dict[bytes, Callable[[Floats], Floats]] = {
        b"floor": np.floor,
        b"ceil": np.ceil,
        b"round_prefer_floor": lambda p: np.ceil(p - 0.5),
        b"round_prefer_ceil": lambda p: np.floor(p + 0.5),
    }
    return np.asarray(roundings[mode](place), np.int64)


@rule("Resize")
def resize(node: Node, where: Places) -> Reading:
    """The nearest cell, or a mean of the two neighbours on each axis weighed by their nearness."""
    mode, dims, factors = node.attribute("mode", b"nearest"), node.shape(), _factors(node)
    if mode not in (b"nearest", b"linear") or node.attribute("antialias", 0):
        raise NoArithmeticError(f"Resize, {mode.decode()}")
    still = [factors[i] == 1 and dims[i] == node.out[i] for i in range(len(dims))]
    if mode == b"nearest":
        index = tuple(
            at if still[i]
            else np.clip(_nearest(node, _coordinates(node, at, i, factors[i])), 0, dims[i] - 1)
            for i, at in enumerate(where)
        )  # fmt: skip
        x = Terms(node.inputs[0], index, node.at(0, index))
        return Reading(x.values, "copy", "{x}, the nearest", (x,))
    moving = [i for i in range(len(dims)) if not still[i]]
    window = max(1, len(moving))
    places: list[NDArray[np.int64]] = []
    weights: Floats = np.ones((len(where[0]), *(1,) * window))
    for i, at in enumerate(where):
        if still[i]:
            places.append(column(at, window))
            continue
        point = np.clip(_coordinates(node, at, i, factors[i]), 0, dims[i] - 1)
        low = np.minimum(np.floor(point).astype(np.int64), max(dims[i] - 2, 0))
        near = np.stack([1 - (point - low), point - low], axis=1)
        pair = np.stack([low, np.minimum(low + 1, dims[i] - 1)], axis=1)
        axis = moving.index(i)
        places.append(spread(pair, axis, window))
        weights = weights * near.reshape(len(at), *(2 if a == axis else 1 for a in range(window)))
    numbers = node.at(0, tuple(places))
    shares = numbers * weights
    terms = Terms(
        node.inputs[0], tuple(places), numbers, np.broadcast_to(weights, shares.shape), parts=shares
    )
    known = {"numbers": shares[0].size}
    formula = "sum of {numbers} neighbours times their nearness"
    return Reading(total(shares), "sum", formula, (terms,), known, total(np.abs(shares)))


@rule("MaxRoiPool")
def max_roi_pool(node: Node, where: Places) -> Reading:
    """The largest cell of one bin of a region; 0 for an empty bin."""
    results, first = [], None
    for unit in zip(*(each.tolist() for each in where), strict=True):
        terms = _bin(node, unit)
        results.append(terms.values.max() if terms.values.size else 0.0)
        first = first or terms
    assert first is not None
    known = {"cells": first.values.size}
    if not first.values.size:
        return Reading(np.asarray(results), "copy", "0: the bin has no cell", (), known)
    return Reading(np.asarray(results), "largest", "largest of {cells}", (first,), known)


def _rounded(value: float) -> int:
    """To the nearest whole number; halves go away from zero, as in C."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _bin(node: Node, unit: tuple[int, ...]) -> Terms:
    """The cells of a bin: corners rounded to whole cells, bins that share cells at their edges."""
    region, channel, *cell = unit
    image, *corners = (
        float(node.at(1, (np.asarray([region]), np.asarray([i])))[0]) for i in range(5)
    )
    scale = np.float32(node.attribute("spatial_scale", 1.0))  # as the engine rounds it
    x1, y1, x2, y2 = (_rounded(float(np.float32(c) * scale)) for c in corners)
    spans = []
    for position, start, end, parts, size in (
        (cell[0], y1, y2, node.attribute("pooled_shape", [1, 1])[0], node.shape()[2]),
        (cell[1], x1, x2, node.attribute("pooled_shape", [1, 1])[1], node.shape()[3]),
    ):
        step = np.float32(max(end - start + 1, 1)) / np.float32(parts)
        low = math.floor(np.float32(position) * step) + start
        high = math.ceil(np.float32(position + 1) * step) + start
        spans.append(np.arange(min(max(low, 0), size), min(max(high, 0), size)))
    index = (
        np.full((1, 1, 1), int(image)), np.full((1, 1, 1), channel),
        spans[0].reshape(1, -1, 1), spans[1].reshape(1, 1, -1),
    )  # fmt: skip
    return Terms(node.inputs[0], index, node.at(0, index))
