"""Ops that ONNX defines by plain ops; see `by_definition`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from layerscope.engine.gradient.composite import Parts, by_definition, through
from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.rules.pooling import pool_pads
from layerscope.engine.gradient.tape import Tape
from layerscope.errors import UnsupportedError


@rule(
    "Attention", "CenterCropPad", "NegativeLogLikelihoodLoss", "RMSNormalization",
    "RotaryEmbedding", "Shrink", "SoftmaxCrossEntropyLoss", "Swish",
)  # fmt: skip
def defined(t: Tape, node: Node, *dys: str) -> dict[int, str]:
    """Through the plain ops that ONNX defines it by."""
    return by_definition(t, node, *dys)


@rule("GroupNormalization")
def group_normalization(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Through the mean and deviation of each group; scale and bias: sums.

    Opset 18 gives a scale and a bias for each group, 21 for each channel.
    """
    x, scale, bias = node.inputs
    dims, groups = t.shape(x), int(node.settings["num_groups"])
    p, like = Parts(t), node.x
    column = t.fixed(_int64([t.shape(scale)[0], *[1] * (len(dims) - 2)]))
    ones, zeros = (t.constant([number] * groups, like) for number in (1.0, 0.0))
    rows = p.op("Reshape", x, t.fixed(_int64([dims[0], groups, -1])))
    normal = p.op("InstanceNormalization", rows, ones, zeros, epsilon=node.get("epsilon", 1e-5))
    by_channel = t.shape(scale)[0] == dims[1]
    shape = [*dims] if by_channel else [dims[0], groups, dims[1] // groups, *dims[2:]]
    if not by_channel:
        column = t.fixed(_int64([groups, *[1] * (len(dims) - 1)]))
    normal = p.op("Reshape", normal, t.fixed(_int64(shape)))
    scaled = p.op("Mul", normal, p.op("Reshape", scale, column))
    y = p.op("Add", scaled, p.op("Reshape", bias, column))
    y = y if by_channel else p.op("Reshape", y, t.fixed(_int64(dims)))
    return through(t, node, p, {y: dy})


@rule("SimplifiedLayerNormalization")
def simplified_layer_normalization(t: Tape, node: Node, dy: str, *others: str) -> dict[int, str]:
    """Through the root of the mean square of each row; scale: a sum."""
    if any(others) or not dy:
        raise UnsupportedError("only its first output has a gradient")
    p, (x, scale), rank = Parts(t), node.inputs[:2], t.rank(node.x)
    axes = t.fixed(_int64(range(int(node.get("axis", -1)) % rank, rank)))
    mean = p.op("ReduceMean", p.op("Mul", x, x), axes, keepdims=1)
    root = p.op("Sqrt", p.op("Add", mean, t.constant(float(node.get("epsilon", 1e-5)), x)))
    y = p.op("Mul", p.op("Div", x, root), scale)
    return through(t, node, p, {y: dy})


@rule("LpPool", "GlobalLpPool")
def lp_pool(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Through the root of the sum of powers over each window, 0 where that is 0."""
    power, p, x = float(node.get("p", 2)), Parts(t), node.x
    raised = p.op("Pow", p.op("Abs", x), t.constant(power, x))
    if node.op == "LpPool":
        total = _window_sum(t, p, node, raised)
    else:
        total = p.op("ReduceSum", raised, t.fixed(_int64(range(2, t.rank(x)))))
    # Where all are 0 the root's slope has no end; 1 in their place leaves 0 times the power's.
    safe = p.op("Where", p.op("Greater", total, t.constant(0.0, x)), total, t.constant(1.0, x))
    return through(t, node, p, {p.op("Pow", safe, t.constant(1 / power, x)): dy})


def _window_sum(t: Tape, p: Parts, node: Node, value: str) -> str:
    """The sum over each window: a convolution of each channel with ones."""
    space, out, channels = t.shape(node.x)[2:], t.shape(node.y)[2:], t.shape(node.x)[1]
    kernel, n = node.settings["kernel_shape"], len(space)
    strides, dilations = (list(node.get(name, [1] * n)) for name in ("strides", "dilations"))
    begin, end = pool_pads(node, space, out, strides)
    reach = [(out[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(n)]
    more = [max(end[i], reach[i] - space[i] - begin[i]) for i in range(n)]
    ones = t.constant(np.ones((channels, 1, *kernel)), node.x)
    settings = {"group": channels, "strides": strides, "dilations": dilations}
    found = p.op("Conv", value, ones, pads=[*begin, *more], **settings)
    cut = ([0] * n, out, range(2, 2 + n))
    return p.op("Slice", found, *(t.fixed(_int64(each)) for each in cut))


def _int64(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.asarray(list(numbers), np.int64)
