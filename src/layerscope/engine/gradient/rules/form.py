"""Ops that move numbers without changing them: the gradient goes the way back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.rules.resize import along_axis
from layerscope.engine.gradient.tape import Tape
from layerscope.errors import UnsupportedError


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(t: Tape, node: Node, dy: str) -> str:
    """Give dy in the shape of x."""
    return t.reshape_as(dy, node.x)


@rule("Transpose")
def transpose(t: Tape, node: Node, dy: str) -> str:
    """Give dy with the axes put back."""
    rank = t.rank(node.x)
    order = list(node.get("perm", list(reversed(range(rank)))))
    return t.op("Transpose", dy, perm=[order.index(i) for i in range(rank)])


@rule("Concat")
def concat(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Each input's part of dy."""
    axis = int(node.settings["axis"]) % t.rank(node.y)
    sizes = [t.shape(value)[axis] for value in node.inputs]
    if len(node.wanted) == 1:
        (only,) = node.wanted
        first = sum(sizes[:only])
        return {only: _along(t, dy, first, first + sizes[only], axis)}
    split = t.constant(np.asarray(sizes, np.int64))
    return dict(enumerate(t.ops("Split", len(sizes), dy, split, axis=axis)))


def _along(t: Tape, value: str, start: int, end: int, axis: int) -> str:
    return t.op(
        "Slice", value, *(t.constant(np.asarray([n], np.int64)) for n in (start, end, axis))
    )


@rule("Split")
def split(t: Tape, node: Node, *dys: str) -> str:
    """All parts behind one another; 0 for those that nothing depends on."""
    axis = int(node.get("axis", 0))
    parts = [dy or t.zeros(y) for dy, y in zip(dys, node.outputs, strict=True)]
    return t.op("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]


@rule("Slice")
def slice_(t: Tape, node: Node, dy: str) -> str:
    """Give dy at its place, 0 elsewhere."""
    dims = t.shape(node.x)
    given = [t.ints(node.inputs[i]) if node.has(i) else None for i in range(1, 5)]
    starts, ends, axes, steps = given
    if starts is None or ends is None:
        raise UnsupportedError("where it cuts is computed, not fixed")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if all(step == 1 for step in steps):
        before, after = [0] * len(dims), [0] * len(dims)
        for start, end, axis in zip(starts, ends, axes, strict=True):
            axis %= len(dims)
            first, last, _ = slice(start, end).indices(dims[axis])
            before[axis], after[axis] = first, dims[axis] - max(first, last)
        return t.pad(dy, before, after)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= len(dims)
        dy = _stepped(t, node, dy, axis, slice(_open(start), _open(end), step))
    return dy


def _open(limit: int) -> int | None:
    """A limit as Python takes it; ONNX writes "up to the end" as a huge number."""
    return None if abs(limit) > 2**31 - 2 else limit


def _stepped(t: Tape, node: Node, dy: str, axis: int, cut: slice) -> str:
    """Spread dy along one axis: each place takes its number, or the zeros behind them all."""
    size = t.shape(node.x)[axis]
    taken = range(size)[cut]
    index = np.full(size, len(taken), np.int64)
    index[list(taken)] = np.arange(len(taken))
    # Axes that are cut later still have their cut size here, so the pad asks for ranks only.
    rank = t.rank(node.x)
    after = [0] * rank
    after[axis] = 1
    return t.op("Gather", t.pad(dy, [0] * rank, after), t.constant(index), axis=axis)


@rule("Pad")
def pad(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy without the frame, or with what repeats a place added to it; the value: the rest."""
    mode, rank = node.get("mode", "constant"), t.rank(node.x)
    pads = t.ints(node.inputs[1])
    if pads is None:
        raise UnsupportedError("its pads are computed, not fixed")
    named = t.ints(node.inputs[3]) if node.has(3) else None
    axes = list(range(rank)) if named is None else [a % rank for a in named]
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[len(axes) + i]
    if mode != "constant":
        return {0: _folded_back(t, node, dy, before, after)}
    found = {}
    if node.wanted - {2}:
        found[0] = t.pad(dy, [-b for b in before], [-a for a in after])
    if 2 in node.wanted:
        inside = t.pad(found.get(0, t.pad(dy, [-b for b in before], [-a for a in after])),
                       [max(b, 0) for b in before], [max(a, 0) for a in after])  # fmt: skip
        every = list(range(rank))
        rest = t.sub(t.sum(dy, every, keepdims=False), t.sum(inside, every, keepdims=False))
        found[2] = t.reshape_as(rest, node.inputs[2])
    return found


def _folded_back(t: Tape, node: Node, dy: str, before: Sequence[int], after: Sequence[int]) -> str:
    """Axis by axis: dy inside, and each number of the frame added to the place it repeats."""
    current = list(t.shape(node.y))
    for axis, have in enumerate(t.shape(node.x)):
        if not before[axis] and not after[axis]:
            continue
        made = current[axis]
        source = _repeated(str(node.settings["mode"]), have, before[axis], made)
        matrix = np.zeros((made, have))
        matrix[np.arange(made), source] = 1
        dy = along_axis(t, dy, current, axis, matrix, node.x)
        current[axis] = have
    return dy


def _repeated(mode: str, have: int, before: int, made: int) -> NDArray[np.int64]:
    """For each place of a padded axis, the place that it shows."""
    place = np.arange(made) - before
    if mode == "edge":
        return np.clip(place, 0, have - 1)
    if mode == "wrap":
        return place % have
    around = place % max(2 * have - 2, 1)
    return np.minimum(around, 2 * have - 2 - around)


@rule("Expand")
def expand(t: Tape, node: Node, dy: str) -> str:
    """The sum over what x was repeated along."""
    return t.unbroadcast(dy, node.x, t.shape(node.y))


@rule("Tile")
def tile(t: Tape, node: Node, dy: str) -> str:
    """The sum over the copies."""
    dims, whole = t.shape(node.x), t.shape(node.y)
    parts: list[int] = []
    for d, w in zip(dims, whole, strict=True):
        parts += [w // d if d else 1, d]
    return t.sum(t.reshape(dy, parts), range(0, len(parts), 2), keepdims=False)


@rule("DepthToSpace")
def depth_to_space(t: Tape, node: Node, dy: str) -> str:
    """Every block back into channels."""
    size = int(node.settings["blocksize"])
    if node.get("mode", "DCR") == "DCR":
        return t.op("SpaceToDepth", dy, blocksize=size)
    n, c, h, w = t.shape(node.x)
    parts = t.reshape(dy, [n, c // size**2, h, size, w, size])
    return t.reshape(t.op("Transpose", parts, perm=[0, 1, 3, 5, 2, 4]), [n, c, h, w])


@rule("SpaceToDepth")
def space_to_depth(t: Tape, node: Node, dy: str) -> str:
    """Channels back into blocks."""
    return t.op("DepthToSpace", dy, blocksize=int(node.settings["blocksize"]), mode="DCR")


@rule("Trilu")
def trilu(t: Tape, node: Node, dy: str) -> str:
    """Give dy in the triangle that is kept, 0 in the other."""
    given = [node.inputs[1]] if node.has(1) else []
    return t.op("Trilu", dy, *given, upper=int(node.get("upper", 1)))


@rule("ReverseSequence")
def reverse_sequence(t: Tape, node: Node, dy: str) -> str:
    """Give dy turned round as x was."""
    return t.op("ReverseSequence", dy, node.inputs[1], **node.settings)
