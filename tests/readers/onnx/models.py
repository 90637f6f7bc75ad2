"""Small ONNX models, made in the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def node(kind: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    """A node; names are separated by spaces, "-" is one that is left out."""
    split = [["" if n == "-" else n for n in words.split()] for words in (inputs, outputs)]
    return helper.make_node(kind, *split, name=name, **attributes)


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Any],
    outputs: str,
    tensors: dict[str, Any] | None = None,
    opset: int = 18,
    domains: dict[str, int] | None = None,
    ir: int = 8,
    name: str = "little",
    **more: Any,
) -> onnx.ModelProto:
    """A model; an input is a shape of float32, or (element type, shape)."""
    given = []
    for key, dims in inputs.items():
        typed = len(dims) == 2 and isinstance(dims[1], (tuple, list))
        element, shape = dims if typed else (FLOAT, dims)
        given.append(helper.make_tensor_value_info(key, element, shape))
    graph = helper.make_graph(
        nodes,
        name,
        given,
        [helper.make_empty_tensor_value_info(o) for o in outputs.split()],
        [
            array
            if isinstance(array, TensorProto)
            else numpy_helper.from_array(np.asarray(array), key)
            for key, array in (tensors or {}).items()
        ],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(*each) for each in (domains or {}).items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir, **more)


def saved(folder: Path, made: onnx.ModelProto, name: str = "m.onnx") -> Path:
    """The model as a file."""
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


def plain_run(
    made: onnx.ModelProto | Path, feeds: dict[str, Any], *, optimized: bool = True
) -> dict[str, Any]:
    """What ONNX Runtime gives for the model as it is: the second opinion."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = str(made) if isinstance(made, Path) else made.SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def numbers(*dims: int, seed: int = 0) -> Any:
    """Reproducible float32 numbers."""
    return np.random.default_rng(seed).normal(size=dims).astype(np.float32)
