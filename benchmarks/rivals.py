"""What others take to keep every intermediate value of the same net: those that are installed.

    pip install torch torchlens 'opencv-python-headless<5'

Each rival is held against the same plain ONNX Runtime run, in turn with it, two threads each.
"""

from __future__ import annotations

import gc
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.onnx_nets import OnnxFile
from benchmarks.sessions import Bare, Floats, last_value
from benchmarks.timing import SETTLED, Figure, Work, rounds


def measure(file: OnnxFile, batch: int, *, quick: bool) -> list[Figure]:
    """All values / plain ONNX Runtime run, for each rival that is installed."""
    net = file.open()
    array = np.random.default_rng(1).standard_normal((batch, 3, 224, 224), np.float32)
    plain = Bare(net, (last_value(net),)).call({"x": array})
    makers = {"OpenCV": ("cv2", _opencv), "PyTorch hooks": ("torch", _hooks),
              "TorchLens": ("torchlens", _torchlens)}  # fmt: skip
    figures = []
    for name, (package, make) in makers.items():
        if find_spec(package) is None:
            continue
        work = make(file, array)
        found = rounds({"plain": plain, "all": work}, 3 if quick else 9, pause=SETTLED)
        title = f"{file.name} batch {batch}: {name}, all values / plain ONNX Runtime"
        figures.append(Figure(title, found.ratio("all", "plain"), "x",
                              note=f"{1e3 * found.median('all'):.0f} ms"))  # fmt: skip
        del work
        gc.collect()
    return figures


def _opencv(file: OnnxFile, array: Floats) -> Work:
    import cv2

    net = cv2.dnn.readNetFromONNX(str(file.path))
    names = [name for name in net.getLayerNames() if name]

    def run() -> Any:
        net.setInput(array)
        return net.forward(names)

    return run


def _module(file: OnnxFile) -> Any:
    """The net as a PyTorch module: each step is a module of its own."""
    import torch
    from torch import nn

    class Add(nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            return a + b

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleDict({step.name: made(step) for step in file.steps})

        def forward(self, x: Any) -> Any:
            values = {"x": x}
            for step in file.steps:
                given = [values[name] for name in step.bottoms]
                values[step.name] = self.steps[step.name](*given)
            return values[step.name]

    def made(step: Any) -> Any:
        if step.kind not in ("conv", "dense"):
            mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            pool = nn.MaxPool2d(step.kernel, step.stride, step.kernel // 2)
            return {"relu": nn.ReLU(), "relu6": nn.ReLU6(), "add": Add(), "mean": mean,
                    "maxpool": pool}[step.kind]  # fmt: skip
        filters, bias = file.weights[step.name]
        if step.kind == "dense":
            layer: Any = nn.Linear(filters.shape[1], step.channels)
        else:
            layer = nn.Conv2d(filters.shape[1] * step.groups, step.channels, step.kernel,
                              step.stride, step.kernel // 2, groups=step.groups)  # fmt: skip
        layer.weight.data = torch.from_numpy(np.ascontiguousarray(filters))
        layer.bias.data = torch.from_numpy(bias)
        return layer

    return Net().eval()


def _hooks(file: OnnxFile, array: Floats) -> Work:
    import torch

    module, x, kept = _module(file), torch.from_numpy(array), {}
    for name, step in module.steps.items():
        step.register_forward_hook(lambda _m, _x, y, name=name: kept.__setitem__(name, y))

    def run() -> Any:
        kept.clear()
        with torch.inference_mode():
            module(x)
        return kept

    return run


def _torchlens(file: OnnxFile, array: Floats) -> Work:
    import torch
    import torchlens

    module, x = _module(file), torch.from_numpy(array)

    def run() -> Any:
        with torch.no_grad():
            return torchlens.trace(module, x)

    return run
