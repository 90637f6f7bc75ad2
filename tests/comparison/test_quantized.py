"""Blobs in codes are held against numbers: hand-made nets with the ops that quantizers write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

import layerscope as ls
from layerscope.comparison.quantized import codes_of, decoded_weights
from layerscope.inputs import Preprocessing
from layerscope.net import Blob, Graph, Layer, Net

DIMS = (1, 3, 6, 5)
SCALE = np.float32(0.05)


def net_of(nodes: list[NodeProto], tensors: dict[str, np.ndarray], codes: set[str]) -> Net:
    """A net of ONNX nodes, a layer each; all blobs have the shape of the input."""
    names = ["x", *(node.output[0] for node in nodes)]
    blobs = {n: Blob(n, DIMS, n, "x" if n == "x" else f"{n}-layer", n) for n in names}
    layers = [Layer("x", "Input", "data", (), ("x",))]
    for i, node in enumerate(nodes):
        name = node.output[0]
        layers.append(Layer(f"{name}-layer", node.op_type, "", (node.input[0],), (name,),
                            nodes=range(i, i + 1)))  # fmt: skip
    types = {n: int(TensorProto.INT8 if n in codes else TensorProto.FLOAT) for n in names}
    types |= {n: helper.np_dtype_to_tensor_dtype(a.dtype) for n, a in tensors.items()}
    graph = Graph(tuple(nodes), dict.fromkeys(names, DIMS) | {n: a.shape for n, a in tensors.items()},
                  types, tensors, ("x",))  # fmt: skip
    return Net("made", "onnx", tuple(layers), blobs, graph, (names[-1],), Preprocessing())


RANDOM = np.random.default_rng(8)
WEIGHTS = RANDOM.normal(size=(3, 3, 1, 1)).astype(np.float32)
QUANTUM = {"s": np.array(SCALE), "z": np.array(-128, np.int8)}
CONV = helper.make_node("Conv", ["x", "w"], ["conv"])
FLOAT = net_of([CONV, helper.make_node("Relu", ["conv"], ["relu"])], {"w": WEIGHTS}, set())
CODED = helper.make_node("QuantizeLinear", ["conv", "s", "z"], ["conv_quantized"])
X = RANDOM.normal(size=DIMS).astype(np.float32)


def test_codes_that_begin_at_zero_hold_the_relu() -> None:
    quantized = net_of([CONV, CODED], {"w": WEIGHTS, **QUANTUM}, {"conv_quantized"})
    found = ls.compare(FLOAT, quantized, X)
    assert {row.a: row.b for row in found.rows} == {
        "x": "x", "conv": "conv", "relu": "conv_quantized",
    }  # fmt: skip
    last = found.rows[-1].worst
    relu = np.maximum(np.einsum("oi,nihw->nohw", WEIGHTS[..., 0, 0], X), 0)
    codes = np.clip(np.round(relu / SCALE) - 128, -128, 127)
    expected = np.abs(relu - (codes + 128) * SCALE).max()
    assert last.absolute == pytest.approx(expected, abs=1e-6)
    assert 0 < last.absolute <= SCALE / 2 * 1.0001 and last.snr > 25


def test_decoded_blobs_stand_for_their_codes() -> None:
    back = helper.make_node("DequantizeLinear", ["conv_quantized", "s", "z"], ["conv_decoded"])
    quantized = net_of([CONV, CODED, back], {"w": WEIGHTS, **QUANTUM}, {"conv_quantized"})
    found = ls.compare(FLOAT, quantized, X)
    assert {row.a: row.b for row in found.rows}["relu"] == "conv_decoded"
    assert found.coded_b == ("conv_quantized",) and found.only_b == found.again_b == ()
    assert "conv_quantized" not in str(found)
    assert "; 1 more in B only code or decode (quantizing)" in str(found).replace("\n ", "")
    assert found.total == (3, 4)


def test_codes_pass_through_ops_that_move_them() -> None:
    nodes = [
        CONV, CODED,
        helper.make_node("MaxPool", ["conv_quantized"], ["pool"], kernel_shape=[1, 1]),
        helper.make_node("DequantizeLinear", ["pool", "s", "z"], ["out"]),
    ]  # fmt: skip
    codes = codes_of(net_of(nodes, {"w": WEIGHTS, **QUANTUM}, {"conv_quantized", "pool"}))
    assert set(codes) == {"conv_quantized", "pool"}
    one = codes["pool"]
    assert (one.scale, one.zero, one.clips) == (pytest.approx(0.05), -128, True)
    numbers = one.numbers(np.array([-128, -127, 127], np.int8))
    np.testing.assert_allclose(numbers, [0, 0.05, 255 * 0.05], rtol=1e-6)


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("QLinearConv", ["a", "", "", "w", "", "", "s", "z"]),
        ("QLinearMatMul", ["a", "", "", "b", "", "", "s", "z"]),
        ("QGemm", ["a", "", "", "b", "", "", "", "s", "z"]),
        ("QLinearAdd", ["a", "", "", "b", "", "", "s", "z"]),
        ("QLinearSigmoid", ["a", "", "", "s", "z"]),
        ("QLinearConcat", ["s", "z", "a", "", ""]),
    ],
)
def test_where_each_op_has_its_scale(op: str, inputs: list[str]) -> None:
    node = helper.make_node(op, inputs, ["y"])
    quantum: dict[str, Any] = {"s": np.array(0.5, np.float32), "z": np.array(3, np.uint8)}
    codes = codes_of(net_of([node], quantum, {"y"}))["y"]
    assert (codes.scale, codes.zero, codes.clips) == (0.5, 3, False)


def test_a_scale_for_each_channel_is_left_as_it_is() -> None:
    per_channel = {"s": np.ones(3, np.float32), "z": np.zeros(3, np.int8)}
    assert not codes_of(net_of([CONV, CODED], {"w": WEIGHTS, **per_channel}, {"conv_quantized"}))


def test_weights_in_codes_are_numbers() -> None:
    codes = np.array([[[[10]], [[-20]]], [[[4]], [[0]]], [[[1]], [[127]]]], np.int8)
    scale, zero = np.array([0.5, 2, 0.25], np.float32), np.array([0, 1, 0], np.int8)
    wanted = [[[[5]], [[-10]]], [[[6]], [[-2]]], [[[0.25]], [[31.75]]]]
    whole = [[[[4.5]], [[-10.5]]], [[[1.5]], [[-0.5]]], [[[0]], [[63]]]]
    for node, expected, more in (
        (helper.make_node("QLinearConv", ["a", "", "", "w", "s", "z", "", ""], ["y"]), wanted, {}),
        (helper.make_node("DequantizeLinear", ["w", "s", "z"], ["y"], axis=0), wanted, {}),
        (helper.make_node("DequantizeLinear", ["w", "s", "z"], ["y"]), whole,
         {"s": np.array(0.5, np.float32), "z": np.array(1, np.int8)}),
    ):  # fmt: skip
        tensors = {"w": codes, "s": scale, "z": zero, **more}
        found = decoded_weights(net_of([node], tensors, {"y"}))
        np.testing.assert_allclose(found["w"], expected)
    one_zero = {"w": codes, "s": scale, "z": np.array(1, np.int8)}
    node = helper.make_node("DequantizeLinear", ["w", "s", "z"], ["y"], axis=0)
    found = decoded_weights(net_of([node], one_zero, {"y"}))["w"]
    np.testing.assert_allclose(found.ravel(), [4.5, -10.5, 6, -2, 0, 31.5])
    assert not decoded_weights(FLOAT)
    parts = {"w": codes, "s": scale, "z": zero, "xs": np.array(0.1, np.float32)}
    node = helper.make_node("QLinearConv", ["a", "xs", "", "w", "s", "z", "", "", "b"], ["y"])
    found = decoded_weights(net_of([node], {**parts, "b": np.array([10, 20, -8], np.int32)}, {"y"}))
    np.testing.assert_allclose(found["b"], [0.5, 4, -0.2], rtol=1e-6)
    bias = {"w": np.array([2, 4, 6], np.int32), "s": np.array([0.5], np.float32)}
    node = helper.make_node("DequantizeLinear", ["w", "s"], ["y"])  # its axis, 1, does not exist
    np.testing.assert_allclose(decoded_weights(net_of([node], bias, {"y"}))["w"], [1, 2, 3])


def file_of(folder: Path, name: str, nodes: list[NodeProto], tensors: dict[str, Any]) -> ls.Net:
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 5, 4))],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(array), key) for key, array in tensors.items()],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    (folder / name).write_bytes(model.SerializeToString())
    return ls.open(folder / name)


def test_a_net_that_is_quantized_as_it_runs(tmp_path: Path) -> None:
    """The sum of codes is no partner of a convolution: what the scales and the bias make of it is."""
    n = helper.make_node
    rng = np.random.default_rng(4)
    weights, bias = rng.normal(size=(3, 2, 3, 2)).astype(np.float32), np.float32([5, -3, 4])
    codes = np.clip(np.round(weights / 0.02) + 120, 0, 255).astype(np.uint8)
    plain = file_of(tmp_path, "a.onnx", [n("Conv", ["x", "w", "b"], ["c"], name="c"),
                                         n("Relu", ["c"], ["y"], name="y")],
                    {"w": weights, "b": bias})  # fmt: skip
    dynamic = [
        n("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        n("ConvInteger", ["xq", "wq", "xz", "wz"], ["c_codes"], name="c"),
        n("Cast", ["c_codes"], ["c_cast"], to=TensorProto.FLOAT),
        n("Mul", ["xs", "ws"], ["scales"]), n("Mul", ["c_cast", "scales"], ["c_scaled"]),
        n("Reshape", ["b", "column"], ["b_column"]), n("Add", ["c_scaled", "b_column"], ["c_out"]),
        n("Relu", ["c_out"], ["y"], name="y"),
    ]  # fmt: skip
    tensors = {"wq": codes, "wz": np.uint8(120), "ws": np.float32(0.02), "b": bias,
               "column": np.int64([1, 3, 1, 1])}  # fmt: skip
    coded = file_of(tmp_path, "b.onnx", dynamic, tensors)
    found = ls.compare(plain, coded, rng.normal(size=(1, 2, 5, 4)).astype(np.float32), by="snr")
    assert {row.a: row.b for row in found.rows} == {"x": "x", "c": "c_out", "y": "y"}
    assert 30 < found.rows[1].worst.snr < 60
    assert set(found.coded_b) == {"xq", "xs", "xz", "c_codes", "c_cast", "scales", "c_scaled"}
    assert found.only_a == found.only_b == ()
    held = {row.a: row for row in ls.compare(plain, coded, weights=True, by="absolute").rows}
    decoded = (codes.astype(np.float64) - 120) * 0.02
    assert held["w"].worst.absolute == pytest.approx(np.abs(decoded - weights).max(), abs=1e-6)
    assert held["b"].worst.equal and held["w"].b == "wq"


def test_square_matrices_are_turned_as_their_layers_read_them(tmp_path: Path) -> None:
    """(in, out) of a MatMul against (out, in) of a Gemm: of one shape, and never taken as equal."""
    n = helper.make_node
    square = np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)
    a = file_of(tmp_path, "a.onnx", [n("MatMul", ["x", "m"], ["y"], name="fc")], {"m": square})
    flat = n("Reshape", ["x", "rows"], ["r"])
    gemm = n("Gemm", ["r", "fc.weight"], ["y"], name="fc", transB=1)
    for matrix, equal in ((square.T, True), (square, False)):
        tensors = {"fc.weight": np.ascontiguousarray(matrix), "rows": np.int64([-1, 4])}
        b = file_of(tmp_path, "b.onnx", [flat, gemm], tensors)
        (row,) = ls.compare(a, b, weights=True).rows
        assert row.worst.equal is equal and row.turned == "B (4, 4) transposed"
        (back,) = ls.compare(b, a, weights=True).rows
        assert back.worst.equal is equal


def test_a_name_is_one_param_whatever_its_place(tmp_path: Path) -> None:
    """A bias that is added behind its product is param 0 of its layer there, 1 where both are one."""
    n = helper.make_node
    rng = np.random.default_rng(6)
    m, gain, bias = (rng.normal(size=dims).astype(np.float32) for dims in ((4, 4), (4,), (4,)))
    a = file_of(tmp_path, "a.onnx", [n("MatMul", ["x", "m"], ["p"]), n("Add", ["p", "bias"], ["q"]),
                                     n("Mul", ["q", "gain"], ["y"])],
                {"m": m, "bias": bias, "gain": gain})  # fmt: skip
    b = file_of(tmp_path, "b.onnx", [n("Mul", ["x", "gain"], ["q"]), n("Reshape", ["q", "rows"], ["r"]),
                                     n("Gemm", ["r", "m", "bias"], ["y"])],
                {"m": m, "bias": bias, "gain": gain, "rows": np.int64([-1, 4])})  # fmt: skip
    rows = ls.compare(a, b, weights=True).rows
    assert {row.a: row.b for row in rows} == {"m": "m", "bias": "bias", "gain": "gain"}
    assert all(row.worst.equal for row in rows)


def test_the_limit_is_said_in_words() -> None:
    other = net_of(
        [CONV, helper.make_node("Relu", ["conv"], ["relu"])], {"w": 1.1 * WEIGHTS}, set()
    )

    def told(**how: Any) -> str:
        return str(ls.compare(FLOAT, other, X, **how)).replace("\n ", "")

    assert (
        "the limit is snr 25 dB or more; 2 of 3 blobs are beyond, the 1 before this is within"
        in told(by="snr", threshold=25)
    )
    assert (
        "all 3 aligned blobs are within the limit (snr 15 dB or more); the worst is conv: snr 20"
        in (told(by="snr", threshold=15))
    )
    assert "the limit is relative 0.001 or less; 2 of 3" in told()
    assert "all 3 aligned blobs are within the limit (absolute 9 or less)" in told(
        by="absolute", threshold=9
    )
    assert "(cosine 0.99 or more)" in told(by="cosine", threshold=0.99)
