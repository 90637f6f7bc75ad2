"""Numbers to codes and back: QuantizeLinear and DequantizeLinear of the ONNX operator reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerscope.measure.explain.registry import (
    Floats,
    NoArithmeticError,
    Node,
    Places,
    Reading,
    Terms,
    rule,
)


def _own(node: Node, position: int, where: Places) -> Floats:
    """The scale or zero point of units: one for all, or one for each place of an axis."""
    dims = node.shape(position)
    if not dims or dims == (1,):
        return np.full(len(where[0]) if where else 1, node.whole(position).reshape(-1)[0])
    if len(dims) > 1 or node.attribute("block_size", 0):
        raise NoArithmeticError(f"{node.proto.op_type} with scales of blocks")
    return node.at(position, (where[node.axis(1)],))


@rule("DequantizeLinear")
def decoded(node: Node, where: Places) -> Reading:
    """(code - zero point) * scale."""
    x = Terms(node.inputs[0], where, node.at(0, where))
    scale = _own(node, 1, where)
    zero = _own(node, 2, where) if node.has(2) else np.zeros_like(scale)
    result = (x.values - zero) * scale
    formula = "({x} - {zero}) * {scale}" if node.has(2) else "{x} * {scale}"
    return Reading(result, "function", formula, (x,), {"zero": zero, "scale": scale})


@rule("QuantizeLinear")
def coded(node: Node, where: Places) -> Reading:
    """The number by scale, rounded to even, plus zero point, within the type of the codes."""
    kind = _kind_of_codes(node)
    x = Terms(node.inputs[0], where, node.at(0, where))
    scale = _own(node, 1, where)
    zero = _own(node, 2, where) if node.has(2) else np.zeros_like(scale)
    # As engines divide: in the numbers' own precision, which decides what lies halfway.
    quotient = (x.values.astype(np.float32) / scale.astype(np.float32)).astype(np.float64)
    least, most = np.iinfo(kind).min, np.iinfo(kind).max
    result = np.clip(np.rint(quotient) + zero, least, most)
    numbers = {"zero": zero, "scale": scale, "least": float(least), "most": float(most)}
    formula = "{x} / {scale} rounded, plus {zero}, from {least} to {most}"
    size = np.maximum(np.abs(result), np.abs(np.rint(quotient)))
    return Reading(result, "function", formula, (x,), numbers, size)


def _kind_of_codes(node: Node) -> np.dtype[Any]:
    from onnx import helper

    element = (
        node.values.element(node.inputs[2])
        if node.has(2)
        else node.values.element(node.proto.output[0])
    )
    kind = np.dtype(helper.tensor_dtype_to_np_dtype(element))
    if kind.kind not in "iu":
        raise NoArithmeticError("QuantizeLinear to floating point")
    return kind
