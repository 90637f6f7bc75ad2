"""Resize: along each axis a matrix says which places make which; the gradient takes it turned."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape, size
from layerscope.errors import UnsupportedError


@rule("Resize", "Upsample")
def resize(t: Tape, node: Node, dy: str) -> str:
    """Give dy by the matrix of each axis: nearest and linear, any scale."""
    mode = node.get("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise UnsupportedError(f"mode {mode}; nearest and linear have a gradient here")
    if node.get("antialias", 0):
        raise UnsupportedError("antialias has no gradient here")
    dims, current = t.shape(node.x), list(t.shape(node.y))
    scales = _scales(t, node)
    for axis, (have, made) in enumerate(zip(dims, t.shape(node.y), strict=True)):
        if have == made and scales[axis] in (1, None):
            continue
        matrix = _matrix(node, have, made, scales[axis])
        lead, rest = size(current[:axis]), size(current[axis + 1 :])
        rows = t.reshape(dy, [lead, made, rest])
        if rest == 1:
            product = t.op("MatMul", t.reshape(dy, [lead, made]), t.constant(matrix, node.x))
        else:
            product = t.op("MatMul", t.constant(matrix.T, node.x), rows)
        current[axis] = have
        dy = t.reshape(product, current)
    return dy


def _scales(t: Tape, node: Node) -> list[float | None]:
    """The stated scale of each axis; None where a size is stated."""
    rank = t.rank(node.x)
    axes = [int(a) % rank for a in node.get("axes", range(rank))]
    found: list[float | None] = [None] * rank
    place = 1 if node.op == "Upsample" else 2
    if node.has(place):
        array = t.array(node.inputs[place])
        if array is None:
            raise UnsupportedError("its scales are computed, not fixed")
        for axis, scale in zip(axes, array.ravel(), strict=False):
            found[axis] = float(scale)
    return found


def _matrix(node: Node, have: int, made: int, scale: float | None) -> NDArray[np.float64]:
    """(made, have): what each new place takes of each old one."""
    scale = made / have if scale is None else scale
    kind = node.get("coordinate_transformation_mode", "half_pixel")
    if node.op == "Upsample":
        kind = "asymmetric"
    matrix = np.zeros((made, have))
    for i in range(made):
        x = _place(kind, i, have, made, scale)
        if node.get("mode", "nearest") == "nearest":
            way = "floor" if node.op == "Upsample" else node.get("nearest_mode", "")
            matrix[i, min(max(_nearest(way, x), 0), have - 1)] = 1
            continue
        x = min(max(x, 0.0), have - 1.0)
        low = min(math.floor(x), have - 1)
        high = min(low + 1, have - 1)
        matrix[i, low] += 1 - (x - low)
        matrix[i, high] += x - low
    return matrix


def _place(kind: str, i: int, have: int, made: int, scale: float) -> float:
    """Where the new place i lies among the old ones."""
    # The runtime counts in float32, which decides where two places are equally near.
    if kind == "asymmetric":
        return float(np.float32(i) / np.float32(scale))
    if kind == "align_corners":
        return 0.0 if made == 1 else i * (have - 1) / (made - 1)
    if kind == "half_pixel" or (kind == "pytorch_half_pixel" and made > 1):
        return float((np.float32(i) + np.float32(0.5)) / np.float32(scale) - np.float32(0.5))
    if kind == "pytorch_half_pixel":
        return 0.0
    if kind == "half_pixel_symmetric":
        exact = scale * have
        offset = have / 2 * (1 - made / exact)
        return offset + (i + 0.5) / scale - 0.5
    raise UnsupportedError(f"coordinates by {kind} have no gradient here")


def _nearest(way: str, x: float) -> int:
    if way == "floor":
        return math.floor(x)
    if way == "ceil":
        return math.ceil(x)
    if way == "round_prefer_ceil":
        return math.floor(x + 0.5)
    return math.ceil(x - 0.5)
