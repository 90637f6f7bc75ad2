"""The unit is found once, in any net, batch and input; and it is said what cannot be attributed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from conftest import GOLDEN
from layerscope.errors import UnknownNameError, UnsupportedError, UsageError
from layerscope.inputs import Preprocessing
from layerscope.measure.attribution import attributions, trials
from layerscope.measure.attribution.subject import Subject
from layerscope.net import Blob, Layer, Net
from layerscope.readers.graph import GraphBuilder
from measure.attribution.smallnet import DIMS, Loops, image, opened
from onelayer import net_of
from readers.caffe.layers.test_golden import opened as golden_net
from readers.onnx.models import model, node, saved

IP = """layer { name: "%s" type: "InnerProduct" bottom: "%s" top: "%s"
               inner_product_param { num_output: 2 } }"""


def test_a_batch_is_looked_at_image_by_image(tmp_path: Path) -> None:
    net = opened(tmp_path)
    batch = np.stack([image(seed) for seed in (4, 5, 6)])
    for name in ("gradient", "integrated", "smoothgrad", "gradcam", "occlusion", "guided"):
        alone = ls.attribute(net, batch[2], "prob:top1", name)
        among = ls.attribute(net, batch, "prob:top1", name, image=2)
        assert among.unit.index == (2, alone.unit.index[1])
        np.testing.assert_allclose(among.values, alone.values, rtol=1e-4, atol=1e-6)
    other = ls.attribute(net, batch, "prob:top1", "gradient", image=0)
    assert not np.allclose(other.values, among.values)


def test_a_batch_of_the_file(tmp_path: Path) -> None:
    batch = np.stack([image(seed) for seed in (4, 5, 6)])
    for name in ("integrated", "gradcam", "occlusion"):
        want = ls.attribute(opened(tmp_path), batch[1], "fc:2", name)
        found = ls.attribute(opened(tmp_path, 3), batch, "fc:2", name, image=1)
        np.testing.assert_allclose(found.values, want.values, rtol=1e-4, atol=1e-6)


def test_many_at_once_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that do not divide the number, and a net that has to go one by one."""
    random = np.random.default_rng(8)
    samples = [random.standard_normal(DIMS) for _ in range(7)]
    subject = Subject(opened(tmp_path), image(), "prob:1")
    for most in (1, 3, 16):
        monkeypatch.setattr(trials, "MOST_AT_ONCE", most)
        got = list(subject.values(iter(samples), 7))
        np.testing.assert_allclose(got, [Loops(x).prob[1] for x in samples], rtol=1e-5)
        slopes = list(subject.gradients(iter(samples), 7))
        for slope, x in zip(slopes, samples, strict=True):
            want = Loops(x).backward("prob", 1)["x"]
            np.testing.assert_allclose(slope, want, rtol=2e-4, atol=1e-6)


def test_steps_of_an_lstm_meet_each_other() -> None:
    """Nothing is run at once there; the rest of the sequence stays as it was fed."""
    (case,) = (case for case in GOLDEN if case.name == "lstm")
    net = golden_net(case)
    random = np.random.default_rng(2)
    feeds = {n: random.standard_normal(net.graph.shapes[n]).astype(np.float32) for n in net.inputs}
    x, cont = net.inputs
    feeds[cont] = np.ones_like(feeds[cont])
    feeds[cont][0] = 0
    (top,) = net.outputs
    last = len(feeds[x]) - 1
    found = ls.attribute(net, feeds, f"{top}:0,0", "occlusion", wrt=x, image=last, patch=1)
    value = net.run(feeds, [top])[top]
    assert feeds[x][last].ndim == 2
    for place in range(feeds[x].shape[2]):
        moved = {n: a.copy() for n, a in feeds.items()}
        moved[x][last][:, place] = 0
        lost = value[last, 0, 0] - net.run(moved, [top])[top][last, 0, 0]
        assert found.values[place] == pytest.approx(lost, abs=1e-6)
    assert np.abs(found.values).max() > 1e-4
    note = f"the map is of {x}[{last}] alone, of {last + 1} rows"
    assert any(each.startswith(note) for each in found.notes)
    first = ls.attribute(net, feeds, f"{top}:0,0", "gradient", wrt=x, image=0)
    assert not any("alone" in each for each in first.notes)  # nothing of later steps is read


