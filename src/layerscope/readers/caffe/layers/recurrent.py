"""Layers with a memory: what they read is (T, N, ...), T steps of N independent streams.

Caffe builds a net with one part for each step, and so does this module; the number of steps is
fixed.  Caffe without `expose_hidden` goes on from the last state of the call before; here every run
begins with zeros, as the first call does.
Rules: `caffe/src/caffe/layers/recurrent_layer.cpp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from layerscope.errors import LimitError
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import count, plural, shape

MAX_STEPS = 2000


@layer(
    "RNN",
    bottoms=(2, 4),
    tops=(1, 2),
    param="recurrent_param",
    source="caffe/src/caffe/layers/rnn_layer.cpp",
)
def rnn(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Step by step: h = tanh(W_hh (cont h) + W_xh x + b_h), o = tanh(W_ho h + b_o)."""
    parts = _parts(g, layer, bottoms, ("h",), 1)
    size = parts.size
    hidden = layer.weight((size, size), layer.param.weight_filler)
    out = layer.weight((size, size), layer.param.weight_filler)
    bias = layer.weight((size,), layer.param.bias_filler)
    (h,), outputs = parts.states, []
    for x, cont in zip(parts.inputs, parts.conts, strict=True):
        h = g.op("Tanh", g.op("Gemm", g.op("Mul", h, cont), hidden, x, transB=1))
        outputs.append(g.op("Tanh", g.op("Gemm", h, out, bias, transB=1)))
    return parts.tops(g, layer, outputs, [h])


@layer(
    "LSTM",
    bottoms=(2, 5),
    tops=(1, 3),
    param="recurrent_param",
    source="caffe/src/caffe/layers/lstm_layer.cpp",
)
def lstm(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Step by step: gates i, f, o, g = W_hc (cont h) + W_xc x + b_c, then as LSTMUnit."""
    parts = _parts(g, layer, bottoms, ("h", "c"), 4)
    hidden = layer.weight((4 * parts.size, parts.size), layer.param.weight_filler)
    (h, c), outputs = parts.states, []
    for x, cont in zip(parts.inputs, parts.conts, strict=True):
        gates = g.op("Gemm", g.op("Mul", h, cont), hidden, x, transB=1)
        c, h = _unit(g, c, gates, cont)
        outputs.append(h)
    return parts.tops(g, layer, outputs, [h, c])


@layer(
    "LSTMUnit",
    bottoms=3,
    tops=2,
    source="caffe/src/caffe/layers/lstm_unit_layer.cpp",
)
def lstm_unit(g: GraphBuilder, layer: LayerSpec, c: str, gates: str, cont: str) -> tuple[str, ...]:
    """One step: c = cont sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c)."""
    dims, given, marks = g.shape(c), g.shape(gates), g.shape(cont)
    if len(dims) != 3 or dims[0] != 1:
        raise layer.error(f"takes a state (1, N, D), the first bottom is {shape(dims)}")
    if given != (1, dims[1], 4 * dims[2]):
        raise layer.error(f"takes gates {shape((1, dims[1], 4 * dims[2]))}, not {shape(given)}")
    if marks != (1, dims[1]):
        raise layer.error(f"takes cont {shape((1, dims[1]))}, not {shape(marks)}")
    g.free_batch = False  # the first axis is the one step
    layer.summary = plural(dims[2], "cell")
    return _unit(g, c, gates, g.reshape(cont, [1, -1, 1]))


def _unit(g: GraphBuilder, c: str, gates: str, cont: str) -> tuple[str, str]:
    """The next c and h; gates have i, f, o and g behind one another on the last axis."""
    i, f, o, new = g.ops("Split", 4, gates, axis=-1, num_outputs=4)
    kept = g.op("Mul", g.op("Mul", cont, g.op("Sigmoid", f)), c)
    c = g.op("Add", kept, g.op("Mul", g.op("Sigmoid", i), g.op("Tanh", new)))
    return c, g.op("Mul", g.op("Sigmoid", o), g.op("Tanh", c))


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the steps of a recurrent layer work on.

    Attributes:
        size: how many hidden units.
        streams: N.
        inputs: for each step, what x (and the static x) add to the gates, (N, gates * size).
        conts: for each step, 0 where a sequence begins and 1 where it goes on, (N, 1).
        states: what each state is before the first step, (N, size).
    """

    size: int
    streams: int
    inputs: Sequence[str]
    conts: Sequence[str]
    states: Sequence[str]

    def tops(
        self, g: GraphBuilder, layer: LayerSpec, outputs: Sequence[str], last: Sequence[str]
    ) -> tuple[str, ...]:
        """The outputs of all steps as (T, N, size); if asked for, the last states (1, N, size)."""
        whole = g.op("Concat", *outputs, axis=0) if len(outputs) > 1 else outputs[0]
        tops = [g.reshape(whole, [len(outputs), self.streams, self.size])]
        if layer.param.expose_hidden:
            tops += [g.reshape(state, [1, self.streams, self.size]) for state in last]
        return tuple(tops)


