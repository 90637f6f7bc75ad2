"""`net.gradient`: Caffe's golden diffs, units and seeds, batches, params, and wrong requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

import layerscope as ls
from closeness import assert_blob_close
from conftest import GOLDEN
from engine.gradient.onenode import Case, differences
from layerscope.engine.gradient.run import Program
from layerscope.errors import UnknownNameError, UnsupportedError, UsageError
from layerscope.inputs import Preprocessing
from layerscope.net import Blob, Layer, Net
from layerscope.readers.graph import GraphBuilder
from onelayer import net_of
from readers.caffe.layers.test_golden import fed, opened

WITH_DIFFS = [case for case in GOLDEN if "seed/" in " ".join(np.load(case / "golden.npz").files)]
NO_WAY = {("crop_axis2", "data2")}  # only its size is read; Caffe's diff is 0


def test_all_golden_diffs_are_here() -> None:
    assert len(WITH_DIFFS) == 59


@pytest.mark.parametrize("case", WITH_DIFFS, ids=lambda case: case.name)
@pytest.mark.source("BVLC Caffe 1.0.0, CPU")
def test_equals_caffe(case: Path) -> None:
    net = opened(case)
    with np.load(case / "golden.npz") as golden:
        seeds = {n[5:]: golden[n] for n in golden.files if n.startswith("seed/")}
        diffs = {n[5:]: golden[n] for n in golden.files if n.startswith("diff/")}
    for name, want in diffs.items():
        if (case.name, name) in NO_WAY:
            assert not want.any()
            with pytest.raises(UsageError, match="does not depend on"):
                net.gradient(of=seeds, wrt=name, inputs=fed(case))
            continue
        got = net.gradient(of=seeds, wrt=name, inputs=fed(case))
        assert_blob_close(got, want, f"{case.name}/{name}", tolerance=1e-4)


def whole(
    net: ls.Net, seed: dict[str, np.ndarray], wrt: str, feeds: dict[str, np.ndarray]
) -> np.ndarray:
    """The same by moving each number, in float64, with ONNX's reference evaluator."""
    import onnx
    from onnx import numpy_helper

    from layerscope.engine.model import standalone

    model = standalone(net, list(seed))
    double, single = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == single:
            value.type.tensor_type.elem_type = double
    for tensor in model.graph.initializer:
        if tensor.data_type == single:
            array = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == single:
                attribute.i = double
    evaluator = ReferenceEvaluator(model)

    def forward(array: np.ndarray) -> list[np.ndarray]:
        return evaluator.run(None, {**feeds, wrt: array})

    (found,) = differences(forward, [feeds[wrt]], list(seed.values()))
    return found


# Layers whose golden case has no diffs.
MORE = (
    "lstm rnn softmaxloss euclidean hinge_l1 sigmoidce batchnorm_local batchreindex filter pool_mask"
).split()


@pytest.mark.parametrize("name", MORE)
def test_layers_without_golden_diffs(name: str) -> None:
    (case,) = (case for case in GOLDEN if case.name == name)
    net = opened(case)
    feeds = {key: array.astype(np.float64) for key, array in fed(case).items()}
    wrt = next(iter(feeds))
    random = np.random.default_rng(6)
    blobs = net.run(fed(case))
    outputs = [n for n in net.outputs if net.graph.types[net.blobs[n].value] == 1][:1]
    seed = {n: random.normal(size=blobs[n].shape) for n in outputs}
    got = net.gradient(of=seed, wrt=wrt, inputs=fed(case))
    assert_blob_close(got, whole(net, seed, wrt, feeds), name, tolerance=1e-4)


