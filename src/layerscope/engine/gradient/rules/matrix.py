"""Products of matrices and of more axes, and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

import numpy as np

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape


@rule("Gemm")
def gemm(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """A: dy B'; B: A' dy; C: the sum over what it was repeated along."""
    a, b = node.inputs[:2]
    alpha, beta = float(node.get("alpha", 1.0)), float(node.get("beta", 1.0))
    turned_a, turned_b = int(node.get("transA", 0)), int(node.get("transB", 0))
    found = {}
    if 0 in node.wanted:
        if turned_a:
            found[0] = t.op("Gemm", b, dy, alpha=alpha, transA=turned_b, transB=1)
        else:
            found[0] = t.op("Gemm", dy, b, alpha=alpha, transB=1 - turned_b)
    if 1 in node.wanted:
        if turned_b:
            found[1] = t.op("Gemm", dy, a, alpha=alpha, transA=1, transB=turned_a)
        else:
            found[1] = t.op("Gemm", a, dy, alpha=alpha, transA=1 - turned_a)
    if 2 in node.wanted:
        scaled = t.times(dy, beta, node.x)
        found[2] = t.unbroadcast(scaled, node.inputs[2], t.shape(node.y))
    return found


@rule("MatMul")
def matmul(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """A: dy B'; B: A' dy; summed over the matrices that one was used for."""
    a, b = node.inputs
    dims_a, dims_b, dims = list(t.shape(a)), list(t.shape(b)), list(t.shape(node.y))
    # Vectors count as matrices with one row (left) or one column (right).
    if len(dims_a) == 1:
        dims_a = [1, *dims_a]
        dims.insert(len(dims) - (len(dims_b) > 1), 1)
    if len(dims_b) == 1:
        dims_b = [*dims_b, 1]
        dims.append(1)
    if dims != list(t.shape(node.y)):
        dy = t.reshape(dy, dims)
    found = {}
    if 0 in node.wanted:
        right = b if list(t.shape(b)) == dims_b else t.reshape(b, dims_b)
        dx = t.op("MatMul", dy, _turned(t, right, len(dims_b)))
        found[0] = _summed(t, dx, [*dims[:-2], *dims_a[-2:]], a, dims_a)
    if 1 in node.wanted:
        left = a if list(t.shape(a)) == dims_a else t.reshape(a, dims_a)
        dx = t.op("MatMul", _turned(t, left, len(dims_a)), dy)
        found[1] = _summed(t, dx, [*dims[:-2], *dims_b[-2:]], b, dims_b)
    return found


def _turned(t: Tape, value: str, rank: int) -> str:
    return t.op("Transpose", value, perm=[*range(rank - 2), rank - 1, rank - 2])


def _summed(t: Tape, dx: str, dims: list[int], value: str, own: list[int]) -> str:
    """The gradient of `value`, as a matrix of shape `own`, from one of shape `dims`."""
    lead = len(dims) - len(own)
    axes = [*range(lead)]
    axes += [lead + i for i, d in enumerate(own[:-2]) if d == 1 and dims[lead + i] != 1]
    dx = t.sum(dx, axes)
    return dx if not lead and tuple(own) == t.shape(value) else t.reshape_as(dx, value)


@rule("Softmax")
def softmax(t: Tape, node: Node, dy: str) -> str:
    """Give y (dy - the sum of dy y along the axis)."""
    axis = int(node.get("axis", -1)) % t.rank(node.x)
    shares = t.mul(dy, node.y)
    return t.sub(shares, t.mul(node.y, t.sum(shares, [axis])))


@rule("LogSoftmax")
def log_softmax(t: Tape, node: Node, dy: str) -> str:
    """Give dy - softmax(x) times the sum of dy along the axis."""
    axis = int(node.get("axis", -1)) % t.rank(node.x)
    return t.sub(dy, t.mul(t.op("Exp", node.y), t.sum(dy, [axis])))


@rule("Einsum")
def einsum(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Each: the same product with dy in its place, repeated along what was summed of it alone."""
    words = str(node.settings["equation"])
    terms, out = _labels(words, [t.rank(v) for v in node.inputs], t.rank(node.y))
    extents: dict[str, int] = {}
    for term, value in zip(terms, node.inputs, strict=True):
        for letter, extent in zip(term, t.shape(value), strict=True):
            extents[letter] = max(extents.get(letter, 1), extent)
    seed = out
    if not out:  # the runtime takes no term without a letter
        seed = next(letter for letter in ascii_letters if letter not in extents)
        dy = t.reshape(dy, [1])
    found = {}
    for i in node.wanted:
        others = [j for j in range(len(terms)) if j != i]
        there = set(out).union(*(terms[j] for j in others))
        unique = "".join(dict.fromkeys(terms[i]))
        kept = "".join(letter for letter in unique if letter in there)
        left = ",".join([seed, *(terms[j] for j in others)])
        part = t.op("Einsum", dy, *(node.inputs[j] for j in others), equation=f"{left}->{kept}")
        found[i] = _placed(t, part, kept, terms[i], extents, node.inputs[i])
    return found


def _labels(words: str, ranks: Sequence[int], rank: int) -> tuple[list[str], str]:
    """The axes of each term and of the result, a letter each, also where ... stands."""
    left, arrow, out = words.replace(" ", "").partition("->")
    terms = left.split(",")
    free = [letter for letter in ascii_letters if letter not in words]
    spread = max(
        (n - len(term) + 3 for term, n in zip(terms, ranks, strict=True) if "..." in term),
        default=0,
    )
    dots = "".join(free[:spread])

    def written(term: str, n: int) -> str:
        return term.replace("...", dots[spread - (n - len(term) + 3) :])

    found = [written(term, n) for term, n in zip(terms, ranks, strict=True)]
    if not arrow:  # what stands once, in the order of the alphabet
        letters = "".join(terms).replace(".", "")
        out = "".join(sorted(each for each in set(letters) if letters.count(each) == 1))
        return found, dots + out
    return found, written(out, rank)


def _placed(t: Tape, part: str, kept: str, term: str, extents: dict[str, int], value: str) -> str:
    """A gradient over the letters `kept`, on the axes of a term: repeated, or on a diagonal."""
    first = [term.index(letter) for letter in term]
    dims = [extents[letter] for letter in term]
    shape = [
        extents[letter] if letter in kept and first[axis] == axis else 1
        for axis, letter in enumerate(term)
    ]
    part = t.reshape(part, shape)
    if shape != dims:
        part = t.op("Expand", part, t.constant(np.asarray(dims, np.int64)))
    for axis, origin in enumerate(first):
        if axis != origin:
            along = [dims[axis] if i in (axis, origin) else 1 for i in range(len(term))]
            diagonal = np.eye(dims[axis]).reshape(along)
            part = t.mul(part, t.constant(diagonal, value))
    return t.unbroadcast(part, value, dims)
