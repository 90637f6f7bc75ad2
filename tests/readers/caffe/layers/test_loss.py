"""Losses against slow loops written from Caffe's rules, and nets whose labels are not fed."""

from __future__ import annotations

from math import exp, log, prod, sqrt
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from closeness import assert_blob_close
from onelayer import net_of

RANDOM = np.random.default_rng(41)
FLT_MIN = float(np.finfo(np.float32).tiny)
DIMS, AXIS = (2, 4, 3, 5), 1


def random(*dims: int) -> np.ndarray:
    return RANDOM.normal(size=dims).astype(np.float32)


def labels(dims: tuple[int, ...], classes: int, ignore: int | None = None) -> np.ndarray:
    found = RANDOM.integers(0, classes, dims).astype(np.float32)
    if ignore is not None:
        found.flat[::3] = ignore
    return found


def loss_of(kind: str, settings: str = "", bottoms: str = "x label", tops: str = "loss") -> str:
    read = " ".join(f'bottom: "{name}"' for name in bottoms.split())
    write = " ".join(f'top: "{name}"' for name in tops.split())
    return f'layer {{ name: "l" type: "{kind}" {read} {write} {settings} }}'


def columns(x: np.ndarray, axis: int) -> np.ndarray:
    """(outer, inner, classes)."""
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    return x.astype(np.float64).reshape(outer, x.shape[axis], inner).transpose(0, 2, 1)