def test_units(small: tuple[Path, Path]) -> None:
    """Each image gets the gradient of its own unit; a seed of ones there is the same."""
    net = ls.open(*small)
    images = np.random.default_rng(0).normal(size=(3, 3, 9, 7)).astype(np.float32)
    got = net.gradient(of="fc2:3", wrt="data", inputs=images)
    assert got.shape == images.shape
    seed = np.zeros((3, 5), np.float32)
    seed[:, 3] = 1
    np.testing.assert_array_equal(got, net.gradient({"fc2": seed}, "data", images))
    one = net.gradient("fc2:3", "data", images[1])
    assert_blob_close(one[0], got[1], "one image")
    top = net.run(images)["prob"].argmax(1)
    best = net.gradient("prob:top1", "data", images)
    for i in range(3):
        assert_blob_close(net.gradient(f"prob:{top[i]}", "data", images)[i], best[i], "top1")
    place = net.gradient("conv1:2,4,3", "data", images)
    assert place[:, :, 4:7, 3:6].any() and not place[:, :, :4].any()


def test_several_and_params(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    images = np.random.default_rng(1).normal(size=(2, 3, 9, 7)).astype(np.float32)
    wanted = ["data", "conv1", "conv1@conv1", "fc2", "conv1/0", "conv1/1", "fc2/0", "fc2/1"]
    found = net.gradient("fc2", wanted, images)
    blobs = net.run(images)
    ones = np.ones((2, 5))
    assert list(found) == wanted
    np.testing.assert_array_equal(found["fc2"], ones)
    weights = net.params["fc2"][0].data
    conv1 = (ones @ weights).reshape(blobs["conv1"].shape)
    assert_blob_close(found["conv1"], conv1, "conv1")
    assert_blob_close(found["conv1@conv1"], conv1 * (blobs["conv1@conv1"] > 0), "before the ReLU")
    assert_blob_close(found["fc2/0"], ones.T @ blobs["conv1"].reshape(2, -1), "weights")
    np.testing.assert_array_equal(found["fc2/1"], [2, 2, 2, 2, 2])
    below = found["conv1@conv1"].sum((0, 2, 3))
    assert_blob_close(found["conv1/1"], below, "bias of conv1")
    for name, array in found.items():
        assert array.shape == (net.params[name[:-2]][int(name[-1])].shape if "/" in name
                               else blobs[name].shape)  # fmt: skip


def test_corners(tmp_path: Path) -> None:
    """Zeros at a rectifier, equal values under a pool and an Eltwise, limits of Clip: as Caffe."""
    layers = """
    layer { name: "r" type: "ReLU" bottom: "x" top: "r" }
    layer { name: "l" type: "ReLU" bottom: "x" top: "l" relu_param { negative_slope: 0.5 } }
    layer { name: "c" type: "Clip" bottom: "x" top: "c" clip_param { min: -1 max: 1 } }
    layer { name: "a" type: "AbsVal" bottom: "x" top: "a" }
    layer { name: "m" type: "Eltwise" bottom: "x" bottom: "z" bottom: "z" top: "m"
            eltwise_param { operation: MAX } }
    """
    net = net_of(tmp_path, (1, 5), layers, more={"z": (1, 5)})
    feeds = {"x": np.float32([[-2, -1, 0, 1, 2]]), "z": np.float32([[-2, 3, 0, -3, 2]])}
    wants = {"r": [0, 0, 0, 1, 1], "l": [0.5, 0.5, 0.5, 1, 1], "c": [0, 1, 1, 1, 0],
             "a": [-1, -1, 0, 1, 1], "m": [0, 0, 0, 1, 0]}  # fmt: skip
    for blob, want in wants.items():
        np.testing.assert_array_equal(net.gradient(blob, "x", feeds), [want], err_msg=blob)
    np.testing.assert_array_equal(net.gradient("m", "z", feeds), [[1, 1, 1, 0, 1]])


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (2, 2)])
def test_equal_values_under_a_pool(tmp_path: Path, kernel: int, stride: int) -> None:
    """The first in the order of the rows, window by window; overlapping windows add up."""
    net = net_of(
        tmp_path,
        (2, 2, 6, 7),
        f"""layer {{ name: "p" type: "Pooling" bottom: "x" top: "p"
        pooling_param {{ kernel_size: {kernel} stride: {stride} pad: 1 }} }}""",
    )
    random = np.random.default_rng(8)
    x = random.integers(-1, 2, size=(2, 2, 6, 7)).astype(np.float32)
    seed = random.normal(size=net.blobs["p"].shape).astype(np.float32)
    want = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(*seed.shape):
        rows = range(max(0, i * stride - 1), min(6, i * stride - 1 + kernel))
        columns = range(max(0, j * stride - 1), min(7, j * stride - 1 + kernel))
        places = [(y, z) for y in rows for z in columns]
        best = max(places, key=lambda at, n=n, c=c: x[(n, c, *at)])  # max takes the first
        want[(n, c, *best)] += seed[n, c, i, j]
    assert_blob_close(net.gradient({"p": seed}, "x", x), want, "x", tolerance=1e-6)


