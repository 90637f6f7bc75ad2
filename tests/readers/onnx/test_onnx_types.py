"""Half precision, double, quantized nets and the ops of com.microsoft."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls
from closeness import assert_blob_close
from readers.onnx.models import model, node, numbers, plain_run, saved


def of_type(element: int) -> Any:
    """Products, Relu and a softmax with weights of one type (there is no Conv of double to run)."""
    kind = helper.tensor_dtype_to_np_dtype(element)
    tensors = {"w": numbers(40, 30).astype(kind), "b": numbers(30, seed=1).astype(kind)}
    nodes = [
        node("Gemm", "x w b", "c", "fc1"), node("Relu", "c", "r", "relu"),
        node("MatMul", "r v", "m", "fc2"), node("Softmax", "m", "y", "prob"),
    ]  # fmt: skip
    tensors["v"] = numbers(30, 25, seed=2).astype(kind)
    return model(nodes, {"x": (element, (2, 40))}, "y", tensors)


@pytest.mark.parametrize(
    ("element", "dtype", "tolerance"),
    [
        (TensorProto.FLOAT16, np.float16, 2e-3),
        (TensorProto.DOUBLE, np.float64, 1e-13),
        (TensorProto.FLOAT, np.float32, 2e-6),
    ],
)
def test_floating_types(tmp_path: Path, element: int, dtype: Any, tolerance: float) -> None:
    """The input takes the net's own type, every blob has it; against NumPy in double."""
    net = ls.open(saved(tmp_path, of_type(element)))
    x = numbers(2, 40, seed=4).astype(dtype)
    got = net.run(x)
    assert {array.dtype for array in got.values()} == {np.dtype(dtype)}
    w, b, v = (p.data.astype(np.float64) for layer in net.params.values() for p in layer)
    c = x.astype(np.float64) @ w + b
    m = np.maximum(c, 0) @ v
    e = np.exp(m - m.max(axis=1, keepdims=True))
    for name, want in (("c", c), ("m", m), ("y", e / e.sum(axis=1, keepdims=True))):
        assert_blob_close(got[name], want, name, tolerance)
    from layerscope.show.table import tables

    assert tables(net).params[0].weights == 1230


