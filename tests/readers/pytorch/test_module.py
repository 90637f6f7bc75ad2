"""Live modules: every layer of ours equals what a forward hook of PyTorch sees."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchnets import KINDS, VGG, ResNet, UNet, seeded

import layerscope as ls
from layerscope.demo import images
from layerscope.errors import UnsupportedError, UsageError

pytestmark = pytest.mark.torch
IMAGE = (1, 3, 29, 37)


def hooked(module: nn.Module, *args: Any, **kwargs: Any) -> tuple[dict[str, np.ndarray], Any]:
    """The output of every call of a leaf module, named as layers are, and the module's own."""
    seen: dict[str, np.ndarray] = {}
    calls: dict[str, int] = {}

    def keep(path: str) -> Any:
        def hook(_part: nn.Module, _inputs: Any, output: Tensor) -> None:
            calls[path] = calls.get(path, 0) + 1
            name = path if calls[path] == 1 else f"{path}:{calls[path]}"
            seen[name] = output.detach().numpy().copy()

        return hook

    leaves = [(path, part) for path, part in module.named_modules() if not any(part.children())]
    handles = [part.register_forward_hook(keep(path)) for path, part in leaves]
    with torch.no_grad():
        result = module.eval()(*args, **kwargs)
    for handle in handles:
        handle.remove()
    return seen, result


def tensors(result: Any) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    else:
        for each in result.values() if isinstance(result, dict) else result:
            yield from tensors(each)


def same(ours: np.ndarray, theirs: Tensor | np.ndarray, tolerance: float = 1e-5) -> None:
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(np.float64) - theirs).max() <= tolerance * max(
        1, np.abs(theirs).max()
    )


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_leaf_is_a_layer_with_its_output(kind: type[nn.Module]) -> None:
    module = seeded(kind)
    net = ls.open(module, IMAGE)
    x = noise(2, *IMAGE[1:])
    seen, result = hooked(module, x)
    blobs = net.run(x.numpy())
    assert len(seen) >= 9
    for name, output in seen.items():
        assert net.layer(name).tops[0] == name
        same(blobs[name], output)
    given = list(tensors(result))
    assert len(net.outputs) == len(given)
    for name, output in zip(net.outputs, given, strict=True):
        same(blobs[name], output)
    assert net.format == "pytorch" and net.name == kind.__name__ and net.notes == ()
    assert net.graph.free_batch


def test_functions_are_layers_of_their_module() -> None:
    net = ls.open(seeded(ResNet), IMAGE)
    names = [layer.name for layer in net.layers]
    assert names[:5] == ["x", "conv1", "bn1", "relu", "maxpool"]
    assert names[-3:] == ["avgpool", "flatten", "fc"]
    block = [name for name in names if name.startswith("layer2.0.")]
    assert [name.removeprefix("layer2.0.") for name in block] == [
        "conv1", "bn1", "relu", "conv2", "bn2", "downsample.0", "downsample.1", "add", "relu:2",
    ]  # fmt: skip
    assert net.layer("layer2.0.add").bottoms == ("layer2.0.bn2", "layer2.0.downsample.1")
    assert {layer.name for layer in ls.open(seeded(UNet), IMAGE).layers} > {
        "max_pool2d", "pad", "cat", "interpolate",
    }  # fmt: skip


class Shadowed(nn.Module):
    """A function of the name that a module has, before and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.relu(F.relu(x) - 1) - 1)


def test_a_module_comes_before_a_function_of_its_name() -> None:
    net = ls.open(Shadowed(), (1, 3))
    assert [layer.name for layer in net.layers] == ["x", "relu:2", "sub", "relu", "sub:2", "relu:3"]
    assert net.run(np.array([[0.5, 1.5, 3]], np.float32))["relu"].tolist() == [[0, 0.5, 2]]


def test_params_are_those_of_the_modules() -> None:
    module = seeded(VGG)
    net = ls.open(module, IMAGE)
    own = dict(module.named_parameters())
    ours = {param.name: param for layer in net.layers for param in layer.params}
    ours = {name: param for name, param in ours.items() if not name.startswith("avgpool")}
    assert ours.keys() == own.keys()
    for name, tensor in own.items():
        assert np.array_equal(ours[name].data, tensor.detach().numpy())
    assert len(net.params["features.0"]) == 2
    conv = ls.open(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False)), (1, 3, 5, 6))
    assert [param.name for param in conv.params["0"]] == ["0.weight"]


class Rows(nn.Module):
    """Linear on three and four axes, with and without a bias; a product whose bias is no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 5, bias=False)
        self.register_buffer("mask", torch.arange(6.0))
        self.gain = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        x = x @ x.transpose(-1, -2) @ x + self.mask
        return self.b(F.gelu(self.a(x)).unsqueeze(1)) + self.gain