def test_losses_where_a_derivative_would_fail(tmp_path: Path) -> None:
    """No probability left, scores of 0, pairs at one place: Caffe's formulas give finite numbers."""
    layers = """
    layer { name: "s" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "s" }
    layer { name: "e" type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "y" top: "e" }
    layer { name: "c" type: "ContrastiveLoss" bottom: "x" bottom: "y" bottom: "t" top: "c" }
    """
    net = net_of(tmp_path, (2, 3), layers, more={"t": (2,), "y": (2, 3)})
    x = np.float32([[0, 300, 0], [0, 0, 0]])
    y = np.float32([[1, 0.5, 0], [0, 0, 0]])
    feeds = {"x": x, "y": y, "t": np.float32([0, 0])}
    share = np.array([[0, 1, 0], [1 / 3, 1 / 3, 1 / 3]])
    want = (share - [[1, 0, 0], [1, 0, 0]]) / 2
    assert_blob_close(net.gradient("s", "x", feeds), want, "softmax loss", 1e-6)
    want = (np.array([[0.5, 1, 0.5], [0.5, 0.5, 0.5]]) - y) / 2
    assert_blob_close(net.gradient("e", "x", feeds), want, "sigmoid loss", 1e-6)
    assert not net.gradient("c", "x", feeds).any()


def test_maps_of_equal_values(tmp_path: Path) -> None:
    """MVN takes off the mean and divides by a deviation of 0 + eps: large, and not NaN."""
    layer = """layer { name: "m" type: "MVN" bottom: "x" top: "y" mvn_param { eps: 0.5 } }"""
    net = net_of(tmp_path, (1, 1, 2, 2), layer)
    seed = np.float32([[[[1, 2], [3, 6]]]])
    got = net.gradient({"y": seed}, "x", np.full((1, 1, 2, 2), 7, np.float32))
    assert_blob_close(got, (seed - 3) / 0.5, "x")


