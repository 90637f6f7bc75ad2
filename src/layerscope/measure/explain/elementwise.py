"""Functions of one number, or of a few at the same place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from layerscope.measure.explain.registry import (
    Floats,
    NoArithmeticError,
    Node,
    Places,
    Reading,
    Terms,
    column,
    placed,
    rule,
)

_FLOATING = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


_OF_SEVERAL: dict[str, Callable[[Floats], Any]] = {
    "Max": lambda x: x.max(axis=0),
    "Min": lambda x: x.min(axis=0),
    "Sum": lambda x: x.sum(axis=0),
    "Mean": lambda x: x.mean(axis=0),
}


class _Function(NamedTuple):
    formula: str
    compute: Callable[..., Any]
    attributes: Mapping[str, float] = {}
    """Names of attributes that the formula and the function use, with ONNX's defaults."""


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Floats) -> Floats:
    return np.logaddexp(0, x)


def _round_half_even(x: Floats) -> Floats:
    return np.rint(x)


_OF_ONE: dict[str, _Function] = {
    "Relu": _Function("max(0, {x})", lambda x: np.maximum(x, 0)),
    "LeakyRelu": _Function(
        "{x} if it is at least 0, else {alpha} * {x}",
        lambda x, alpha: np.where(x >= 0, x, alpha * x), {"alpha": 0.01},
    ),
    "Elu": _Function(
        "{x} if it is above 0, else {alpha} * (exp({x}) - 1)",
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), {"alpha": 1.0},
    ),
    "Sigmoid": _Function("1 / (1 + exp(-({x})))", _sigmoid),
    "HardSigmoid": _Function(
        "max(0, min(1, {alpha} * {x} + {beta}))",
        lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1), {"alpha": 0.2, "beta": 0.5},
    ),
    "HardSwish": _Function(
        "{x} * max(0, min(1, {x} / 6 + 0.5))", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)
    ),
    "Mish": _Function(
        "{x} * tanh(log(1 + exp({x})))", lambda x: x * np.tanh(_softplus(x))
    ),
    "Tanh": _Function("tanh({x})", np.tanh),
    **{name.title(): _Function(f"{words}({{x}})", function) for name, words, function in (
        ("sin", "sin", np.sin), ("cos", "cos", np.cos), ("tan", "tan", np.tan),
        ("asin", "arcsin", np.arcsin), ("acos", "arccos", np.arccos),
        ("atan", "arctan", np.arctan), ("sinh", "sinh", np.sinh), ("cosh", "cosh", np.cosh),
        ("asinh", "arsinh", np.arcsinh), ("acosh", "arcosh", np.arccosh),
        ("atanh", "artanh", np.arctanh), ("erf", "erf", np.vectorize(math.erf, otypes="d")),
    )},
    "Celu": _Function(
        "max(0, {x}) + min(0, {alpha} * (exp({x} / {alpha}) - 1))",
        lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)),
        {"alpha": 1.0},
    ),
    "Selu": _Function(
        "{gamma} * ({x} if it is above 0, else {alpha} * (exp({x}) - 1))",
        lambda x, alpha, gamma: gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    ),
    "ThresholdedRelu": _Function(
        "{x} if it is above {alpha}, else 0",
        lambda x, alpha: np.where(x > alpha, x, 0), {"alpha": 1.0},
    ),
    "Softsign": _Function("{x} / (1 + |{x}|)", lambda x: x / (1 + np.abs(x))),
    "Swish": _Function(
        "{x} / (1 + exp(-{alpha} * {x}))", lambda x, alpha: x * _sigmoid(alpha * x), {"alpha": 1.0}
    ),
    "Shrink": _Function(
        "{x} + {bias} below -{lambd}, {x} - {bias} above {lambd}, 0 between",
        lambda x, bias, lambd: np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0)),
        {"bias": 0.0, "lambd": 0.5},
    ),
    "Softplus": _Function("log(1 + exp({x}))", _softplus),
    "Abs": _Function("|{x}|", np.abs),
    "Neg": _Function("-({x})", np.negative),
    "Exp": _Function("exp({x})", np.exp),
    "Log": _Function("log({x})", np.log),
    "Sqrt": _Function("sqrt({x})", np.sqrt),
    "Reciprocal": _Function("1 / {x}", lambda x: 1 / x),
    "Sign": _Function("sign of {x}", np.sign),
    "Floor": _Function("{x} rounded down", np.floor),
    "Ceil": _Function("{x} rounded up", np.ceil),
    "Round": _Function("{x} rounded", _round_half_even),
    "Not": _Function("not {x}", lambda x: (x == 0).astype(np.float64)),
}  # fmt: skip

