"""Every command as a user types it: exit codes, one clear line, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layerscope import cli
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.readers.caffe.write import write_caffemodel

pytest_plugins = ["commandline"]

CAFFENET = Path(__file__).parent.parent / "nets" / "caffenet.prototxt"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of the size of the small net's input."""
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_help_and_version(run) -> None:
    assert run("--version").out.startswith("layerscope, version ")
    top = run("-h")
    assert top.code == 0
    for name, command in cli.cli.commands.items():
        assert name in top.out
        found = run(name, "--help")
        assert found.code == 0 and command.help and "Usage: layerscope " + name in found.out
        assert run(name, "-h").out == found.out
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("command", ["shapes", "show", "report", "diagram", "demo", "layers"])
def test_unknown_option_and_missing_argument(run, command: str) -> None:
    found = run(command, "--nonsense")
    assert found.code == 2 and found.err.startswith("error: No such option") and not found.out


def test_show_every_kind(run, small, image) -> None:
    for words, name, caption in (
        (["--blob", "conv1"], "conv1.png", "conv1 (1, 4, 7, 5): 4 of 4 shown, 7x5 each"),
        (["--blob", "conv1@conv1", "--scale", "signed"], "conv1_conv1.png", "around zero"),
        (["--blob", "data"], "data.png", "image.png 7x9, stretched to 7x9; BGR 0-255, minus"),
        (["--blob", "fc2"], "fc2.png", "fc2 (1, 5)"),
        (["--blob", "prob"], "prob.png", "prob (1, 5)"),
        (["--param", "conv1"], "conv1-param0.png", "conv1/0 (4, 3, 3, 3): 4 of 4 filters"),
        (["--param", "conv1:1"], "conv1-param1.png", "conv1/1 (4,)"),
        (["--param", "conv1/1"], "conv1-param1.png", "conv1/1 (4,)"),
        (["--param", "fc2"], "fc2-param0.png", "fc2/0 (5, 140): 5 of 5 filters"),
    ):
        found = run("show", *small, image, *words)
        assert (found.code, found.err) == (0, ""), found.err
        assert found.out.startswith(f"{name}: ") and caption in found.out
        with Image.open(name) as picture:
            assert picture.size[0] > 200
    plain = run("show", *small, image, "--blob", "conv1", "--raw", "-o", "raw.png", "--json")
    assert json.loads(plain.out)["written"] == "raw.png"
    with Image.open("raw.png") as picture:
        assert picture.size == (2 * 5 + 1, 2 * 7 + 1)
    assert run("show", *small, image, "--blob", "prob", "-o", "p.svg").code == 0
    assert "<svg" in Path("p.svg").read_text()


def test_options_change_what_is_fed(run, small, image) -> None:
    words = ["show", *small, image, "--blob", "data", "--channels", "RGB", "--scale-input", "0.5"]
    assert "RGB 0-255, minus the mean (123, 117, 104), times 0.5 (as the opt" in run(*words).out
    found = run(*words, "--mean", "1,2,3", "--fit", "crop")
    assert "cropped from the middle to 7x9; RGB 0-255, minus the mean (1, 2, 3)" in found.out
    np.save("mean.npy", np.ones((3, 4, 4), np.float32))
    assert "minus the mean (1, 1, 1)" in run(*words, "--mean", "mean.npy").out
    np.save("mean.npy", np.ones((3, 9, 7), np.float32))
    assert "minus a mean image (3, 9, 7)" in run(*words, "--mean", "mean.npy").out
    bad = run(*words, "--mean", "1,x")
    assert bad.code == 2 and "neither numbers (104,117,123) nor a file" in bad.err
    for wrong, message in (
        (["--mean", "nan,1,2"], "every number must be finite"),
        (["--mean", "1,2"], "3 channels; the mean has 2 values"),
        (["--scale-input", "0"], "a factor other than 0"),
        (["--scale-input", "inf"], "a factor other than 0"),
        (["--channels", "gray"], "their order is BGR or RGB, not gray"),
    ):
        found = run(*words[:-2], *wrong)
        assert found.code == 2 and message in found.err, found.err


