"""Explanations held against slow loops and numbers by hand."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.measure.explain import Explainer, Unit
from onelayer import net_of

LRN = "lrn_param { local_size: 5 alpha: 0.3 beta: 0.75 k: 1.5 }"


def conv_loop(x, w, b, at, *, group, stride, pad, dilation):
    """The terms of one unit of a convolution: (channel, y, x) of the input -> product."""
    o, y, c = at
    per, first = w.shape[1], o // (w.shape[0] // group) * w.shape[1]
    terms, outside = {}, 0
    for i, ky, kx in product(range(per), range(w.shape[2]), range(w.shape[3])):
        row = y * stride[0] - pad[0] + ky * dilation[0]
        column = c * stride[1] - pad[1] + kx * dilation[1]
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            terms[first + i, row, column] = float(x[first + i, row, column]) * float(
                w[o, i, ky, kx]
            )
        else:
            outside += 1
    return terms, outside, sum(terms.values()) + float(b[o])


def test_convolution_with_groups_strides_pads_and_dilation(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    w, b = random.normal(size=(6, 2, 3, 2)), random.normal(size=6)
    layer = """layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {
        num_output: 6 group: 2 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 3 pad_w: 1
        dilation: 2 } }"""
    net = net_of(tmp_path, (2, 4, 9, 7), layer, {"c": [w, b]})
    x = random.normal(size=(2, 4, 9, 7)).astype(np.float32)
    blobs = net.run(x)
    explainer = Explainer(net, blobs)
    w32, b32 = w.astype(np.float32), b.astype(np.float32)
    padded = 0
    for image, o, y, c in product(range(2), range(6), range(blobs["c"].shape[2]), (0, 3)):
        want, outside, value = conv_loop(
            x[image], w32, b32, (o, y, c), group=2, stride=(2, 1), pad=(3, 1), dilation=(2, 2)
        )
        (step,) = explainer.explain(Unit("c", (image, o, y, c))).steps
        assert step.result == pytest.approx(value, abs=1e-12)
        assert step.outside == outside and step.counts["x"] == len(want)
        told = {tuple(each["index"][1:]): each["part"] for each in step.as_json()["operands"]}
        assert told == pytest.approx(want)
        assert all(operand.index[0] == image for operand in step.operands)
        best = max(want, key=lambda key: abs(want[key]))
        assert step.operands[0].index[1:] == best and step.operands[0].source == "x"
        shares = [abs(operand.part) for operand in step.operands]
        assert shares == sorted(shares, reverse=True)
        padded += outside > 0
    assert padded > 10


def test_the_planes_of_a_convolution(tmp_path: Path) -> None:
    """A 2x2 kernel over two channels, by hand; the channel with the larger sum comes first."""
    w = np.array([[[[1, 2], [3, 4]], [[0, -1], [0, 10]]]])
    layer = """layer { name: "c" type: "Convolution" bottom: "x" top: "c"
        convolution_param { num_output: 1 kernel_size: 2 pad: 1 } }"""
    net = net_of(tmp_path, (1, 2, 2, 3), layer, {"c": [w, np.array([0.5])]})
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    (step,) = Explainer(net, net.run(x)).explain("c:0,0,1").steps
    window = step.window
    assert window is not None
    assert window.rows.tolist() == [-1, 0] and window.columns.tolist() == [0, 1]
    assert window.inside.tolist() == [[[False, False], [True, True]]] * 2
    assert window.values.tolist() == [[[0, 0], [0, 1]], [[0, 0], [6, 7]]]
    assert window.parts.tolist() == [[[0, 0], [0, 4]], [[0, 0], [0, 70]]]
    assert window.order.tolist() == [1, 0] and window.sums.tolist() == [4, 70]
    assert step.formula == "sum of 4 products + bias = 74 + 0.5" and step.result == 74.5


def test_deconvolution_reads_what_was_spread_here(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    w, b = random.normal(size=(4, 3, 3, 3)), random.normal(size=6)
    layer = """layer { name: "d" type: "Deconvolution" bottom: "x" top: "d" convolution_param {
        num_output: 6 group: 2 kernel_size: 3 stride: 2 pad: 1 } }"""
    net = net_of(tmp_path, (1, 4, 3, 5), layer, {"d": [w, b]})
    x = random.normal(size=(1, 4, 3, 5)).astype(np.float32)
    blobs = net.run(x)
    spread = np.zeros((6, 7, 11))  # the output with its padding
    counts = np.zeros((6, 7, 11), int)
    for c, y, k in product(range(4), range(3), range(5)):
        for o, ky, kx in product(range(3), range(3), range(3)):
            place = (c // 2 * 3 + o, 2 * y + ky, 2 * k + kx)
            spread[place] += float(x[0, c, y, k]) * float(np.float32(w[c, o, ky, kx]))
            counts[place] += 1
    explainer = Explainer(net, blobs)
    assert blobs["d"].shape == (1, 6, 5, 9)
    for o, y, k in product(range(6), range(5), range(9)):
        found = explainer.explain(Unit("d", (0, o, y, k)))
        want = spread[o, y + 1, k + 1] + float(np.float32(b[o]))
        assert found.recomputed == pytest.approx(want, abs=1e-12)
        assert found.steps[0].counts["x"] == counts[o, y + 1, k + 1]


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_pooling_rounds_up_and_pads(tmp_path: Path, pool: str) -> None:
    """Caffe's windows: rounded up, padding counts for a mean, what is behind it does not."""
    layer = f"""layer {{ name: "p" type: "Pooling" bottom: "x" top: "p"
        pooling_param {{ pool: {pool} kernel_size: 3 stride: 2 pad: 1 }} }}"""
    net = net_of(tmp_path, (1, 2, 6, 5), layer)
    x = np.random.default_rng(5).normal(size=(1, 2, 6, 5)).astype(np.float32)
    blobs = net.run(x)
    explainer = Explainer(net, blobs)
    for c, oy, ox in product(*map(range, blobs["p"].shape[1:])):
        y0, x0 = 2 * oy - 1, 2 * ox - 1
        area = (min(y0 + 3, 6 + 1) - y0) * (min(x0 + 3, 5 + 1) - x0)
        cells = {
            (y, k): float(x[0, c, y, k])
            for y in range(max(y0, 0), min(y0 + 3, 6))
            for k in range(max(x0, 0), min(x0 + 3, 5))
        }
        found = explainer.explain(Unit("p", (0, c, oy, ox)))
        if pool == "MAX":
            winner = max(cells, key=cells.__getitem__)
            assert found.recomputed == cells[winner]
            assert found.strongest == f"x:{c},{winner[0]},{winner[1]}"
            assert found.steps[0].counts["x"] == len(cells)
        else:
            assert found.recomputed == pytest.approx(sum(cells.values()) / area, abs=1e-7)


