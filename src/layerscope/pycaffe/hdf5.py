"""Weights in HDF5, as Caffe's `.caffemodel.h5`: group `data`, a group a layer, datasets 0, 1, ...

Behaviour: `caffe/src/caffe/net.cpp` (ToHDF5, CopyTrainedLayersFromHDF5).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import ReadError
from layerscope.files import write_file
from layerscope.pycaffe.blob import Array
from layerscope.pycaffe.errors import MissingExtraError
from layerscope.text import printable, quoted

Arrays = Mapping[str, Sequence[tuple[int, Array]]]


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(
            "HDF5 files need the package h5py: pip install layerscope[hdf5]"
        ) from None
    return h5py


def save(path: Path, data: Arrays, diff: Arrays | None) -> None:
    """Write params, and their gradients if given.

    Args:
        path: the file.
        data: layer name to (position, array) of the params that the layer owns.
        diff: the same for the gradients.

    Raises:
        MissingExtraError: h5py is not installed.
        SystemFaultError: the system refused; an existing file is untouched.
    """
    h5py = _h5py()
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for noun, arrays in (("data", data), ("diff", diff)):
            if arrays is None:
                continue
            group = file.create_group(noun)
            for layer, blobs in arrays.items():
                inner = group.require_group(layer)
                for index, array in blobs:
                    inner.create_dataset(str(index), data=array)
    write_file(path, content.getvalue())


def load(path: Path) -> dict[str, dict[int, Array]]:
    """Read params: layer name to position to array.

    Raises:
        MissingExtraError: h5py is not installed.
        ReadError: the file is damaged, or no Caffe weights.
    """
    h5py = _h5py()
    name = printable(path.name)
    try:
        with h5py.File(path, "r") as file:
            if "data" not in file:
                raise ReadError(f'{name}: no group "data" in it; is it Caffe\'s .caffemodel.h5?')
            layers = _layers(h5py, file["data"])
            found: dict[str, dict[int, Array]] = {}
            for layer, group in layers.items():
                every = {key: _inside(h5py, group, key) for key in group}
                sets = {key: each for key, each in every.items() if isinstance(each, h5py.Dataset)}
                if not all(key.isdecimal() for key in sets):
                    raise ReadError(f"{name}: layer {quoted(layer)}: its datasets are not numbered")
                found[layer] = {int(k): np.asarray(v, np.float32) for k, v in sets.items()}
            return found
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{name}: not a readable HDF5 file: {error}") from None


def _layers(h5py: Any, group: Any, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """The groups of layers; a name with slashes makes groups in groups."""
    found: dict[str, Any] = {}
    for key in group:
        each = _inside(h5py, group, key)
        if isinstance(each, h5py.Group) and depth < 32:
            found[prefix + key] = each
            found.update(_layers(h5py, each, f"{prefix}{key}/", depth + 1))
    return found


def _inside(h5py: Any, group: Any, key: str) -> Any:
    """A member of a group; None for what lies in another file."""
    if isinstance(group.get(key, getlink=True), h5py.ExternalLink):
        return None
    found = group[key]
    return None if isinstance(found, h5py.Dataset) and found.external else found
