"""The definition of a net as pycaffe speaks of it: names in order, inputs, outputs, parts.

Rules: `caffe/src/caffe/net.cpp` (Init) and `python/caffe/pycaffe.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import ReadError
from layerscope.pycaffe.errors import CaffeFileError, CaffeValueError
from layerscope.readers.caffe import read_definition
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.phase import State, kept
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.upgrade import upgrade
from layerscope.readers.file import InputFile
from layerscope.text import nearest_hint, printable, quoted

PHASES = {0: "TRAIN", 1: "TEST"}


@dataclass(frozen=True, eq=False)
class Definition:
    """The layers that are there in one phase, level and set of stages.

    Attributes:
        name: the net's name.
        layers: LayerParameter messages, in order.
        force_backward: whether gradients go everywhere they can, also where nothing is learned.
    """

    name: str
    layers: list[Message]
    force_backward: bool = False

    @property
    def layer_names(self) -> list[str]:
        """The name of each layer."""
        return [each.name for each in self.layers]

    @property
    def blob_names(self) -> list[str]:
        """Every blob, in the order in which it is first written."""
        return list(dict.fromkeys(top for each in self.layers for top in each.top))

    @property
    def inputs(self) -> list[str]:
        """The blobs of Input layers; data that a layer brings itself is no input, as in Caffe."""
        return [top for each in self.layers if each.type == "Input" for top in each.top]

    @property
    def outputs(self) -> list[str]:
        """The blobs that no layer reads after their last write, sorted by name as in Caffe."""
        unread: set[str] = set()
        for each in self.layers:
            unread.difference_update(each.bottom)
            unread.update(each.top)
        return sorted(unread)

    @property
    def tops(self) -> OrderedDict[str, list[str]]:
        """Layer name to the names of its tops."""
        return OrderedDict((each.name, list(each.top)) for each in self.layers)

    @property
    def bottoms(self) -> OrderedDict[str, list[str]]:
        """Layer name to the names of its bottoms."""
        return OrderedDict((each.name, list(each.bottom)) for each in self.layers)

    @property
    def loss_weights(self) -> OrderedDict[str, float]:
        """Blob name to its share in the loss: 1 for what a loss layer gives, unless stated."""
        found = OrderedDict.fromkeys(self.blob_names, 0.0)
        for each in self.layers:
            stated = list(each.loss_weight) or [1.0] * ("Loss" in each.type)
            found.update(zip(each.top, map(float, stated), strict=False))
        return found

    def index(self, layer: str) -> int:
        """The position of a layer.

        Raises:
            CaffeValueError: there is no layer of that name.
        """
        names = self.layer_names
        if layer not in names:
            raise CaffeValueError(
                f"layer {quoted(layer)} is not in net {quoted(self.name)}"
                f"{nearest_hint(str(layer), names)}"
            )
        return names.index(layer)

    def part(self, first: int, last: int) -> tuple[list[str], list[Message]]:
        """What it takes to run the layers from `first` to `last`, both included.

        Returns:
            The blobs that must be there before, and the layers that compute.
        """
        fed: dict[str, None] = {}
        written: set[str] = set()
        layers = []
        for each in self.layers[first : last + 1]:
            if is_source(each):
                fed.update(dict.fromkeys(each.top))
            else:
                fed.update(dict.fromkeys(b for b in each.bottom if b not in written))
                layers.append(each)
            written.update(each.top)
        return list(fed), layers


def is_source(layer: Message) -> bool:
    """Whether a layer brings data in: its tops hold what they are given."""
    return not layer.bottom and layer.type != "Parameter"


def with_inputs(shapes: Mapping[str, Sequence[int]], layers: Sequence[Message]) -> list[Message]:
    """The layers, with an Input layer before them for the blobs of `shapes`."""
    if not shapes:
        return list(layers)
    param = Message(message_type("InputParameter"))
    param.set("shape", [_blob_shape(dims) for dims in shapes.values()])
    layer = Message(message_type("LayerParameter"))
    layer.set("name", "inputs of this run")
    layer.set("type", "Input")
    layer.set("top", list(shapes))
    layer.set("input_param", param)
    return [layer, *layers]


def _blob_shape(dims: Sequence[int]) -> Message:
    found = Message(message_type("BlobShape"))
    found.set("dim", [int(d) for d in dims])
    return found


def open_file(path: object) -> InputFile:
    """A file of a net.

    Raises:
        CaffeFileError: it is not there.
    """
    if not Path(str(path)).exists():
        raise missing_file(path)
    return InputFile(str(path))


def missing_file(path: object) -> CaffeFileError:
    """The error for a file that is not there."""
    return CaffeFileError(f"{printable(path)}: no such file")


def read(path: object, phase: int, level: int, stages: Sequence[str]) -> Definition:
    """Read a definition.

    Raises:
        CaffeFileError: the file is not there.
        CaffeValueError: the phase is neither TRAIN nor TEST.
        ReadError: it is damaged, or no layer is left in that state.
    """
    if phase not in PHASES:
        raise CaffeValueError(f"phase {phase!r}: it is caffe.TRAIN (0) or caffe.TEST (1)")
    file = open_file(path)
    root = read_definition(file)
    upgrade(root)
    layers = kept(root.layer, State(PHASES[phase], level, (*root.state.stage, *stages)))
    if not layers:
        raise ReadError(f"{file.name}: no layers for the {PHASES[phase]} phase in it")
    return Definition(printable(root.name or file.path.stem), layers, bool(root.force_backward))