def test_a_mean_states_its_divisor(tmp_path: Path) -> None:
    layer = """layer { name: "p" type: "Pooling" bottom: "x" top: "p"
        pooling_param { pool: AVE kernel_size: 2 stride: 2 pad: 1 } }"""
    net = net_of(tmp_path, (1, 1, 4, 4), layer)
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    explainer = Explainer(net, net.run(x))
    corner, middle = (explainer.explain(f"p:0,{i},{i}").steps[0] for i in (0, 1))
    assert corner.formula == "sum / cells = 0 / 4 (padding counted: 3 of them)"
    assert middle.formula == "sum / cells = 30 / 4" and middle.result == 7.5


def test_lrn_across_channels(tmp_path: Path) -> None:
    net = net_of(
        tmp_path, (1, 7, 2, 3), f'layer {{ name: "n" type: "LRN" bottom: "x" top: "n" lrn_param {{ {LRN[12:-1]} }} }}'
    )  # fmt: skip
    x = np.random.default_rng(6).normal(size=(1, 7, 2, 3)).astype(np.float32)
    blobs = net.run(x)
    for c in range(7):
        squares = [float(x[0, i, 1, 2]) ** 2 for i in range(max(0, c - 2), min(7, c + 3))]
        found = Explainer(net, blobs).explain(f"n:{c},1,2")
        want = float(x[0, c, 1, 2]) / (1.5 + 0.3 / 5 * sum(squares)) ** 0.75
        assert found.recomputed == pytest.approx(want, rel=1e-6)
        assert found.steps[0].counts == {"x": 1, "channel": len(squares)}
        assert found.strongest == f"x:{c},1,2"


def test_in_place_layers_are_one_chain(small: tuple[Path, Path]) -> None:
    """conv1 = ReLU of the convolution: both steps, and the sum of the whole recomputed."""
    net = ls.open(*small)
    x = np.random.default_rng(7).normal(size=(2, 3, 9, 7)).astype(np.float32)
    blobs = net.run(x)
    found = Explainer(net, blobs).explain("conv1:2,4,3", image=1)
    assert [step.op for step in found.steps] == ["Relu", "Conv"]
    assert [layer.name for layer in found.layers] == ["conv1", "relu1"]
    w, b = (np.float64(p.data) for p in net.params["conv1"])
    before = (np.float64(x[1, :, 4:7, 3:6]) * w[2]).sum() + b[2]
    assert found.steps[1].result == pytest.approx(before, abs=1e-12)
    assert found.recomputed == pytest.approx(max(0.0, before), abs=1e-12)
    assert found.steps[1].engine == float(blobs["conv1@conv1"][1, 2, 4, 3])


