"""Nets of one layer and its inputs, for the tests of the forks' layer types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import layerscope as ls
from layerscope.readers.caffe.write import write_caffemodel

Arrays = Mapping[str, Sequence[np.ndarray]]


def definition(inputs: Mapping[str, Sequence[int]], layers: str) -> str:
    text = ""
    for name, dims in inputs.items():
        shape = " ".join(f"dim: {d}" for d in dims)
        text += f'layer {{ name: "{name}" type: "Input" top: "{name}"'
        text += f" input_param {{ shape {{ {shape} }} }} }}\n"
    return text + layers


def one_layer(kind: str, bottoms: Sequence[str], settings: str = "", tops: int = 1) -> str:
    """A layer "l" with tops "y", "y1" ..."""
    words = [f'bottom: "{name}"' for name in bottoms]
    words += [f'top: "y{i or ""}"' for i in range(tops)]
    return f'layer {{ name: "l" type: "{kind}" {" ".join(words)} {settings} }}\n'


def net_of(
    folder: Path, inputs: Mapping[str, Sequence[int]], layers: str, arrays: Arrays | None = None
) -> ls.Net:
    path = folder / "net.prototxt"
    path.write_text(definition(inputs, layers))
    if arrays is None:
        return ls.open(path)
    weights = folder / "net.caffemodel"
    write_caffemodel(weights, "net", [(name, "", list(each)) for name, each in arrays.items()])
    return ls.open(path, weights)


def run_one(
    folder: Path, kind: str, inputs: Mapping[str, np.ndarray], settings: str = "",
    blobs: Sequence[np.ndarray] | None = None, batch: int = 0, tops: int = 1,
) -> ls.Blobs:  # fmt: skip
    """Run one layer; with `batch`, its definition says that size while the inputs keep theirs."""
    dims = {name: list(each.shape) for name, each in inputs.items()}
    if batch:
        for each in dims.values():
            each[0] = batch
    layer = one_layer(kind, list(inputs), settings, tops)
    net = net_of(folder, dims, layer, None if blobs is None else {"l": blobs})
    assert net.layer("l").family in ("detection", "fork", "normalization")
    return net.run(dict(inputs))
