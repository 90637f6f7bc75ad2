"""What is told apart and said without PyTorch; and `.safetensors`, which needs none."""

from __future__ import annotations

import json
import struct
import sys
import zipfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import layerscope as ls
from layerscope import cli
from layerscope.errors import ReadError, SystemFaultError, UnsupportedError, UsageError


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"")
    return path


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no package of the extra is installed."""
    from layerscope.readers import torch

    monkeypatch.setattr(torch, "find_spec", lambda name: None)


@pytest.mark.usefixtures("without_torch")
def test_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path / "weights.pt", "weights/data.pkl", "weights/data/0")
    extra = r"needs the package torch: pip install 'layerscope\[torch\]'"
    with pytest.raises(SystemFaultError, match=r"weights\.pt: reading PyTorch weights " + extra):
        ls.open(path)
    assert cli.run(["shapes", str(path)]) == 6
    assert "layerscope[torch]" in capsys.readouterr().err
    fake = ModuleType("torch")
    fake.nn = ModuleType("torch.nn")  # type: ignore[attr-defined]
    fake.nn.Module = type("Module", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", fake)
    with pytest.raises(SystemFaultError, match="a PyTorch module " + extra):
        ls.open(fake.nn.Module(), (1, 3, 5, 5))  # type: ignore[attr-defined]


def test_a_folder_called_torch_is_not_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.readers import torch

    monkeypatch.setattr(torch, "find_spec", lambda name: ModuleSpec(name, None))
    with pytest.raises(SystemFaultError, match="needs the package torch"):
        ls.open(archive(tmp_path / "weights.pt", "weights/data.pkl"))


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        (
            ("a/data.pkl", "a/constants.pkl", "a/code/x.py"),
            UnsupportedError,
            "TorchScript, a program",
        ),
        (("a/data.pkl", "a/code/__torch__.py"), UnsupportedError, "TorchScript, a program"),
        (("a/archive_format", "a/models/model.json"), UnsupportedError, "an exported program"),
        (("serialized_exported_program.json",), UnsupportedError, "an exported program"),
        (("net.prototxt",), ReadError, "a zip archive"),
    ],
)
def test_archives_are_told_apart(
    tmp_path: Path, names: tuple[str, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ls.open(archive(tmp_path / "file.pt", *names))


def test_a_cut_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "cut.pt", "a/data.pkl", "a/data/0")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ReadError, match=r"cut\.pt: a zip archive .* damaged"):
        ls.open(path)


def test_what_is_neither_a_path_nor_a_module() -> None:
    with pytest.raises(UsageError, match="a list is no net"):
        ls.open([1, 2])


# --- safetensors ---


def written(path: Path, table: object, numbers: bytes = b"") -> Path:
    words = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(words)) + words + numbers)
    return path


def entry(kind: str, dims: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": kind, "shape": dims, "data_offsets": [start, end]}


def test_safetensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weight = np.arange(6, dtype="<f4").reshape(2, 3)
    halves = np.array([0x3F80, 0xC000, 0x4049], "<u2")  # 1, -2 and 3.140625 in bfloat16
    numbers = weight.tobytes() + halves.tobytes() + b"\x07\x09\x01"
    table = {
        "__metadata__": {"format": "pt"},
        "features.0.weight": entry("F32", [2, 3], 0, 24),
        "features.0.bias": entry("BF16", [3], 24, 30),
        "flag": entry("BOOL", [], 32, 33),
        "odd": entry("F8_E4M3", [2], 30, 32),
    }
    path = written(tmp_path / "net.safetensors", table, numbers)
    net = ls.open(path)
    assert (net.format, net.name) == ("safetensors", "net")
    assert np.array_equal(net.params["features.0"][0].data, weight)
    assert np.array_equal(net.params["features.0"][1].data, [1, -2, 3.140625])
    assert net.params["flag"][0].data == np.True_
    assert "1 of 4 tensors have number types that are not read: odd" in net.notes[1]
    assert cli.run(["shapes", str(path)]) == 0
    told = capsys.readouterr().out
    assert "features.0  (2, 3) (3,)" in told and "total: 10 weights (31 B)" in told
    with pytest.raises(UnsupportedError, match="without a net"):
        net.run(np.zeros((1, 3, 8, 8), np.float32))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"a": entry("F32", [2, 3], 0, 20)}, "does not fit bytes 0 to 20"),
        ({"a": entry("F32", [2, 4], 0, 32)}, "does not fit bytes 0 to 32 of 24"),
        ({"a": entry("F32", [-2, -3], 0, 24)}, "damaged entry"),
        ({"a": entry("F32", [2**62, 4], 0, 24)}, "does not fit"),
        ({"a": {"dtype": "F32"}}, "damaged entry"),
        ({"a": 3}, "damaged entry"),
        ({}, "no tensors"),
    ],
)
def test_damaged_tables(tmp_path: Path, table: object, words: str) -> None:
    with pytest.raises(ReadError, match=words):
        ls.open(written(tmp_path / "net.safetensors", table, bytes(24)))


def test_a_table_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(struct.pack("<Q", 9) + b'{"a": [1,')
    with pytest.raises(ReadError, match="no JSON object"):
        ls.open(path)
    path.write_bytes(struct.pack("<Q", 100_000) + b"{" + b"[" * 100_000)
    with pytest.raises(ReadError, match="no JSON object"):
        ls.open(path)
