"""The nets that are measured: CaffeNet and GoogLeNet by their public shapes, weights at random.

Written as a prototxt and a caffemodel, so that a measurement begins where a user begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import layerscope as ls
from layerscope.readers.caffe.write import write_caffemodel

Floats = NDArray[np.float32]
Entry = tuple[str, str, list[NDArray[Any]]]

# 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; projected pool (table 1 of "Going Deeper")
_INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

_VGG = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # outputs, convolutions
_RESNET = ((64, 3), (128, 8), (256, 36), (512, 3))  # width, blocks


@dataclass(frozen=True)
class NetFiles:
    """A net as its two files."""

    name: str
    prototxt: Path
    caffemodel: Path

    def open(self) -> ls.Net:
        """The net, read again, so that no session of an earlier measurement is kept by it."""
        return ls.open(self.prototxt, self.caffemodel)


class Text:
    """Writes a deploy prototxt, one layer a line; `last` is the blob that comes next."""

    def __init__(self, name: str, *dims: int) -> None:
        shape = " ".join(f"dim: {dim}" for dim in dims)
        self.lines = [f'name: "{name}"']
        self.last = ""
        self.layer("data", "Input", f"input_param {{ shape {{ {shape} }} }}", bottoms=())

    def layer(
        self,
        name: str,
        kind: str,
        settings: str = "",
        *,
        bottoms: tuple[str, ...] | None = None,
        top: str = "",
    ) -> str:
        """Add a layer and give its top."""
        top = top or name
        names = (self.last,) if bottoms is None else bottoms
        reads = "".join(f'bottom: "{bottom}" ' for bottom in names)
        self.lines.append(
            f'layer {{ name: "{name}" type: "{kind}" {reads}top: "{top}" {settings} }}'
        )
        self.last = top
        return top

    def conv(self, name: str, settings: str, relu: str, *, bottom: str = "") -> str:
        """A convolution with its ReLU in place."""
        bottoms = (bottom,) if bottom else None
        self.layer(name, "Convolution", f"convolution_param {{ {settings} }}", bottoms=bottoms)
        return self.layer(relu, "ReLU", top=self.last)

    def pool(self, name: str, settings: str, *, bottom: str = "") -> str:
        """A pooling layer."""
        bottoms = (bottom,) if bottom else None
        return self.layer(name, "Pooling", f"pooling_param {{ {settings} }}", bottoms=bottoms)

    def norm(self, name: str) -> str:
        """The local response normalization of both nets."""
        return self.layer(name, "LRN", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")

    def dense(self, name: str, outputs: int) -> str:
        """An inner product."""
        return self.layer(name, "InnerProduct", f"inner_product_param {{ num_output: {outputs} }}")

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"


def caffenet() -> str:
    """BVLC CaffeNet's deploy definition: 61 million numbers."""
    net = Text("CaffeNet", 1, 3, 227, 227)
    net.conv("conv1", "num_output: 96 kernel_size: 11 stride: 4", "relu1")
    net.pool("pool1", "pool: MAX kernel_size: 3 stride: 2")
    net.norm("norm1")
    net.conv("conv2", "num_output: 256 pad: 2 kernel_size: 5 group: 2", "relu2")
    net.pool("pool2", "pool: MAX kernel_size: 3 stride: 2")
    net.norm("norm2")
    net.conv("conv3", "num_output: 384 pad: 1 kernel_size: 3", "relu3")
    net.conv("conv4", "num_output: 384 pad: 1 kernel_size: 3 group: 2", "relu4")
    net.conv("conv5", "num_output: 256 pad: 1 kernel_size: 3 group: 2", "relu5")
    net.pool("pool5", "pool: MAX kernel_size: 3 stride: 2")
    for number in (6, 7):
        net.dense(f"fc{number}", 4096)
        net.layer(f"relu{number}", "ReLU", top=net.last)
        net.layer(f"drop{number}", "Dropout", "dropout_param { dropout_ratio: 0.5 }", top=net.last)
    net.dense("fc8", 1000)
    net.layer("prob", "Softmax")
    return str(net)


def googlenet() -> str:
    """BVLC GoogLeNet's deploy definition: 57 convolutions, 7 million numbers."""
    net = Text("GoogleNet", 1, 3, 224, 224)
    net.conv("conv1/7x7_s2", "num_output: 64 pad: 3 kernel_size: 7 stride: 2", "conv1/relu_7x7")
    net.pool("pool1/3x3_s2", "pool: MAX kernel_size: 3 stride: 2")
    net.norm("pool1/norm1")
    net.conv("conv2/3x3_reduce", "num_output: 64 kernel_size: 1", "conv2/relu_3x3_reduce")
    net.conv("conv2/3x3", "num_output: 192 pad: 1 kernel_size: 3", "conv2/relu_3x3")
    net.norm("conv2/norm2")
    net.pool("pool2/3x3_s2", "pool: MAX kernel_size: 3 stride: 2")
    for name, outputs in _INCEPTIONS.items():
        _inception(net, f"inception_{name}", *outputs)
        if name in ("3b", "4e"):
            net.pool(f"pool{name[0]}/3x3_s2", "pool: MAX kernel_size: 3 stride: 2")
    net.pool("pool5/7x7_s1", "pool: AVE kernel_size: 7 stride: 1")
    net.layer("pool5/drop_7x7_s1", "Dropout", "dropout_param { dropout_ratio: 0.4 }", top=net.last)
    net.dense("loss3/classifier", 1000)
    net.layer("prob", "Softmax")
    return str(net)