def test_an_input_without_a_batch_is_told_that_one_row_is_shown() -> None:
    """The sum of all of (3, 4): its first axis is no batch."""
    g = GraphBuilder()
    x = g.input("x", (3, 4))
    y = g.op("ReduceSum", x, keepdims=1)
    blobs = {n: Blob(n, d, v, "s", n) for n, v, d in (("x", x, (3, 4)), ("y", y, (1, 1)))}
    layer = Layer("s", "Sum", "", ("x",), ("y",), nodes=range(1))
    net = Net("s", "test", (layer,), blobs, g.finish(), ("y",), Preprocessing())
    found = ls.attribute(net, np.arange(12, dtype=np.float32).reshape(3, 4), "y:0", "gradient")
    np.testing.assert_array_equal(found.values, np.ones(4))
    (note,) = found.notes
    assert (
        note == "the map is of x[0] alone, of 3 rows (3, 4); the unit changes with the others too"
    )


def test_a_unit_that_is_off_does_not_hide_that_images_meet(tmp_path: Path) -> None:
    """Centered over the batch, 0 of a ReLU alone and beside zeros, and not beside each other."""
    text = """layer { name: "bn" type: "BatchNorm" bottom: "x" top: "bn"
                      batch_norm_param { use_global_stats: false } }
              layer { name: "ip" type: "InnerProduct" bottom: "bn" top: "ip"
                      inner_product_param { num_output: 2 } }
              layer { name: "y" type: "ReLU" bottom: "ip" top: "y" }"""
    stats = [np.zeros(2, np.float32), np.ones(2, np.float32), np.ones(1, np.float32)]
    weights = np.float32([[1, -1], [-1, 1]])
    x = np.float32([0, 1]).reshape(2, 1, 1)
    net = net_of(tmp_path, (1, 2, 1, 1), text, {"bn": stats, "ip": [weights, np.float32([0, 1])]})
    subject = Subject(net, x, "y:0")
    samples = [np.full((2, 1, 1), v, np.float32) * [[[5]], [[-3]]] for v in (1, -2, 7)]
    assert subject.value == 0
    assert list(subject.values(iter(samples), 3)) == [0, 0, 0]  # less its mean, one image is 0


def test_images_that_meet_are_not_run_at_once(tmp_path: Path) -> None:
    """Statistics of the batch: an image beside another has another value."""
    text = """layer { name: "bn" type: "BatchNorm" bottom: "x" top: "bn"
                      batch_norm_param { use_global_stats: false } }
              layer { name: "y" type: "InnerProduct" bottom: "bn" top: "y"
                      inner_product_param { num_output: 2 } }"""
    weights = np.random.default_rng(1).standard_normal((2, 24)).astype(np.float32)
    stats = [np.zeros(2, np.float32), np.ones(2, np.float32), np.ones(1, np.float32)]
    net = net_of(tmp_path, (1, 2, 4, 3), text, {"bn": stats, "y": [weights, np.zeros(2)]})
    x = np.random.default_rng(2).standard_normal((2, 4, 3)).astype(np.float32)
    found = ls.attribute(net, x, "y:1", "occlusion", patch=2, stride=2)
    value = net.run(x, ["y"])["y"][0, 1]
    covered = x.copy()
    covered[:, :2, :2] = 0
    lost = value - net.run(covered, ["y"])["y"][0, 1]
    assert found.values[0, 0] == pytest.approx(lost, rel=1e-4)


