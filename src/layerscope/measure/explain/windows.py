"""Windows: pooling and local response normalization."""

from __future__ import annotations

from math import prod

import numpy as np

from layerscope.measure.explain.products import taps, windowed
from layerscope.measure.explain.registry import (
    NoArithmeticError,
    Node,
    Places,
    Reading,
    Terms,
    column,
    rule,
    total,
)


def _window(node: Node, where: Places) -> tuple[Terms, int]:
    """The window of a pooling, and how many cells lie within the padded image."""
    space = node.shape(0)[2:]
    axes = len(space)
    globally = node.proto.op_type.startswith("Global")
    kernel = list(space) if globally else list(node.attribute("kernel_shape", space))
    places, inside = taps(node, where, kernel)
    lead = (column(where[0], axes), column(where[1], axes))
    index, numbers, there = windowed(node, lead, places, inside)
    return Terms(node.inputs[0], index, numbers, inside=there), prod(kernel)


@rule("MaxPool", "GlobalMaxPool")
def max_pool(node: Node, where: Places) -> Reading:
    """The largest of the cells of the window that are in the image; the second output is where."""
    terms, _ = _window(node, where)
    assert terms.inside is not None
    count = len(terms.values)
    cells = np.where(terms.inside, terms.values, -np.inf).reshape(count, -1)
    best = cells.argmax(axis=1)
    largest = cells[np.arange(count), best]
    number = terms.inside.reshape(count, -1).sum(axis=1)
    if node.output == 0:
        return Reading(largest, "largest", "largest of {cells}", (terms,), {"cells": number})
    if node.attribute("storage_order", 0):
        raise NoArithmeticError("MaxPool")
    form = terms.values.shape
    places = [
        np.broadcast_to(i, form).reshape(count, -1)[np.arange(count), best] for i in terms.index
    ]
    flat = np.ravel_multi_index(places, node.shape(0)).astype(np.float64)
    return Reading(
        flat, "largest", "place of the largest of {cells}, which is {largest}", (terms,),
        {"cells": number, "largest": largest},
    )  # fmt: skip


@rule("AveragePool", "GlobalAveragePool")
def average_pool(node: Node, where: Places) -> Reading:
    """The sum of the window by its number of cells, with or without those of the padding."""
    terms, area = _window(node, where)
    assert terms.inside is not None
    inside = terms.inside.reshape(len(terms.values), -1).sum(axis=1)
    padded = bool(node.attribute("count_include_pad", 0))
    if padded and node.attribute("ceil_mode", 0):
        raise NoArithmeticError("AveragePool with ceil_mode")
    divisor = np.full(len(inside), area) if padded else inside
    sums = total(terms.values)
    outside = area - int(inside[0])
    how = f" (padding counted: {outside} of them)" if padded and outside else ""
    how = f" ({outside} of padding not counted)" if outside and not padded else how
    shares = terms.values / column(divisor, terms.values.ndim - 1)
    weights = np.broadcast_to(1 / column(divisor, terms.values.ndim - 1), terms.values.shape)
    terms = Terms(
        terms.source, terms.index, terms.values, weights, inside=terms.inside, parts=shares
    )
    return Reading(
        sums / divisor, "window", "sum / cells = {sum} / {cells}" + how, (terms,),
        {"sum": sums, "cells": divisor}, total(np.abs(shares)),
    )  # fmt: skip


@rule("LRN")
def lrn(node: Node, where: Places) -> Reading:
    """X / (bias + alpha / size * sum of squares of `size` channels) ** beta."""
    size = int(node.attribute("size", 1))
    alpha = float(node.attribute("alpha", 1e-4))
    beta, bias = float(node.attribute("beta", 0.75)), float(node.attribute("bias", 1.0))
    channels = node.shape(0)[1]
    around = where[1][:, None] - (size - 1) // 2 + np.arange(size)[None]
    inside = (around >= 0) & (around < channels)
    index = (where[0][:, None], around, *(each[:, None] for each in where[2:]))
    safe = (index[0], np.clip(around, 0, channels - 1), *index[2:])
    neighbours = np.where(inside, node.at(0, safe), 0.0)
    squares = neighbours**2
    energy = total(squares)
    base = bias + alpha / size * energy
    x = node.at(0, where)
    numbers = {
        "size": size, "alpha": alpha, "beta": beta, "k": bias, "squares": energy, "base": base,
        "divisor": base**beta,
    }  # fmt: skip
    formula = "{x} / ({k} + {alpha} / {size} * {squares}) ^ {beta} = {x} / {divisor}"
    terms = (
        Terms(node.inputs[0], where, x),
        Terms(node.inputs[0], index, neighbours, inside=inside, role="channel", parts=squares,
              leads=False),
    )  # fmt: skip
    return Reading(x / base**beta, "norm", formula, terms, numbers)
