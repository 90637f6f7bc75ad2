"""Ops that pick numbers by index, or put them somewhere: what was picked twice is added up."""

from __future__ import annotations

import numpy as np

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape, size
from layerscope.errors import UnsupportedError


@rule("Gather")
def gather(t: Tape, node: Node, dy: str) -> str:
    """Give dy added up where it was taken from."""
    dims, picked = t.shape(node.x), t.shape(node.inputs[1])
    axis = int(node.get("axis", 0)) % len(dims)
    lead, rest, number = dims[:axis], dims[axis + 1 :], size(picked)
    # The picked axis in front, so that one row is one index.
    parts = t.reshape(dy, [size(lead), number, size(rest)])
    rows = t.op("Transpose", parts, perm=[1, 0, 2]) if size(lead) != 1 else parts
    rows = t.reshape(rows, [number, size(lead) * size(rest)])
    index = t.reshape(node.inputs[1], [number, 1])
    zeros = t.reshape(t.zeros(node.x), [dims[axis], size(lead) * size(rest)])
    added = t.op("ScatterND", zeros, _whole(t, index), rows, reduction="add")
    back = t.reshape(added, [dims[axis], size(lead), size(rest)])
    if size(lead) != 1:
        back = t.op("Transpose", back, perm=[1, 0, 2])
    return t.reshape(back, dims)


def _whole(t: Tape, index: str) -> str:
    return t.op("Cast", index, to=7)


@rule("GatherElements")
def gather_elements(t: Tape, node: Node, dy: str) -> str:
    """Give dy added up where it was taken from."""
    return t.op(
        "ScatterElements", t.zeros(node.x), node.inputs[1], dy,
        axis=int(node.get("axis", 0)), reduction="add",
    )  # fmt: skip


@rule("GatherND")
def gather_nd(t: Tape, node: Node, dy: str) -> str:
    """Give dy added up where it was taken from."""
    batch = int(node.get("batch_dims", 0))
    if batch:
        return _batched(t, node, dy, batch)
    return t.op("ScatterND", t.zeros(node.x), node.inputs[1], dy, reduction="add")


def _batched(t: Tape, node: Node, dy: str, batch: int) -> str:
    """With leading axes in common, their places are written in front of each index."""
    index = t.shape(node.inputs[1])
    lead = index[:batch]
    grid = np.indices(lead).reshape(batch, *lead)
    front = np.moveaxis(grid, 0, -1).reshape(*lead, *[1] * (len(index) - batch - 1), batch)
    front = np.broadcast_to(front, (*index[:-1], batch))
    whole = t.op("Concat", t.constant(front.astype(np.int64)), node.inputs[1], axis=-1)
    return t.op("ScatterND", t.zeros(node.x), whole, dy, reduction="add")


@rule("ScatterElements")
def scatter_elements(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """x: dy where nothing was put over it; what was put: dy at its place."""
    kind, axis = node.get("reduction", "none"), int(node.get("axis", 0))
    index = node.inputs[1]
    if kind not in ("none", "add"):
        return _reduced(t, node, dy, kind)
    found = {0: dy}
    if 2 in node.wanted:
        found[2] = t.op("GatherElements", dy, index, axis=axis)
    if kind == "none":
        if 0 in node.wanted:
            zeros = t.constant(np.zeros(t.shape(index)), node.x)
            found[0] = t.op("ScatterElements", dy, index, zeros, axis=axis)
        if 2 in node.wanted:
            found[2] = _last(t, node, found[2], axis)
    return found


def _reduced(t: Tape, node: Node, dy: str, kind: str) -> dict[int, str]:
    """Of products dy by what was put times the rest; of a largest one's, to those that equal it.

    Equal ones share their gradient, as in PyTorch.
    """
    index, put = node.inputs[1:]
    settings = {"axis": int(node.get("axis", 0))} if node.op == "ScatterElements" else {}
    pick = "GatherElements" if settings else "GatherND"
    whole_y, whole_dy = (t.op(pick, value, index, **settings) for value in (node.y, dy))
    if kind == "mul":
        found = {0: _others_product(t, node, dy, settings)}
        if 2 in node.wanted:  # not a number where a 0 was put, which is then said
            found[2] = t.div(t.mul(whole_dy, whole_y), put)
        return found
    mine = t.op("Cast", t.op("Equal", node.x, node.y), to=t.type(node.x))
    theirs = t.op("Cast", t.op("Equal", put, whole_y), to=t.type(node.x))
    number = t.op(node.op, mine, index, theirs, reduction="add", **settings)
    return {
        0: t.div(t.mul(dy, mine), number),
        2: t.div(t.mul(whole_dy, theirs), t.op(pick, number, index, **settings)),
    }


def _others_product(t: Tape, node: Node, dy: str, settings: dict[str, int]) -> str:
    """The gradient of x under products: dy by all that was put on each of its places."""
    ones = t.op("Add", t.zeros(node.x), t.constant(1.0, node.x))
    return t.mul(dy, t.op(node.op, ones, *node.inputs[1:], reduction="mul", **settings))


def _last(t: Tape, node: Node, dx: str, axis: int) -> str:
    """0 for what was written over by a later one of the same place."""
    index = node.inputs[1]
    count = size(t.shape(index))
    order = np.arange(1, count + 1, dtype=np.int64).reshape(t.shape(index))
    zeros = t.op("ConstantOfShape", t.dims(node.x), value=_int_zero())
    winner = t.op("ScatterElements", zeros, index, t.constant(order), axis=axis)
    mine = t.op("Equal", t.op("GatherElements", winner, index, axis=axis), t.constant(order))
    return t.where(mine, dx, node.x)


def _int_zero() -> object:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.zeros(1, np.int64))


@rule("ScatterND")
def scatter_nd(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """x: dy where nothing was put over it; what was put: dy at its place."""
    kind, index = node.get("reduction", "none"), node.inputs[1]
    if kind not in ("none", "add"):
        return _reduced(t, node, dy, kind)
    found = {0: dy, 2: t.op("GatherND", dy, index)}
    if kind == "none" and 0 in node.wanted:
        zeros = t.constant(np.zeros(t.shape(node.inputs[2])), node.x)
        found[0] = t.op("ScatterND", dy, index, zeros)
    return found


@rule("TopK")
def top_k(t: Tape, node: Node, dy: str, *_: str) -> str:
    """Give dy where the values were taken from."""
    axis = int(node.get("axis", -1))
    if not dy:
        return ""
    return t.op("ScatterElements", t.zeros(node.x), node.outputs[1], dy, axis=axis)


@rule("Compress")
def compress(t: Tape, node: Node, dy: str) -> str:
    """Give dy in the rows that were kept, 0 in the others."""
    if "axis" not in node.settings:
        raise UnsupportedError("without axis there is no gradient here")
    axis = int(node.settings["axis"]) % t.rank(node.x)
    kept = t.op("NonZero", node.inputs[1])  # (1, rows)
    if axis == 0:
        index = t.op("Transpose", kept, perm=[1, 0])
        return t.op("ScatterND", t.zeros(node.x), index, dy)
    order = [axis, *(i for i in range(t.rank(node.x)) if i != axis)]
    turned = t.op("Transpose", dy, perm=order)
    zeros = t.op("Transpose", t.zeros(node.x), perm=order)
    placed = t.op("ScatterND", zeros, t.op("Transpose", kept, perm=[1, 0]), turned)
    return t.op("Transpose", placed, perm=[order.index(i) for i in range(len(order))])