def test_losses_by_the_formulas_of_caffe(tmp_path: Path) -> None:
    """Backward_cpu of each loss, written down anew."""
    layers = """
    layer { name: "i" type: "InfogainLoss" bottom: "x" bottom: "t" bottom: "h" top: "i" }
    layer { name: "m" type: "MultinomialLogisticLoss" bottom: "p" bottom: "t" top: "m" }
    layer { name: "l" type: "HingeLoss" bottom: "x" bottom: "t" top: "l"
            hinge_loss_param { norm: L2 } }
    layer { name: "c" type: "ContrastiveLoss" bottom: "x" bottom: "p" bottom: "t" top: "c"
            contrastive_loss_param { margin: 2 } }
    layer { name: "o" type: "ContrastiveLoss" bottom: "x" bottom: "p" bottom: "t" top: "o"
            contrastive_loss_param { margin: 2 legacy_version: true } }
    """
    more = {"t": (3,), "h": (1, 1, 4, 4), "p": (3, 4)}
    net = net_of(tmp_path, (3, 4), layers, more=more)
    random = np.random.default_rng(9)
    x, p, h = random.normal(size=(3, 4)), random.random((3, 4)) * 0.3, random.random((4, 4))
    x[1] = p[1] + 0.01  # a pair so near that the 1e-4 counts
    p[2, 1] = 1e-30
    label = np.array([0, 0, 1])
    feeds = {"x": x, "p": p, "t": label, "h": h[None, None]}
    feeds = {name: np.float32(array) for name, array in feeds.items()}
    rows = np.arange(3)
    share = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    infogain = (share * h[label].sum(1, keepdims=True) - h[label]) / 3
    multinomial = np.zeros((3, 4))
    multinomial[rows, label] = -1 / np.maximum(p[rows, label], 1e-20) / 3
    sign = np.ones((3, 4))
    sign[rows, label] = -1
    hinge = 2 * sign * np.maximum(0, 1 + sign * x) / 3
    apart = x - p
    square = (apart**2).sum(1, keepdims=True)
    distance = np.sqrt(square)
    short = np.maximum(2 - distance, 0)
    contrastive = np.where(label[:, None] == 1, apart, -short / (distance + 1e-4) * apart) / 3
    old = np.where(label[:, None] == 1, apart, -apart * (square < 2)) / 3
    for blob, wrt, want in (("i", "x", infogain), ("m", "p", multinomial), ("l", "x", hinge),
                            ("c", "x", contrastive), ("o", "x", old)):  # fmt: skip
        assert_blob_close(net.gradient(blob, wrt, feeds), want, blob, tolerance=1e-5)


def test_in_place_as_caffe_leaves_it(tmp_path: Path) -> None:
    """Power in place: Caffe squares its slope and forgets what came from above (power_layer.cpp)."""
    power = 'layer {{ name: "p" type: "Power" bottom: "x" top: "{0}" power_param {{ scale: 3 }} }}'
    net = net_of(tmp_path, (1, 2), power.format("y"))
    np.testing.assert_array_equal(net.gradient({"y": [[1, 5]]}, "x", np.ones((1, 2))), [[3, 15]])
    net = net_of(tmp_path, (1, 2), power.format("x"))
    np.testing.assert_array_equal(net.gradient({"x": [[1, 5]]}, "x@x", np.ones((1, 2))), [[9, 9]])
    layers = """
    layer { name: "r" type: "ReLU" bottom: "x" top: "x" }
    layer { name: "p" type: "Scale" bottom: "x" top: "x" scale_param { filler { value: -2 } } }
    """
    net = net_of(tmp_path, (1, 3), layers).filled()
    x = np.float32([[-1, 1, 2]])  # after the Scale nothing is above 0, so the ReLU lets nothing by
    np.testing.assert_array_equal(net.gradient("x", "x@x", x), [[0, 0, 0]])


@pytest.mark.parametrize(
    ("of", "wrt", "message"),
    [
        ("prob:9", "data", r'unit "prob:9": channel 9; "prob" has 5 channels, 0 to 4'),
        ("prop:3", "data", r'blob "prop" is not in net "small" \(5 blobs\); nearest: prob'),
        ("prob:top7", "data", r"top1 to top5"),
        ("conv1:2", "data", r"1 number is given, blob \"conv1\" takes 3"),
        ("prob", "dat", r'blob "dat" is not in net.*nearest: data'),
        ("prob", "conv1/2", r'"conv1/2" is no blob and no param of net "small"; nearest: conv1/'),
        ("conv1", "prob", r'"conv1" does not depend on "prob"'),
        ("prob", [], "wrt is empty"),
        ({}, "data", "of is empty"),
        ({"prob": np.ones((2, 4))}, "data", r'seed of blob "prob" is \(2, 4\); the blob is \(2, 5\)'),
        ({"prob": np.full((2, 5), np.nan)}, "data", "not finite"),
    ],
)  # fmt: skip
def test_wrong_requests(small: tuple[Path, Path], of: object, wrt: object, message: str) -> None:
    net = ls.open(*small)
    with pytest.raises(UsageError, match=message):
        net.gradient(of, wrt, np.ones((2, 3, 9, 7), np.float32))  # type: ignore[arg-type]


