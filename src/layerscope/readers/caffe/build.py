"""Layers to graph: the only loop over a Caffe net's layers.

It keeps the current value of every blob, gives every in-place write a name of its own, and knows
nothing about any layer type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from layerscope.errors import LimitError, ReadError, UnsupportedError
from layerscope.net import Blob, Layer
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import LayerType, find, unknown_type
from layerscope.readers.caffe.spec import Fill, LayerSpec, SharedParams
from layerscope.readers.caffe.weights import Weights
from layerscope.readers.graph import GraphBuilder
from layerscope.text import nearest_hint, plural, printable, quoted

MAX_LAYERS = 20_000
MAX_NAME = 1024


class NetBuilder:
    """Builds one net; `layers` are those of the wanted phase, in the current definition.

    Args:
        layers: LayerParameter messages.
        weights: the trained arrays, if there are any.
        fill: whether params without weights are filled as their definition says, or how.
    """

    def __init__(
        self,
        layers: Sequence[Message],
        weights: Weights | None = None,
        *,
        fill: bool | Fill = False,
    ) -> None:
        if len(layers) > MAX_LAYERS:
            raise LimitError(f"{plural(len(layers), 'layer')}; the limit is {MAX_LAYERS:,}")
        self.messages = layers
        self.weights = weights
        self.fill = fill
        self.g = GraphBuilder()
        self.blobs: dict[str, Blob] = {}
        self.layers: list[Layer] = []
        self.notes: list[str] = []
        self._current: dict[str, str] = {}  # blob name -> key in self.blobs
        self._unread: dict[str, None] = {}  # keys that no layer has read, in order
        self._writes = Counter(top for each in layers for top in each.top)
        self._written: Counter[str] = Counter()
        self._shared = SharedParams()
        self._filled: list[str] = []

    def build(self) -> None:
        """Translate every layer.

        Raises:
            ReadError: a layer is wrong; the message has its name and place.
            UnsupportedError: a layer's type, or what it asks for, is not known.
        """
        for message in self.messages:
            kind = self._kind(message)
            bottoms = [self._bottom(message, name) for name in message.bottom]
            self._check_tops(message)
            spec = LayerSpec(message, kind, self.g, self.weights, self._shared, self.fill)
            self._translate(spec, bottoms)

    def _kind(self, message: Message) -> LayerType:
        name = message.name
        if len(name) > MAX_NAME:
            raise LimitError(f"{message.place('name')}: a name of {len(name):,} characters")
        where = f"{message.place('type')}: layer {quoted(name)}"
        if not message.type:
            raise ReadError(f"{where} has no type")
        kind = find(message.type)
        if kind is None:
            raise UnsupportedError(f"{where} has {unknown_type(message.type)}")
        for noun, least_most, found in (
            ("bottom", kind.bottoms, len(message.bottom)),
            ("top", kind.tops, len(message.top)),
        ):
            least, most = least_most
            if found < least or (most is not None and found > most):
                wanted = str(least) if least == most else f"{least} to {most or 'any number'}"
                raise ReadError(
                    f"{where}: {kind.name} takes {wanted} {noun}{'' if wanted == '1' else 's'},"
                    f" {found} are given"
                )
        return kind

    def _bottom(self, message: Message, name: str) -> str:
        """The key of the blob's current value."""
        if name not in self._current:
            hint = nearest_hint(name, self._current)
            raise ReadError(
                f"{message.place('bottom')}: layer {quoted(message.name)} reads blob"
                f" {quoted(name)}, which no layer before it writes{hint}"
            )
        key = self._current[name]
        self._unread.pop(key, None)
        return key

    def _check_tops(self, message: Message) -> None:
        """A blob may be written again only in place."""
        for i, top in enumerate(message.top):
            if not top:
                raise ReadError(f"{message.place('top')}: layer {quoted(message.name)}: empty top")
            again = top in self._current and (i >= len(message.bottom) or message.bottom[i] != top)
            if again or top in message.top[:i]:
                earlier = self.blobs[self._current[top]].layer if again else message.name
                raise ReadError(
                    f"{message.place('top')}: layer {quoted(message.name)} writes blob"
                    f" {quoted(top)}, which layer {quoted(earlier)} wrote; only a layer that reads"
                    " it in place may"
                )

    def _translate(self, spec: LayerSpec, bottoms: list[str]) -> None:
        g = self.g
        first = len(g.nodes)
        g.prefix = spec.name
        values = [self.blobs[key].value for key in bottoms]
        try:
            made = spec.kind.translate(g, spec, *values)
        except UnsupportedError as error:
            if str(error).startswith(spec.where()) or quoted(spec.name) in str(error):
                raise
            raise UnsupportedError(f"{spec.where()} ({spec.type}): {error}") from None
        tops = [made] if isinstance(made, str) else list(made)
        spec.check_weights()
        keys = [
            self._write(spec, top, value, first)
            for top, value in zip(spec.message.top, tops, strict=True)
        ]
        self.notes += spec.notes
        self._filled += [spec.name] if spec.was_filled else []
        self.layers.append(
            Layer(
                name=spec.name,
                type=spec.type,
                family=spec.kind.family,
                bottoms=tuple(bottoms),
                tops=tuple(keys),
                params=tuple(spec.params),
                nodes=range(first, len(g.nodes)),
                summary=spec.summary,
            )
        )

    def _write(self, spec: LayerSpec, top: str, value: str, first: int) -> str:
        """Name a layer's output: the blob's own name for the last write, blob@layer before."""
        self._written[top] += 1
        last = self._written[top] == self._writes[top]
        key = top if last else self._fresh(f"{top}@{spec.name}")
        mine = any(value in node.output for node in self.g.nodes[first:])
        if mine and value != key and key not in self.g.shapes:
            self.g.rename(value, key, first)
            value = key
        self.blobs[key] = Blob(key, self.g.shape(value), value, spec.name, replaced=not last)
        self._current[top] = key
        self._unread[key] = None
        return key

    def _fresh(self, key: str) -> str:
        number = 2
        wanted = key
        while key in self.blobs or key in self._writes:
            key = f"{wanted}:{number}"
            number += 1
        return key

    @property
    def outputs(self) -> tuple[str, ...]:
        """The blobs that no layer reads."""
        return tuple(self._unread)

    def weight_notes(self) -> list[str]:
        """Which layers have weights, when not all do."""
        with_params = [each for each in self.layers if each.params]
        if self._filled:
            return [
                f"{len(self._filled)} of {plural(len(with_params), 'layer')} with params have no"
                " weights; they are filled at random, always the same way"
            ]
        if self.weights is None:
            return []
        missing = [each.name for each in with_params if each.name not in self.weights]
        notes = list(self.weights.notes)
        if missing:
            names = ", ".join(printable(n) for n in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            notes.append(
                f"{len(with_params) - len(missing)} of {plural(len(with_params), 'layer')} have"
                f" weights in {self.weights.name}; missing: {names}{more}"
            )
        return notes


def sized(layers: Sequence[Message], shapes: Mapping[str, Sequence[int]]) -> list[Message]:
    """The layers with other input shapes; the messages given are not changed."""
    changed = []
    for each in layers:
        if each.type == "Input" and any(top in shapes for top in each.top):
            changed.append(_sized_input(each, shapes))
        else:
            changed.append(each)
    return changed


def _sized_input(layer: Message, shapes: Mapping[str, Sequence[int]]) -> Message:
    copy = layer.copy()
    param = layer.input_param.copy()
    old = list(param.shape)
    new = []
    for i, top in enumerate(layer.top):
        each = old[i if len(old) > 1 else 0].copy()
        if top in shapes:
            each.set("dim", [int(d) for d in shapes[top]])
        new.append(each)
    param.set("shape", new)
    copy.set("input_param", param)
    return copy
