"""Weights in HDF5, as Caffe's `.caffemodel.h5`: group `data`, a group a layer, datasets 0, 1, ...

A param that layers share is there once, with the layer that uses it first.  Links to other files
are not followed.  h5py is an extra, and imported when such a file is met.
Behaviour: `caffe/src/caffe/net.cpp` (ToHDF5, CopyTrainedLayersFromHDF5).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LimitError, ReadError, SystemFaultError
from layerscope.files import write_file
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.weights import MAX_NUMBERS, Weights
from layerscope.readers.caffe.write import blob_message
from layerscope.readers.file import InputFile
from layerscope.text import printable, quoted, shape, size

Array = NDArray[Any]
Arrays = Mapping[str, Sequence[tuple[int, Array]]]

MAX_BLOBS = 1000  # of one layer
MAX_GROUPS = 20_000
MAX_DEPTH = 32
MAX_PACKED = 1032  # how much smaller HDF5's compression (deflate) can make numbers, at most


def _h5py(name: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise SystemFaultError(
            f'{name}: an HDF5 file needs the package h5py: pip install "layerscope[hdf5]"'
        ) from None
    return h5py


def hdf5_weights(file: InputFile) -> Weights:
    """The weights of an HDF5 file, as the builder takes them.

    Raises:
        SystemFaultError: h5py is not installed.
        ReadError: the file is damaged, or no Caffe weights.
    """
    net = Message(message_type("NetParameter"))
    layers = []
    for name, arrays in load(file.path).items():
        layer = Message(message_type("LayerParameter"))
        layer.set("name", name)
        blobs = [Message(message_type("BlobProto")) for _ in range(max(arrays, default=-1) + 1)]
        for index, array in arrays.items():
            blobs[index] = blob_message(array)
        layer.set("blobs", blobs)
        layers.append(layer)
    net.set("layer", layers)
    return Weights(net, file.name, partial=True)


def save(path: Path, data: Arrays, diff: Arrays | None) -> None:
    """Write params, and their gradients if given.

    Args:
        path: the file.
        data: layer name to (position, array) of the params that the layer owns.
        diff: the same for the gradients.

    Raises:
        SystemFaultError: h5py is not installed, or the system refused; an existing file is
            untouched.
    """
    h5py = _h5py(printable(path.name))
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
        SystemFaultError: h5py is not installed.
        ReadError: the file is damaged, or no Caffe weights.
    """
    name = printable(path.name)
    h5py = _h5py(name)
    try:
        with h5py.File(path, "r") as file:
            if "data" not in file:
                raise ReadError(f'{name}: no group "data" in it; is it Caffe\'s .caffemodel.h5?')
            layers = _layers(h5py, file["data"], name, {})
            return {
                layer: _arrays(h5py, group, f"{name}: layer {quoted(layer)}")
                for layer, group in layers.items()
            }
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{name}: not a readable HDF5 file: {error}") from None


def _arrays(h5py: Any, group: Any, where: str) -> dict[int, Array]:
    """The datasets of one layer by their position."""
    found: dict[int, Array] = {}
    for key in group:
        each = _inside(h5py, group, key)
        if not isinstance(each, h5py.Dataset):
            continue
        if not (key.isascii() and key.isdecimal() and int(key) < MAX_BLOBS):
            raise ReadError(f"{where}: its datasets are not numbered")
        stored = each.id.get_storage_size()
        if each.size > MAX_NUMBERS or each.nbytes > stored * MAX_PACKED:
            raise ReadError(
                f"{where}, blob {key}: {shape(each.shape)} is announced, {size(stored)} are stored:"
                " damaged"
            )
        found[int(key)] = np.asarray(each, np.float32)
    return found


def _layers(
    h5py: Any, group: Any, name: str, found: dict[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """The groups of layers; a name with slashes makes groups in groups."""
    for key in group:
        each = _inside(h5py, group, key)
        if not isinstance(each, h5py.Group) or prefix.count("/") >= MAX_DEPTH:
            continue
        if len(found) >= MAX_GROUPS:  # groups may hold themselves
            raise LimitError(f"{name}: more than {MAX_GROUPS:,} groups; no real net has so many")
        found[prefix + key] = each
        _layers(h5py, each, name, found, f"{prefix}{key}/")
    return found


def _inside(h5py: Any, group: Any, key: str) -> Any:
    """A member of a group; None for what lies in another file."""
    if isinstance(group.get(key, getlink=True), h5py.ExternalLink):
        return None
    found = group[key]
    elsewhere = isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)
    return None if elsewhere else found
