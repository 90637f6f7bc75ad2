"""Which arrays go beside the graph, and that the runtime's shortcuts change no number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls
from closeness import assert_blob_close
from layerscope.engine import model


def test_no_array_passes_through_the_graph(tmp_path: Path) -> None:
    """Neither what is added nor what is coded, however large: a graph ends at 2 GB."""
    random = np.random.default_rng(5)
    codes = random.integers(-99, 99, (32, 64), np.int8)
    given = {"w": random.normal(size=(64, 64)), "b": random.normal(size=(16, 64)),
             "t": random.normal(size=(64, 16)), "scale": np.array(0.01)}  # fmt: skip
    arrays = {name: array.astype(np.float32) for name, array in given.items()}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["sum"]),
        helper.make_node("Transpose", ["sum"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Add", ["turned", "t"], ["more"]),
        helper.make_node("Transpose", ["more"], ["back"], perm=[0, 2, 1]),
        helper.make_node("DequantizeLinear", ["codes", "scale"], ["v"]),
        helper.make_node("Transpose", ["v"], ["vt"], perm=[1, 0]),
        helper.make_node("MatMul", ["back", "vt"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "arrays",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 16, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(each, name) for name, each in (arrays | {"codes": codes}).items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    net = ls.open(tmp_path / "m.onnx")
    assert set(model.beside(net)) == {"w", "b", "t", "codes"}
    assert {"w"} == model.lent(net) & set(model.beside(net))
    assert len(model.model(net, ["y"]).SerializeToString()) < 1000
    x = random.normal(size=(3, 16, 64)).astype(np.float32)
    want = (x.astype(np.float64) @ arrays["w"] + arrays["b"] + arrays["t"].T) @ (codes.T * 0.01)
    for found in (net.run(x), net.run(x, ["y"])):  # codes below and floats above stay floats
        assert_blob_close(found["y"], want, "y", tolerance=1e-5)


def test_a_chosen_blob_of_a_quantized_net_is_that_of_all(tmp_path: Path) -> None:
    """A softmax between codes is not computed on codes where its floats are not asked for."""
    random = np.random.default_rng(6)
    scales = {"s0": 0.05, "s1": 0.02, "s2": 0.001, "z": np.uint8(128), "z2": np.uint8(0)}
    arrays = {
        name: np.array(number, np.uint8 if name.startswith("z") else np.float32)
        for name, number in scales.items()
    }
    arrays["w"] = random.normal(size=(30, 30)).astype(np.float32) / 6

    def coded(name: str, step: str, zero: str) -> list[onnx.NodeProto]:
        return [helper.make_node("QuantizeLinear", [name, step, zero], [f"{name}_q"]),
                helper.make_node("DequantizeLinear", [f"{name}_q", step, zero], [f"{name}_d"])]  # fmt: skip

    nodes = [
        *coded("x", "s0", "z"),
        helper.make_node("MatMul", ["x_d", "w"], ["a"]),
        *coded("a", "s1", "z"),
        helper.make_node("Softmax", ["a_d"], ["p"]),
        *coded("p", "s2", "z2"),
    ]
    graph = helper.make_graph(
        nodes,
        "codes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 30])],
        [helper.make_tensor_value_info("p_d", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(each, name) for name, each in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    net = ls.open(tmp_path / "m.onnx")
    x = random.normal(size=(50, 30)).astype(np.float32)
    blobs = net.run(x)
    power = np.exp(blobs["a_d"].astype(np.float64))
    exact = power / power.sum(1, keepdims=True) * 1000
    off = np.abs(exact - np.floor(exact) - 0.5) > 1e-3  # numbers that do not lie between two codes
    assert off.mean() > 0.9
    np.testing.assert_array_equal(blobs["p_q"][off], np.minimum(np.rint(exact[off]), 255))
    for name in blobs:
        np.testing.assert_array_equal(net.run(x, [name])[name], blobs[name], name)
