"""Small nets for tests of layers: inputs, and the layers as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import layerscope as ls
from layerscope.readers.caffe.write import write_caffemodel


def net_of(folder: Path, dims: tuple[int, ...], layers: str, arrays: dict[str, list[np.ndarray]] | None = None,
           more: dict[str, tuple[int, ...]] | None = None) -> ls.Net:  # fmt: skip
    """A net with one input "x" (and `more` inputs) and the layers given as text."""
    inputs = {"x": dims, **(more or {})}
    text = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{'
        + "".join(f" dim: {d}" for d in each)
        + " } } }\n"
        for name, each in inputs.items()
    )
    path = folder / "net.prototxt"
    path.write_text(text + layers)
    if arrays is None:
        return ls.open(path)
    weights = folder / "net.caffemodel"
    write_caffemodel(weights, "net", [(name, "", each) for name, each in arrays.items()])
    return ls.open(path, weights)