def test_inner_products_name_the_blob_behind_the_flattening(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    x = np.random.default_rng(8).normal(size=(1, 3, 9, 7)).astype(np.float32)
    blobs = net.run(x)
    (step,) = Explainer(net, blobs).explain("fc2:3").steps
    w = np.float64(net.params["fc2"][0].data)[3]
    shares = np.float64(blobs["conv1"][0]).reshape(-1) * w
    place = int(np.abs(shares).argmax())
    assert step.operands[0].source == "conv1"
    assert step.operands[0].index == (0, *np.unravel_index(place, (4, 7, 5)))
    assert step.operands[0].part == pytest.approx(shares[place])
    assert step.operands[0].weight_index == (3, place)


def test_softmax_names_its_rivals(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    blobs = net.run(np.random.default_rng(9).normal(size=(1, 3, 9, 7)).astype(np.float32))
    logits = np.float64(blobs["fc2"][0])
    found = Explainer(net, blobs).explain("prob:top1")
    best = int(logits.argmax())
    assert str(found.unit) == f"prob:{best}" and found.strongest == f"fc2:{best}"
    assert found.steps[0].numbers["sum"] == pytest.approx(np.exp(logits - logits.max()).sum())
    rivals = [operand.index[1] for operand in found.steps[0].operands_of("rival")]
    assert rivals == np.argsort(-logits).tolist()


def test_following_ends_at_the_pixels(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    picture = np.random.default_rng(1).integers(0, 255, (9, 7, 3), np.uint8)
    chain = Explainer(net, net.run(picture)).follow("prob:top1", 50)
    assert [each.unit.blob for each in chain] == ["prob", "fc2", "conv1", "data"]
    last = chain[-1]
    _, channel, y, x = last.unit.index
    assert last.strongest is None and last.steps == ()
    assert last.pixel == tuple(picture[y, x].tolist())
    assert last.value == picture[y, x, 2 - channel] - np.float32((104, 117, 123)[channel])


def test_numbers_that_are_not_finite(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    x = np.zeros((1, 3, 9, 7), np.float32)
    x[0, 0, 0, 0], x[0, 1, 8, 6] = np.nan, np.inf
    blobs = net.run(x)
    explainer = Explainer(net, blobs)
    for unit in ("conv1@conv1:0,0,0", "conv1@conv1:1,6,4", "fc2:1", "prob:0"):
        found = explainer.explain(unit)
        assert not np.isfinite(found.value) and found.recomputed is not None
        assert not np.isfinite(found.recomputed)
        assert "nan" in str(ls.explain(net, blobs, unit)).lower() or "inf" in str(found.value)


def test_a_larger_batch_than_that_of_the_file(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    x = np.random.default_rng(2).normal(size=(5, 3, 9, 7)).astype(np.float32)
    blobs = net.run(x)
    found = ls.explain(net, blobs, "fc2:4", image=4)
    assert found.value == float(blobs["fc2"][4, 4])
    assert found.recomputed == pytest.approx(found.value, abs=1e-5)
    assert "fc2:4 (image 4)" in str(found)


def test_a_net_whose_labels_are_not_fed(tmp_path: Path) -> None:
    """One image where the file states two, and a loss that would want two labels."""
    text = """layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc"
        inner_product_param { num_output: 2 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
        layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "label" top: "acc" }"""
    weights = np.float32([[1, 2, 3], [4, 5, 6]])
    arrays = {"fc": [weights, np.float32([0.5, 0.25])]}
    net = net_of(tmp_path, (2, 3, 1, 1), text, arrays, more={"label": (2,)})
    one = np.float32([1, -2, 1]).reshape(1, 3, 1, 1)
    found = Explainer(net, net.run(one)).explain("fc:1")
    assert found.recomputed == found.value == 4 - 10 + 6 + 0.25
    both = net.run({"x": np.repeat(one, 2, 0), "label": np.float32([0, 0])})
    assert Explainer(net, both).explain("loss").value == pytest.approx(np.log(1 + np.exp(-0.25)))


def test_counts_are_written_out(tmp_path: Path) -> None:
    """100,352 numbers are not 1.0035e+05."""
    text = """layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc"
        inner_product_param { num_output: 1 bias_term: false } }
        layer { name: "r" type: "Reduction" bottom: "x" top: "r" }"""
    weights = np.full((1, 2 * 224 * 224), 0.5, np.float32)
    net = net_of(tmp_path, (1, 2, 224, 224), text, {"fc": [weights]})
    blobs = net.run(np.ones((1, 2, 224, 224), np.float32))
    explainer = Explainer(net, blobs)
    assert explainer.explain("fc:0").steps[0].formula == "sum of 100,352 products"
    assert "sum of 100,352 numbers" in str(ls.explain(net, blobs, "r"))
    assert net.layer("fc").summary == "1 output from 100,352 inputs"


def test_what_a_run_did_not_keep(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    blobs = net.run(np.zeros((1, 3, 9, 7), np.float32), ["prob"])
    with pytest.raises(ls.errors.UsageError, match=r'made from blob "fc2".*run the net with all'):
        Explainer(net, blobs).explain("prob:1")


def test_blobs_of_another_net(small: tuple[Path, Path], tmp_path: Path) -> None:
    net = ls.open(*small)
    foreign = ls.Blobs({"other": np.zeros((1, 2), np.float32)})
    with pytest.raises(ls.errors.UsageError, match='"other" of this run is not in net "small"'):
        Explainer(net, foreign)
