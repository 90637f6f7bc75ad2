"""Max pooling: the gradient goes to the first winner of each window, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.rules.pooling import pool_pads
from layerscope.engine.gradient.tape import Tape, size


@rule("MaxPool")
def max_pool(t: Tape, node: Node, dy: str, *_: str) -> str:
    """Give dy to the winner of each window, the first of equal ones; overlaps add up.

    Where windows are one place apart they are compared; else the runtime's own pooling gives the
    winners, as places in the whole array, by a plain loop.
    """
    if not dy:
        return ""
    first = _same_size(t, node)
    return _placed(t, node, dy) if first is None else _compared(t, node, dy, first)


def _placed(t: Tape, node: Node, dy: str) -> str:
    """By the places of the winners."""
    if node.get("storage_order", 0):  # its own places count columns first
        rows = {name: v for name, v in node.settings.items() if name != "storage_order"}
        index = t.ops("MaxPool", 2, node.x, **rows)[1]
    else:
        index = t.second_output(node)
    dims, number = t.shape(node.x), size(t.shape(node.y))
    flat = t.reshape(t.zeros(node.x), [size(dims)])
    added = t.op(
        "ScatterElements", flat, t.reshape(index, [number]), t.reshape(dy, [number]),
        axis=0, reduction="add",
    )  # fmt: skip
    return t.reshape_as(added, node.x)


def _same_size(t: Tape, node: Node) -> tuple[int, int] | None:
    """The first place of the first window along H and W, where all windows are a place apart.

    None where there are not as many windows as places, gaps in a window, or hardly any places.
    """
    dims, out, ones = t.shape(node.x), t.shape(node.y), [1, 1]
    apart = node.get("strides", ones) != ones or node.get("dilations", ones) != ones
    if len(dims) != 4 or dims != out or apart:
        return None
    if any(d < k for d, k in zip(dims[2:], node.settings["kernel_shape"], strict=True)):
        return None
    above, left = pool_pads(node, dims[2:], out[2:], ones)[0]
    return -above, -left


def _compared(t: Tape, node: Node, dy: str, first: tuple[int, int]) -> str:
    """By comparing each tap of a window with its largest: first among rows, then within the row.

    The row that holds the first winner is the first whose own largest is the window's.  Takes a
    third of the time of the runtime's places.
    """
    dims, (down, along) = t.shape(node.x), node.settings["kernel_shape"]
    number = size(dims)
    rows = t.op(
        "MaxPool", node.x,
        kernel_shape=[1, along], pads=[0, -first[1], 0, along - 1 + first[1]],
    )  # fmt: skip
    tops = t.op(
        "MaxPool", rows,
        kernel_shape=[down, 1], pads=[-first[0], 0, down - 1 + first[0], 0],
    )  # fmt: skip
    x, rows, tops, dy = (t.reshape(value, [number]) for value in (node.x, rows, tops, dy))
    dy = _to_first(t, node.x, (rows, tops, dy), [i + first[0] for i in range(down)], 2)
    dx = _to_first(t, node.x, (x, rows, dy), [i + first[1] for i in range(along)], 3)
    return t.reshape_as(dx, node.x)


def _to_first(
    t: Tape, like: str, flat: tuple[str, str, str], taps: Sequence[int], axis: int
) -> str:
    """Give dy to the first place of each window that holds its largest; windows along one axis.

    All arrays are one row of numbers.  The neighbour along the axis is so many numbers further on;
    what came from another line is taken out.  The runtime moves a row as a block, where padding
    each short line takes it a hundred times as long.

    Args:
        t: the tape.
        like: the forward value that the windows are over.
        flat: the places, the largest of each window, and its gradient.
        taps: the places of the window at 0.
        axis: of `like`.
    """
    x, y, left = flat
    dims, number = t.shape(like), size(t.shape(like))
    parts = []
    for tap in taps:
        won, away = left, tap * size(dims[axis + 1 :])
        if tap != taps[-1]:  # the last gets what is left
            won = t.gate(t.op("Equal", t.pad(x, [-away], [away]), y), left, like)
        if tap:
            place = np.indices(dims[2:])[axis - 2] + tap
            inside = (place >= 0) & (place < dims[axis])
            won = t.mul(t.reshape(won, dims), t.constant(inside.astype(np.float32), like))
            won = t.reshape(won, [number])
        if tap != taps[-1]:
            left = t.sub(left, won)
        parts.append(t.pad(won, [away], [-away]))
    return reduce(t.add, parts)
