"""Small nets whose dreams are known or quick."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import layerscope as ls
from onelayer import net_of


def conv(name: str, bottom: str, settings: str) -> str:
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"'
        f" convolution_param {{ {settings} }} }}\n"
    )


def layer(name: str, kind: str, bottom: str, top: str, settings: str = "") -> str:
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {settings} }}\n'


def smooth(folder: Path, dims: tuple[int, ...] = (1, 3, 14, 11)) -> ls.Net:
    """Convolution, TanH, pooling, inner product, softmax: no corners, so slopes can be measured."""
    random = np.random.default_rng(12)
    folder.mkdir(parents=True, exist_ok=True)
    height, width = ((d - 2) // 2 for d in dims[2:])
    text = (
        conv("conv1", "x", "num_output: 5 kernel_size: 3")
        + layer("tanh1", "TanH", "conv1", "tanh1")
        + layer("pool1", "Pooling", "tanh1", "pool1",
                "pooling_param { pool: AVE kernel_size: 2 stride: 2 }")
        + layer("fc2", "InnerProduct", "pool1", "fc2", "inner_product_param { num_output: 4 }")
        + layer("prob", "Softmax", "fc2", "prob")
    )  # fmt: skip
    height, width = -(-(dims[2] - 2) // 2), -(-(dims[3] - 2) // 2)  # Caffe rounds up
    arrays = {
        "conv1": [0.004 * random.normal(size=(5, dims[1], 3, 3)), random.normal(size=5)],
        "fc2": [random.normal(size=(4, 5 * height * width)), random.normal(size=4)],
    }
    return net_of(folder, dims, text, arrays)


def rectified(folder: Path, bias: tuple[float, ...] = (0.0, 0.0, -1e9, 0.0)) -> ls.Net:
    """Convolution and ReLU in place, four channels; a bias far below 0 makes a channel dead."""
    random = np.random.default_rng(13)
    folder.mkdir(parents=True, exist_ok=True)
    text = conv("conv1", "x", "num_output: 4 kernel_size: 3") + layer(
        "relu1", "ReLU", "conv1", "conv1"
    )
    kernels = random.normal(size=(4, 3, 3, 3))
    kernels -= kernels.mean(axis=(1, 2, 3), keepdims=True)
    return net_of(folder, (1, 3, 10, 12), text, {"conv1": [kernels, np.array(bias)]})


def matched(folder: Path, filters: np.ndarray) -> ls.Net:
    """One product with the whole image for each filter: the optimum is the filter itself."""
    folder.mkdir(parents=True, exist_ok=True)
    count, _, height, width = filters.shape
    text = conv("match", "x", f"num_output: {count} kernel_h: {height} kernel_w: {width}")
    return net_of(folder, (1, *filters.shape[1:]), text, {"match": [filters, np.zeros(count)]})
