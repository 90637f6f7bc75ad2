"""A layer's channels as files: what is finished stays, is known again, and is not trusted blindly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from dreams.nets import rectified
from layerscope.dreams import ascent
from layerscope.dreams.folder import KEY, Folder
from layerscope.dreams.request import layer_folder
from layerscope.dreams.settings import Settings
from layerscope.errors import SystemFaultError, UsageError
from layerscope.inputs import Preprocessing
from layerscope.pictures import png

QUICK = Settings(steps=3)


@pytest.fixture
def net(tmp_path: Path) -> ls.Net:
    return rectified(tmp_path / "net")


def folder(net: ls.Net, path: Path, settings: Settings = QUICK, first: int | None = None) -> Folder:
    return layer_folder(net, "conv1", path, settings, first=first)


def test_files_of_all_channels_and_a_sheet(net: ls.Net, tmp_path: Path) -> None:
    made = folder(net, tmp_path / "out")
    dreams = made.fill()
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [*(f"conv1-{i:03}.png" for i in range(4)), "conv1-sheet.png"]
    alone = ls.dream(net, "conv1:3", steps=3)
    with Image.open(tmp_path / "out" / "conv1-003.png") as image:
        assert (np.asarray(image) == alone.picture).all()
        assert image.text["Description"] == alone.caption
    assert dreams[3].value == alone.value and "4 of 4 units" in dreams.statement
    assert dreams.dead == ["conv1:2"]


def test_a_second_run_makes_nothing_anew(net: ls.Net, tmp_path: Path, monkeypatch) -> None:
    first = folder(net, tmp_path).fill()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("conv1-0*.png")}
    monkeypatch.setattr(ascent, "Objective", None)  # whoever runs the net now fails
    again = folder(rectified(tmp_path / "net"), tmp_path)
    assert again.found == 4
    second = again.fill()
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.glob("conv1-0*.png")}
    for one, other in zip(first, second, strict=True):
        assert (one.picture == other.picture).all() and one.statement == other.statement
    assert first.sheet().png() == second.sheet().png()


def test_a_stopped_run_goes_on(net: ls.Net, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ascent, "batch_of", lambda net: 1)
    made = folder(net, tmp_path / "a")

    def stop(done: int, total: int, name: str) -> None:
        assert total == 12
        if name == "conv1:2" and done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.fill(stop)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["conv1-000.png", "conv1-001.png"]
    assert len(made.finished) == 2
    again = folder(net, tmp_path / "a")
    assert again.found == 2
    again.fill()
    folder(net, tmp_path / "b").fill()
    for path in sorted((tmp_path / "b").glob("conv1-0*.png")):
        with Image.open(path) as one, Image.open(tmp_path / "a" / path.name) as other:
            assert (np.asarray(one) == np.asarray(other)).all()


def test_other_settings_are_dreamt_again(net: ls.Net, tmp_path: Path) -> None:
    folder(net, tmp_path).fill()
    for other in (
        replace(QUICK, steps=4), replace(QUICK, seed=1), replace(QUICK, negative=True),
        replace(QUICK, rate=0.1), replace(QUICK, transforms=False),
    ):  # fmt: skip
        assert folder(net, tmp_path, other).found == 0
    assert folder(net, tmp_path).found == 4


def test_another_net_is_dreamt_again(net: ls.Net, tmp_path: Path) -> None:
    folder(net, tmp_path).fill()
    others = [
        rectified(tmp_path / "other", (0.0, 0.0, 0.0, 1.0)),
        replace(net, preprocessing=Preprocessing("RGB")),
        replace(net, preprocessing=Preprocessing(mean=np.ones((3, 10, 12), np.float32))),
        net.reshaped(x=(1, 3, 11, 12)),
    ]
    for other in others:
        assert folder(other, tmp_path).found == 0
    assert folder(net, tmp_path).found == 4


def test_the_first_few(net: ls.Net, tmp_path: Path) -> None:
    dreams = folder(net, tmp_path, first=2).fill()
    assert len(dreams) == 2 and "2 of 4 units" in dreams.statement
    assert folder(net, tmp_path, first=3).found == 2


@pytest.mark.parametrize(
    "facts", ["", "[", "[1]", '{"made from": 3}', '{"made from": {}}', "[" * 9999]
)
def test_a_damaged_picture_is_made_again(net: ls.Net, tmp_path: Path, facts: str) -> None:
    folder(net, tmp_path).fill()
    path = tmp_path / "conv1-001.png"
    whole = path.read_bytes()
    path.write_bytes(png.encode(np.zeros((10, 12, 3), np.uint8), texts={KEY: facts}))
    assert folder(net, tmp_path).found == 3
    path.write_bytes(whole[: whole.index(b"IDAT") + 20])
    assert folder(net, tmp_path).found == 3


def test_files_of_others_stay(net: ls.Net, tmp_path: Path) -> None:
    theirs = png.encode(np.zeros((4, 4), np.uint8))
    (tmp_path / "conv1-002.png").write_bytes(theirs)
    with pytest.raises(UsageError, match="is not a picture of a dream and would be written over"):
        folder(net, tmp_path)
    assert (tmp_path / "conv1-002.png").read_bytes() == theirs
    assert not (tmp_path / "conv1-000.png").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="there is a file"):
        folder(net, tmp_path / "file")


def test_a_sheet_of_others_stays(net: ls.Net, tmp_path: Path) -> None:
    (tmp_path / "conv1-sheet.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r'sheet\.png" is not a picture of a dream'):
        folder(net, tmp_path)
    assert [path.name for path in tmp_path.glob("*.png")] == ["conv1-sheet.png"]
    (tmp_path / "conv1-sheet.png").unlink()
    first = folder(net, tmp_path).fill()
    assert KEY in png.texts((tmp_path / "conv1-sheet.png").read_bytes())
    old = png.encode(first.sheet().pixels, caption=first.statement)  # as recipe 1 wrote it
    (tmp_path / "conv1-sheet.png").write_bytes(old)
    folder(net, tmp_path, first=2).fill()
    assert "2 of 4 units" in png.texts((tmp_path / "conv1-sheet.png").read_bytes())["Description"]


def test_a_folder_that_cannot_be_written_is_told_first(net, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(SystemFaultError, match="cannot write into the folder"):
        folder(net, tmp_path)
