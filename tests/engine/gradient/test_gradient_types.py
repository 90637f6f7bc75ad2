"""Gradients of nets in float16, bfloat16 and float64, and what names the layer of a NaN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import layerscope as ls
from closeness import assert_blob_close
from layerscope.errors import UnsupportedError, UsageError

Array = np.ndarray[Any, np.dtype[Any]]
RANDOM = np.random.default_rng(11)
# Numbers that float16 and bfloat16 hold exactly, apart by more than what a difference moves them.
X = RANDOM.permutation(3 * 7 * 6).reshape(1, 3, 7, 6) / 32 - 2
W = RANDOM.integers(-8, 9, (4, 3, 3, 2)) / 16
V = RANDOM.integers(-8, 9, (4, 5)) / 8
NAMES = {TensorProto.FLOAT16: "half", TensorProto.BFLOAT16: "bf16", TensorProto.DOUBLE: "double"}


def saved(folder: Path, element: int, nodes: list[onnx.NodeProto], dims: tuple[int, ...],
          weights: dict[str, Array], out: tuple[str, int]) -> Path:  # fmt: skip
    def tensor(name: str, array: Array) -> onnx.TensorProto:
        return helper.make_tensor(name, element, array.shape, array.ravel())

    graph = helper.make_graph(
        nodes, "typed",
        [helper.make_tensor_value_info("x", element, dims)],
        [helper.make_tensor_value_info(out[0], out[1], None)],
        [tensor(*each) for each in weights.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / f"{NAMES.get(element, 'single')}.onnx"
    onnx.save(made, path)
    return path


def pooled(folder: Path, element: int, *, conv: bool = True) -> Path:
    """Windows that overlap, whose gradients the runtime cannot add up in float16."""
    half = helper.make_tensor("half", element, [1], [0.5])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv") if conv else
        helper.make_node("Identity", ["x"], ["c"], "same"),
        helper.make_node("MaxPool", ["c"], ["p"], "pool", kernel_shape=[3, 2], strides=[1, 1]),
        helper.make_node("Constant", [], ["k"], "k", value=half),
        helper.make_node("Cast", ["k"], ["k2"], "cast", to=element),
        helper.make_node("Mul", ["p", "k2"], ["m"], "mul"),
        helper.make_node("ReduceMean", ["m", "axes"], ["g"], "mean", keepdims=0),
        helper.make_node("Sigmoid", ["g"], ["s"], "sigmoid"),
        helper.make_node("MatMul", ["s", "v"], ["y"], "fc"),
    ]  # fmt: skip
    path = saved(folder, element, nodes, X.shape, {"w": W, "v": V if conv else V[:3]},
                 ("y", element))  # fmt: skip
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.int64([2, 3]), "axes"))
    onnx.save(model, path)
    return path


def by_differences(path: Path, seed: Array) -> Array:
    """In float64, by ONNX's reference evaluator."""
    reference = ReferenceEvaluator(onnx.load(path))
    found = np.zeros(X.shape)
    for place in np.ndindex(*X.shape):
        ends = []
        for step in (-1e-4, 1e-4):
            moved = X.copy()
            moved[place] += step
            ends.append((reference.run(None, {"x": moved})[0] * seed).sum())
        found[place] = (ends[1] - ends[0]) / 2e-4
    return found


@pytest.mark.parametrize("element", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_a_half_net(tmp_path: Path, element: int) -> None:
    net = ls.open(pooled(tmp_path, element))
    seed = np.array([[1.0, -2, 0, 3, 0.5]])
    want = by_differences(pooled(tmp_path, TensorProto.DOUBLE), seed)
    got = net.gradient({"y": seed}, ["x", "p"], X)
    assert got["x"].dtype == np.float32 and got["p"].shape == net.blobs["p"].shape
    assert_blob_close(got["x"], want, "x", tolerance=1e-5)
    one = by_differences(tmp_path / "double.onnx", np.float64([[0, 0, 0, 1, 0]]))
    assert_blob_close(net.gradient("y:3", "x", X), one, "y:3", tolerance=1e-5)


def test_a_double_net(tmp_path: Path) -> None:
    net = ls.open(pooled(tmp_path, TensorProto.DOUBLE, conv=False))
    seed = np.array([[1.0, -2, 0, 3, 0.5]])
    got = net.gradient({"y": seed}, "x", X)
    assert got.dtype == np.float64
    assert_blob_close(got, by_differences(tmp_path / "double.onnx", seed), "x", tolerance=1e-7)


@pytest.mark.parametrize("method", ["gradient", "integrated", "gradcam", "guided", "occlusion"])
def test_attribution_of_a_half_net(tmp_path: Path, method: str) -> None:
    """As of the same net in float32: what both are fed is the same, and the weights are."""
    half = ls.open(pooled(tmp_path, TensorProto.FLOAT16))
    single = ls.open(pooled(tmp_path, TensorProto.FLOAT))
    ours, theirs = (ls.attribute(net, X, "y:2", method) for net in (half, single))
    assert_blob_close(ours.values, theirs.values, method, tolerance=1e-2)
    assert theirs.values.any()


def test_a_dream_of_a_half_net(tmp_path: Path) -> None:
    nets = [ls.open(pooled(tmp_path, each)) for each in (TensorProto.FLOAT16, TensorProto.FLOAT)]
    half, single = (ls.dream(net, "c:1", steps=3) for net in nets)
    np.testing.assert_array_equal(half.picture, single.picture)
    assert half.value > half.before


def test_whole_numbers_are_not_dreamt_of(tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["f"], "cast", to=TensorProto.FLOAT)]
    net = ls.open(saved(tmp_path, TensorProto.UINT8, nodes, X.shape, {}, ("f", TensorProto.FLOAT)))
    with pytest.raises(UnsupportedError, match='input "x" takes whole numbers'):
        ls.dream(net, "f:1", steps=1)


def test_the_layer_that_makes_a_nan(tmp_path: Path) -> None:
    """`x` is read by "aside", which leads nowhere, by "fine", and by "root", whose slope is not
    finite at 0 and meets a 0."""
    nodes = [
        helper.make_node("Abs", ["x"], ["a"], "aside"),
        helper.make_node("Exp", ["x"], ["e"], "fine"),
        helper.make_node("Pow", ["x", "p"], ["r"], "root"),
        helper.make_node("Mul", ["r", "z"], ["n"], "none"),
        helper.make_node("Add", ["e", "n"], ["y"], "sum"),
    ]
    weights = {"p": np.array(0.5), "z": np.array([0.0, 1])}
    net = ls.open(saved(tmp_path, TensorProto.FLOAT, nodes, (1, 2), weights,
                        ("y", TensorProto.FLOAT)))  # fmt: skip
    with pytest.raises(UnsupportedError, match='walking back, is what layer "root" gives'):
        net.gradient("y", "x", np.float32([[0, 4]]))


def test_a_cast_between_floats_is_no_stop(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], "wide", to=TensorProto.DOUBLE),
        helper.make_node("Floor", ["d"], ["y"], "floor"),
    ]
    net = ls.open(saved(tmp_path, TensorProto.FLOAT, nodes, (1, 2), {}, ("y", TensorProto.DOUBLE)))
    with pytest.raises(UsageError, match='zero everywhere: layer "floor"'):
        net.gradient("y", "x", np.float32([[0.5, 4.5]]))
