"""Numbers that a graph computes from shapes alone: the ends of a slice, the target of a reshape.

Exporters that leave sizes free write such a computation where they could write the number.  At the
shapes of the net each of them is known without a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from layerscope.net import Graph

MOST = 64  # numbers of one array; shapes and places on axes are fewer
_OPS = frozenset(
    """
    Add Cast Ceil Concat Constant ConstantOfShape Div Equal Expand Floor Gather Identity Max Min Mod
    Mul Neg Range ReduceProd Reshape Slice Sqrt Squeeze Sub Unsqueeze Where
    """.split()
)


def known_sizes(graph: Graph) -> Mapping[str, NDArray[Any]]:
    """The small arrays that hang on nothing but shapes and constants: value name to array."""
    if not any(node.op_type in ("Shape", "Size") for node in graph.nodes):
        return {}
    found: dict[str, NDArray[Any]] = {}
    for node in graph.nodes:
        if node.op_type in ("Shape", "Size") and node.input[0] in graph.shapes:
            found[node.output[0]] = _stated(node, graph.shapes[node.input[0]])
        elif node.op_type in _OPS and not node.domain and len(node.output) == 1:
            known = _operands(node, graph, found)
            if known is not None:
                found.update(_computed(node, known, graph.opset))
    return found


def _stated(node: NodeProto, dims: tuple[int, ...]) -> NDArray[Any]:
    if node.op_type == "Size":
        return np.asarray(prod(dims), np.int64)
    ends = {each.name: each.i for each in node.attribute}
    return np.asarray(dims[ends.get("start", 0) : ends.get("end", len(dims))], np.int64)


def _operands(
    node: NodeProto, graph: Graph, found: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]] | None:
    """The inputs of a node, if each is known and small."""
    known: dict[str, NDArray[Any]] = {}
    for name in filter(None, node.input):
        array = found.get(name, graph.tensors.get(name))
        if array is None or array.size > MOST or prod(graph.shapes.get(name, ())) > MOST:
            return None
        known[name] = np.asarray(array)
    return known


def _computed(
    node: NodeProto, known: Mapping[str, NDArray[Any]], opset: int
) -> dict[str, NDArray[Any]]:
    """The output of a node by ONNX's reference; nothing where that cannot or it is large."""
    from onnx.reference import ReferenceEvaluator

    sizes = [
        int(each) for array in known.values() for each in array.ravel() if array.dtype.kind == "i"
    ]
    if (
        node.op_type in ("ConstantOfShape", "Expand", "Range")
        and max(map(abs, sizes), default=0) > MOST
    ):
        return {}
    graph = helper.make_graph(
        [node], "sizes",
        [helper.make_empty_tensor_value_info(name) for name in known],
        [helper.make_empty_tensor_value_info(node.output[0])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        made: Any = ReferenceEvaluator(model).run(None, dict(known))
        array = np.asarray(made[0])
    except Exception:  # the reference has no common base of its errors
        return {}
    return {node.output[0]: array} if array.size <= MOST and array.dtype.kind in "iufb" else {}
