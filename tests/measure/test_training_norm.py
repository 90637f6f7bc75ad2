"""A batch norm as it is while training: it hangs on the whole batch, and its tables say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls
from layerscope.measure.receptive import receptive_box, receptive_fields


def net(folder: Path) -> ls.Net:
    outputs = ["y", "mean", "variance"]
    node = helper.make_node("BatchNormalization", ["x", *"gbmv"], outputs, training_mode=1)
    graph = helper.make_graph(
        [node, helper.make_node("Relu", [outputs[0]], ["z"])],
        "norm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3, 4, 5))],
        [helper.make_empty_tensor_value_info("z")],
        [numpy_helper.from_array(np.full(3, 0.5, np.float32), name) for name in "gbmv"],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = folder / "norm.onnx"
    path.write_bytes(made.SerializeToString())
    return ls.open(path)


def test_fields_and_page(tmp_path: Path) -> None:
    made = net(tmp_path)
    fields = receptive_fields(made)
    for name in ("y", "mean", "variance", "z"):
        assert fields[name].axes == ("all", "all")
    reach = receptive_box(made, "z", (1, 2, 3)).inputs["x"]
    assert [(span.low, span.high) for span in reach.axes] == [(0, 1), (1, 1), (0, 3), (0, 4)]
    blobs = made.run(np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32))
    ls.report(made, blobs, tmp_path / "page.html")


def test_it_is_not_explained_by_the_statistics_of_the_file(tmp_path: Path) -> None:
    made = net(tmp_path)
    given = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    told = str(ls.explain(made, given, "y:1,2,3"))
    assert "BatchNormalization in training" in told
    assert "deviation" not in told
