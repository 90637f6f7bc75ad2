"""LSTM, GRU and RNN by the formulas of ONNX's documentation, image by image, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
BENT: dict[str, Callable[[Array], Array]] = {
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "Relu": lambda x: np.maximum(x, 0),
    "Softsign": lambda x: x / (1 + np.abs(x)),
}


def lstm_step(
    x: Array, state: list[Array], w: dict[str, Array], how: dict[str, Any]
) -> list[Array]:
    hidden, cell = state
    f, g, h = (BENT[name] for name in how["activations"])
    clip = how["clip"]
    gates = w["W"] @ x + w["R"] @ hidden + w["Wb"] + w["Rb"]
    i, o, forget, c = np.split(gates, 4)
    p_i, p_o, p_f = np.split(w["P"], 3)
    i = f(np.clip(i + p_i * cell, -clip, clip))
    forget = 1 - i if how["input_forget"] else f(np.clip(forget + p_f * cell, -clip, clip))
    cell = forget * cell + i * g(np.clip(c, -clip, clip))
    return [f(np.clip(o + p_o * cell, -clip, clip)) * h(cell), cell]


def gru_step(x: Array, state: list[Array], w: dict[str, Array], how: dict[str, Any]) -> list[Array]:
    (hidden,) = state
    f, g = (BENT[name] for name in how["activations"])
    (w_z, w_r, w_h), (r_z, r_r, r_h) = np.split(w["W"], 3), np.split(w["R"], 3)
    (a_z, a_r, a_h), (b_z, b_r, b_h) = np.split(w["Wb"], 3), np.split(w["Rb"], 3)
    z = f(w_z @ x + r_z @ hidden + a_z + b_z)
    r = f(w_r @ x + r_r @ hidden + a_r + b_r)
    old = r * (r_h @ hidden + b_h) if how["linear_before_reset"] else r_h @ (r * hidden) + b_h
    return [(1 - z) * g(w_h @ x + old + a_h) + z * hidden]


def rnn_step(x: Array, state: list[Array], w: dict[str, Array], how: dict[str, Any]) -> list[Array]:
    (f,) = (BENT[name] for name in how["activations"])
    return [f(w["W"] @ x + w["R"] @ state[0] + w["Wb"] + w["Rb"])]


STEPS = {"LSTM": lstm_step, "GRU": gru_step, "RNN": rnn_step}
DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(op: str, given: list[Array | None], settings: dict[str, Any]) -> list[Array]:
    """Y (T, D, N, H), Y_h (D, N, H) and of an LSTM Y_c; `given` is the inputs in ONNX's order."""
    x, weights, recurrences = given[:3]
    bias, lengths, hidden, cell, peep = (*given[3:], *[None] * 5)[:5]
    steps, images, _ = x.shape
    count, _, wide = recurrences.shape
    names = settings.get("activations", DEFAULTS[op] * count)
    each = len(DEFAULTS[op])
    y = np.zeros((steps, count, images, wide))
    ends = [np.zeros((count, images, wide)) for _ in range(2 if op == "LSTM" else 1)]
    for d in range(count):
        both = np.zeros(2 * GATES[op] * wide) if bias is None else bias[d]
        w = {"W": weights[d], "R": recurrences[d]}
        w["P"] = np.zeros(3 * wide) if peep is None else peep[d]
        w["Wb"], w["Rb"] = np.split(both, 2)
        how = {"activations": names[d * each : (d + 1) * each],
               "clip": settings.get("clip", np.inf),
               "input_forget": settings.get("input_forget", 0),
               "linear_before_reset": settings.get("linear_before_reset", 0)}  # fmt: skip
        back = settings.get("direction", "forward") == "reverse" or d == 1
        for n in range(images):
            state = [np.zeros(wide) if s is None else s[d, n] for s in (hidden, cell)][: len(ends)]
            length = steps if lengths is None else lengths[n]
            for i in reversed(range(length)) if back else range(length):
                state = STEPS[op](x[i, n], state, w, how)
                y[i, d, n] = state[0]
            for end, s in zip(ends, state, strict=True):
                end[d, n] = s
    return [y, *ends]