def test_any_unit_by_any_blob(tmp_path: Path) -> None:
    net, loops = opened(tmp_path), Loops(image())
    found = ls.attribute(net, image(), "prob:1", "gradient", wrt="conv2")
    want = loops.backward("prob", 1)["conv2"]
    np.testing.assert_allclose(found.values, want, rtol=2e-5, atol=1e-6)
    assert found.input == "conv2" and found.picture is None
    place = tuple(int(i) for i in np.argwhere(loops.conv2_in > 0)[0])
    unit = ls.attribute(net, image(), f"conv2:{','.join(map(str, place))}", "gradient")
    weights = loops.weights["conv2"][0][place[0]]
    d = np.zeros_like(loops.conv1)
    d[:, place[1] : place[1] + 2, place[2] : place[2] + 2] = weights
    d = np.where(loops.conv1_in > 0, d, 0)
    want = np.zeros(DIMS)
    for f, r, c in np.ndindex(*d.shape):
        want[:, r : r + 3, c : c + 3] += d[f, r, c] * loops.weights["conv1"][0][f]
    np.testing.assert_allclose(unit.values, want, rtol=2e-5, atol=1e-6)
    with pytest.raises(UsageError, match=r'changes what is fed, and "conv2" is no input.*: x'):
        ls.attribute(net, image(), "prob:1", "integrated", wrt="conv2")


def test_the_layer_that_is_taken(tmp_path: Path) -> None:
    net = opened(tmp_path)
    assert ls.attribute(net, image(), "prob:1").at == "conv2"
    assert ls.attribute(net, image(), "conv2:0,1,1").at == "conv1"
    with pytest.raises(UsageError, match=r"no blob with several places .* name a layer"):
        ls.attribute(net, image(), "conv1:0,1,1")
    with pytest.raises(UsageError, match=r'"fc" \(1, 5\) has one place a channel.*conv2'):
        ls.attribute(net, image(), "prob:1", at="fc")
    with pytest.raises(UnknownNameError, match=r"nearest: conv2, conv1"):
        ls.attribute(net, image(), "prob:1", at="conv3")
    with pytest.raises(UsageError, match=r'"conv1" does not depend on "conv2"'):
        ls.attribute(net, image(), "conv1:0,1,1", at="conv2")
    with pytest.raises(UsageError, match="looks at the input, not at a layer"):
        ls.attribute(net, image(), "prob:1", "gradient", at="conv2")


def two_inputs(folder: Path) -> ls.Net:
    text = (
        IP % ("a", "x", "a")
        + IP % ("b", "other", "b")
        + 'layer { name: "y" type: "Eltwise" bottom: "a" bottom: "b" top: "y" '
        "eltwise_param { operation: PROD } }"
    )
    a, b = np.float32([[1, 2, 3], [4, 5, 6]]), np.float32([[1, -1], [2, 0.5]])
    return net_of(
        folder,
        (1, 3),
        text,
        {"a": [a, np.zeros(2)], "b": [b, np.zeros(2)]},
        more={"other": (1, 2)},
    )


def test_the_other_part_of_a_split_is_not_looked_at(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "c"),
        node("Split", "c", "a b", axis=1, num_outputs=2),
        node("ReduceSum", "a", "y", keepdims=0, noop_with_empty_axes=0),
        node("GlobalMaxPool", "b", "z"),
    ]
    net = ls.open(saved(tmp_path, model(nodes, {"x": (1, 2, 3, 3)}, "y z")))
    x = np.arange(18, dtype=np.float32).reshape(1, 2, 3, 3)
    found = ls.attribute(net, x, "y", "gradcam")
    assert found.at == "a"
    np.testing.assert_allclose(found.values, x[0, 0])


