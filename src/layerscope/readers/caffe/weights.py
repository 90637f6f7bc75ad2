"""The trained arrays of a caffemodel, found by layer name and fitted to the net's shapes.

Rules: `caffe/src/caffe/net.cpp` (CopyTrainedLayersFrom) and `blob.cpp` (FromProto, ShapeEquals).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReadError, UnsupportedError
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.wire import float_array
from layerscope.text import plural, printable, quoted, shape

MAX_AXES = 32  # Caffe's kMaxBlobAxes
MAX_NUMBERS = 2**31 - 1  # of one blob: Caffe's own limit
MAX_NOTES = 20
_LEGACY = ("num", "channels", "height", "width")
_RAW: dict[str, np.dtype[Any]] = {
    "DOUBLE": np.dtype("<f8"),
    "FLOAT": np.dtype("<f4"),
    "FLOAT16": np.dtype("<f2"),
}


class Weights:
    """Layer name to blobs.  Arrays are views on the file, made when a layer asks for them.

    Where two layers of the file have one name, the later one counts, as in Caffe (each copies its
    blobs into the same layer of the net, the first of that name).  Iterating gives the names in the
    order in which Caffe would copy them for good.

    Args:
        net: the NetParameter that holds them.
        name: the file's name.
        partial: whether a blob may be left out because an earlier layer shares it.
        twins: whether every layer of a name has the weights, not only the net's first.
    """

    def __init__(
        self, net: Message, name: str, *, partial: bool = False, twins: bool = False
    ) -> None:
        self.name = printable(name)
        self.partial = partial
        self.twins = twins
        self.notes: list[str] = []
        self._layers: dict[str, Sequence[Message]] = {}
        twice: dict[str, None] = {}
        entries = [*net.layer, *net.layers]
        for layer in entries:
            if layer.has("layer") and not layer.has("name"):  # the first definitions of all (V0)
                layer = layer.layer
            if not layer.blobs:
                continue
            if layer.name in self._layers:
                twice[layer.name] = None
                del self._layers[layer.name]
            self._layers[layer.name] = layer.blobs
        if not entries:
            raise ReadError(f"{self.name}: no layers in it; is it a caffemodel?")
        self.notes += [
            f"{self.name}: more than one layer is named {quoted(each)}; the last one's weights are"
            " used, as Caffe does"
            for each in list(twice)[:MAX_NOTES]
        ]
        if len(twice) > MAX_NOTES:
            self.notes.append(f"{self.name}: {len(twice) - MAX_NOTES} more names are used twice")

    def __contains__(self, layer: str) -> bool:
        return layer in self._layers

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def count(self, layer: str) -> int:
        """How many blobs the file has for a layer; 0 when it does not have the layer."""
        return len(self._layers.get(layer, ()))

    def has(self, layer: str, index: int) -> bool:
        """Whether the file has this blob of a layer."""
        blobs = self._layers.get(layer, ())
        return index < len(blobs) and not (self.partial and not blobs[index].has("shape"))

    def shapes(self, layer: str) -> list[tuple[int, ...]]:
        """The shapes that the file states for a layer's blobs."""
        return [
            blob_shape(blob, f"{self.name}: layer {quoted(layer)}, blob {i}")
            for i, blob in enumerate(self._layers.get(layer, ()))
        ]

    def array(self, layer: str, index: int, wanted: Sequence[int]) -> NDArray[Any]:
        """A layer's blob in the shape that the net needs.

        Raises:
            ReadError: its numbers are incomplete, or do not fit that shape.
        """
        blob = self._layers[layer][index]
        where = f"{self.name}: layer {quoted(layer)}, blob {index}"
        values = blob_values(blob, where)
        found = blob_shape(blob, where)
        if values.size != prod(found):
            raise ReadError(
                f"{where}: its shape {shape(found)} needs {plural(prod(found), 'number')},"
                f" {values.size:,} are there"
            )
        wanted = tuple(wanted)
        if values.size != prod(wanted):
            raise ReadError(
                f"layer {quoted(layer)}: the definition says {shape(wanted)},"
                f" {self.name} has {shape(found)}"
            )
        if _trimmed(found) != _trimmed(wanted):
            self.notes.append(
                f"layer {quoted(layer)}: blob {index} is {shape(found)} in {self.name}, read as"
                f" {shape(wanted)} (the same {plural(values.size, 'number')})"
            )
        return values.reshape(wanted)


def blob_values(blob: Message, where: str) -> NDArray[Any]:
    """The numbers of a BlobProto, float32; a view on the file unless they are doubles."""
    doubles = float_array(blob.double_data)
    if doubles.size:
        with np.errstate(over="ignore"):  # beyond float32: infinite there, as in Caffe
            return doubles.astype(np.float32)
    values = float_array(blob.data)
    if values.size:
        return values.astype(np.float32, copy=False)
    if blob.has("raw_data"):
        return _raw_values(blob, where)
    if blob.has("diff") or blob.has("double_diff") or blob.unknown:
        raise ReadError(
            f"{where}: no numbers under 'data', but others beside it: written by a fork of Caffe"
            " with another layout?"
        )
    return np.zeros(0, np.float32)


def _raw_values(blob: Message, where: str) -> NDArray[Any]:
    """The numbers as NVIDIA's Caffe stores them from 0.16 on: bytes, and a type beside them."""
    kind = _RAW.get(blob.raw_data_type)
    if kind is None:
        known = ", ".join(_RAW)
        raise UnsupportedError(f"{where}: raw_data of type {blob.raw_data_type}; known: {known}")
    count, rest = divmod(len(blob.raw_data), kind.itemsize)
    if rest:
        raise ReadError(
            f"{where}: raw_data has {len(blob.raw_data):,} bytes, which is no whole number of"
            f" {blob.raw_data_type}s"
        )
    with np.errstate(over="ignore"):
        values: NDArray[Any] = np.frombuffer(blob.raw_data, kind, count)
        return values.astype(np.float32, copy=False)


def blob_shape(blob: Message, where: str) -> tuple[int, ...]:
    """The shape that a BlobProto states; the legacy form has always four axes."""
    if any(blob.has(name) for name in _LEGACY):
        dims: Sequence[int] = [getattr(blob, name) for name in _LEGACY]
    else:
        dims = blob.shape.dim
    dims = tuple(dims)
    if len(dims) > MAX_AXES or any(d < 0 for d in dims) or prod(dims) > MAX_NUMBERS:
        more = f" and {len(dims) - 8} more" if len(dims) > 8 else ""
        raise ReadError(f"{where}: the shape {shape(dims[:8])}{more} is damaged: no blob is so")
    return dims


def _trimmed(dims: Sequence[int]) -> tuple[int, ...]:
    """A shape without the ones that the legacy form puts in front."""
    found = tuple(dims)
    while len(found) > 1 and found[0] == 1:
        found = found[1:]
    return found
