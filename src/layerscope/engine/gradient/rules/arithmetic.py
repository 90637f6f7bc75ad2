"""Ops of several values that are repeated to one shape; the gradient is summed back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape


def _back(t: Tape, node: Node, gradients: Sequence[str]) -> dict[int, str]:
    """Each gradient summed over what its input was repeated along."""
    dims = t.shape(node.y)
    return {
        i: t.unbroadcast(dx, node.inputs[i], dims)
        for i, dx in enumerate(gradients)
        if i in node.wanted
    }


@rule("Add")
def add(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy for both."""
    return _back(t, node, (dy, dy))


@rule("Sub")
def sub(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy and -dy."""
    return _back(t, node, (dy, t.op("Neg", dy) if 1 in node.wanted else dy))


@rule("Mul")
def mul(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy b and dy a."""
    a, b = node.inputs
    return _back(t, node, (t.mul(dy, b), t.mul(dy, a)))


@rule("Div")
def div(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy / b and -dy y / b."""
    share = t.div(dy, node.inputs[1])
    other = t.op("Neg", t.mul(share, node.y)) if 1 in node.wanted else share
    return _back(t, node, (share, other))


@rule("Pow")
def power(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy b a^(b - 1), and 0 where b is 0; the exponent: dy y log(a), and 0 where a <= 0."""
    a, b = node.inputs
    found = {}
    exponent = t.array(b)
    if 0 in node.wanted:
        if exponent is not None and exponent.size == 1:
            number = float(exponent.reshape(-1)[0])
            found[0] = _fixed_power(t, node, dy, number)
        else:
            own = t.op("CastLike", b, a)
            less = t.op("Pow", a, t.sub(own, t.constant(1.0, a)))
            slope = t.mul(own, less)
            nothing = t.op("Equal", own, t.constant(0.0, a))
            slope = t.op("Where", nothing, t.constant(0.0, a), slope)
            found[0] = t.mul(dy, slope)
    if 1 in node.wanted:
        above = t.op("Greater", a, t.constant(0.0, a))
        logs = t.op("Log", t.op("Where", above, a, t.constant(1.0, a)))
        found[1] = t.mul(dy, t.mul(node.y, logs))
    return {i: t.unbroadcast(d, node.inputs[i], t.shape(node.y)) for i, d in found.items()}


def _fixed_power(t: Tape, node: Node, dy: str, number: float) -> str:
    a = node.x
    if number == 0:
        return t.mul(dy, t.constant(0.0, a))
    if number == 1:
        return dy
    less = a if number == 2 else t.op("Pow", a, t.constant(number - 1, a))
    return t.mul(dy, t.times(less, number, a))


@rule("Sum")
def sum_(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy for each."""
    return _back(t, node, [dy] * len(node.inputs))


@rule("Mean")
def mean(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy by their number, for each."""
    number = len(node.inputs)
    return _back(t, node, [t.times(dy, 1 / number, node.x)] * number)


@rule("Max", "Min")
def extreme(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy for the one that wins; of the first two equals the second, later ones must be better.

    As in Caffe's Eltwise (eltwise_layer.cpp), which compares the first two with > and the others
    with what was best so far.
    """
    op, better = ("Max", "Greater") if node.op == "Max" else ("Min", "Less")
    best = [node.inputs[0]]
    for each in node.inputs[1:-1]:
        best.append(t.op(op, best[-1], each))
    dims, parts, like = t.shape(node.y), {}, node.x
    for i in range(len(node.inputs) - 1, 0, -1):
        mine = t.op(f"{better}OrEqual" if i == 1 else better, node.inputs[i], best[i - 1])
        parts[i] = t.gate(mine, dy, like)
        dy = t.sub(dy, parts[i])
    parts[0] = dy
    return {
        i: t.unbroadcast(dx, node.inputs[i], dims) for i, dx in parts.items() if i in node.wanted
    }


@rule("Where")
def where(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy for the one that was taken."""
    zero, condition = t.constant(0.0, node.y), node.inputs[0]
    found = {}
    if 1 in node.wanted:
        found[1] = t.op("Where", condition, dy, zero)
    if 2 in node.wanted:
        found[2] = t.op("Where", condition, zero, dy)
    return {i: t.unbroadcast(d, node.inputs[i], t.shape(node.y)) for i, d in found.items()}


@rule("Mod")
def mod(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy for the first; the second has no rule."""
    return _back(t, node, (dy,))


@rule("CumSum")
def cumulative_sum(t: Tape, node: Node, dy: str) -> str:
    """The sum the other way round."""
    return t.op(
        "CumSum", dy, node.inputs[1],
        exclusive=int(node.get("exclusive", 0)), reverse=1 - int(node.get("reverse", 0)),
    )  # fmt: skip


def axes_of(t: Tape, node: Node, position: int = 1) -> list[int]:
    """The axes that a node names, as an input or a setting, counted from the front."""
    rank = t.rank(node.x)
    given = t.ints(node.inputs[position]) if node.has(position) else node.settings.get("axes")
    if given is None:
        return [] if node.get("noop_with_empty_axes", 0) else list(range(rank))
    axes = [int(a) % max(rank, 1) for a in np.asarray(given).ravel()]
    if not axes and not node.get("noop_with_empty_axes", 0):
        return list(range(rank))
    return sorted(axes)
