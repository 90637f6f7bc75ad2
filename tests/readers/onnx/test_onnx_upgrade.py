"""Old forms of ops: each gives what ONNX Runtime gives for the model as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import layerscope as ls
from closeness import assert_blob_close
from layerscope.readers.onnx.forms import FORMS
from readers.onnx.models import model, node, numbers, plain_run, saved

X = (2, 3, 5, 7)
I64 = np.int64


def one(
    kind: str, opset: int, dims: Any = X, tensors: Any = None, more: str = "", **attributes: Any
) -> Any:
    """A model of one node that reads x and then `more`."""
    top = "y z" if kind in ("Split", "TopK") else "y"
    made = node(kind, f"x {more}", top, name="n", **attributes)
    return model([made], {"x": dims}, top, tensors, opset)


CASES: dict[str, Any] = {
    **{
        f"{kind}-{opset}": one(kind, opset, axes=[1, 3], keepdims=0)
        for kind, opset in [
            ("ReduceSum", 12), ("ReduceMean", 17), ("ReduceMax", 11), ("ReduceMin", 13),
            ("ReduceL1", 7), ("ReduceL2", 17), ("ReduceProd", 11), ("ReduceLogSumExp", 13),
            ("ReduceSumSquare", 8),
        ]
    },
    "ReduceLogSum": model(
        [node("Abs", "x", "a"), node("ReduceLogSum", "a", "y", axes=[-1])], {"x": X}, "y", opset=17
    ),
    "ReduceMean-all": one("ReduceMean", 11),
    "Squeeze": one("Squeeze", 11, (2, 1, 5, 1), axes=[1, 3]),
    "Squeeze-all": one("Squeeze", 9, (2, 1, 5, 1)),
    "Unsqueeze": one("Unsqueeze", 12, axes=[0, 3]),
    "Split-sizes": one("Split", 11, axis=3, split=[2, 5]),
    "Split-equal": one("Split", 9, (2, 4, 3), axis=1),
    "Split-equal-13": one("Split", 13, (2, 4, 3), axis=1),
    "Split-given-13": one("Split", 13, (2, 4, 3), {"s": np.array([1, 3], I64)}, "s", axis=1),
    "Slice": one("Slice", 9, starts=[1, -4], ends=[9, -1], axes=[1, 3]),
    "Slice-no-axes": one("Slice", 7, starts=[0, 1], ends=[1, 3]),
    "Pad": one("Pad", 10, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=1.5),
    "Pad-reflect": one("Pad", 9, mode="reflect", pads=[0, 0, 1, 2, 0, 0, 3, 0]),
    "Clip": one("Clip", 10, min=-0.5, max=0.25),
    "Clip-one-end": one("Clip", 6, max=0.25),
    "TopK": one("TopK", 9, k=3, axis=2),
    "Dropout": one("Dropout", 10, ratio=0.7),
    "Dropout-7": one("Dropout", 7, ratio=0.7),
    **{
        f"{kind}-{opset}-axis{axis}": one(kind, opset, axis=axis)
        for kind in ("Softmax", "LogSoftmax", "Hardmax")
        for opset, axis in [(11, 1), (7, 2), (12, -1), (12, -3), (9, 0), (11, 3)]
    },
    "Softmax-default": one("Softmax", 9),
    "Softmax-1x1": one("Softmax", 9, (2, 6, 1, 1)),
    "Upsample-7": one("Upsample", 7, scales=[1.0, 1.0, 2.0, 3.0]),
    "Upsample-9": one("Upsample", 9, tensors={"s": np.array([1, 1, 2, 2], np.float32)}, more="s"),
    "Upsample-linear": one("Upsample", 8, mode="linear", scales=[1.0, 1.0, 2.0, 2.0]),
    "Resize-10-up": one("Resize", 10, tensors={"s": np.array([1, 1, 2, 1.5], "f4")}, more="s"),
    "Resize-10-down": one("Resize", 10, tensors={"s": np.array([1, 1, 0.6, 0.5], "f4")}, more="s"),
    "Resize-10-both": one("Resize", 10, tensors={"s": np.array([1, 1, 0.6, 2], "f4")}, more="s"),
    "Resize-10-linear": one(
        "Resize", 10, tensors={"s": np.array([1, 1, 0.6, 2], "f4")}, more="s", mode="linear"
    ),
    "Resize-11-scales": one(
        "Resize", 11, more="r s",
        tensors={"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)},
    ),
    "Resize-11-sizes": one(
        "Resize", 11, more="r s z", mode="linear", coordinate_transformation_mode="pytorch_half_pixel",
        tensors={"r": np.zeros(0, "f4"), "s": np.zeros(0, "f4"), "z": np.array([2, 3, 4, 9], I64)},
    ),
    "Resize-11-tf-half-pixel": one(
        "Resize", 11, more="r s", nearest_mode="floor",
        coordinate_transformation_mode="tf_half_pixel_for_nn",
        tensors={"r": np.zeros(0, "f4"), "s": np.array([1, 1, 2.5, 0.4], np.float32)},
    ),
    "BatchNormalization-7": one(
        "BatchNormalization", 7, more="s b m v", epsilon=1e-3,
        tensors={n: np.abs(numbers(3, seed=i)) for i, n in enumerate("sbmv")},
    ),
    "BatchNormalization-9": one(
        "BatchNormalization", 9, more="s b m v",
        tensors={n: np.abs(numbers(3, seed=i)) for i, n in enumerate("sbmv")},
    ),
    "RoiAlign": one(
        "RoiAlign", 10, more="r i", output_height=2, output_width=3, spatial_scale=0.5,
        tensors={"r": np.array([[0, 1, 9, 8], [2, 0, 12, 7]], "f4"), "i": np.array([0, 1], I64)},
    ),
    "Scatter": one(
        "Scatter", 9, (3, 4), more="i u", axis=1,
        tensors={"i": np.array([[1, 3]], I64), "u": np.array([[5, 6]], np.float32)},
    ),
    "Gemm-7": one("Gemm", 7, (2, 3), {"w": numbers(3, 4), "c": numbers(4)}, "w c", beta=0.5),
    "MaxPool-7": one("MaxPool", 7, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    "AveragePool-7": one("AveragePool", 7, kernel_shape=[3, 2], pads=[1, 0, 1, 1]),
    "PRelu-7": one("PRelu", 7, tensors={"s": numbers(3, 1, 1)}, more="s"),
    "LSTM-7": one(
        "LSTM", 7, (4, 2, 3), {"w": numbers(1, 20, 3), "r": numbers(1, 20, 5, seed=1)}, "w r",
        hidden_size=5,
    ),
    "Opset-6-add": model(
        [node("Conv", "x w", "c"), node("Relu", "c", "y")], {"x": X}, "y",
        {"w": numbers(4, 3, 2, 2)}, 6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_old_form_gives_the_same(tmp_path: Path, case: str) -> None:
    made = CASES[case]
    dims = [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": numbers(*dims, seed=3)}
    net = ls.open(saved(tmp_path, made))
    assert net.graph.opset == 18
    got, want = net.run(feeds), plain_run(made, feeds)
    assert set(net.outputs) == set(want)
    for name in want:
        assert_blob_close(got[name], want[name], f"{case}/{name}")
    for name, blob in net.blobs.items():
        assert got[name].shape == blob.shape, name
    # The graph is one of opset 18 by onnx's own rules, too.
    ls.convert(net, tmp_path / "new.onnx")
    again = plain_run(tmp_path / "new.onnx", feeds)
    for name in want:
        assert_blob_close(again[name], want[name], f"{case}/{name} converted")


def test_cases_for_every_form() -> None:
    """Spread ops of opset 6 are held to their own numbers below; Scan of 8 is refused."""
    tested = {n.op_type for made in CASES.values() for n in made.graph.node}
    below = {"Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less"}
    assert set(FORMS) - tested == below | {"Scan", "GRU", "RNN"}


def test_every_op_that_changed_its_form_is_known() -> None:
    """Attributes or inputs that differ between opset 7 and 18, by onnx's own schemas."""
    changed = set()
    for each in onnx.defs.get_all_schemas_with_history():
        if each.domain or not 7 < each.since_version <= 18:
            continue
        try:
            now = onnx.defs.get_schema(each.name, 18)
            before = onnx.defs.get_schema(each.name, each.since_version - 1)
        except onnx.defs.SchemaError:
            continue
        gone = set(before.attributes) - set(now.attributes)
        others = {
            name
            for name in set(before.attributes) & set(now.attributes)
            if str(before.attributes[name].default_value) != str(now.attributes[name].default_value)
        }
        if gone or others or now.deprecated or len(before.outputs) > len(now.outputs):
            changed.add(each.name)
    assert changed <= set(FORMS), changed - set(FORMS)
    assert len(changed) > 20


