"""Every method against a slow second one: loops, finite differences, answers known by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.inputs import Preprocessing
from layerscope.measure.attribution import methods
from layerscope.measure.attribution.perturbation import soft_mask
from layerscope.measure.attribution.result import Completeness
from layerscope.net import Blob, Layer, Net
from layerscope.readers.graph import GraphBuilder
from measure.attribution.smallnet import DIMS, Loops, image, opened
from onelayer import net_of

CLOSE = {"rtol": 2e-5, "atol": 1e-6}


def test_which_methods_there_are() -> None:
    assert list(methods()) == [
        "gradient", "inputxgradient", "integrated", "smoothgrad", "guided", "deconvolution",
        "gradcam", "gradcam++", "contribution", "occlusion", "rise",
    ]  # fmt: skip
    assert all(each.paper and each.title and each.summary.endswith(".") for each in
               methods().values())  # fmt: skip


# --- gradients ---


def differences(of: str, unit: int, x: np.ndarray) -> np.ndarray:
    """The gradient by moving each number of the input a little."""
    found = np.zeros(DIMS)
    step = 1e-6
    for place in np.ndindex(*DIMS):
        ends = []
        for sign in (1, -1):
            moved = np.asarray(x, np.float64).copy()
            moved[place] += sign * step
            ends.append(getattr(Loops(moved), of)[unit])
        found[place] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("of", ["fc", "prob"])
def test_gradient(tmp_path: Path, of: str) -> None:
    want = differences(of, 2, image())
    found = ls.attribute(opened(tmp_path), image(), f"{of}:2", "gradient")
    np.testing.assert_allclose(found.values, want, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.map, np.abs(want).max(axis=0), rtol=1e-4, atol=1e-6)
    assert found.values.shape == DIMS and not found.signed
    assert found.value == pytest.approx(getattr(Loops(image()), of)[2], rel=1e-5)


def test_the_loops_agree_with_differences() -> None:
    for of in ("fc", "prob"):
        want = differences(of, 1, image())
        np.testing.assert_allclose(Loops(image()).backward(of, 1)["x"], want, atol=1e-7)


def test_input_times_gradient(tmp_path: Path) -> None:
    want = image() * Loops(image()).backward("fc", 3)["x"]
    found = ls.attribute(opened(tmp_path), image(), "fc:3", "inputxgradient")
    np.testing.assert_allclose(found.values, want, **CLOSE)
    np.testing.assert_allclose(found.map, want.sum(axis=0), **CLOSE)
    assert found.signed


def test_integrated_of_a_straight_line_and_of_a_square(tmp_path: Path) -> None:
    weights = np.float32([[0.5, -2, 3], [1, 4, -1]])
    ip = """layer { name: "y" type: "InnerProduct" bottom: "%s" top: "y"
                    inner_product_param { num_output: 2 } }"""
    x, base = np.float32([2, 3, -1]), np.float32([1, -1, 0.5])
    line = net_of(tmp_path, (1, 3), ip % "x", {"y": [weights, np.float32([7, 8])]})
    found = ls.attribute(line, x, "y:1", "integrated", steps=1, baseline=base)
    np.testing.assert_allclose(found.values, [1 * 1, 4 * 4, -1 * -1.5])
    assert found.completeness is not None
    assert found.completeness.gap == pytest.approx(0, abs=1e-6)
    assert found.completeness.sum == pytest.approx(18.5)
    square = net_of(
        tmp_path,
        (1, 3),
        'layer { name: "s" type: "Power" bottom: "x" top: "s" power_param { power: 2 } }'
        + ip % "s",
        {"y": [weights, np.float32([7, 8])]},
    )
    for steps in (1, 4, 7):  # the rule of midpoints is exact where the gradient is a straight line
        found = ls.attribute(square, x, "y:0", "integrated", steps=steps, baseline=base)
        np.testing.assert_allclose(found.values, [0.5 * 3, -2 * 8, 3 * 0.75], rtol=1e-5)


def test_integrated_is_the_mean_on_the_way(tmp_path: Path) -> None:
    x, steps = image().astype(np.float64), 7
    want = np.zeros(DIMS)
    for step in range(steps):
        want += Loops((step + 0.5) / steps * x).backward("prob", 1)["x"]
    want *= x / steps
    found = ls.attribute(opened(tmp_path), image(), "prob:1", "integrated", steps=steps)
    np.testing.assert_allclose(found.values, want, **CLOSE)
    complete = found.completeness
    assert complete is not None
    away = Loops(x).prob[1] - Loops(0 * x).prob[1]
    assert complete.difference == pytest.approx(away, abs=1e-6)
    assert complete.gap == pytest.approx(want.sum() - away, abs=1e-5)
    assert any("gap" in note for note in found.notes)


def test_integrated_becomes_complete(tmp_path: Path) -> None:
    gaps = [
        abs(
            ls.attribute(
                opened(tmp_path), image(), "prob:1", "integrated", steps=s
            ).completeness.gap
        )  # type: ignore[union-attr]
        for s in (2, 20, 400)
    ]
    assert gaps[0] > 0.01 and gaps[1] < 0.003 and gaps[2] < 0.001


def test_a_wide_gap_is_told() -> None:
    assert str(Completeness(0.5, 1.0)).endswith("gap -0.5, which is wide: take more steps")
    assert str(Completeness(0.95, 1.0)).endswith("gap -0.05")
    assert str(Completeness(0.0, 0.0)).endswith("gap 0")


def test_the_unit_stays_the_same_on_the_way(tmp_path: Path) -> None:
    """At the baseline another class is the largest; top1 is that of the image."""
    net = opened(tmp_path)
    best, elsewhere = int(Loops(image()).prob.argmax()), int(Loops(np.zeros(DIMS)).prob.argmax())
    assert best != elsewhere
    found = ls.attribute(net, image(), "prob:top1", "integrated", steps=5)
    want = ls.attribute(net, image(), f"prob:{best}", "integrated", steps=5)
    np.testing.assert_array_equal(found.values, want.values)


def test_smoothgrad(tmp_path: Path) -> None:
    x = image().astype(np.float64)
    random, sigma = np.random.default_rng(11), 0.2 * (x.max() - x.min())
    want = np.zeros(DIMS)
    for _ in range(6):
        want += Loops(x + sigma * random.standard_normal(DIMS)).backward("fc", 0)["x"]
    net = opened(tmp_path)
    found = ls.attribute(net, image(), "fc:0", "smoothgrad", samples=6, noise=0.2, seed=11)
    np.testing.assert_allclose(found.values, want / 6, **CLOSE)


# --- rectifiers ---


@pytest.mark.parametrize("mode", ["guided", "deconvolution"])
@pytest.mark.parametrize("of", ["fc", "prob"])
def test_rectifiers(tmp_path: Path, mode: str, of: str) -> None:
    loops = Loops(image())
    want = loops.backward(of, 2, mode)["x"]
    assert not np.allclose(want, loops.backward(of, 2)["x"])
    found = ls.attribute(opened(tmp_path), image(), f"{of}:2", mode)
    np.testing.assert_allclose(found.values, want, **CLOSE)


def test_without_rectifiers_guided_is_the_gradient(tmp_path: Path) -> None:
    ip = """layer { name: "y" type: "InnerProduct" bottom: "x" top: "y"
                    inner_product_param { num_output: 2 } }"""
    net = net_of(tmp_path, (1, 3), ip, {"y": [np.float32([[1, -2, 3], [4, 5, 6]]), np.zeros(2)]})
    for mode in ("guided", "deconvolution"):
        found = ls.attribute(net, np.float32([1, 1, 1]), "y:0", mode)
        np.testing.assert_array_equal(found.values, [1, -2, 3])
        assert "no ReLU on the way: the map is the plain gradient" in found.notes


X = np.float32([-1, 2, 7, 3])
WEIGHTS = np.float32([[1, 2, 3, -4]])


def clipped_by_caffe(folder: Path, low: float) -> ls.Net:
    text = f"""layer {{ name: "c" type: "Clip" bottom: "x" top: "c"
                        clip_param {{ min: {low} max: 6 }} }}
              layer {{ name: "y" type: "InnerProduct" bottom: "c" top: "y"
                        inner_product_param {{ num_output: 1 }} }}"""
    return net_of(folder, (1, 4), text, {"y": [WEIGHTS, np.zeros(1)]})


def clipped_by_onnx(_folder: Path, low: float) -> ls.Net:
    g = GraphBuilder()
    x = g.input("x", (1, 4))
    c = g.op("Clip", x, g.constant(np.float32(low)), g.constant(np.float32(6)))
    y = g.op("MatMul", c, g.constant(WEIGHTS.T.copy()))
    blobs = {n: Blob(n, d, v, "l", n) for n, d, v in (("x", (1, 4), x), ("y", (1, 1), y))}
    layer = Layer("l", "All", "", ("x",), ("y",), nodes=range(2))
    return Net("n", "test", (layer,), blobs, g.finish(), ("y",), Preprocessing())


@pytest.mark.parametrize("clipped", [clipped_by_caffe, clipped_by_onnx])
def test_relu6_is_a_rectifier_and_another_clip_is_none(
    tmp_path: Path, clipped: Callable[[Path, float], ls.Net]
) -> None:
    def found(low: float, mode: str) -> list[float]:
        return list(ls.attribute(clipped(tmp_path, low), X, "y:0", mode).values)

    assert found(0, "gradient") == [0, 2, 0, -4]
    assert found(0, "guided") == [0, 2, 0, 0]
    assert found(0, "deconvolution") == [1, 2, 0, 0]  # the upper end is no rectifier
    assert found(-2, "guided") == found(-2, "deconvolution") == [1, 2, 0, -4]
    notes = [ls.attribute(clipped(tmp_path, low), X, "y:0", "guided").notes for low in (0, -2)]
    assert ["no ReLU" in str(each) for each in notes] == [False, True]


# --- maps of a layer ---


def cam(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    found = np.zeros(maps.shape[1:])
    for r, c in np.ndindex(*found.shape):
        for k in range(len(maps)):
            found[r, c] += weights[k] * maps[k, r, c]
    return found


def test_gradcam(tmp_path: Path) -> None:
    loops = Loops(image())
    slopes = loops.backward("fc", 1)["conv2"]
    want = cam(loops.conv2, np.array([plane.sum() / plane.size for plane in slopes]))
    assert want.min() < 0 < want.max()
    net = opened(tmp_path)
    signed = ls.attribute(net, image(), "fc:1", "gradcam", signed=True)
    assert signed.at == "conv2" and signed.values.shape == (4, 3)
    np.testing.assert_allclose(signed.values, want, **CLOSE)
    found = ls.attribute(net, image(), "fc:1", "gradcam", at="conv2")
    np.testing.assert_allclose(found.values, np.maximum(want, 0), **CLOSE)
    assert not found.signed and signed.signed


def test_gradcam_before_the_relu(tmp_path: Path) -> None:
    """The blob before it is another one: its slopes are 0 where the ReLU is off."""
    loops = Loops(image())
    slopes = rectified(loops.backward("fc", 4)["conv2"], loops.conv2_in)
    want = cam(loops.conv2_in, slopes.mean(axis=(1, 2)))
    found = ls.attribute(
        opened(tmp_path), image(), "fc:4", "gradcam", at="conv2@conv2", signed=True
    )
    np.testing.assert_allclose(found.values, want, **CLOSE)


def rectified(d: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > 0, d, 0)


def test_gradcam_plus_plus(tmp_path: Path) -> None:
    """Equation 19 of the paper with Y = exp(score), whose derivatives are written out."""
    loops = Loops(image())
    slopes, score = loops.backward("fc", 4)["conv2"], loops.fc[4]
    weights = np.zeros(4)
    for k, r, c in np.ndindex(*slopes.shape):
        first, second, third = (np.exp(score) * slopes[k, r, c] ** n for n in (1, 2, 3))
        below = 2 * second + sum(a * third for a in loops.conv2[k].ravel())
        if below:
            weights[k] += second / below * max(first, 0)
    want = np.maximum(cam(loops.conv2, weights), 0) / np.exp(score)
    assert want.max() > 0
    found = ls.attribute(opened(tmp_path), image(), "fc:4", "gradcam++")
    np.testing.assert_allclose(found.values, want, rtol=2e-4, atol=1e-6)


def test_derivatives_of_the_exponential_of_a_score() -> None:
    """What Grad-CAM++ takes as given: in a piece where the net is linear they are powers."""
    loops = Loops(image())
    g = loops.backward("fc", 4)["conv2"]
    place = tuple(int(i) for i in np.unravel_index(int(np.abs(g).argmax()), g.shape))
    start, step = loops.conv2.copy(), 1e-3

    def value(times: int) -> float:
        moved = start.copy()
        moved[place] += times * step
        loops.tail(moved)
        return float(np.exp(loops.fc[4]))

    second = (value(1) - 2 * value(0) + value(-1)) / step**2
    third = (value(2) - 2 * value(1) + 2 * value(-1) - value(-2)) / (2 * step**3)
    assert second == pytest.approx(value(0) * g[place] ** 2, rel=1e-4)
    assert third == pytest.approx(value(0) * g[place] ** 3, rel=1e-3)


def test_contribution(tmp_path: Path) -> None:
    loops = Loops(image())
    want = loops.conv2 * loops.backward("prob", 1)["conv2"]
    found = ls.attribute(opened(tmp_path), image(), "prob:1", "contribution", at="conv2")
    np.testing.assert_allclose(found.values, want, **CLOSE)
    assert found.shares is not None
    np.testing.assert_allclose(found.shares, [plane.sum() for plane in want], **CLOSE)
    sizes = [abs(adds) for _, adds in found.ranking()]
    assert sizes == sorted(sizes, reverse=True) and len(found.ranking(2)) == 2
    np.testing.assert_allclose(found.plane, want.sum(axis=0), **CLOSE)


def test_contribution_of_a_vector_is_the_score_less_its_bias(tmp_path: Path) -> None:
    found = ls.attribute(opened(tmp_path), image(), "fc:2", "contribution", at="pool2")
    loops = Loops(image())
    assert found.values.sum() == pytest.approx(loops.fc[2] - loops.weights["fc"][1][2], rel=1e-5)
    vector = ls.attribute(opened(tmp_path), image(), "prob:2", "contribution", at="fc")
    assert vector.values.shape == vector.map.shape == (5,)


# --- without a gradient ---


def test_occlusion(tmp_path: Path) -> None:
    net, patch, stride = opened(tmp_path), 3, 2
    value = float(net.run(image(), ["prob"])["prob"][0, 1])
    lost, counts = np.zeros((7, 6)), np.zeros((7, 6))
    for top in (0, 2, 4):
        for left in (0, 2, 3):  # the last one ends at the edge
            covered = image().copy()
            covered[:, top : top + patch, left : left + patch] = 0.25
            lost[top : top + patch, left : left + patch] += value - Loops(covered).prob[1]
            counts[top : top + patch, left : left + patch] += 1
    found = ls.attribute(
        net, image(), "prob:1", "occlusion", patch=patch, stride=stride, baseline=0.25
    )
    np.testing.assert_allclose(found.values, lost / counts, rtol=1e-4, atol=1e-6)
    assert found.settings["patch"] == 3 and "(9)" in found.notes[0]


def slow_mask(coarse: np.ndarray, places: tuple[int, int], shifts: list[int]) -> np.ndarray:
    """A grid enlarged linearly, place by place."""
    found = np.zeros(places)
    cells = [-(-size // (len(coarse) - 1)) for size in places]
    for place in np.ndindex(*places):
        total = weight = 0.0
        for cell in np.ndindex(*coarse.shape):
            share = 1.0
            for i, shift, size, corner in zip(place, shifts, cells, cell, strict=True):
                at = (i + shift + 0.5) / size - 0.5
                at = min(max(at, 0), len(coarse) - 1)
                share *= max(0.0, 1 - abs(at - corner))
            total, weight = total + share * coarse[cell], weight + share
        assert weight == pytest.approx(1)
        found[place] = total
    return found


def masks(seed: int, count: int, cells: int, keep: float) -> list[np.ndarray]:
    random, found = np.random.default_rng(seed), []
    for _ in range(count):
        coarse = (random.random((cells + 1, cells + 1)) < keep).astype(float)
        shifts = [int(random.integers(-(-size // cells))) for size in (7, 6)]
        found.append(slow_mask(coarse, (7, 6), shifts))
    return found


def test_soft_masks() -> None:
    random = np.random.default_rng(2)
    for want in masks(2, 5, 3, 0.4):
        np.testing.assert_allclose(soft_mask(random, (7, 6), 3, 0.4), want, atol=1e-12)
    many = [soft_mask(random, (40, 31), 7, 0.3) for _ in range(300)]
    assert np.mean(many) == pytest.approx(0.3, abs=0.01)
    assert min(m.min() for m in many) == 0 and max(m.max() for m in many) == 1


def test_rise(tmp_path: Path) -> None:
    want, kept = np.zeros((7, 6)), np.zeros((7, 6))
    for mask in masks(5, 9, 3, 0.4):
        want += Loops(mask * image()).prob[1] * mask
        kept += mask
    assert kept.min() > 0
    found = ls.attribute(
        opened(tmp_path), image(), "prob:1", "rise", samples=9, cells=3, keep=0.4, seed=5
    )
    np.testing.assert_allclose(found.values, want / kept, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["smoothgrad", "rise"])
def test_seeds(tmp_path: Path, name: str) -> None:
    net = opened(tmp_path)
    first, again, other = (
        ls.attribute(net, image(), "prob:1", name, samples=20, seed=seed).values
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
