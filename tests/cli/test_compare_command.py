"""`layerscope compare` as a user types it: what is A and what is B, exit codes, JSON, messages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from layerscope import cli
from layerscope.cli.sides import NetFiles, sides
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.errors import UsageError
from layerscope.readers import open_net
from layerscope.readers.caffe.write import write_caffemodel


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a command line in a folder with a net, its weights, and others with noise in conv2."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for source, name in ((DEFINITION, "deploy.prototxt"), (WEIGHTS, "a.caffemodel")):
        shutil.copy(source, name)
    for name in ("cat", "rocket"):
        shutil.copy(images()[name], f"{name}.jpg")
    net, random = open_net(DEFINITION, WEIGHTS), np.random.default_rng(7)
    rows = []
    for layer in net.layers:
        arrays = [np.array(param.data) for param in layer.params]
        if layer.name == "conv2":
            arrays[0] += random.normal(size=arrays[0].shape).astype(np.float32) * 0.002
        if arrays:
            rows.append((layer.name, layer.type, arrays))
    write_caffemodel("b.caffemodel", "demo", rows)

    def call(*words: object) -> tuple[int, str, str]:
        code = cli.run([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


pytest_plugins = ["quantizing"]
BOTH = ("compare", "deploy.prototxt", "a.caffemodel", "b.caffemodel", "--input", "cat.jpg")


def test_it_says_what_was_taken_and_what_differs(run) -> None:
    code, out, err = run(*BOTH)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "A  deploy.prototxt + a.caffemodel (layerscope-demo, caffe, 24 layers)"
    assert lines[1] == "B  deploy.prototxt + b.caffemodel (layerscope-demo, caffe, 24 layers)"
    assert "24 of 24 blobs aligned (24 by name)" in lines
    assert "first that differs: conv2@conv2 (layer conv2, Convolution)" in out
    assert max(map(len, lines)) <= 100


def test_exit_codes(run) -> None:
    assert run(*BOTH, "--fail-above", 0.001)[0] == 1
    assert run(*BOTH, "--fail-above", 0.9)[0] == 0
    assert run(*BOTH, "--by", "snr", "--fail-above", 60)[0] == 1
    assert run(*BOTH, "--by", "snr", "--fail-above", 5)[0] == 0
    same = ("compare", "deploy.prototxt", "a.caffemodel", "a.caffemodel", "cat.jpg")
    code, out, _ = run(*same, "--fail-above", 0)
    assert code == 0 and "no difference: all 24 aligned blobs are equal" in out
    assert run(*BOTH, "--json", "--fail-above", 0.001)[0] == 1


def test_json(run) -> None:
    code, out, _ = run(*BOTH, "--json", "--by", "absolute")
    found = json.loads(out)
    assert code == 0 and found["differs"] and found["first"] == "conv2@conv2"
    assert found["a"]["files"] == ["deploy.prototxt", "a.caffemodel"]
    assert len(found["rows"]) == 24 and found["written"] is None
    assert found["rows"][0]["snr"] is None and found["rows"][0]["equal"]  # JSON has no infinity
    row = found["rows"][5]
    assert row["absolute"] > found["threshold"] == 0.001 and row["beyond"]


def test_weights_and_two_inputs(run) -> None:
    code, out, _ = run("compare", "deploy.prototxt", "a.caffemodel", "b.caffemodel", "--weights")
    assert code == 0 and "16 of 16 params aligned" in out
    assert "first that differs: conv2/0" in out and out.count("\n>") == 1 and "\n·" not in out
    one = ("compare", "deploy.prototxt", "a.caffemodel", "--input", "cat.jpg")
    code, out, _ = run(*one, "--input-b", "rocket.jpg")
    assert code == 0 and "input cat.jpg and rocket.jpg" in out and "differs: data (" in out
    assert "A  deploy.prototxt + a.caffemodel" in out and "B  deploy.prototxt + a.caffemodel" in out


def test_options_hold_for_both_nets(run) -> None:
    out = run(*BOTH, "--mean", "1,2,3", "--channels", "RGB")[1]
    assert "RGB 0-255, minus the mean (1, 2, 3) (as the options say)" in " ".join(out.split())
    out = run(*BOTH, "--map", "conv1=conv1@conv1", "--memory", 1)[1]
    assert "conv1 = conv1@conv1" in out and "1 by map" in out


def test_messages(run) -> None:
    net = ("compare", "deploy.prototxt", "a.caffemodel")
    np.save("x.npy", np.zeros((1, 3, 9, 9), np.float32))
    for words, message in (
        (net, "one net is given; compare needs a second one, other weights, or --input-b"),
        ((*net, "cat.jpg"), "one net is given"),
        ((*net, "b.caffemodel"), "compare needs an input (--input), or --weights"),
        ((*net, "b.caffemodel", "--weights", "cat.jpg"), "an input has no meaning"),
        ((*BOTH, "--map", "conv9=conv1"), '"conv9" is not in A (24 names); nearest: conv'),
        ((*BOTH, "--map", "conv1=covn1"), '"covn1" is not in B (24 names); nearest: conv'),
        ((*BOTH, "--map", "conv1"), "write it as NAME_IN_A=NAME_IN_B"),
        ((*BOTH, "--input", "nothing.jpg"), "nothing.jpg: no such file"),
        ((*BOTH, "nothing.caffemodel"), "nothing.caffemodel: no such file"),
        ((*BOTH, "b.caffemodel"), "3 files of weights for 1 definition"),
        ((*BOTH, "-o", "page.txt"), "possible: .html"),
        ((*net, "b.caffemodel", "x.npy"), 'input "data" takes (N, 3, 227, 227), the array is'),
        ((*BOTH, "--fail-above", "nan"), "finite number"),
        (("compare",), "takes two nets, 0 are given"),
    ):
        code, out, err = run(*words)
        assert code == 2 and not out and message in err and err.count("\n") == 1, (words, err)


def test_the_page_is_written_whole_or_not_at_all(run) -> None:
    code, out, _ = run(*BOTH, "-o", "page.html")
    assert code == 0 and out.endswith("\npage.html\n")
    assert "conv2@conv2" in Path("page.html").read_text()
    code, _, err = run(*BOTH, "-o", "nowhere/page.html")
    assert code == 6 and "there is no folder" in err


def _kinds(folder: Path, *names: str) -> list[str]:
    """Files by their first letter: d a definition, w weights, i an image."""
    paths = []
    for name in names:
        path = folder / name
        kinds = {"d": DEFINITION, "w": WEIGHTS, "i": images()["cat"]}
        shutil.copy(kinds[name[0]], path)
        paths.append(str(path))
    return paths


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("d1 w1 d2 w2", ("d1 w1", "d2 w2")),
        ("d1 d2 w1 w2", ("d1 w1", "d2 w2")),
        ("d1 w1 w2", ("d1 w1", "d1 w2")),
        ("d1 d2 w1", ("d1 w1", "d2 w1")),
        ("d1 d2", ("d1", "d2")),
        ("w1 w2", ("w1", "w2")),
        ("d1 w1", ("d1 w1", None)),
        ("d1 w1 i1 w2", ("d1 w1", "d1 w2")),
    ],
)
def test_which_files_are_a_and_b(tmp_path: Path, names: str, wanted: tuple) -> None:
    a, b, inputs = sides(_kinds(tmp_path, *names.split()))

    def short(side: NetFiles | None) -> str | None:
        return None if side is None else " ".join(Path(name).name for name in side.names)

    assert (short(a), short(b)) == wanted
    assert [Path(each).name for each in inputs] == [n for n in names.split() if n[0] == "i"]


@pytest.mark.parametrize("names", ["d1 d2 d3", "d1 w1 w2 w3", "w1 w2 w3", "d1 w1 d2 w2 d3 w3"])
def test_too_many_files(tmp_path: Path, names: str) -> None:
    with pytest.raises(UsageError, match=r"NET \[WEIGHTS\] NET \[WEIGHTS\]"):
        sides(_kinds(tmp_path, *names.split()))


def test_a_quantized_file(
    floats: Path, int8: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The runtime says nothing on stdout, from C++ either; the exit code is that of the level."""
    cat, page = images()["cat"], tmp_path / "int8.html"
    files = (floats, int8, "--input", cat, "--by", "snr")
    capfd.readouterr()
    for words in (files, (DEFINITION, WEIGHTS, *files[1:])):
        assert cli.run([str(word) for word in ("compare", *words, "--json")]) == 0
        captured = capfd.readouterr()
        found = json.loads(captured.out)
        assert found["first"] == "conv1@conv1" and not captured.err
        rows = {row["a"]: row["snr"] for row in found["rows"]}
        assert 25 < rows["conv5"] < rows["conv1@conv1"] < 45
    for level, code in ((25, 0), (35, 1), (60, 1)):
        assert cli.run([str(w) for w in ("compare", *files, "--fail-above", level)]) == code
    capfd.readouterr()
    weights = ["compare", str(floats), str(int8), "--weights", "--by", "snr", "--json"]
    for level, code in (("40", 0), ("45", 1)):
        assert cli.run([*weights, "--fail-above", level]) == code
        assert json.loads(capfd.readouterr().out)["aligned"] == 16
    assert cli.run(["compare", str(floats), str(int8), str(cat), "-o", str(page)]) == 0
    assert "conv1@conv1</a> differs first" in page.read_text()
