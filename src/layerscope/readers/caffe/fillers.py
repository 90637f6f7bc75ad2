"""What a layer's weights are before training: Caffe's fillers, from a fixed seed.

Rules: `caffe/include/caffe/filler.hpp`.  The distributions are Caffe's; the numbers are not, as
Caffe's own generator is seeded from the clock.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReadError
from layerscope.readers.caffe.message import Message
from layerscope.text import quoted, shape

FILLERS = ("constant", "uniform", "gaussian", "positive_unitball", "xavier", "msra", "bilinear")


def filled(filler: Message, dims: Sequence[int], seed: str) -> NDArray[np.float32]:
    """An array of a shape, filled as a FillerParameter says.

    Args:
        filler: its type and settings.
        dims: the shape.
        seed: the param's name; the same name gives the same numbers.

    Raises:
        ReadError: the filler is not one of Caffe's, or does not fit the shape.
    """
    random = np.random.default_rng(zlib.crc32(seed.encode()))
    kind, size = filler.type, prod(dims)
    if kind == "constant":
        return np.full(dims, filler.value, np.float32)
    if kind == "uniform":
        return random.uniform(filler.min, filler.max, dims).astype(np.float32)
    if kind == "gaussian":
        values = random.standard_normal(dims, np.float32) * np.float32(filler.std)
        values += np.float32(filler.mean)
        if filler.sparse >= 0:  # that many inputs in the mean for each output
            keep = min(1.0, filler.sparse / max(1, dims[0] if dims else 1))
            values *= random.random(dims) < keep
        return values
    if kind == "positive_unitball":
        values = random.random(dims, np.float32).reshape(dims[0], -1)
        values /= values.sum(axis=1, keepdims=True)
        return values.reshape(dims)
    if kind in ("xavier", "msra"):
        fan_in = size / max(1, dims[0] if dims else 1)
        fan_out = size / max(1, dims[1] if len(dims) > 1 else 1)
        fan = {"FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}.get(
            filler.variance_norm, fan_in
        )
        if kind == "xavier":
            edge = sqrt(3 / max(fan, 1))
            return random.uniform(-edge, edge, dims).astype(np.float32)
        return random.standard_normal(dims, np.float32) * np.float32(sqrt(2 / max(fan, 1)))
    if kind == "bilinear":
        return _bilinear(dims)
    raise ReadError(f"{filler.place('type')}: filler {quoted(kind)}; known: {', '.join(FILLERS)}")


def _bilinear(dims: Sequence[int]) -> NDArray[np.float32]:
    """The kernel that makes a deconvolution interpolate."""
    if len(dims) != 4 or dims[2] != dims[3]:
        raise ReadError(f"the bilinear filler needs a square kernel, found {shape(dims)}")
    width = dims[3]
    half = -(-width // 2)
    centre = (width - 1) / (2.0 * half)
    ramp = 1 - np.abs(np.arange(width) / half - centre)
    return np.broadcast_to(np.outer(ramp, ramp), dims).astype(np.float32)
