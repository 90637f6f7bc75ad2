"""What an explanation looks like: text, JSON, picture, notebook."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from conftest import GOLDEN
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.show.explanation import WIDTH
from onelayer import net_of


@pytest.fixture(scope="module")
def demo() -> tuple[ls.Net, ls.Blobs]:
    net = ls.open(DEFINITION, WEIGHTS)
    return net, net.run(images()["cat"])


KINDS = (
    "conv1:12,30,17", "conv1:0,0,0", "conv3:top1", "pool1:3,20,20", "norm1:2,4,4", "fc6:top1",
    "prob:top1", "prob:top12", "data:0,10,10",
)  # fmt: skip


@pytest.mark.parametrize("unit", KINDS)
def test_text_fits_and_ends_with_the_comparison(demo, unit: str) -> None:
    found = ls.explain(*demo, unit)
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].startswith(f"{found.unit} = ")
    assert all(line == line.rstrip() for line in lines)
    if found.steps:
        assert lines[-1].startswith("owes most to") and lines[-2].startswith("difference")
    json.dumps(found.as_json())


def test_text_of_a_convolution(demo) -> None:
    net, blobs = demo
    words = str(ls.explain(net, blobs, "conv3:48,3,6"))
    assert "conv3 (Convolution, 96 filters 3x3, pad 1x1), then relu3 (ReLU)" in words
    assert "sees x 64..162, y 16..114 of data (99x99, exact)" in words
    assert "reads rows 2..4, columns 5..7 of norm2" in words
    assert "3 of 64 channels shown, largest sums first" in words
    assert "(8 of 576 shown)" in words
    x = np.float64(blobs["norm2"][0, :, 2:5, 5:8]) * np.float64(net.params["conv3"][0].data[48])
    order = np.argsort(-np.abs(x.sum(axis=(1, 2))))
    told = [int(c) for c in re.findall(r"channel (\d+) adds", words)]
    assert told == order[:3].tolist()


def test_channels_of_an_image_are_colours(demo) -> None:
    """Caffe's order is blue, green, red: the text and the pixel agree."""
    net, blobs = demo
    words = str(ls.explain(net, blobs, "conv1:12,30,17"))
    assert "channel 2 (red) adds" in words and "channel 0 (blue) adds" in words
    red = ls.explain(net, blobs, "data:2,10,10")
    (mean,) = net.preprocessing.mean[2:]
    assert red.value == pytest.approx(red.chain[0].pixel[0] - mean, abs=1e-4)
    assert "channel 24 adds" in str(ls.explain(net, blobs, "conv3:48,3,6"))


def test_text_of_a_class_has_its_name(demo) -> None:
    labels = [f"class {i}" for i in range(12)]
    net, blobs = demo
    best = int(blobs["prob"].argmax())
    found = ls.explain(net, blobs, "prob:top1", depth=2)
    first = found.text(labels).splitlines()[0]
    assert first.endswith(f"(class {best})")
    assert "class" not in found.text(labels[:5]).splitlines()[0]
    assert [each.unit.blob for each in found.chain] == ["prob", "fc8"]


def test_json_holds_everything(demo) -> None:
    net, blobs = demo
    found = ls.explain(net, blobs, "conv1:12,30,17", depth=9)
    told = found.as_json()
    assert told["unit"] == "conv1:12,30,17" and told["index"] == [0, 12, 30, 17]
    assert told["value"] == float(blobs["conv1"][0, 12, 30, 17])
    assert len(told["steps"][1]["operands"]) == 363
    (sees,) = told["sees"]
    assert sees["input"] == "data" and sees["status"] == "exact"
    assert (sees["low"], sees["high"]) == ([0, 0, 120, 68], [0, 2, 130, 78])
    (pixel,) = told["back"]
    assert pixel["unit"] == told["strongest"] and len(pixel["pixel"]) == 3


@pytest.mark.parametrize("unit", KINDS)
def test_picture(demo, unit: str, tmp_path: Path) -> None:
    found = ls.explain(*demo, unit)
    target = tmp_path / "unit.png"
    found.save(target)
    with Image.open(target) as picture:
        assert picture.width == round(760 / 72 * 150) and picture.height > 300
        pixels = np.asarray(picture.convert("L"))
    edges = np.concatenate([pixels[:, :8].ravel(), pixels[:, -8:].ravel(), pixels[-8:].ravel()])
    assert (edges == 255).all(), "something reaches the edge"
    assert found._repr_png_().startswith(b"\x89PNG")


def test_picture_as_svg_writes_names_as_text(demo, tmp_path: Path) -> None:
    found = ls.explain(*demo, "conv1:12,30,17")
    found.save(tmp_path / "unit.svg")
    assert (tmp_path / "unit.svg").read_text().startswith("<?xml")
    with pytest.raises(ls.errors.UsageError, match=r"possible: \.png, \.svg, \.pdf"):
        found.save(tmp_path / "unit.gif")