_OF_TWO: dict[str, _Function] = {
    "Add": _Function("{a} + {b}", np.add),
    "Sub": _Function("{a} - {b}", np.subtract),
    "Mul": _Function("{a} * {b}", np.multiply),
    "Div": _Function("{a} / {b}", np.divide),
    "Pow": _Function("{a} ^ {b}", np.power),
    "PRelu": _Function(
        "{a} if it is above 0, else {b} * {a}", lambda a, b: np.where(a > 0, a, a * b)
    ),
    "Greater": _Function("1 if {a} > {b}, else 0", np.greater),
    "GreaterOrEqual": _Function("1 if {a} >= {b}, else 0", np.greater_equal),
    "Less": _Function("1 if {a} < {b}, else 0", np.less),
    "LessOrEqual": _Function("1 if {a} <= {b}, else 0", np.less_equal),
    "Equal": _Function("1 if {a} = {b}, else 0", np.equal),
    "And": _Function("{a} and {b}", lambda a, b: (a != 0) & (b != 0)),
    "Or": _Function("{a} or {b}", lambda a, b: (a != 0) | (b != 0)),
    "Xor": _Function("{a} or {b}, not both", lambda a, b: (a != 0) ^ (b != 0)),
}


def _operand(node: Node, position: int, where: Places, role: str, *, leads: bool = True) -> Terms:
    index = placed(node, position, where)
    count = len(where[0]) if where else 1
    numbers = np.broadcast_to(node.at(position, index), (count,))
    return Terms(node.inputs[position], index, numbers, role=role, leads=leads)


def _size(node: Node, result: Floats, terms: tuple[Terms, ...]) -> Floats | None:
    """Where numbers are added, the error is measured by them; else by the result."""
    if node.proto.op_type not in ("Add", "Sub", "Sum", "Mean"):
        return None
    sizes: Floats = np.add.reduce([np.abs(t.values) for t in terms])
    return sizes


@rule(*_OF_ONE)
def of_one(node: Node, where: Places) -> Reading:
    """A function of the number at the same place."""
    function = _OF_ONE[node.proto.op_type]
    x = _operand(node, 0, where, "x")
    constants = {k: float(node.attribute(k, v)) for k, v in function.attributes.items()}
    result = np.asarray(function.compute(x.values, **constants), np.float64)
    size = None
    if node.proto.op_type in (
        "Elu",
        "Celu",
        "Selu",
    ):  # near zero two numbers near one are taken from each other
        ones = np.abs(constants["alpha"]) * (1 + np.exp(np.minimum(x.values, 0)))
        size = np.where(x.values > 0, np.abs(x.values), ones)
    return Reading(result, "function", function.formula, (x,), constants, size)


@rule("Gelu")
def gelu(node: Node, where: Places) -> Reading:
    """X by the share of the normal distribution that lies below it, or by its tanh form."""
    x = _operand(node, 0, where, "x")
    if node.attribute("approximate", b"none") == b"tanh":
        inner = math.sqrt(2 / math.pi) * (x.values + 0.044715 * x.values**3)
        formula = "{x} / 2 * (1 + tanh({inner}))"
        result = x.values / 2 * (1 + np.tanh(inner))
        return Reading(result, "function", formula, (x,), {"inner": inner}, np.abs(x.values))
    share = (1 + np.vectorize(math.erf, otypes="d")(x.values / math.sqrt(2))) / 2
    formula = "{x} * {share}, the part of the normal distribution below it"
    return Reading(x.values * share, "function", formula, (x,), {"share": share}, np.abs(x.values))


@rule(*_OF_TWO)
def of_two(node: Node, where: Places) -> Reading:
    """A function of two numbers; one of them may serve many places."""
    function = _OF_TWO[node.proto.op_type]
    # A factor, a divisor or an exponent says how much of the other comes through.
    equal = node.proto.op_type in ("Add", "Sub") or node.values.constant(node.inputs[0])
    a = _operand(node, 0, where, "a")
    b = _operand(node, 1, where, "b", leads=equal)
    result = np.asarray(function.compute(a.values, b.values), np.float64)
    if node.proto.op_type == "Div" and _is_whole(node):
        result = np.trunc(result)
    return Reading(result, "function", function.formula, (a, b), {}, _size(node, result, (a, b)))


def _is_whole(node: Node) -> bool:
    return node.values.element(node.inputs[0]) not in _FLOATING


@rule("Mod")
def mod(node: Node, where: Places) -> Reading:
    """The remainder, with the sign of the divisor; with that of the number where fmod is set."""
    a, b = _operand(node, 0, where, "a"), _operand(node, 1, where, "b")
    compute = np.fmod if node.attribute("fmod", 0) else np.mod
    return Reading(compute(a.values, b.values), "function", "remainder of {a} / {b}", (a, b))


