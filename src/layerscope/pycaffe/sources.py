"""Layers that bring their own data: DummyData is filled, MemoryData given, files are not read.

Behaviour: `caffe/src/caffe/layers/dummy_data_layer.cpp` and `memory_data_layer.cpp`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from layerscope.pycaffe import mode
from layerscope.pycaffe.blob import Array, Blob
from layerscope.pycaffe.definition import is_source
from layerscope.pycaffe.errors import CaffeError
from layerscope.readers.caffe.fillers import filled
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.schema import message_type
from layerscope.text import plural, quoted, shape

_FED = {"Input", "DummyData", "MemoryData"}


def constant(value: float = 0) -> Message:
    """A filler that gives one number."""
    filler = Message(message_type("FillerParameter"))
    filler.set("value", value)
    return filler


class Sources:
    """The data layers of one net, and what they hold.

    Args:
        layers: all layers of the net.
        blobs: the net's blobs.
    """

    def __init__(self, layers: list[Message], blobs: Mapping[str, Blob]) -> None:
        self._layers = [each if is_source(each) else None for each in layers]
        self._first = layers[0].type
        self._blobs = blobs
        self._batches: dict[int, tuple[Array, Array, int]] = {}
        self._warned: set[str] = set()
        for each in self._layers:
            if each is not None and each.type == "DummyData":
                self._fill(each, refill=False)

    def bring(self, first: int, last: int) -> None:
        """Put the next data into the tops of the layers from `first` to `last`.

        Raises:
            CaffeError: a MemoryData layer was not given arrays.
        """
        for i, layer in enumerate(self._layers[first : last + 1], first):
            if layer is None:
                continue
            if layer.type == "DummyData":
                self._fill(layer, refill=True)
            elif layer.type == "MemoryData":
                self._next(i, layer)
            elif layer.type not in _FED and layer.name not in self._warned:
                self._warned.add(layer.name)
                tops = ", ".join(f'net.blobs["{top}"].data' for top in layer.top)
                warnings.warn(
                    f"layer {quoted(layer.name)} ({layer.type}) reads data that is not read here;"
                    f" its blobs hold what you put into {tops}",
                    stacklevel=4,
                )

    def _fill(self, layer: Message, *, refill: bool) -> None:
        """Fill the tops; constants are filled once, the rest in every run."""
        fillers = list(layer.dummy_data_param.data_filler) or [constant()]
        for i, top in enumerate(layer.top):
            filler = fillers[min(i, len(fillers) - 1)]
            if refill and filler.type == "constant":
                continue
            blob = self._blobs[top]
            blob.data[...] = filled(filler, tuple(blob.shape), f"{mode.next_seed()}/{top}")

    def _next(self, index: int, layer: Message) -> None:
        if index not in self._batches:
            raise CaffeError(
                f"layer {quoted(layer.name)} (MemoryData) has no data yet; call set_input_arrays"
            )
        data, labels, at = self._batches[index]
        size = layer.memory_data_param.batch_size
        for top, array in zip(layer.top, (data, labels), strict=False):
            blob = self._blobs[top]
            blob.data[...] = array[at : at + size].reshape(blob.shape)
        self._batches[index] = data, labels, (at + size) % len(data)

    def set_arrays(self, data: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        """Give the first layer, a MemoryData, its data.

        Args:
            data: (N, C, H, W) float32, N a multiple of the batch size.
            labels: (N,) or (N, 1, 1, 1) float32.

        Raises:
            CaffeError: the first layer is no MemoryData, or an array does not fit.
        """
        layer = self._layers[0]
        if layer is None or layer.type != "MemoryData":
            raise CaffeError(
                "set_input_arrays needs a net whose first layer is a MemoryData; this one's is"
                f" {self._first}"
            )
        p = layer.memory_data_param
        if labels.ndim == 1:
            labels = np.ascontiguousarray(labels[:, None, None, None])
        _check("data", data, (p.channels, p.height, p.width))
        _check("labels", labels, (1, 1, 1))
        if len(data) != len(labels):
            raise CaffeError(f"{plural(len(data), 'image')} but {plural(len(labels), 'label')}")
        if len(data) == 0 or len(data) % p.batch_size:
            raise CaffeError(
                f"{plural(len(data), 'image')} do not make whole batches of {p.batch_size}"
            )
        self._batches[0] = data, labels, 0


def _check(name: str, array: NDArray[np.float32], dims: tuple[int, ...]) -> None:
    if not array.flags.c_contiguous:
        raise CaffeError(
            f"{name}: its numbers do not lie one after another; give np.ascontiguousarray of it"
        )
    if array.ndim != 4:
        raise CaffeError(f"{name}: {shape(array.shape)}; four axes are wanted")
    if array.dtype != np.float32:
        raise CaffeError(f"{name}: {array.dtype}; float32 is wanted")
    for noun, found, wanted in zip(
        ("channels", "height", "width"), array.shape[1:], dims, strict=True
    ):
        if found != wanted:
            raise CaffeError(f"{name}: {noun} {found}, the layer takes {wanted}")
