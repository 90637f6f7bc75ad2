"""ResNet-50 and MobileNetV2 by their public shapes, as exporters write them: BatchNorm folded.

A net is a list of steps, from which come an ONNX file and, for rivals, a PyTorch module with the
same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls

Floats = NDArray[np.float32]

_RESNET = ((64, 3), (128, 4), (256, 6), (512, 3))  # width, blocks ("Deep Residual Learning")
_MOBILE = (  # expansion, channels, repeats, stride (table 2 of "MobileNetV2")
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One op: "conv", "relu", "relu6", "add", "maxpool", "mean" or "dense"."""

    kind: str
    name: str
    bottoms: tuple[str, ...]
    channels: int = 0
    kernel: int = 1
    stride: int = 1
    groups: int = 1


@dataclass(frozen=True)
class OnnxFile:
    """A net as its file, with what it was made of."""

    name: str
    path: Path
    steps: tuple[Step, ...]
    weights: dict[str, tuple[Floats, Floats]]

    def open(self) -> ls.Net:
        """The net, read again, so that no session of an earlier measurement is kept by it."""
        return ls.open(self.path)


class Steps:
    """Writes the steps; `last` is the value that comes next."""

    def __init__(self) -> None:
        self.made: list[Step] = []
        self.last = "x"

    def add(self, kind: str, *bottoms: str, channels: int = 0, kernel: int = 1, stride: int = 1,
            groups: int = 1) -> str:  # fmt: skip
        """Add a step and give its value."""
        name = f"{kind}{len(self.made)}"
        self.made.append(
            Step(kind, name, bottoms or (self.last,), channels, kernel, stride, groups)
        )
        self.last = name
        return name


def resnet50() -> tuple[Step, ...]:
    """25.5 million weights, 4.1 billion multiply-adds."""
    net = Steps()
    net.add("conv", channels=64, kernel=7, stride=2)
    net.add("relu")
    net.add("maxpool", kernel=3, stride=2)
    for stage, (width, blocks) in enumerate(_RESNET):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            start = net.last
            net.add("conv", channels=width)
            net.add("relu")
            net.add("conv", channels=width, kernel=3, stride=stride)
            net.add("relu")
            end = net.add("conv", channels=4 * width)
            if not block:
                start = net.add("conv", start, channels=4 * width, stride=stride)
            net.add("add", end, start)
            net.add("relu")
    net.add("mean")
    net.add("dense", channels=1000)
    return tuple(net.made)


def mobilenet_v2() -> tuple[Step, ...]:
    """3.5 million weights, 300 million multiply-adds."""
    net = Steps()
    net.add("conv", channels=32, kernel=3, stride=2)
    net.add("relu6")
    channels = 32
    for expansion, width, repeats, stride in _MOBILE:
        for repeat in range(repeats):
            start, hidden = net.last, channels * expansion
            step = stride if not repeat else 1
            if expansion > 1:
                net.add("conv", channels=hidden)
                net.add("relu6")
            net.add("conv", channels=hidden, kernel=3, stride=step, groups=hidden)
            net.add("relu6")
            end = net.add("conv", channels=width)
            if step == 1 and channels == width:
                net.add("add", end, start)
            channels = width
    net.add("conv", channels=1280)
    net.add("relu6")
    net.add("mean")
    net.add("dense", channels=1000)
    return tuple(net.made)


def write(folder: Path, name: str, steps: tuple[Step, ...]) -> OnnxFile:
    """The net with random weights of a sensible size, as an ONNX file."""
    channels = {"x": 3}
    random = np.random.default_rng(0)
    weights: dict[str, tuple[Floats, Floats]] = {}
    nodes: list[onnx.NodeProto] = []
    for step in steps:
        before = channels[step.bottoms[0]]
        channels[step.name] = step.channels or before
        if step.kind in ("conv", "dense"):
            shape = (step.channels, before // step.groups, step.kernel, step.kernel)
            fan = before // step.groups * step.kernel**2
            filters = random.standard_normal(shape, np.float32) * np.float32((1.5 / fan) ** 0.5)
            bias = random.standard_normal(step.channels, np.float32) * np.float32(0.05)
            weights[step.name] = (filters[:, :, 0, 0] if step.kind == "dense" else filters, bias)
        nodes += _nodes(step)
    arrays = [
        numpy_helper.from_array(np.ascontiguousarray(array), f"{layer}.{part}")
        for layer, pair in weights.items()
        for part, array in zip(("weight", "bias"), pair, strict=True)
    ]
    arrays += [numpy_helper.from_array(np.float32(v), n) for n, v in (("zero", 0), ("six", 6))]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, name, [value("x", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [value(steps[-1].name, TensorProto.FLOAT, ["N", 1000])], arrays,
    )  # fmt: skip
    path = folder / f"{name}.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return OnnxFile(name, path, steps, weights)


def _nodes(step: Step) -> Iterator[onnx.NodeProto]:
    given, out, name = list(step.bottoms), [step.name], step.name
    pad, window = [step.kernel // 2] * 4, [step.kernel] * 2
    stride = [step.stride] * 2
    params = [f"{name}.weight", f"{name}.bias"]
    if step.kind == "conv":
        yield helper.make_node("Conv", given + params, out, name, kernel_shape=window,
                               strides=stride, pads=pad, group=step.groups)  # fmt: skip
    elif step.kind == "maxpool":
        yield helper.make_node("MaxPool", given, out, name, kernel_shape=window, strides=stride,
                               pads=pad)  # fmt: skip
    elif step.kind == "relu6":
        yield helper.make_node("Clip", [*given, "zero", "six"], out, name)
    elif step.kind == "mean":
        yield helper.make_node("GlobalAveragePool", given, [f"{name}.maps"], f"{name}.maps")
        yield helper.make_node("Flatten", [f"{name}.maps"], out, name)
    elif step.kind == "dense":
        yield helper.make_node("Gemm", given + params, out, name, transB=1)
    else:
        yield helper.make_node({"relu": "Relu", "add": "Add"}[step.kind], given, out, name)
