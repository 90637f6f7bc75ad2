"""Small random nets full of ties and zeros, against PyTorch's autograd in double precision.

All numbers are small whole ones, so that what is equal stays equal in float32: rectifiers meet
zeros, windows of max pools meet equal numbers, and both runs choose from the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import Tensor

from closeness import assert_blob_close
from layerscope.inputs import Preprocessing
from layerscope.net import Blob, Layer, Net
from layerscope.readers.graph import GraphBuilder

pytestmark = pytest.mark.torch
MOST = 60_000  # larger numbers would not all be exact
Pair = tuple[str, Tensor]
"""A value of the graph, and the same in PyTorch."""


class Unfit(Exception):
    """What was drawn does not fit the blob."""


class Drawn:
    """A net that is drawn at random, op by op, in both at once."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.g = GraphBuilder()
        dims = (3, 4, self.whole(6, 10), self.whole(6, 10))
        image = torch.tensor(self.array(*dims)).double().requires_grad_()
        self.blobs: list[Pair] = [(self.g.input("x", dims), image)]
        self.params: list[Pair] = []
        self.shared: Pair | None = None
        steps = self.whole(5, 12)
        while len(self.blobs) <= steps:
            draw = STEPS[self.whole(0, len(STEPS))]
            try:
                value, tensor = draw(self, *self.blob())
            except Unfit:
                continue
            if self.g.shape(value) == tuple(tensor.shape) and tensor.abs().max() < MOST:
                tensor.retain_grad()
                self.blobs.append((value, tensor))

    def whole(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high))

    def array(self, *dims: int) -> np.ndarray:
        return self.random.integers(-2, 3, dims).astype(np.float32)

    def blob(self) -> Pair:
        """One of the last four, so that nets become deep and blobs are read more than once."""
        return self.blobs[self.whole(max(0, len(self.blobs) - 4), len(self.blobs))]

    def param(self, *dims: int) -> Pair:
        array = self.array(*dims)
        value = self.g.param("w", dims, array)
        self.params.append((value, torch.tensor(array).double().requires_grad_()))
        return self.params[-1]

    def ints(self, *numbers: int) -> str:
        return self.g.constant(np.asarray(numbers, np.int64))


