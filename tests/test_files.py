from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from layerscope.errors import SystemFaultError, UsageError
from layerscope.files import format_of, write_file


def _names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def test_writes_a_new_file_and_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_file(path, b"first")
    write_file(path, b"second, longer")
    assert path.read_bytes() == b"second, longer"
    assert _names(tmp_path) == ["a.bin"]


def test_new_files_get_usual_permissions_and_old_ones_keep_theirs(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", tmp_path / "a.bin"
    plain.write_bytes(b"")
    write_file(path, b"1")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    path.chmod(0o640)
    write_file(path, b"2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SystemFaultError, match=r"a\.bin.*No space left on device"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["a.bin"]


def test_an_interrupt_leaves_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a.bin", b"new")
    assert _names(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemFaultError, match="there is no folder") as caught:
        write_file(tmp_path / "none" / "a.png", b"x")
    assert "\n" not in str(caught.value)


def test_a_read_only_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anything
    with pytest.raises(SystemFaultError, match="Permission denied"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder"):
        write_file(tmp_path, b"x")


@pytest.mark.parametrize("name", ["a\0b.png", "a\ud800.png"])
def test_an_impossible_name_is_refused_in_one_printable_line(tmp_path: Path, name: str) -> None:
    with pytest.raises((UsageError, SystemFaultError)) as caught:
        write_file(tmp_path / name, b"x")
    assert str(caught.value).isprintable()


def test_the_longest_possible_name_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".png")
    write_file(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_file(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.symlink_to(two)
    two.symlink_to(one)
    with pytest.raises((UsageError, SystemFaultError)):
        write_file(one, b"x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_plain_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    # Never a real device here: a fault, run as root, would replace it for the whole machine.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(pipe, b"through")
        assert os.read(reader, 99) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_format_is_the_suffix_in_lower_case() -> None:
    assert format_of(Path("a.b/conv1.JPG"), ("png", "jpg")) == "jpg"


@pytest.mark.parametrize(
    ("name", "words"),
    [("conv1.xyz", 'ends in ".xyz"'), ("conv1", "has no suffix"), (".png", "has no suffix")],
)
def test_an_unknown_suffix_lists_the_known(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"possible: \.png, \.jpg$") as caught:
        format_of(Path(name), ("png", "jpg"))
    assert words in str(caught.value)
