"""Numbers that are fixed once the shapes are: what a net computes from shapes and constants alone.

Exporters write sizes, pads and places to cut at as small sums over shapes; rules have to know them
while the backward graph is built.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from layerscope.net import Graph, values_read

MOST_FOLLOWED = 1024  # numbers that a node reads; what says where to cut is far smaller
Array = NDArray[Any]


def fixed_values(
    graph: Graph, held: Mapping[str, Array], free: Collection[str]
) -> dict[str, Array]:
    """The small values of a graph that no input's numbers change.

    Args:
        graph: at the shapes of the run.
        held: those that stand in it as constants.
        free: those whose size only a run tells.
    """
    known = dict(held)
    known.update({n: a for n, a in graph.tensors.items() if a is not None})
    found: dict[str, Array] = {}
    for node in graph.nodes:
        if node.domain or set(values_read(node)) != {*node.input} - {""}:  # one with graphs inside
            continue
        if node.op_type in ("Shape", "Size"):
            if node.input[0] not in free:
                found[node.output[0]] = sizes(node, graph.shapes[node.input[0]])
        elif node.input and all(n in known or not n for n in node.input):
            given = [known[n] if n else None for n in node.input]
            if sum(a.size for a in given if a is not None) <= MOST_FOLLOWED:
                made = evaluated(node, given, graph.opset)
                found.update(zip(node.output, made, strict=False))
        known.update({n: found[n] for n in node.output if n in found})
    return found


def sizes(node: onnx.NodeProto, dims: Sequence[int]) -> Array:
    """What a Shape or a Size of a value with these axes gives."""
    if node.op_type == "Size":
        return np.asarray(np.prod(dims, dtype=np.int64), np.int64)
    settings = {a.name: a.i for a in node.attribute}
    return np.asarray(dims[settings.get("start", 0) : settings.get("end")], np.int64)


def evaluated(node: onnx.NodeProto, given: Sequence[Array | None], opset: int) -> list[Array]:
    """What a node gives for arrays, by ONNX's reference; nothing where that has no such op."""
    names = [f"x{i}" if array is not None else "" for i, array in enumerate(given)]
    again = onnx.NodeProto()
    again.CopyFrom(node)
    del again.input[:]
    again.input.extend(names)
    graph = helper.make_graph(
        [again],
        "fixed",
        [onnx.ValueInfoProto(name=name) for name in names if name],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    feeds = {name: array for name, array in zip(names, given, strict=True) if name}
    try:
        return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feeds)]
    except Exception:  # the reference has no common base of its errors; the net itself runs
        return []