def test_indices_have_no_gradient(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        (2, 5),
        """
        layer { name: "best" type: "ArgMax" bottom: "x" top: "best" }
        layer { name: "p" type: "Power" bottom: "best" top: "p" power_param { scale: 2 } }""",
    )
    with pytest.raises(
        UsageError, match='"p" with respect to "x" is zero everywhere: layer "best"'
    ):
        net.gradient("p", "x", np.ones((2, 5)))


def test_proposals_count_as_given(tmp_path: Path) -> None:
    """As in Caffe: regions are where they are, and what is pooled there has the gradient."""
    layers = """
    layer { name: "p" type: "Proposal" bottom: "x" bottom: "d" bottom: "i" top: "rois"
            proposal_param { ratio: 1 scale: 1 } }
    layer { name: "t" type: "TanH" bottom: "rois" top: "t" }
    """
    net = net_of(tmp_path, (1, 2, 3, 4), layers, more={"d": (1, 4, 3, 4), "i": (1, 3)})
    feeds = {"x": np.ones((1, 2, 3, 4)), "d": np.zeros((1, 4, 3, 4)), "i": [[40, 60, 1]]}
    with pytest.raises(UsageError, match='is zero everywhere: layer "p"'):
        net.gradient("t", "x", {name: np.float32(array) for name, array in feeds.items()})


def test_a_blob_whose_size_a_run_tells(tmp_path: Path) -> None:
    layer = 'layer { name: "f" type: "Filter" bottom: "x" bottom: "s" top: "y" }'
    net = net_of(tmp_path, (4, 2), layer, more={"s": (4, 1)})
    feeds = {"x": np.ones((4, 2), np.float32), "s": np.float32([[1], [0], [0], [2]])}
    np.testing.assert_array_equal(net.gradient("y", "x", feeds), [[1, 1], [0, 0], [0, 0], [1, 1]])
    np.testing.assert_array_equal(net.gradient("y:1", "x", feeds), [[0, 1], [0, 0], [0, 0], [0, 1]])


def test_an_op_without_a_rule_names_its_layer() -> None:
    case = Case("Det", [np.float32([[1, 3], [2, 1]])])
    with pytest.raises(UnsupportedError, match=r'layer "layer" \(Det\): there is no rule') as e:
        case.net().gradient("y0", "x0", case.feeds())
    assert e.value.exit_code == 4


def test_whole_numbers_have_no_gradient() -> None:
    case = Case("TopK", [np.float32([[1, 3, 2]]), np.asarray([1])], outputs=2)
    with pytest.raises(UnsupportedError, match=r'"y1" holds whole numbers \(layer "layer"\)'):
        case.net().gradient("y1", "x0", case.feeds())
    scale, zero = np.float32(0.5), np.uint8(3)
    case = Case("QuantizeLinear", [np.float32([1, 3]), scale, zero], fixed=(1,))
    with pytest.raises(UnsupportedError, match=r'"y0" holds whole numbers'):
        case.net().gradient("y0", "x0", case.feeds())


def test_a_quantized_net_says_so() -> None:
    """To eight bits and back: the gradient between them is that of a staircase."""
    g = GraphBuilder()
    x = g.input("x", (2, 3))
    scale, zero = g.constant(np.float32(0.5)), g.constant(np.uint8(100))
    small = g.op("QuantizeLinear", x, scale, zero)
    y = g.op("DequantizeLinear", small, scale, zero)
    blobs = {n: Blob(n, (2, 3), v, "q", n) for n, v in (("x", x), ("y", y))}
    layer = Layer("q", "Quantize", "", ("x",), ("y",), nodes=range(2))
    net = Net("q", "test", (layer,), blobs, g.finish(), ("y",), Preprocessing())
    with pytest.raises(UnsupportedError, match=r'layer "q" \(QuantizeLinear\) works on whole'):
        net.gradient("y", "x", np.ones((2, 3), np.float32))


