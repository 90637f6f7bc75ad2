"""The folder with every picture: complete, safe names, and nothing of anybody else's touched."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.cli import run
from layerscope.errors import SystemFaultError, UsageError
from layerscope.readers.caffe.write import write_caffemodel
from layerscope.show import album as module
from layerscope.show.album import album, file_name

NAMES = ["conv1/7x7_s2", "conv1_7x7_s2", "CON", "con", "aux", "a:b", "..", "<script>x", "\u00fc"]


def hostile(folder: Path) -> ls.Net:
    """A chain of convolutions whose names are no file names, an in-place layer and a dropout."""
    text = (
        'name: "<b>&"\n'
        'layer { name: "data" type: "Input" top: "data"'
        " input_param { shape { dim: 2 dim: 3 dim: 6 dim: 5 } } }\n"
    )
    bottom, weights = "data", []
    for name in NAMES:
        text += (
            f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"'
            " convolution_param { num_output: 3 kernel_size: 1 bias_term: false } }\n"
        )
        weights.append((name, "", [np.ones((3, 3, 1, 1), np.float32)]))
        bottom = name
    text += (
        f'layer {{ name: "relu" type: "ReLU" bottom: "{bottom}" top: "{bottom}" }}\n'
        f'layer {{ name: "drop" type: "Dropout" bottom: "{bottom}" top: "{bottom}" }}\n'
        f'layer {{ name: "what" type: "Nonsense" bottom: "{bottom}" top: "w" }}\n'
    )
    (folder / "n.prototxt").write_text(text)
    write_caffemodel(folder / "n.caffemodel", "", weights)
    return ls.open(folder / "n.prototxt", folder / "n.caffemodel")


@pytest.fixture
def net(tmp_path: Path) -> ls.Net:
    return hostile(tmp_path)


@pytest.fixture
def blobs(net: ls.Net) -> ls.Blobs:
    computed = [name for name in net.blobs if name != "w"]
    return net.run(np.ones((2, 3, 6, 5), np.float32), computed)


class Links(HTMLParser):
    """What a page refers to, its tags, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_blob_and_param_is_there(net: ls.Net, blobs: ls.Blobs, tmp_path: Path) -> None:
    made = album(net, blobs, tmp_path / "out")
    shown = {(entry.kind, entry.name) for entry in made.entries if entry.file}
    last = NAMES[-1]
    wanted = {("blob", name) for name in ["data", *NAMES[:-1], f"{last}@{last}", f"{last}@relu"]}
    wanted |= {("param", f"{name}/0") for name in NAMES}
    assert shown == wanted
    rest = {(e.layer, e.caption) for e in made.entries if not e.file and e.kind == "blob"}
    assert rest == {("drop", f"the same as {last}@relu")}
    (reason,) = [entry for entry in made.entries if entry.kind == "layer"]
    assert "Nonsense" in reason.caption
    assert made.pictures == len(wanted)
    assert made.statement == f"{len(wanted)} of {len(wanted) + 2} blobs and params drawn"
    files = [entry.file for entry in made.entries if entry.file]
    found = {path.name for path in made.folder.iterdir()}
    assert found == {*files, "index.html", "index.json"}
    for entry in made.entries:
        if entry.file:
            with Image.open(made.folder / entry.file) as image:
                assert image.size == entry.size


def test_file_names_are_safe_everywhere(net: ls.Net, blobs: ls.Blobs, tmp_path: Path) -> None:
    made = album(net, blobs, tmp_path / "out")
    names = [path.name for path in made.folder.iterdir()]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert name.isascii() and not set(name) & set('<>:"/\\|?*')
        assert name.split(".")[0].upper() not in {"CON", "AUX", "NUL", "PRN", "COM1", "LPT1"}
        assert not name.startswith(".") and name[-1] not in ". "
    assert file_name("x" * 500) == "x" * 60


def test_the_index_page(net: ls.Net, blobs: ls.Blobs, tmp_path: Path) -> None:
    made = album(net, blobs, tmp_path / "out")
    page = Links((made.folder / "index.html").read_text())
    assert "script" not in page.tags
    assert all((made.folder / link).is_file() and "/" not in link for link in page.links)
    pictures = [entry.file for entry in made.entries if entry.file]
    assert [link for link in page.links if link.endswith(".png")] == [
        name for name in pictures for _ in range(2)
    ]
    assert "<b>&" in page.text and "<script>x" in page.text and "Nonsense" in page.text
    listed = json.loads((made.folder / "index.json").read_text())
    assert [entry["file"] for entry in listed["pictures"]] == pictures
    assert len(listed["without_picture"]) == 2
    assert listed["made_by"] == "layerscope album" and listed["net"] == "<b>&"