# What changed its meaning although its attributes did not (new ones came with another default).
def test_box_pooling_moved_by_half_a_pixel(tmp_path: Path) -> None:
    net = ls.open(saved(tmp_path, CASES["RoiAlign"]))
    (made,) = net.graph.nodes
    assert [a.s for a in made.attribute if a.name == "coordinate_transformation_mode"] == [
        b"output_half_pixel"
    ]


@pytest.mark.parametrize(
    ("kind", "axis", "second", "want"),
    [
        ("Add", 1, (3,), lambda a, b: a + b[:, None, None]),
        ("Mul", 0, (2, 3), lambda a, b: a * b[:, :, None, None]),
        ("Sub", None, (5, 7), lambda a, b: a - b),
        ("Div", 2, (5,), lambda a, b: a / b[:, None]),
    ],
)
def test_spread_by_an_attribute(
    tmp_path: Path, kind: str, axis: int | None, second: tuple[int, ...], want: Any
) -> None:
    """Opset 6, by hand: `axis` says where the axes of the second input begin."""
    where = {} if axis is None else {"axis": axis}
    made = model(
        [node(kind, "x w", "y", broadcast=1, **where)], {"x": X}, "y", {"w": numbers(*second)}, 6
    )
    x = numbers(*X, seed=2)
    got = ls.open(saved(tmp_path, made)).run(x)["y"]
    np.testing.assert_allclose(got, want(x, numbers(*second)), rtol=1e-6)


