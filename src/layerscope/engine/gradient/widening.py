"""Nets of half numbers, as nets of float32: what their gradients are computed by.

The runtime's float16 code lacks ops that gradients need (adding up what overlapping windows give),
and products of small slopes are 0 in float16.  So the weights keep the values that they have, and
what is between them is not rounded.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from layerscope.net import Graph, Net, once

FLOAT = onnx.TensorProto.FLOAT
HALVES = frozenset({onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16})
_ELEMENTS = ("to", "dtype", "output_dtype")  # attributes that name the type of a result


def widened(net: Net) -> Net:
    """The net with float32 for float16 and bfloat16; itself where it has none."""
    if HALVES.isdisjoint(net.graph.types.values()):
        return net
    return replace(net, graph=_wide_graph(net))


@once
def _wide_graph(net: Net) -> Graph:
    graph = net.graph
    types = {name: FLOAT if each in HALVES else each for name, each in graph.types.items()}
    halves = {name for name, each in graph.types.items() if each in HALVES}
    tensors = {
        name: array.astype(np.float32) if name in halves and array is not None else array
        for name, array in graph.tensors.items()
    }
    return replace(graph, nodes=tuple(map(_wide, graph.nodes)), types=types, tensors=tensors)


def _wide(node: NodeProto) -> NodeProto:
    """The node, giving float32 where it names a half type or has numbers of one."""
    found = NodeProto()
    found.CopyFrom(node)
    for attribute in found.attribute:
        if attribute.name in _ELEMENTS and attribute.i in HALVES:
            attribute.i = FLOAT
        elif attribute.HasField("t") and attribute.t.data_type in HALVES:
            array = numpy_helper.to_array(attribute.t).astype(np.float32)
            attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))
        elif attribute.HasField("g"):
            _widen_body(attribute.g)
    return found


def _widen_body(body: onnx.GraphProto) -> None:
    for i, node in enumerate(body.node):
        body.node[i].CopyFrom(_wide(node))
    for tensor in body.initializer:
        if tensor.data_type in HALVES:
            array = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for value in (*body.input, *body.output, *body.value_info):
        if value.type.tensor_type.elem_type in HALVES:
            value.type.tensor_type.elem_type = FLOAT