def test_labels_beside_the_net(run, small, image) -> None:
    (small[0].parent / "labels.txt").write_text("ant\nbee\ncat\ndog\n$x^2$ </script>\n")
    assert run("report", *small, image, "-o", "r.html").code == 0
    page = Path("r.html").read_text()
    assert "bee" in page and "$x^2$ </script>" not in page
    assert "$x^2$ &lt;/script&gt;" in page and "$x^2$ \\u003c/script\\u003e" in page
    assert page.count("</script>") == page.count("<script")


def test_report(run, small, image) -> None:
    found = run("report", *small, image)
    assert found.code == 0 and found.out.startswith("image.html: 5 layers, ")
    assert "image.png 7x9, stretched to 7x9; BGR 0-255, minus the mean (104, 117, 123)" in found.out
    assert found.out.count(" %  ") == 5
    again = json.loads(run("report", *small, image, "--json", "-o", "x.html").out)
    assert again["bytes"] == Path("x.html").stat().st_size
    assert again["fed"]["data"].startswith("image.png 7x9") and len(again["top"]) == 5


def test_diagram(run, small) -> None:
    """In three formats, with weights and without them."""
    found = run("diagram", small[0])
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("small.svg: 4 blocks, 3 edges, 460 x ")
    assert Path("small.svg").read_text().count("data-key") == 4
    for kind in ("svg", "png", "pdf"):
        again = json.loads(run("diagram", *small, "-o", f"x.{kind}", "--json").out)
        assert again["written"] == f"x.{kind}" and Path(f"x.{kind}").stat().st_size > 1000
        assert (again["blocks"], again["edges"], again["notes"]) == (4, 3, [])
    with Image.open("x.png") as picture:
        assert picture.size == (again["width"], again["height"])
    right = json.loads(run("diagram", small[0], "--direction", "right", "--json").out)
    assert right["height"] < again["height"]
    wrong = run("diagram", small[0], "--direction", "up")
    assert wrong.code == 2 and "'up' is not one of 'down', 'right'" in wrong.err
    assert run("diagram").code == 2


def test_diagram_leaves_no_file_behind(run, small, tmp_path: Path) -> None:
    wrong = run("diagram", small[0], "-o", "net.jpg")
    assert wrong.code == 2 and "possible: .svg, .png, .pdf" in wrong.err
    assert run("diagram", tmp_path / "none.prototxt").code == 2
    chain = "".join(
        f'layer {{ name: "p{n}" type: "TanH" bottom: "{f"p{n - 1}" if n else "data"}" top: "p{n}" }}\n'
        for n in range(3000)
    )
    long = tmp_path / "long.prototxt"
    long.write_text(f'input: "data" input_shape {{ dim: 2 dim: 3 }}\n{chain}')
    found = run("diagram", long, "-o", "long.png")
    assert found.code == 5 and "the limit of a PNG is 67,108,864" in found.err
    assert list(Path.cwd().iterdir()) == []
    assert run("diagram", long, "-o", "long.svg").code == 0


def test_report_of_weights_alone(run, tmp_path: Path, image: Path) -> None:
    """One line that says what is missing, with and without an image; of labels nothing."""
    path, numbers = tmp_path / "w.safetensors", np.ones(108, "<f4").tobytes()
    table = {"c.weight": {"dtype": "F32", "shape": [4, 3, 3, 3], "data_offsets": [0, 432]}}
    words = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(words)) + words + numbers)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    for files in ([path], [path, image]):
        found = run("report", *files)
        assert found.code == 2 and found.out == ""
        (line,) = found.err.splitlines()
        assert line.startswith(
            f"error: report draws blobs: {path.name} holds weights without a net"
        )
    assert list(Path.cwd().iterdir()) == []


def test_labels_of_another_net(run, small, image) -> None:
    """Those that were found by themselves are left aside, those that were asked for refused."""
    labels = small[0].parent / "synset_words.txt"
    labels.write_text("".join(f"n{i:08} thing {i}\n" for i in range(1000)))
    found = run("show", *small, image, "--blob", "prob")
    assert found.code == 0 and "thing" not in found.out
    assert "synset_words.txt has 1,000 names, the net 5 classes: not used" in found.err
    asked = run("show", *small, image, "--blob", "prob", "--labels", labels)
    assert asked.code == 2 and "1,000 names, the net 5 classes; give the net's own" in asked.err