def vgg16() -> str:
    """VGG-16's deploy definition: 138 million numbers, the largest file of the classic nets."""
    net = Text("VGG_ILSVRC_16_layers", 1, 3, 224, 224)
    for block, (outputs, convolutions) in enumerate(_VGG, start=1):
        for each in range(1, convolutions + 1):
            name = f"{block}_{each}"
            net.conv(f"conv{name}", f"num_output: {outputs} pad: 1 kernel_size: 3", f"relu{name}")
        net.pool(f"pool{block}", "pool: MAX kernel_size: 2 stride: 2")
    for number in (6, 7):
        net.dense(f"fc{number}", 4096)
        net.layer(f"relu{number}", "ReLU", top=net.last)
        net.layer(f"drop{number}", "Dropout", "dropout_param { dropout_ratio: 0.5 }", top=net.last)
    net.dense("fc8", 1000)
    net.layer("prob", "Softmax")
    return str(net)


def resnet152() -> str:
    """ResNet-152's deploy definition: 517 layers with BatchNorm, Scale and Eltwise, 60 million."""
    net = Text("ResNet-152", 1, 3, 224, 224)
    _normed(net, "conv1", "num_output: 64 kernel_size: 7 pad: 3 stride: 2")
    net.pool("pool1", "pool: MAX kernel_size: 3 stride: 2")
    for stage, (width, blocks) in enumerate(_RESNET, start=2):
        for block in range(blocks):
            _bottleneck(net, f"res{stage}_{block}", width, first=block == 0, stage=stage)
    net.pool("pool5", "pool: AVE kernel_size: 7 stride: 1")
    net.dense("fc1000", 1000)
    net.layer("prob", "Softmax")
    return str(net)


def _normed(net: Text, name: str, settings: str, *, relu: bool = True, bottom: str = "") -> str:
    """A convolution with BatchNorm, Scale and ReLU in place, as the published definitions have."""
    bottoms = (bottom,) if bottom else None
    net.layer(
        name, "Convolution", f"convolution_param {{ {settings} bias_term: false }}", bottoms=bottoms
    )
    net.layer(f"{name}/bn", "BatchNorm", top=name)
    net.layer(f"{name}/scale", "Scale", "scale_param { bias_term: true }", top=name)
    return net.layer(f"{name}/relu", "ReLU", top=name) if relu else name


def _bottleneck(net: Text, name: str, width: int, *, first: bool, stage: int) -> None:
    """1x1, 3x3, 1x1 beside a shortcut, which the first block of a stage projects."""
    source, stride = net.last, 2 if first and stage > 2 else 1
    shortcut = source
    if first:
        wide = f"num_output: {4 * width} kernel_size: 1 stride: {stride}"
        shortcut = _normed(net, f"{name}/shortcut", wide, relu=False, bottom=source)
    _normed(net, f"{name}/a", f"num_output: {width} kernel_size: 1 stride: {stride}", bottom=source)
    _normed(net, f"{name}/b", f"num_output: {width} kernel_size: 3 pad: 1")
    last = _normed(net, f"{name}/c", f"num_output: {4 * width} kernel_size: 1", relu=False)
    net.layer(name, "Eltwise", bottoms=(shortcut, last))
    net.layer(f"{name}/relu", "ReLU", top=name)


def _inception(net: Text, name: str, one: int, *outputs: int) -> None:
    """Four ways from one blob, joined along the channels."""
    red3, three, red5, five, projected = outputs
    bottom = net.last

    def conv(part: str, count: int, kernel: int, source: str = "") -> str:
        pad = f"pad: {kernel // 2} " if kernel > 1 else ""
        settings = f"num_output: {count} {pad}kernel_size: {kernel}"
        return net.conv(f"{name}/{part}", settings, f"{name}/relu_{part}", bottom=source)

    ways = [conv("1x1", one, 1, bottom)]
    conv("3x3_reduce", red3, 1, bottom)
    ways.append(conv("3x3", three, 3))
    conv("5x5_reduce", red5, 1, bottom)
    ways.append(conv("5x5", five, 5))
    net.pool(f"{name}/pool", "pool: MAX kernel_size: 3 stride: 1 pad: 1", bottom=bottom)
    ways.append(conv("pool_proj", projected, 1))
    net.layer(f"{name}/output", "Concat", bottoms=tuple(ways))


def small() -> str:
    """A net that runs in well under a millisecond: what is left is overhead."""
    net = Text("small", 1, 3, 32, 32)
    net.conv("conv1", "num_output: 8 kernel_size: 3", "relu1")
    net.pool("pool1", "pool: MAX kernel_size: 2 stride: 2")
    net.conv("conv2", "num_output: 16 kernel_size: 3", "relu2")
    net.dense("fc3", 10)
    net.layer("prob", "Softmax")
    return str(net)


def write(folder: Path, name: str, definition: str) -> NetFiles:
    """Write a net's two files, the weights drawn from a fixed seed."""
    files = NetFiles(name, folder / f"{name}.prototxt", folder / f"{name}.caffemodel")
    files.prototxt.write_text(definition)
    write_caffemodel(files.caffemodel, name, _weights(ls.open(files.prototxt)))
    return files


def _weights(net: ls.Net) -> Iterator[Entry]:
    """He-scaled weights and small biases: values keep their size from layer to layer."""
    rng = np.random.default_rng(7)
    for layer in net.layers:
        arrays = []
        for param in layer.params:
            array = rng.standard_normal(param.shape, dtype=np.float32)
            spread = np.sqrt(2 / prod(param.shape[1:])) if len(param.shape) > 1 else 0.1
            arrays.append(array * np.float32(spread))
        if arrays:
            yield layer.name, layer.type, arrays


def images(net: ls.Net, batch: int) -> Floats:
    """A batch of inputs in the range of pixels with the mean taken off."""
    rng = np.random.default_rng(11)
    dims = (batch, *net.graph.shapes[net.inputs[0]][1:])
    return rng.uniform(-120, 135, dims).astype(np.float32)
