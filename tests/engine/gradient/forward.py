"""Ops by their definition in float64, for those that ONNX's reference evaluator gets wrong."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def lrn(x: Array, size: int, alpha: float, beta: float, bias: float) -> Array:
    """Across channels; `size` is odd."""
    y = np.zeros_like(x)
    half = size // 2
    for c in range(x.shape[1]):
        near = x[:, max(0, c - half) : c + half + 1]
        y[:, c] = x[:, c] / (bias + alpha / size * (near**2).sum(1)) ** beta
    return y


def erf(x: Array) -> Array:
    """Number by number."""
    return np.vectorize(math.erf)(x)


def conv_transpose(x: Array, w: Array, b: Array, group: int = 1, **settings: list[int]) -> Array:
    """Every number of x spread over its filter, then the frame is cut."""
    space = x.shape[2:]
    axes = range(len(space))
    kernel = w.shape[2:]
    one, none = [1] * len(space), [0] * len(space)
    strides, dilations = settings.get("strides", one), settings.get("dilations", one)
    pads = settings.get("pads", none * 2)
    more = settings.get("output_padding", none)
    whole = [(space[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 + more[i]
             for i in axes]  # fmt: skip
    if "output_shape" in settings:
        cut = [whole[i] - settings["output_shape"][i] for i in axes]
        pads = [*(c - c // 2 for c in cut), *(c // 2 for c in cut)]
    outputs = w.shape[1] * group
    y = np.zeros((x.shape[0], outputs, *whole))
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            first = c // (x.shape[1] // group) * w.shape[1]
            for at in np.ndindex(*space):
                for tap in np.ndindex(*kernel):
                    place = tuple(at[i] * strides[i] + tap[i] * dilations[i] for i in axes)
                    for m in range(w.shape[1]):
                        y[(n, first + m, *place)] += x[(n, c, *at)] * w[(c, m, *tap)]
    box = tuple(slice(pads[i], whole[i] - pads[len(space) + i]) for i in axes)
    return y[(slice(None), slice(None), *box)] + b.reshape(-1, *one)
