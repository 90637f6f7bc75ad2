"""`layerscope dream` as a user types it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from dreams.nets import rectified
from layerscope.cli.dream import Patient
from layerscope.demo import DEFINITION, WEIGHTS
from layerscope.dreams import ascent

pytest_plugins = ["commandline", "quantizing"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Four rectified channels, the third of which is dead."""
    rectified(tmp_path / "net")
    return tmp_path / "net" / "net.prototxt", tmp_path / "net" / "net.caffemodel"


def test_one_unit(run, files) -> None:
    found = run("dream", *files, "--unit", "conv1:0", "--steps", 3, "-o", "unit.png")
    assert (found.code, found.err) == (0, "")
    first, second = found.out.splitlines()
    assert first.startswith("conv1:0: 0 -> ") and float(first.split()[-1]) > 1
    assert second == 'unit.png: net "net", 3 steps, seed 0'
    with Image.open("unit.png") as image:
        assert image.width > 400 and image.text["Description"].startswith("conv1:0: ")
    plain = run("dream", *files, "--unit", "conv1:0", "--steps", 3, "--raw")
    assert plain.out.splitlines()[1].startswith("dream-conv1_0.png: ")
    with Image.open("dream-conv1_0.png") as image:
        assert image.size == (12, 10)


def test_several_units_make_a_sheet(run, files) -> None:
    words = ["--unit", "conv1:0", "--unit", "conv1:2", "--unit", "conv1:1,4,4", "--steps", 2]
    found = run("dream", *files, *words, "-o", "sheet.png")
    assert (found.code, found.err) == (0, "")
    assert "conv1:2: 0 -> 0, DEAD: no image was found that moves it at all" in found.out
    assert "sheet.png: 3 of 3 units" in found.out and "1 unit marked DEAD" in found.out
    with Image.open("sheet.png") as image:
        assert image.width > 300


def test_json(run, files) -> None:
    found = run("dream", *files, "--unit", "conv1:0", "--steps", 5, "--seed", 4, "--json")
    answer = json.loads(found.out)
    (dream,) = answer["dreams"]
    assert answer["written"] == "dream-conv1_0.png" and answer["notes"] == []
    assert dream["unit"] == "conv1:0" and dream["after"] > dream["before"]
    assert (dream["steps"], dream["seed"], dream["dead"]) == (5, 4, False) and dream["seconds"] > 0


def test_a_layer_and_again(run, files) -> None:
    words = ["dream", *files, "--layer", "conv1", "--steps", 2]
    found = run(*words, "-o", "out", "--first", 3)
    assert (found.code, found.err) == (0, "")
    first, second = found.out.splitlines()
    assert first == "out/conv1-sheet.png: 3 of 4 channels" and second.startswith(
        "conv1:2: 0 -> 0, DEAD"
    )
    again = run(*words, "-o", "out")
    assert "4 of 4 channels, 3 of them were there" in again.out
    answer = json.loads(run(*words, "-o", "out", "--json").out)
    assert answer["found"] == answer["channels"] == 4 and len(answer["dreams"]) == 4
    assert run(*words).code == 0 and Path("dream-conv1/conv1-003.png").exists()


def test_ctrl_c_keeps_what_is_finished(run, files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ascent, "batch_of", lambda net: 1)
    said = Patient.__call__

    def stopped(self: Patient, done: int, total: int, name: str) -> None:
        said(self, done, total, name)
        if done == 5:
            raise KeyboardInterrupt

    words = ["dream", *files, "--layer", "conv1", "--steps", 2, "-o", "out"]
    with monkeypatch.context() as patch:
        patch.setattr(Patient, "__call__", stopped)
        found = run(*words)
        assert found.code == 130 and not found.out
        assert found.err == (
            "stopped: 2 of 4 channels finished in out; the same command goes on from there\n"
        )
        one = run("dream", *files, "--unit", "conv1:0", "--steps", 9, "-o", "one.png")
        assert one.code == 130 and "stopped after 5 of 9 steps; nothing was written" in one.err
    assert len(list(Path("out").iterdir())) == 2 and not Path("one.png").exists()
    assert "4 of 4 channels, 2 of them were there" in run(*words).out


def test_progress_is_patient(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    times = iter([0.0, 0.5, 1.2, 1.25, 1.4, 1.41])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr(sys.modules["layerscope.cli.dream"], "time", clock)
    say = Patient("dreaming")
    say._line.shown = True
    for done in (1, 2, 3, 4, 5):
        say(done, 5, "conv1:0")
    say.close()
    lines = [line.strip() for line in capsys.readouterr().err.replace("\n", "\r").split("\r")]
    assert [line for line in lines if line] == [
        f"dreaming: {done} of 5  conv1:0" for done in (2, 4, 5)
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "dream needs --unit conv3:7"),
        (["--unit", "conv1:0", "--layer", "conv1"], "dream needs --unit conv3:7"),
        (["--unit", "conv1:0", "--first", "2"], "--first N is for --layer"),
        (["--unit", "conv2:0"], "nearest: conv1"),
        (["--unit", "conv1:4"], '"conv1" has 4 channels, 0 to 3'),
        (["--unit", "conv1"], "which channel?"),
        (["--layer", "conv7"], "nearest: conv1"),
        (["--layer", "conv1", "-o", "x.png"], "dream --layer writes a folder"),
        (["--unit", "conv1:0", "-o", "x.gif"], "possible: .png"),
        (["--unit", "conv1:0", "--learning-rate", "-1"], "learning rate -1 is not possible"),
        (["--unit", "conv1:0", "--steps", "0"], "--steps"),
        (["--unit", "conv1:0", "--unit", "conv1:1", "--raw"], "--raw is for one picture"),
    ],
)
def test_wrong_requests(run, files, words: list[str], message: str) -> None:
    found = run("dream", *files, *words)
    assert found.code == 2 and not found.out and message in found.err
    assert found.err.startswith("error: ") and found.err.count("\n") == 1
    assert not list(Path().iterdir())


def test_a_size_the_net_does_not_take(run) -> None:
    found = run("dream", DEFINITION, WEIGHTS, "--unit", "conv1:0", "--size", 99)
    assert found.code == 3 and "fc6" in found.err and found.err.count("\n") == 1


def test_a_folder_that_is_not_there_is_told_first(run, files, monkeypatch) -> None:
    monkeypatch.setattr(ascent, "Objective", None)  # whoever runs the net fails
    found = run("dream", *files, "--unit", "conv1:0", "-o", "none/x.png")
    assert found.code == 6 and 'there is no folder "none"' in found.err


def test_missing_weights(run, files) -> None:
    found = run("dream", files[0], "--unit", "conv1:0")
    assert found.code == 2 and "have no weights" in found.err
    filled = run("dream", files[0], "--unit", "conv1:0", "--steps", 1, "--allow-missing")
    assert filled.code == 0


def test_a_quantized_net(run, int8: Path) -> None:
    found = run("dream", int8, "--unit", "conv3:1", "--steps", 1)
    assert found.code == 4 and "take the net as it was before it was quantized" in found.err
    assert found.err.count("\n") == 1


def test_labels_name_classes(run) -> None:
    words = ["--unit", "prob:2", "--unit", "fc8:2", "--steps", 1, "-o", "two.png"]
    found = run("dream", DEFINITION, WEIGHTS, *words)
    first, second, _ = found.out.splitlines()
    assert (
        first.startswith("prob:2 (cat): ") and "(by fc8, the score in front of the softmax" in first
    )
    assert second.startswith("fc8:2: ")
