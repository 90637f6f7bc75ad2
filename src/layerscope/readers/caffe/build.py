"""Layers to graph: the only loop over a Caffe net's layers.

It keeps the current value of every blob, gives every in-place write a name of its own, leaves out
the losses whose labels nobody gives, and knows nothing about any layer type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

from layerscope.errors import LimitError, ReadError, UnsupportedError, UnsupportedLayerError
from layerscope.net import Blob, Layer
from layerscope.readers.caffe.backward import mark_backward
from layerscope.readers.caffe.labels import label_inputs, label_note
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import LayerType, find, unknown_type
from layerscope.readers.caffe.sharing import written_along
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
        input_shapes: input name to shape, in place of what the file states.
        without: inputs that will not be fed.
    """

    def __init__(
        self,
        layers: Sequence[Message],
        weights: Weights | None = None,
        *,
        fill: bool | Fill = False,
        input_shapes: Mapping[str, Sequence[int]] | None = None,
        without: Collection[str] = (),
    ) -> None:
        if len(layers) > MAX_LAYERS:
            raise LimitError(f"{plural(len(layers), 'layer')}; the limit is {MAX_LAYERS:,}")
        self.messages = layers
        self.weights = weights
        self.fill = fill
        self.without = without
        self.g = GraphBuilder(input_shapes)
        self.blobs: dict[str, Blob] = {}
        self.layers: list[Layer] = []
        self.notes: list[str] = []
        self._current: dict[str, str] = {}  # blob name -> key in self.blobs
        self._held: set[str] = set()  # values that are a blob's
        self._unread: dict[str, None] = {}  # keys that no layer has read, in order
        self._along = dict(zip(map(id, layers), written_along(layers), strict=True))
        self._writes = Counter(top for each in layers for top in each.top)
        self._writes.update(name for names in self._along.values() for name in names)
        self._written: Counter[str] = Counter()
        self._shared = SharedParams(layers, weights)
        self._named: Counter[str] = Counter()  # layers so far, by name
        self._second: dict[str, None] = {}  # names whose later layers have no weights
        self._filled: list[str] = []
        self._twins: Counter[str] = Counter()
        self._absent: dict[str, str] = {}  # blob that nothing gives -> the missing one behind it
        self._left_out: dict[str, list[str]] = {}  # missing blob -> layers that need it
        self._aside: dict[str, str] = {}  # blob -> the layer that should give it and cannot

    def build(self) -> None:
        """Translate every layer.

        A layer that cannot be computed is listed with its reason, and so is what reads it.

        Raises:
            ReadError: a layer is wrong; the message has its name and place.
            UnsupportedError: the weights are stored in a way that is not known.
        """
        for message in self.messages:
            self._named[message.name] += 1
            needed = next((self._aside[b] for b in message.bottom if b in self._aside), None)
            if needed is not None:
                where = f"{message.place()}: layer {quoted(message.name)}"
                self._set_aside(message, f"{where} needs layer {quoted(needed)}")
                continue
            try:
                self._add(message)
            except UnsupportedLayerError as error:
                self._set_aside(message, str(error))
        mark_backward(self.layers, self.blobs, self._current, self.g.nodes)

    def _add(self, message: Message) -> None:
        """Translate one layer."""
        kind = self._kind(message)
        if self._leave_out(message, kind):
            return
        bottoms = [self._bottom(message, name) for name in message.bottom]
        self._check_tops(message)
        weights = self._weights_of(message.name)
        spec = LayerSpec(message, kind, self.g, weights, self._shared, self.fill)
        first = len(self.g.nodes)
        try:
            self._translate(spec, bottoms)
        except UnsupportedLayerError as error:
            del self.g.nodes[first:]
            if kind.family != "loss":
                raise
            self._absent.update({top: top for top in message.top})  # only other losses need it
            self.notes.append(f"{error}; it is left out")

    def _weights_of(self, name: str) -> Weights | None:
        """The weights, for a layer of that name; as in Caffe, only the first of a name has them."""
        if self.weights is None or self.weights.twins or self._named[name] < 2:
            return self.weights
        if self.weights.count(name):
            self._second[name] = None
        return None

    def _set_aside(self, message: Message, reason: str) -> None:
        """List a layer that cannot be computed; its blobs are unknown from here on."""
        if not any(each.reason for each in self.layers):
            self.notes.append(f"{reason}; it is not computed, nor is what needs it")
        kind = find(message.type)
        known = tuple(self._current[b] for b in message.bottom if b in self._current)
        family = kind.family if kind else "unknown"
        needs = tuple(dict.fromkeys(self._aside[b] for b in message.bottom if b in self._aside))
        name, lost = message.name, tuple(message.top)
        self.layers.append(
            Layer(name, message.type, family, known, (), reason=reason, needs=needs, lost=lost)
        )
        for top in (*message.top, *self._along[id(message)]):
            self._current.pop(top, None)
            self._aside[top] = message.name

    def _kind(self, message: Message) -> LayerType:
        name = message.name
        if len(name) > MAX_NAME:
            raise LimitError(f"{message.place('name')}: a name of {len(name):,} characters")
        if not message.type:
            raise ReadError(f"{message.place()}: layer {quoted(name)} has no type")
        kind = find(message.type)
        if kind is None:
            where = f"{message.place('type')}: layer {quoted(name)}"
            raise UnsupportedLayerError(f"{where} has {unknown_type(message.type)}")
        self._check_arity(message, kind, "bottom", kind.bottoms)
        self._check_arity(message, kind, "top", kind.tops)
        return kind

    @staticmethod
    def _check_arity(
        message: Message, kind: LayerType, noun: str, arity: tuple[int, int | None]
    ) -> None:
        found, (least, most) = len(getattr(message, noun)), arity
        if found >= least and (most is None or found <= most):
            return
        wanted = str(least) if least == most else f"{least} to {most or 'any number'}"
        raise ReadError(
            f"{message.place('type')}: layer {quoted(message.name)}: {kind.name} takes {wanted}"
            f" {noun}{'' if wanted == '1' else 's'}, {found} are given"
        )

    def _leave_out(self, message: Message, kind: LayerType) -> bool:
        """Whether a layer cannot be there, for want of a blob.

        A deploy file may still have its losses, whose labels no layer writes any more; and a net
        may be wanted without its labels.  What reads such a loss goes with it.
        """
        for name in message.bottom:
            if name in self._current:
                continue
            if name in self._absent or kind.family == "loss":
                missing = self._absent.get(name, name)
                self._left_out.setdefault(missing, []).append(message.name)
                self._absent.update(dict.fromkeys(message.top, missing))
                return True
        return False

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
            raise UnsupportedLayerError(f"{spec.where()} ({spec.type}): {error}") from None
        tops = [made] if isinstance(made, str) else list(made)
        if len(tops) != spec.tops:
            raise spec.error(
                f"{spec.type} with {plural(len(bottoms), 'bottom')} makes"
                f" {plural(len(tops), 'top')}, {spec.tops} are given"
            )
        spec.check_weights()
        keys = [
            self._write(spec, top, value, first)
            for top, value in zip(spec.message.top, tops, strict=True)
            if not self._dropped(value)
        ]
        keys += self._write_along(spec, first)
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

    def _write_along(self, spec: LayerSpec, first: int) -> list[str]:
        """Write the blobs whose numbers are those of a top that was written over in place."""
        names = [name for name in self._along[id(spec.message)] if name in self._current]
        if not names:
            return []
        top = spec.message.top[0]
        self.notes.append(
            f"layer {quoted(spec.name)} writes over {quoted(top)}, which has its numbers in common"
            f" with {', '.join(map(quoted, names))}: as in Caffe, they change too"
        )
        keys = []
        for name in names:
            self.g.prefix = f"{spec.name}/{name}"  # each view is a node of its own
            value = self._viewed(top, self.blobs[self._current[name]].shape)
            keys.append(self._write(spec, name, value, first))
        return keys

    def _viewed(self, blob: str, dims: tuple[int, ...]) -> str:
        """A blob's current value in another shape of as many numbers."""
        value = self.blobs[self._current[blob]].value
        if self.g.shape(value) == dims:
            return value
        if dims[:1] == self.g.shape(value)[:1]:
            return self.g.reshape(value, [0, *dims[1:]])
        self.g.free_batch = False
        return self.g.reshape(value, dims)

    def _dropped(self, value: str) -> bool:
        """Whether a top is an input that will not be fed; then it is forgotten."""
        if value not in self.without or value not in self.g.inputs:
            return False
        self.g.drop_input(value)
        self._absent[value] = value
        return True

    def _write(self, spec: LayerSpec, top: str, value: str, first: int) -> str:
        """Name a layer's output: the blob's own name for the last write, blob@layer before."""
        self._written[top] += 1
        last = self._written[top] == self._writes[top]
        key = top if last else self._fresh(f"{top}@{spec.name}")
        mine = any(value in node.output for node in self.g.nodes[first:])
        if mine and value not in self._held and value != key and key not in self.g.shapes:
            self.g.rename(value, key, first)
            value = key
        self.blobs[key] = Blob(key, self.g.shape(value), value, spec.name, top, replaced=not last)
        self._held.add(value)
        self._current[top] = key
        self._unread[key] = None
        return key

    def _fresh(self, key: str) -> str:
        """The key, or where layers share a name, the key with a number behind it."""
        wanted = key
        while key in self.blobs or key in self._writes:
            self._twins[wanted] += 1
            key = f"{wanted}:{self._twins[wanted] + 1}"
        return key

    @property
    def outputs(self) -> tuple[str, ...]:
        """The blobs that no layer reads."""
        return tuple(self._unread)

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """The inputs that may be left out, and the losses with them."""
        return label_inputs(self.layers, self.blobs, self.g.inputs)

    def all_notes(self) -> list[str]:
        """What the user should know about this net, each thing once."""
        absent = [
            f"nothing gives blob {quoted(blob)}; left out: {', '.join(map(printable, names))}"
            for blob, names in self._left_out.items()
        ]
        labels = label_note(self.layers, self.blobs, self.optional)
        return list(dict.fromkeys([*self.notes, *absent, *labels, *self.weight_notes()]))

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
        missing = [each.name for each in with_params if any(p.array is None for p in each.params)]
        notes = list(self.weights.notes)
        if self._second:
            names = ", ".join(map(quoted, list(self._second)[:5]))
            notes.append(
                f"more than one layer of the net is named {names}; as in Caffe, the first takes the"
                f" weights in {self.weights.name}, the others have none"
            )
        if missing:
            names = ", ".join(printable(n) for n in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            notes.append(
                f"{len(with_params) - len(missing)} of {plural(len(with_params), 'layer')} have"
                f" weights in {self.weights.name}; missing: {names}{more}"
            )
        return notes
