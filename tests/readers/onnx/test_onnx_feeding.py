"""What is fed: images in the layout and type of the input, arrays, several inputs; and the words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from PIL import Image

import layerscope as ls
from layerscope import cli
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from readers.onnx.models import model, node, numbers, saved

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def identity(dims: Any, element: int = TensorProto.FLOAT) -> Any:
    return model([node("Identity", "x", "y", "same")], {"x": (element, dims)}, "y")


def test_an_image_is_fed_as_most_nets_want_it(tmp_path: Path) -> None:
    net = ls.open(saved(tmp_path, identity(("N", 3, 6, 5))))
    blobs = net.run(PIXELS)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    want = ((PIXELS / 255 - mean) / deviation).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(blobs["y"], want, rtol=1e-5, atol=1e-6)
    assert blobs.fed["x"].statement == (
        "array 5x6, stretched to 5x6; RGB 0-255, minus the mean (123.675, 116.28, 103.53), times"
        " 1/255, divided by (0.229, 0.224, 0.225) (the usual way of ONNX nets; the net does not say)"
    )


def test_channels_last(tmp_path: Path) -> None:
    net = ls.open(saved(tmp_path, identity(("N", 6, 5, 3))))
    blobs = net.run(PIXELS)
    first = ls.open(saved(tmp_path, identity(("N", 3, 6, 5)))).run(PIXELS)["y"]
    np.testing.assert_array_equal(blobs["y"], first.transpose(0, 2, 3, 1))
    assert "channels last (N, H, W, C)" in blobs.fed["x"].statement
    np.testing.assert_array_equal(blobs.fed["x"].picture, PIXELS)


@pytest.mark.parametrize("dims", [(1, 3, 6, 5), (1, 6, 5, 3)])
def test_bytes_are_fed_as_they_are(tmp_path: Path, dims: tuple[int, ...]) -> None:
    net = ls.open(saved(tmp_path, identity(dims, TensorProto.UINT8)))
    blobs = net.run(Image.fromarray(PIXELS))
    want = PIXELS[None] if dims[3] == 3 else PIXELS.transpose(2, 0, 1)[None]
    assert blobs["y"].dtype == np.uint8
    np.testing.assert_array_equal(blobs["y"], want)
    assert "RGB 0-255" in blobs.fed["x"].statement and "takes uint8" in blobs.fed["x"].statement
    assert "minus" not in blobs.fed["x"].statement
    np.testing.assert_array_equal(net.run(want)["y"], want)


def test_gray(tmp_path: Path) -> None:
    net = ls.open(saved(tmp_path, identity((1, 1, 6, 5))))
    blobs = net.run(PIXELS[:, :, 0])
    np.testing.assert_allclose(blobs["y"][0, 0], PIXELS[:, :, 0] / 255, rtol=1e-6)
    assert "gray 0-255, times 1/255" in blobs.fed["x"].statement


def test_free_sizes_are_given_when_it_opens(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Axes of one name have one size; the shape is that of all blobs, and others can be had."""
    made = model(
        [node("Add", "x m", "s", "sum"), node("MaxPool", "s", "y", "pool", kernel_shape=[2, 2])],
        {"x": ("N", 3, "H", "W"), "m": ("N", 1, "H", "W")}, "y",
    )  # fmt: skip
    path = saved(tmp_path, made)
    net = ls.open(path, input_shapes={"x": (1, 3, 8, 9)})
    assert net.graph.shapes["m"] == (1, 1, 8, 9) and net.blobs["y"].shape == (1, 3, 7, 8)
    other = net.reshaped(x=(2, 3, 5, 4), m=(2, 1, 5, 4))
    assert other.blobs["y"].shape == (2, 3, 4, 3)
    feeds = {"x": numbers(2, 3, 5, 4), "m": numbers(2, 1, 5, 4)}
    assert other.run(feeds)["y"].shape == (2, 3, 4, 3)
    assert cli.run(["shapes", str(path), "--input-shape", "x=1,3,8,9", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["activations"]
    assert [row["shape"] for row in rows][-1] == [1, 3, 7, 8]
    for shapes, words in (
        ({"x": (1, 3, 8)}, "has 4 axes"),
        ({"z": (1,)}, 'input "z" is not in net'),
        ({"x": (1, 3, 0, 4)}, "at least 1"),
    ):
        with pytest.raises(ls.errors.UsageError, match=words):
            ls.open(path, input_shapes=shapes)


def test_other_sizes_are_reached_by_a_net_that_computes_its_shapes(tmp_path: Path) -> None:
    """Shape, Gather, Concat, Reshape, as exporters write a view: found without a run."""
    from unittest import mock

    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n", axis=0),
        node("Concat", "n rest", "to", axis=0), node("Reshape", "x to", "y", "view"),
    ]  # fmt: skip
    tensors = {"zero": np.array([0]), "rest": np.array([-1])}
    path = saved(tmp_path, model(nodes, {"x": ("N", 3, 4)}, "y", tensors))
    with mock.patch("layerscope.readers.onnx.trial._session", side_effect=AssertionError):
        net = ls.open(path)
    assert net.blobs["y"].shape == (1, 12)
    assert net.run(numbers(5, 3, 4))["y"].shape == (5, 12)


def two_inputs() -> Any:
    return model(
        [node("Gather", "table ids", "e", "look"), node("Add", "e x", "y", "add")],
        {"ids": (TensorProto.INT64, ("N",)), "x": ("N", 4)}, "y", {"table": numbers(9, 4)},
    )  # fmt: skip


def test_several_inputs(tmp_path: Path) -> None:
    net = ls.open(saved(tmp_path, two_inputs()))
    ids, x = np.array([2, 0, 8]), numbers(3, 4, seed=1)
    want = numbers(9, 4)[ids] + x
    np.testing.assert_allclose(net.run({"ids": ids, "x": x})["y"], want, rtol=1e-6)
    np.testing.assert_allclose(net.run({"ids": [2, 0, 8], "x": x})["y"], want, rtol=1e-6)
    np.savez(tmp_path / "in.npz", ids=ids, x=x)
    np.testing.assert_allclose(net.run(tmp_path / "in.npz")["y"], want, rtol=1e-6)
    with pytest.raises(ls.errors.UsageError, match=r"2 inputs \(ids, x\); name them"):
        net.run(x)
    with pytest.raises(ls.errors.UsageError, match="missing: ids"):
        net.run({"x": x})
    with pytest.raises(ls.errors.UsageError, match='"ids" takes int64; the array has other'):
        net.run({"ids": ids + 0.5, "x": x})
    big = np.array([2**40 + 1, 2, 3])
    with pytest.raises(ls.errors.UnsupportedError, match=str(2**40 + 1)):  # not rounded on its way
        net.run({"ids": big, "x": x})


def test_inputs_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, two_inputs())
    np.save("ids.npy", np.array([3]))
    np.save("x.npy", numbers(1, 4))
    show = ["show", "m.onnx", "--blob", "y", "-o", "y.png", "--json"]
    for feed in (
        ["--input", "ids=ids.npy", "--input", "x=x.npy"],
        ["x.npy", "--input", "ids=ids.npy"],  # the one that is left
    ):
        assert cli.run([*show, *feed]) == 0
        assert set(json.loads(capfd.readouterr().out)["fed"]) == {"ids", "x"}
    assert cli.run(["report", "m.onnx", "--input", "ids=ids.npy", "--input=x=x.npy"]) == 0
    assert (tmp_path / "m.html").exists()
    np.savez("in.npz", ids=np.array([3]), x=numbers(1, 4))
    assert cli.run([*show, "in.npz"]) == 0
    capfd.readouterr()
    for feed, words in (
        (["--input", "ids"], "write it as NAME=FILE"),
        (["--input", "x=x.npy", "--input", "x=x.npy"], "is given twice"),
        (["--input", "x=x.npy"], "missing: ids"),
        (["--input", "z=x.npy", "--input", "x=x.npy", "--input", "ids=ids.npy"], "unknown: z"),
        (["x.npy", "--input", "x=x.npy", "--input", "ids=ids.npy"], "0 inputs left for it"),
        ([], "takes --input NAME=FILE for each"),
    ):
        assert cli.run([*show, *feed]) == 2
        assert words in capfd.readouterr().err


