"""Ops that move numbers and change none: each unit is taken from one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.explain.registry import (
    NoArithmeticError,
    Node,
    Places,
    Reading,
    Terms,
    rule,
)
from layerscope.measure.explain.values import unraveled

TAKEN = "{x}"


def copied(node: Node, position: int, index: Places) -> Reading:
    """Units taken from one input."""
    x = Terms(node.inputs[position], index, np.atleast_1d(node.at(position, index)))
    return Reading(x.values, "copy", TAKEN, (x,))


def _raveled(where: Places, dims: Sequence[int]) -> NDArray[np.int64]:
    if not dims:
        return np.zeros(1, np.int64)
    return np.asarray(np.ravel_multi_index(where, dims))


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshaped(node: Node, where: Places) -> Reading:
    """The same numbers in the same order under another shape."""
    return copied(node, 0, unraveled(_raveled(where, node.out), node.shape()))


@rule("Identity", "Dropout")
def identity(node: Node, where: Places) -> Reading:
    """The same number at the same place."""
    if node.output:
        raise NoArithmeticError(node.proto.op_type)
    return copied(node, 0, where)


@rule("Transpose")
def transposed(node: Node, where: Places) -> Reading:
    """Axes in another order."""
    order = node.attribute("perm", list(range(len(where)))[::-1])
    index = [where[0]] * len(where)
    for axis, from_axis in enumerate(order):
        index[from_axis] = where[axis]
    return copied(node, 0, tuple(index))


@rule("Concat")
def concatenated(node: Node, where: Places) -> Reading:
    """The inputs one behind the other along an axis."""
    axis = node.axis()
    ends = np.cumsum([node.shape(i)[axis] for i in range(len(node.inputs))])
    which = np.searchsorted(ends, where[axis], side="right")
    starts = np.concatenate([[0], ends])
    result = np.empty(len(which))
    first: Reading | None = None
    for position in dict.fromkeys(which.tolist()):
        mine = which == position
        index = tuple(each[mine] for each in where)
        index = (*index[:axis], index[axis] - starts[position], *index[axis + 1 :])
        part = copied(node, position, index)
        result[mine] = part.result
        first = first or part
    return Reading(result, "copy", TAKEN, first.terms if first else ())


@rule("Split")
def split(node: Node, where: Places) -> Reading:
    """A piece of the input along an axis."""
    axis = node.axis()
    sizes = [node.values.shape(name)[axis] for name in node.proto.output[: node.output]]
    start = sum(sizes)
    index = (*where[:axis], where[axis] + start, *where[axis + 1 :])
    return copied(node, 0, index)


@rule("Slice")
def sliced(node: Node, where: Places) -> Reading:
    """Every so manieth number between a start and an end of some axes."""
    starts = node.integers(1)
    axes = node.integers(3) if node.has(3) else list(range(len(starts)))
    steps = node.integers(4) if node.has(4) else [1] * len(starts)
    index, dims = list(where), node.shape()
    for start, axis, step in zip(starts, axes, steps, strict=True):
        size = dims[axis]
        first = start + size if start < 0 else start
        first = min(max(first, 0), size if step > 0 else size - 1)
        index[axis] = first + where[axis] * step
    return copied(node, 0, tuple(index))


@rule("Tile")
def tiled(node: Node, where: Places) -> Reading:
    """The input repeated along axes."""
    pairs = zip(where, node.shape(), strict=True)
    return copied(node, 0, tuple(at % size for at, size in pairs))


@rule("Expand")
def expanded(node: Node, where: Places) -> Reading:
    """The input repeated along axes of size 1."""
    dims = node.shape()
    behind = where[len(where) - len(dims) :]
    index = tuple(
        at if size != 1 else np.zeros_like(at) for at, size in zip(behind, dims, strict=True)
    )
    count = len(where[0]) if where else 1
    x = node.at(0, index)
    values = np.broadcast_to(x, (count,))
    return Reading(values, "copy", TAKEN, (Terms(node.inputs[0], index, values),))


@rule("Pad")
def padded(node: Node, where: Places) -> Reading:
    """The input with a border; what is in the border depends on the mode."""
    dims = node.shape()
    axes = node.integers(3) if node.has(3) else list(range(len(dims)))
    before = dict(zip(axes, node.integers(1)[: len(axes)], strict=True))
    index = [at - before.get(axis, 0) for axis, at in enumerate(where)]
    inside = np.ones(len(where[0]), np.bool_)
    for at, size in zip(index, dims, strict=True):
        inside &= (at >= 0) & (at < size)
    mode = node.attribute("mode", b"constant")
    if mode == b"edge":
        index = [np.clip(at, 0, size - 1) for at, size in zip(index, dims, strict=True)]
        return copied(node, 0, tuple(index))
    if mode == b"reflect":
        index = [_mirrored(at, size) for at, size in zip(index, dims, strict=True)]
        return copied(node, 0, tuple(index))
    if mode == b"wrap":
        return copied(node, 0, tuple(at % size for at, size in zip(index, dims, strict=True)))
    fill = float(node.whole(2).reshape(-1)[0]) if node.has(2) else 0.0
    safe = tuple(np.clip(at, 0, size - 1) for at, size in zip(index, dims, strict=True))
    values = np.where(inside, node.at(0, safe), fill)
    if not inside[0]:
        return Reading(values, "copy", "{fill}, which is the padding", (), {"fill": fill})
    return Reading(values, "copy", TAKEN, (Terms(node.inputs[0], tuple(index), values),))


def _mirrored(at: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Reflected at both ends, without repeating the end."""
    if size == 1:
        return np.zeros_like(at)
    period = 2 * size - 2
    folded = np.abs(at) % period
    return np.asarray(np.minimum(folded, period - folded))


