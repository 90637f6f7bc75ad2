"""What a net has: blobs, params, layers and names, without running it.

Names: `python/caffe/pycaffe.py` and `python/caffe/_caffe.cpp`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from layerscope.pycaffe.blob import Blob
from layerscope.pycaffe.definition import Definition
from layerscope.pycaffe.params import Params
from layerscope.text import plural, printable, quoted


class Layer:
    """One layer: its `type`, and its params as `blobs`."""

    def __init__(self, type_: str, blobs: list[Blob]) -> None:
        self.type = type_
        self.blobs = blobs

    def __repr__(self) -> str:
        return f"<caffe Layer {printable(self.type)}, {plural(len(self.blobs), 'blob')}>"


class Outline:
    """The names and arrays of a net; `Net` runs it."""

    _definition: Definition
    _params: Params
    _blobs: OrderedDict[str, Blob]
    _layers: list[Layer]

    @property
    def blobs(self) -> OrderedDict[str, Blob]:
        """Name to blob, from input to output."""
        return self._blobs

    @property
    def params(self) -> OrderedDict[str, list[Blob]]:
        """Layer name to blobs: weights, then biases."""
        return self._params.layers

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return self._layers

    @property
    def layer_dict(self) -> OrderedDict[str, Layer]:
        """Name to layer."""
        return OrderedDict(zip(self._layer_names, self._layers, strict=True))

    @property
    def inputs(self) -> list[str]:
        """The blobs that `forward` takes; those of Input layers."""
        return self._definition.inputs

    @property
    def outputs(self) -> list[str]:
        """The blobs that no layer reads, sorted by name."""
        return self._definition.outputs

    @property
    def top_names(self) -> OrderedDict[str, list[str]]:
        """Layer name to the names of its tops."""
        return self._definition.tops

    @property
    def bottom_names(self) -> OrderedDict[str, list[str]]:
        """Layer name to the names of its bottoms."""
        return self._definition.bottoms

    @property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """Blob name to its share in the loss."""
        return self._definition.loss_weights

    @property
    def name(self) -> str:
        """The net's name."""
        return self._definition.name

    @property
    def _layer_names(self) -> list[str]:
        return self._definition.layer_names

    @property
    def _blob_names(self) -> list[str]:
        return self._definition.blob_names

    @property
    def _blob_loss_weights(self) -> list[float]:
        return list(self.blob_loss_weights.values())

    @property
    def _inputs(self) -> list[int]:
        return self._ids(self.inputs)

    @property
    def _outputs(self) -> list[int]:
        return self._ids(self.outputs)

    def _bottom_ids(self, layer: int) -> list[int]:
        return self._ids(self._definition.layers[layer].bottom)

    def _top_ids(self, layer: int) -> list[int]:
        return self._ids(self._definition.layers[layer].top)

    def _ids(self, names: Iterable[str]) -> list[int]:
        """The positions of blobs in `_blob_names`."""
        places = {name: i for i, name in enumerate(self._blob_names)}
        return [places[name] for name in names]

    def __repr__(self) -> str:
        return f"<caffe Net {quoted(self.name)}: {plural(len(self._layers), 'layer')}>"
