"""Smooth functions of one value: sigmoids, exponentials, logarithms, powers."""

from __future__ import annotations

import numpy as np

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder


@layer(
    "BNLL",
    v1="BNLL",
    bottoms=1,
    tops=1,
    source="caffe/src/caffe/layers/bnll_layer.cpp",
)
def bnll(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Give log(1 + exp(x)), the binomial normal log likelihood."""
    return g.op("Softplus", x)


@layer(
    "Exp",
    v1="EXP",
    bottoms=1,
    tops=1,
    param="exp_param",
    source="caffe/src/caffe/layers/exp_layer.cpp",
)
def exp(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Raise a base, e unless given, to the power of scale * x + shift."""
    p = layer.param
    layer.summary = f"{_base(p)} to the power of {_scaled(p)}"
    x = _times(g, x, _log_base(layer, p) * np.float32(p.scale))
    y = g.op("Exp", x)
    if p.shift == 0:
        return y
    with np.errstate(over="ignore"):
        base = np.float32(np.e if p.base == -1 else p.base)
        return _times(g, y, np.power(base, np.float32(p.shift)))


@layer(
    "Log",
    bottoms=1,
    tops=1,
    param="log_param",
    source="caffe/src/caffe/layers/log_layer.cpp",
)
def log(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Take the logarithm of scale * x + shift, to base e unless another is given."""
    p = layer.param
    base = _log_base(layer, p)
    if base == 0:
        raise layer.error("base 1 has no logarithms", "base")
    layer.summary = f"logarithm to base {_base(p)} of {_scaled(p)}"
    return _times(g, g.op("Log", _shifted(g, x, p)), np.float32(1) / base)


@layer(
    "Power",
    v1="POWER",
    bottoms=1,
    tops=1,
    param="power_param",
    source="caffe/src/caffe/layers/power_layer.cpp",
)
def power(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Raise scale * x + shift to a power.

    Where power * scale is 0 the input does not count: every value is shift ** power, or 1 where
    power is 0, whatever the input is (NaN too).
    """
    p = layer.param
    exponent, factor = np.float32(p.power), np.float32(p.scale)
    with np.errstate(all="ignore"):
        ignored = exponent * factor == 0
        value = np.float32(1) if exponent == 0 else np.power(np.float32(p.shift), exponent)
    if ignored:
        layer.summary = f"{value:g} everywhere"
        constant = g.constant(value)
        return g.op("Where", g.op("Equal", x, x), constant, constant)  # only for the shape of x
    layer.summary = f"{_scaled(p)} to the power of {p.power:g}" if p.power != 1 else _scaled(p)
    x = _shifted(g, x, p)
    return x if p.power == 1 else g.op("Pow", x, g.constant(exponent, "power"))


@layer(
    "Sigmoid",
    v1="SIGMOID",
    bottoms=1,
    tops=1,
    param="sigmoid_param",
    source="caffe/src/caffe/layers/sigmoid_layer.cpp",
)
def sigmoid(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Bring into 0 .. 1: 1 / (1 + exp(-x))."""
    return g.op("Sigmoid", x)


@layer(
    "Swish",
    bottoms=1,
    tops=1,
    param="swish_param",
    source="caffe/src/caffe/layers/swish_layer.cpp",
)
def swish(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Multiply by the sigmoid of beta * x."""
    layer.summary = f"beta {layer.param.beta:g}"
    return g.op("Mul", x, g.op("Sigmoid", _times(g, x, layer.param.beta)))


@layer(
    "TanH",
    v1="TANH",
    bottoms=1,
    tops=1,
    param="tanh_param",
    source="caffe/src/caffe/layers/tanh_layer.cpp",
)
def tanh(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Bring into -1 .. 1: the hyperbolic tangent."""
    return g.op("Tanh", x)


def _log_base(layer: LayerSpec, p: Message) -> np.float32:
    """The logarithm of a base; -1 stands for e, whose logarithm is 1 exactly.

    Raises:
        ReadError: the base is not a positive finite number.
    """
    if p.base == -1:
        return np.float32(1)
    if not 0 < p.base < np.inf:
        raise layer.error(f"base {p.base:g} must be positive and finite, or -1 for e", "base")
    return np.float32(np.log(np.float32(p.base)))


def _base(p: Message) -> str:
    return "e" if p.base == -1 else f"{p.base:g}"


def _scaled(p: Message) -> str:
    """What goes in, as people write it: x, 2 x, (2 x - 1)."""
    text = "x" if p.scale == 1 else f"{p.scale:g} x"
    return text if p.shift == 0 else f"({text} {'-' if p.shift < 0 else '+'} {abs(p.shift):g})"


def _shifted(g: GraphBuilder, x: str, p: Message) -> str:
    """Scale and shift; a factor of 1 and a shift of 0 need no node."""
    x = _times(g, x, p.scale)
    return x if p.shift == 0 else g.op("Add", x, g.constant(float(p.shift), "shift"))


def _times(g: GraphBuilder, x: str, factor: float | np.float32) -> str:
    return x if factor == 1 else g.op("Mul", x, g.constant(float(factor), "scale"))
