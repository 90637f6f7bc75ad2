"""The way back through some layers: diffs of tops in, diffs of bottoms and params out.

What the layers computed is read from the blobs, as they are now, and not computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from layerscope.engine.gradient.run import Program as Gradients
from layerscope.engine.gradient.tape import sized_by_run
from layerscope.net import Layer
from layerscope.pycaffe.blob import Array
from layerscope.pycaffe.definition import is_source
from layerscope.pycaffe.program import Program
from layerscope.pycaffe.propagation import Flow
from layerscope.readers.caffe.message import Message


class Reverse:
    """The layers of a program, backward.

    Args:
        program: the layers, at the shapes that the blobs have.
        messages: their definitions, in order.
        flows: where the gradient goes in each.

    Attributes:
        seeded: the blobs whose diff is read: tops that no layer here hands a gradient to.
        blobs: the blobs whose diff is written.
        params: (layer, index) of the params whose diff is added to.
    """

    def __init__(
        self, program: Program, messages: Sequence[Message], flows: Sequence[Flow]
    ) -> None:
        self.fed = program.fed
        self._net = program.net
        self._blocked: set[tuple[int, str]] = set()
        self._reached: set[str] = set()  # keys that some layer hands a gradient to
        self._written: dict[str, str] = {}  # blob -> the key that layers here wrote last
        self.params: dict[tuple[str, int], str] = {}
        layers = list(self._net.layers)
        for message, flow in zip(messages, flows, strict=True):
            places = [i for i, each in enumerate(layers) if each.name == message.name]
            if places and not is_source(message):
                self._add(layers[places[0]], flow)
                del layers[: places[0] + 1]
        self.seeded = {
            blob: self._net.blobs[key].value
            for blob, key in self._written.items()
            if key not in self._reached
        }
        self.blobs = self._first_reached()
        wanted = dict.fromkeys([*self.blobs.values(), *self.params.values()])
        open_ = sized_by_run(self._net.graph)
        fixed = {*self._net.inputs, *self._net.graph.tensors, *open_}
        self._given = {
            blob.value: blob.base
            for blob in self._net.blobs.values()
            if not blob.replaced and blob.value not in fixed
        }
        self._gradients = Gradients(
            self._net,
            list(dict.fromkeys(self.seeded.values())),
            list(wanted),
            blocked=self._blocked,
            given=self._given,
        )

    def _add(self, layer: Layer, flow: Flow) -> None:
        bottoms = flow.bottoms if flow.runs else [False] * len(layer.bottoms)
        for key, down in zip(layer.bottoms, bottoms, strict=False):
            value = self._net.blobs[key].value
            if down:
                self._reached.add(key)
            else:
                self._blocked.update((node, value) for node in layer.nodes)
        for i, param in enumerate(layer.params):
            value = param.shared_with or param.name
            if not flow.param(i):
                self._blocked.update((node, value) for node in layer.nodes)
            elif value in self._net.graph.tensors:
                self.params[layer.name, i] = value
        if flow.runs:
            for key in layer.tops:
                self._written[self._net.blobs[key].base] = key

    def _first_reached(self) -> dict[str, str]:
        """Blob to the value whose gradient its diff ends with: the first of those in place.

        Walking back, each layer in place writes the diff anew; the lowest has the last word.
        """
        found: dict[str, str] = {}
        for key, blob in self._net.blobs.items():
            if key in self._reached:
                found.setdefault(blob.base, blob.value)
        return found

    def run(
        self, data: Mapping[str, Array], diffs: Mapping[str, Array]
    ) -> tuple[dict[str, NDArray[np.float32]], dict[tuple[str, int], NDArray[np.float32]]]:
        """The new diffs of blobs, and what to add to the diffs of params.

        Args:
            data: every blob's numbers.
            diffs: the diff of every blob in `seeded`.
        """
        inputs = set(self._net.inputs)
        feeds = {
            value: data[value if value in inputs else self._given[value]]
            for value in self._gradients.fed
        }
        seeds: dict[str, Array] = {}
        for blob, value in self.seeded.items():
            seeds[value] = seeds[value] + diffs[blob] if value in seeds else diffs[blob]
        found = self._gradients.run(feeds, seeds)
        blobs = {blob: found[value] for blob, value in self.blobs.items() if value in found}
        params = {place: found[value] for place, value in self.params.items() if value in found}
        return blobs, params
