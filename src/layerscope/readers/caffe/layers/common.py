"""Inner product, embedding and dropout."""

from __future__ import annotations

from math import prod

import numpy as np

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import INT64, GraphBuilder
from layerscope.text import count, plural, quoted


@layer(
    "InnerProduct",
    v1="INNER_PRODUCT",
    bottoms=1,
    tops=1,
    param="inner_product_param",
    source="caffe/src/caffe/layers/inner_product_layer.cpp",
)
def inner_product(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Weigh every input for every output.  (N, ...) -> (N, num_output), axes before `axis` stay."""
    p = layer.param
    dims = g.shape(x)
    axis = layer.axis(p.axis, dims)
    inputs, outputs = prod(dims[axis:]), p.num_output
    if outputs < 1:
        raise layer.error("num_output must be at least 1", "num_output")
    shape = (inputs, outputs) if p.transpose else (outputs, inputs)
    weights = [layer.weight(shape, p.weight_filler)]
    if p.bias_term:
        weights.append(layer.weight((outputs,), p.bias_filler))
    layer.summary = f"{plural(outputs, 'output')} from {plural(inputs, 'input')}"
    if axis == 0:
        g.free_batch = False  # the batch is part of what is weighed
    if axis == 1:
        flat = x if len(dims) == 2 else g.op("Flatten", x, axis=1)
        return g.op("Gemm", flat, *weights, transB=int(not p.transpose))
    flat = g.reshape(x, [0] * axis + [-1]) if axis else g.reshape(x, [1, -1])
    matrix = weights[0] if p.transpose else g.op("Transpose", weights[0], perm=[1, 0])
    y = g.op("MatMul", flat, matrix)
    y = g.op("Add", y, weights[1]) if p.bias_term else y
    return y if axis else g.reshape(y, [-1])


@layer(
    "Embed",
    bottoms=1,
    tops=1,
    param="embed_param",
    source="caffe/src/caffe/layers/embed_layer.cpp",
)
def embed(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Take a learned vector for each index.  (...) -> (..., num_output).

    The indices are floats, cut off to whole numbers; one outside 0 .. input_dim - 1 stops the run
    (Caffe reads foreign memory there).
    """
    p = layer.param
    inputs, outputs = int(p.input_dim), int(p.num_output)
    for field, value in (("num_output", outputs), ("input_dim", inputs)):
        if value < 1:
            raise layer.error(f"{field} must be at least 1", field)
    layer.summary = f"one of {plural(inputs, 'vector')} of {count(outputs)}"
    vectors = layer.weight((inputs, outputs), p.weight_filler)
    index = g.op("Cast", x, to=INT64)
    zero = g.constant(np.asarray(0, np.int64), "zero")
    outside = g.constant(np.asarray(inputs, np.int64), "outside")
    # ONNX counts negative indices from the end; here they become too large.
    index = g.op("Where", g.op("Less", index, zero), outside, index)
    y = g.op("Gather", vectors, index, axis=0)
    if not p.bias_term:
        return y
    return g.op("Add", y, layer.weight((outputs,), p.bias_filler))


@layer(
    "Dropout",
    v1="DROPOUT",
    bottoms=1,
    tops=1,
    param="dropout_param",
    source="caffe/src/caffe/layers/dropout_layer.cpp",
    sharing="in place",
)
def dropout(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Pass on unchanged: values are only dropped in training."""
    layer.summary = f"ratio {layer.param.dropout_ratio:g} in training, nothing when testing"
    if layer.message.has("phase") and layer.message.phase == "TRAIN":
        layer.notes.append(
            f"layer {quoted(layer.name)}: drops values at random in training; here it passes all on"
        )
    return x
