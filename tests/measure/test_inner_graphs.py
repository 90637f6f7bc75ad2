"""A node that holds graphs reads more than its inputs: receptive fields and explanations know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

import layerscope as ls
from layerscope.measure.receptive import receptive_box

FLOAT = TensorProto.FLOAT


def branch(name: str, op: str) -> onnx.GraphProto:
    made = helper.make_node(op, ["conv"], [name])
    out = helper.make_tensor_value_info(name, FLOAT, [1, 1, 3, 3])
    return helper.make_graph([made], name, [], [out])


def conditional(folder: Path) -> ls.Net:
    """conv = Conv(x), y = relu(conv) if flag else -conv, z = y + 1; the branches take conv from outside."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["conv"], name="conv"),
        helper.make_node(
            "If", ["flag"], ["y"], name="choice",
            then_branch=branch("yes", "Relu"), else_branch=branch("no", "Neg"),
        ),
        helper.make_node("Add", ["y", "one"], ["z"], name="add"),
    ]  # fmt: skip
    arrays = {"w": np.ones((1, 1, 3, 3), np.float32), "one": np.ones((1,), np.float32)}
    graph = helper.make_graph(
        nodes, "conditional",
        [helper.make_tensor_value_info("x", FLOAT, [1, 1, 5, 5]),
         helper.make_tensor_value_info("flag", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("z", FLOAT, [1, 1, 3, 3])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    path = folder / "net.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)
    return ls.open(path)


def test_what_a_branch_takes_from_outside_is_seen(tmp_path):
    net = conditional(tmp_path)
    field = receptive_box(net, "z", (0, 1, 1))
    assert field.inputs["x"].status == "upper bound"
    assert [(a.low, a.high) for a in field.inputs["x"].axes[2:]] == [(0, 4), (0, 4)]


def test_what_a_branch_takes_from_outside_is_kept_and_explained(tmp_path):
    net = conditional(tmp_path)
    x = np.random.default_rng(3).standard_normal((1, 1, 5, 5)).astype(np.float32)
    blobs = net.run({"x": x, "flag": np.array(False)})
    found = ls.explain(net, blobs, "z:0,1,1")
    want = 1 - x[0, 0, 1:4, 1:4].astype(np.float64).sum()
    assert abs(blobs["z"][0, 0, 1, 1] - want) < 1e-5
    assert found.recomputed is not None and abs(found.recomputed - want) < 1e-5
