"""The params of a net: writable arrays, and whether one was changed since the net was built.

Behaviour: `caffe/src/caffe/net.cpp` (CopyTrainedLayersFrom, ShareTrainedLayersWith, ToProto).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.net import Layer
from layerscope.pycaffe.blob import Array, Blob, Memory
from layerscope.pycaffe.errors import CaffeError
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.weights import Weights
from layerscope.readers.caffe.write import blob_message
from layerscope.text import plural, quoted, shape

CHUNK = 1 << 18  # numbers compared at a time: both sides stay in the cache


@dataclass(slots=True)
class _Built:
    """What a param was when the net was built, and what is known since."""

    array: Array
    opened: int
    held: bool


class Params:
    """Layer name to blobs, in the order of the net; layers of one name share them.

    Attributes:
        layers: layers with params only.
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers: OrderedDict[str, list[Blob]] = OrderedDict()
        self._built: dict[int, tuple[Memory, _Built]] = {}
        self._shapes: list[list[int]] = []
        self._owned: dict[str, set[int]] = {}
        memories: dict[str, Memory] = {}
        for layer in layers:
            if not layer.params or layer.name in self.layers:
                continue
            blobs = []
            for i, param in enumerate(layer.params):
                owner = param.shared_with or param.name
                if owner not in memories:
                    values = np.ascontiguousarray(param.data, np.float32)
                    memories[owner] = Memory(values, lent=True)
                    self._owned.setdefault(layer.name, set()).add(i)
                blobs.append(Blob(param.shape, memories[owner]))
            self.layers[layer.name] = blobs

    def owned(self, layer: str, index: int) -> bool:
        """Whether a blob is the layer's own, not shared with an earlier layer by name."""
        return index in self._owned.get(layer, ())

    def changed(self) -> bool:
        """Whether any number changed since the last call; the first call says yes.

        Only arrays that were handed out and may still be written to are compared, bit by bit, with
        what the net was built from.
        """
        found = False
        blobs = [blob for each in self.layers.values() for blob in each]
        shapes = [blob.shape for blob in blobs]
        memories = {id(blob.memory): blob.memory for blob in blobs}
        if shapes != self._shapes or memories.keys() != self._built.keys():
            found = True
            self._built = {key: kept for key, kept in self._built.items() if key in memories}
            self._shapes = shapes
        for key, memory in memories.items():
            now = memory.opened, memory.held
            before = self._built[key][1] if key in self._built else None
            if before is not None and not before.held and now == (before.opened, False):
                continue
            if before is not None and same_bits(before.array, memory.array):
                before.opened, before.held = now
                continue
            found = True
            self._built[key] = memory, _Built(memory.kept(), *now)
        return found

    def weights(self, name: str) -> Weights | None:
        """What the net was last found to have, as the builder takes it."""
        if not self.layers:
            return None
        net = Message(message_type("NetParameter"))
        found = []
        for layer, blobs in self.layers.items():
            each = Message(message_type("LayerParameter"))
            each.set("name", layer)
            arrays = []
            for blob in blobs:
                kept = self._built[id(blob.memory)][1].array
                arrays.append(kept.reshape(-1)[: blob.count].reshape(blob.shape))
            each.set("blobs", [blob_message(array) for array in arrays])
            found.append(each)
        net.set("layer", found)
        return Weights(net, name, twins=True)

    def copy(self, name: str, arrays: Mapping[str, Sequence[Array]]) -> None:
        """Take trained numbers; layers that are not here are passed over, as in Caffe.

        Args:
            name: where they come from, for messages.
            arrays: layer name to arrays.

        Raises:
            CaffeError: a layer has another number of blobs or numbers; nothing was copied then.
        """
        pairs = []
        for layer, given in arrays.items():
            blobs = self.layers.get(layer)
            if blobs is None or not given:
                continue
            if len(blobs) != len(given):
                raise CaffeError(
                    f"layer {quoted(layer)} takes {plural(len(blobs), 'blob')} of weights,"
                    f" {name} has {len(given)}"
                )
            for i, (blob, array) in enumerate(zip(blobs, given, strict=True)):
                if blob.count != array.size:
                    raise CaffeError(
                        f"cannot copy param {i} of layer {quoted(layer)}: it is"
                        f" {shape(blob.shape)}, {name} has {shape(array.shape)}"
                    )
                pairs.append((blob, array))
        for blob, array in pairs:
            blob.memory.write(np.ascontiguousarray(array, np.float32).reshape(-1))

    def share(self, other: Params) -> None:
        """Use the numbers of another net's layers of the same names from now on.

        Raises:
            CaffeError: a shape differs; nothing is shared then.
        """
        pairs: list[tuple[Blob, Blob]] = []
        for layer, blobs in self.layers.items():
            theirs = other.layers.get(layer)
            if theirs is None:
                continue
            if [b.shape for b in blobs] != [b.shape for b in theirs]:
                raise CaffeError(
                    f"cannot share layer {quoted(layer)}: its params are"
                    f" {[tuple(b.shape) for b in blobs]} here, {[tuple(b.shape) for b in theirs]}"
                    " there"
                )
            pairs += zip(blobs, theirs, strict=True)
        for blob, each in pairs:
            blob.share(each)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays of one size hold the same bits; not-a-number equals itself."""
    if a is b:
        return True
    if a.size != b.size:
        return False
    left, right = a.reshape(-1).view(np.uint32), b.reshape(-1).view(np.uint32)
    return all(
        np.array_equal(left[i : i + CHUNK], right[i : i + CHUNK])
        for i in range(0, left.size, CHUNK)
    )
