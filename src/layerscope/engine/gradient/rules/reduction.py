"""Reductions: the gradient is repeated along the axes that were reduced."""

from __future__ import annotations

import numpy as np

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.rules.arithmetic import axes_of
from layerscope.engine.gradient.tape import Tape, size
from layerscope.errors import UnsupportedError

MOST_FACTORS = 4096  # of one product: its gradient takes their square of memory


def _wide(t: Tape, node: Node, value: str) -> str:
    """A value in the output's shape, with the reduced axes as ones."""
    if node.get("keepdims", 1):
        return value
    axes = axes_of(t, node)
    return t.reshape(value, [1 if i in axes else d for i, d in enumerate(t.shape(node.x))])


def _spread(t: Tape, node: Node, value: str) -> str:
    return t.op("Expand", value, t.dims(node.x))


@rule("ReduceSum")
def reduce_sum(t: Tape, node: Node, dy: str) -> str:
    """Give dy for each."""
    return _spread(t, node, _wide(t, node, dy))


@rule("ReduceMean")
def reduce_mean(t: Tape, node: Node, dy: str) -> str:
    """Give dy by their number, for each."""
    number = size([t.shape(node.x)[a] for a in axes_of(t, node)])
    return _spread(t, node, t.times(_wide(t, node, dy), 1 / max(number, 1), node.x))


@rule("ReduceL1")
def reduce_l1(t: Tape, node: Node, dy: str) -> str:
    """Give dy times the sign of x, 0 at 0."""
    return t.mul(_wide(t, node, dy), t.op("Sign", node.x))


@rule("ReduceL2")
def reduce_l2(t: Tape, node: Node, dy: str) -> str:
    """Give dy x / y, and 0 where y is 0."""
    y = _wide(t, node, node.y)
    share = t.div(_wide(t, node, dy), y)
    sound = t.where(t.op("Greater", y, t.constant(0.0, node.x)), share, node.x)
    return t.mul(sound, node.x)


@rule("ReduceSumSquare")
def reduce_sum_square(t: Tape, node: Node, dy: str) -> str:
    """2 dy x."""
    return t.mul(t.times(_wide(t, node, dy), 2, node.x), node.x)


@rule("ReduceLogSum")
def reduce_log_sum(t: Tape, node: Node, dy: str) -> str:
    """Give dy by the sum, for each."""
    return _spread(t, node, t.div(_wide(t, node, dy), t.op("Exp", _wide(t, node, node.y))))


@rule("ReduceLogSumExp")
def reduce_log_sum_exp(t: Tape, node: Node, dy: str) -> str:
    """Give dy exp(x - y)."""
    share = t.op("Exp", t.sub(node.x, _wide(t, node, node.y)))
    return t.mul(_wide(t, node, dy), share)


@rule("ReduceMax", "ReduceMin")
def reduce_extreme(t: Tape, node: Node, dy: str) -> str:
    """Give dy for the largest (smallest); of equal ones, for the first."""
    axes, rank = axes_of(t, node), t.rank(node.x)
    kept = [i for i in range(rank) if i not in axes]
    dims = t.shape(node.x)
    order = [*kept, *axes]
    turned = t.op("Transpose", node.x, perm=order) if order != sorted(order) else node.x
    rows = t.reshape(turned, [size([dims[i] for i in kept]), size([dims[i] for i in axes])])
    kind = "ArgMax" if node.op == "ReduceMax" else "ArgMin"
    first = t.op(kind, rows, axis=1, keepdims=1)
    column = t.reshape(dy, [size([dims[i] for i in kept]), 1])
    zeros = t.reshape(t.zeros(node.x), [size([dims[i] for i in kept]), -1])
    placed = t.op("ScatterElements", zeros, first, column, axis=1)
    back = t.reshape(placed, [dims[i] for i in order])
    if order == sorted(order):
        return back
    return t.op("Transpose", back, perm=[order.index(i) for i in range(rank)])


@rule("ReduceProd")
def reduce_prod(t: Tape, node: Node, dy: str) -> str:
    """Give dy times the product of the others, also where one is 0."""
    axes, rank = axes_of(t, node), t.rank(node.x)
    kept = [i for i in range(rank) if i not in axes]
    dims, order = t.shape(node.x), [*kept, *axes]
    turned = t.op("Transpose", node.x, perm=order) if order != sorted(order) else node.x
    rows, columns = size([dims[i] for i in kept]), size([dims[i] for i in axes])
    if columns > MOST_FACTORS:
        raise UnsupportedError(f"the product of {columns} numbers; {MOST_FACTORS} are the most")
    others = _others(t, t.reshape(turned, [rows, columns]), columns, node.x)
    share = t.mul(t.reshape(dy, [rows, 1]), others)
    back = t.reshape(share, [dims[i] for i in order])
    if order == sorted(order):
        return back
    return t.op("Transpose", back, perm=[order.index(i) for i in range(rank)])


def _others(t: Tape, flat: str, columns: int, like: str) -> str:
    """(rows, columns) -> the product of each row without each of its numbers."""
    diagonal = t.constant(np.eye(columns, dtype=bool))
    whole = t.op("Unsqueeze", flat, t.constant(np.asarray([1], np.int64)))
    without = t.op("Where", diagonal, t.constant(1.0, like), whole)  # (rows, columns, columns)
    return t.op("ReduceProd", without, t.constant(np.asarray([2], np.int64)), keepdims=0)
