"""`layerscope attribute` as a user types it: what it says, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images

pytest_plugins = ["commandline"]

DEMO = (str(DEFINITION), str(WEIGHTS), str(images()["cat"]))


def test_text(run) -> None:
    found = run("attribute", *DEMO, "--labels", LABELS)
    assert found.code == 0 and not found.err
    net = ls.open(DEFINITION, WEIGHTS)
    cam = ls.attribute(net, str(images()["cat"]))
    low, high = cam.map.min(), cam.map.max()
    y, x = np.unravel_index(cam.map.argmax(), cam.map.shape)
    assert "prob:2 (cat) = 0.699, Grad-CAM at conv5\n  Selvaraju et al., ICCV 2017" in found.out
    assert f"map 227x227 from 13x13, from {low:.5g} to {high:.5g}" in found.out
    assert f"largest {high:.3g} at x {x}, y {y}; half of the positive sum lies on" in found.out
    assert "at conv5, the last map before the unit" in found.out
    assert "fc8:2 is the score before it" in found.out
    assert "first at 17, stride 16" in found.out
    assert all(len(line) <= 100 for line in found.out.splitlines())


def test_completeness_is_printed(run) -> None:
    found = run("attribute", *DEMO, "--method", "integrated", "--steps", 4, "--of", "fc8:3")
    assert found.code == 0
    (line,) = (line for line in found.out.splitlines() if "gap" in line)
    total, difference, gap = (float(word.rstrip(",").split()[-1]) for word in line.split(", ")[:3])
    assert gap == pytest.approx(total - difference, abs=2e-3)


def test_pictures_and_arrays(run, tmp_path: Path) -> None:
    for name in ("one.png", "one.svg", "one.pdf"):
        found = run("attribute", *DEMO, "-o", tmp_path / name)
        assert found.code == 0 and "one" in found.out
        assert (tmp_path / name).stat().st_size > 5000
    several = ("--method", "gradient,gradcam", "--method", "contribution")
    assert run("attribute", *DEMO, *several, "-o", tmp_path / "sheet.png").code == 0
    with Image.open(tmp_path / "sheet.png") as sheet, Image.open(tmp_path / "one.png") as one:
        assert sheet.width == one.width and sheet.height < one.height
    found = run("attribute", *DEMO, "--method", "guided", "-o", tmp_path / "g.npy")
    assert found.code == 0 and "g.npy: the numbers" in found.out
    net = ls.open(DEFINITION, WEIGHTS)
    want = ls.attribute(net, str(images()["cat"]), method="guided").values
    np.testing.assert_array_equal(np.load(tmp_path / "g.npy"), want)


def test_json(run, tmp_path: Path) -> None:
    found = run("attribute", *DEMO, "--method", "contribution", "--layer", "pool5", "--json")
    assert found.code == 0
    content = json.loads(found.out)
    (one,) = content["attributions"]
    assert content["written"] is None and one["at"] == "pool5" and one["shape"] == [64, 6, 6]
    assert one["values"] is None and one["channels"] == 64 and len(one["shares"]) == 64
    adds = [abs(each["adds"]) for each in one["shares"]]
    assert adds == sorted(adds, reverse=True) and one["map_shape"] == [227, 227]


def test_of_a_unit_in_the_middle(run) -> None:
    found = run("attribute", *DEMO, "--of", "conv4:5,6,6", "--method", "gradient")
    assert found.code == 0 and "conv4:5,6,6 = " in found.out and "softmax" not in found.out


WRONG = [
    (["--of", "prob:12"], 2, 'channel 12; "prob" has 12 channels, 0 to 11'),
    (["--of", "prop:1"], 2, 'blob "prop" is not in net "layerscope-demo" (24 blobs); nearest: prob'),
    (["--of", "conv5:70,0,0"], 2, "channel 70"),
    (["--method", "gradcan"], 2, 'method "gradcan" is unknown; nearest: gradcam'),
    (["--layer", "conv6"], 2, "nearest: conv"),
    (["--layer", "relu5"], 2, '"relu5" is a layer, not a blob; it writes conv5'),
    (["--layer", "fc6"], 2, "has one place a channel, and no map; the last map is conv5"),
    (["--of", "conv2:0,1,1", "--layer", "conv5"], 2, '"conv2" does not depend on "conv5"'),
    (["--method", "gradient", "--layer", "conv5"], 2, "looks at the input, not at a layer"),
    (["--method", "gradient", "--steps", "3"], 2, 'has no setting "steps"; it takes: none'),
    (["--method", "rise", "--keep", "1.5"], 2, "a number from 0.001 to 0.999"),
    (["--method", "occlusion", "--patch", "0"], 2, 'patch "0": a whole number from 1'),
    (["--method", "integrated", "--baseline", "white"], 2, 'baseline "white" is unknown'),
    (["--method", "integrated", "--wrt", "conv1"], 2, '"conv1" is no input (inputs: data)'),
    (["--image-index", "1"], 2, "image 1: the batch has 1 image"),
    (["-o", "x.gif"], 2, "possible: .png, .svg, .pdf, .npy"),
    (["-o", "x.npy", "--method", "all"], 2, "holds the numbers of one method"),
    (["-o", "no/x.png"], 6, "there is no folder"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said"), WRONG, ids=lambda each: str(each)[:40])
def test_wrong_requests(run, words: list[str], code: int, said: str) -> None:
    found = run("attribute", *DEMO, *words)
    assert found.code == code and not found.out
    assert found.err.startswith("error: ") and said in found.err
    assert found.err.count("\n") == 1 and len(found.err) < 310
    assert not list(Path().iterdir()), "a file was left behind"


def test_without_an_image(run) -> None:
    found = run("attribute", DEFINITION, WEIGHTS)
    assert found.code == 2 and "attribute needs an image" in found.err


def test_without_weights(run) -> None:
    found = run("attribute", DEFINITION, images()["cat"])
    assert found.code == 2 and "have no weights" in found.err
    assert run("attribute", DEFINITION, images()["cat"], "--allow-missing").code == 0


def test_a_net_that_gives_no_number(run, tmp_path: Path) -> None:
    """NaN in the forward run, and in the way back alone: the layer is named, exit code 4."""
    definition = tmp_path / "net.prototxt"
    power = 'layer {{ name: "{0}" type: "Power" bottom: "{1}" top: "{0}" power_param {{ {2} }} }}'
    definition.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }'
        + power.format("moved", "x", "shift: 0.5")
        + power.format("root", "moved", "power: 0.5")
        + 'layer { name: "y" type: "Reduction" bottom: "root" top: "y" '
        "reduction_param { axis: 1 } }"
    )
    np.save(tmp_path / "x.npy", np.float32([[-1, 1]]))
    found = run("attribute", definition, tmp_path / "x.npy", "--of", "y:0", "--method", "gradient")
    assert found.code == 4 and 'blob "root" of layer "root"' in found.err
    np.save(tmp_path / "x.npy", np.float32([[1, 1]]))
    words = ("--of", "y", "--method", "smoothgrad", "--noise", "3")
    found = run("attribute", definition, tmp_path / "x.npy", *words)
    assert found.code == 0, found.err  # equal numbers have no range, so there is no noise
    np.save(tmp_path / "x.npy", np.float32([[0.1, 1]]))
    found = run("attribute", definition, tmp_path / "x.npy", *words)
    assert found.code == 4 and 'NaN); the first, walking back, is what layer "root"' in found.err


def test_an_unrelated_target(run, tmp_path: Path) -> None:
    definition = tmp_path / "net.prototxt"
    definition.write_text(
        "".join(
            f'layer {{ name: "{n}" type: "Input" top: "{n}" input_param {{ shape {{ dim: 1 dim: 3'
            " } } }\n"
            for n in "ab"
        )
        + 'layer { name: "p" type: "ReLU" bottom: "a" top: "p" }'
        + 'layer { name: "q" type: "ReLU" bottom: "b" top: "q" }'
        + 'layer { name: "best" type: "ArgMax" bottom: "q" top: "best" }'
    )
    np.save(tmp_path / "x.npy", np.float32([[1, 2, 3]]))
    fed = [f"--input={n}={tmp_path}/x.npy" for n in "ab"]
    found = run("attribute", definition, *fed, "--of", "p:0", "--wrt", "b", "--method", "occlusion")
    assert found.code == 2 and '"p" does not depend on "b"' in found.err
    found = run(
        "attribute", definition, *fed, "--of", "best:0", "--wrt", "b", "--method", "gradient"
    )
    assert found.code == 2 and 'layer "best" gives indices or steps' in found.err
    found = run("attribute", definition, *fed, "--of", "q:2", "--wrt", "b", "--method", "gradient",
                "-o", "bars.png")  # fmt: skip
    assert found.code == 0 and Path("bars.png").stat().st_size > 5000


def test_all_leaves_out_what_the_net_does_not_allow(run, tmp_path: Path) -> None:
    """A vector has no map of a layer; those methods are named, the others are there."""
    definition = tmp_path / "net.prototxt"
    definition.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }'
        'layer { name: "y" type: "TanH" bottom: "x" top: "y" }'
    )
    np.save(tmp_path / "x.npy", np.float32([[1, 2, 3, 4]]))
    words = ("--of", "y:2", "--method", "all", "--samples", "3", "-o", "sheet.png")
    found = run("attribute", definition, tmp_path / "x.npy", *words)
    assert found.code == 0, found.err
    lines = found.err.splitlines()
    assert [line.split()[1] for line in lines] == ["gradcam", "gradcam++", "contribution"]
    assert all("is left out: no blob with several places" in line for line in lines)
    assert "Occlusion" in found.out and Path("sheet.png").stat().st_size > 5000
    content = json.loads(
        run("attribute", definition, tmp_path / "x.npy", *words[:-2], "--json").out
    )
    assert len(content["attributions"]) == 8 and len(content["notes"]) == 3


def test_an_image_of_a_batch(run, tmp_path: Path) -> None:
    random = np.random.default_rng(3).standard_normal((2, 3, 227, 227)).astype(np.float32)
    np.save(tmp_path / "two.npy", 50 * random)
    words = ("attribute", DEFINITION, WEIGHTS, tmp_path / "two.npy", "--image-index", 1)
    found = run(*words)
    assert found.code == 0 and " (image 1) (" in found.out
    net = ls.open(DEFINITION, WEIGHTS)
    alone = ls.attribute(net, 50 * random[1])
    assert f"{alone.unit} (image 1) (" in found.out and f") = {alone.value:.3g}, " in found.out
