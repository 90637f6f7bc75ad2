"""Many numbers into one: sums, means, extremes, the place of the largest, running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.explain.products import spread
from layerscope.measure.explain.registry import (
    Floats,
    Kind,
    Node,
    Places,
    Reading,
    Terms,
    column,
    rule,
    total,
)

_SUMS: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "ReduceSum": ("sum of {numbers} numbers", lambda x: x),
    "ReduceMean": ("sum / numbers = {sum} / {numbers}", lambda x: x),
    "ReduceSumSquare": ("sum of the squares of {numbers} numbers", np.square),
    "ReduceL1": ("sum of the sizes of {numbers} numbers", np.abs),
    "ReduceL2": ("square root of the sum of {numbers} squares = sqrt({sum})", np.square),
}


def _axes(node: Node) -> list[int]:
    """The axes that are reduced, counted from the front."""
    rank = len(node.shape())
    given = node.integers(1) if node.has(1) else list(node.attribute("axes", []))
    if not given:
        return [] if node.attribute("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in given)


def _read(node: Node, where: Places) -> tuple[Places, Floats]:
    """The numbers that units are reduced from: (n, ...) with an axis for each reduced one."""
    dims, axes = node.shape(), _axes(node)
    left = iter(where)
    kept: dict[int, NDArray[np.int64]] = {}
    for axis in range(len(dims)):
        if axis in axes:
            if node.attribute("keepdims", 1):
                next(left, None)
        else:
            kept[axis] = next(left)
    window = max(1, len(axes))
    index = tuple(
        spread(np.arange(size), axes.index(axis), window)
        if axis in axes
        else column(kept[axis], window)
        for axis, size in enumerate(dims)
    )
    count = len(where[0]) if where else 1
    numbers = node.at(0, index)
    return index, np.broadcast_to(numbers, (count, *numbers.shape[1:]))


@rule(*_SUMS)
def reduced_sum(node: Node, where: Places) -> Reading:
    """A sum over axes, of the numbers, their sizes or their squares; a mean divides it."""
    op = node.proto.op_type
    formula, change = _SUMS[op]
    index, numbers = _read(node, where)
    shares = change(numbers)
    sums = total(shares)
    count = shares[0].size
    kind: Kind = "window" if op == "ReduceMean" else "sum"
    result = sums
    size: Floats | None = total(np.abs(shares))
    weights = None
    if op == "ReduceMean":
        shares = shares / count
        result, size = sums / count, total(np.abs(shares))
        weights = np.broadcast_to(np.float64(1 / count), shares.shape)
    if op == "ReduceL2":
        result, size = np.sqrt(sums), None
    terms = Terms(node.inputs[0], index, numbers, weights, parts=shares)
    return Reading(result, kind, formula, (terms,), {"numbers": count, "sum": sums}, size)


@rule("ReduceMax", "ReduceMin")
def reduced_extreme(node: Node, where: Places) -> Reading:
    """The largest or the smallest over axes."""
    index, numbers = _read(node, where)
    flat = numbers.reshape(len(numbers), -1)
    largest = node.proto.op_type == "ReduceMax"
    result = flat.max(axis=1) if largest else flat.min(axis=1)
    kind: Kind = "largest" if largest else "smallest"
    terms = Terms(node.inputs[0], index, numbers)
    return Reading(result, kind, f"{kind} of {{numbers}}", (terms,), {"numbers": flat.shape[1]})


def _row(node: Node, where: Places, axis: int) -> tuple[Places, Floats]:
    """All numbers along one axis, (n, k)."""
    along = np.arange(node.shape()[axis])[None]
    index = tuple(along if i == axis else each[:, None] for i, each in enumerate(where))
    return index, np.broadcast_to(node.at(0, index), (len(where[0]), along.size))


@rule("ArgMax", "ArgMin")
def place_of_extreme(node: Node, where: Places) -> Reading:
    """Where the largest or smallest number along an axis is; the first of equal ones."""
    axis = node.axis()
    if not node.attribute("keepdims", 1):
        where = (
            *where[:axis],
            np.zeros_like(where[0]) if where else np.zeros(1, np.int64),
            *where[axis:],
        )
    index, numbers = _row(node, where, axis)
    largest = node.proto.op_type == "ArgMax"
    sign = 1 if largest else -1
    numbers_ = numbers[:, ::-1] if node.attribute("select_last_index", 0) else numbers
    place = (sign * numbers_).argmax(axis=1)
    place = numbers.shape[1] - 1 - place if node.attribute("select_last_index", 0) else place
    kind: Kind = "largest" if largest else "smallest"
    terms = Terms(node.inputs[0], index, numbers)
    known: dict[str, Any] = {
        "numbers": numbers.shape[1],
        "best": numbers[np.arange(len(place)), place],
    }
    formula = f"place of the {kind} of {{numbers}}, which is {{best}}"
    return Reading(place.astype(np.float64), kind, formula, (terms,), known)


@rule("TopK")
def top_k(node: Node, where: Places) -> Reading:
    """The numbers along an axis in order, and their places; the first of equal ones comes first."""
    axis = node.axis(-1)
    index, numbers = _row(node, where, axis)
    largest = bool(node.attribute("largest", 1))
    order = np.argsort(-numbers if largest else numbers, axis=1, kind="stable")
    place = order[np.arange(len(order)), where[axis]]
    value = numbers[np.arange(len(order)), place]
    rank = where[axis] + 1
    known = {"rank": rank, "numbers": numbers.shape[1], "value": value, "place": place}
    side = "largest" if largest else "smallest"
    rivals = Terms(node.inputs[0], index, numbers, role="rival", leads=False)
    at = tuple(place if i == axis else each for i, each in enumerate(where))
    x = Terms(node.inputs[0], at, value)
    if node.output == 0:
        return Reading(value, "copy", f"{side} number {{rank}} of {{numbers}}", (x, rivals), known)
    formula = f"place of {side} number {{rank}} of {{numbers}}, which is {{value}}"
    return Reading(place.astype(np.float64), "copy", formula, (x, rivals), known)


@rule("CumSum")
def running_sum(node: Node, where: Places) -> Reading:
    """The sum of all numbers up to this place along an axis."""
    axis = int(node.whole(1).reshape(-1)[0]) % len(node.shape())
    index, numbers = _row(node, where, axis)
    along, here = index[axis], where[axis][:, None]
    backward, exclusive = node.attribute("reverse", 0), node.attribute("exclusive", 0)
    counted = along >= here if backward else along <= here
    if exclusive:
        counted = counted & (along != here)
    shares = np.where(counted, numbers, 0.0)
    terms = Terms(node.inputs[0], index, shares, inside=counted, parts=shares)
    known = {"numbers": counted.sum(axis=1)}
    size = total(np.abs(shares))
    return Reading(total(shares), "sum", "sum of {numbers} numbers", (terms,), known, size)