def convolution(d: Drawn, x: str, t: Tensor) -> Pair:
    kernel = [d.whole(1, 4), d.whole(1, 4)]
    strides, dilations = [d.whole(1, 4), d.whole(1, 4)], [d.whole(1, 3), d.whole(1, 3)]
    top, left, bottom, right = (d.whole(0, 3) for _ in range(4))
    group = t.shape[1] if d.whole(0, 2) else 1
    framed = F.pad(t, [left, right, top, bottom])
    if any(framed.shape[2 + i] < (kernel[i] - 1) * dilations[i] + 1 for i in (0, 1)):
        raise Unfit
    w, weights = d.param(group * d.whole(1, 3), t.shape[1] // group, *kernel)
    y = d.g.op("Conv", x, w, strides=strides, dilations=dilations, group=group,
               pads=[top, left, bottom, right])  # fmt: skip
    return y, F.conv2d(framed, weights, None, strides, 0, dilations, group)


def shared_convolution(d: Drawn, x: str, t: Tensor) -> Pair:
    if d.shared is None:
        d.shared = d.param(4, 4, 3, 3)
    if t.shape[1] != 4:
        raise Unfit
    w, weights = d.shared
    return d.g.op("Conv", x, w, pads=[1] * 4), F.conv2d(t, weights, None, 1, 1)


def deconvolution(d: Drawn, x: str, t: Tensor) -> Pair:
    kernel, stride, dilation, pad = d.whole(2, 5), d.whole(1, 4), d.whole(1, 3), d.whole(0, 2)
    group, more = (t.shape[1] if d.whole(0, 2) else 1), d.whole(0, stride)
    if t.shape[2] * stride > 24:
        raise Unfit
    w, weights = d.param(t.shape[1], d.whole(1, 3), kernel, kernel)
    y = d.g.op("ConvTranspose", x, w, strides=[stride] * 2, dilations=[dilation] * 2, group=group,
               pads=[pad] * 4, output_padding=[more] * 2)  # fmt: skip
    return y, F.conv_transpose2d(t, weights, None, stride, pad, more, group, dilation)


def max_pool(d: Drawn, x: str, t: Tensor) -> Pair:
    kernel, stride, ceil = d.whole(2, 4), d.whole(1, 4), d.whole(0, 2)
    pad = d.whole(0, kernel // 2 + 1)
    if min(t.shape[2:]) + 2 * pad < kernel:
        raise Unfit
    y = d.g.op("MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4,
               ceil_mode=ceil)  # fmt: skip
    return y, F.max_pool2d(t, kernel, stride, pad, ceil_mode=bool(ceil))


def average_pool(d: Drawn, x: str, t: Tensor) -> Pair:
    """By two, whose quotients are exact."""
    if min(t.shape[2:]) < 2:
        raise Unfit
    y = d.g.op("AveragePool", x, kernel_shape=[2, 2], strides=[1, 2])
    return y, F.avg_pool2d(t, 2, (1, 2))


def rectifier(d: Drawn, x: str, t: Tensor) -> Pair:
    return d.g.op("Relu", x), F.relu(t)


def leaky_rectifier(d: Drawn, x: str, t: Tensor) -> Pair:
    return d.g.op("LeakyRelu", x, alpha=0.25), F.leaky_relu(t, 0.25)


def learned_rectifier(d: Drawn, x: str, t: Tensor) -> Pair:
    w, slope = d.param(t.shape[1], 1, 1)
    return d.g.op("PRelu", x, w), F.prelu(t, slope.view(-1))


def clipped(d: Drawn, x: str, t: Tensor) -> Pair:
    limits = (d.g.constant(np.float32(n)) for n in (-1, 2))
    return d.g.op("Clip", x, *limits), t.clamp(-1, 2)


def absolute(d: Drawn, x: str, t: Tensor) -> Pair:
    return d.g.op("Abs", x), t.abs()


def added(d: Drawn, x: str, t: Tensor) -> Pair:
    other, tensor = d.blob()
    if tensor.shape != t.shape:
        raise Unfit
    return d.g.op("Sub", x, d.g.op("Neg", other)), t + tensor


def spread(d: Drawn, x: str, t: Tensor) -> Pair:
    n, c, h, w = t.shape
    dims = [(1, c, 1, 1), (c, 1, 1), (w,), (n, 1, 1, 1), (1, 1, h, 1)][d.whole(0, 5)]
    value, tensor = d.param(*dims)
    return d.g.op("Mul", x, value), t * tensor


def joined(d: Drawn, x: str, t: Tensor) -> Pair:
    other, tensor = d.blob()
    if tensor.shape[:1] + tensor.shape[2:] != t.shape[:1] + t.shape[2:]:
        raise Unfit
    return d.g.op("Concat", x, other, x, axis=1), torch.cat([t, tensor, t], 1)


def framed(d: Drawn, x: str, t: Tensor) -> Pair:
    theirs, ours = [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge"),
                    ("circular", "wrap")][d.whole(0, 4)]  # fmt: skip
    top, left, bottom, right = (d.whole(0, 3) for _ in range(4))
    if min(t.shape[2:]) < 3:
        raise Unfit
    y = d.g.op("Pad", x, d.ints(0, 0, top, left, 0, 0, bottom, right), mode=ours)
    return y, F.pad(t, [left, right, top, bottom], mode=theirs)


def sliced(d: Drawn, x: str, t: Tensor) -> Pair:
    start, step = d.whole(0, max(1, t.shape[2] - 2)), d.whole(1, 3)
    ends = d.ints(t.shape[2], -99)
    y = d.g.op("Slice", x, d.ints(start, -1), ends, d.ints(2, 3), d.ints(step, -1))
    return y, t[:, :, start::step].flip(3)


def tiled(d: Drawn, x: str, t: Tensor) -> Pair:
    if t.numel() > 800:
        raise Unfit
    return d.g.op("Tile", x, d.ints(1, 2, 1, 2)), t.repeat(1, 2, 1, 2)


def picked(d: Drawn, x: str, t: Tensor) -> Pair:
    index = d.random.integers(0, t.shape[1], 5)
    return d.g.op("Gather", x, d.ints(*index), axis=1), t[:, index]


def dealt(d: Drawn, x: str, t: Tensor) -> Pair:
    if t.shape[1] % 4:
        raise Unfit
    return d.g.op("DepthToSpace", x, blocksize=2, mode="CRD"), F.pixel_shuffle(t, 2)


STEPS: list[Callable[[Drawn, str, Tensor], Pair]] = [
    convolution, shared_convolution, deconvolution, max_pool, max_pool, average_pool, rectifier,
    rectifier, leaky_rectifier, learned_rectifier, clipped, absolute, added, spread, joined, framed,
    sliced, tiled, picked, dealt,
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_equals_autograd(seed: int) -> None:
    """By the input, every blob on the way and every param."""
    drawn = Drawn(seed)
    y, tensor = drawn.blobs[-1]
    weights = drawn.random.normal(size=tensor.shape).astype(np.float32)
    (tensor * torch.tensor(weights).double()).sum().backward()
    wants: dict[str, Any] = {
        value: each.grad.numpy() for value, each in (*drawn.blobs, *drawn.params)
        if each.grad is not None
    }  # fmt: skip
    gots = gradients(drawn, y, weights, list(wants))
    assert len(wants) >= 2
    for value, want in wants.items():
        if value in gots or want.any():
            assert_blob_close(gots[value], want, f"{seed}: {value}", tolerance=1e-4)


def gradients(
    drawn: Drawn, y: str, weights: np.ndarray, wanted: list[str]
) -> dict[str, np.ndarray]:
    from layerscope.engine.gradient.run import Program

    g, image = drawn.g, drawn.blobs[0][1].detach().numpy().astype(np.float32)
    blobs = {v: Blob(v, g.shape(v), v, "net" if v != "x" else "x", v) for v, _ in drawn.blobs}
    layer = Layer("net", "random", "", ("x",), tuple(blobs)[1:], nodes=range(len(g.nodes)))
    net = Net("random", "test", (layer,), blobs, g.finish(), (y,), Preprocessing())
    assert_blob_close(net.run({"x": image})[y], drawn.blobs[-1][1].detach().numpy(), "forward")
    return Program(net, [y], wanted).run({"x": image}, {y: weights})
