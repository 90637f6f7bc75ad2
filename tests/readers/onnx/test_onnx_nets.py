"""Whole small nets: every blob against onnx's reference, and what the net says of itself."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import layerscope as ls
from closeness import assert_blob_close
from readers.onnx.models import model, node, numbers, plain_run, saved

I64 = np.int64


def residual(opset: int = 18, batch: Any = "N") -> Any:
    """A residual net with shared and reshaped weights, a branch, and a softmax."""
    tensors = {
        "w1": numbers(6, 3, 3, 3), "b1": numbers(6, seed=1), "w2": numbers(6, 1, 3, 3, seed=2),
        "scale": np.abs(numbers(6, seed=3)), "shift": numbers(6, seed=4),
        "mean": numbers(6, seed=5), "var": np.abs(numbers(6, seed=6)),
        "factor": numbers(6, seed=7), "to": np.array([1, 6, 1, 1], I64), "half": np.float32(0.5),
        "fc": numbers(10, 6, seed=8), "flat": np.array([0, -1], I64),
    }  # fmt: skip
    nodes = [
        node("Conv", "data w1 b1", "c1", "conv1", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c1 scale shift mean var", "n1", "bn1"),
        node("Relu", "n1", "r1", "relu1"),
        node("Conv", "r1 w2", "c2", "conv2", group=6, kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
        node("Reshape", "factor to", "factor4", "spread"),
        node("Mul", "c2 factor4", "m2", "weigh"),
        node("Add", "m2 r1", "s2", "sum"),
        node("Mul", "s2 half", "h2", "halve"),
        node("Concat", "h2 r1", "cat", "join", axis=1),
        node("Split", "cat", "left right", "part", axis=1, num_outputs=2),
        node("Sub", "left right", "d2", "gap"),
        node("Conv", "d2 w2", "c3", "conv3", group=6, dilations=[2, 2]),
        node("GlobalAveragePool", "c3", "g", "pool"),
        node("Reshape", "g flat", "f", "flatten"),
        node("Transpose", "fc", "fcT", "turn", perm=[1, 0]),
        node("MatMul", "f fcT", "logits", "classify"),
        node("Softmax", "logits", "prob", "prob", axis=-1),
    ]
    return model(nodes, {"data": (batch, 3, 12, 14)}, "prob", tensors, opset, name="residual")


def test_every_blob_of_a_residual_net(tmp_path: Path) -> None:
    made = residual()
    x = numbers(1, 3, 12, 14, seed=9)
    net = ls.open(saved(tmp_path, made))
    got = net.run(x)
    want = ReferenceEvaluator(made).run(None, {"data": x}, intermediate=True)
    constant = {"factor4", "fcT"}  # made of weights alone: no blobs
    assert set(got) == set(want) - {t.name for t in made.graph.initializer} - constant - {""}
    for name in got:
        assert_blob_close(got[name], want[name], name)
        assert got[name].shape == net.blobs[name].shape


@pytest.mark.parametrize("batch", [1, 4])
def test_captured_equals_plain(tmp_path: Path, batch: int) -> None:
    """Keeping every blob changes no value: against the file run as it is, optimizer on and off."""
    made = residual()
    x = numbers(batch, 3, 12, 14, seed=9)
    net = ls.open(saved(tmp_path, made))
    assert net.graph.free_batch
    captured = net.run(x)
    for optimized in (True, False):
        want = plain_run(made, {"data": x}, optimized=optimized)
        assert_blob_close(captured["prob"], want["prob"], "prob", tolerance=2e-6)
    alone = net.run(x, ["prob"])
    assert_blob_close(captured["prob"], alone["prob"], "prob", tolerance=2e-6)


def test_what_the_net_says(tmp_path: Path) -> None:
    net = ls.open(saved(tmp_path, residual()))
    assert (net.name, net.format, net.inputs, net.outputs) == (
        "residual", "onnx", ("data",), ("prob",),
    )  # fmt: skip
    layers = {each.name: each for each in net.layers}
    assert (
        list(layers)
        == (
            "data conv1 bn1 relu1 conv2 weigh sum halve join part gap conv3 pool flatten classify prob"
        ).split()
    )
    assert layers["data"].type == "Input"
    words = {name: layers[name].summary for name in layers}
    assert words["conv1"] == "6 filters 3x3, stride 2x2, pad 1x1"
    assert words["conv2"] == "6 filters 3x3, pad same upper, 6 groups"
    assert words["conv3"] == "6 filters 3x3, dilation 2x2, 6 groups"
    assert words["classify"] == "10 outputs from 6 inputs"
    assert words["halve"] == "times 0.5"
    assert words["flatten"] == "to 0, -1"
    families = {name: layers[name].family for name in layers}
    assert families["conv1"] == families["pool"] == "vision"
    assert families["bn1"] == "normalization" and families["relu1"] == "neuron"
    assert families["classify"] == "common" and families["data"] == "data"
    assert families["join"] == families["sum"] == "utility"
    assert layers["part"].tops == ("left", "right")
    assert layers["sum"].bottoms == ("m2", "r1")


def test_params_are_the_weights_that_a_node_reads(tmp_path: Path) -> None:
    net = ls.open(saved(tmp_path, residual()))
    names = {layer: [p.name for p in params] for layer, params in net.params.items()}
    assert names == {
        "conv1": ["w1", "b1"],
        "bn1": ["scale", "shift", "mean", "var"],
        "conv2": ["w2"],
        "weigh": ["factor"],  # through the Reshape
        "conv3": ["w2"],
        "classify": ["fc"],  # through the Transpose
    }
    np.testing.assert_array_equal(net.params["classify"][0].data, numbers(10, 6, seed=8))
    assert net.params["conv3"][0].shared_with == "conv2"
    assert net.params["conv2"][0].shared_with == ""
    from layerscope.measure.cost import layer_costs

    costs = dict(zip([each.name for each in net.layers], layer_costs(net), strict=True))
    assert costs["conv1"].weights == 6 * 27 + 6
    assert costs["conv3"].weights == 0  # counted where it is first used
    assert costs["conv1"].multiply_adds == 6 * 6 * 7 * 27
    assert costs["classify"].multiply_adds == 60


def test_large_weights_are_views_on_the_file(tmp_path: Path) -> None:
    made = model([node("Gemm", "x w", "y")], {"x": (1, 300)}, "y", {"w": numbers(300, 200)})
    net = ls.open(saved(tmp_path, made))
    array = net.params["y"][0].data
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj, mmap.mmap) and not array.flags.writeable
    np.testing.assert_array_equal(array, numbers(300, 200))
    x = numbers(1, 300, seed=1)
    assert_blob_close(net.run(x)["y"], x @ numbers(300, 200), "y", tolerance=1e-5)


def test_weights_that_are_constant_nodes(tmp_path: Path) -> None:
    made = model(
        [
            node("Constant", "", "w", value=helper.make_tensor("", 1, (2, 3), range(6))),
            node("Constant", "", "two", value_float=2.0),
            node("ConstantOfShape", "dims", "ones", value=helper.make_tensor("", 1, (1,), [1.0])),
            node("MatMul", "x w", "m", "m"),
            node("Mul", "m two", "d", "d"),
            node("Add", "d ones", "y", "a"),
        ],
        {"x": (1, 2)}, "y", {"dims": np.array([3], I64)},
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert [each.name for each in net.layers] == ["x", "m", "d", "a"]
    assert net.params["a"][0].shape == (3,) and "d" not in net.params
    np.testing.assert_array_equal(net.run(np.array([[1, 10]], np.float32))["y"], [[61, 83, 105]])


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21, 24, 28])
def test_every_opset(tmp_path: Path, opset: int) -> None:
    made = model(
        [
            node("Conv", "x w", "c"), node("Relu", "c", "r"),
            node("MaxPool", "r", "p", kernel_shape=[2, 2]), node("Flatten", "p", "f"),
            node("Gemm", "f g b", "y", transB=1),
        ],
        {"x": (1, 2, 5, 6)}, "y",
        {"w": numbers(3, 2, 2, 3), "g": numbers(4, 27), "b": numbers(4)}, opset, ir=8,
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert net.graph.opset == max(opset, 18)
    x = numbers(1, 2, 5, 6, seed=1)
    got, want = net.run(x), ReferenceEvaluator(made).run(None, {"x": x}, intermediate=True)
    for name in ("c", "r", "p", "f", "y"):
        assert_blob_close(got[name], want[name], name)


def test_an_opset_that_the_runtime_does_not_have_yet(tmp_path: Path) -> None:
    """QuantizeLinear of opset 28 takes more types than before, and is else the same."""
    scale = {"s": np.float32(0.1), "z": np.uint8(100)}
    made = model([node("QuantizeLinear", "x s z", "q", "q")], {"x": (1, 50)}, "q", scale, 28, ir=13)
    net = ls.open(saved(tmp_path, made))
    x = numbers(1, 50)
    want = np.clip(np.rint(x / np.float32(0.1)) + 100, 0, 255)
    np.testing.assert_array_equal(net.run(x)["q"], want.astype(np.uint8))
    if net.graph.opset < 28:  # a runtime that has it needs no note
        assert "no QuantizeLinear of opset 28" in net.notes[0]


def test_a_newer_type_keeps_its_opset(tmp_path: Path) -> None:
    """Whole numbers of 2 bits came with 25: no lower opset takes them."""
    made = model([node("Cast", "x", "t", "to", to=TensorProto.INT2),
                  node("Cast", "t", "y", "from", to=TensorProto.FLOAT)],
                 {"x": (1, 4)}, "y", opset=28, ir=13)  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert net.graph.opset == 28
    np.testing.assert_array_equal(net.run(np.array([[0, 1, -1, -2]]))["y"], [[0, 1, -1, -2]])


def test_names_of_layers(tmp_path: Path) -> None:
    """Node names, modules of PyTorch's exporter, outputs; and no two alike."""
    nodes = [
        node("Relu", "x", "a", "same"), node("Neg", "a", "b", "same"), node("Abs", "b", "c"),
        node("Exp", "c", "d", "n1"), node("Relu", "d", "e", "n2"), node("Neg", "e", "y", "n3"),
    ]  # fmt: skip
    scopes = [["", "layer1", "layer1.0.exp", "exp"], ["", "layer1", "relu"], ["", "layer1", "neg"]]
    for each, scope in zip(nodes[3:], scopes, strict=True):
        entry = each.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.name_scopes", repr(scope)
    net = ls.open(saved(tmp_path, model(nodes, {"x": (1, 4)}, "y")))
    assert [each.name for each in net.layers] == [
        "x", "same", "same:2", "c", "layer1.0.exp", "layer1/relu", "layer1/neg",
    ]  # fmt: skip
    x = numbers(1, 4)
    np.testing.assert_allclose(net.run(x)["y"], -np.exp(np.abs(-np.maximum(x, 0))), rtol=1e-6)


