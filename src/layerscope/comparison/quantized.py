"""Blobs that hold codes instead of numbers: what each code means.

A quantized net (ONNX) holds some blobs as int8 or uint8; the number is scale * (code - zero point),
https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html.  The scale stands at the op that writes
the blob, and ops that only move or compare numbers pass codes on as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from layerscope.net import Net

# Where an op has the scale and the zero point of what it writes, counted from 0.
_PLACES = {
    "QuantizeLinear": (1, 2),
    "QLinearConv": (6, 7),
    "QLinearMatMul": (6, 7),
    "QGemm": (7, 8),
    "QLinearAdd": (6, 7),
    "QLinearMul": (6, 7),
    "QLinearConcat": (0, 1),
    "QLinearSigmoid": (3, 4),
    "QLinearLeakyRelu": (3, 4),
    "QLinearSoftmax": (3, 4),
    "QLinearAveragePool": (3, 4),
    "QLinearGlobalAveragePool": (3, 4),
}
_PASSED_ON = ("MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity",
              "Slice", "Split", "Gather", "Pad", "Relu")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Codes:
    """The meaning of the codes of one value.

    Attributes:
        scale, zero: a number is scale * (code - zero).
        clips: whether no code is below the zero point, so that a ReLU is in it.
    """

    scale: float
    zero: int
    clips: bool

    def numbers(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Codes as numbers, float32."""
        found: NDArray[Any] = (codes.astype(np.float32) - np.float32(self.zero)) * np.float32(
            self.scale
        )
        return found


def codes_of(net: Net) -> Mapping[str, Codes]:
    """Value to the meaning of its codes, where all of it has one scale."""
    found: dict[str, Codes] = {}
    tensors = net.graph.tensors
    for node in net.graph.nodes:
        places = _PLACES.get(node.op_type)
        if places is None:
            if node.op_type in _PASSED_ON and node.input and node.input[0] in found:
                found.update(dict.fromkeys(node.output, found[node.input[0]]))
            continue
        scale, zero = (
            tensors.get(node.input[at]) if at < len(node.input) else None for at in places
        )
        if scale is None or scale.size != 1 or (zero is not None and zero.size != 1):
            continue
        point = 0 if zero is None else int(zero.reshape(-1)[0])
        kind = np.dtype(np.uint8) if zero is None else zero.dtype
        lowest = int(np.iinfo(kind).min) if kind.kind in "iu" else 0
        codes = Codes(float(scale.reshape(-1)[0]), point, point == lowest)
        found.update(dict.fromkeys(node.output, codes))
    return found


# Where an op reads weights in codes, their scale and zero point, and the axis of the scales.
_WEIGHTS = {
    "DequantizeLinear": (0, 1, 2, 1),
    "QLinearConv": (3, 4, 5, 0),
    "QLinearMatMul": (3, 4, 5, -1),
    "QGemm": (3, 4, 5, -1),
}


def decoded_weights(net: Net) -> Mapping[str, NDArray[Any]]:
    """Name of a tensor to its numbers, float32, for those that are held in codes."""
    found: dict[str, NDArray[Any]] = {}
    tensors = net.graph.tensors
    for node in net.graph.nodes:
        *places, axis = _WEIGHTS.get(node.op_type, (0, 0, 0, 0))
        names = [node.input[at] if at < len(node.input) else "" for at in places]
        codes, scale, zero = (tensors.get(name) for name in names)
        if node.op_type not in _WEIGHTS or codes is None or scale is None or names[0] in found:
            continue
        for attribute in node.attribute:
            axis = int(attribute.i) if attribute.name == "axis" else axis
        if scale.size > 1 and (axis >= codes.ndim or scale.size != codes.shape[axis]):
            continue  # scales of blocks
        numbers = codes.astype(np.float32)
        if zero is not None and zero.size in (1, scale.size):
            numbers -= _along(zero, codes.ndim, axis)
        found[names[0]] = numbers * _along(scale, codes.ndim, axis)
        found.update(_bias(node, tensors))
    return {**_of_whole_numbers(net), **found}


def _of_whole_numbers(net: Net) -> dict[str, NDArray[Any]]:
    """The weights of ConvInteger and MatMulInteger: a product behind the op has their scale.

    It multiplies by the scale of the input, which is computed, times that of the weights.
    """
    tensors, found = net.graph.tensors, {}
    readers: dict[str, list[NodeProto]] = {}
    writers: dict[str, NodeProto] = {}
    for node in net.graph.nodes:
        writers.update(dict.fromkeys(node.output, node))
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in net.graph.nodes:
        if node.op_type not in ("ConvInteger", "MatMulInteger"):
            continue
        codes = tensors.get(node.input[1])
        scale = tensors.get(_scale_behind(node, readers, writers))
        zero = tensors.get(node.input[3]) if len(node.input) > 3 else None
        axis = 0 if node.op_type == "ConvInteger" else -1
        if codes is None or scale is None or scale.size not in (1, codes.shape[axis]):
            continue
        numbers = codes.astype(np.float32)
        if zero is not None and zero.size in (1, scale.size):
            numbers -= _along(zero, codes.ndim, axis)
        found[node.input[1]] = numbers * _along(scale, codes.ndim, axis)
    return found


def _scale_behind(
    node: NodeProto, readers: Mapping[str, list[NodeProto]], writers: Mapping[str, NodeProto]
) -> str:
    """The last factor of what the sums of an op are multiplied by; "" where there is none."""
    value = node.output[0]
    for after in readers.get(value, ()):
        if after.op_type == "Cast":
            value = after.output[0]
    for after in readers.get(value, ()):
        factors = [name for name in after.input if name != value]
        if after.op_type == "Mul" and factors:
            product = writers.get(factors[0])
            while product is not None and product.op_type in ("Reshape", "Unsqueeze"):
                product = writers.get(product.input[0])
            if product is not None and product.op_type == "Mul":
                fixed = [name for name in product.input if name not in writers]
                return fixed[0] if fixed else ""
    return ""


def _bias(node: NodeProto, tensors: Mapping[str, NDArray[Any] | None]) -> dict[str, NDArray[Any]]:
    """A bias in codes has no scale of its own: that of the input times that of the weights."""
    at = {"QLinearConv": 8, "QGemm": 6}.get(node.op_type, len(node.input))
    if at >= len(node.input):
        return {}
    codes, one, other = (tensors.get(node.input[i]) for i in (at, 1, 4))
    if codes is None or one is None or other is None or codes.dtype.kind == "f":
        return {}
    return {node.input[at]: (codes * one.astype(np.float64) * other).astype(np.float32)}


def settings_of_codes(net: Net) -> frozenset[str]:
    """The tensors that are scales and zero points: what codes mean, not what was learned."""
    found = set()
    for node in net.graph.nodes:
        places = [*_PLACES.get(node.op_type, ()), *_WEIGHTS.get(node.op_type, ())[1:3]]
        if node.op_type.startswith("QLinear") or node.op_type == "QGemm":
            places += [1, 2] if node.op_type != "QLinearConcat" else []
        if node.op_type in ("ConvInteger", "MatMulInteger"):
            places += [2, 3]
        found |= {node.input[at] for at in places if at < len(node.input) and node.input[at]}
    return frozenset(found)


def _along(values: NDArray[Any], axes: int, axis: int) -> NDArray[Any]:
    """One number, or one for each place of an axis, so that it broadcasts."""
    dims = [1] * axes
    if values.size > 1:
        dims[axis] = values.size
    return values.astype(np.float32).reshape(dims)
