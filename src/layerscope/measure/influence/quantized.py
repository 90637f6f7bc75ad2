"""Ops of quantized nets: codes, and what is computed in them.

An op of ONNX (QLinearConv, ...) or of ONNX Runtime (`com.microsoft`) reads what the op without
codes reads; only its inputs stand in other places, as a scale and a zero point follow each.
"""

from __future__ import annotations

from math import prod

from layerscope.measure.boxes import whole
from layerscope.measure.influence.axes import one_axis, product_of_matrices
from layerscope.measure.influence.rearrangement import joined
from layerscope.measure.influence.step import Rule, Step, along, every, first, rule
from layerscope.measure.influence.windows import convolution, pool


@rule("QuantizeLinear", "DequantizeLinear")
def _coded(step: Step) -> Rule | None:
    return first(lambda box, clip: box) if step.alive == [0] else None


@rule("DynamicQuantizeLinear")
def _scaled_by_the_largest(step: Step) -> Rule:
    """The scale is that of the smallest and the largest number, so each code depends on all."""
    dims = step.dims[0]
    return first(lambda box, clip: whole(dims))


@rule("MatMulInteger", "ConvInteger")
def _whole_numbers(step: Step) -> Rule | None:
    """As on numbers; a zero point that is computed is one number for all."""
    computed = [i for i in step.alive if i >= 2]
    if any(prod(step.dims[i]) > 1 for i in computed):
        return None
    step.alive = [i for i in step.alive if i < 2]
    made = product_of_matrices(step, (0, 1)) if "MatMul" in step.kind else convolution(step)
    if made is None:
        return None
    zeros = [(i, whole(step.dims[i]), True) for i in computed]
    return lambda box, clip, output=0: [*made(box, clip, output), *zeros]


@rule("QLinearMatMul")
def _matmul(step: Step) -> Rule | None:
    return product_of_matrices(step, (0, 3))


@rule("QLinearSoftmax")
def _softmax(step: Step) -> Rule | None:
    return one_axis(step)


@rule("QLinearAveragePool")
def _average(step: Step) -> Rule | None:
    return None if step.get("channels_last", 0) else pool(step)


@rule("QLinearGlobalAveragePool")
def _each_map(step: Step) -> Rule | None:
    if step.get("channels_last", 0) or step.alive != [0]:
        return None
    dims = step.dims[0]
    return along(step, {i: every(dims[i]) for i in range(2, len(dims))})


@rule("QLinearConcat")
def _concat(step: Step) -> Rule | None:
    """(scale, zero point), then array, scale and zero point of each part."""
    parts = range(2, len(step.inputs), 3)
    return joined(step, parts) if all(i in parts for i in step.alive) else None