@pytest.mark.parametrize(
    "words", ["[", "__import__('os')", "['a', 3]", "[]", "('a','b')", "[" * 900]
)
def test_damaged_notes_on_modules_are_no_names(tmp_path: Path, words: str) -> None:
    made = node("Relu", "x", "y", "r")
    entry = made.metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", words
    net = ls.open(saved(tmp_path, model([made], {"x": (1, 4)}, "y")))
    assert net.layers[1].name == "r"


def test_nodes_in_any_order(tmp_path: Path) -> None:
    made = model([node("Relu", "a", "y"), node("Neg", "x", "a")], {"x": (1, 4)}, "y")
    net = ls.open(saved(tmp_path, made))
    assert [each.name for each in net.layers] == ["x", "a", "y"]
    np.testing.assert_array_equal(net.run(numbers(1, 4))["y"], np.maximum(-numbers(1, 4), 0))


def test_functions_of_the_file_are_written_out(tmp_path: Path) -> None:
    """A function with an attribute, called twice, that calls another: every step is a layer."""
    slope = node("LeakyRelu", "t", "o")
    slope.attribute.add(name="alpha", ref_attr_name="a", type=1)
    inner = helper.make_function(
        "own", "Twice", ["x"], ["y"], [node("Add", "x x", "y", "double")],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    outer = helper.make_function(
        "own", "Bend", ["x"], ["o"], [node("Twice", "x", "t", domain="own"), slope],
        [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)], ["a"],
    )  # fmt: skip
    made = model(
        [
            node("Bend", "x", "m", "first", domain="own", a=0.5),
            node("Bend", "m", "y", "second", domain="own", a=0.25),
        ],
        {"x": (2, 3)}, "y", domains={"own": 1}, functions=[inner, outer],
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert [each.type for each in net.layers] == ["Input", "Add", "LeakyRelu", "Add", "LeakyRelu"]
    x = numbers(2, 3)
    got = net.run(x)
    assert_blob_close(got["y"], plain_run(made, {"x": x})["y"], "y")
    first = np.where(x > 0, 2 * x, 0.5 * 2 * x)
    assert_blob_close(got["m"], first, "m")
    assert len(got) == 5


def loop_body() -> Any:
    info = helper.make_tensor_value_info
    return helper.make_graph(
        [node("Add", "v outside", "w"), node("Identity", "go", "went")],
        "body",
        [info("i", TensorProto.INT64, ()), info("go", TensorProto.BOOL, ()), info("v", 1, (2, 3))],
        [info("went", TensorProto.BOOL, ()), info("w", 1, (2, 3))],
    )


def test_graphs_inside_nodes_are_one_layer(tmp_path: Path) -> None:
    """A loop reads a value from outside: it is a bottom, and its weights are params."""
    made = model(
        [
            node("Neg", "x", "outside", "n"),
            node("Loop", "three true x", "y", "again", body=loop_body()),
            node("Relu", "y", "z", "r"),
        ],
        {"x": (2, 3)}, "z", {"three": np.array(3, I64), "true": np.array(True)},
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    loop = net.layer("again")
    assert (loop.bottoms, loop.tops, loop.family) == (("x", "outside"), ("y",), "recurrent")
    assert loop.summary == "body of 2 nodes"
    got = net.run(numbers(2, 3))
    np.testing.assert_allclose(got["y"], -2 * numbers(2, 3), rtol=1e-6)


def test_sizes_that_depend_on_the_numbers(tmp_path: Path) -> None:
    made = model(
        [node("NonZero", "x", "places", "find"), node("Cast", "places", "y", "c", to=1)],
        {"x": (3, 4)}, "y",
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert any("find" in note and "try-out" in note for note in net.notes)
    assert net.run(np.eye(3, 4))["y"].shape == (2, 3)


def test_a_computed_shape_is_found_by_a_try_out_run(tmp_path: Path) -> None:
    """Reshape to what a chain of ops computes from float numbers: inference gives up."""
    made = model(
        [
            node("Shape", "x", "s"), node("Cast", "s", "f", to=1), node("Sqrt", "f", "q"),
            node("Pow", "q two", "p"), node("Add", "p tiny", "e"), node("Cast", "e", "d", to=7),
            node("Reshape", "x d", "y", "shaped"), node("Relu", "y", "z"),
        ],
        {"x": (4, 9)}, "z", {"two": np.float32(2), "tiny": np.float32(0.1)},
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert net.blobs["y"].shape == net.blobs["z"].shape == (4, 9)


def test_sequences_are_listed_as_not_kept(tmp_path: Path) -> None:
    made = model(
        [
            node("SequenceConstruct", "x x", "s", "pack"), node("ConcatFromSequence", "s", "y",
            "unpack", axis=0),
        ],
        {"x": (1, 3)}, "y",
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert net.notes == ("1 value cannot be kept as a blob: s (a sequence)",)
    assert net.layer("pack").tops == () and net.layer("pack").nodes
    assert net.run(numbers(1, 3))["y"].shape == (2, 3)


def test_an_output_that_is_a_weight_or_an_input(tmp_path: Path) -> None:
    made = model([node("Neg", "x", "y")], {"x": (1, 3)}, "y w x", {"w": numbers(2, 2)})
    net = ls.open(saved(tmp_path, made))
    assert net.outputs == ("y", "w", "x")
    got = net.run(numbers(1, 3))
    np.testing.assert_array_equal(got["w"], numbers(2, 2))
    np.testing.assert_array_equal(got["x"], numbers(1, 3))


def test_other_sizes(tmp_path: Path) -> None:
    """The file fixes 12x14 and a batch of 1: other sizes are another net."""
    net = ls.open(saved(tmp_path, residual(batch=1)))
    assert not net.graph.free_batch
    big = net.reshaped(data=(2, 3, 20, 18))
    assert big.blobs["c1"].shape == (2, 6, 10, 9)
    x = numbers(2, 3, 20, 18)
    want = plain_run(_free(residual()), {"data": x})
    assert_blob_close(big.run(x)["prob"], want["prob"], "prob")
    assert net.run(numbers(3, 3, 12, 14))["prob"].shape == (3, 10)


def _free(made: Any) -> Any:
    """The model with all axes of its input open."""
    for axis in made.graph.input[0].type.tensor_type.shape.dim:
        axis.Clear()
    return made


@pytest.mark.parametrize("case", ["residual", "old", "loop", "microsoft"])
def test_written_again(tmp_path: Path, case: str) -> None:
    """`convert` writes the graph as it is run here: the same outputs, every blob if asked."""
    looping = model(
        [node("Loop", "three true x", "y", "again", body=loop_body()), node("Relu", "y", "z")],
        {"x": (2, 3), "outside": (2, 3)}, "z",
        {"three": np.array(3, I64), "true": np.array(True)},
    )  # fmt: skip
    fused = model(
        [node("QuickGelu", "x", "y", "gelu", domain="com.microsoft")], {"x": (2, 3)}, "y",
        domains={"com.microsoft": 1},
    )  # fmt: skip
    soft = model([node("Softmax", "x", "y", "s", axis=1)], {"x": (2, 3, 4)}, "y", opset=9)
    made = {"residual": residual(), "old": soft, "loop": looping, "microsoft": fused}[case]
    net = ls.open(saved(tmp_path, made))
    feeds = {name: numbers(*net.graph.shapes[name]) for name in net.inputs}
    before = net.run(feeds)
    for blobs in (None, list(net.blobs)):
        path = ls.convert(net, tmp_path / "again.onnx", blobs=blobs)
        again = ls.open(path).run(feeds)
        for name in net.outputs:
            assert_blob_close(again[name], before[name], name, tolerance=2e-6)
        assert_blob_close(plain_run(path, feeds)[net.outputs[0]], before[net.outputs[0]], "plain")