def test_not_a_number_names_the_layer(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        (1, 2),
        """
        layer { name: "scaled" type: "Power" bottom: "x" top: "s" power_param { scale: 0.5 } }
        layer { name: "root" type: "Power" bottom: "s" top: "r" power_param { power: 0.5 } }
        layer { name: "twice" type: "Power" bottom: "r" top: "y" power_param { scale: 2 } }""",
    )
    with pytest.raises(UnsupportedError, match=r'"x" is not a number.*layer "root"'):
        net.gradient("y", "x", np.float32([[1, -1]]))


def test_only_what_is_needed_is_run(small: tuple[Path, Path]) -> None:
    """The graph for conv1 by data holds nothing behind conv1, and no filters' gradient."""
    from layerscope.engine.gradient.run import Program

    net = ls.open(*small)
    program = Program(net, [net.blobs["conv1"].value], ["data"])
    ops = [node.op_type for node in program._net.graph.nodes]
    assert ops.count("Conv") == 2 and not {"Gemm", "Softmax", "ReduceSum"} & set(ops)
    assert (
        set(program._net.graph.tensors) >= {"conv1/0"} and "fc2/0" not in program._net.graph.tensors
    )


def test_programs_are_kept_and_bounded(small: tuple[Path, Path]) -> None:
    from layerscope.engine.gradient import run

    net = ls.open(*small)
    image = np.zeros((2, 3, 9, 7), np.float32)
    for unit in ("fc2:1", "fc2:2", "prob:1", "conv1", "conv1@conv1", "fc2:3"):
        net.gradient(unit, "data", image)
    assert len(run._programs[net]) == run.KEPT_PROGRAMS


def test_without_weights(small: tuple[Path, Path]) -> None:
    net = ls.open(small[0])
    image = np.ones((3, 9, 7), np.float32)
    with pytest.raises(UsageError, match="have no weights"):
        net.gradient("prob:1", "data", image)
    assert net.gradient("prob:1", "data", image, allow_missing=True).any()


def test_names_that_are_not_there_are_key_errors(small: tuple[Path, Path]) -> None:
    with pytest.raises(UnknownNameError):
        ls.open(*small).gradient("nothing", "data", np.ones((3, 9, 7)))


def test_an_onnx_file_at_another_batch(tmp_path: Path) -> None:
    """The free batch of the file becomes that of the run; params have the file's names."""
    import onnx
    from onnx import helper, numpy_helper

    random = np.random.default_rng(12)
    weights = random.normal(size=(2, 3, 2, 2)).astype(np.float32)
    single = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], strides=[2, 1], pads=[1, 0, 0, 1]),
            helper.make_node("Elu", ["c"], ["e"]),
            helper.make_node("ReduceMean", ["e"], ["y"], axes=[2, 3], keepdims=0),
        ],
        "small",
        [helper.make_tensor_value_info("x", single, ["N", 3, 5, 4])],
        [helper.make_tensor_value_info("y", single, ["N", 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "s.onnx")
    net = ls.open(tmp_path / "s.onnx")
    x = random.normal(size=(3, 3, 5, 4))
    seed = random.normal(size=(3, 2))
    found = net.gradient({"y": seed}, ["x", "w"], np.float32(x))
    assert_blob_close(found["x"], whole(net, {"y": seed}, "x", {"x": x}), "x", tolerance=5e-5)
    pads = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 1)))
    c = np.zeros((3, 2, 3, 4))
    for i, j in np.ndindex(3, 4):
        c[:, :, i, j] = np.einsum(
            "nchw,mchw->nm", pads[:, :, 2 * i : 2 * i + 2, j : j + 2], weights
        )
    slope = seed[:, :, None, None] / 12 * np.where(c > 0, 1, np.exp(c))
    want = np.zeros(weights.shape)
    for i, j in np.ndindex(3, 4):
        tap = pads[:, :, 2 * i : 2 * i + 2, j : j + 2]
        want += np.einsum("nm,nchw->mchw", slope[:, :, i, j], tap)
    assert_blob_close(found["w"], want, "w", tolerance=1e-5)


