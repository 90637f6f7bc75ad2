from __future__ import annotations

import gzip
import io
import os
import pickle  # noqa: TID251 - to make the file that is refused
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope
from layerscope.errors import LayerscopeError, ReadError, SystemFaultError, UsageError
from layerscope.readers.file import InputFile

WEB = "a web page, not a net; download the raw file instead of the page that shows it"
ZIP = "a zip archive (PyTorch's files are too), not a net; give a net, or unpack it"
PICKLE = (
    "a Python pickle, not a net; it could run a program, so it is not opened; PyTorch weights: save"
    " them with today's torch.save"
)
IMAGE = "an image, not a net; the order is NET WEIGHTS IMAGE"
ARCHIVE = "an archive, not a net; unpack it first"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net.prototxt", "layer {}")
    return buffer.getvalue()


def image(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, kind)
    return buffer.getvalue()


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


IMPOSTORS = [
    ("page", b"<!DOCTYPE html>\n<html><body>404</body></html>", WEB),
    ("page in capitals", b"\r\n  <HTML>", WEB),
    ("page with a mark", b"\xef\xbb\xbf<html>", WEB),
    ("page that begins with a comment", b"<!-- a page -->", WEB),
    ("xml", b'<?xml version="1.0"?>', WEB),
    (
        "lfs",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 243862414\n",
        "a Git LFS pointer, not a net; fetch the file itself with git lfs pull",
    ),
    ("gzip", gzip.compress(b"layer {}"), "a gzip archive, not a net; unpack it first"),
    ("zip", zipped(), ZIP),
    ("7z", b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    ("rar", b"Rar!\x1a\x07\x01\x00", ARCHIVE),
    ("bzip2", b"BZh91AY&SY", ARCHIVE),
    ("xz", b"\xfd7zXZ\x00", ARCHIVE),
    *((f"pickle {p}", pickle.dumps({"a": 1}, protocol=p), PICKLE) for p in (2, 3, 4, 5)),
    ("png", image("PNG"), IMAGE),
    ("jpeg", image("JPEG"), IMAGE),
    ("gif", image("GIF"), IMAGE),
    ("pdf", b"%PDF-1.7\n", "a PDF document, not a net; give the net's definition"),
    ("npy", array(), "a NumPy array, not a net; give the net's definition"),
    ("program", b"\x7fELF\x02\x01", "a program, not a net; give the net's definition"),
    ("empty", b"", "the file is empty"),
]


@pytest.mark.parametrize(
    ("content", "message"), [pytest.param(c, m, id=name) for name, c, m in IMPOSTORS]
)
@pytest.mark.parametrize("suffix", ["prototxt", "caffemodel"])
def test_impostors_are_named(tmp_path: Path, content: bytes, message: str, suffix: str) -> None:
    path = tmp_path / f"net.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ReadError) as caught:
        InputFile(path)
    assert str(caught.value) == f"net.{suffix}: {message}"


def test_impostors_in_the_place_of_the_weights(tmp_path: Path, small: tuple[Path, Path]) -> None:
    path = tmp_path / "weights.caffemodel"
    path.write_bytes(b"<html>")
    with pytest.raises(ReadError, match=r"^weights\.caffemodel: a web page, not a net"):
        layerscope.open(small[0], path)
    with pytest.raises(ReadError, match=r"^small\.prototxt: a text definition, but the weights"):
        layerscope.open(small[0], small[0])


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'name: "a"', "text"),
        (b"\n", "text"),
        (b'\xef\xbb\xbfname: "a"', "text"),
        ('name: "a"'.encode("utf-16"), "text"),
        ("# 中文\r\n\tname: 'a'\f\v".encode("gbk"), "text"),
        (b"# \x1b[31m\nname: 'a'\x1a", "text"),
        (b"\x0a\x01a\xa2\x06\x00", "binary"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "hdf5"),
        (b"# " + b" " * 5000 + b"\x00", "text"),
    ],
)
def test_the_kind_is_found_by_content(tmp_path: Path, content: bytes, kind: str) -> None:
    for name in ("net.prototxt", "net.caffemodel", "net"):
        path = tmp_path / name
        path.write_bytes(content)
        file = InputFile(str(path))
        assert file.kind == kind
        assert file.name == name
        assert bytes(file.view) == content
        assert file.view.readonly


def test_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        InputFile("nets/none.prototxt")
    assert str(caught.value) == "nets/none.prototxt: no such file"
    Path("link.prototxt").symlink_to("none.prototxt")
    with pytest.raises(UsageError, match=r"^link\.prototxt: no such file$"):
        InputFile("link.prototxt")


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nets").mkdir()
    with pytest.raises(SystemFaultError, match=r"^nets: a folder; a net is a file$"):
        InputFile("nets")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.prototxt")
    with pytest.raises(
        SystemFaultError, match=r"^pipe\.prototxt: not a regular file; a net is a file$"
    ):
        InputFile("pipe.prototxt")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs Linux's devices")
def test_a_device() -> None:
    with pytest.raises(SystemFaultError, match=r"^/dev/zero: not a regular file; a net is a file$"):
        InputFile("/dev/zero")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs sockets with a name")
def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
        with pytest.raises(SystemFaultError, match=r"^socket: cannot be opened: "):
            InputFile("socket")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(b"layer {}")
    path.chmod(0)
    with pytest.raises(
        SystemFaultError, match=r"^net\.prototxt: cannot be opened: Permission denied$"
    ):
        InputFile(path)


def test_a_refusal_of_the_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(b"layer {}")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(
        SystemFaultError, match=r"^net\.prototxt: cannot be opened: Permission denied$"
    ):
        InputFile(path)


def test_a_name_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(SystemFaultError, match=r"^net\.prototxt: cannot be opened: Not a dir"):
        InputFile(tmp_path / "a" / "net.prototxt")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31m.prototxt", r"a\x1b[31m.prototxt"),
        ("a\nb.prototxt", r"a\nb.prototxt".replace(r"\n", r"\x0a")),
        ("a\u202eb.prototxt", r"a\u202eb.prototxt"),
        ("a\udcffb.prototxt", r"a\udcffb.prototxt"),
    ],
)
def test_names_are_made_printable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as missing:
        InputFile(name)
    assert str(missing.value) == f"{shown}: no such file"
    try:
        Path(name).write_bytes(b"}")
    except OSError:
        pytest.skip("this file system has no such names")
    for content, message in (
        (b"", ": the file is empty"),
        (b"}", ':1:1: a field name should stand here, found "}"'),
        (b"\x08\x80", " @1: the file ends early, at byte 2: cut off or damaged"),
    ):
        Path(name).write_bytes(content)
        with pytest.raises(LayerscopeError) as caught:
            layerscope.open(name)
        assert str(caught.value) == shown + message


def test_impossible_names() -> None:
    with pytest.raises(SystemFaultError, match=r"^a\\x00b: cannot be opened: "):
        InputFile("a\0b")
    with pytest.raises(SystemFaultError, match=r"cannot be opened: File name too long$") as caught:
        InputFile("a" * 5000)
    assert len(str(caught.value)) < 200


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text('layer { name: "x" }')
    file = InputFile(path)
    file.check_unchanged()
    path.write_text('layer { name: "xyz" }')
    with pytest.raises(ReadError, match=r"net\.prototxt: changed while it was read; try again"):
        file.check_unchanged()
    path.unlink()
    file.check_unchanged()