def _parts(
    g: GraphBuilder, layer: LayerSpec, bottoms: Sequence[str], states: Sequence[str], gates: int
) -> _Parts:
    """Check the bottoms and prepare what every step needs."""
    p = layer.param
    size = p.num_output
    if size < 1:
        raise layer.error("num_output must be at least 1", "num_output")
    hidden = len(states) if p.expose_hidden else 0
    static = len(bottoms) > 2 + hidden
    _check_count(layer, len(bottoms), hidden)
    steps, streams = _check_shapes(g, layer, bottoms[:3] if static else bottoms[:2])
    g.free_batch = False  # the first axis is time, and each step has nodes of its own
    layer.summary = f"{count(size)} units, {plural(steps, 'step')} of {plural(streams, 'stream')}"
    width = gates * size
    weights = [
        layer.weight((width, prod(g.shape(bottoms[0])[2:])), p.weight_filler),
        layer.weight((width,), p.bias_filler),
    ]
    whole = g.op("Gemm", g.reshape(bottoms[0], [steps * streams, -1]), *weights, transB=1)
    inputs = _steps(g, whole, steps)
    if static:
        fixed = g.reshape(bottoms[2], [streams, -1])
        matrix = layer.weight((width, g.shape(fixed)[1]), p.weight_filler)
        added = g.op("Gemm", fixed, matrix, transB=1)
        inputs = [g.op("Add", each, added) for each in inputs]
    zeros = g.constant(np.zeros((streams, size), np.float32), "begin")
    return _Parts(
        size,
        streams,
        inputs,
        _steps(g, g.reshape(bottoms[1], [steps * streams, 1]), steps),
        [_begin(g, layer, each, (1, streams, size)) for each in bottoms[len(bottoms) - hidden :]]
        if hidden
        else [zeros] * len(states),
    )


def _check_count(layer: LayerSpec, bottoms: int, hidden: int) -> None:
    """With expose_hidden, every state is a bottom and a top of its own."""
    if bottoms - hidden not in (2, 3) or layer.tops != 1 + hidden:
        exposed = f"expose_hidden and {plural(hidden, 'state')}" if hidden else "no expose_hidden"
        raise layer.error(
            f"{plural(bottoms, 'bottom')} and {plural(layer.tops, 'top')}; with {exposed} it takes"
            f" {2 + hidden} or {3 + hidden} bottoms and {plural(1 + hidden, 'top')}"
        )


def _check_shapes(g: GraphBuilder, layer: LayerSpec, bottoms: Sequence[str]) -> tuple[int, int]:
    """T and N, when x, cont and the static x agree on them."""
    dims, marks = g.shape(bottoms[0]), g.shape(bottoms[1])
    if len(dims) < 3:
        raise layer.error(f"takes (T, N, ...) with three axes or more, x is {shape(dims)}")
    if marks != dims[:2]:
        raise layer.error(f"cont must be (T, N), here {shape(dims[:2])}; it is {shape(marks)}")
    for fixed in bottoms[2:]:
        if len(g.shape(fixed)) < 2 or g.shape(fixed)[0] != dims[1]:
            raise layer.error(
                f"the static x must be (N, ...) with N {dims[1]}; it is {shape(g.shape(fixed))}"
            )
    if dims[0] > MAX_STEPS:
        raise LimitError(f"{layer.where()}: {plural(dims[0], 'step')}; the limit is {MAX_STEPS:,}")
    return dims[0], dims[1]


def _begin(g: GraphBuilder, layer: LayerSpec, state: str, wanted: tuple[int, ...]) -> str:
    if g.shape(state) != wanted:
        raise layer.error(f"a hidden state must be {shape(wanted)}, not {shape(g.shape(state))}")
    return g.reshape(state, wanted[1:])


def _steps(g: GraphBuilder, value: str, steps: int) -> list[str]:
    """(T * N, ...) as T values (N, ...)."""
    return g.ops("Split", steps, value, axis=0, num_outputs=steps) if steps > 1 else [value]