def test_a_program_gives_forward_values_too(tmp_path: Path) -> None:
    text = 'layer { name: "y" type: "TanH" bottom: "x" top: "y" }'
    net = net_of(tmp_path, (2, 3), text)
    program = Program(net, ["y"], ["x"], also=["y"], spins=False)
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    found = program.run({"x": x}, {"y": np.full((2, 3), 2, np.float32)})
    np.testing.assert_allclose(found["y"], np.tanh(x), rtol=1e-5)
    np.testing.assert_allclose(found["x"], 2 - 2 * np.tanh(x) ** 2, rtol=1e-5)


def test_weights_that_two_layers_share(tmp_path: Path) -> None:
    """One array read twice, of an ONNX file: its gradient is the sum of both, by its one name."""
    import onnx
    from onnx import helper, numpy_helper

    random, single = np.random.default_rng(14), onnx.TensorProto.FLOAT
    w = random.normal(size=(3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
            helper.make_node("MatMul", ["a", "w"], ["y"], name="second"),
        ],
        "shared",
        [helper.make_tensor_value_info("x", single, ["N", 3])],
        [helper.make_tensor_value_info("y", single, ["N", 3])],
        [numpy_helper.from_array(w, "w")],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "s.onnx")
    net = ls.open(tmp_path / "s.onnx")
    assert [p.shared_with for layer in net.layers for p in layer.params] == ["", "first"]
    x, seed = random.normal(size=(2, 2, 3)).astype(np.float32)
    want = x.T @ seed @ w.T + (x @ w).T @ seed
    assert_blob_close(net.gradient({"y": seed}, "w", x), want, "w", tolerance=1e-6)


def test_sizes_that_the_net_computes_from_shapes() -> None:
    """Where it pads, cuts and resizes to stands in sums over shapes, as exporters write them."""
    g = GraphBuilder()
    x = g.input("x", (2, 3, 5, 4))
    dims = g.op("Shape", x, start=2)  # 5, 4
    half = g.op("Div", dims, g.constant(np.int64([2])))  # 2, 2
    none = g.constant(np.int64([0, 0]))
    frame = g.op("Concat", none, half, none, none, axis=0)
    framed = g.bounded("Pad", (2, 3, 7, 6), x, frame)
    cut = g.bounded("Slice", (2, 3, 5, 4), framed, half, g.op("Add", dims, half),
                    g.constant(np.int64([2, 3])))  # fmt: skip
    blobs = {n: Blob(n, g.shape(v), v, "l", n) for n, v in (("x", x), ("f", framed), ("y", cut))}
    layer = Layer("l", "Cut", "", ("x",), ("f", "y"), nodes=range(len(g.nodes)))
    net = Net("cut", "test", (layer,), blobs, g.finish(), ("y",), Preprocessing())
    random = np.random.default_rng(15)
    image, seed = random.normal(size=(2, 2, 3, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(net.run(image)["y"], image)
    np.testing.assert_array_equal(net.gradient({"y": seed}, "x", image), seed)


def test_what_is_computed_for_both_ways_is_what_a_run_gives(tmp_path: Path) -> None:
    """LRN's result is made anew of what its gradient needs; the layers behind read that."""
    net = net_of(
        tmp_path,
        (2, 5, 3, 4),
        'layer { name: "norm" type: "LRN" bottom: "x" top: "norm" lrn_param {'
        " local_size: 3 alpha: 2 beta: 0.75 k: 1.5 } }"
        ' layer { name: "square" type: "Power" bottom: "norm" top: "square"'
        " power_param { power: 2 } }",
    )
    x = np.random.default_rng(4).normal(size=(2, 5, 3, 4)).astype(np.float32)
    seed = np.random.default_rng(5).normal(size=x.shape).astype(np.float32)
    found = net.gradient({"square": seed}, ["norm", "x"], {"x": x})
    assert_blob_close(found["norm"], 2 * seed * net.run({"x": x})["norm"], "norm")
