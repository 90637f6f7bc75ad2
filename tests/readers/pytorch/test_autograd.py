"""Gradients of whole nets against PyTorch's autograd, which runs in double precision here."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchnets import KINDS, seeded

import layerscope as ls

pytestmark = pytest.mark.torch
IMAGE = (2, 3, 29, 37)
TOLERANCE = 1e-4  # of the largest number of each gradient
NOTHING = 0.1  # a gradient below that is held against this: some are 0 but for rounding


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def first(result: Any) -> Tensor:
    """The output that the gradient is of."""
    while not isinstance(result, Tensor):
        result = next(iter(result.values() if isinstance(result, dict) else result))
    return result


class Autograd:
    """What PyTorch says: gradients of input, params and every output of a leaf module.

    Args:
        module: it is copied, and the copy computes in float64.
        x: the input; whole numbers get no gradient.
        seed: seeds the numbers that are put on the output.
    """

    def __init__(self, module: nn.Module, x: Tensor, seed: int = 5) -> None:
        self.blobs: dict[str, Tensor] = {}
        calls: dict[str, int] = {}
        double = deepcopy(module).double().eval()

        def keep(path: str) -> Any:
            def hook(_part: nn.Module, _inputs: Any, output: Any) -> Any:
                calls[path] = calls.get(path, 0) + 1
                name = path if calls[path] == 1 else f"{path}:{calls[path]}"
                if not isinstance(output, Tensor) or not output.requires_grad:
                    return None
                output.retain_grad()
                self.blobs[name] = output
                return output.clone()  # what works in place then leaves the kept one alone

            return hook

        for path, part in double.named_modules():
            if path and not any(part.children()):
                part.register_forward_hook(keep(path))
        self.x = x.double().requires_grad_() if x.is_floating_point() else x
        y = first(double(self.x))
        self.seed = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed)).double()
        (y * self.seed).sum().backward()
        self.params = dict(double.named_parameters())

    def wants(self, name: str) -> dict[str, np.ndarray]:
        """Everything that has a gradient, by our names; `name` is that of the input."""
        named = {**self.params, **self.blobs}
        if self.x.is_floating_point():
            named[name] = self.x
        return {name: t.grad.numpy() for name, t in named.items() if t.grad is not None}


def our_names(net: ls.Net, own: Autograd) -> dict[str, str]:
    """PyTorch's name to ours: the same, or that of the param which holds the same numbers.

    The export turns or reshapes some weights and names them anew.
    """
    ours = {param.name: param for layer in net.layers for param in layer.params}
    found = {}
    for name in own.wants(net.inputs[0]):
        if name in net.blobs or name in ours:
            found[name] = name
            continue
        theirs = own.params[name].detach().numpy().astype(np.float32)
        for key, param in ours.items():
            if {theirs.tobytes(), theirs.T.tobytes()} & {np.asarray(param.data).tobytes()}:
                found[name] = key
    return found


def assert_equals_autograd(module: nn.Module, x: Tensor, *, but: str = "nothing") -> int:
    """Open, derive and compare by every name; the number of arrays that were compared.

    `but` begins the names of params whose numbers the export puts into another order.
    """
    own = Autograd(module, x)
    net = ls.open(module, x)
    wants, names = own.wants(net.inputs[0]), our_names(net, own)
    assert {name for name in wants if name not in names and not name.startswith(but)} == set()
    names = {name: key for name, key in names.items() if not name.startswith(but)}
    of = {net.outputs[0]: own.seed.numpy()}
    gots = net.gradient(of, list(names.values()), {net.inputs[0]: x.numpy()})
    for name, key in names.items():
        want, got = wants[name], gots[key]
        if name != key:  # turned or reshaped
            got = got.T if got.shape == want.T.shape else got.reshape(want.shape)
        assert got.shape == want.shape, name
        worst, largest = np.abs(got - want).max(), max(np.abs(want).max(), NOTHING)
        assert worst <= TOLERANCE * largest, (
            f"{name}: {worst:.3g} off at a largest of {largest:.3g}"
        )
    return len(names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_whole_nets(kind: type[nn.Module]) -> None:
    """With respect to the input, all params and what every leaf gives."""
    assert assert_equals_autograd(seeded(kind), noise(*IMAGE)) > 15


class Attending(nn.Module):
    """A small transformer: patches, positions, two blocks, the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 5, 5)
        self.place = nn.Parameter(torch.randn(35, 8))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=first, activation=act)
            for first, act in ((True, "gelu"), (False, "relu"))
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


def test_a_transformer() -> None:
    assert assert_equals_autograd(seeded(Attending), noise(*IMAGE)) > 25


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).view(2, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


def test_attention_to_what_came_before() -> None:
    assert assert_equals_autograd(seeded(Causal), noise(2, 5, 8)) == 7


class Classifier(nn.Module):
    """The last step of a recurrent layer, as sequences are classified."""

    def __init__(self, kind: type[nn.RNNBase], **how: Any) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 5)
        self.layer = kind(5, 3, batch_first=True, **how)
        self.head = nn.Linear(6 if how.get("bidirectional") else 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(torch.relu(self.stem(x)))[0][:, -1])


