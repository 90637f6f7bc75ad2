"""Functions of one value.

At a corner the gradient is Caffe's: 0 for a rectifier at 0, 1 for Clip at its limits.
"""

from __future__ import annotations

import math

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape

_SELU = (1.67326319217681884765625, 1.05070102214813232421875)


def _positive(t: Tape, x: str) -> str:
    return t.op("Greater", x, t.constant(0.0, x))


@rule("Relu")
def relu(t: Tape, node: Node, dy: str) -> str:
    """Give dy where x > 0, else 0."""
    return t.gate(_positive(t, node.y), dy, node.y)


@rule("LeakyRelu")
def leaky_relu(t: Tape, node: Node, dy: str) -> str:
    """Give dy where x > 0, alpha dy elsewhere."""
    alpha = float(node.get("alpha", 0.01))
    slope = t.op("Cast", _positive(t, node.x), to=t.type(node.x))
    slope = t.add(t.times(slope, 1 - alpha, node.x), t.constant(alpha, node.x))
    return t.mul(dy, slope)


@rule("PRelu")
def prelu(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Give dy where x > 0, slope dy elsewhere; slope: dy x where x <= 0."""
    x, slope = node.inputs
    positive, dims = _positive(t, x), t.shape(node.y)
    dx = t.op("Where", positive, dy, t.mul(dy, slope))
    found = {0: t.unbroadcast(dx, x, dims)}
    if 1 in node.wanted:
        below = t.mul(dy, t.op("Min", x, t.constant(0.0, x)))
        found[1] = t.unbroadcast(below, slope, dims)
    return found


@rule("ThresholdedRelu")
def thresholded_relu(t: Tape, node: Node, dy: str) -> str:
    """Give dy where x > alpha, else 0."""
    above = t.op("Greater", node.x, t.constant(float(node.get("alpha", 1.0)), node.x))
    return t.gate(above, dy, node.x)


@rule("Elu")
def elu(t: Tape, node: Node, dy: str) -> str:
    """Give dy where x > 0, dy (y + alpha) elsewhere."""
    slope = t.add(node.y, t.constant(float(node.get("alpha", 1.0)), node.x))
    return t.op("Where", _positive(t, node.x), dy, t.mul(dy, slope))


@rule("Celu")
def celu(t: Tape, node: Node, dy: str) -> str:
    """Give dy where x > 0, dy exp(x / alpha) elsewhere."""
    alpha = float(node.get("alpha", 1.0))
    slope = t.add(t.times(node.y, 1 / alpha, node.x), t.constant(1.0, node.x))
    return t.op("Where", _positive(t, node.x), dy, t.mul(dy, slope))


@rule("Selu")
def selu(t: Tape, node: Node, dy: str) -> str:
    """Give dy gamma where x > 0, dy (y + alpha gamma) elsewhere."""
    alpha, gamma = float(node.get("alpha", _SELU[0])), float(node.get("gamma", _SELU[1]))
    slope = t.add(node.y, t.constant(alpha * gamma, node.x))
    return t.op("Where", _positive(t, node.x), t.times(dy, gamma, node.x), t.mul(dy, slope))


@rule("Clip")
def clip(t: Tape, node: Node, dy: str) -> str:
    """Give dy where min <= x <= max, else 0."""
    if node.has(1):
        dy = t.gate(t.op("GreaterOrEqual", node.x, node.inputs[1]), dy, node.x)
    if node.has(2):
        dy = t.gate(t.op("LessOrEqual", node.x, node.inputs[2]), dy, node.x)
    return dy


@rule("Sigmoid")
def sigmoid(t: Tape, node: Node, dy: str) -> str:
    """Give dy y (1 - y)."""
    return t.mul(dy, t.mul(node.y, t.sub(t.constant(1.0, node.x), node.y)))


@rule("HardSigmoid")
def hard_sigmoid(t: Tape, node: Node, dy: str) -> str:
    """Give alpha dy where 0 < y < 1, else 0."""
    alpha = float(node.get("alpha", 0.2))
    inside = t.op("And", _positive(t, node.y), t.op("Less", node.y, t.constant(1.0, node.x)))
    return t.gate(inside, t.times(dy, alpha, node.x), node.x)


@rule("HardSwish")
def hard_swish(t: Tape, node: Node, dy: str) -> str:
    """0 where x <= -3, dy where x >= 3, dy (x / 3 + 1 / 2) between."""
    x = node.x
    slope = t.add(t.times(x, 1 / 3, x), t.constant(0.5, x))
    slope = t.op("Where", t.op("Less", x, t.constant(3.0, x)), slope, t.constant(1.0, x))
    return t.gate(t.op("Greater", x, t.constant(-3.0, x)), t.mul(dy, slope), x)


@rule("Mish")
def mish(t: Tape, node: Node, dy: str) -> str:
    """Give dy (tanh(s) + x sigmoid(x) (1 - tanh(s)^2)), s the softplus of x."""
    x = node.x
    bent = t.op("Tanh", t.op("Softplus", x))
    rest = t.sub(t.constant(1.0, x), t.mul(bent, bent))
    return t.mul(dy, t.add(bent, t.mul(t.mul(x, t.op("Sigmoid", x)), rest)))


@rule("Softplus")
def softplus(t: Tape, node: Node, dy: str) -> str:
    """Give dy sigmoid(x)."""
    return t.mul(dy, t.op("Sigmoid", node.x))


@rule("Softsign")
def softsign(t: Tape, node: Node, dy: str) -> str:
    """Give dy / (1 + abs(x))^2."""
    base = t.add(t.op("Abs", node.x), t.constant(1.0, node.x))
    return t.div(dy, t.mul(base, base))


@rule("Tanh")
def tanh(t: Tape, node: Node, dy: str) -> str:
    """Give dy (1 - y^2)."""
    return t.mul(dy, t.sub(t.constant(1.0, node.x), t.mul(node.y, node.y)))


@rule("Erf")
def erf(t: Tape, node: Node, dy: str) -> str:
    """Give dy 2 / sqrt(pi) exp(-x^2)."""
    bell = t.op("Exp", t.op("Neg", t.mul(node.x, node.x)))
    return t.mul(dy, t.times(bell, 2 / math.sqrt(math.pi), node.x))


@rule("Gelu")
def gelu(t: Tape, node: Node, dy: str) -> str:
    """Give dy (P(x) + x p(x)) with the normal distribution; or the derivative of its tanh form."""
    x, half, one = node.x, t.constant(0.5, node.x), t.constant(1.0, node.x)
    if node.get("approximate", "none") == "tanh":
        c = math.sqrt(2 / math.pi)
        square = t.mul(x, x)
        inner = t.mul(x, t.add(t.times(square, 0.044715 * c, x), t.constant(c, x)))
        bent = t.op("Tanh", inner)
        slope = t.add(t.times(square, 3 * 0.044715 * c, x), t.constant(c, x))
        rest = t.mul(x, t.mul(slope, t.sub(one, t.mul(bent, bent))))
        return t.mul(dy, t.mul(half, t.add(t.add(one, bent), rest)))
    share = t.mul(half, t.add(one, t.op("Erf", t.times(x, math.sqrt(0.5), x))))
    bell = t.op("Exp", t.times(t.mul(x, x), -0.5, x))
    density = t.times(t.mul(x, bell), 1 / math.sqrt(2 * math.pi), x)
    return t.mul(dy, t.add(share, density))


@rule("Exp")
def exp(t: Tape, node: Node, dy: str) -> str:
    """Give dy y."""
    return t.mul(dy, node.y)


@rule("Log")
def log(t: Tape, node: Node, dy: str) -> str:
    """Give dy / x."""
    return t.div(dy, node.x)


@rule("Sqrt")
def sqrt(t: Tape, node: Node, dy: str) -> str:
    """Give dy / (2 y), and 0 where y is 0."""
    offset = float(node.marker.rpartition(" ")[2]) if "offset" in node.marker else 0.0
    root = t.add(node.y, t.constant(offset, node.y)) if offset else node.y
    half = t.div(t.times(dy, 0.5, node.x), root)
    return t.where(_positive(t, node.y), half, node.y)


@rule("Reciprocal")
def reciprocal(t: Tape, node: Node, dy: str) -> str:
    """Give -dy y^2."""
    return t.op("Neg", t.mul(dy, t.mul(node.y, node.y)))


@rule("Abs")
def absolute(t: Tape, node: Node, dy: str) -> str:
    """Give dy times the sign of x, 0 at 0."""
    return t.mul(dy, t.op("Sign", node.x))


@rule("Neg")
def negative(t: Tape, node: Node, dy: str) -> str:
    """Give -dy."""
    return t.op("Neg", dy)


@rule("Sin")
def sin(t: Tape, node: Node, dy: str) -> str:
    """Give dy cos(x)."""
    return t.mul(dy, t.op("Cos", node.x))


@rule("Cos")
def cos(t: Tape, node: Node, dy: str) -> str:
    """Give -dy sin(x)."""
    return t.op("Neg", t.mul(dy, t.op("Sin", node.x)))


@rule("Tan")
def tan(t: Tape, node: Node, dy: str) -> str:
    """Give dy (1 + y^2)."""
    return t.mul(dy, t.add(t.mul(node.y, node.y), t.constant(1.0, node.x)))


@rule("Asin", "Acos")
def arc_sine(t: Tape, node: Node, dy: str) -> str:
    """Give dy / sqrt(1 - x^2), for Acos with the other sign."""
    root = t.op("Sqrt", t.sub(t.constant(1.0, node.x), t.mul(node.x, node.x)))
    share = t.div(dy, root)
    return t.op("Neg", share) if node.op == "Acos" else share


@rule("Atan")
def arc_tangent(t: Tape, node: Node, dy: str) -> str:
    """Give dy / (1 + x^2)."""
    return t.div(dy, t.add(t.mul(node.x, node.x), t.constant(1.0, node.x)))


@rule("Sinh", "Cosh")
def hyperbolic_sine(t: Tape, node: Node, dy: str) -> str:
    """Give dy cosh(x), for Cosh dy sinh(x)."""
    return t.mul(dy, t.op("Cosh" if node.op == "Sinh" else "Sinh", node.x))


@rule("Asinh", "Acosh")
def area_sine(t: Tape, node: Node, dy: str) -> str:
    """Give dy / sqrt(x^2 + 1), for Acosh dy / sqrt(x^2 - 1)."""
    one = t.constant(1.0 if node.op == "Asinh" else -1.0, node.x)
    return t.div(dy, t.op("Sqrt", t.add(t.mul(node.x, node.x), one)))


@rule("Atanh")
def area_tangent(t: Tape, node: Node, dy: str) -> str:
    """Give dy / (1 - x^2)."""
    return t.div(dy, t.sub(t.constant(1.0, node.x), t.mul(node.x, node.x)))


@rule("Identity")
def identity(t: Tape, node: Node, dy: str) -> str:
    """Give dy."""
    return dy


@rule("Dropout")
def dropout(t: Tape, node: Node, dy: str, *_: str) -> str:
    """dy: a net that is looked at does not drop."""
    return dy


@rule("Cast", "CastLike")
def cast(t: Tape, node: Node, dy: str) -> str:
    """Give dy in the type of x; from or to whole numbers, no gradient."""
    return t.op("CastLike", dy, node.x)