def test_half_precision_images(tmp_path: Path) -> None:
    kind = np.float16
    made = model(
        [node("Conv", "x w", "c", "conv"), node("Relu", "c", "y", "relu")],
        {"x": (TensorProto.FLOAT16, (1, 3, 6, 5))}, "y", {"w": numbers(20, 3, 3, 3).astype(kind)},
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    got = net.run(pixels)
    assert got["y"].dtype == kind
    single = model(
        [node("Conv", "x w", "y", "conv")], {"x": (1, 3, 6, 5)}, "y",
        {"w": numbers(20, 3, 3, 3).astype(kind).astype(np.float32)},
    )  # fmt: skip
    want = plain_run(single, {"x": got["x"].astype(np.float32)})["y"]
    assert_blob_close(got["c"], want, "c", 2e-3)


def test_bfloat16(tmp_path: Path) -> None:
    """NumPy has no bfloat16: its blobs and params are float32, its inputs are cast."""
    weights = numbers(40, 30)
    made = model(
        [node("Cast", "w", "wf", "widen", to=1), node("Cast", "x", "xf", "in", to=1),
         node("MatMul", "xf wf", "m", "fc"), node("Cast", "m", "y", "out", to=TensorProto.BFLOAT16)],
        {"x": (TensorProto.BFLOAT16, (2, 40))}, "y",
        {"w": numpy_helper.from_array(
            weights.astype(helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)), "w")},
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert net.notes == ("input x takes bfloat16; it is fed float32, which is cast",)

    def rounded(values: Any) -> Any:  # to 8 bits of fraction, to the nearest even
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
        return bits.astype(np.uint32).view(np.float32)

    x = numbers(2, 40, seed=1)
    got = net.run(x)
    assert got["y"].dtype == np.float32
    np.testing.assert_array_equal(net.params["fc"][0].data, rounded(weights))
    assert_blob_close(got["m"], rounded(x) @ rounded(weights), "m", 1e-5)
    np.testing.assert_array_equal(got["y"], rounded(got["m"]))
    assert got["x:bfloat16"].dtype == np.float32


def test_float8_weights(tmp_path: Path) -> None:
    kind = helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT8E4M3FN)
    weights = numbers(50, 40).astype(kind)
    made = model(
        [node("DequantizeLinear", "w s", "wf", "dq"), node("MatMul", "x wf", "y", "fc")],
        {"x": (1, 50)}, "y",
        {"w": numpy_helper.from_array(weights, "w"), "s": np.float32(0.5)}, 21, ir=10,
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    x = numbers(1, 50, seed=1)
    assert net.params["fc"][0].data.dtype == np.float32
    assert_blob_close(net.run(x)["y"], x @ (0.5 * weights.astype(np.float32)), "y", 1e-5)


def test_int4_weights(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-8, 8, (64, 40))
    packed = helper.make_tensor("w", TensorProto.INT4, values.shape, values.ravel())
    made = model(
        [node("DequantizeLinear", "w s", "wf", "dq"), node("MatMul", "x wf", "y", "fc")],
        {"x": (1, 64)}, "y", {"w": packed, "s": np.float32(0.25)}, 21, ir=10,
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    np.testing.assert_array_equal(net.params["fc"][0].data, values)
    x = numbers(1, 64, seed=1)
    # Unless told not to, the runtime multiplies such weights in 8 bits: half a percent beside this.
    assert_blob_close(net.run(x)["y"], 0.25 * x @ values, "y", 1e-6)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A net in float, and quantized by ONNX Runtime's own tool in both ways."""
    import logging

    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    folder = tmp_path_factory.mktemp("quantized")
    made = model(
        [
            node("Conv", "x w b", "c", "conv", pads=[1, 1, 1, 1]), node("Relu", "c", "r", "relu"),
            node("GlobalAveragePool", "r", "g", "pool"), node("Flatten", "g", "f", "flat"),
            node("Gemm", "f fw fb", "y", "fc"),
        ],
        {"x": ("N", 3, 8, 8)}, "y",
        {"w": numbers(4, 3, 3, 3), "b": numbers(4, seed=1), "fw": numbers(4, 5, seed=2),
         "fb": numbers(5, seed=3)},
    )  # fmt: skip

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = [{"x": numbers(2, 3, 8, 8, seed=i)} for i in range(4)]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    paths = {"float": saved(folder, made, "float.onnx")}
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for kind in (QuantFormat.QDQ, QuantFormat.QOperator):
                paths[kind.name] = folder / f"{kind.name}.onnx"
                quantize_static(
                    paths["float"], paths[kind.name], Reader(), quant_format=kind, per_channel=True
                )
    finally:
        logging.disable(logging.NOTSET)
    return paths


@pytest.mark.parametrize("kind", ["QDQ", "QOperator"])
def test_quantized_nets(quantized: dict[str, Path], kind: str) -> None:
    """Equal to the plain run of the file, near to the net in float, weights shown as stored."""
    net = ls.open(quantized[kind])
    x = numbers(2, 3, 8, 8, seed=1)
    got = net.run(x)
    stored = {
        t.name: numpy_helper.to_array(t) for t in onnx.load(quantized[kind]).graph.initializer
    }
    step = float(stored["y_scale"])
    for optimized in (True, False):
        want = plain_run(quantized[kind], {"x": x}, optimized=optimized)["y"]
        assert np.abs(got["y"] - want).max() <= step * 1.001  # the fused op may round the other way
    assert np.abs(got["y"] - plain_run(quantized["float"], {"x": x})["y"]).max() < 5 * step
    layer = next(each for each in net.layers if each.type in ("Conv", "QLinearConv"))
    weights = layer.params[0]
    assert weights.name == "w_quantized" and weights.shape == (4, 3, 3, 3)
    assert weights.data.dtype == np.int8
    np.testing.assert_array_equal(weights.data, stored["w_quantized"])
    assert layer.summary == "4 filters 3x3, pad 1x1"
    from layerscope.measure.cost import layer_costs

    cost = layer_costs(net)[net.layers.index(layer)]
    assert cost.multiply_adds == 4 * 64 * 27


def test_weights_that_are_dequantized_stand_beside_their_layer(quantized: dict[str, Path]) -> None:
    """Their nodes belong to the layer that reads them, and run right before it."""
    net = ls.open(quantized["QDQ"])
    conv = next(each for each in net.layers if each.type == "Conv")
    kinds = [net.graph.nodes[i].op_type for i in conv.nodes]
    assert kinds == ["DequantizeLinear", "DequantizeLinear", "Conv"]
    assert [p.name for p in conv.params][:3] == ["w_quantized", "w_scale", "w_zero_point"]
    used = [i for each in net.layers for i in each.nodes]
    assert used == list(range(len(net.graph.nodes)))


def test_ops_of_com_microsoft(tmp_path: Path) -> None:
    """Shapes that onnx does not know are found by a try-out run."""
    made = model(
        [
            node("FusedConv", "x w b", "c", "conv", domain="com.microsoft", activation="Relu",
                 pads=[1, 1, 1, 1]),
            node("QuickGelu", "c", "g", "gelu", domain="com.microsoft"),
            node("Flatten", "g", "y", "flat"),
        ],
        {"x": (1, 2, 5, 4)}, "y", {"w": numbers(3, 2, 3, 3), "b": numbers(3)},
        domains={"com.microsoft": 1},
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert net.blobs["c"].shape == net.blobs["g"].shape == (1, 3, 5, 4)
    assert net.layer("conv").summary == "3 filters 3x3, pad 1x1, Relu"
    x = numbers(1, 2, 5, 4)
    got, want = net.run(x), plain_run(made, {"x": x})
    assert_blob_close(got["y"], want["y"], "y")
    assert got["c"].min() == 0
    g = got["c"]
    assert_blob_close(got["g"], g / (1 + np.exp(-1.702 * g)), "g", 1e-5)


def test_blobs_of_every_type_have_pictures(tmp_path: Path) -> None:
    """A page with bool, whole numbers, half precision, scalars and empty arrays."""
    made = model(
        [
            node("Greater", "x zero", "mask", "mask"), node("Cast", "x", "h", "half", to=10),
            node("ArgMax", "x", "best", "best", axis=1), node("Shape", "x", "dims", "dims"),
            node("ReduceMean", "x", "mean", "mean", keepdims=0), node("Cast", "x", "d", "d", to=11),
            node("Slice", "x nothing nothing", "none", "none"), node("Cast", "x", "u8", "u8", to=2),
        ],
        {"x": (1, 3, 6, 5)}, "mask h best dims mean d none u8",
        {"zero": np.float32(0), "nothing": np.array([0], np.int64)},
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    x = np.abs(numbers(1, 3, 6, 5))
    page = ls.report(net, x, tmp_path / "page.html")
    assert page.read_text().count("<figure") >= 6
    assert net.layer("half").summary == "to float16"
    from layerscope.show.drawing import blob_picture

    blobs = net.run(x)
    for name in ("mask", "h", "best", "dims", "mean", "d", "u8"):
        assert blob_picture(net, blobs, name) is not None