def test_prelu_of_opset_6_has_one_slope_a_channel(tmp_path: Path) -> None:
    slopes = np.array([0.5, -1, 2], np.float32)
    made = model([node("PRelu", "x s", "y")], {"x": (1, 3, 2, 3)}, "y", {"s": slopes}, 6)
    x = numbers(1, 3, 2, 3)
    want = np.where(x < 0, x * slopes[:, None, None], x)
    np.testing.assert_allclose(ls.open(saved(tmp_path, made)).run(x)["y"], want, rtol=1e-6)


def test_statistics_of_every_unit(tmp_path: Path) -> None:
    """BatchNormalization with spatial=0, which no runtime knows any more: by hand."""
    parts = {n: np.abs(numbers(3, 5, 7, seed=i)) for i, n in enumerate("sbmv")}
    made = one("BatchNormalization", 7, tensors=parts, more="s b m v", spatial=0, epsilon=1e-3)
    x = numbers(*X)
    net = ls.open(saved(tmp_path, made))
    want = parts["s"] * (x - parts["m"]) / np.sqrt(parts["v"] + 1e-3) + parts["b"]
    assert_blob_close(net.run(x)["y"], want, "y")


def test_refused_forms(tmp_path: Path) -> None:
    training = node("BatchNormalization", "x s b m v", "y a c", name="bn")
    parts = {n: np.ones(3, np.float32) for n in "sbmv"}
    with pytest.raises(ls.errors.UnsupportedError, match=r'node "bn" \(Batch.*as for training'):
        ls.open(saved(tmp_path, model([training], {"x": X}, "y", parts, 9)))
    half = {"r": np.zeros(0, "f4"), "s": np.array([1, 1, 2, 2], np.float32)}
    with pytest.raises(ls.errors.UnsupportedError, match=r'node "n".*tf_half_pixel_for_nn'):
        made = one("Resize", 11, tensors=half, more="r s", mode="linear",
                   coordinate_transformation_mode="tf_half_pixel_for_nn")  # fmt: skip
        ls.open(saved(tmp_path, made))


def test_inside_a_branch(tmp_path: Path) -> None:
    """Graphs inside nodes are brought to the new forms too."""
    then = helper.make_graph(
        [node("ReduceSum", "x", "t", axes=[1]), node("Softmax", "t", "p", axis=1)],
        "then", [], [helper.make_tensor_value_info("p", TensorProto.FLOAT, None)],
    )  # fmt: skip
    other = helper.make_graph(
        [node("Slice", "x", "s", starts=[0], ends=[1], axes=[1])],
        "else", [], [helper.make_tensor_value_info("s", TensorProto.FLOAT, None)],
    )  # fmt: skip
    made = model(
        [node("If", "c", "y", name="choice", then_branch=then, else_branch=other)],
        {"x": X, "c": (TensorProto.BOOL, ())}, "y", opset=9,
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    assert [(each.name, each.type) for each in net.layers][-1] == ("choice", "If")
    for choice in (True, False):
        feeds = {"x": numbers(*X), "c": np.array(choice)}
        assert_blob_close(net.run(feeds)["y"], plain_run(made, feeds)["y"], f"{choice}")
