"""Which arrays of a run the report shows under each layer, and in which form."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.blobs import Blobs
from layerscope.measure.top import probability_blob
from layerscope.net import Layer, Net, Param
from layerscope.show.drawing import in_color, planes
from layerscope.show.figures import MOST_COLUMNS, MOST_OF_A_PARAM, Source

MOST_VALUES = 65_536  # bytes of a vector: the first 16,384 values


class Sources:
    """The sources of a whole net, made layer by layer; each value is a source once.

    Attributes:
        all: in the order of the net.
        params: those that are params.
    """

    def __init__(self, net: Net, blobs: Blobs, labels: Sequence[str]) -> None:
        self._net, self._blobs, self._labels = net, blobs, labels
        self._by_value: dict[str, Source] = {}
        self._probability = probability_blob(net)
        self.blobs: list[Source] = []
        self.params: list[Source] = []

    def blob(self, layer: Layer, name: str) -> Source:
        """The source of one top of a layer, for the first image of a batch."""
        array = self._blobs[name]
        one = array[0] if array.ndim > 1 else array
        source = Source(name, one, array.shape, "value", most=MOST_VALUES)
        if prod(one.shape[1:]) > 1:
            source.tiles, source.unit, source.most = planes(one), "channel", 1 << 40
            source.depth = prod(one.shape[1:-2]) if one.ndim > 2 else 1
            source.unit = "slice" if source.depth > 1 else "channel"
            self._derive(layer, name, source)
        elif name == self._probability:
            source.names = self._labels
        if array.ndim > 1 and len(array) > 1:
            source.words += (f"image 1 of {len(array)}",)
        fed = self._blobs.fed.get(name)
        if fed is not None and fed.picture is not None and array.shape[1:2] == (3,):
            order = "RGB" if self._net.preprocessing.channels == "RGB" else "BGR"
            source.words += (f"channels in the order {', '.join(order)}",)
        self._by_value.setdefault(self._net.blobs[name].value, source)
        self.blobs.append(source)
        return source

    def _derive(self, layer: Layer, name: str, source: Source) -> None:
        """Note where a blob is only another one cut or bent at zero: the page computes that."""
        slope = slope_of(self._net, layer)
        if slope is None:
            return
        node = self._net.graph.nodes[layer.nodes[0]]
        parent = self._by_value.get(node.input[0])
        written = node.output[0] == self._net.blobs[name].value
        if written and parent is not None and parent.parent is None and parent.tiles is not None:
            assert source.tiles is not None
            if parent.tiles.shape == source.tiles.shape:
                source.parent, source.slope = parent, slope

    def param(self, layer: Layer, number: int, param: Param) -> Source:
        """The source of one param of a layer that has numbers."""
        words = [f"param {number + 1} of {len(layer.params)}"]
        if param.shared_with:
            words.append(f"shared with {param.shared_with}")
        data = np.asarray(param.data)
        source = Source(
            param.name, data, param.shape, "value", most=MOST_VALUES, words=tuple(words)
        )
        self._shape_param(layer, param, source)
        self.params.append(source)
        return source

    def _shape_param(self, layer: Layer, param: Param, source: Source) -> None:
        data: NDArray[Any] = source.array
        if param.size <= max(param.shape, default=1):
            return  # a vector
        source.most = MOST_OF_A_PARAM
        sides = tuple(d for d in param.shape if d != 1)
        if in_color(self._net, layer, param):
            source.tiles, source.unit = data, "filter"
            source.order = "RGB" if self._net.preprocessing.channels == "RGB" else "BGR"
        elif len(param.shape) >= 4 and prod(param.shape[2:]) > 1:
            source.tiles = data.reshape(-1, *param.shape[-2:])
            source.unit, source.depth = "kernel", len(source.tiles) // max(1, param.shape[0])
        elif sides and sides[-1] <= MOST_COLUMNS:
            source.tiles, source.unit = data.reshape(-1, 1, sides[-1]), "row"


def slope_of(net: Net, layer: Layer) -> float | None:
    """What a layer multiplies values below zero with, where it does nothing else; else None.

    ReLU gives 0; a leaky one its slope.  The ONNX node decides, not a name.
    """
    if len(layer.nodes) != 1:
        return None
    node = net.graph.nodes[layer.nodes[0]]
    if node.op_type == "Relu":
        return 0.0
    if node.op_type != "LeakyRelu":
        return None
    slope = next((float(a.f) for a in node.attribute if a.name == "alpha"), 0.01)
    return slope if slope >= 0 else None