@rule("Trilu")
def triangle(node: Node, where: Places) -> Reading:
    """The input on one side of a diagonal, 0 on the other."""
    shift = node.integers(1)[0] if node.has(1) else 0
    *_, row, at = where
    kept = at - row >= shift if node.attribute("upper", 1) else at - row <= shift
    values = np.where(kept, node.at(0, where), 0.0)
    if not kept[0]:
        return Reading(values, "copy", "0, on the other side of the diagonal", ())
    return Reading(values, "copy", TAKEN, (Terms(node.inputs[0], where, values),))


@rule("DepthToSpace", "SpaceToDepth")
def rearranged(node: Node, where: Places) -> Reading:
    """Channels spread over squares of `blocksize`, or squares gathered into channels."""
    block = int(node.attribute("blocksize", 1))
    n, c, y, x = where
    if node.proto.op_type == "SpaceToDepth":
        depth = node.shape()[1]
        square, channel = c // depth, c % depth
        index = (n, channel, y * block + square // block, x * block + square % block)
        return copied(node, 0, index)
    square = (y % block) * block + x % block
    if node.attribute("mode", b"DCR") == b"CRD":
        channel = c * block * block + square
    else:
        channel = square * node.out[1] + c
    return copied(node, 0, (n, channel, y // block, x // block))


@rule("ConstantOfShape")
def constant_of_shape(node: Node, where: Places) -> Reading:
    """One number everywhere."""
    from onnx import numpy_helper

    value = node.attribute("value", None)
    fill = float(numpy_helper.to_array(value).reshape(-1)[0]) if value is not None else 0.0
    count = len(where[0]) if where else 1
    return Reading(np.full(count, fill), "copy", "{fill}, everywhere", (), {"fill": fill})


@rule("Shape")
def shape_of(node: Node, where: Places) -> Reading:
    """The sizes of the axes of a value."""
    start, end = int(node.attribute("start", 0)), node.attribute("end", None)
    sizes = np.asarray(node.shape()[start:end], np.float64)[where[0]]
    return Reading(sizes, "copy", "{size}, the size of an axis", (), {"size": sizes})


def _folded(numbers: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Indices as whole numbers; negative ones count from the end."""
    whole = numbers.astype(np.int64)
    return np.where(whole < 0, whole + size, whole)


def _looked_up(node: Node, index: Places, by: Terms) -> Reading:
    x = Terms(node.inputs[0], index, np.atleast_1d(node.at(0, index)))
    return Reading(x.values, "copy", "{x}, which is at {index}", (x, by))


@rule("Gather")
def gathered(node: Node, where: Places) -> Reading:
    """Rows of the first input, in the order that the second gives."""
    axis, rank = node.axis(), len(node.shape(1))
    at = where[axis : axis + rank]
    by = (
        node.at(1, at) if rank else np.broadcast_to(node.whole(1), (len(where[0]) if where else 1,))
    )
    row = _folded(by, node.shape()[axis])
    index = (*where[:axis], row, *where[axis + rank :])
    return _looked_up(node, index, Terms(node.inputs[1], at, by, role="index", leads=False))


@rule("GatherElements")
def gathered_elements(node: Node, where: Places) -> Reading:
    """The number whose place along one axis the second input gives."""
    axis = node.axis()
    by = node.at(1, where)
    index = (*where[:axis], _folded(by, node.shape()[axis]), *where[axis + 1 :])
    return _looked_up(node, index, Terms(node.inputs[1], where, by, role="index", leads=False))


@rule("GatherND")
def gathered_nd(node: Node, where: Places) -> Reading:
    """The number at the place that the last axis of the second input gives."""
    if node.attribute("batch_dims", 0):
        raise NoArithmeticError("GatherND with batch_dims")
    dims = node.shape(1)
    lead = where[: len(dims) - 1]
    by = [node.at(1, (*lead, np.full_like(where[0], i))) for i in range(dims[-1])]
    places = tuple(_folded(each, size) for each, size in zip(by, node.shape(), strict=False))
    index = (*places, *where[len(dims) - 1 :])
    last = (*lead, np.full_like(where[0], dims[-1] - 1))
    return _looked_up(node, index, Terms(node.inputs[1], last, by[-1], role="index", leads=False))


@rule("Compress")
def compressed(node: Node, where: Places) -> Reading:
    """Those rows of the first input for which the second is not 0."""
    if node.attribute("axis", None) is None:
        raise NoArithmeticError("Compress without an axis")
    axis = node.axis()
    kept = np.flatnonzero(node.whole(1).reshape(-1) != 0)
    index = (*where[:axis], kept[where[axis]], *where[axis + 1 :])
    return copied(node, 0, index)


@rule("ScatterElements")
def scattered_elements(node: Node, where: Places) -> Reading:
    """The first input, with numbers put where the second one says along an axis."""
    axis, dims = node.axis(), node.shape(1)
    if node.attribute("reduction", b"none") != b"none":
        raise NoArithmeticError("ScatterElements with a reduction")
    along = np.arange(dims[axis])[None]
    reached = np.ones(len(where[0]), np.bool_)
    index = []
    for i, (at, size) in enumerate(zip(where, dims, strict=True)):
        if i != axis:
            reached &= at < size
        index.append(along if i == axis else np.minimum(at, size - 1)[:, None])
    said = _folded(node.at(1, tuple(index)), node.shape()[axis])
    match = (said == where[axis][:, None]) & reached[:, None]
    last = dims[axis] - 1 - match[:, ::-1].argmax(axis=1)
    index_of = tuple(
        last if i == axis else np.minimum(at, dims[i] - 1) for i, at in enumerate(where)
    )
    return _put(node, where, match.any(axis=1), index_of)


@rule("ScatterND")
def scattered_nd(node: Node, where: Places) -> Reading:
    """The first input, with numbers put at the places that the second one lists."""
    if node.attribute("reduction", b"none") != b"none":
        raise NoArithmeticError("ScatterND with a reduction")
    dims, depth = node.shape(), node.shape(1)[-1]
    said = node.whole(1).reshape(-1, depth)
    lead = tuple(_folded(said[:, i], dims[i]) for i in range(depth))
    flat = _raveled(lead, dims[:depth])
    order = np.argsort(flat, kind="stable")
    wanted = _raveled(where[:depth], dims[:depth])
    position = np.searchsorted(flat[order], wanted, side="right") - 1
    row = order[np.maximum(position, 0)] if len(order) else np.zeros_like(wanted)
    match = (position >= 0) & (flat[row] == wanted) if len(order) else np.zeros(len(wanted), bool)
    update = (*unraveled(row, node.shape(1)[:-1]), *where[depth:])
    return _put(node, where, match, update)


def _put(node: Node, where: Places, match: NDArray[np.bool_], update: Places) -> Reading:
    """Units of the updates where they match, of the data elsewhere."""
    new = node.at(2, update) if match.any() else np.zeros(len(match))
    result = np.where(match, new, node.at(0, where))
    position, index = (2, update) if match[0] else (0, where)
    return Reading(result, "copy", TAKEN, (Terms(node.inputs[position], index, result),))


@rule("Range")
def ranged(node: Node, where: Places) -> Reading:
    """Numbers one step apart."""
    start, step = (float(node.whole(i).reshape(-1)[0]) for i in (0, 2))
    numbers = {"start": start, "step": step, "at": where[0]}
    made = np.asarray(start + where[0] * step, np.float64)
    return Reading(made, "function", "{start} + {at} * {step}", (), numbers)
