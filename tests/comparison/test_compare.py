"""Whole nets against each other: a planted change is found where it was planted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from conftest import GOLDEN
from layerscope.comparison.alignment import Pair
from layerscope.comparison.result import Row
from layerscope.comparison.runs import Runs
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.readers.caffe.write import write_caffemodel

WITH_PARAMS = [p for p in GOLDEN if any(k.startswith("param/") for k in np.load(p / "golden.npz"))]
MINI = next(p for p in GOLDEN if p.name == "net_mini_caffenet")


def opened(folder: Path) -> tuple[ls.Net, dict[str, np.ndarray]]:
    with np.load(folder / "golden.npz") as golden:
        feeds = {key[3:]: golden[key] for key in golden.files if key.startswith("in/")}
    weights = folder / "net.caffemodel"
    return ls.open(folder / "net.prototxt", weights if weights.exists() else None), feeds


def rewritten(net: ls.Net, definition: Path, folder: Path, change) -> ls.Net:
    """The net with params that `change(layer, number, array)` gave."""
    rows = [
        (each.name, each.type, [change(each.name, i, p.data.copy()) for i, p in enumerate(each.params)])
        for each in net.layers
        if each.params
    ]  # fmt: skip
    path = folder / "changed.caffemodel"
    write_caffemodel(path, net.name, rows)
    return ls.open(definition, path)


def first_unequal(a: ls.Net, b: ls.Net, feeds: dict[str, np.ndarray]) -> str | None:
    """The slow way: keep every blob of both, and look."""
    one, other = a.run(feeds), b.run(feeds)
    assert list(one) == list(other)
    return next((n for n in one if not np.array_equal(one[n], other[n], equal_nan=True)), None)


@pytest.mark.parametrize("folder", WITH_PARAMS, ids=lambda p: p.name)
def test_one_changed_weight_is_found_at_its_layer(folder: Path, tmp_path: Path) -> None:
    net, feeds = opened(folder)
    found = 0
    sharing = [e.name for e in net.layers if e.params and e.params[0].shared_with]
    own = [e for e in net.layers if e.params and not e.params[0].shared_with]
    for layer in [each.name for each in own]:

        def plant(name: str, number: int, array: np.ndarray, layer: str = layer) -> np.ndarray:
            if name in (layer, *sharing) and number == 0:
                array.flat[array.size // 2] += 0.75
            return array

        other = rewritten(net, folder / "net.prototxt", tmp_path, plant)
        compared = ls.compare(net, other, feeds, threshold=0)
        wanted = first_unequal(net, other, feeds)
        assert (compared.first.a if compared.first else None) == wanted
        if compared.first is not None:
            assert compared.first.layer_a == layer
            found += 1
        weights = ls.compare(net, other, weights=True, threshold=0)
        assert weights.first is not None and weights.first.layer_a == layer
        assert sum(row.beyond for row in weights.rows) == 1
        assert weights.first.worst.absolute == pytest.approx(0.75, rel=1e-5)
    # That net computes its statistics from what it is fed, and never reads its params.
    assert bool(found) == (folder.name != "batchnorm_local")


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda p: p.name)
def test_a_net_is_equal_to_itself(folder: Path) -> None:
    net, feeds = opened(folder)
    found = ls.compare(net, ls.open(*_files(folder)), feeds, threshold=0)
    assert found.first is None and len(found.rows) == len(net.blobs)
    assert all(row.worst.equal for row in found.rows) and not found.only_a + found.only_b


def _files(folder: Path) -> list[Path]:
    return [p for p in (folder / "net.prototxt", folder / "net.caffemodel") if p.exists()]


def test_a_changed_setting_that_keeps_shapes(tmp_path: Path) -> None:
    words = (MINI / "net.prototxt").read_text()
    net, feeds = opened(MINI)
    for old, new, layer in (
        ("alpha: 0.0001", "alpha: 0.01", "norm1"),
        ("pool: MAX", "pool: AVE", "pool1"),
    ):
        assert old in words
        path = tmp_path / "changed.prototxt"
        path.write_text(words.replace(old, new, 1))
        found = ls.compare(net, ls.open(path, MINI / "net.caffemodel"), feeds)
        assert found.first is not None and found.first.layer_a == layer


def _conv(folder: Path, settings: str, mean: str = "") -> ls.Net:
    """conv1 -> relu -> conv2 over a 9x9 image; weights from a fixed seed."""
    shaped = "input_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } }"
    path = folder / f"{abs(hash(settings + mean))}.prototxt"
    path.write_text(f"""
    layer {{ name: "data" type: "Input" top: "data" {shaped} {mean} }}
    layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {{
      num_output: 4 kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} }} }}
    layer {{ name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }}
    layer {{ name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2" convolution_param {{
      num_output: 4 {settings} weight_filler {{ type: "xavier" }} }} }}
    """)
    return ls.open(path).filled()


def test_another_dilation_with_the_same_shapes(tmp_path: Path) -> None:
    a = _conv(tmp_path, "kernel_size: 3 pad: 1")
    b = _conv(tmp_path, "kernel_size: 3 pad: 2 dilation: 2")
    picture = np.random.default_rng(1).integers(0, 255, (9, 9, 3), np.uint8)
    found = ls.compare(a, b, picture)
    assert found.first is not None and found.first.a == "conv2" and len(found.rows) == 4


def test_another_mean_is_found_at_the_input(tmp_path: Path) -> None:
    a, b, silent = (
        _conv(tmp_path, "kernel_size: 1", f"transform_param {{ {mean} }}" if mean else "")
        for mean in ("mean_value: 104 mean_value: 117 mean_value: 123", "mean_value: 110", "")
    )
    picture = np.random.default_rng(1).integers(0, 255, (9, 9, 3), np.uint8)
    found = ls.compare(a, b, picture)
    assert found.first is not None and found.first.a == "data" and found.feed == "own"
    assert found.first.worst.absolute == 13  # 123 against 110
    assert "different ways: A BGR 0-255, minus the mean (104, 117, 123)" in found.notes[0]
    same = ls.compare(a, b, picture, feed="same")
    assert same.first is None and same.rows[0].worst.equal and "array of A" in same.notes[0]
    assert same.inputs[0].fed_b == "data: the array that A was fed"
    # A net that does not say its way is fed the other's array, on either side.
    loud = replace(silent, preprocessing=replace(silent.preprocessing, channels="RGB"))
    for one, other, leader in ((b, loud, "A"), (loud, b, "B")):
        guessed = ls.compare(one, other, picture)
        assert guessed.feed == "same" and guessed.first is None
        assert f"both are fed the array of {leader}" in guessed.notes[0]
    assert ls.compare(b, loud, picture, feed="own").first.a == "data"
    assert not any("prepare" in note for note in ls.compare(a, a, picture).notes)


def test_sign_flips_and_nan(tmp_path: Path) -> None:
    net, feeds = opened(MINI)

    def negative(name: str, number: int, array: np.ndarray) -> np.ndarray:
        return -array if name == "conv1" else array

    def broken(name: str, number: int, array: np.ndarray) -> np.ndarray:
        if name == "conv3" and number == 1:
            array[2] = np.nan
        return array

    found = ls.compare(net, rewritten(net, MINI / "net.prototxt", tmp_path, negative), feeds)
    first = found.first
    assert first is not None and first.a == "conv1@conv1"
    assert first.worst.flips == 1 and first.worst.cosine == pytest.approx(-1)
    found = ls.compare(net, rewritten(net, MINI / "net.prototxt", tmp_path, broken), feeds)
    first = found.first
    assert first is not None and first.a == "conv3@conv3"
    plane = int(np.prod(first.shape_a)) // first.shape_a[1]
    assert (first.worst.nan_a, first.worst.nan_b, first.worst.apart) == (0, plane, plane)
    assert first.worst.absolute == 0  # everything else is equal
    assert f"NaN: 0 in A, {plane} in B" in str(found)


def test_renamed_inserted_and_missing_layers(tmp_path: Path) -> None:
    words = (MINI / "net.prototxt").read_text()
    net, feeds = opened(MINI)
    for number in range(1, 6):
        words = words.replace(f'"conv{number}"', f'"block{number}/conv"')
    path = tmp_path / "renamed.prototxt"
    path.write_text(words)
    weights = tmp_path / "renamed.caffemodel"
    write_caffemodel(weights, "r", [
        (layer.name.replace("conv", "block") + "/conv" if layer.name.startswith("conv") else layer.name,
         layer.type, [p.data for p in layer.params]) for layer in net.layers if layer.params
    ])  # fmt: skip
    found = ls.compare(net, ls.open(path, weights), feeds, threshold=0)
    assert found.first is None and len(found.rows) == len(net.blobs)
    assert {row.a: row.b for row in found.rows}["conv3"] == "block3/conv"
    path.write_text(
        (MINI / "net.prototxt").read_text()
        + 'layer { name: "more" type: "Power" bottom: "prob" top: "more" power_param { scale: 2 } }'
    )
    longer = ls.open(path, MINI / "net.caffemodel")
    found = ls.compare(net, longer, feeds)
    assert found.only_b == ("more",) and found.only_a == () and found.first is None
    assert "24 blobs aligned of 24 in A and 25 in B (24 by name); only in B: more" in str(found)
    assert ls.compare(longer, net, feeds).only_a == ("more",)


def test_two_inputs_of_one_net_and_different_batches() -> None:
    net, feeds = opened(MINI)
    one = {"data": feeds["data"][:1]}
    assert len(feeds["data"]) > 1
    found = ls.compare(net, inputs=feeds, inputs_b={"data": feeds["data"][::-1].copy()})
    assert found.first is not None and found.first.a == "data" and found.feed == "own"
    with pytest.raises(ls.errors.UsageError, match="not the same"):
        ls.compare(net, inputs=one, inputs_b=one, feed="same")
    found = ls.compare(net, inputs=feeds, inputs_b=one)
    assert not found.rows and len(found.not_held) == len(net.blobs)
    assert "no blob could be held against another" in str(found)
    with pytest.raises(ls.errors.UsageError, match="2 inputs for A, 3 inputs for B"):
        ls.compare(net, inputs=[one] * 2, inputs_b=[one] * 3)


def test_a_net_of_another_batch_is_aligned(tmp_path: Path) -> None:
    net, feeds = opened(MINI)
    batch = feeds["data"].shape[0]
    other = net.reshaped(data=(batch + 3, *feeds["data"].shape[1:]))
    found = ls.compare(net, other, {"data": feeds["data"][:1]}, threshold=0)
    assert found.first is None and len(found.rows) == len(net.blobs)
    assert all(row.shape_a[0] == 1 for row in found.rows)


def _noisy(tmp_path: Path) -> tuple[ls.Net, ls.Net]:
    net = ls.open(DEFINITION, WEIGHTS)
    random = np.random.default_rng(7)

    def noise(name: str, number: int, array: np.ndarray) -> np.ndarray:
        if name != "conv2" or number:
            return array
        return array + (random.normal(size=array.shape) * 0.05 * array.std()).astype(np.float32)

    return net, rewritten(net, DEFINITION, tmp_path, noise)


def test_several_inputs_give_the_worst_and_the_mean(tmp_path: Path) -> None:
    a, b = _noisy(tmp_path)
    names = ["cat", "rocket", "coffee"]
    alone = [ls.compare(a, b, images()[name]) for name in names]
    found = ls.compare(a, b, [images()[name] for name in names])
    assert [entry.name for entry in found.inputs] == [images()[name].name for name in names]
    for i, row in enumerate(found.rows):
        singles = [each.rows[i].worst for each in alone]
        assert row.worst == singles[row.input]
        assert row.worst.relative == max(each.relative for each in singles)
        assert row.overall.mean == pytest.approx(np.mean([each.mean for each in singles]))
        assert row.overall.absolute == max(each.absolute for each in singles)
    assert "worst of 3 inputs" in str(found)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in names:
        Image.open(images()[name]).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("x")
    counted = ls.compare(a, b, folder)
    assert [each.name for each in counted.inputs] == ["cat.png", "coffee.png", "rocket.png"]
    assert "3 of 4 files are images or arrays" in counted.notes[0]


def test_groups_give_what_one_run_gives(tmp_path: Path) -> None:
    a, b = _noisy(tmp_path)
    whole = ls.compare(a, b, images()["cat"])
    parts = ls.compare(a, b, images()["cat"], most_bytes=400_000)
    assert [row.as_dict() for row in parts.rows] == [row.as_dict() for row in whole.rows]
    steps: list[tuple[int, int, str]] = []
    ls.compare(a, b, images()["cat"], most_bytes=1, progress=lambda *step: steps.append(step))
    assert steps[0] == (0, 24, "data") and steps[-1] == (24, 24, "") and len(steps) == 25


def test_groups_grow_with_the_batch() -> None:
    net = opened(MINI)[0]
    pairs = [Pair(i, i, "name") for i in range(len(net.blobs))]
    per_image = (
        sum(8 * int(np.prod(b.shape)) for b in net.blobs.values()) // net.graph.shapes["data"][0]
    )
    assert len(Runs(net, net, pairs, per_image).groups) == 1
    assert len(Runs(net, net, pairs, per_image - 1).groups) == 2
    sizes = [8 * int(np.prod(b.shape)) for b in net.blobs.values()]  # of both, all images
    batch = net.graph.shapes["data"][0]
    groups = Runs(net, net, pairs, per_image, batch=3).groups
    assert len(groups) > 1
    for group in groups:
        assert len(group) == 1 or sum(sizes[p.a] for p in group) * 3 / batch <= per_image
    assert sum(len(group) for group in Runs(net, net, pairs, 1).groups) == len(pairs)


def test_the_first_and_the_curve(tmp_path: Path) -> None:
    a, b = _noisy(tmp_path)
    found = ls.compare(a, b, images()["cat"])
    assert found.first is not None and found.first.layer_a == "conv2"
    text = str(found)
    assert "first that differs: conv2@conv2 (layer conv2, Convolution): relative 0." in text
    assert max(map(len, text.splitlines())) <= 100
    marked = [line for line in text.splitlines() if line.startswith(">")]
    assert len(marked) == 1 and marked[0].split()[1] == "conv2@conv2"
    # Noise of 5 % of the weights' deviation in one layer: 26 dB, less its mean that adds up.
    assert 24 < found.first.worst.snr < 36
    assert all(row.worst.snr == math.inf for row in found.rows[:5])
    assert all(15 < row.worst.snr < 40 for row in found.rows[5:])
    other = ls.compare(a, b, images()["cat"], by="snr", threshold=25)
    assert other.first is not None and other.first.worst.snr < 25
    earlier = other.rows[: other.rows.index(other.first)]
    assert all(row.worst.snr >= 25 for row in earlier)
    assert ls.compare(a, b, images()["cat"], threshold=0.5).first is None


def test_rows_are_plain_data(tmp_path: Path) -> None:
    a, b = _noisy(tmp_path)
    found = ls.compare(a, b, images()["cat"])
    rows = found.to_rows()
    fields = set(Row.__dataclass_fields__) - {"worst", "overall"}
    assert len(rows) == 24 and fields < set(rows[0])
    assert rows[5]["a"] == "conv2@conv2" and rows[5]["snr"] == found.rows[5].worst.snr
    assert rows[5]["equal"] is False and rows[0]["equal"] is True
    assert all(not isinstance(value, dict) for row in rows for value in row.values())
    content = json.loads(json.dumps(found.as_json()))
    assert content["first"] == "conv2@conv2" and content["differs"] is True
    assert content["aligned"] == 24 and len(content["rows"]) == 24
    html = found._repr_html_()
    assert html.count("<tr") == 25 and "conv2@conv2" in html


def test_channels_last_are_turned(tmp_path: Path) -> None:
    """A net that permutes its input first, and computes the same on the other layout."""
    shapes = ("dim: 1 dim: 3 dim: 5 dim: 7", "dim: 1 dim: 5 dim: 7 dim: 3")
    nets = []
    for i, shape in enumerate(shapes):
        path = tmp_path / f"{i}.prototxt"
        path.write_text(f"""
        layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {shape} }} }} }}
        layer {{ name: "double" type: "Power" bottom: "data" top: "double"
          power_param {{ scale: {2 + 0.01 * i} }} }}
        layer {{ name: "curve" type: "TanH" bottom: "double" top: "curve" }}""")
        nets.append(ls.open(path))
    array = np.random.default_rng(2).normal(size=(1, 3, 5, 7)).astype(np.float32)
    found = ls.compare(*nets, array)
    assert found.feed == "same" and not found.notes
    assert [row.turned for row in found.rows] == ["B (1, 5, 7, 3) transposed"] * 3
    assert found.rows[0].worst.equal
    assert found.rows[1].worst.relative == pytest.approx(0.01 / 2, rel=1e-4)
    assert found.rows[1].worst.snr == pytest.approx(20 * math.log10(200), abs=0.01)


def test_messages(tmp_path: Path) -> None:
    net, feeds = opened(MINI)
    relu = opened(next(p for p in GOLDEN if p.name == "relu"))[0]
    demo = ls.open(DEFINITION, WEIGHTS)
    with pytest.raises(
        ls.errors.UsageError, match=r"A takes data \(.*\), B takes data .*--input-s"
    ):
        ls.compare(demo, relu, images()["cat"])
    with pytest.raises(ls.errors.UsageError, match="needs an input"):
        ls.compare(net, net)
    with pytest.raises(ls.errors.UsageError, match="possible: relative, absolute, snr, cosine"):
        ls.compare(net, net, feeds, by="psnr")  # type: ignore[arg-type]
    with pytest.raises(ls.errors.UsageError, match="finite"):
        ls.compare(net, net, feeds, threshold=math.nan)
    with pytest.raises(ls.errors.UsageError, match="possible: own, same"):
        ls.compare(net, net, feeds, feed="both")  # type: ignore[arg-type]
    with pytest.raises(ls.errors.UnknownNameError, match="nearest: conv5"):
        ls.compare(net, net, feeds, match={"conv55": "conv5"})
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ls.errors.UsageError, match="0 files, none is an image"):
        ls.compare(demo, demo, empty)
    with pytest.raises(ls.errors.UsageError, match="no input"):
        ls.compare(demo, demo, [])
    with pytest.raises(ls.errors.UsageError, match="have no weights"):
        ls.compare(demo, ls.open(DEFINITION), images()["cat"])
    with pytest.raises(ls.errors.UsageError, match=r"B, net .* was opened without weights"):
        ls.compare(demo, ls.open(DEFINITION), weights=True)
    assert ls.compare(demo, ls.open(DEFINITION), images()["cat"], allow_missing=True).first


def test_nothing_aligned(tmp_path: Path) -> None:
    nets = []
    for i, layer in enumerate(("Pooling", "TanH")):
        path = tmp_path / f"{i}.prototxt"
        path.write_text(f"""
        layer {{ name: "data" type: "Input" top: "data"
          input_param {{ shape {{ dim: 1 dim: 3 dim: 5 dim: 7 }} }} }}
        layer {{ name: "it{i}" type: "{layer}" bottom: "data" top: "it{i}"
          {"pooling_param { kernel_size: 2 }" if i == 0 else ""} }}""")
        nets.append(ls.open(path))
    with pytest.raises(
        ls.errors.UsageError, match=r"none of the 2 blobs of A fits .*it0; B in.*it1"
    ):
        ls.compare(*nets, np.zeros((1, 3, 5, 7), np.float32))


def test_another_name_of_a_blob_is_not_alone(tmp_path: Path) -> None:
    """Dropout passes on when testing: without it, fc6 is what relu6 writes."""
    words = DEFINITION.read_text()
    net = ls.open(DEFINITION, WEIGHTS)
    kept = [part for part in words.split("layer {") if '"Dropout"' not in part]
    assert len(kept) == len(words.split("layer {")) - 2
    path = tmp_path / "dry.prototxt"
    path.write_text("layer {".join(kept))
    found = ls.compare(net, ls.open(path, WEIGHTS), images()["cat"], threshold=0)
    pairs = {row.a: row.b for row in found.rows}
    assert pairs["fc6@relu6"] == "fc6" and found.first is None and len(found.rows) == 22
    assert found.again_a == ("fc6", "fc7") and found.only_a == found.only_b == ()
    assert "22 blobs aligned of 24 in A and 22 in B" in str(found)