def test_a_linear_on_several_axes_is_one_layer_with_the_module_s_params() -> None:
    module = seeded(Rows)
    net = ls.open(module, (1, 4, 6))
    names = [layer.name for layer in net.layers]
    assert names == [
        "x", "transpose", "matmul", "matmul:2", "add", "a", "gelu", "unsqueeze", "b", "add:2",
    ]  # fmt: skip
    layer = net.layer("a")
    assert (layer.bottoms, layer.tops) == (("add",), ("a",))
    assert (layer.type, layer.summary) == ("MatMul", "8 outputs from 6 inputs")
    for name, params in (("a", ["a.weight", "a.bias"]), ("b", ["b.weight"])):
        own = dict(module.named_parameters())
        assert [param.name for param in net.params[name]] == params
        for param in net.params[name]:
            assert np.array_equal(param.data, own[param.name].detach().numpy())
    x = noise(2, 4, 6)
    seen, result = hooked(module, x)
    blobs = net.run(x.numpy())
    for name in ("a", "b"):
        same(blobs[name], seen[name])
    same(blobs["add:2"], result)
    found = ls.explain(net, net.run(x[:1].numpy()), "a:2,3").chain[0]
    assert found.layer is layer and abs(found.difference) < 1e-5 * found.size
    assert [step.op for step in found.steps] == ["Add", "MatMul"]
    assert {operand.weight_source for operand in found.steps[1].operands} == {"a.weight"}
    grown = net.gradient("a", "a.weight", x[:1].numpy())
    mixed = x[:1] @ x[:1].transpose(-1, -2) @ x[:1] + module.mask
    module.zero_grad()
    module.a(mixed).sum().backward()
    same(grown, module.a.weight.grad, 1e-4)


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(self.relu(self.conv(self.relu(x)))))


def test_a_module_called_again_is_another_layer() -> None:
    net = ls.open(seeded(Reused), (1, 3, 5, 6))
    assert [layer.name for layer in net.layers] == [
        "x", "relu", "conv", "relu:2", "conv:2", "relu:3",
    ]  # fmt: skip
    assert net.params["conv:2"][0].shared_with == "conv"
    assert net.layer("conv:2").bottoms == ("relu:2",)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x))


def test_tied_weights_have_the_name_that_they_have_first() -> None:
    net = ls.open(seeded(Tied), (1, 4))
    assert [param.name for param in net.params["a"]] == ["a.weight", "a.bias"]
    assert [param.shared_with for param in net.params["b"]] == ["a", ""]


