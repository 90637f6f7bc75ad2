"""Weights that torch.save wrote: listed and drawn, never unpickled."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torchnets import ResNet, seeded

import layerscope as ls
from layerscope import cli
from layerscope.errors import ReadError, UnsupportedError, UsageError

pytestmark = pytest.mark.torch


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save(seeded(ResNet).state_dict(), tmp_path / "resnet.pt")
    return tmp_path / "resnet.pt"


def test_params_by_the_prefix_of_their_names(saved: Path) -> None:
    net = ls.open(saved)
    state = seeded(ResNet).state_dict()
    assert net.name == "resnet" and net.format == "pytorch" and net.blobs == {}
    assert list(net.params)[:3] == ["conv1", "bn1", "layer1.0.conv1"]
    assert [param.name for param in net.params["layer2.0.downsample.1"]] == [
        f"layer2.0.downsample.1.{each}"
        for each in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    params = {param.name: param for layer in net.layers for param in layer.params}
    assert params.keys() == state.keys()
    for name, tensor in state.items():
        assert np.array_equal(params[name].data, tensor.numpy())
        assert not params[name].data.flags.writeable


def test_it_does_not_run(saved: Path, tmp_path: Path) -> None:
    net = ls.open(saved)
    words = r"resnet\.pt holds weights without a net.*layerscope\.open\(module, example\)"
    for blobs in (None, ["conv1"]):
        with pytest.raises(UnsupportedError, match=words):
            net.run(np.zeros((1, 3, 8, 8), np.float32), blobs)
    with pytest.raises(UnsupportedError, match=words):
        ls.convert(net, tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=words):
        ls.report(net, np.zeros((8, 8, 3), np.uint8), tmp_path / "net.html")
    assert [each.name for each in tmp_path.iterdir()] == ["resnet.pt"]


def test_commands(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["shapes", str(saved)]) == 0
    told = capsys.readouterr()
    assert "layer1.0.conv1" in told.out and "(6, 6, 3, 3)" in told.out
    assert "multiply-adds" not in told.out and "without a net" in told.err
    assert cli.run(["shapes", str(saved), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["params"]
    assert rows[0]["layer"] == "conv1" and rows[0]["shapes"] == [[6, 3, 7, 7]]
    picture = saved.with_suffix(".png")
    assert cli.run(["show", str(saved), "--param", "conv1", "-o", str(picture)]) == 0
    assert picture.stat().st_size > 500
    assert "6 of 6 filters shown" in capsys.readouterr().out
    assert cli.run(["report", str(saved), str(picture)]) == 2
    assert "holds weights without a net" in capsys.readouterr().err


def test_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pth"
    half = torch.arange(6.0).reshape(2, 3).bfloat16()
    state = {
        "c.weight": half,
        "c.bias": torch.ones(2),
        "step": 3,
        "wide": torch.ones(1).expand(9**9),
    }
    torch.save({"epoch": 4, "optimizer": {"lr": 0.1}, "state_dict": state}, path)
    net = ls.open(path)
    assert np.array_equal(net.params["c"][0].data, [[0, 1, 2], [3, 4, 5]])
    assert [param.bytes for param in net.params["c"]] == [6 * 2, 2 * 4]
    notes = " | ".join(net.notes)
    assert '"state_dict" of a checkpoint' in notes and "not shown: epoch, optimizer" in notes
    assert "not shown: state_dict/step" in notes and "1 of 3 tensors" in notes and "wide" in notes


class Program:
    """What runs a command when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.sentinel}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_program_in_a_pickle_never_runs(tmp_path: Path, zipped: bool) -> None:
    sentinel, path = tmp_path / "ran", tmp_path / "evil.pt"
    torch.save(
        {"a": torch.zeros(3), "b": Program(sentinel)}, path, _use_new_zipfile_serialization=zipped
    )
    words = "could run a program, so it is not opened"
    with pytest.raises(ReadError, match=words):
        ls.open(path)
    assert not sentinel.exists()
    torch.load(path, weights_only=False)  # it would have
    assert sentinel.exists()


def test_what_is_no_table_of_tensors(tmp_path: Path) -> None:
    torch.save(torch.nn.Conv2d(3, 4, 3), tmp_path / "module.pt")
    with pytest.raises(ReadError, match=r"torch\.nn\.modules\.conv\.Conv2d.*state_dict"):
        ls.open(tmp_path / "module.pt")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    with pytest.raises(ReadError, match="holds a list"):
        ls.open(tmp_path / "list.pt")
    torch.save({"lr": 0.1}, tmp_path / "empty.pt")
    with pytest.raises(ReadError, match="no tensors by name"):
        ls.open(tmp_path / "empty.pt")
    torch.save(torch.ones(2, 3), tmp_path / "one.pt")
    assert ls.open(tmp_path / "one.pt").params["tensor"][0].shape == (2, 3)


def test_damaged_files_are_refused(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    damaged = tmp_path / "damaged.pt"
    generator = np.random.default_rng(0)
    for end in generator.integers(4, len(whole) - 1, 8):
        damaged.write_bytes(whole[:end])
        with pytest.raises(ReadError):
            ls.open(damaged)
    start = whole.index(b"data.pkl")
    for at in generator.integers(start, start + 1500, 40):
        changed = bytearray(whole)
        changed[at] ^= 0x15
        damaged.write_bytes(changed)
        try:
            ls.open(damaged)
        except ls.LayerscopeError as error:
            assert len(str(error).splitlines()) == 1


def test_programs_are_refused_with_the_way_to_onnx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.zeros(1, 3)), "script.pt")
        program = torch.export.export(torch.nn.ReLU(), (torch.zeros(1, 3),))
        torch.export.save(program, "net.pt2")
    with pytest.raises(UnsupportedError, match=r"TorchScript.*torch\.onnx\.export\(module"):
        ls.open("script.pt")
    with pytest.raises(UnsupportedError) as caught:
        ls.open("net.pt2")
    call = str(caught.value).partition("write it as ONNX: ")[2]
    from layerscope.readers.torch.state import silence

    with silence():
        eval(call, {"torch": torch})  # the way that the message shows works
    assert [layer.type for layer in ls.open("net.onnx").layers] == ["Input", "Relu"]


def test_weights_do_not_go_with_a_definition(saved: Path) -> None:
    from layerscope.demo import DEFINITION

    with pytest.raises(
        UsageError, match=r"resnet\.pt holds weights without a net, and not Caffe's"
    ):
        ls.open(DEFINITION, saved)
    with pytest.raises(UsageError, match="no inputs"):
        ls.open(saved, input_shapes={"x": (1, 3, 8, 8)})