def softmax(rows: np.ndarray) -> np.ndarray:
    e = np.exp(rows - rows.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def normalizer(mode: str, outer: int, inner: int, valid: int) -> float:
    return max(1.0, {"FULL": outer * inner, "VALID": valid, "BATCH_SIZE": outer, "NONE": 1}[mode])


def slow_softmax_loss(x, label, axis, mode, ignore=None, matrix=None):
    probability = softmax(columns(x, axis))
    outer, inner, classes = probability.shape
    loss, valid = 0.0, 0
    for i in range(outer):
        for j in range(inner):
            mine = int(label.ravel()[i * inner + j])
            if mine == ignore:
                continue
            valid += 1
            if matrix is None:
                loss -= log(max(probability[i, j, mine], FLT_MIN))
                continue
            for k in range(classes):
                loss -= matrix[mine, k] * log(max(probability[i, j, k], 1e-20))
    return loss / normalizer(mode, outer, inner, valid)


LABEL_SHAPES = [(2, 3, 5), (2, 1, 3, 5), (2, 15)]


@pytest.mark.parametrize("shape", LABEL_SHAPES)
@pytest.mark.parametrize("ignore", [None, 255, -1, 2])
@pytest.mark.parametrize("mode", ["FULL", "VALID", "BATCH_SIZE", "NONE", "normalize", "not", ""])
def test_softmax_loss(tmp_path, mode, ignore, shape):
    """Also with probabilities as a second top, and at other batch sizes."""
    param = {"": "", "normalize": "normalize: true", "not": "normalize: false"}.get(
        mode, f"normalization: {mode}"
    )
    param += f" ignore_label: {ignore}" if ignore is not None else ""
    layer = loss_of("SoftmaxWithLoss", f"loss_weight: 3 loss_param {{ {param} }}", tops="loss prob")
    net = net_of(tmp_path, DIMS, layer, None, {"label": shape})
    real = {"": "VALID", "normalize": "VALID", "not": "BATCH_SIZE"}.get(mode, mode)
    for images in (2, 1, 3):
        x, label = random(images, *DIMS[1:]) * 3, labels((images, *shape[1:]), 4, ignore)
        blobs = net.run({"x": x, "label": label})
        assert blobs["loss"].shape == ()
        assert_blob_close(blobs["loss"], slow_softmax_loss(x, label, 1, real, ignore), "loss")
        rows = softmax(columns(x, 1)).transpose(0, 2, 1).reshape(x.shape)
        assert_blob_close(blobs["prob"], rows, "prob")


@pytest.mark.parametrize("axis", [0, 2, 3, -1])
def test_softmax_loss_along_other_axes(tmp_path, axis):
    x = random(*DIMS)
    first = axis % 4
    shape = (2, prod(DIMS) // DIMS[first] // 2) if first else (2, 30)
    net_label = shape if prod(shape) * DIMS[first] == prod(DIMS) else (prod(DIMS) // DIMS[first],)
    layer = loss_of("SoftmaxWithLoss", f"softmax_param {{ axis: {axis} }}")
    label = labels(net_label, DIMS[first])
    net = net_of(tmp_path, DIMS, layer, None, {"label": label.shape})
    got = net.run({"x": x, "label": label})["loss"]
    assert_blob_close(got, slow_softmax_loss(x, label, first, "VALID"), "loss")


def test_a_probability_of_nothing_and_no_label_that_counts(tmp_path):
    layer = loss_of("SoftmaxWithLoss", "loss_param { ignore_label: 1 }")
    net = net_of(tmp_path, (2, 3), layer, None, {"label": (2,)})
    x = np.float32([[500, 0, -500], [0, 0, 0]])
    assert_blob_close(net.run({"x": x, "label": [2, 1]})["loss"], -log(FLT_MIN), "loss")
    assert net.run({"x": x, "label": [1, 1]})["loss"] == 0


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_outside_the_classes_is_refused(tmp_path, label):
    net = net_of(tmp_path, (1, 4), loss_of("SoftmaxWithLoss"), None, {"label": (1,)})
    with pytest.raises(
        ls.errors.UnsupportedError, match=r'stopped at "l/GatherElements.*": .* ind'
    ):
        net.run({"x": random(1, 4), "label": [label]})


@pytest.mark.parametrize("ignore", [None, 3])
@pytest.mark.parametrize("mode", ["FULL", "VALID", "BATCH_SIZE", "NONE"])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_infogain_loss(tmp_path, axis, mode, ignore):
    x, classes = random(*DIMS), DIMS[axis]
    matrix = random(classes, classes)
    param = f"normalization: {mode}" + (f" ignore_label: {ignore}" if ignore is not None else "")
    layer = loss_of(
        "InfogainLoss", f"infogain_loss_param {{ axis: {axis} }} loss_param {{ {param} }}",
        "x label H", "loss prob",
    )  # fmt: skip
    label = labels((2, prod(DIMS) // classes // 2), min(classes, 3), ignore)
    net = net_of(tmp_path, DIMS, layer, None, {"label": label.shape, "H": (1, 1, *matrix.shape)})
    blobs = net.run({"x": x, "label": label, "H": matrix[None, None]})
    want = slow_softmax_loss(x, label, axis % 4, mode, ignore, matrix)
    assert_blob_close(blobs["loss"], want, "loss")
    assert blobs["prob"].shape == DIMS
    one = net.run({"x": x[:1], "label": label[:1], "H": matrix[None, None]})["loss"]
    want = slow_softmax_loss(x[:1], label[:1], axis % 4, mode, ignore, matrix)
    assert_blob_close(one, want, "loss")


def test_infogain_loss_with_its_matrix_in_a_file_is_left_out(tmp_path):
    secret = tmp_path / "secret.binaryproto"
    secret.write_bytes(b"never opened")
    layers = (
        'layer { name: "s" type: "Softmax" bottom: "x" top: "s" }'
        + loss_of("InfogainLoss", f'infogain_loss_param {{ source: "{secret.name}" }}')
        + 'layer { name: "after" type: "EuclideanLoss" bottom: "loss" bottom: "loss" top: "z" }'
    )
    net = net_of(tmp_path, (2, 3), layers, None, {"label": (2,)})
    assert list(net.run(random(2, 3))) == ["x", "s"]
    assert net.notes[0].endswith(
        'layer "l": its matrix H stands in a file (secret.binaryproto), which is not opened; give H'
        " as a third bottom; it is left out"
    )
    assert net.notes[1] == 'nothing gives blob "loss"; left out: after'


@pytest.mark.parametrize("images", [2, 3])
@pytest.mark.parametrize("ignore", [None, 1, 9])
@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_accuracy(tmp_path, top_k, ignore, images):
    """Classes that score the same count as better: values are whole numbers here."""
    x = RANDOM.integers(0, 3, (images, *DIMS[1:])).astype(np.float32)
    label = labels((images, 3, 5), 3, ignore)  # the last class has no label
    param = f"top_k: {top_k}" + (f" ignore_label: {ignore}" if ignore is not None else "")
    layer = loss_of("Accuracy", f"accuracy_param {{ {param} }}", tops="all each")
    net = net_of(tmp_path, DIMS, layer, None, {"label": (2, 3, 5)})
    hits, number = np.zeros(4), np.zeros(4)
    for row, mine in zip(columns(x, 1).reshape(-1, 4), label.ravel(), strict=True):
        if mine == ignore:
            continue
        better = sum(score >= row[int(mine)] for score in row) - 1
        number[int(mine)] += 1
        hits[int(mine)] += better < top_k
    blobs = net.run({"x": x, "label": label})
    assert_blob_close(blobs["all"], hits.sum() / number.sum(), "all")
    assert_blob_close(blobs["each"], hits / np.maximum(number, 1), "each")


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_accuracy_along_other_axes(tmp_path, axis):
    x, first = random(*DIMS), axis % 4
    label = labels((prod(DIMS) // DIMS[first],), DIMS[first])
    layer = loss_of("Accuracy", f"accuracy_param {{ axis: {axis} }}", tops="all each")
    net = net_of(tmp_path, DIMS, layer, None, {"label": label.shape})
    right = columns(x, first).reshape(-1, DIMS[first]).argmax(1) == label
    blobs = net.run({"x": x, "label": label})
    assert_blob_close(blobs["all"], right.mean(), "all")
    each = [right[label == c].mean() if (label == c).any() else 0 for c in range(DIMS[first])]
    assert_blob_close(blobs["each"], each, "each")


@pytest.mark.parametrize("ignore", [None, 1])
@pytest.mark.parametrize("mode", ["FULL", "VALID", "BATCH_SIZE", "NONE", "normalize", ""])
def test_sigmoid_cross_entropy_loss(tmp_path, mode, ignore):
    param = {"": "", "normalize": "normalize: true"}.get(mode, f"normalization: {mode}")
    param += f" ignore_label: {ignore}" if ignore is not None else ""
    layer = loss_of("SigmoidCrossEntropyLoss", f"loss_param {{ {param} }}")
    net = net_of(tmp_path, DIMS, layer, None, {"label": (2, 60)})
    for images in (2, 1):
        x, target = random(images, *DIMS[1:]) * 40, RANDOM.random((images, 60)).astype(np.float32)
        target[target > 0.7] = 1
        loss, valid = 0.0, 0
        for value, t in zip(x.ravel().astype(float), target.ravel().astype(float), strict=True):
            if ignore is not None and int(t) == ignore:
                continue
            valid += 1
            loss -= value * (t - (value >= 0)) - log(1 + exp(value - 2 * value * (value >= 0)))
        real = {"": "BATCH_SIZE", "normalize": "VALID"}.get(mode, mode)
        got = net.run({"x": x, "label": target})["loss"]
        assert_blob_close(got, loss / normalizer(real, images, 60, valid), "loss")


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_hinge_loss(tmp_path, norm):
    layer = loss_of("HingeLoss", f"hinge_loss_param {{ norm: {norm} }}")
    net = net_of(tmp_path, (2, 3, 4, 1), layer, None, {"label": (2, 1, 1, 1)})
    for images in (2, 5):
        x, label = random(images, 3, 4, 1), labels((images, 1, 1, 1), 12)
        y = x.reshape(images, -1).astype(np.float64)
        for i, mine in enumerate(label.ravel()):
            y[i, int(mine)] *= -1
        short = np.maximum(0, 1 + y)
        want = (short if norm == "L1" else short**2).sum() / images
        assert_blob_close(net.run({"x": x, "label": label})["loss"], want, "loss")


def test_multinomial_logistic_loss(tmp_path):
    net = net_of(tmp_path, (2, 3, 2), loss_of("MultinomialLogisticLoss"), None, {"label": (2, 1)})
    for images in (2, 3):
        x, label = np.abs(random(images, 3, 2)), labels((images, 1), 6)
        x.reshape(images, -1)[0, int(label[0, 0])] = 0
        rows = x.reshape(images, -1)
        want = sum(
            -log(max(row[int(m)], 1e-20)) for row, m in zip(rows, label.ravel(), strict=True)
        )
        assert_blob_close(net.run({"x": x, "label": label})["loss"], want / images, "loss")


def test_euclidean_loss(tmp_path):
    net = net_of(tmp_path, (2, 3, 4), loss_of("EuclideanLoss"), None, {"label": (2, 12)})
    for images in (2, 5):
        x, y = random(images, 3, 4), random(images, 12)
        want = ((x.reshape(images, -1).astype(np.float64) - y) ** 2).sum() / images / 2
        assert_blob_close(net.run({"x": x, "label": y})["loss"], want, "loss")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("margin", [1, 3.5])
def test_contrastive_loss(tmp_path, margin, legacy):
    param = f"contrastive_loss_param {{ margin: {margin} legacy_version: {str(legacy).lower()} }}"
    layer = loss_of("ContrastiveLoss", param, "x y alike")
    net = net_of(tmp_path, (4, 3), layer, None, {"y": (4, 3), "alike": (4, 1)})
    for images in (4, 7):
        x, y = random(images, 3), random(images, 3)
        alike = np.float32([0, 1, 0.5, 2, 0, 1, 0])[:images, None]  # 0.5 counts as 0
        loss = 0.0
        for a, b, same in zip(x.astype(float), y.astype(float), alike.ravel(), strict=True):
            square = ((a - b) ** 2).sum()
            if int(same):
                loss += square
            elif legacy:
                loss += max(margin - square, 0)
            else:
                loss += max(margin - sqrt(square), 0) ** 2
        got = net.run({"x": x, "y": y, "alike": alike})["loss"]
        assert_blob_close(got, loss / images / 2, "loss")


@pytest.mark.parametrize(
    ("kind", "settings", "bottoms", "message"),
    [
        ("SoftmaxWithLoss", "", "x five", r"its bottoms are \(2, 4, 3\) and \(5,\); the first number"),
        ("SoftmaxWithLoss", "", "x two", r"6 labels must go with scores \(2, 4, 3\) and classes on axis 1; the labels are \(2,\)"),
        ("SoftmaxWithLoss", "softmax_param { axis: 3 }", "x two", "axis 3 of a bottom"),
        ("Accuracy", "accuracy_param { top_k: 5 }", "x six", "top_k 5 of 4 classes"),
        ("Accuracy", "", "x two", "6 labels must go with scores"),
        ("InfogainLoss", "", "x six two", "4 classes need a matrix of 4x4, the third bottom is"),
        ("InfogainLoss", "loss_param { normalize: true }", "x six two", "normalize is not for InfogainLoss"),
        ("HingeLoss", "", "x six", r"takes one label for each image, they are \(2, 3\)"),
        ("MultinomialLogisticLoss", "", "x six", "takes one label for each image"),
        ("EuclideanLoss", "", "x six", r"its bottoms are \(2, 4, 3\) and \(2, 3\); they must be alike"),
        ("SigmoidCrossEntropyLoss", "", "x six", "they must be alike"),
        ("ContrastiveLoss", "", "x x two", r"takes \(N, C\), the bottoms are \(2, 4, 3\)"),
        ("ContrastiveLoss", "", "six six six", "takes one label for each image"),
        ("EuclideanLoss", "", "x five", "the first number must be alike"),
    ],
)  # fmt: skip
def test_refused(tmp_path, kind, settings, bottoms, message):
    more = {"two": (2,), "five": (5,), "six": (2, 3)}
    with pytest.raises(ls.errors.ReadError, match=message) as caught:
        net_of(tmp_path, (2, 4, 3), loss_of(kind, settings, bottoms), None, more)
    assert str(caught.value).startswith("net.prototxt:5:")


# --- labels that are not fed ---

TRAINED = """
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 4 } }
layer { name: "one" type: "Flatten" bottom: "label" top: "flat" flatten_param { end_axis: 1 } }
layer { name: "hit" type: "Accuracy" bottom: "fc" bottom: "flat" top: "hit" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "flat" top: "loss" top: "prob" }
layer { name: "out" type: "HDF5Output" bottom: "fc" bottom: "label" }
"""


@pytest.fixture
def trained(tmp_path: Path) -> ls.Net:
    weights = {"fc": [random(4, 6), random(4)]}
    return net_of(tmp_path, (2, 6), TRAINED, weights, {"label": (2, 1)})


def test_without_labels_the_losses_are_left_out(trained):
    x, label = random(3, 6), np.float32([[1], [0], [3]])
    assert (trained.inputs, trained.optional) == (("x", "label"), ("label",))
    assert trained.notes[-1] == (
        "only losses read input label; while it is not fed, these blobs are left out:"
        " label, flat, hit, loss, prob"
    )
    whole = trained.run({"x": x, "label": label})
    assert list(whole) == ["x", "label", "fc", "flat", "hit", "loss", "prob"]
    for fed in (x, {"x": x}):
        blobs = trained.run(fed)
        assert list(blobs) == ["x", "fc"] and list(blobs.fed) == ["x"]
        np.testing.assert_array_equal(blobs["fc"], whole["fc"])
    assert_blob_close(whole["loss"], slow_softmax_loss(whole["fc"], label, 1, "VALID"), "loss")
    assert list(trained.run(x, ["fc"])) == ["fc"]
    with pytest.raises(
        ls.errors.UsageError, match='blob "loss" needs input label, which is not fed'
    ):
        trained.run(x, ["loss"])
    with pytest.raises(ls.errors.UsageError, match=r"inputs are x, label; missing: x$"):
        trained.run({"label": label})


def test_a_report_with_and_without_labels(trained, tmp_path):
    x = random(1, 6)
    for fed, shown in ((x, False), ({"x": x, "label": [[2]]}, True)):
        page = ls.report(trained, fed, tmp_path / "page.html").read_text()
        assert ("<p>loss (): " in page) == shown and "only losses read input label" in page


def test_a_net_without_an_optional_input(trained):
    less = trained.without("label")
    assert [layer.name for layer in less.layers] == ["x", "label", "fc"]
    assert (less.inputs, less.optional, less.outputs) == (("x",), (), ("fc",))
    assert 'nothing gives blob "label"; left out: one, hit, loss, out' in less.notes
    assert less.reshaped(x=(7, 6)).inputs == ("x",)
    assert trained.without() is trained
    with pytest.raises(ls.errors.UnknownNameError, match='optional input "x" is not in net'):
        trained.without("x")


def test_a_net_of_a_fixed_batch_runs_without_labels(tmp_path):
    """The layer that fixes the batch is rebuilt for the batch that is fed, without the label."""
    layers = (
        'layer { name: "f" type: "Flatten" bottom: "x" top: "f" flatten_param { axis: 0 } }'
        'layer { name: "p" type: "InnerProduct" bottom: "x" top: "p" inner_product_param'
        " { num_output: 3 axis: 0 bias_term: false } }"
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 4 } }'
        + loss_of("SoftmaxWithLoss", "softmax_param { axis: 0 }", "fc label")
    )
    net = net_of(tmp_path, (2, 6), layers, None, {"label": (2, 2)}).filled()
    assert not net.graph.free_batch and net.optional == ("label",)
    assert net.run(random(2, 6))["p"].shape == (3,)
    with pytest.raises(ls.errors.ReadError, match="the first number must be alike"):
        net.reshaped(x=(4, 6))


DEPLOYED = """
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 4 } }
layer { name: "hit" type: "Accuracy" bottom: "fc" bottom: "label" top: "hit" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
layer { name: "quiet" type: "Silence" bottom: "hit" }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def test_losses_of_a_deploy_file_are_left_out(tmp_path):
    """Accuracy and loss are still there, the layer that gave the labels is not."""
    net = net_of(tmp_path, (2, 6), DEPLOYED)
    assert [layer.name for layer in net.layers] == ["x", "fc", "prob"]
    assert (net.optional, net.outputs) == ((), ("prob",))
    assert net.notes == ('nothing gives blob "label"; left out: hit, loss, quiet',)
    assert list(net.run(random(1, 6), allow_missing=True)) == ["x", "fc", "prob"]


def test_a_layer_that_is_no_loss_needs_its_bottom(tmp_path):
    with pytest.raises(ls.errors.ReadError, match='reads blob "label", which no layer before it'):
        net_of(tmp_path, (2, 6), DEPLOYED.replace("Accuracy", "Eltwise"))


def test_labels_that_are_cut_up_first(tmp_path):
    """What has no learned numbers and only leads to losses goes with the label."""
    layers = (
        'layer { name: "cut" type: "Slice" bottom: "label" top: "a" top: "b" slice_param { axis: 1 } }'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 4 } }'
        + loss_of("SoftmaxWithLoss", "", "fc a")
        + 'layer { name: "quiet" type: "Silence" bottom: "b" }'
    )
    net = net_of(tmp_path, (2, 6), layers, None, {"label": (2, 2)})
    assert net.optional == ("label",)
    assert list(net.filled().run(random(2, 6))) == ["x", "fc"]
    whole = net.filled().run({"x": random(2, 6), "label": [[1, 0], [2, 3]]})
    assert list(whole) == ["x", "label", "a", "b", "fc", "loss"]


def test_a_net_that_is_nothing_but_losses_needs_all_inputs(tmp_path):
    net = net_of(tmp_path, (2, 3), loss_of("EuclideanLoss"), None, {"label": (2, 3)})
    assert net.optional == () and net.notes == ()
    with pytest.raises(ls.errors.UsageError, match=r"the net has 2 inputs \(x, label\); name them"):
        net.run(random(2, 3))


def test_what_also_feeds_learned_layers_is_not_optional(tmp_path):
    """A siamese net: both images are needed, what says whether they are alike is not."""
    fc = 'layer {{ name: "{0}" type: "InnerProduct" bottom: "{1}" top: "{0}" inner_product_param {{ num_output: 3 }} }}'
    layers = (
        'layer { name: "scale" type: "Eltwise" bottom: "y" bottom: "y" top: "z" }'
        + fc.format("p", "x") + fc.format("q", "z") + loss_of("ContrastiveLoss", "", "p q alike")
    )  # fmt: skip
    net = net_of(tmp_path, (2, 5), layers, None, {"y": (2, 5), "alike": (2,)})
    assert net.optional == ("alike",)
