"""Modules of unusual form: parts with several paths, wrappers, numbers among the outputs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

import layerscope as ls

pytestmark = pytest.mark.torch
X = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 6, 5)).astype(np.float32))


class Shared(nn.Module):
    """One convolution under three paths."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.again = self.conv
        self.blocks = nn.ModuleList([self.conv])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks[0](self.again(self.conv(x)))


def test_a_part_with_several_paths_has_the_one_it_is_called_by() -> None:
    module = Shared().eval()
    net = ls.open(module, X)
    assert [each.name for each in net.layers] == ["x", "conv", "again", "blocks.0"]
    blobs, wanted = net.run(X.numpy()), X
    for name in ("conv", "again", "blocks.0"):
        with torch.no_grad():
            wanted = module.conv(wanted)
        np.testing.assert_allclose(blobs[name], wanted.numpy(), rtol=1e-4, atol=1e-5)
    assert [each.params[0].shared_with for each in net.layers[1:]] == ["", "conv", "conv"]


class Plain(nn.Module):
    """Numbers and words beside tensors."""

    def forward(self, x: Tensor) -> Any:
        return {
            "twice": x * 2,
            "none": None,
            "of": 3,
            "scale": 2.5,
            "kind": "box",
            "more": (x + 1, True),
        }


def test_numbers_and_words_among_the_outputs_are_left_out() -> None:
    net = ls.open(Plain(), X)
    assert not net.notes
    assert net.outputs == ("mul", "add")
    blobs = net.run(X.numpy())
    np.testing.assert_array_equal(blobs["mul"], 2 * X.numpy())
    np.testing.assert_array_equal(blobs["add"], X.numpy() + 1)


class Several(nn.Module):
    """Any number of tensors."""

    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)


class Pair(nn.Module):
    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return pair[0] - pair[1]


@pytest.mark.parametrize(("module", "example"), [(Several(), (X, X)), (Pair(), ((X, X),))])
def test_the_batch_is_free_for_tensors_in_a_tuple(module: nn.Module, example: Any) -> None:
    net = ls.open(module, example)
    assert not net.notes
    given = [np.random.default_rng(i).normal(size=(5, 3, 6, 5)).astype("f") for i in range(2)]
    found = net.run(dict(zip(net.inputs, given, strict=True)))[net.outputs[0]]
    wanted = np.concatenate(given, 1) if isinstance(module, Several) else given[0] - given[1]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_wrappers_are_taken_off(wrap: Any) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = wrap(module)
    net = ls.open(wrapped, X)
    assert [each.name for each in net.layers] == ["input", "0", "1"]
    assert wrapped.training
    assert not net.notes
