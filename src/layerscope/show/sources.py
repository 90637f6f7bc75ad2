"""Which arrays of a run the report shows under each layer, and in which form."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.blobs import Blobs
from layerscope.measure.top import probability_blob, score_blob
from layerscope.net import Layer, Net, Param
from layerscope.pictures.packed import STEPS
from layerscope.show.drawing import planes
from layerscope.show.figures import MOST_COLUMNS, MOST_OF_A_PARAM, Source

_SCALING = {"BatchNormalization", "Mul", "Add", "Div", "Sqrt", "Reshape", "Unsqueeze", "Expand",
            "Identity"}  # fmt: skip
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
        self._classes = probability_blob(net) or score_blob(net)
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
            self._derive(layer, source)
        elif name == self._classes:
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

    def _derive(self, layer: Layer, source: Source) -> None:
        """Note where a blob is another one scaled, or bent at zero: the page computes that."""
        values = [self._net.blobs[bottom].value for bottom in layer.bottoms]
        parent = self._by_value.get(values[0]) if len(values) == 1 else None
        if parent is None or parent.tiles is None or parent.slope is not None:
            return
        assert source.tiles is not None
        if parent.tiles.shape != source.tiles.shape:
            return
        slope = slope_of(self._net, layer)
        if slope is not None:
            source.parent, source.slope, source.ends = parent.owner, slope, parent.ends
        elif scales(self._net, layer):
            source.ends = scaled_ends(parent.owner, source.tiles)
            source.parent = None if source.ends is None else parent.owner

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
        if self._in_color(layer, param):
            source.tiles, source.unit = data, "filter"
            source.order = "RGB" if self._net.preprocessing.channels == "RGB" else "BGR"
        elif len(param.shape) >= 4 and prod(param.shape[2:]) > 1:
            source.tiles = data.reshape(-1, *param.shape[-2:])
            source.unit, source.depth = "kernel", len(source.tiles) // max(1, param.shape[0])
        elif len(sides) == 2 and (maps := self._maps(layer, sides[1])):
            source.tiles = data.reshape(-1, *maps[1:])
            source.unit, source.depth = "kernel", maps[0]
        elif sides and sides[-1] <= MOST_COLUMNS:
            source.tiles, source.unit = data.reshape(-1, 1, sides[-1]), "row"

    def _in_color(self, layer: Layer, param: Param) -> bool:
        """Whether filters have three channels that are those of an input."""
        kernels = len(param.shape) == 4 and param.shape[1] == 3 and prod(param.shape[2:]) > 1
        inputs = self._net.inputs
        return kernels and any(self._net.blobs[b].value in inputs for b in layer.bottoms)

    def _maps(self, layer: Layer, columns: int) -> tuple[int, ...]:
        """(C, H, W) of the maps that an inner product reads as one row; () where it reads none.

        Its weights are kernels too then, as large as the maps.
        """
        shape = self._net.blobs[layer.bottoms[0]].shape[1:] if len(layer.bottoms) == 1 else ()
        fits = len(shape) == 3 and prod(shape) == columns and prod(shape[1:]) > 1
        return shape if fits else ()


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


def scales(net: Net, layer: Layer) -> bool:
    """Whether a layer may only multiply and shift each channel: BatchNorm, Scale and Bias do."""
    ops = {net.graph.nodes[i].op_type for i in layer.nodes}
    return bool(ops & {"BatchNormalization", "Mul", "Add", "Div"}) and ops <= _SCALING


def scaled_ends(owner: Source, tiles: NDArray[Any]) -> NDArray[np.float32] | None:
    """What the ends of each packed tile become in `tiles`, (2, n); None unless all of it is so.

    Every value is held against the straight line of its channel: what is told of it stays as exact
    as what is packed.
    """
    assert owner.tiles is not None
    before, after = owner.tiles.reshape(len(tiles), -1), tiles.reshape(len(tiles), -1)
    if not (np.isfinite(before.sum()) and np.isfinite(after.sum())):
        return None
    rows = np.arange(len(before))
    least, most = before.argmin(axis=1), before.argmax(axis=1)
    low, high = before[rows, least].astype(np.float64), before[rows, most].astype(np.float64)
    start, end = after[rows, least].astype(np.float64), after[rows, most].astype(np.float64)
    factor = np.divide(end - start, high - low, out=np.zeros_like(low), where=high > low)
    shift = start - factor * low
    line = before * factor[:, None].astype(np.float32) + shift[:, None].astype(np.float32)
    off = np.abs(line - after).max(axis=1)
    if (off > np.abs(end - start) / STEPS / 10).any():
        return None
    if owner.shares_ends:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    return np.stack([factor * low + shift, factor * high + shift]).astype(np.float32)
