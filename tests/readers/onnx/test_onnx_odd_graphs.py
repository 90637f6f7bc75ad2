"""Graphs that are valid and seldom: left-out outputs, attributes by reference, windows cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from models import FLOAT, model, node, numbers, plain_run, saved
from onnx import AttributeProto, TensorProto, helper

import layerscope as ls
from layerscope.errors import UnsupportedError


def graph(name: str, *nodes: onnx.NodeProto, inputs: Any = (), outputs: str) -> onnx.GraphProto:
    """A graph inside a node, of float32."""
    return helper.make_graph(
        list(nodes),
        name,
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(each, FLOAT, None) for each in outputs.split()],
    )


def function(
    name: str, inputs: str, *nodes: onnx.NodeProto, refers: str = ""
) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    attributes = [refers] if refers else []
    return helper.make_function(
        "own", name, inputs.split(), ["out"], list(nodes), opsets, attributes
    )


def referring(made: onnx.NodeProto, attribute: str, refers: str) -> onnx.NodeProto:
    """The node with an attribute that is the one of the function's call."""
    made.attribute.append(
        AttributeProto(name=attribute, ref_attr_name=refers, type=AttributeProto.FLOAT)
    )
    return made


X = numbers(1, 2, 6)
BODY = graph(
    "body",
    node("Add", "v x", "v_out"),
    node("Identity", "c", "c_out"),
    node("Neg", "v_out", "scan"),
    inputs=[("i", TensorProto.INT64, []), ("c", TensorProto.BOOL, []), ("v", FLOAT, None)],
    outputs="c_out v_out scan",
)
BODY.output[0].type.tensor_type.elem_type = TensorProto.BOOL
SCAN = graph(
    "body",
    node("Add", "s each", "s_out"),
    node("Neg", "s_out", "each_out"),
    inputs=[("s", FLOAT, None), ("each", FLOAT, None)],
    outputs="s_out each_out",
)
THEN = graph("then", node("Relu", "x", "a"), node("Neg", "x", "b"), outputs="a b")
ELSE = graph("else", node("Abs", "x", "d"), node("Exp", "x", "e"), outputs="d e")
TENSORS = {
    "k": np.array([2]),
    "n": np.int64(3),
    "yes": np.bool_(True),
    "zero": np.zeros((2, 6), "f"),
}
LEFT_OUT = {
    "Split": (node("Split", "x", "- y", axis=2, num_outputs=2), X[:, :, 3:]),
    "If": (node("If", "yes", "- y", then_branch=THEN, else_branch=ELSE), -X),
    "Loop": (node("Loop", "n yes x", "- y", body=BODY), np.stack([-2 * X, -3 * X, -4 * X])),
    "Scan": (node("Scan", "zero x", "- y", body=SCAN, num_scan_inputs=1), -X),
    "TopK": (node("TopK", "x k", "- y"), np.argsort(-X, 2)[:, :, :2]),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_outputs_that_are_left_out(kind: str, tmp_path: Path) -> None:
    """ONNX Runtime crashes on some of these, and refuses the others."""
    op, wanted = LEFT_OUT[kind]
    net = ls.open(saved(tmp_path, model([op], {"x": (1, 2, 6)}, "y", TENSORS)))
    blobs = net.run(X)
    np.testing.assert_allclose(blobs["y"], wanted, rtol=1e-6)
    assert list(blobs) == ["x", "y/0", "y"]


def test_a_name_for_a_left_out_output_is_a_new_one(tmp_path: Path) -> None:
    op = node("Split", "y/0", "- y", axis=2, num_outputs=2)
    net = ls.open(saved(tmp_path, model([op], {"y/0": (1, 2, 6)}, "y")))
    assert list(net.run(X)) == ["y/0", "y/0'", "y"]


def test_a_left_out_output_inside_a_branch(tmp_path: Path) -> None:
    split = node("Split", "x", "- a", axis=2, num_outputs=2)
    branches = graph("then", split, outputs="a"), graph("else", node("Abs", "x", "d"), outputs="d")
    op = node("If", "yes", "y", then_branch=branches[0], else_branch=branches[1])
    net = ls.open(saved(tmp_path, model([op], {"x": (1, 2, 6)}, "y", TENSORS)))
    np.testing.assert_array_equal(net.run(X)["y"], X[:, :, 3:])


def test_attributes_by_reference_inside_branches(tmp_path: Path) -> None:
    """A function called in a branch, and a function with a branch of its own."""
    leaky = function(
        "Leaky", "v", referring(node("LeakyRelu", "v", "out"), "alpha", "slope"), refers="slope"
    )
    inner = referring(node("LeakyRelu", "v", "a"), "alpha", "slope")
    choice = function(
        "Choice",
        "v c",
        node("If", "c", "out", then_branch=graph("t", inner, outputs="a"),
             else_branch=graph("e", node("Abs", "v", "b"), outputs="b")),
        refers="slope",
    )  # fmt: skip
    call = helper.make_node("Leaky", ["x"], ["a"], domain="own", slope=0.5)
    branch = node("If", "c", "h", then_branch=graph("t", call, outputs="a"),
                  else_branch=graph("e", node("Abs", "x", "b"), outputs="b"))  # fmt: skip
    last = helper.make_node("Choice", ["h", "c"], ["y"], domain="own", slope=0.25)
    made = model(
        [branch, last], {"x": (1, 2, 6), "c": (TensorProto.BOOL, ())}, "y",
        domains={"own": 1}, functions=[leaky, choice],
    )  # fmt: skip
    net = ls.open(saved(tmp_path, made))
    found = net.run({"x": X, "c": np.array(True)})["y"]
    np.testing.assert_allclose(found, np.where(X < 0, X * 0.125, X), rtol=1e-6)
    np.testing.assert_allclose(net.run({"x": X, "c": np.array(False)})["y"], np.abs(X), rtol=1e-6)


def test_constants_of_a_function_are_params(tmp_path: Path) -> None:
    weight, bias = numbers(3, 6, seed=1), numbers(3, seed=2)
    linear = function(
        "Linear",
        "v w",
        node("Constant", "", "b", value=onnx.numpy_helper.from_array(bias)),
        node("Transpose", "w", "turned", perm=[1, 0]),
        node("MatMul", "v turned", "m"),
        node("Add", "m b", "out"),
    )
    call = helper.make_node("Linear", ["x", "w"], ["y"], name="fc", domain="own")
    made = model([call], {"x": (1, 2, 6)}, "y", {"w": weight}, 18, {"own": 1}, functions=[linear])
    net = ls.open(saved(tmp_path, made))
    assert [each.type for each in net.layers] == ["Input", "MatMul", "Add"]
    assert [[p.shape for p in each.params] for each in net.layers] == [[], [(3, 6)], [(3,)]]
    np.testing.assert_allclose(net.run(X)["y"], X @ weight.T + bias, rtol=1e-5, atol=1e-6)


def test_bfloat16_that_is_read_inside_a_branch(tmp_path: Path) -> None:
    then = graph("then", node("Cast", "x", "a", to=FLOAT), outputs="a")
    other = graph("else", node("Cast", "x", "b0", to=FLOAT), node("Neg", "b0", "b"), outputs="b")
    op = node("If", "yes", "y", then_branch=then, else_branch=other)
    made = model([op], {"x": (TensorProto.BFLOAT16, (1, 2, 6))}, "y", {"yes": np.bool_(True)})
    found = ls.open(saved(tmp_path, made)).run(X)["y"]
    np.testing.assert_array_equal(found, X.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_a_sparse_constant_is_refused(tmp_path: Path) -> None:
    places = helper.make_tensor("i", TensorProto.INT64, [2], [0, 5])
    sparse = helper.make_sparse_tensor(helper.make_tensor("w", FLOAT, [2], [1, 2]), places, [6, 3])
    nodes = [node("Constant", "", "w", sparse_value=sparse), node("MatMul", "x w", "y")]
    with pytest.raises(UnsupportedError, match='node "w": sparse weights are not read'):
        ls.open(saved(tmp_path, model(nodes, {"x": (1, 2, 6)}, "y")))


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "LpPool"])
def test_windows_that_would_begin_in_the_padding(kind: str, tmp_path: Path) -> None:
    """5 with 1 before and after, a window of 2 each 3: at -1, 2, and not at 5, which is padding.

    The other axis is rounded up: 6, a window of 3 each 2, at 0, 2, 4.
    """
    pool = {"kernel_shape": [2, 3], "strides": [3, 2], "pads": [1, 0, 1, 0], "ceil_mode": 1}
    nodes = [
        node(kind, "x", "p", **pool),
        node(kind, "p", "q", kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1),
        node("Flatten", "q", "y"),
    ]
    made = model(nodes, {"x": (1, 2, 5, 6)}, "p q y")
    net = ls.open(saved(tmp_path, made))
    assert [net.blobs[name].shape for name in ("p", "q", "y")] == [
        (1, 2, 2, 3),
        (1, 2, 1, 2),
        (1, 4),
    ]
    given = numbers(1, 2, 5, 6)
    blobs, plain = net.run(given), plain_run(made, {"x": given})
    for name, array in plain.items():
        np.testing.assert_allclose(blobs[name], array, rtol=1e-5)
        assert blobs[name].shape == net.blobs[name].shape
