"""Every rule against the runtime: nets of one node, all units of all outputs."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from test_ops_of_files import OPS as CODED

import layerscope as ls
from engine.gradient.onenode import Case
from layerscope.measure.explain import Explainer, Unit
from layerscope.measure.explain.registry import explained_ops
from layerscope.net import Blob, Layer
from layerscope.readers.graph import GraphBuilder

RANDOM = np.random.default_rng(12)
X = RANDOM.normal(size=(2, 4, 6, 5)).astype(np.float32)
Y = RANDOM.normal(size=(2, 4, 6, 5)).astype(np.float32)
ROWS = RANDOM.normal(size=(5, 4)).astype(np.float32)
I64 = np.int64


def net_of_one(op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> ls.Net:
    """A net whose one layer is one node; the first input is fed, "" is left out."""
    builder = GraphBuilder()
    builder.prefix = "one"
    names = [
        builder.input("x", inputs[0].shape),
        *(
            "" if isinstance(each, str) else builder.constant(np.asarray(each))
            for each in inputs[1:]
        ),
    ]
    if op == "Compress":
        tops = [builder.selection(op, *names, **attributes)]
    elif "most" in attributes:
        given = names if op == "NonZero" else names[1:]
        tops = [builder.bounded(op, attributes.pop("most"), *given, **attributes)]
    else:
        tops = builder.ops(op, outputs, *names, **attributes)
    blobs = {"x": Blob("x", inputs[0].shape, "x", "x", "x")}
    for number, top in enumerate(tops):
        blobs[f"y{number}"] = Blob(f"y{number}", builder.shape(top), top, "one", f"y{number}")
    layer = Layer("one", op, "common", ("x",), tuple(blobs)[1:], nodes=range(1))
    return ls.Net(
        "one", "test", (layer,), blobs, builder.finish(), tuple(blobs)[1:], ls.Preprocessing()
    )


def whole(*numbers: int) -> np.ndarray:
    return np.asarray(numbers, I64)


CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *((op, (X,), {}) for op in (
        "Relu", "Sigmoid", "Tanh", "Softplus", "Abs", "Neg", "Exp", "Sign", "Floor", "Ceil",
        "Round", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Erf", "Selu", "Softsign",
        "HardSwish", "Mish", "Identity", "Reciprocal", "GlobalAveragePool",
        "GlobalMaxPool",
    )),
    *((op, (np.abs(X) + 0.1,), {}) for op in ("Log", "Sqrt")),
    ("LeakyRelu", (X,), {"alpha": 0.3}),
    ("Elu", (X,), {"alpha": 0.6}),
    ("HardSigmoid", (X,), {"alpha": 0.3, "beta": 0.4}),
    ("Clip", (X, np.float32(-0.5), np.float32(0.7)), {}),
    ("Clip", (X, "", np.float32(0.7)), {}),
    ("PRelu", (X, RANDOM.normal(size=(4, 1, 1)).astype(np.float32)), {}),
    *((op, (X, Y), {}) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")),
    ("Add", (X, Y[0, :1, :1]), {}),
    ("Max", (X, Y, Y[:1] * 2), {}),
    ("Pow", (np.abs(X), np.float32(1.7)), {}),
    ("Mod", (X, np.float32(0.7)), {"fmod": 1}),
    ("Softmax", (X,), {"axis": 1}),
    ("LogSoftmax", (X,), {"axis": -1}),
    ("LRN", (X,), {"size": 3, "alpha": 0.4, "beta": 0.6, "bias": 1.2}),
    ("BatchNormalization", (X, *(np.abs(ROWS[i]) for i in range(4))), {"epsilon": 0.01}),
    ("Conv", (X, RANDOM.normal(size=(6, 2, 3, 2)).astype(np.float32)),
     {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}),
    ("Conv", (X[:, :, 0], RANDOM.normal(size=(3, 4, 2)).astype(np.float32), ROWS[0, :3]), {}),
    ("ConvTranspose", (X, RANDOM.normal(size=(4, 3, 3, 2)).astype(np.float32), ROWS[:6 - 1, 0][:3]),
     {"pads": [1, 0, 0, 1], "strides": [2, 3], "dilations": [2, 1]}),
    ("ConvTranspose", (X, RANDOM.normal(size=(4, 3, 2, 2)).astype(np.float32)),
     {"group": 2, "strides": [2, 2]}),
    *(("ConvTranspose", (X, RANDOM.normal(size=(4, 3, 3, 4)).astype(np.float32)),
       {"strides": [2, 3], **more}) for more in (
        {"output_padding": [1, 2]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"}, {"output_shape": [12, 14]},
        {"output_shape": [12, 14], "output_padding": [1, 2]})),
    *(("Conv", (X, RANDOM.normal(size=(3, 4, 4, 3)).astype(np.float32)),
       {"auto_pad": auto, "strides": [3, 2]}) for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    *((op, (X,), {"auto_pad": auto, "kernel_shape": [3, 4], "strides": [2, 1]})
      for auto in ("SAME_UPPER", "SAME_LOWER") for op in ("MaxPool", "AveragePool")),
    ("AveragePool", (X,), {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", (X,), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("Gemm", (ROWS, ROWS, ROWS[:, 0]), {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", (ROWS, ROWS), {"transA": 1}),
    ("MatMul", (X, RANDOM.normal(size=(4, 5, 3)).astype(np.float32)), {}),
    ("MatMul", (ROWS, ROWS.T.copy()), {}),
    ("MaxPool", (X,), {"kernel_shape": [3, 2], "pads": [1, 1, 1, 0], "strides": [2, 1], "outputs": 2}),
    ("MaxPool", (X,), {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    ("AveragePool", (X,), {"kernel_shape": [3, 2], "pads": [1, 1, 0, 0], "count_include_pad": 1}),
    ("AveragePool", (X,), {"kernel_shape": [3, 2], "pads": [1, 1, 0, 0], "strides": [2, 2]}),
    ("Reshape", (X, whole(0, 2, -1)), {}),
    ("Flatten", (X,), {"axis": 2}),
    ("Squeeze", (X[:, :1], whole(1)), {}),
    ("Unsqueeze", (X, whole(0, 3)), {}),
    ("Transpose", (X,), {"perm": [2, 0, 3, 1]}),
    ("Concat", (X, Y[:, :3], X[:, :1]), {"axis": 1}),
    ("Split", (X, whole(1, 3)), {"axis": 1, "outputs": 2}),
    ("Slice", (X, whole(-5, 4), whole(9, 0), whole(2, 3), whole(2, -2)), {}),
    ("Tile", (X, whole(1, 2, 1, 3)), {}),
    ("Expand", (X[:, :1], whole(3, 1, 4, 6, 5)[1:] * whole(2, 1, 1, 1)), {}),
    *(("Pad", (X, whole(0, 1, 2, 0, 0, 0, 1, 3), np.float32(0.5)), {"mode": mode})
      for mode in ("constant", "edge", "reflect", "wrap")),
    ("DepthToSpace", (X,), {"blocksize": 2}),
    ("DepthToSpace", (X,), {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", (X[..., :4],), {"blocksize": 2}),
    ("Gather", (X, np.asarray([[3, 0], [-1, 2]], I64)), {"axis": 1}),
    ("GatherElements", (X, np.asarray([[[[1, -1, 0, 2, 4]]]] * 2, I64)), {"axis": 3}),
    ("GatherND", (X, np.asarray([[0, 1], [1, 3], [-1, 0]], I64)), {}),
    ("Compress", (X, np.asarray([True, False, True, True])), {"axis": 1}),
    ("ScatterElements", (X, np.asarray([[[[1, -1]]]], I64), np.float32([[[[7, 8]]]])), {"axis": 2}),
    ("ScatterND", (X, np.asarray([[0, 1], [1, 3], [0, 1]], I64), Y[0, :3]), {}),
    *((op, (X, whole(1, 3)), {"keepdims": keep}) for keep in (0, 1) for op in (
        "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL1",
        "ReduceL2")),
    ("ReduceSum", (X,), {"keepdims": 0}),
    ("ArgMax", (X,), {"axis": 1}),
    ("ArgMin", (np.round(X),), {"axis": 2, "keepdims": 0}),
    ("ArgMax", (np.round(X),), {"axis": 2, "keepdims": 0, "select_last_index": 1}),
    ("TopK", (X, whole(3)), {"axis": 1, "outputs": 2}),
    ("TopK", (X, whole(2)), {"axis": 2, "outputs": 2, "largest": 0}),
    *(("CumSum", (X, np.asarray(2, I64)), {"exclusive": e, "reverse": r})
      for e in (0, 1) for r in (0, 1)),
    *(("Resize", (X, "", "", whole(2, 4, h, w)), {"mode": mode, "coordinate_transformation_mode": how})
      for mode in ("linear", "nearest") for h, w in ((9, 8), (4, 3))
      for how in ("asymmetric", "align_corners", "half_pixel", "pytorch_half_pixel")),
    *(("Resize", (X, "", np.float32([1, 1, 1.7, 2.2])), {"mode": "nearest", "nearest_mode": how})
      for how in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")),
    ("MaxRoiPool", (X, np.float32([[0, 0, 0, 4, 4], [1, 1, 2, 3, 5], [0, 4, 5, 9, 9]])),
     {"pooled_shape": [2, 3], "spatial_scale": 0.9}),
    ("Shape", (X,), {"start": 1}),
    ("ConstantOfShape", (X, whole(2, 3)), {"most": (2, 3), "value": numpy_helper.from_array(
        np.float32([2.5]))}),
    ("Range", (X, np.float32(1), np.float32(4), np.float32(0.5)), {"most": (6,)}),
    *(("Cast", (X * 3,), {"to": to}) for to in (TensorProto.INT64, TensorProto.BOOL, TensorProto.DOUBLE)),
    *((op, (np.tanh(X),), {}) for op in ("Tan", "Asin", "Acos", "Atanh")),
    ("Acosh", (np.abs(X) + 1,), {}),
    ("Celu", (X,), {"alpha": 0.7}), ("ThresholdedRelu", (X,), {"alpha": 0.4}),
    ("Shrink", (X,), {"lambd": 0.4, "bias": 0.3}),
    ("CastLike", (X * 3, whole(1)), {}), ("CastLike", (X, Y[0]), {}),
    ("Trilu", (X,), {}), ("Trilu", (X, np.asarray(-2, I64)), {"upper": 0}),
    ("InstanceNormalization", (X, ROWS[0], ROWS[1]), {"epsilon": 0.02}),
    ("LayerNormalization", (X, Y[0, 0, 0], Y[0, 1, 1]), {"epsilon": 0.02}),
    ("LayerNormalization", (X, Y[0, 0]), {"axis": 2}),
    *((op, (np.round(X), np.round(Y)), {}) for op in (
        "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")),
]  # fmt: skip
# Ops that take no floats, which a net of one fed node cannot have: the golden nets hold them.
ELSEWHERE = {"Where", "Not", "And", "Or", "Xor", "Dropout"}
LATER = [
    Case("Gelu", [X], opset=20, forward=lambda x: x),
    Case("Gelu", [X], {"approximate": "tanh"}, opset=20, forward=lambda x: x, label="tanh"),
    Case("Swish", [X], {"alpha": 1.3}, opset=24, forward=lambda x: x),
    Case("RMSNormalization", [X, Y[0, 0, 0]], opset=23, fixed=(1,), forward=lambda x: x),
    Case("SimplifiedLayerNormalization", [X, Y[0, 0]], {"axis": 2}, fixed=(1,),
         forward=lambda x: x),
    Case("GroupNormalization", [X, ROWS[0], ROWS[1]], {"num_groups": 2}, opset=21, fixed=(1, 2),
         forward=lambda x: x),
    Case("GroupNormalization", [X, ROWS[0, :2], ROWS[1, :2]], {"num_groups": 2}, fixed=(1, 2),
         forward=lambda x: x, label="by group"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_every_unit(op: str, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    net = net_of_one(op, *inputs, **dict(attributes))
    blobs = net.run({"x": inputs[0]})
    explainer = Explainer(net, blobs)
    checked = 0
    for name in list(blobs)[1:]:
        array = blobs[name]
        places = list(product(*map(range, array.shape)))
        for place in places[:: max(1, len(places) // 60)]:
            found = explainer.explain(Unit(name, place))
            assert found.recomputed is not None, found.reason
            want = float(array[place])
            assert found.recomputed == pytest.approx(want, abs=2e-6 * max(found.size, abs(want)))
            for step in found.steps:
                assert step.formula and "{" not in step.formula
                for operand in step.operands:  # what is named is where it is said to be
                    if operand.source == "x":
                        held = float(inputs[0][tuple(i for i in operand.index)])
                        assert operand.value == held
            checked += 1
    assert checked >= min(6, blobs["y0"].size)


def test_every_rule_is_held_here_or_in_a_golden_net() -> None:
    held = {op for op, _, _ in CASES} | {case.op for case in LATER} | CODED
    assert set(explained_ops()) - held == ELSEWHERE


@pytest.mark.parametrize("case", LATER, ids=str)
def test_ops_of_later_opsets(case: Case) -> None:
    net = case.net()
    blobs = net.run(case.feeds())
    explainer = Explainer(net, blobs)
    for place in list(np.ndindex(X.shape))[::7]:
        found = explainer.explain(Unit("y0", place))
        assert found.recomputed is not None, found.reason
        want = float(blobs["y0"][place])
        assert found.recomputed == pytest.approx(want, abs=2e-6 * max(found.size, abs(want)))


def test_where_and_logic() -> None:
    """A condition is made by a comparison: the branch that was taken leads back."""
    builder = GraphBuilder()
    builder.prefix = "one"
    x = builder.input("x", (1, 6))
    zero = builder.constant(np.float32(0))
    above = builder.op("Greater", x, zero)
    small = builder.op("Less", builder.op("Abs", x), builder.constant(np.float32(2)))
    either = {op: builder.op(op, above, small) for op in ("And", "Or", "Xor")}
    tops = [
        builder.op("Where", builder.op("Not", each), x, builder.op("Neg", builder.op("Exp", x)))
        for each in either.values()
    ]
    blobs = {"x": Blob("x", (1, 6), "x", "x", "x")}
    blobs |= {f"y{i}": Blob(f"y{i}", (1, 6), top, "one", f"y{i}") for i, top in enumerate(tops)}
    layer = Layer(
        "one", "Where", "common", ("x",), tuple(blobs)[1:], nodes=range(len(builder.nodes))
    )
    net = ls.Net("one", "test", (layer,), blobs, builder.finish(), ("y0",), ls.Preprocessing())
    given = np.float32([[-3, -1, 0, 1, 1.5, 3]])
    explainer = Explainer(net, net.run({"x": given}))
    above_, small_ = given[0] > 0, np.abs(given[0]) < 2
    for number, true in enumerate((above_ & small_, above_ | small_, above_ ^ small_)):
        for at, value in enumerate(given[0].tolist()):
            found = explainer.explain(Unit(f"y{number}", (0, at)))
            assert found.recomputed == pytest.approx(-np.exp(value) if true[at] else value)
            assert found.strongest == f"x:{at}"


def test_an_op_that_nobody_knows_is_no_crash() -> None:
    net = net_of_one("NonZero", ROWS, most=(2, ROWS.size))
    found = Explainer(net, net.run({"x": ROWS})).explain("y0:0,0")
    assert found.recomputed is None and found.reason.startswith("NonZero has no closed arithmetic")