def test_several_inputs(tmp_path: Path) -> None:
    net = two_inputs(tmp_path)
    feeds = {"x": np.float32([1, 0, 2]), "other": np.float32([3, 1])}
    for name in ("gradient", "integrated"):  # straight in each input alone
        found = ls.attribute(net, feeds, "y:1", name, wrt="other")
        scale = 1 if name == "gradient" else feeds["other"]
        np.testing.assert_allclose(found.values, 16 * np.float32([2, 0.5]) * scale, rtol=1e-5)
    assert ls.attribute(net, feeds, "y:1", "gradient").input == "x"
    np.testing.assert_allclose(
        ls.attribute(net, feeds, "y:1", "gradient").values, 6.5 * np.float32([4, 5, 6])
    )
    with pytest.raises(UsageError, match=r'"a" does not depend on "other"'):
        ls.attribute(net, feeds, "a:0", "occlusion", wrt="other")
    with pytest.raises(UsageError, match=r'"a" does not depend on "other"'):
        ls.attribute(net, feeds, "a:0", "gradient", wrt="other")


def test_channels_last() -> None:
    """An input (N, H, W, C): the map is of the rows and columns, not of rows and channels."""
    g = GraphBuilder()
    x = g.input("x", (1, 4, 5, 3))
    turned = g.op("Transpose", x, perm=[0, 3, 1, 2])
    weights = np.random.default_rng(0).standard_normal((2, 3, 2, 2)).astype(np.float32)
    y = g.op("Conv", turned, g.constant(weights))
    dims = {"x": (1, 4, 5, 3), "y": (1, 2, 3, 4)}
    blobs = {n: Blob(n, dims[n], v, "l", n) for n, v in (("x", x), ("y", y))}
    layer = Layer("l", "All", "", ("x",), ("y",), nodes=range(2))
    how = Preprocessing(layout="NHWC", channels="RGB")
    net = Net("n", "test", (layer,), blobs, g.finish(), ("y",), how)
    fed = np.random.default_rng(1).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    found = ls.attribute(net, fed, "y:1,2,3", "gradient")
    want = np.zeros((4, 5, 3))
    want[2:, 3:] = weights[1].transpose(1, 2, 0)
    np.testing.assert_allclose(found.values, want, rtol=1e-6)
    np.testing.assert_allclose(found.map, np.abs(want).max(axis=2), rtol=1e-6)
    assert found.picture is not None and found.picture.shape == (4, 5, 3)
    lost = ls.attribute(net, fed, "y:1,2,3", "occlusion", patch=1)
    np.testing.assert_allclose(lost.values, (want * fed).sum(axis=2), rtol=1e-3, atol=1e-2)


def test_a_softmax_names_the_score(tmp_path: Path) -> None:
    note = "prob is a softmax, whose slope shrinks near 1; fc:1 is the score before it"
    net = opened(tmp_path)
    assert note in ls.attribute(net, image(), "prob:1", "gradient").notes
    assert note not in ls.attribute(net, image(), "fc:1", "gradient").notes
    assert note not in ls.attribute(net, image(), "prob:1", "occlusion", patch=4).notes


def test_a_unit_that_is_off_is_said(tmp_path: Path) -> None:
    net, loops = opened(tmp_path), Loops(image())
    place = ",".join(str(i) for i in np.argwhere(loops.conv2_in < -0.5)[0])
    found = ls.attribute(net, image(), f"conv2:{place}", "gradient")
    assert not found.values.any() and any("0 everywhere" in note for note in found.notes)
    assert np.isnan(found.half)


def test_not_a_number(tmp_path: Path) -> None:
    power = 'layer {{ name: "{0}" type: "Power" bottom: "{1}" top: "{0}" power_param {{ {2} }} }}'
    text = power.format("s", "x", "scale: 0.5") + power.format("r", "s", "power: 0.5")
    net = net_of(tmp_path, (1, 2), text + IP % ("y", "r", "y"),
                 {"y": [np.ones((2, 2), np.float32), np.zeros(2)]})  # fmt: skip
    with pytest.raises(UnsupportedError, match=r'"y:0" is nan.*blob "r" of layer "r"'):
        ls.attribute(net, np.float32([1, -1]), "y:0", "gradient")
    with pytest.raises(UnsupportedError, match=r'not a number \(NaN\).*layer "r"'):
        # At the image all is well; the way from the baseline goes through what is below 0.
        ls.attribute(net, np.float32([1, 1]), "y:0", "integrated", baseline=np.float32([-1, 1]))