def test_it_says_what_it_can_do(run) -> None:
    found = run("-h")
    assert found.code == 0
    lines = [line.strip() for line in found.out.splitlines()]
    assert "layerscope shapes deploy.prototxt weights.caffemodel" in lines
    assert "\b" not in found.out and "\\b" not in found.out


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "layerscope", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("layerscope, version ")


def test_whoever_reads_may_stop(tmp_path: Path) -> None:
    """`layerscope layers | head -1` ends quietly."""
    call = f'"{sys.executable}" -m layerscope layers | head -1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", call], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0" and done.stderr == ""


def test_a_terminal_that_lacks_letters(tmp_path: Path) -> None:
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "猫" type: "Input" top: "猫" input_param { shape { dim: 1 } } }'
    )
    done = subprocess.run(
        [sys.executable, "-m", "layerscope", "shapes", str(tmp_path / "n.prototxt")],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert done.returncode == 0 and b"\\u732b" in done.stdout


def test_layers(run) -> None:
    found = json.loads(run("layers", "--json").out)
    assert ("LRN", "normalization") in {(each["type"], each["family"]) for each in found}
    assert all(
        each["source"].startswith(("caffe/src/caffe/layers/", "caffe/include/caffe/layers/"))
        for each in found
        if each["family"] not in ("detection", "fork")
    )
    assert all(each["source"] for each in found)
    assert "Convolution" in run("layers").out


def test_swapped_files_are_put_right(run, small, image) -> None:
    found = run("shapes", small[1], small[0])
    assert found.code == 0 and "(4, 3, 3, 3)" in found.out
    assert "small.caffemodel holds the weights and small.prototxt the definition" in found.err


def page_as_prototxt(folder: Path) -> list[object]:
    (folder / "deploy.prototxt").write_text("\n<!DOCTYPE html>\n<html><body>net</body></html>")
    return ["shapes", folder / "deploy.prototxt"]


def cut_caffemodel(folder: Path) -> list[object]:
    (folder / "cut.caffemodel").write_bytes(WEIGHTS.read_bytes()[:100_000])
    return ["shapes", DEFINITION, folder / "cut.caffemodel"]


def weights_that_do_not_fit(folder: Path) -> list[object]:
    write_caffemodel(
        folder / "w.caffemodel", "", [("fc6", "", [np.zeros((4096, 6400), "f"), np.zeros(4096)])]
    )
    return ["shapes", CAFFENET, folder / "w.caffemodel"]


def layers_without_weights(folder: Path) -> list[object]:
    write_caffemodel(
        folder / "w.caffemodel", "", [("fc8", "", [np.zeros((1000, 4096), "f"), np.zeros(1000)])]
    )
    return ["report", CAFFENET, folder / "w.caffemodel", images()["cat"], "-o", folder / "r.html"]


def no_image(folder: Path) -> list[object]:
    (folder / "cat.jpg").write_text("no image at all")
    return ["report", DEFINITION, WEIGHTS, folder / "cat.jpg", "-o", folder / "r.html"]


def huge_image(folder: Path) -> list[object]:
    Image.new("1", (10_000, 10_000)).save(folder / "huge.png")
    return ["report", DEFINITION, WEIGHTS, folder / "huge.png", "-o", folder / "r.html"]


def unknown_type(folder: Path) -> list[object]:
    (folder / "n.prototxt").write_text('layer { name: "norm1" type: "LRM" top: "a" }')
    return ["report", folder / "n.prototxt", images()["cat"], "-o", folder / "r.html"]


def wrong_blob(folder: Path) -> list[object]:
    return ["show", DEFINITION, WEIGHTS, images()["cat"], "--blob", "conv9"]


def unwritable(folder: Path) -> list[object]:
    return ["report", DEFINITION, WEIGHTS, images()["cat"], "-o", folder / "none" / "r.html"]


def two_texts(folder: Path) -> list[object]:
    shutil.copy(DEFINITION, folder / "a.prototxt")
    return ["shapes", DEFINITION, folder / "a.prototxt"]


BAD = [
    (lambda f: ["shapes", f / "none.prototxt"], 2, "none.prototxt: no such file"),
    (lambda f: ["shapes", f], 6, "a folder; a net is a file"),
    (page_as_prototxt, 3, "deploy.prototxt: a web page, not a net; download the raw file"),
    (cut_caffemodel, 3, "cut.caffemodel @"),
    (weights_that_do_not_fit, 3,
     'layer "fc6": the definition says (4096, 9216), w.caffemodel has (4096, 6400)'),
    (layers_without_weights, 2,
     "7 of 8 layers with params have no weights (conv1, conv2, conv3, conv4 and 3 more)"),
    (no_image, 3, "cat.jpg: not an image that is read here"),
    (huge_image, 5, "huge.png: 10000x10000 is 100 million pixels; the limit is 50 million"),
    (unknown_type, 4, 'n.prototxt:1:28: layer "norm1" has type "LRM"; '),
    (wrong_blob, 2, 'blob "conv9" is not in net "layerscope-demo" ('),
    (unwritable, 6, "none"),
    (two_texts, 3, "a.prototxt: a text definition, but the weights should stand here"),
    (lambda f: ["show", DEFINITION, WEIGHTS], 2, "show needs --blob NAME, --param LAYER or --all"),
    (lambda f: ["show", DEFINITION, WEIGHTS, "--blob", "conv1"], 2, "show --blob needs an image"),
    (lambda f: ["show", DEFINITION, "--param", "conv1"], 3, "has no weights"),
    (lambda f: ["show", DEFINITION, WEIGHTS, "--param", "conv1:7"], 2, "has params 0 to 1, there is no 7"),
    (lambda f: ["show", DEFINITION, WEIGHTS, "--param", "c", "-o", "x.bmpx"], 2, "not in net"),
    (lambda f: ["report", DEFINITION, WEIGHTS], 2, "report needs an image"),
    (lambda f: ["show", DEFINITION, WEIGHTS, images()["cat"], "--blob", "relu1"], 2,
     '"relu1" is a layer, not a blob; it writes conv1'),
    (lambda f: ["show", DEFINITION, WEIGHTS, images()["cat"], "--blob", "conv1", "-o", f], 2,
     "it is a folder"),
    (lambda f: ["report", DEFINITION, WEIGHTS, images()["cat"], "-o", f / "page.pdf"], 2,
     'the name ends in ".pdf"; possible: .html, .htm'),
    (lambda f: ["show", DEFINITION, WEIGHTS, images()["cat"], "--all", "-o", f / "x.PNG"], 2,
     "is the name of a file: give a folder (-o x), or --blob NAME for one picture"),
    (lambda f: ["show", DEFINITION, WEIGHTS, "--param", "conv1:\u00b2"], 2, "not in net"),
    (lambda f: ["show", DEFINITION, WEIGHTS, "--param", "conv1:\u0661"], 2, "not in net"),
    (lambda f: ["shapes", WEIGHTS], 3, "weights without their definition; give the prototxt too"),
    (lambda f: ["shapes", images()["cat"]], 3, "an image, not a net; the order is NET WEIGHTS"),
    (lambda f: [DEFINITION], 2, "have no weights"),
    (lambda f: [f / "none.prototxt"], 2, "none.prototxt: no such file"),
    (lambda f: ["vew", DEFINITION], 2, "No such command 'vew'"),
    (lambda f: ["report"], 2, "report takes NET [WEIGHTS] [IMAGE], 0 files are given"),
    (lambda f: ["demo", "--image", f / "none.jpg"], 2, "none.jpg: no such file"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "code", "message"), BAD, ids=[f"{i}-{b[2][:24]}" for i, b in enumerate(BAD)]
)
def test_bad_input(run, tmp_path: Path, make, code: int, message: str) -> None:
    words = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    found = run(*words)
    assert message in found.err, found.err
    assert found.code == code
    assert found.out == "" and found.err.startswith("error: ") and found.err.count("\n") == 1
    assert len(found.err) <= 301 and found.err.rstrip("\n").isprintable()
    assert sorted(tmp_path.rglob("*")) == before, "something half-written is left"


def test_an_existing_page_survives_a_failed_run(run, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    page.write_text("the old page")
    assert run(*no_image(tmp_path)).code == 3
    assert page.read_text() == "the old page"


def test_shapes_of_a_net_with_an_unknown_type(run, tmp_path: Path) -> None:
    """As far as they are known, with the reason, in text and JSON."""
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
        'layer { name: "y" type: "Foo" bottom: "x" top: "y" }'
    )
    found = run("shapes", tmp_path / "n.prototxt")
    assert found.code == 0 and "x     (2, 3)" in found.out
    assert 'n.prototxt:2:24: layer "y" has type "Foo"' in found.err
    (layer,) = json.loads(run("shapes", tmp_path / "n.prototxt", "--json").out)["not_computed"]
    assert (layer["layer"], layer["type"]) == ("y", "Foo") and '"Foo"' in layer["reason"]


def test_a_net_with_a_layer_that_is_not_computed(run, tmp_path: Path) -> None:
    """What does not need it is drawn and explained, and the page has the reason."""
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 4'
        ' dim: 4 } } }\nlayer { name: "c" type: "Power" bottom: "x" top: "c" power_param { shift: 1 } }\n'
        'layer { name: "odd" type: "Python" bottom: "c" top: "o" python_param { module: "m"'
        ' layer: "L" } }\nlayer { name: "r" type: "ReLU" bottom: "o" top: "r" }\n'
        'layer { name: "p" type: "TanH" bottom: "c" top: "p" }'
    )
    words = tmp_path / "n.prototxt", images()["cat"]
    page, folder = tmp_path / "r.html", tmp_path / "all"
    made = run("report", *words, "-o", page)
    assert made.code == 0 and 'layer "odd"' in made.err
    text = page.read_text()
    assert "is Python code, which is not run" in text and "needs layer &quot;odd&quot;" in text
    assert run("show", *words, "--all", "-o", folder).code == 0
    assert len(list(folder.rglob("*.png"))) == 3  # x, c and p
    assert run("explain", *words, "--unit", "p:0,0,0").code == 0
    for unit, why in (("odd:0", "is Python code"), ("r:0", 'needs layer "odd"')):
        refused = run("explain", *words, "--unit", unit)
        assert refused.code == 4 and why in refused.err


