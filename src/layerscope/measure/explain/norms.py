"""Normalizations by what is read at the same time: a map, a row, or a group of channels."""

from __future__ import annotations

import numpy as np

from layerscope.measure.explain.registry import (
    Floats,
    Node,
    Places,
    Reading,
    Terms,
    column,
    placed,
    rule,
)


@rule("InstanceNormalization")
def instance_normalization(node: Node, where: Places) -> Reading:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, over the map of one image."""
    near = _together(node, where, range(2, len(where)))
    scale, bias = (node.at(i, (where[1],)) for i in (1, 2))
    return _normalized(node, where, near, scale, bias)


@rule("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def layer_normalization(node: Node, where: Places) -> Reading:
    """The same over the last axes; the simplified one takes no mean off, and has no bias."""
    near = _together(node, where, range(node.axis(-1), len(where)))
    scale = node.at(1, placed(node, 1, where))
    if node.proto.op_type != "LayerNormalization":
        return _by_root_mean_square(node, where, near, scale)
    bias = node.at(2, placed(node, 2, where)) if node.has(2) else np.zeros(len(where[0]))
    return _normalized(node, where, near, scale, bias)


@rule("GroupNormalization")
def group_normalization(node: Node, where: Places) -> Reading:
    """The same over the channels of a group; scale and bias are of a channel, or of a group."""
    dims, groups = node.shape(), int(node.attribute("num_groups", 1))
    wide = dims[1] // groups
    space = np.indices((wide, *dims[2:])).reshape(len(dims) - 1, -1)
    first = where[1] // wide * wide
    near = (where[0][:, None], first[:, None] + space[0], *(each[None] for each in space[1:]))
    place = where[1] if node.shape(1)[0] == dims[1] else where[1] // wide
    return _normalized(node, where, near, node.at(1, (place,)), node.at(2, (place,)))


def _together(node: Node, where: Places, axes: range) -> Places:
    """The places that are normalized with each unit: all along some axes, its own on the others."""
    dims = node.shape()
    grid = np.indices([dims[axis] for axis in axes]).reshape(len(axes), -1)
    return tuple(
        grid[axis - axes.start][None] if axis in axes else each[:, None]
        for axis, each in enumerate(where)
    )


def _normalized(node: Node, where: Places, near: Places, scale: Floats, bias: Floats) -> Reading:
    x, values = node.at(0, where), node.at(0, near)
    epsilon, mean = float(node.attribute("epsilon", 1e-5)), values.mean(axis=1)
    squares = (values - column(mean, 1)) ** 2
    variance = squares.mean(axis=1)
    deviation = np.sqrt(variance + epsilon)
    numbers = {
        "of": values.shape[1], "mean": mean, "variance": variance, "epsilon": epsilon,
        "deviation": deviation, "scale": scale, "bias": bias,
    }  # fmt: skip
    formula = "({x} - {mean}) / {deviation} * {scale} + {bias}, mean and deviation of {of} numbers"
    size = (np.abs(x) + np.abs(mean)) * np.abs(scale / deviation) + np.abs(bias)
    result = (x - mean) / deviation * scale + bias
    return Reading(result, "norm", formula, _terms(node, where, near, x, squares), numbers, size)


def _by_root_mean_square(node: Node, where: Places, near: Places, scale: Floats) -> Reading:
    x, values = node.at(0, where), node.at(0, near)
    epsilon, squares = float(node.attribute("epsilon", 1e-5)), values**2
    root = np.sqrt(squares.mean(axis=1) + epsilon)
    numbers = {"of": values.shape[1], "epsilon": epsilon, "root": root, "scale": scale}
    formula = "{x} / {root} * {scale}, the root of the mean square of {of} numbers"
    terms = _terms(node, where, near, x, squares)
    return Reading(x / root * scale, "norm", formula, terms, numbers)


def _terms(
    node: Node, where: Places, near: Places, x: Floats, squares: Floats
) -> tuple[Terms, Terms]:
    source = node.inputs[0]
    values = node.at(0, near)
    return (
        Terms(source, where, x),
        Terms(source, near, values, role="neighbour", parts=squares, leads=False),
    )