def test_options_for_the_image(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(saved(tmp_path, identity(("N", 3, 6, 5))))
    Image.fromarray(PIXELS).save(tmp_path / "i.png")
    base = ["show", path, str(tmp_path / "i.png"), "--blob", "y", "-o", str(tmp_path / "y.png")]
    for options, words in (
        (["--std", "1,2,4"], "times 1/255, divided by (1, 2, 4) (as the options say)"),
        (["--std", "1", "--mean", "0"], "RGB 0-255, times 1/255 (as"),
        (["--channels", "BGR"], "minus the mean (103.53, 116.28, 123.675), times 1/255, divided by"
         " (0.225, 0.224, 0.229)"),
    ):  # fmt: skip
        assert cli.run([*base, *options]) == 0
        assert words in capfd.readouterr().out
    for bad in ("0", "a", "1,-2,3", "nan", ""):
        assert cli.run([*base, "--std", bad]) == 2
        assert "numbers above 0" in capfd.readouterr().err


def test_scores_of_a_net_without_a_softmax(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logits are listed as scores, never as probabilities."""
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w", "y", "fc")]
    path = str(saved(tmp_path, model(nodes, {"x": ("N", 2)}, "y", {"w": np.eye(2, 4, dtype="f4")})))
    np.save(tmp_path / "x.npy", np.array([[3, 7]], np.float32))
    (tmp_path / "labels.txt").write_text("ant\nbee\ncat\ndog\n")
    command = ["show", path, str(tmp_path / "x.npy"), "--blob", "y", "-o", str(tmp_path / "p.png")]
    assert cli.run(command) == 0
    out = capfd.readouterr().out
    assert "largest scores (y; the net ends without a softmax)\n  7  1  bee\n  3  0  ant" in out
    assert "%" not in out.split("largest scores")[1]
    assert cli.run([*command, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["top_is"] == "scores" and found["top"][0]["label"] == "bee"


def test_probabilities_of_a_net_with_one(tmp_path: Path) -> None:
    from layerscope.measure.top import probability_blob, score_blob

    def last(*nodes: Any) -> tuple[str | None, str | None]:
        net = ls.open(saved(tmp_path, model(list(nodes), {"x": (1, 6, 1, 1)}, "y")))
        return probability_blob(net), score_blob(net)

    assert last(node("Flatten", "x", "f"), node("Softmax", "f", "y")) == ("y", None)
    assert last(node("Softmax", "x", "y", axis=1)) == ("y", None)
    assert last(node("Softmax", "x", "y", axis=3)) == (None, None)  # over one number each
    assert last(node("Relu", "x", "y")) == (None, None)
    assert last(node("Flatten", "x", "f"), node("LogSoftmax", "f", "y")) == (None, "y")


def test_scores_of_a_quantized_net(tmp_path: Path) -> None:
    """What the last op gives is rounded; it is scores for all that."""
    from layerscope.measure.top import score_blob

    def found(op: str) -> str | None:
        rounded = [
            node("QuantizeLinear", "s scale zero", "q"),
            node("DequantizeLinear", "q scale zero", "y"),
        ]
        consts = {"scale": np.float32(0.5), "zero": np.uint8(3)}
        made = model([node(op, "x", "s"), *rounded], {"x": (1, 6)}, "y", consts)
        return score_blob(ls.open(saved(tmp_path, made)))

    assert found("Flatten") == "y"
    assert found("Relu") is None


def test_there_and_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A Caffe net written as ONNX and opened again: same layers' names, numbers, preprocessing."""
    net = ls.open(DEFINITION, WEIGHTS)
    again = ls.open(ls.convert(net, tmp_path / "demo.onnx"))
    assert str(again.preprocessing) == str(net.preprocessing)
    assert again.preprocessing.source == "the note in the file"
    image = images()["cat"]
    before, after = net.run(image), again.run(image)
    shared = set(before) & set(after)
    assert len(shared) == 22
    for name in shared:
        np.testing.assert_array_equal(before[name], after[name])
    assert [each.name for each in again.layers][:6] == [
        "data",
        "conv1",
        "relu1",
        "pool1",
        "norm1",
        "conv2",
    ]
    assert net.params["conv1"][0].shape == again.params["conv1"][0].shape
    command = ["report", str(tmp_path / "demo.onnx"), str(image), "-o", str(tmp_path / "p.html")]
    assert cli.run([*command, "--labels", str(LABELS)]) == 0
    assert "69.89 %" in capfd.readouterr().out
    assert cli.run(["convert", command[1], "-o", command[1]]) == 2
    assert "is the net itself" in capfd.readouterr().err
    third = ls.open(ls.convert(again, tmp_path / "third.onnx"))
    np.testing.assert_array_equal(third.run(image)["prob"], before["prob"])
