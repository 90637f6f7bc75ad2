"""A small net twice: as Caffe layers, and as plain loops forward and backward in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import layerscope as ls
from onelayer import net_of

DIMS = (2, 7, 6)
LAYERS = """
layer { name: "conv1" type: "Convolution" bottom: "x" top: "conv1"
        convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
        convolution_param { num_output: 4 kernel_size: 2 } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool2" top: "fc"
        inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def params(seed: int = 3) -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(seed)

    def some(*dims: int) -> np.ndarray:
        return random.standard_normal(dims).astype(np.float32)

    return {
        "conv1": [0.5 * some(3, 2, 3, 3), 0.3 * some(3)],
        "conv2": [0.5 * some(4, 3, 2, 2), 0.3 * some(4)],
        "fc": [0.3 * some(5, 16), 0.1 * some(5)],
    }


def image(seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIMS).astype(np.float32)


def opened(folder: Path, batch: int = 1) -> ls.Net:
    return net_of(folder, (batch, *DIMS), LAYERS, params())


def convolved(x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    filters, _, kh, kw = weights.shape
    rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    found = np.zeros((filters, rows, columns))
    for f in range(filters):
        for r in range(rows):
            for c in range(columns):
                found[f, r, c] = (x[:, r : r + kh, c : c + kw] * weights[f]).sum() + bias[f]
    return found


def convolved_back(d: np.ndarray, weights: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    _, _, kh, kw = weights.shape
    found = np.zeros(dims)
    for f, r, c in np.ndindex(*d.shape):
        found[:, r : r + kh, c : c + kw] += d[f, r, c] * weights[f]
    return found


def windows(x: np.ndarray) -> list[tuple[tuple[int, int, int], tuple[slice, slice]]]:
    """The pool's windows, the last one cut where Caffe rounds up: (place, rows and columns)."""
    _, rows, columns = x.shape
    return [
        ((c, r // 2, k // 2), (slice(r, r + 2), slice(k, k + 2)))
        for c in range(len(x))
        for r in range(0, rows, 2)
        for k in range(0, columns, 2)
    ]


class Loops:
    """The net on one image, in float64."""

    def __init__(self, x: np.ndarray) -> None:
        arrays = {n: [a.astype(np.float64) for a in each] for n, each in params().items()}
        self.weights = arrays
        self.x = np.asarray(x, np.float64)
        self.conv1_in = convolved(self.x, *arrays["conv1"])
        self.conv1 = np.maximum(self.conv1_in, 0)
        self.conv2_in = convolved(self.conv1, *arrays["conv2"])
        self.tail(np.maximum(self.conv2_in, 0))

    def tail(self, conv2: np.ndarray) -> None:
        """The rest of the net from conv2 on."""
        self.conv2 = conv2
        rows, columns = -(-conv2.shape[1] // 2), -(-conv2.shape[2] // 2)
        self.pool2 = np.zeros((len(conv2), rows, columns))
        for place, (rows_, columns_) in windows(conv2):
            self.pool2[place] = conv2[place[0], rows_, columns_].max()
        weights, bias = self.weights["fc"]
        self.fc = weights @ self.pool2.ravel() + bias
        powers = np.exp(self.fc - self.fc.max())
        self.prob = powers / powers.sum()

    def backward(self, of: str, unit: int, mode: str = "") -> dict[str, np.ndarray]:
        """The gradients of one unit of fc or prob by conv2 and x, with a mode's rectifiers."""
        d = np.zeros(5)
        d[unit] = 1
        if of == "prob":
            d = self.prob * (d - (d * self.prob).sum())
        d = (self.weights["fc"][0].T @ d).reshape(self.pool2.shape)
        by_conv2 = np.zeros_like(self.conv2)
        for place, (rows, columns) in windows(self.conv2):
            window = self.conv2[place[0], rows, columns]
            first = np.unravel_index(int(np.argmax(window)), window.shape)
            by_conv2[place[0], rows, columns][first] += d[place]
        d = rectified_back(by_conv2, self.conv2_in, mode)
        d = convolved_back(d, self.weights["conv2"][0], self.conv1.shape)
        d = rectified_back(d, self.conv1_in, mode)
        return {"conv2": by_conv2, "x": convolved_back(d, self.weights["conv1"][0], DIMS)}


def rectified_back(d: np.ndarray, below: np.ndarray, mode: str) -> np.ndarray:
    """Back through a ReLU: by what went in, by what comes back, or by both."""
    found = np.zeros_like(d)
    for place in np.ndindex(*d.shape):
        forward, back = below[place] > 0, d[place] > 0
        passes = {"": forward, "deconvolution": back, "guided": forward and back}[mode]
        found[place] = d[place] if passes else 0.0
    return found
