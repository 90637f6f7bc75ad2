"""What a layer's translate function is given: its settings, its weights, and a way to complain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReadError, UnsupportedLayerError
from layerscope.net import Param
from layerscope.readers.caffe.fillers import filled
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import LayerType
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.weights import Weights
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural, printable, quoted, shape

Fill = Callable[[Message | None, tuple[int, ...], str], NDArray[np.float32]]

_SHARED_SETTINGS = 101  # transform_param and loss_param; the fields behind are one type's own


class SharedParams:
    """Params that layers share by name (`param { name: "w" }`): the first to use it owns it.

    Caffe copies the blobs of every layer of the file into the one shared array, in the order of
    the file, so the last copy stays.
    """

    def __init__(self, layers: Sequence[Message] = (), weights: Weights | None = None) -> None:
        self.owners: dict[str, Param] = {}
        self._weights = weights
        self._last: dict[str, tuple[str, int]] = {}
        first: dict[str, Message] = {}
        for each in layers:
            first.setdefault(each.name, each)
        for name in weights or ():
            for i, spec in enumerate(first[name].param if name in first else ()):
                if spec.name and weights is not None and weights.has(name, i):
                    self._last[spec.name] = name, i

    def last(self, share: str, dims: tuple[int, ...]) -> tuple[str, NDArray[Any]] | None:
        """The layer whose copy stays, and its numbers, where they fit the shape."""
        layer, index = self._last.get(share, ("", 0))
        if self._weights is None or share not in self._last:
            return None
        if prod(self._weights.shapes(layer)[index]) != prod(dims):
            return None  # its own layer will say so
        return layer, self._weights.array(layer, index, dims)


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def _stated(filler: Message | None, dims: tuple[int, ...]) -> Message:
    """The filler of the definition; where it states none, one that keeps a net's values alive.

    Caffe would take zeros for those, and every blob behind them would be zero.
    """
    if filler is not None and next(filler.given(), None) is not None:
        return filler
    found = Message(message_type("FillerParameter"))
    found.set("type", "msra" if len(dims) > 1 else "constant")
    return found


def invented(filler: Message | None, dims: tuple[int, ...], seed: str) -> NDArray[np.float32]:
    """Numbers for a param without weights, from the definition or of a size that keeps values."""
    return filled(_stated(filler, dims), dims, seed)


class LayerSpec:
    """One layer of the definition, while it is being translated.

    Attributes:
        name, type: as in the file.
        param: its own settings message (`convolution_param` ...), at Caffe's defaults where the
            file is silent.
        tops: how many tops it has.
        params: the learned arrays that it has asked for so far.
        notes: what the user should know about it.
        was_filled: whether a param had no weights and was filled.
        summary: its settings in a few words, set by the translate function.
    """

    def __init__(
        self,
        message: Message,
        kind: LayerType,
        g: GraphBuilder,
        weights: Weights | None,
        shared: SharedParams,
        fill: bool | Fill,
    ) -> None:
        self.message = message
        self.kind = kind
        self.name: str = message.name
        self.type: str = message.type
        self.tops = len(message.top)
        self.param: Any = None
        self.params: list[Param] = []
        self.notes: list[str] = []
        self.summary = ""
        self.was_filled = False
        self._g = g
        self._weights = weights
        self._shared = shared
        self._fill = fill
        if kind.param:
            self._check_told(message, kind.param)
            self.param = getattr(message, kind.param)

    def _check_told(self, message: Message, name: str) -> None:
        """A fork's settings must come from text: in a binary file they are just a number."""
        field = message.kind.find(name)
        if field is None or field.number or message.origin is None or not message.origin.binary:
            return
        settings = [each for each, _ in message.given() if each.number > _SHARED_SETTINGS]
        if settings or message.unknown:
            raise self.unsupported(
                f"the settings of type {self.type} are a fork's ({name}), and a caffemodel alone"
                " does not tell forks apart; give the prototxt with it"
            )

    # --- learned arrays ---

    def weight(self, dims: Sequence[int], filler: Message | None = None) -> str:
        """The layer's next learned array, as a value of the graph.

        Args:
            dims: the shape that it must have.
            filler: how it is filled where weights are missing and the caller allowed that.

        Raises:
            ReadError: the file's array does not fit, or a shared param has another shape.
        """
        index = len(self.params)
        dims = tuple(int(d) for d in dims)
        found = self._stored(index, dims)
        owner = self._owner(index, dims)
        if owner is not None:
            self.params.append(owner)
            return owner.name
        if found is None and self._fill:
            fill = self._fill if callable(self._fill) else invented
            found = fill(filler, dims, f"{self.name}/{index}")
            self.was_filled = True
        name = self._g.param(f"{self.name}/{index}", dims, found)
        param = Param(name, dims, found)
        self.params.append(param)
        share = self._share_name(index)
        if share:
            self._shared.owners[share] = param
        return name

    @property
    def stored(self) -> list[tuple[int, ...]]:
        """The shapes of the blobs that the file has for this layer."""
        return self._weights.shapes(self.name) if self._weights else []

    def array(self, index: int) -> NDArray[Any] | None:
        """The numbers of a learned array that was asked for, where there are weights."""
        return self.params[index].array

    def _stored(self, index: int, dims: tuple[int, ...]) -> NDArray[Any] | None:
        there = self._weights is not None and self._weights.has(self.name, index)
        own = self._weights.array(self.name, index, dims) if self._weights and there else None
        share = self._share_name(index)
        last = self._shared.last(share, dims) if share else None
        if last is None:
            return own
        layer, found = last
        if own is not None and layer != self.name and not _same(own, found):
            self.notes.append(
                f"layer {quoted(self.name)}: its copy of the shared param {quoted(share)} differs"
                f" from that of layer {quoted(layer)}; that one is used, as the last in the file"
            )
        return found

    def _share_name(self, index: int) -> str:
        specs = self.message.param
        return specs[index].name if index < len(specs) else ""

    def _owner(self, index: int, dims: tuple[int, ...]) -> Param | None:
        """The param that this one shares with an earlier layer, if it does."""
        share = self._share_name(index)
        owner = self._shared.owners.get(share) if share else None
        if owner is None:
            return None
        permissive = self.message.param[index].share_mode == "PERMISSIVE"
        if owner.shape != dims and not (permissive and owner.size == np.prod(dims)):
            raise self.error(
                f"param {quoted(share)} is {shape(owner.shape)} where it was first used and"
                f" {shape(dims)} here; shared params must be alike"
            )
        array = owner.array
        if owner.shape != dims:
            value = self._g.reshape(owner.name, dims)
            view = None if array is None else array.reshape(dims)
            return Param(value, dims, view, shared_with=owner.name)
        return Param(owner.name, dims, array, shared_with=owner.name)

    def check_weights(self) -> None:
        """After translation: the file must not have more or fewer blobs than the layer takes.

        Raises:
            ReadError: it has.
        """
        weights = self._weights
        if weights is None or not weights.count(self.name):
            return
        stored = [i for i in range(weights.count(self.name)) if weights.has(self.name, i)]
        left_out = [
            i
            for i, each in enumerate(self.params)
            if weights.partial and each.shared_with and i not in stored
        ]
        if sorted(stored + left_out) != list(range(len(self.params))):
            raise self.error(
                f"takes {plural(len(self.params), 'blob')} of weights,"
                f" {weights.name} has {len(stored)}"
            )

    # --- settings ---

    def axis(self, axis: int, dims: Sequence[int], field: str = "axis") -> int:
        """An axis counted from the front; Caffe's may be counted from the end.

        Raises:
            ReadError: the blob has no such axis.
        """
        if not -len(dims) <= axis < len(dims):
            raise self.error(f"{field} {axis} of a bottom of shape {shape(dims)}", field)
        return axis % len(dims)

    @property
    def in_place(self) -> bool:
        """Whether the layer writes its first top over its first bottom."""
        return bool(self.message.bottom[:1]) and self.message.top[:1] == self.message.bottom[:1]

    def refuse_in_place(self) -> None:
        """Some types may not write the blob that they read.

        Raises:
            ReadError: this layer does.
        """
        if self.in_place:
            raise self.error(
                f"{self.kind.name} cannot work in place; give its top another name than"
                f" {quoted(self.message.top[0])}"
            )

    def error(self, what: str, field: str = "") -> ReadError:
        """An error about this layer, with the place in the file."""
        unknown = [name for name, _ in (self.param.unknown if self.param is not None else ())]
        hint = f" (unknown here: {', '.join(map(printable, unknown[:3]))})" if unknown else ""
        return ReadError(f"{self.where(field)}: {what}{hint}")

    def unsupported(self, what: str, field: str = "") -> UnsupportedLayerError:
        """An error about something valid that layerscope cannot do."""
        return UnsupportedLayerError(f"{self.where(field)}: {what}")

    def where(self, field: str = "") -> str:
        """`net.prototxt:41:7: layer "conv1"`."""
        source: Message = self.param if self.param is not None and field else self.message
        place = source.place(field) or self.message.place()
        return f"{place}: layer {quoted(self.name)}" if place else f"layer {quoted(self.name)}"