def test_whole_numbers(tmp_path: Path) -> None:
    text = 'layer { name: "best" type: "ArgMax" bottom: "x" top: "best" }'
    net = net_of(tmp_path, (1, 3), text)
    with pytest.raises((UnsupportedError, UsageError), match=r"indices or steps|whole numbers"):
        ls.attribute(net, np.float32([1, 2, 3]), "best:0", "gradient")
    cast = model([node("Cast", "x", "y", to=1)], {"x": (2, (1, 3))}, "y")  # 2: uint8
    net = ls.open(saved(tmp_path, cast))
    with pytest.raises(UnsupportedError, match="take a blob after it"):
        ls.attribute(net, np.uint8([[1, 2, 3]]), "y:0", "gradient")


def test_a_quantized_net_has_no_gradient_and_can_be_covered() -> None:
    g = GraphBuilder()
    x = g.input("x", (1, 3))
    scale, zero = g.constant(np.float32(0.5)), g.constant(np.uint8(100))
    y = g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero)
    blobs = {n: Blob(n, (1, 3), v, "q", n) for n, v in (("x", x), ("y", y))}
    layer = Layer("q", "Quantize", "", ("x",), ("y",), nodes=range(2))
    net = Net("q", "test", (layer,), blobs, g.finish(), ("y",), Preprocessing())
    with pytest.raises(UnsupportedError, match=r'layer "q" \(QuantizeLinear\) works on whole'):
        ls.attribute(net, np.float32([1, 2, 3]), "y:1", "integrated")
    found = ls.attribute(net, np.float32([1, 2, 3]), "y:1", "occlusion", patch=1)
    np.testing.assert_array_equal(found.values, [0, 2, 0])


def test_wrong_requests(tmp_path: Path) -> None:
    net = opened(tmp_path)
    with pytest.raises(UnknownNameError, match=r'"grad-cam" is unknown; nearest: gradcam'):
        ls.attribute(net, image(), "prob:1", "grad-cam")
    with pytest.raises(UsageError, match=r'"smoothgrad" has no setting "sample".*nearest: samples'):
        ls.attribute(net, image(), "prob:1", "smoothgrad", sample=3)
    with pytest.raises(UsageError, match='steps "0": a whole number from 1'):
        ls.attribute(net, image(), "prob:1", "integrated", steps=0)
    with pytest.raises(UsageError, match=r'steps "2.5": a whole number'):
        ls.attribute(net, image(), "prob:1", "integrated", steps=2.5)
    with pytest.raises(UsageError, match=r'baseline "blck" is unknown.*nearest: black'):
        ls.attribute(net, image(), "prob:1", "integrated", baseline="blck")
    with pytest.raises(UsageError, match="baseline black needs an image"):
        ls.attribute(net, image(), "prob:1", "integrated", baseline="black")
    with pytest.raises(UsageError, match=r"the baseline is \(3,\)"):
        ls.attribute(net, image(), "prob:1", "integrated", baseline=np.zeros(3))
    with pytest.raises(UsageError, match=r"channel 5; .prob. has 5 channels, 0 to 4"):
        ls.attribute(net, image(), "prob:5")
    with pytest.raises(UnknownNameError, match=r"nearest: prob"):
        ls.attribute(net, image(), "prb:1")
    with pytest.raises(UsageError, match='none of the methods has a setting "stepz"'):
        attributions(net, image(), "prob:1", ["gradient", "integrated"], settings={"stepz": 3})
    with pytest.raises(UsageError, match="no method"):
        attributions(net, image(), "prob:1", [])


