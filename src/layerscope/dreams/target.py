"""What an ascent climbs: a channel, one place of it, or a score of a net."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from layerscope.engine.gradient.backward import dependent
from layerscope.engine.gradient.tape import FLOATS
from layerscope.engine.onnxruntime import wanted_blobs
from layerscope.errors import UnsupportedError, UsageError
from layerscope.measure.top import probability_blob, score_blob
from layerscope.net import Net
from layerscope.text import plural, printable, quoted, times

_SOFTMAX = frozenset({"Softmax", "LogSoftmax"})
_CUTS = frozenset({"Relu", "Clip", "ThresholdedRelu"})


@dataclass(frozen=True, slots=True)
class Target:
    """A channel or a place of a blob, and the value that is climbed for it.

    Attributes:
        blob: the key in `net.blobs`.
        index: the channel, or the channel and its place; a channel stands for its mean.
        climbed: the ONNX value whose number goes up (or down).
        behind: the ONNX value in front of the rectifier that makes `climbed`, for as long as that
            is 0 and has no gradient; "" where there is none.
        note: what is climbed in place of what was asked for; "" where it is the same.
    """

    blob: str
    index: tuple[int, ...]
    climbed: str
    behind: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.blob}:{','.join(map(str, self.index))}"


def parse_target(
    words: str, net: Net, image: str, *, probability: bool = False, negative: bool = False
) -> Target:
    """Read `conv3:7` (the mean of a channel), `conv3:7,6,6` (one place) or `prob:3` (a class).

    Args:
        words: what to read.
        net: whose blobs.
        image: the input that is drawn.
        probability: climb a probability itself, and not the score in front of its softmax.
        negative: whether it is to be low; then the number in front of a rectifier counts, as
            behind it there is nothing below 0.

    Raises:
        UnknownNameError: there is no such blob; the message has the nearest.
        UsageError: no such channel or place, or the blob does not depend on the input.
        UnsupportedError: the blob holds whole numbers.
    """
    key, places = _split(words, net)
    dims = net.blobs[key].shape
    index = _index(words, key, places, dims)
    value = net.blobs[key].value
    _check(net, key, value, image)
    before = _in_front(net, value, _SOFTMAX)
    if before and not probability:
        name = _name_of(net, before)
        note = f"by {name}, the score in front of the softmax"
        return Target(key, index, before, note=note)
    cut = _in_front(net, value, _CUTS)
    if cut and negative:
        note = f"by {_name_of(net, cut)}, in front of the rectifier"
        return Target(key, index, cut, note=note)
    return Target(key, index, value, behind=cut)


def label_of(target: Target, net: Net, labels: Sequence[str] | None) -> str:
    """The class that a target stands for; "" where it stands for none, or that has no name."""
    classes = probability_blob(net) or score_blob(net)
    number = target.index[0]
    known = labels is not None and target.blob == classes and number < len(labels)
    return labels[number] if labels is not None and known else ""


def channels(name: str, net: Net) -> list[str]:
    """Every channel of a blob as words for `parse_target`.

    Raises:
        UnknownNameError: there is no such blob.
        UsageError: it has no channels.
    """
    (key,) = wanted_blobs(net, [name])
    dims = net.blobs[key].shape
    if len(dims) < 2:
        raise UsageError(f"blob {quoted(name)} {times(dims)} has no channels")
    return [f"{key}:{number}" for number in range(dims[1])]


def _split(words: str, net: Net) -> tuple[str, str]:
    """The blob's key and the places; a blob's name may have a colon itself."""
    name, colon, places = words.rpartition(":")
    if not colon or words in net.blobs:
        (key,) = wanted_blobs(net, [words])
        raise UsageError(
            f"unit {quoted(words)}: which channel? blob {quoted(key)} has"
            f" {_count(net.blobs[key].shape)}; write {printable(key)}:0, or take all of them"
            f" (--layer {printable(key)})"
        )
    return wanted_blobs(net, [name])[0], places


def _count(dims: tuple[int, ...]) -> str:
    return plural(dims[1] if len(dims) > 1 else 0, "channel")


def _index(words: str, key: str, places: str, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The channel, or the channel and its place, within range."""
    parts = [part.strip() for part in places.split(",")]
    whole = all(re.fullmatch("-?[0-9]{1,9}", part) for part in parts)
    if len(dims) < 2 or not whole or len(parts) not in (1, len(dims) - 1):
        also = f", or {printable(key)}:channel,y,x" if len(dims) == 4 else ""
        raise UsageError(
            f"unit {quoted(words)}: blob {quoted(key)} is {times(dims)}, write"
            f" {printable(key)}:channel{also} with whole numbers"
        )
    index = tuple(int(part) for part in parts)
    names = ("channel", "row", "column") if len(dims) == 4 else ("channel", *["place"] * len(dims))
    for number, size, noun in zip(index, dims[1:], names, strict=False):
        if not 0 <= number < size:
            raise UsageError(
                f"unit {quoted(words)}: {noun} {number}; {quoted(key)} has"
                f" {plural(size, noun)}, 0 to {size - 1}"
            )
    return index


def _check(net: Net, key: str, value: str, image: str) -> None:
    if value == image:
        raise UsageError(f"blob {quoted(key)} is the image itself; take a blob behind a layer")
    if net.graph.types.get(value, 1) not in FLOATS:
        raise UnsupportedError(
            f"blob {quoted(key)} holds whole numbers, which change in steps and cannot be climbed;"
            " take a blob before it"
        )
    depends, _ = dependent(net, value, image)
    if not depends:
        raise UsageError(
            f"blob {quoted(key)} does not depend on the image {quoted(image)}: no image changes it"
        )


def _in_front(net: Net, value: str, ops: frozenset[str]) -> str:
    """What the op that makes a value reads, if it is one of these and changes no shape."""
    for node in net.graph.nodes:
        if value in node.output:
            source = node.input[0]
            same = net.graph.shapes.get(source) == net.graph.shapes[value]
            return source if node.op_type in ops and same and source not in net.inputs else ""
    return ""


def _name_of(net: Net, value: str) -> str:
    """What people call a value: the blob that holds it."""
    for key, blob in net.blobs.items():
        if blob.value == value:
            return printable(key)
    return "the number"
