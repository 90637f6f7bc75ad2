"""Norms by the numbers of one image: of a layer, of a group of channels, of one channel.

Each takes the mean of a set of numbers off and divides by their deviation: Ba, Kiros and Hinton
2016 (layer), Ulyanov, Vedaldi and Lempitsky 2016 (instance), Wu and He 2018 (group), Zhang and
Sennrich 2019 (root mean square, where no mean is taken off).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.explain.products import spread
from layerscope.measure.explain.registry import (
    Floats,
    Node,
    Places,
    Reading,
    Terms,
    column,
    placed,
    rule,
    total,
)


def _set(node: Node, where: Places, ranges: dict[int, NDArray[np.int64]]) -> tuple[Places, Floats]:
    """The numbers that units are measured by: all of some axes, else the unit's own place.

    `ranges` gives the places of such an axis: (k,), or (n, k) where they are the unit's own.
    """
    axes = len(ranges)
    order = list(ranges)
    index = tuple(
        spread(ranges[axis], order.index(axis), axes) if axis in ranges else column(each, axes)
        for axis, each in enumerate(where)
    )
    numbers = node.at(0, index)
    return index, np.broadcast_to(numbers, (len(where[0]), *numbers.shape[1:]))


def _normal(
    node: Node, where: Places, ranges: dict[int, NDArray[np.int64]], learned: dict[str, Floats]
) -> Reading:
    """(x - mean) / deviation, times gamma, plus beta; each where `learned` has it."""
    index, numbers = _set(node, where, ranges)
    count = prod(numbers.shape[1:])
    mean = total(numbers) / count
    centered = numbers - column(mean, numbers.ndim - 1)
    variance = total(centered**2) / count
    epsilon = float(node.attribute("epsilon", 1e-5))
    deviation = np.sqrt(variance + epsilon)
    x = Terms(node.inputs[0], where, node.at(0, where))
    result = (x.values - mean) / deviation
    size = (np.abs(x.values) + np.abs(mean)) / deviation
    formula = "({x} - {mean}) / {deviation}"
    if "gamma" in learned:
        result, size = result * learned["gamma"], size * np.abs(learned["gamma"])
        formula += " * {gamma}"
    if "beta" in learned:
        result, size = result + learned["beta"], size + np.abs(learned["beta"])
        formula += " + {beta}"
    among = Terms(node.inputs[0], index, numbers, role="among", leads=False)
    known: dict[str, Any] = {
        "mean": mean, "variance": variance, "epsilon": epsilon, "deviation": deviation,
        "of": count, **learned,
    }  # fmt: skip
    return Reading(result, "norm", formula, (x, among), known, size)


def _learned(node: Node, indexes: tuple[Places, Places]) -> dict[str, Floats]:
    names = ("gamma", "beta")
    return {name: node.at(i + 1, indexes[i]) for i, name in enumerate(names) if node.has(i + 1)}


def _all(dims: tuple[int, ...], first: int) -> dict[int, NDArray[np.int64]]:
    return {axis: np.arange(dims[axis]) for axis in range(first, len(dims))}


@rule("LayerNormalization")
def layer_normalization(node: Node, where: Places) -> Reading:
    """By mean and deviation of all axes from `axis` on; the further outputs are those."""
    ranges = _all(node.shape(), node.axis(-1))
    if node.output:
        return _statistic(node, where, ranges)
    own = (placed(node, 1, where), placed(node, 2, where) if node.has(2) else ())
    return _normal(node, where, ranges, _learned(node, own))


def _statistic(node: Node, where: Places, ranges: dict[int, NDArray[np.int64]]) -> Reading:
    index, numbers = _set(node, where, ranges)
    terms = Terms(node.inputs[0], index, numbers)
    flat = numbers.reshape(len(numbers), -1)
    mean, size = flat.mean(axis=1), np.abs(flat).mean(axis=1)
    if node.output == 1:
        return Reading(mean, "window", "mean of {of} numbers", (terms,), {"of": flat[0].size}, size)
    deviation = np.sqrt(flat.var(axis=1) + float(node.attribute("epsilon", 1e-5)))
    known = {"of": flat[0].size, "deviation": deviation}
    return Reading(1 / deviation, "norm", "1 / deviation of {of} numbers = 1 / {deviation}",
                   (terms,), known)  # fmt: skip


@rule("InstanceNormalization")
def instance_normalization(node: Node, where: Places) -> Reading:
    """By mean and deviation of the unit's own map."""
    channel = (where[1],)
    return _normal(node, where, _all(node.shape(), 2), _learned(node, (channel, channel)))


@rule("GroupNormalization")
def group_normalization(node: Node, where: Places) -> Reading:
    """By mean and deviation of the maps of a group of channels.

    Up to opset 20 gamma and beta are one for each group, after that one for each channel.
    """
    dims, groups = node.shape(), int(node.attribute("num_groups", 1))
    wide = dims[1] // groups
    group = where[1] // wide
    ranges = {1: group[:, None] * wide + np.arange(wide)[None], **_all(dims, 2)}
    own = (where[1] if node.shape(1)[0] == dims[1] and node.values.graph.opset >= 21 else group,)
    return _normal(node, where, ranges, _learned(node, (own, own)))


@rule("RMSNormalization")
def root_mean_square(node: Node, where: Places) -> Reading:
    """By the root of the mean square of all axes from `axis` on."""
    index, numbers = _set(node, where, _all(node.shape(), node.axis(-1)))
    count = prod(numbers.shape[1:])
    squares = total(numbers**2)
    root = np.sqrt(squares / count + float(node.attribute("epsilon", 1e-5)))
    x = Terms(node.inputs[0], where, node.at(0, where))
    gamma = node.at(1, placed(node, 1, where))
    among = Terms(node.inputs[0], index, numbers, role="among", parts=numbers**2, leads=False)
    known = {"squares": squares, "of": count, "root": root, "gamma": gamma}
    return Reading(x.values / root * gamma, "norm", "{x} / {root} * {gamma}", (x, among), known)
