"""What a layer costs: multiply-adds, weights, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import onnx

from layerscope.net import Graph, Layer, Net


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one layer, at the batch size of the file.

    Attributes:
        multiply_adds: products that are added up (one multiply-add is counted once, not as two
            operations); what adds, compares or normalizes without weights counts nothing.
        weights: learned numbers; shared ones count where they are first used.
        weight_bytes: what those take in the file.
        activation_bytes: bytes of the blobs that the layer writes.
    """

    multiply_adds: int
    weights: int
    weight_bytes: int
    activation_bytes: int


# Ops that add up products, the quantized and fused ones too: what they count as.
_KINDS = {
    "Conv": "Conv", "QLinearConv": "Conv", "ConvInteger": "Conv", "FusedConv": "Conv",
    "ConvTranspose": "ConvTranspose",
    "Gemm": "Gemm", "QGemm": "Gemm", "FusedGemm": "Gemm",
    "MatMul": "MatMul", "QLinearMatMul": "MatMul", "MatMulInteger": "MatMul",
    "FusedMatMul": "MatMul",
}  # fmt: skip


def layer_costs(net: Net) -> list[Cost]:
    """The cost of every layer, in the order of the net."""
    return [_layer_cost(net, layer) for layer in net.layers]


def _layer_cost(net: Net, layer: Layer) -> Cost:
    weights = sum(param.size for param in layer.params if not param.shared_with)
    tops = {net.blobs[top].value for top in layer.tops}
    return Cost(
        multiply_adds=sum(node_multiply_adds(net.graph.nodes[i], net.graph) for i in layer.nodes),
        weights=weights,
        weight_bytes=sum(param.bytes for param in layer.params if not param.shared_with),
        activation_bytes=sum(map(net.graph.bytes, tops)),
    )


def node_multiply_adds(node: onnx.NodeProto, graph: Graph) -> int:
    """Products that one node adds up: those of convolutions and matrix products."""
    kind = _KINDS.get(node.op_type)
    if kind is None:
        return 0
    weights = 3 if node.op_type in ("QLinearConv", "QLinearMatMul", "QGemm") else 1
    values = (node.input[0], node.input[weights], node.output[0])
    first, second, top = (graph.shapes.get(value, ()) for value in values)
    if not first or not second:
        return 0
    out = prod(top)
    if kind == "Conv":  # each output weighs one filter's worth of inputs
        return out * prod(second[1:])
    if kind == "ConvTranspose":  # each input is spread over one filter's worth of outputs
        return prod(first) * prod(second[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return out * (first[0] if transposed else first[-1])
