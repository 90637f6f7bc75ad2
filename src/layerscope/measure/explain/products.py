"""Sums of products: convolutions both ways and matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.explain.registry import (
    Floats,
    NoArithmeticError,
    Node,
    Places,
    Reading,
    Terms,
    column,
    placed,
    rule,
    total,
)
from layerscope.measure.padding import pads_before


def spread(numbers: NDArray[np.int64], axis: int, axes: int) -> NDArray[np.int64]:
    """(n, k) or (k,) as (n or 1, 1, ..., k, ..., 1): one axis of a window among `axes`."""
    form = [1] * axes
    form[axis] = numbers.shape[-1]
    return numbers.reshape(numbers.shape[0] if numbers.ndim == 2 else 1, *form)


def taps(
    node: Node, where: Places, kernel: list[int]
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.bool_]]]:
    """Where the taps of windows lie on each spatial axis, (n, k), and whether inside."""
    space = node.shape(0)[2:]
    strides = node.attribute("strides", [1] * len(space))
    dilations = node.attribute("dilations", [1] * len(space))
    pads = pads_before(node.settings, kernel, space, node.out[2:])
    places, inside = [], []
    for axis, size in enumerate(space):
        first = where[2 + axis] * strides[axis] - pads[axis]
        place = first[:, None] + np.arange(kernel[axis]) * dilations[axis]
        places.append(place)
        inside.append((place >= 0) & (place < size))
    return places, inside


def windowed(
    node: Node,
    lead: tuple[NDArray[np.int64], ...],
    places: list[NDArray[np.int64]],
    inside: list[NDArray[np.bool_]],
) -> tuple[Places, Floats, NDArray[np.bool_]]:
    """The cells of windows of the first input: index, numbers (0 outside), which are inside.

    `lead` are the index arrays of the axes before the spatial ones, which already broadcast.
    """
    axes = len(places)
    window = lead[0].ndim - 1
    before = window - axes
    index = tuple(spread(p, before + i, window) for i, p in enumerate(places))
    there = np.ones((1,) * (window + 1), np.bool_)
    for i, each in enumerate(inside):
        there = there & spread(each.astype(np.int64), before + i, window).astype(np.bool_)
    space = node.shape(0)[2:]
    safe = tuple(np.clip(p, 0, size - 1) for p, size in zip(index, space, strict=True))
    numbers = node.at(0, (*lead, *safe))
    form = np.broadcast_shapes(numbers.shape, there.shape)
    there = np.broadcast_to(there, form)
    return (*lead, *index), np.where(there, numbers, 0.0), there


def _bias(node: Node, channel: NDArray[np.int64]) -> tuple[Floats, bool]:
    if not node.has(2):
        return np.zeros(len(channel)), False
    return node.at(2, (channel,)), True


@rule("Conv")
def conv(node: Node, where: Places) -> Reading:
    """Sum over channels of the group and taps of the kernel of x * w, plus the bias."""
    _, per_group, *kernel = node.shape(1)
    filters, channels = node.shape(1)[0], node.shape(0)[1]
    axes = len(kernel)
    group = int(node.attribute("group", 1))
    places, inside = taps(node, where, kernel)
    channel = where[1]
    first = channel // (filters // group) * (channels // group)
    members = column(first, 1 + axes) + spread(np.arange(per_group), 0, 1 + axes)
    index, numbers, there = windowed(node, (column(where[0], 1 + axes), members), places, inside)
    grid = tuple(spread(np.arange(k), 1 + i, 1 + axes) for i, k in enumerate(kernel))
    filter_index = (column(channel, 1 + axes), spread(np.arange(per_group), 0, 1 + axes), *grid)
    return _products(node, channel, (index, numbers, there), filter_index)


@rule("ConvTranspose")
def conv_transpose(node: Node, where: Places) -> Reading:
    """Sum over channels and taps of x * w, of those x that the stride spreads over this place."""
    channels, per_group, *kernel = node.shape(1)
    axes = len(kernel)
    group = int(node.attribute("group", 1))
    strides = node.attribute("strides", [1] * axes)
    dilations = node.attribute("dilations", [1] * axes)
    pads = pads_before(node.settings, kernel, node.out[2:], node.shape(0)[2:], transposed=True)
    places, inside = [], []
    for axis, size in enumerate(node.shape(0)[2:]):
        reach = (where[2 + axis] + pads[axis])[:, None] - np.arange(kernel[axis]) * dilations[axis]
        place = reach // strides[axis]
        places.append(place)
        inside.append((reach % strides[axis] == 0) & (place >= 0) & (place < size))
    channel = where[1]
    members = column(channel // per_group * (channels // group), 1 + axes)
    members = members + spread(np.arange(channels // group), 0, 1 + axes)
    index, numbers, there = windowed(node, (column(where[0], 1 + axes), members), places, inside)
    grid = tuple(spread(np.arange(k), 1 + i, 1 + axes) for i, k in enumerate(kernel))
    filter_index = (members, column(channel % per_group, 1 + axes), *grid)
    return _products(node, channel, (index, numbers, there), filter_index)


def _products(
    node: Node,
    channel: NDArray[np.int64],
    cells: tuple[Places, Floats, NDArray[np.bool_]],
    filter_index: Places,
) -> Reading:
    index, numbers, there = cells
    weights = node.at(1, filter_index)
    shares = numbers * weights
    bias, given = _bias(node, channel)
    products = total(shares)
    terms = Terms(
        node.inputs[0], index, numbers, weights, (node.inputs[1], filter_index), there, parts=shares
    )
    formula = "sum of {products} products" + (" + bias = {sum} + {bias}" if given else "")
    counted = {"products": there.reshape(len(there), -1).sum(axis=1), "sum": products}
    size = total(np.abs(shares)) + np.abs(bias)
    numbers_ = {**counted, "bias": bias} if given else counted
    return Reading(products + bias, "sum", formula, (terms,), numbers_, size)


@rule("Gemm")
def gemm(node: Node, where: Places) -> Reading:
    """Alpha * sum of a * b over the inner axis, plus beta * c."""
    rows, columns = where
    inner = node.shape(0)[0 if node.attribute("transA", 0) else 1]
    along = np.arange(inner)[None]
    a_index = (rows[:, None], along)
    b_index = (along, columns[:, None])
    a_index = a_index[::-1] if node.attribute("transA", 0) else a_index
    b_index = b_index[::-1] if node.attribute("transB", 0) else b_index
    factor = float(node.attribute("alpha", 1.0))
    return _matrix(node, (a_index, b_index), where, factor)


@rule("MatMul")
def matmul(node: Node, where: Places) -> Reading:
    """Sum of a * b over a's last axis and b's last but one; axes before those broadcast."""
    a, b = node.shape(0), node.shape(1)
    if len(a) < 2 or len(b) < 2:
        raise NoArithmeticError("MatMul")
    along = np.arange(a[-1])[None]
    lead = where[:-2]
    a_lead, b_lead = (
        tuple(
            column(at, 1) if size != 1 else np.zeros((len(at), 1), np.int64)
            for at, size in zip(lead[len(lead) - len(dims) + 2 :], dims[:-2], strict=True)
        )
        for dims in (a, b)
    )
    a_index = (*a_lead, where[-2][:, None], along)
    b_index = (*b_lead, along, where[-1][:, None])
    return _matrix(node, (a_index, b_index), where, 1.0)


def _matrix(node: Node, index: tuple[Places, Places], where: Places, factor: float) -> Reading:
    a, b = node.at(0, index[0]), node.at(1, index[1])
    shares = a * b * factor
    products = total(shares)
    numbers: dict[str, object] = {"products": shares.shape[1], "sum": products}
    formula = "sum of {products} products"
    bias = np.zeros(len(products))
    if len(node.inputs) > 2 and node.has(2):
        bias = float(node.attribute("beta", 1.0)) * node.at(2, placed(node, 2, where))
        numbers["bias"] = bias
        formula += " + bias = {sum} + {bias}"
    weight = (node.inputs[1], index[1])
    terms = Terms(node.inputs[0], index[0], a, b * factor, weight, parts=shares)
    size = total(np.abs(shares)) + np.abs(bias)
    return Reading(products + bias, "sum", formula, (terms,), numbers, size)