def test_settings_go_to_those_that_know_them(tmp_path: Path) -> None:
    found = attributions(
        opened(tmp_path), image(), "prob:1", ["gradient", "integrated", "smoothgrad"],
        settings={"steps": 3, "seed": 4, "samples": 2},
    )  # fmt: skip
    assert [dict(each.settings) for each in found] == [
        {}, {"steps": 3, "baseline": "zero"}, {"samples": 2, "noise": 0.15, "seed": 4},
    ]  # fmt: skip


def test_the_likeliest_class_is_meant(tmp_path: Path) -> None:
    found = ls.attribute(opened(tmp_path), image(), labels=list("abcde"))
    assert str(found.unit) == f"prob:{Loops(image()).prob.argmax()}" and found.label == "e"
    assert found.heading.startswith("prob:4 (e) = ")
    plain = net_of(tmp_path, (1, 3), 'layer { name: "r" type: "ReLU" bottom: "x" top: "r" }')
    with pytest.raises(UsageError, match="ends in no classes; name a unit"):
        ls.attribute(plain, np.float32([1, 2, 3]))


def test_progress(tmp_path: Path) -> None:
    said: list[tuple[int, int, str]] = []
    ls.attribute(
        opened(tmp_path), image(), "prob:1", "occlusion", patch=1,
        progress=lambda done, total, title: said.append((done, total, title)),
    )  # fmt: skip
    assert said[0] == (0, 42, "Occlusion") and said[-1] == (42, 42, "Occlusion")
    assert [done for done, _, _ in said] == sorted(done for done, _, _ in said)


def test_settings_that_are_arrays_are_told_by_their_shape(tmp_path: Path) -> None:
    found = ls.attribute(opened(tmp_path), image(), "prob:1", "integrated",
                         steps=np.int64(2), baseline=np.zeros(DIMS))  # fmt: skip
    assert found.as_json()["settings"] == {"steps": 2, "baseline": "array (2, 7, 6)"}
    json.dumps(found.as_json())
    assert str(found).startswith("x: array (2, 7, 6)") and "gap" in str(found)


def test_as_json(tmp_path: Path) -> None:
    found = ls.attribute(opened(tmp_path), image(), "prob:1", "integrated", steps=3).as_json()
    assert found["unit"] == "prob:1" and found["shape"] == list(DIMS)
    assert np.shape(found["values"]) == DIMS and found["completeness"]["gap"] == pytest.approx(
        found["completeness"]["sum"] - found["completeness"]["difference"]
    )
    total = np.sum(found["values"], axis=0)
    assert found["strongest"] == [int(i) for i in np.unravel_index(total.argmax(), total.shape)]
    positive = np.sort(np.maximum(total, 0).ravel())[::-1]
    count = next(n for n in range(43) if positive[:n].sum() >= positive.sum() / 2)
    assert found["half_within"] == pytest.approx(count / 42)


def test_requests_of_another_kind(tmp_path: Path) -> None:
    net = opened(tmp_path)
    for of, index in ((5, 0), ("prob:1", "0"), (None, 0), ("prob:1", 0.5)):
        with pytest.raises(UsageError, match="a unit as text"):
            ls.attribute(net, image(), of, "gradient", image=index)
    assert ls.attribute(net, image(), "prob:1", "gradient", image=np.int64(0)).unit.image == 0
    for baseline in (["a"], np.nan, np.inf, {}):
        with pytest.raises(UsageError, match="no finite number"):
            ls.attribute(net, image(), "prob:1", "integrated", baseline=baseline)


def test_gradients_of_another_kind(tmp_path: Path) -> None:
    net = opened(tmp_path)
    for of in (3, ["prob", "fc"], None):
        with pytest.raises(UsageError, match="a mapping of blob to"):
            net.gradient(of, "x", image())
    with pytest.raises(UsageError, match="wrt is a NoneType"):
        net.gradient("prob:1", None, image())
    with pytest.raises(UsageError, match='seed of blob "fc" is no array of numbers'):
        net.gradient({"fc": "one"}, "x", image())