def test_pictures_as_they_are(net: ls.Net, blobs: ls.Blobs, tmp_path: Path) -> None:
    made = album(net, blobs, tmp_path / "out", raw=True, scale="tile")
    entry = next(each for each in made.entries if each.name == "CON")
    grid = ls.grid(blobs["CON"][0], "tile")
    with Image.open(made.folder / entry.file) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), grid.array)
    page = Links((made.folder / "index.html").read_text())
    assert "each by its own" in page.text and "image 0 of 2" in page.text


def test_a_folder_of_ours_is_made_anew(net: ls.Net, blobs: ls.Blobs, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    first = album(net, blobs, folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "999-mine.png").write_text("mine too")
    stale = json.loads((folder / "index.json").read_text())
    for name in ("900-old.png", "notes.txt", "../n.prototxt", "sub"):
        stale["pictures"].append({"file": name})
    (folder / "index.json").write_text(json.dumps(stale))
    (folder / "900-old.png").write_text("of an earlier run")
    second = album(net, blobs, folder)
    assert second.entries == first.entries
    names = {path.name for path in folder.iterdir()}
    assert "900-old.png" not in names
    assert {"notes.txt", "999-mine.png"} <= names
    assert (folder / "notes.txt").read_text() == "mine"
    assert (tmp_path / "n.prototxt").exists()
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize(
    "index", [None, "{", "[]", '{"made_by": "other", "pictures": []}', "[" * 9999]
)
def test_a_folder_of_others_is_refused(
    net: ls.Net, blobs: ls.Blobs, tmp_path: Path, index: str | None
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.txt").write_text("mine")
    if index is not None:
        (folder / "index.json").write_text(index)
    before = sorted(folder.iterdir())
    with pytest.raises(
        UsageError, match=r'has files of others \("a.txt"\); name a new or an empty'
    ):
        album(net, blobs, folder)
    assert sorted(folder.iterdir()) == before


def test_a_file_of_others_with_a_name_of_ours(net: ls.Net, blobs: ls.Blobs, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    made = album(net, blobs, folder)
    index = json.loads((folder / "index.json").read_text())
    name = index["pictures"].pop(3)["file"]
    (folder / "index.json").write_text(json.dumps(index))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match=f'has a file "{name}" of its own'):
        album(net, blobs, made.folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_whole_or_not_at_all(
    net: ls.Net, blobs: ls.Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(module, "index_page", stop)
        with pytest.raises(KeyboardInterrupt):
            album(net, blobs, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="there is a file"):
        album(net, blobs, tmp_path / "file")
    with pytest.raises(UsageError, match="not a usable folder name"):
        album(net, blobs, tmp_path / "a\0b")
    with pytest.raises(SystemFaultError, match="cannot"):
        album(net, blobs, tmp_path / "file" / "out")


def test_progress_counts_to_its_total(net: ls.Net, blobs: ls.Blobs, tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    album(net, blobs, tmp_path / "out", progress=lambda *step: calls.append(step))
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert len({total for _, total, _ in calls}) == 1
    assert calls[-1][0] == calls[-1][1] == len(calls) - 1


def test_the_command(
    small: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.png"
    Image.fromarray(np.full((9, 7, 3), 90, np.uint8)).save(image)
    words = ["show", *map(str, small), str(image), "--all", "-o", str(tmp_path / "out")]
    assert run(words) == 0
    found = capsys.readouterr()
    assert found.out.startswith(f"{tmp_path / 'out' / 'index.html'}: 9 of 9 blobs and params drawn")
    assert found.err == ""
    assert run([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["pictures"] == 9 and len(answer["entries"]) == 9
    assert [each["file"] for each in answer["entries"]][:3] == [
        "001-data.png", "002-conv1_conv1.png", "003-conv1-param0.png",
    ]  # fmt: skip
    assert run([*words, "--blob", "conv1"]) == 2
    assert "--blob NAME, --param LAYER or --all, one of them" in capsys.readouterr().err
    assert run(["show", *map(str, small), "--all"]) == 2
    assert "show --all needs an image" in capsys.readouterr().err