@rule("Max", "Min", "Sum", "Mean")
def of_several(node: Node, where: Places) -> Reading:
    """The largest, smallest, sum or mean of numbers at the same place."""
    roles = [chr(ord("a") + i) if i < 26 else f"x{i}" for i in range(len(node.inputs))]
    found = [_operand(node, i, where, role) for i, role in enumerate(roles)]
    stack = np.stack([each.values for each in found])
    op = node.proto.op_type
    result = _OF_SEVERAL[op](stack)
    if op in ("Max", "Min"):
        won = stack.argmax(axis=0) if op == "Max" else stack.argmin(axis=0)
        terms = tuple(
            Terms(t.source, t.index, t.values, role=t.role, leads=bool(won[0] == i))
            for i, t in enumerate(found)
        )
    else:
        terms = tuple(found)
    names = ", ".join(f"{{{role}}}" for role in roles[:6]) + (", ..." if len(roles) > 6 else "")
    verb = {"Max": "largest of", "Min": "smallest of", "Sum": "sum of", "Mean": "mean of"}[op]
    return Reading(result, "function", f"{verb} {names}", terms, {}, _size(node, result, terms))


@rule("Where")
def where_(node: Node, where: Places) -> Reading:
    """One of two numbers, as a condition says."""
    condition = _operand(node, 0, where, "condition", leads=False)
    chosen = condition.values != 0
    a = _operand(node, 1, where, "a", leads=bool(chosen[0]))
    b = _operand(node, 2, where, "b", leads=not chosen[0])
    formula = "{a} if {condition} is not 0, else {b}"
    return Reading(np.where(chosen, a.values, b.values), "function", formula, (a, b, condition))


@rule("Clip")
def clip(node: Node, where: Places) -> Reading:
    """A number held between two."""
    x = _operand(node, 0, where, "x")
    least = float(node.whole(1)) if node.has(1) else -np.inf
    most = float(node.whole(2)) if node.has(2) else np.inf
    result = np.minimum(np.maximum(x.values, least), most)
    formula = "min({most}, max({least}, {x}))"
    return Reading(result, "function", formula, (x,), {"least": least, "most": most})


@rule("Cast", "CastLike")
def cast(node: Node, where: Places) -> Reading:
    """The same number in another type: whole numbers lose what is behind the point."""
    x = _operand(node, 0, where, "x")
    like = node.proto.op_type == "CastLike"
    to = node.values.element(node.inputs[1]) if like else node.attribute("to", TensorProto.FLOAT)
    if to in _FLOATING:
        return Reading(x.values, "copy", "{x}", (x,))
    if to == TensorProto.BOOL:
        result = (x.values != 0).astype(np.float64)
        return Reading(result, "function", "1 if {x} is not 0, else 0", (x,))
    return Reading(np.trunc(x.values), "function", "{x} without what is behind the point", (x,))


@rule("BatchNormalization")
def batch_normalization(node: Node, where: Places) -> Reading:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with the statistics of the channel."""
    if node.attribute("training_mode", 0):
        raise NoArithmeticError("BatchNormalization in training")
    channel = (where[1] if len(where) > 1 else where[0],)
    x = Terms(node.inputs[0], where, node.at(0, where))
    gamma, beta, mean, variance = (node.at(i, channel) for i in (1, 2, 3, 4))
    epsilon = float(node.attribute("epsilon", 1e-5))
    deviation = np.sqrt(variance + epsilon)
    result = (x.values - mean) / deviation * gamma + beta
    numbers = {
        "mean": mean, "variance": variance, "epsilon": epsilon, "deviation": deviation,
        "gamma": gamma, "beta": beta,
    }  # fmt: skip
    formula = "({x} - {mean}) / {deviation} * {gamma} + {beta}"
    size = (np.abs(x.values) + np.abs(mean)) * np.abs(gamma / deviation) + np.abs(beta)
    return Reading(result, "function", formula, (x,), numbers, size)


@rule("Softmax", "LogSoftmax")
def softmax(node: Node, where: Places) -> Reading:
    """exp(x) by the sum of exp over the axis; the largest is taken off first, as engines do."""
    axis = node.axis(-1)
    along = np.arange(node.shape()[axis])[None]
    index = tuple(along if i == axis else each[:, None] for i, each in enumerate(where))
    logits = node.at(0, index)
    highest = logits.max(axis=1)
    powers = np.exp(logits - column(highest, 1))
    summed = powers.sum(axis=1)
    x = Terms(node.inputs[0], where, node.at(0, where))
    power = np.exp(x.values - highest)
    rivals = Terms(node.inputs[0], index, logits, role="rival", parts=powers, leads=False)
    numbers = {"highest": highest, "power": power, "sum": summed, "of": logits.shape[1]}
    if node.proto.op_type == "LogSoftmax":
        result = x.values - highest - np.log(summed)
        formula = "{x} - {highest} - log({sum})"
        return Reading(result, "softmax", formula, (x, rivals), numbers)
    formula = "exp({x} - {highest}) / sum over {of} = {power} / {sum}"
    return Reading(power / summed, "softmax", formula, (x, rivals), numbers)
