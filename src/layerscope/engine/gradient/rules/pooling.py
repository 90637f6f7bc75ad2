"""Pooling: the gradient goes to the winner, or is dealt out evenly; overlapping windows add up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape, size


@rule("AveragePool")
def average_pool(t: Tape, node: Node, dy: str) -> str:
    """Give dy by the number of places that counted, to each place of the window; overlaps add up.

    Each place sums the windows that it is in: pooling again, of the gradient drawn apart by the
    stride.
    """
    dims, out = t.shape(node.x), t.shape(node.y)
    kernel, n = list(node.settings["kernel_shape"]), len(dims) - 2
    strides = list(node.get("strides", [1] * n))
    dilations = list(node.get("dilations", [1] * n))
    begin, end = pool_pads(node, dims[2:], out[2:], strides)
    counts = _counts(node, dims[2:], out[2:], strides, dilations, (begin, end))
    dx = t.mul(dy, t.constant(size(kernel) / counts, node.x))
    dx = drawn_apart(t, dx, out, strides)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    before = [r - 1 - b for r, b in zip(reach, begin, strict=True)]
    apart = [(o - 1) * s + 1 for o, s in zip(out[2:], strides, strict=True)]
    behind = [
        dims[2 + i] - (before[i] + apart[i] - reach[i] + 1) for i in range(n)
    ]  # so that as many places come out as went in
    dx = t.pad(dx, [0, 0, *before], [0, 0, *behind])
    if all(r == 1 for r in reach):
        return dx
    settings = {"dilations": dilations} if any(d != 1 for d in dilations) else {}
    return t.op("AveragePool", dx, kernel_shape=kernel, strides=[1] * n, **settings)


def drawn_apart(t: Tape, value: str, dims: Sequence[int], strides: Sequence[int]) -> str:
    """(N, C, h, w) with zeros between: (N, C, (h - 1) s + 1, (w - 1) s + 1)."""
    for axis, stride in enumerate(strides, 2):
        if stride == 1 or dims[axis] == 1:
            continue
        lead, rest, number = size(dims[:axis]), size(dims[axis + 1 :]), dims[axis]
        apart = t.reshape(value, [lead, number, rest])
        apart = t.pad(apart, [0, 0, 0], [0, 0, (stride - 1) * rest])
        apart = t.reshape(apart, [lead, number * stride, rest])
        length = (number - 1) * stride + 1
        apart = t.slice(apart, [0, 0, 0], [lead, length, rest])
        dims = [*dims[:axis], length, *dims[axis + 1 :]]
        value = t.reshape(apart, dims)
    return value


def pool_pads(
    node: Node, space: Sequence[int], out: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The pads before and behind, as stated or as auto_pad gives them."""
    n = len(space)
    pads = list(node.get("pads", [0] * (2 * n)))
    auto = node.get("auto_pad", "NOTSET")
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        return (pads[:n], pads[n:]) if auto != "VALID" else ([0] * n, [0] * n)
    dilations = node.get("dilations", [1] * n)
    total = [
        max(0, (o - 1) * s + (k - 1) * d + 1 - i)
        for o, s, k, d, i in zip(
            out, strides, node.settings["kernel_shape"], dilations, space, strict=True
        )
    ]
    small, large = [p // 2 for p in total], [p - p // 2 for p in total]
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def _counts(
    node: Node,
    space: Sequence[int],
    out: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: tuple[list[int], list[int]],
) -> NDArray[np.float64]:
    """How many places each window's mean is over: (1, 1, h, w).

    Without count_include_pad those within the image; with it those within the padded image, as a
    window that ceil_mode lets reach behind it is cut there.
    """
    include = bool(node.get("count_include_pad", 0))
    whole = np.ones((), np.float64)
    for i, extent in enumerate(space):
        first = np.arange(out[i])[:, None] * strides[i] - pads[0][i]
        places = first + np.arange(node.settings["kernel_shape"][i]) * dilations[i]
        low, high = (-pads[0][i], extent + pads[1][i]) if include else (0, extent)
        counted = ((places >= low) & (places < high)).sum(axis=1)
        whole = np.multiply.outer(whole, counted)
    return np.maximum(whole, 1)[None, None]


@rule("GlobalAveragePool")
def global_average_pool(t: Tape, node: Node, dy: str) -> str:
    """Give dy by the number of places, to each."""
    dims = t.shape(node.x)
    share = t.times(dy, 1 / max(size(dims[2:]), 1), node.x)
    return t.op("Expand", share, t.dims(node.x))


@rule("GlobalMaxPool")
def global_max_pool(t: Tape, node: Node, dy: str) -> str:
    """Give dy at the largest place, the first of equal ones."""
    dims = t.shape(node.x)
    rows = t.reshape(node.x, [dims[0] * dims[1], size(dims[2:])])
    first = t.op("ArgMax", rows, axis=1, keepdims=1)
    zeros = t.reshape(t.zeros(node.x), [dims[0] * dims[1], size(dims[2:])])
    column = t.reshape(dy, [dims[0] * dims[1], 1])
    return t.reshape_as(t.op("ScatterElements", zeros, first, column, axis=1), node.x)
