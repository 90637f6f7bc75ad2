"""Whole ascents: known optima, seeds, neighbours, slopes, what is dead, and what goes wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls
from dreams.nets import conv, layer, matched, rectified, smooth
from layerscope.demo import DEFINITION, WEIGHTS
from layerscope.dreams import ascent
from layerscope.dreams.ascent import Climber
from layerscope.dreams.image import Canvas
from layerscope.dreams.objective import Objective, batch_of
from layerscope.dreams.target import parse_target
from layerscope.dreams.transforms import Warps
from layerscope.errors import ReadError, UnknownNameError, UnsupportedError, UsageError
from layerscope.inputs import Preprocessing
from onelayer import net_of


@pytest.fixture(scope="module")
def demo() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.mark.parametrize("unit", ["tanh1:2", "conv1:1", "fc2:3", "pool1:4,1,2"])
@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_the_gradient_of_everything_is_the_slope(tmp_path: Path, unit: str, order: str) -> None:
    """Spectrum, colours, movement, preprocessing and net, against moved spectra."""
    net = replace(
        smooth(tmp_path), preprocessing=Preprocessing(order, (100.0, 110.0, 140.0), 0.5, (1, 2, 3))
    )
    random = np.random.default_rng(7)
    objective = Objective(net, [parse_target(unit, net, "x")])
    canvas, warps = Canvas(objective.size, 3), Warps(objective.size, random)
    warp = warps.draw(random)
    spectrum = random.normal(size=(1, *canvas.shape))

    def seen(each: np.ndarray) -> np.ndarray:
        return (warps.apply(warp, canvas.drawn(each) - 0.5) + 0.5).astype(np.float32)

    _, _, gradient = objective.value_and_gradient(seen(spectrum))
    moved = warps.back(warp, gradient.astype(np.float64))
    slope = canvas.back(canvas.drawn(spectrum), moved)
    steepest = slope * np.sqrt(slope.size / np.vdot(slope, slope))
    for way in (steepest, random.normal(size=spectrum.shape), steepest[..., ::-1]):
        step = 1e-2
        up, _, _ = objective.value_and_gradient(seen(spectrum + step * way))
        down, _, _ = objective.value_and_gradient(seen(spectrum - step * way))
        want = (up[0] - down[0]) / (2 * step)
        scale = np.linalg.norm(slope) * np.linalg.norm(way)
        assert abs((slope * way).sum() - want) < 2e-3 * scale


def blocks(*dims: int) -> np.ndarray:
    """Filters of +1 and -1 in squares of four pixels, the first channel unlike the last.

    The middle one goes with the first above, with the last below: what is against both hardly
    occurs in natural images, and takes far longer.
    """
    size = (*dims[:2], -(-dims[2] // 4), -(-dims[3] // 4))
    coarse = np.random.default_rng(21).choice([-1.0, 1.0], size=size)
    if dims[1] == 3:
        half = size[2] // 2
        coarse[:, 1] = np.concatenate([coarse[:, 0, :half], coarse[:, 2, half:]], axis=1)
    return coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, : dims[2], : dims[3]]


@pytest.mark.parametrize(("channels", "order"), [(3, "BGR"), (3, "RGB"), (1, "gray")])
def test_the_optimum_of_a_product_is_its_filter(tmp_path: Path, channels: int, order: str) -> None:
    filters = blocks(2, channels, 16, 20)
    net = replace(matched(tmp_path, filters), preprocessing=Preprocessing(order))
    for number, least in ((0, False), (1, True)):
        found = ls.dream(net, f"match:{number}", steps=500, transforms=False, negative=least)
        kernel = filters[number][::-1] if order == "BGR" else filters[number]
        planes = found.picture.transpose(2, 0, 1)[:channels].astype(float)
        near = np.corrcoef(planes.ravel(), kernel.ravel())[0, 1]
        assert (near < -0.9) if least else (near > 0.9), near
        best = (
            255 * (filters[number] > 0).sum() if not least else -255 * (filters[number] < 0).sum()
        )
        assert found.value / best > 0.9


def test_the_value_is_what_a_run_of_the_picture_gives(demo: ls.Net) -> None:
    found = ls.dream(demo, ["conv2:3", "conv2:9,5,7"], steps=2)
    for each, place in zip(found, [(0, 3), (0, 9, 5, 7)], strict=True):
        blob = demo.run(each.picture, ["conv2"])["conv2"]
        assert each.value == pytest.approx(float(blob[place].mean()), rel=1e-4, abs=1e-5)
        assert each.picture.shape == (227, 227, 3) and len(each.history) == 2


def test_a_dream_is_far_above_random_images(demo: ls.Net) -> None:
    found = ls.dream(demo, "conv2:7", steps=24)
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (12, 227, 227, 3), np.uint8)
    patches = np.kron(noise[:, :29, :29], np.ones((1, 8, 8, 1), np.uint8))[:, :227, :227]
    others = [demo.run(each, ["conv2"])["conv2"][0, 7].mean() for each in (*noise, *patches)]
    assert found.value > 3 * max(others) and found.value > 10 * found.before


def test_same_seed_same_bytes_and_other_seeds_others(tmp_path: Path) -> None:
    net = rectified(tmp_path)
    first, again = (ls.dream(net, "conv1:0", steps=12, seed=3) for _ in range(2))
    assert first.picture.tobytes() == again.picture.tobytes()
    assert first.history == again.history
    assert ls.dream(net, "conv1:0", steps=12, seed=4).picture.tobytes() != first.picture.tobytes()


@pytest.mark.parametrize("blob", ["conv3", "fc8"])
def test_a_picture_does_not_depend_on_its_neighbours(demo: ls.Net, blob: str) -> None:
    several = ls.dream(demo, [f"{blob}:{c}" for c in (4, 9, 2, 11, 7)], steps=3)
    assert batch_of(demo) >= 5  # they ran together
    for channel, place in ((9, 1), (7, 4)):
        alone = ls.dream(demo, f"{blob}:{channel}", steps=3)
        assert alone.picture.tobytes() == several[place].picture.tobytes()
        assert alone.value == several[place].value


def test_a_dead_unit_is_told(tmp_path: Path) -> None:
    found = ls.dream(rectified(tmp_path), ["conv1:1", "conv1:2"], steps=4)
    assert [each.dead for each in found] == [False, True] and found.dead == ["conv1:2"]
    assert "DEAD: no image was found that moves it" in found[1].statement
    assert "1 unit marked DEAD" in found.statement and found[1].value == 0


def test_a_unit_that_sleeps_at_first_is_woken(tmp_path: Path) -> None:
    """Gray gives -50; behind the rectifier that is 0 with no gradient, in front of it is a way."""
    net = rectified(tmp_path, (0.0, -50.0, 0.0, 0.0))
    found = ls.dream(net, "conv1:1", steps=60)
    assert found.before == 0 and found.value > 1 and not found.dead


def test_least_is_climbed_in_front_of_the_rectifier(tmp_path: Path) -> None:
    found = ls.dream(rectified(tmp_path, (99.0, 0, 0, 0)), "conv1:0,4,5", steps=30, negative=True)
    assert found.note == "by conv1@conv1, in front of the rectifier"
    assert found.value < -10 < 50 < found.before
    assert found.asked == (pytest.approx(found.before), 0) and "least" in found.caption


def test_a_probability_is_climbed_by_its_score(tmp_path: Path) -> None:
    net = smooth(tmp_path)
    found = ls.dream(net, "prob:2", steps=20)
    kept = ls.dream(net, "prob:2", steps=20, probability=True)
    score = ls.dream(net, "fc2:2", steps=20)
    assert found.note == "by fc2, the score in front of the softmax" and not kept.note
    assert (found.picture == score.picture).all() and (found.picture != kept.picture).any()
    blob = net.run(found.picture, ["fc2", "prob"])
    assert found.value == pytest.approx(float(blob["fc2"][0, 2]), rel=1e-4)
    assert found.asked[1] == pytest.approx(float(blob["prob"][0, 2]), rel=1e-4)
    assert kept.value == kept.asked[1] > kept.asked[0]


def test_another_size(tmp_path: Path) -> None:
    found = ls.dream(rectified(tmp_path), "conv1:0", steps=2, size=21)
    assert found.picture.shape == (21, 21, 3)


def test_a_size_that_the_net_does_not_take(demo: ls.Net) -> None:
    with pytest.raises(ReadError, match="fc6"):
        ls.dream(demo, "conv1:0", steps=1, size=99)


@pytest.mark.parametrize(
    ("unit", "kind", "words"),
    [
        ("conv9:1", UnknownNameError, "nearest: conv1"),
        ("conv1", UsageError, r"which channel\? blob \"conv1\" has 5 channels; write conv1:0"),
        ("conv1:5", UsageError, r"channel 5; \"conv1\" has 5 channels, 0 to 4"),
        ("conv1:1,99,0", UsageError, r"row 99; \"conv1\" has 12 rows, 0 to 11"),
        ("conv1:1,2", UsageError, "write conv1:channel, or conv1:channel,y,x"),
        ("conv1:top1", UsageError, "with whole numbers"),
        ("x:1", UsageError, "is the image itself"),
    ],
)
def test_units_that_cannot_be(tmp_path: Path, unit: str, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        ls.dream(smooth(tmp_path), unit, steps=1)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"seed": -1}, {"rate": 0.0}, {"rate": float("nan")}, {"size": 0}]
)
def test_settings_out_of_range(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="is not possible; possible: "):
        ls.dream(smooth(tmp_path), "conv1:0", **wrong)


def test_no_unit_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no unit is given"):
        ls.dream(smooth(tmp_path), [])


def test_inputs_that_are_no_image(tmp_path: Path) -> None:
    two = net_of(
        tmp_path, (1, 3, 4, 4), layer("sum", "Eltwise", "x", "y", 'bottom: "z"'),
        more={"z": (1, 3, 4, 4)},
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"one image; net .* needs 2 inputs \(x, z\)"):
        ls.dream(two, "y:0")
    many = net_of(tmp_path, (1, 4, 5, 5), layer("relu", "ReLU", "x", "y"))
    with pytest.raises(UsageError, match="takes 1x4x5x5, which is no image"):
        ls.dream(many, "y:0")


def test_what_does_not_depend_on_the_image(tmp_path: Path) -> None:
    text = layer("relu", "ReLU", "x", "y") + layer(
        "fixed", "DummyData", "y", "fixed", "dummy_data_param { shape { dim: 1 dim: 2 } }"
    ).replace('bottom: "y" ', "")
    with pytest.raises(UsageError, match="does not depend on the image"):
        ls.dream(net_of(tmp_path, (1, 3, 5, 5), text), "fixed:1")


def test_indices_have_no_slope(tmp_path: Path) -> None:
    text = layer("best", "ArgMax", "x", "best", "argmax_param { axis: 1 }")
    with pytest.raises((UsageError, UnsupportedError), match=r"zero everywhere|whole numbers"):
        ls.dream(net_of(tmp_path, (1, 3, 5, 5), text), "best:0")


def test_what_is_not_a_number_names_the_layer(tmp_path: Path) -> None:
    text = conv("conv1", "x", "num_output: 2 kernel_size: 3") + layer(
        "log1", "Log", "conv1", "log1"
    )
    kernels = np.full((2, 3, 3, 3), -1.0)
    net = net_of(tmp_path, (1, 3, 5, 5), text, {"conv1": [kernels, np.full(2, -1e4)]})
    with pytest.raises(UnsupportedError, match='layer "log1" gives what is not a finite number'):
        ls.dream(net, "log1:0", steps=2)


def test_missing_weights_are_told(caffenet: ls.Net) -> None:
    with pytest.raises(UsageError, match="have no weights"):
        ls.dream(caffenet, "conv1:0")


@pytest.mark.parametrize("power", [-80, 90])
def test_gradients_of_any_size_go_as_far(tmp_path: Path, power: int) -> None:
    """Their squares are 0 or infinite in float32; times a power of two nothing else changes."""
    filters = blocks(1, 3, 16, 20)
    plain = ls.dream(matched(tmp_path / "a", filters), "match:0", steps=9)
    other = ls.dream(matched(tmp_path / "b", filters * 2.0**power), "match:0", steps=9)
    assert other.value == plain.value * 2.0**power > plain.before * 2.0**power
    assert (other.picture == plain.picture).all()


def test_a_step_is_that_of_adam() -> None:
    """Three steps against the paper's formulas, in float64; longer than one part."""
    random = np.random.default_rng(5)
    canvas = Canvas((120, 100), 3)
    climber = Climber(canvas, canvas.start(random, 0.01), 0.05)
    spectrum = climber._spectrum.astype(np.float64)
    assert spectrum.size > 2 * ascent._PART
    mean = power = np.zeros_like(spectrum)
    for step in (1, 2, 3):
        gradient = random.normal(size=(1, 3, 120, 100))
        slope = canvas.back(canvas.drawn(spectrum), gradient)
        slope = slope / np.sqrt(np.mean(slope**2))
        mean, power = 0.9 * mean + 0.1 * slope, 0.999 * power + 0.001 * slope**2
        lifted = power / (1 - 0.999**step)
        spectrum = spectrum + 0.05 * mean / (1 - 0.9**step) / (np.sqrt(lifted) + 1e-8)
        climber.climb(gradient.astype(np.float32))
        known = lifted > 1e-8  # where the slope is 0, rounding decides which way it goes
        assert known.mean() > 0.95
        np.testing.assert_allclose(climber._spectrum[known], spectrum[known], atol=1e-4)
        np.testing.assert_allclose(climber.image, canvas.drawn(spectrum), atol=1e-4)


def test_a_size_that_leaves_nothing_is_named(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"], name="conv")], "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 2, 6, 6])],
        [numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "small.onnx")
    net = ls.open(tmp_path / "small.onnx")
    assert ls.dream(net, "c:0", steps=1, size=3).picture.shape == (3, 3, 3)
    with pytest.raises(ReadError, match='size 2 is too small: layer "conv" has 1x2x0x0'):
        ls.dream(net, "c:0", steps=1, size=2)