def test_the_picture_marks_the_receptive_box(demo) -> None:
    """The frame lies on the image at the box, and nowhere else."""
    plot = ls.explain(*demo, "pool1:3,20,20").picture()
    (image,) = [axes for axes in plot.axes if axes.patches and axes.images[0].get_extent()[1] > 200]
    boxes = {patch.get_bbox().bounds for patch in image.patches}
    assert boxes == {(159.5, 159.5, 19.0, 19.0)}
    window = next(axes for axes in plot.axes if axes.images[0].get_array().shape[:2] == (3, 3))
    assert {patch.get_bbox().bounds for patch in window.patches} == {(-0.5, 0.5, 1, 1)}


@pytest.mark.parametrize("case", GOLDEN[::3], ids=lambda case: case.name)
def test_every_kind_of_layer_has_a_text_and_a_picture(case: Path) -> None:
    weights = case / "net.caffemodel"
    net = ls.open(case / "net.prototxt", weights if weights.exists() else None)
    with np.load(case / "golden.npz") as golden:
        fed = {name[3:]: golden[name] for name in golden.files if name.startswith("in/")}
    blobs = net.run(fed)
    for name in blobs:
        found = ls.explain(net, blobs, _middle(name, blobs))
        assert max(map(len, str(found).splitlines())) <= WIDTH
    assert found.picture().png(40).startswith(b"\x89PNG")


def _middle(name: str, blobs: ls.Blobs) -> str:
    dims = blobs[name].shape
    return f"{name}:{','.join(str(size // 2) for size in dims)}" if dims else name


def test_hostile_names(tmp_path: Path) -> None:
    name = "a\\033[31m<b>$x$"
    layer = f'layer {{ name: "{name}" type: "ReLU" bottom: "x" top: "{name}" }}'
    net = net_of(tmp_path, (1, 2, 3, 3), layer)
    blobs = net.run(np.ones((1, 2, 3, 3), np.float32))
    found = ls.explain(net, blobs, f"{list(net.blobs)[-1]}:1,1,1")
    assert "\x1b" not in str(found)
    found.save(tmp_path / "unit.svg")
    assert "<b>" not in (tmp_path / "unit.svg").read_text()


@pytest.mark.parametrize("small", [0.4, 0.0003, -0.0003])
def test_a_small_product_beside_large_ones_is_not_zero(tmp_path: Path, small: float) -> None:
    """Weights are 0.1: the products of 20, -30 and 0.4 are 2, -3 and 0.04."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape {'
        " dim: 1 dim: 1 dim: 8 dim: 8 } } }\n"
        'layer { name: "u" type: "Deconvolution" bottom: "x" top: "u" convolution_param {'
        " num_output: 1 kernel_size: 4 stride: 2 weight_filler { value: 0.1 } } }"
    )
    x = np.full((1, 1, 8, 8), 20, np.float32)
    x[0, 0, 3, 3], x[0, 0, 4, 4] = small, -30
    ls.explain(ls.open(path).filled(), x, "u:0,9,9").save(tmp_path / "unit.svg")
    drawn = (tmp_path / "unit.svg").read_text()  # the words of each text stand in a comment
    cells = re.findall(r"<!-- ([-+.\de]+) -->", drawn)
    assert f"{small:g}" in cells and f"{small / 10:.1g}" in cells
    assert "0" not in cells


def test_what_has_no_arithmetic_says_so(tmp_path: Path) -> None:
    """The boxes that are left of a detection: the inputs are listed, and nothing is made up."""
    layer = """layer { name: "out" type: "DetectionOutput" bottom: "loc" bottom: "conf"
        bottom: "prior" top: "out" detection_output_param { num_classes: 3 keep_top_k: 5
        confidence_threshold: 0.1 nms_param { nms_threshold: 0.4 top_k: 20 } } }"""
    more = {"loc": (1, 16), "conf": (1, 12), "prior": (1, 2, 16)}
    net = net_of(tmp_path, (1, 1), layer, more=more)
    random = np.random.default_rng(4)
    fed = {name: random.random(dims, np.float32) for name, dims in more.items()}
    blobs = net.run({"x": np.ones((1, 1), np.float32), **fed})
    found = ls.explain(net, blobs, f"out:{','.join(['0'] * blobs['out'].ndim)}")
    assert found.recomputed is None and found.difference is None and found.steps == ()
    assert "has no closed arithmetic here" in str(found)
    assert "conf 1x12" in str(found) and found.strongest is None
    assert found.as_json()["recomputed"] is None
    assert found.picture().png(40).startswith(b"\x89PNG")


def test_a_place_that_a_stride_leaves_empty(tmp_path: Path) -> None:
    """Between the filters of a deconvolution: nothing is read, and all surfaces say so."""
    layer = """layer { name: "up" type: "Deconvolution" bottom: "x" top: "y"
        convolution_param { num_output: 3 kernel_size: 2 stride: 3 bias_term: false } }"""
    net = net_of(tmp_path, (1, 2, 4, 5), layer).filled()
    found = ls.explain(net, np.ones((1, 2, 4, 5), np.float32), "y:1,2,2")
    assert found.value == found.recomputed == 0 and found.strongest is None
    assert "reads nothing of x: 8 cells left empty by the stride" in str(found)
    found.save(tmp_path / "unit.svg")
    drawn = (tmp_path / "unit.svg").read_text()
    assert "reads nothing of x" in drawn and "patch, empty" in drawn and "finite" not in drawn
