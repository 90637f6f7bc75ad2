"""Resize: along each axis a matrix says which places make which; the gradient takes it turned."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape, size
from layerscope.errors import UnsupportedError


@rule("Resize")
def resize(t: Tape, node: Node, dy: str) -> str:
    """Give dy by the matrix of each axis: nearest, linear and cubic, any scale."""
    dims, current = t.shape(node.x), list(t.shape(node.y))
    scales = _scales(t, node)
    for axis, (have, made) in enumerate(zip(dims, t.shape(node.y), strict=True)):
        if have == made and scales[axis] in (1, None):
            continue
        matrix = _matrix(node, have, made, scales[axis])
        dy = along_axis(t, dy, current, axis, matrix, node.x)
        current[axis] = have
    return dy


def along_axis(
    t: Tape, dy: str, dims: Sequence[int], axis: int, matrix: NDArray[np.float64], like: str
) -> str:
    """What goes back through a matrix (made, have) that an axis was multiplied by.

    `dims` is the shape of `dy`, whose `axis` is `made` long; `like` is a value of its type.
    """
    made, have = matrix.shape
    lead, rest = size(dims[:axis]), size(dims[axis + 1 :])
    if rest == 1:
        product = t.op("MatMul", t.reshape(dy, [lead, made]), t.constant(matrix, like))
    else:
        rows = t.reshape(dy, [lead, made, rest])
        product = t.op("MatMul", t.constant(matrix.T, like), rows)
    return t.reshape(product, [*dims[:axis], have, *dims[axis + 1 :]])


def _scales(t: Tape, node: Node) -> list[float | None]:
    """The stated scale of each axis; None where a size is stated."""
    rank = t.rank(node.x)
    axes = [int(a) % rank for a in node.get("axes", range(rank))]
    found: list[float | None] = [None] * rank
    if node.has(2):
        array = t.array(node.inputs[2])
        if array is None:
            raise UnsupportedError("its scales are computed, not fixed")
        for axis, scale in zip(axes, array.ravel(), strict=False):
            found[axis] = float(scale)
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch" and node.has(3) and not any(found):  # one scale for all
        sizes, dims = t.ints(node.inputs[3]), t.shape(node.x)
        if sizes is None:
            raise UnsupportedError("its sizes are computed, not fixed")
        least = min if policy == "not_larger" else max
        scale = least(made / dims[axis] for made, axis in zip(sizes, axes, strict=True))
        found = [scale if axis in axes else None for axis in range(rank)]
    return found


def _matrix(node: Node, have: int, made: int, scale: float | None) -> NDArray[np.float64]:
    """(made, have): what each new place takes of each old one."""
    scale = made / have if scale is None else scale
    kind = node.get("coordinate_transformation_mode", "half_pixel")
    mode = node.get("mode", "nearest")
    matrix = np.zeros((made, have))
    for i in range(made):
        x = _place(kind, i, have, made, scale)
        if mode == "nearest":
            way = node.get("nearest_mode", "")
            matrix[i, min(max(_nearest(way, x), 0), have - 1)] = 1
            continue
        wide = max(1.0, 1 / scale) if node.get("antialias", 0) else 1.0
        if mode == "linear" and wide == 1:
            x = min(max(x, 0.0), have - 1.0)
        _share(node, matrix[i], x, wide)
    return matrix


def _share(node: Node, row: NDArray[np.float64], x: float, wide: float) -> None:
    """Add what the old places around x give, the curve drawn out by `wide`, to a row of 0."""
    cubic, have = node.get("mode", "nearest") == "cubic", len(row)
    reach = (2 if cubic else 1) * wide
    near = np.arange(math.floor(x - reach), math.ceil(x + reach) + 1)
    away = np.abs(near - x) / wide
    weights = _cubic(away, float(node.get("cubic_coeff_a", -0.75))) if cubic else 1 - away
    weights = np.where(away < reach / wide, weights, 0.0)
    if node.get("exclude_outside", 0):
        weights = np.where((near >= 0) & (near < have), weights, 0.0)
    np.add.at(row, np.clip(near, 0, have - 1), weights / weights.sum())


def _cubic(away: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """The cubic convolution of Keys (1981), by the distance."""
    near = (a + 2) * away**3 - (a + 3) * away**2 + 1
    far = a * away**3 - 5 * a * away**2 + 8 * a * away - 4 * a
    return np.where(away <= 1, near, far)


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
