"""Modules against modules, against their ONNX files, and weights against weights."""

from __future__ import annotations

import copy
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torchnets import VGG, ConvNeXt, DenseNet, Inception, MobileNet, ResNet, UNet, seeded

import layerscope as ls
from layerscope import cli

pytestmark = pytest.mark.torch
IMAGE = (1, 3, 29, 37)
X = np.random.default_rng(3).normal(size=IMAGE).astype(np.float32)
# The layer to change, and what shows it first in a file whose exporter folded the batch norms.
PLANTED = {
    ResNet: ("layer1.1.conv2", "layer1.1.bn2"),
    VGG: ("features.3", "features.3"),
    Inception: ("branch7.conv", "branch7.bn"),
    DenseNet: ("block.1.conv1", "block.1.norm2"),
    MobileNet: ("features.3.conv.0.0", "features.3.conv.0.1"),
    UNet: ("join", "join"),
    ConvNeXt: ("stages.1.dwconv", "stages.1.dwconv"),
}
KINDS = pytest.mark.parametrize("kind", PLANTED, ids=lambda kind: kind.__name__)


def scaled(module: nn.Module, path: str, factor: float = 1.05) -> nn.Module:
    other = copy.deepcopy(module)
    with torch.no_grad():
        other.get_submodule(path).weight.mul_(factor)
    return other


@KINDS
def test_module_against_module_and_against_its_file(kind: type[nn.Module], tmp_path: Path) -> None:
    module, (layer, _) = seeded(kind), PLANTED[kind]
    net, other = ls.open(module, IMAGE), ls.open(scaled(module, layer), IMAGE)
    ls.convert(net, tmp_path / "same.onnx")
    ls.convert(other, tmp_path / "other.onnx")
    same = ls.compare(net, ls.open(tmp_path / "same.onnx"), X, threshold=0)
    assert same.first is None and len(same.rows) == len(net.blobs)
    for b in (other, ls.open(tmp_path / "other.onnx")):
        found = ls.compare(net, b, X)
        assert found.first is not None and found.first.layer_a == found.first.layer_b == layer
        before = found.rows[: found.rows.index(found.first)]
        assert len(before) >= 3 and all(row.worst.equal for row in before)
        weights = ls.compare(net, b, weights=True)
        assert [row.a for row in weights.rows if row.beyond] == [f"{layer}.weight"]
        assert weights.rows[0].worst.equal


@pytest.mark.parametrize("kind", [ResNet, Inception, MobileNet, UNet], ids=lambda k: k.__name__)
@pytest.mark.parametrize("dynamo", [True, False])
def test_module_against_the_file_of_an_exporter(
    kind: type[nn.Module], dynamo: bool, tmp_path: Path
) -> None:
    """Batch norms are folded into the weights before them, under the name of those."""
    module, (layer, shown) = seeded(kind).eval(), PLANTED[kind]
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(IMAGE),), path, dynamo=dynamo, verbose=False)
    file, plain = ls.open(path), ls.open(module, IMAGE)
    weight = f"{layer}.weight"
    tensors = {**plain.graph.tensors, weight: plain.graph.tensors[weight] * np.float32(1.05)}
    planted = replace(plain, graph=replace(plain.graph, tensors=tensors))
    for net in (plain, planted):
        found = ls.compare(net, file, X)
        assert (found.first and found.first.layer_a) == (shown if net is planted else None)
        assert len(found.rows) + len(found.only_a) == len(net.blobs)
        assert {row.a for row in found.rows} >= set(net.outputs)


class Dilated(nn.Module):
    """Three convs; the second with a dilation that keeps the shape."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=dilation, dilation=dilation)
        self.three = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.three(self.two(self.one(x).relu()).relu())


def test_a_changed_dilation(tmp_path: Path) -> None:
    torch.manual_seed(4)
    one, other = Dilated(1), Dilated(2)
    other.load_state_dict(one.state_dict())
    a, b = ls.open(one, IMAGE), ls.open(other, IMAGE)
    ls.convert(b, tmp_path / "b.onnx")
    for second in (b, ls.open(tmp_path / "b.onnx")):
        found = ls.compare(a, second, X)
        assert found.first is not None and found.first.layer_a == "two"
        assert ls.compare(a, second, weights=True, threshold=0).first is None


def _safetensors(state: dict[str, torch.Tensor], path: Path) -> None:
    """As https://huggingface.co/docs/safetensors has it: a length, JSON, numbers."""
    heads, data = {}, b""
    for name, tensor in state.items():
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        raw = tensor.numpy().tobytes()
        place = [len(data), len(data) + len(raw)]
        heads[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": place}
        data += raw
    words = json.dumps(heads).encode()
    path.write_bytes(len(words).to_bytes(8, "little") + words + data)


def test_the_command_on_weights_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = seeded(ResNet)
    other = scaled(module, "layer1.1.conv2")
    torch.save(module.state_dict(), "a.pt")
    torch.save(other.state_dict(), "b.pt")
    _safetensors(other.state_dict(), Path("b.safetensors"))
    ls.convert(ls.open(other, IMAGE), "b.onnx")
    np.save("x.npy", X)
    capfd.readouterr()
    for b, rows in (("b.pt", 50), ("b.safetensors", 50), ("b.onnx", 42)):
        words = ["compare", "a.pt", b, "--weights", "--json"]
        assert cli.run(words) == 0
        content = json.loads(capfd.readouterr().out)
        assert content["first"] == "layer1.1.conv2.weight" and content["aligned"] == rows
        assert sum(row["beyond"] for row in content["rows"]) == 1
        assert content["only_b"] == []
        for level, code in ((0.049, 1), (0.051, 0)):
            assert cli.run([*words, "--fail-above", str(level)]) == code
        capfd.readouterr()
    assert cli.run(["compare", "a.pt", "a.pt", "--weights", "--fail-above", "0"]) == 0
    capfd.readouterr()
    for words in (["a.pt", "b.pt"], ["b.onnx", "a.pt"]):
        assert cli.run(["compare", *words, "--input", "x.npy"]) == 2
        err = capfd.readouterr().err
        assert '"a", is weights without a net, which cannot run: --weights' in err