def test_missing_weights_are_said(run, tmp_path: Path) -> None:
    words = layers_without_weights(tmp_path)
    found = run("shapes", *words[1:3])
    assert "note: 1 of 8 layers have weights in w.caffemodel; missing: conv1, conv2" in found.err


def test_our_own_fault_is_one_line_too(run, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.show import table

    def broken(net: object) -> None:
        raise RuntimeError("oops\nsecond line")

    monkeypatch.setattr(table, "tables", broken)
    found = run("shapes", DEFINITION)
    assert found.code == 70
    assert found.err == (
        "error: a fault in layerscope itself (RuntimeError: oops second line); --debug shows where\n"
    )
    with pytest.raises(RuntimeError, match="oops"):
        run("shapes", DEFINITION, "--debug")


def test_interrupted(run, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.show import table

    def stop(net: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(table, "tables", stop)
    assert run("shapes", DEFINITION).code == 130


def test_hostile_names_reach_the_terminal_escaped(run, tmp_path: Path) -> None:
    path = tmp_path / "n.prototxt"
    path.write_text(
        'name: "\\033[31mred" layer { name: "a\\r\\nb" type: "Input" top: "\\342\\200\\256x"'
        " input_param { shape { dim: 1 dim: 2 } } }"
    )
    found = run("shapes", path)
    assert found.code == 0
    assert all(line.isprintable() for line in found.out.splitlines())
    assert "\\x1b[31mred" in found.out and "\\u202ex" in found.out


def test_demo(run) -> None:
    found = run("demo")
    assert (found.code, found.err) == (0, "")
    assert "conv1" in found.out and "most likely" in found.out
    written = sorted(path.name for path in Path("demo-out").iterdir())
    assert written == [
        "conv1-filters.png", "conv1-maps.png", "fc6-values.png", "pool5-maps.png",
        "prob-classes.png", "report.html",
    ]  # fmt: skip
    as_json = json.loads(run("demo", "--json", "-o", "other").out)
    assert as_json["top"][0]["value"] > 0.5


CAT = images()["cat"]


def test_explain(run) -> None:
    found = run("explain", DEFINITION, WEIGHTS, CAT, "--unit", "conv1:12,30,17", "-o", "unit.png")
    assert found.code == 0, found.err
    assert found.out.startswith("conv1:12,30,17 = 0.436")
    assert "3 of 3 channels shown" in found.out and "unit.png: the picture" in found.out
    assert Path("unit.png").stat().st_size > 10_000
    named = run("explain", DEFINITION, WEIGHTS, CAT, "--unit", "prob:top1", "--depth", 3)
    assert named.out.splitlines()[0].endswith("(cat)")
    assert [line.split(":")[0] for line in named.out.splitlines() if line.startswith("fc")] == [
        "fc8", "fc7",
    ]  # fmt: skip


def test_explain_as_json(run) -> None:
    told = json.loads(
        run("explain", DEFINITION, WEIGHTS, CAT, "--unit", "pool1:3,20,20", "--json").out
    )
    assert told["steps"][0]["op"] == "MaxPool" and len(told["steps"][0]["operands"]) == 9
    assert told["strongest"] == "conv1:3,41,40" and told["written"] is None


def test_explain_numbers_that_are_not_finite_as_json(run) -> None:
    blob = np.full((1, 3, 227, 227), np.nan, np.float32)
    np.save("nan.npy", blob)
    found = run("explain", DEFINITION, WEIGHTS, "nan.npy", "--unit", "prob:3", "--json")
    told = json.loads(found.out, parse_constant=lambda name: pytest.fail(name))
    assert told["value"] is None and told["recomputed"] is None
    assert run("explain", DEFINITION, WEIGHTS, "nan.npy", "--unit", "conv1:1,2,3").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--unit", "conv9:1,2,3"), 'blob "conv9" is not in net'),
        (("--unit", "conv1:48,0,0"), '"conv1" has 48 channels, 0 to 47'),
        (("--unit", "conv1:1"), "takes 3"),
        (("--unit", "prob:1", "--image-index", "1"), "the batch has 1 image"),
        (("--unit", "prob:1", "-o", "unit.gif"), "possible: .png, .svg, .pdf"),
        (("--unit", "prob:1", "--depth", "0"), "--depth"),
        ((), "--unit"),
    ],
)
def test_explain_says_what_is_wrong(run, words: tuple[str, ...], message: str) -> None:
    found = run("explain", DEFINITION, WEIGHTS, CAT, *words)
    assert found.code == 2 and message in found.err and found.err.count("\n") == 1
    assert found.out == "" and list(Path().iterdir()) == []


def test_explain_needs_an_image(run) -> None:
    found = run("explain", DEFINITION, WEIGHTS, "--unit", "prob:1")
    assert found.code == 2 and "explain needs an image" in found.err


def test_level_and_stage_choose_the_layers(run, tmp_path):
    rules = {"fine": 'include { stage: "fine" }', "deep": "include { min_level: 2 }"}
    text = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }\n'
    text += "".join(
        f'layer {{ name: "{name}" type: "Power" bottom: "x" top: "{name}" {rule} }}\n'
        for name, rule in rules.items()
    )
    (tmp_path / "net.prototxt").write_text(text)
    seen = {}
    for options in ((), ("--stage", "fine"), ("--level", "2"), ("--level", "2", "--stage", "fine")):
        result = run("shapes", tmp_path / "net.prototxt", "--json", *options)
        answer = json.loads(result.out)
        seen[options] = [row["blob"] for row in answer["activations"]]
    assert list(seen.values()) == [["x"], ["x", "fine"], ["x", "deep"], ["x", "fine", "deep"]]
