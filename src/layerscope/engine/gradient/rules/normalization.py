"""Normalizations, within a net that is looked at: stored statistics stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape, size
from layerscope.errors import UnsupportedError

MOST_CHANNELS = 1024  # for which a product with all channels is the fast way to sum over a few


@rule("LRN")
def lrn(t: Tape, node: Node, dy: str) -> str:
    """Give dy / s^beta - 2 alpha beta / size x (the window's sum of dy y / s), s the energy.

    lrn_layer.cpp, CrossChannelBackward_cpu.
    """
    n, alpha = int(node.settings["size"]), float(node.get("alpha", 1e-4))
    beta, bias = float(node.get("beta", 0.75)), float(node.get("bias", 1.0))
    x = node.x
    with t.instead_of(node):
        mean = _window_mean(t, t.mul(x, x), node, n)
        energy = t.add(t.times(mean, alpha, x), t.constant(bias, x))
        power = _negative_power(t, energy, beta, x)
        t.mul(x, power)
    direct = t.mul(dy, power)
    ratio = t.div(t.mul(direct, x), energy)
    around = t.times(_window_mean(t, ratio, node, n, turned=True), 2 * alpha * beta, x)
    return t.sub(direct, t.mul(x, around))


def _negative_power(t: Tape, base: str, beta: float, like: str) -> str:
    """Raise the base to -beta; the usual 0.75 by roots, which are far cheaper than a power."""
    if beta == 0.75:
        root = t.op("Sqrt", base)
        return t.op("Reciprocal", t.mul(root, t.op("Sqrt", root)))
    if beta == 0.5:
        return t.op("Reciprocal", t.op("Sqrt", base))
    if beta == 1:
        return t.op("Reciprocal", base)
    return t.op("Pow", base, t.constant(-beta, like))


def _window_mean(t: Tape, value: str, node: Node, n: int, *, turned: bool = False) -> str:
    """The sum over n channels around each, by n; with an even n one more behind than before.

    As a product with a band matrix, which the runtime does far faster than pooling over channels,
    unless there are very many.
    """
    dims = t.shape(node.x)
    before, behind = (n - 1) // 2, n - 1 - (n - 1) // 2
    if turned:
        before, behind = behind, before
    if dims[1] <= MOST_CHANNELS and len(dims) == 4:
        channel = np.arange(dims[1])
        away = channel[None, :] - channel[:, None]
        band = ((away >= -before) & (away <= behind)) / n
        return t.op("Conv", value, t.constant(band[:, :, None, None], node.x), kernel_shape=[1, 1])
    flat = t.reshape(value, [dims[0], 1, dims[1], size(dims[2:])])
    mean = t.op(
        "AveragePool", flat,
        kernel_shape=[n, 1], pads=[before, 0, behind, 0], strides=[1, 1], count_include_pad=1,
    )  # fmt: skip
    return t.reshape_as(mean, node.x)


@rule("BatchNormalization")
def batch_normalization(t: Tape, node: Node, dy: str, *_: str) -> dict[int, str]:
    """x: dy scale / deviation; scale and bias: sums; the stored mean and variance too."""
    if node.get("training_mode", 0):
        raise UnsupportedError("statistics of the batch (training_mode 1) have no rule")
    x, scale, _bias, mean, variance = node.inputs
    rank = t.rank(x)
    epsilon = float(node.get("epsilon", 1e-5))
    column = [-1, *[1] * (rank - 2)] if rank > 2 else [-1]
    others = [i for i in range(rank) if i != 1]
    found, inverse = {}, _inverse_deviation(t, variance, epsilon)
    factor = _product(t, scale, inverse)
    if 0 in node.wanted:
        found[0] = t.mul(dy, t.reshape(factor, column))
    if node.wanted & {1, 3, 4}:
        centred = t.sub(x, t.reshape(mean, column))
        spread = t.sum(t.mul(dy, centred), others, keepdims=False)
        total = t.sum(dy, others, keepdims=False)
        found[1] = t.mul(spread, inverse)
        found[3] = t.op("Neg", t.mul(total, factor))
        cube = t.mul(factor, t.mul(inverse, inverse))
        found[4] = t.times(t.mul(spread, cube), -0.5, x)
    if 2 in node.wanted:
        found[2] = t.sum(dy, others, keepdims=False)
    return found


def _inverse_deviation(t: Tape, variance: str, epsilon: float) -> str:
    array = t.array(variance)
    if array is not None:
        with np.errstate(all="ignore"):
            return t.constant(1 / np.sqrt(array.astype(np.float64) + epsilon), variance)
    return t.op("Reciprocal", t.op("Sqrt", t.add(variance, t.constant(epsilon, variance))))


def _product(t: Tape, a: str, b: str) -> str:
    first, second = t.array(a), t.tensors.get(b)
    if first is None or second is None:
        return t.mul(a, b)
    return t.constant(first.astype(np.float64) * second, a)


@rule("InstanceNormalization")
def instance_normalization(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Through the mean and deviation of each map; scale and bias: sums."""
    x, scale = node.inputs[:2]
    rank = t.rank(x)
    space = list(range(2, rank))
    own = t.mul(dy, t.reshape(scale, [-1, *[1] * (rank - 2)]))
    dx, normal = _through_statistics(t, x, own, space, float(node.get("epsilon", 1e-5)))
    axes = [0, *space]
    return {
        0: dx,
        1: t.sum(t.mul(dy, normal), axes, keepdims=False),
        2: t.sum(dy, axes, keepdims=False),
    }


@rule("LayerNormalization")
def layer_normalization(t: Tape, node: Node, dy: str, *others: str) -> dict[int, str]:
    """Through the mean and deviation of each row; scale and bias: sums."""
    if any(others) or not dy:
        raise UnsupportedError("only its first output has a gradient")
    x, scale = node.inputs[:2]
    rank = t.rank(x)
    axes = list(range(int(node.get("axis", -1)) % rank, rank))
    dx, normal = _through_statistics(t, x, t.mul(dy, scale), axes, float(node.get("epsilon", 1e-5)))
    found = {0: dx}
    if 1 in node.wanted:
        found[1] = t.unbroadcast(t.mul(dy, normal), scale, t.shape(x))
    if 2 in node.wanted:
        found[2] = t.unbroadcast(dy, node.inputs[2], t.shape(x))
    return found


def _through_statistics(
    t: Tape, x: str, dy: str, axes: Sequence[int], epsilon: float
) -> tuple[str, str]:
    """The gradient through (x - mean) / deviation over some axes, and that value itself."""
    over = t.constant(np.asarray(axes, np.int64))
    centred = t.sub(x, t.op("ReduceMean", x, over, keepdims=1))
    variance = t.op("ReduceMean", t.mul(centred, centred), over, keepdims=1)
    deviation = t.op("Sqrt", t.add(variance, t.constant(epsilon, x)))
    normal = t.div(centred, deviation)
    mean = t.op("ReduceMean", dy, over, keepdims=1)
    along = t.op("ReduceMean", t.mul(dy, normal), over, keepdims=1)
    return t.div(t.sub(t.sub(dy, mean), t.mul(normal, along)), deviation), normal


@rule("MeanVarianceNormalization")
def mean_variance_normalization(t: Tape, node: Node, dy: str) -> str:
    """Through the mean and deviation over its axes."""
    axes = [int(a) % t.rank(node.x) for a in node.get("axes", [0, 2, 3])]
    return _through_statistics(t, node.x, dy, axes, 1e-9)[0]


@rule("LpNormalization")
def lp_normalization(t: Tape, node: Node, dy: str) -> str:
    """Through the norm along its axis."""
    axis, p = int(node.get("axis", -1)) % t.rank(node.x), int(node.get("p", 2))
    kind = "ReduceL2" if p == 2 else "ReduceL1"
    norm = t.op(kind, node.x, t.constant(np.asarray([axis], np.int64)), keepdims=1)
    along = t.sum(t.mul(dy, node.y), [axis])
    shares = node.y if p == 2 else t.op("Sign", node.x)
    return t.div(t.sub(dy, t.mul(shares, along)), norm)