@pytest.mark.parametrize("both", [False, True], ids=["forward", "both ways"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN], ids=lambda kind: kind.__name__)
def test_recurrent_layers(kind: type[nn.RNNBase], both: bool) -> None:
    """Through all steps to what is in front of them, whose weights come behind them all."""
    module = seeded(lambda: Classifier(kind, num_layers=2, bidirectional=both))
    assert assert_equals_autograd(module, noise(2, 7, 4), but="layer.") == 7


class Mixture(nn.Module):
    """Fan-out, a module called twice, work in place, groups, dilation, uneven frames and windows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=(2, 1), dilation=2)
        self.twice = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.slope = nn.PReLU(6)
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.mean = nn.AvgPool2d((3, 2), 2, (1, 0), ceil_mode=True, count_include_pad=False)
        self.back = nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1, groups=2)
        self.norm = nn.InstanceNorm2d(4, affine=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.stem(x)
        b = self.slope(self.twice(a))
        c = F.relu_(self.twice(b) + a)
        d = torch.cat(
            [self.pool(c), F.pad(self.mean(b), (0, 1, 1, 0), mode="replicate")[:, :, :14, :19]], 2
        )
        e = self.norm(self.back(F.pad(d, (1, 2, 2, 1), mode="reflect")))
        e = F.interpolate(e, size=(9, 11), mode="bicubic", align_corners=False)
        return self.head(e.sigmoid().mul(e).amax((2, 3)) + e.std((2, 3)))


def test_a_mixture() -> None:
    assert assert_equals_autograd(seeded(Mixture), noise(2, 3, 27, 38)) > 20


# Modules that have an op, or a setting of one, that the nets above do not have.
LEAVES = [
    nn.CELU(1.3), nn.GLU(1), nn.Hardshrink(), nn.Hardtanh(-0.4, 0.9), nn.LogSigmoid(), nn.Mish(),
    nn.SELU(), nn.Softmin(1), nn.Softplus(2, 0.5), nn.Softshrink(), nn.Tanhshrink(),
    nn.Threshold(0.1, 0.3), nn.GELU("tanh"), nn.BatchNorm2d(4), nn.LayerNorm([6, 9]),
    nn.RMSNorm(9), nn.LocalResponseNorm(3), nn.LPPool2d(2, 2), nn.AdaptiveAvgPool2d((4, 5)),
    nn.AdaptiveMaxPool2d((3, 3)), nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.PixelShuffle(2),
    nn.PixelUnshuffle(3), nn.ChannelShuffle(2), nn.Unfold((2, 3), padding=1, stride=2),
    nn.ReflectionPad2d((1, 2, 2, 1)), nn.CircularPad2d((1, 2, 2, 1)), nn.ConstantPad2d((1, -2, 2, 1), 3.0),
    nn.Conv2d(4, 3, 5, padding="same", dilation=2), nn.Conv2d(4, 3, 3, padding=1, padding_mode="circular"),
    nn.Upsample(scale_factor=1.7, mode="bilinear"), nn.Upsample((7, 4), mode="bicubic"),
    nn.Upsample((7, 4), mode="nearest-exact"), nn.MaxPool2d(3, 1, dilation=2), nn.Softmax2d(),
]  # fmt: skip


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: type(leaf).__name__)
def test_leaves(leaf: nn.Module) -> None:
    """Behind a product, so that what is in front of the leaf has a gradient of its own."""
    module = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 1), leaf))
    assert assert_equals_autograd(module, noise(2, 3, 6, 9)) >= 5


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "einsum": lambda x: torch.einsum("nij,nik->njk", x, x.cos()),
    "a diagonal by einsum": lambda x: torch.einsum("nii->ni", x[:, :, :3]),
    "tril": lambda x: x.tril(1),
    "cross entropy": lambda x: F.cross_entropy(x, torch.tensor([[0, 2, 1, 1], [2, 2, 0, 1]])),
    "grid sample": lambda x: F.grid_sample(
        x[:, None], torch.tanh(torch.stack([x[:, :, :2], x[:, :, 2:]], -1)), align_corners=False
    ),
    "antialias": lambda x: F.interpolate(x[:, None], (2, 2), mode="bicubic", antialias=True),
    "fold": lambda x: F.fold(x.reshape(2, 4, 3), (2, 4), 2),
    "atan2": lambda x: torch.atan2(x, x.flip(1)),
    "norm": lambda x: F.normalize(x, p=3, dim=1),
    "product": lambda x: x.prod(1),
    "deviation": lambda x: x.std(2),
    "sorted": lambda x: x.sort(1)[0],
    "scatter": lambda x: x.scatter(1, torch.tensor([[[0, 1, 2, 0]], [[1, 1, 0, 2]]]), x[:, :1] * 3),
    "largest of heaps": lambda x: x.scatter_reduce(
        1, torch.tensor([[[0, 1, 2, 0]], [[1, 1, 0, 2]]]), x[:, :1] * 3, "amax"
    ),
    "remainder": lambda x: torch.remainder(x, 0.7),
    "distances": lambda x: torch.cdist(x, x * 2 + 1),
}  # fmt: skip


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    assert assert_equals_autograd(Function(FUNCTIONS[name]), noise(2, 3, 4).abs() + 0.2) == 1