class Counter(nn.Module):
    """It changes itself in forward, as trackers do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.inner[1].eval()
        self.register_buffer("calls", torch.zeros(()))
        self.last: Tensor | None = None

    def train(self, mode: bool = True) -> Counter:
        raise AssertionError("the module's own train() is not called")

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = self.inner(x)
        return self.last


def test_the_module_is_left_as_it_was() -> None:
    module = seeded(Counter)
    hook = module.inner[0].register_forward_hook(lambda part, inputs, output: None)
    module.inner[0].weight.grad = torch.ones_like(module.inner[0].weight)
    flags = [part.training for part in module.modules()]
    assert flags == [True, True, True, False, True]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    net = ls.open(module, (1, 3, 6, 5))
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in module.modules()] == flags
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert module.last is None
    assert all(param.requires_grad for param in module.parameters())
    assert torch.equal(module.inner[0].weight.grad, torch.ones(4, 3, 3, 3))
    assert list(module.inner[0]._forward_hooks) == [hook.id]
    # The net keeps the weights of now, whatever becomes of the module.
    kept = net.params["inner.0"][0].data.copy()
    with torch.no_grad():
        module.inner[0].weight.add_(1)
    assert np.array_equal(net.params["inner.0"][0].data, kept)
    with pytest.raises(ValueError, match="read-only"):
        net.params["inner.0"][0].data[0] = 0


def test_a_failed_export_leaves_the_module_too() -> None:
    module = Gated().train()
    with pytest.raises(UnsupportedError):
        ls.open(module, (1, 3, 5, 6))
    assert all(part.training for part in module.modules())


class Two(nn.Module):
    def forward(self, image: Tensor, point: Tensor) -> dict[str, Any]:
        return {"a": image.mean((2, 3)) + point, "b": [point * 2, image.amax((1, 2, 3))]}


@pytest.mark.parametrize(
    "example",
    [
        ((1, 3, 5, 6), (1, 3)),
        {"point": (1, 3), "image": (1, 3, 5, 6)},
        (noise(2, 3, 5, 6), noise(2, 3)),
        {"image": noise(1, 3, 5, 6), "point": np.zeros((1, 3), np.float32)},
    ],
)
def test_several_inputs_and_nested_outputs(example: Any) -> None:
    net = ls.open(Two(), example)
    assert sorted(net.inputs) == ["image", "point"] and net.graph.free_batch
    image, point = noise(3, 3, 5, 6), noise(3, 3, seed=2)
    blobs = net.run({"image": image.numpy(), "point": point.numpy()})
    for name, theirs in zip(net.outputs, tensors(Two()(image, point)), strict=True):
        same(blobs[name], theirs)


class Product(nn.Module):
    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        return x.mean((2, 3)) @ table


def test_the_batch_is_fixed_where_inputs_differ_in_it() -> None:
    net = ls.open(Product(), ((1, 3, 5, 6), (3, 4)))
    assert not net.graph.free_batch and "batch is fixed" in net.notes[0]
    x, table = noise(1, 3, 5, 6), noise(3, 4)
    blobs = net.run({"x": x.numpy(), "table": table.numpy()})
    same(blobs[net.outputs[0]], Product()(x, table))
    with pytest.raises(UsageError, match="open the module again"):
        net.run({"x": noise(2, 3, 5, 6).numpy(), "table": table.numpy()})


class OneImage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.reshape(1, 24))


def test_the_batch_is_fixed_where_the_module_fixes_it() -> None:
    net = ls.open(seeded(OneImage), (1, 2, 3, 4))
    assert not net.graph.free_batch and net.blobs["x"].shape == (1, 2, 3, 4)
    x = noise(1, 2, 3, 4)
    same(net.run(x.numpy())["fc"], seeded(OneImage)(x).detach())


def test_another_size_needs_another_example() -> None:
    net = ls.open(seeded(VGG), IMAGE)
    assert net.reshaped(x=(4, 3, 29, 37)).blobs["avgpool"].shape == (4, 5, 5, 4)
    assert net.reshaped(x=(4, 3, 29, 37)).format == "pytorch"
    with pytest.raises(
        UsageError, match=r'"x" is \(1, 3, 29, 37\) in this net.* open the module again'
    ):
        net.reshaped(x=(1, 3, 40, 40))


def test_half_precision() -> None:
    module = seeded(ResNet).half().eval()
    net = ls.open(module, IMAGE)
    x = noise(2, *IMAGE[1:]).half()
    blobs = net.run(x.numpy())
    assert blobs["fc"].dtype == np.float16
    with torch.no_grad():
        same(blobs["fc"], module(x).float(), 4e-3)  # 2 ** -8: a few roundings of float16


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x * 2
        return x


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate = nn.ReLU(), Gate()

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.stem(x))


class Sized(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.shape[2] > 4 else x


def test_a_branch_on_the_numbers_is_refused_by_name(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        UnsupportedError, match=r'layer "gate" of Gated decides .*test_module\.py:\d+'
    ):
        ls.open(Gated(), (1, 3, 5, 6))
    assert capfd.readouterr() == ("", "")
    assert [layer.name for layer in ls.open(Sized(), (1, 3, 5, 6)).layers] == ["x", "mul"]


class Eigen(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x).real


def test_what_onnx_lacks_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnsupportedError, match=r"Eigen.*linalg_eig") as caught:
        ls.open(Eigen(), (1, 4, 4))
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 300
    assert capfd.readouterr() == ("", "")


def test_the_older_exporter_is_the_second_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.readers.torch import export

    def refuse(*_given: Any) -> None:
        raise NotImplementedError("no such op")

    monkeypatch.setattr(export, "_exported", refuse)
    module = seeded(ResNet)
    net = ls.open(module, IMAGE)
    assert any("traced" in note and "no such op" in note for note in net.notes)
    x = noise(*IMAGE)
    seen, _ = hooked(module, x)
    blobs = net.run(x.numpy())
    for name in ("conv1", "layer1.0.conv1", "fc"):
        (layer,) = (each for each in net.layers if each.name.rpartition(".")[0] == name)
        same(blobs[layer.tops[0]], seen[name])


def test_quantized_modules_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r'layer "0" \(Linear\) is quantized'):
        ls.open(quantized(), (1, 8))


def quantized() -> nn.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantization is on its way out of PyTorch
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 4)), {nn.Linear})


def test_modules_that_cannot_be_opened() -> None:
    with pytest.raises(UnsupportedError, match=r"bfloat16.*\.float\(\)"):
        ls.open(nn.Conv2d(3, 4, 3).bfloat16(), (1, 3, 5, 5))
    with pytest.raises(UnsupportedError, match="no numbers yet"):
        ls.open(nn.LazyLinear(3), (1, 4))
    with pytest.raises(UnsupportedError, match="TorchScript"):
        ls.open(scripted(), (1, 3, 5, 5))


def scripted() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(nn.ReLU(), torch.zeros(1, 3, 5, 5))


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (None, "needs an example input"),
        ("cat.jpg", "the example input is a str"),
        (((1, 3, 5, 6), (1, 3)), "does not fit Reused.forward: too many"),
        ({"y": (1, 3, 5, 6)}, "does not fit Reused.forward: missing"),
        ((0, 3, 5, 6), "at least 1"),
    ],
)
def test_examples_that_do_not_fit(example: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ls.open(Reused(), example)


def test_what_is_no_net() -> None:
    with pytest.raises(UsageError, match=r"a dict is no net"):
        ls.open({"a": torch.zeros(3)})
    with pytest.raises(UsageError, match="phase"):
        ls.open(Reused(), (1, 3, 5, 6), phase="TRAIN")
    with pytest.raises(UsageError, match="example input says"):
        ls.open(Reused(), (1, 3, 5, 6), input_shapes={"x": (2, 3, 5, 6)})


def test_an_image_is_fed_as_imagenet_nets_want_it() -> None:
    net = ls.open(Reused(), (1, 3, 4, 5))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    fed = net.run(pixels)["x"]
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    same(fed, ((pixels / 255 - mean) / deviation).transpose(2, 0, 1)[None])
    assert "PyTorch" in net.preprocessing.source


def test_report_and_conversion(tmp_path: Path) -> None:
    import onnxruntime as ort

    net = ls.open(seeded(ResNet), IMAGE)
    pixels = np.random.default_rng(0).integers(0, 256, (29, 37, 3), np.uint8)
    page = ls.report(net, pixels, tmp_path / "net.html").read_text()
    assert "layer2.0.downsample.1" in page and "layer1.0.relu:2" in page
    ls.convert(net, tmp_path / "net.onnx")
    session = ort.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    x = noise(2, *IMAGE[1:]).numpy()
    same(session.run(None, {"x": x})[0], net.run(x)["fc"])


class Pooled(nn.Module):
    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)


@pytest.mark.parametrize(
    ("pool", "space"),
    [
        (nn.AdaptiveAvgPool2d((5, 4)), (7, 9)), (nn.AdaptiveAvgPool2d((7, 9)), (3, 4)),
        (nn.AdaptiveAvgPool2d((3, 2)), (6, 8)), (nn.AdaptiveAvgPool2d((1, 4)), (7, 9)),
        (nn.AdaptiveAvgPool1d(4), (7,)), (nn.AdaptiveAvgPool3d(1), (3, 4, 5)),
        (nn.AdaptiveMaxPool2d((3, 2)), (6, 8)), (nn.AdaptiveMaxPool2d(1), (5, 7)),
        (nn.AvgPool2d((2, 3), 2, (1, 0), divisor_override=5), (6, 8)),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (6, 8)), (nn.AvgPool3d(2, 1), (3, 4, 5)),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (5, 7)),
        (nn.GroupNorm(3, 6), (4, 5)), (nn.GroupNorm(2, 6, affine=False), (5,)),
    ],
)  # fmt: skip
def test_translations_equal_pytorch(pool: nn.Module, space: tuple[int, ...]) -> None:
    for param in pool.parameters():
        nn.init.normal_(param, generator=torch.Generator().manual_seed(5))
    net = ls.open(Pooled(pool), (1, 6, *space))
    x = noise(2, 6, *space)
    same(net.run(x.numpy())["pool"], pool(x).detach())


class Places(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.adaptive_max_pool2d(x, (2, 3), return_indices=True)


def test_places_of_an_adaptive_maximum() -> None:
    net = ls.open(Places(), (1, 3, 4, 6))
    x = noise(2, 3, 4, 6)
    blobs = net.run(x.numpy())
    values, places = Places()(x)
    same(blobs[net.outputs[0]], values)
    assert np.array_equal(blobs[net.outputs[1]], places.numpy())


def test_python_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "pytorch.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    shutil.copy(images()["cat"], tmp_path / "cat.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "pytorch.md", "exec"), names)
    assert names["blobs"]["2"].shape == (1, 8, 4, 4)
    assert names["net"].params["0"][0].shape == (8, 3, 3, 3)
    assert (tmp_path / "module.html").exists() and (tmp_path / "module.onnx").exists()
