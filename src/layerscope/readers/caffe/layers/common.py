"""Inner product and dropout."""

from __future__ import annotations

from math import prod

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import count


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
    layer.summary = f"{count(outputs)} outputs from {count(inputs)} inputs"
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
    "Dropout",
    v1="DROPOUT",
    bottoms=1,
    tops=1,
    param="dropout_param",
    source="caffe/src/caffe/layers/dropout_layer.cpp",
)
def dropout(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Pass on unchanged: values are only dropped in training."""
    layer.summary = f"ratio {layer.param.dropout_ratio:g} in training, nothing when testing"
    return x
