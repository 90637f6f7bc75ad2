"""One number of a blob, and how people write it: `conv1:12,30,17`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.blobs import Blobs
from layerscope.errors import UnsupportedError, UsageError
from layerscope.net import Named, Net
from layerscope.text import nearest_hint, plural, printable, quoted, shape

_AXES = {
    1: ("channel",),
    2: ("channel", "x"),
    3: ("channel", "y", "x"),
    4: ("channel", "z", "y", "x"),
}
_TOP = re.compile(r"top([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Unit:
    """One number of a blob.

    Attributes:
        blob: the key in `net.blobs`.
        index: its place, one number for each axis, the image of the batch first.
        image: the image that was asked for; the text leaves it out.
    """

    blob: str
    index: tuple[int, ...]
    image: int = 0

    def __str__(self) -> str:
        """The unit as `parse_unit` reads it."""
        index = self.index
        if len(index) > 1 and index[0] == self.image:
            index = index[1:]
        return f"{self.blob}:{','.join(map(str, index))}" if index else self.blob


def parse_unit(words: str, net: Net, blobs: Blobs, image: int = 0) -> Unit:
    """Read `blob:channel,y,x`, `fc6:100`, `prob:top1`, or `loss` for a blob with one number.

    Axes of size 1 at the end may be left out; the image may be given as the first number of all.

    Args:
        words: what to read.
        net: whose blobs.
        blobs: a run of it, which tells the batch and which unit is the largest.
        image: which image of the batch.

    Raises:
        UnknownNameError: there is no such blob; the message has the nearest.
        UsageError: an index is missing, is no number, or out of range; the message says the range.
        UnsupportedError: the blob is of a layer that cannot be computed; the message says why.
    """
    name, places = _split(words, net)
    dims = np.shape(blobs[name])
    if len(dims) > 1 and not 0 <= image < dims[0]:
        raise UsageError(f"image {image}: the batch has {plural(dims[0], 'image')}, from 0 on")
    lead = (image,) if len(dims) > 1 else ()
    if 0 in dims:
        raise UsageError(f"unit {quoted(words)}: blob {quoted(name)} {shape(dims)} has no numbers")
    found = _TOP.fullmatch(places)
    if found:
        return Unit(name, _top(words, blobs, name, int(found[1]), lead), image)
    index = _numbers(words, places)
    if len(index) == len(dims):
        _check(words, name, index, dims)
        return Unit(name, index, image)
    rest = dims[len(lead) :]
    if len(index) > len(rest) or any(size != 1 for size in rest[len(index) :]):
        raise UsageError(_needed(words, name, rest, len(index)))
    index = (*lead, *index, *(0,) * (len(rest) - len(index)))
    _check(words, name, index, dims)
    return Unit(name, index, image)


def _split(words: str, net: Net) -> tuple[str, str]:
    """The blob's key and the rest; a blob's name may have a colon itself."""
    aliases = {f"{blob.name}@{blob.layer}": blob.name for blob in net.blobs.values()}
    known = Named(net.blobs, "blob", f"net {quoted(net.name)}")
    if words in net.blobs or words in aliases:
        return aliases.get(words, words), ""
    name, colon, places = words.rpartition(":")
    if not colon:
        name, places = words, ""
    name = name if name in net.blobs else aliases.get(name, name)
    if name not in net.blobs and any(layer.name == name for layer in net.layers):
        layer = net.layer(name)
        if layer.reason:
            raise UnsupportedError(layer.reason)
        tops = ", ".join(printable(top) for top in layer.tops) or "no blob"
        raise UsageError(f"unit {quoted(words)}: {quoted(name)} is a layer; it writes {tops}")
    known[name]
    return name, places


def _numbers(words: str, places: str) -> tuple[int, ...]:
    parts = [part.strip() for part in places.split(",")] if places.strip() else []
    for part in parts:
        if not re.fullmatch(r"-?[0-9]{1,99}", part):
            raise UsageError(
                f"unit {quoted(words)}: {quoted(part)} is no whole number; write it as"
                f" blob:channel,y,x, or blob:top1 for the largest{nearest_hint(part, ['top1'])}"
            )
    return tuple(int(part) for part in parts)


def axis_names(dims: Sequence[int]) -> tuple[str, ...]:
    """What the axes behind the image are called."""
    return _AXES.get(len(dims), tuple(f"axis {i + 1}" for i in range(len(dims))))


def _needed(words: str, name: str, rest: Sequence[int], given: int) -> str:
    names = axis_names(rest)
    if not rest:
        return f"unit {quoted(words)}: blob {quoted(name)} has one number; write {printable(name)}"
    ranges = ", ".join(f"{n} 0 to {d - 1}" for n, d in zip(names, rest, strict=True))
    many = "1 number is" if given == 1 else f"{given} numbers are"
    return (
        f"unit {quoted(words)}: {many} given, blob {quoted(name)} takes"
        f" {len(rest)} ({ranges}); or {printable(name)}:top1 for its largest"
    )


def _check(words: str, name: str, index: Sequence[int], dims: Sequence[int]) -> None:
    names = ("image", *axis_names(dims[1:])) if len(dims) > 1 else ("place",) * len(dims)
    for axis, at, size in zip(names, index, dims, strict=True):
        if not 0 <= at < size:
            raise UsageError(
                f"unit {quoted(words)}: {axis} {at}; {quoted(name)} has"
                f" {_places(size, axis)}, 0 to {size - 1}"
            )


def _places(size: int, axis: str) -> str:
    nouns = {"y": "row", "x": "column", "z": "slice", "place": "number"}
    return plural(size, nouns.get(axis, axis))


def _top(words: str, blobs: Blobs, name: str, rank: int, lead: tuple[int, ...]) -> tuple[int, ...]:
    """The place of the largest unit, or of the one of that rank."""
    array = np.asarray(blobs[name])
    one = array[lead]
    if not 1 <= rank <= one.size:
        raise UsageError(
            f"unit {quoted(words)}: {quoted(name)} has {plural(one.size, 'number')},"
            f" top1 to top{one.size}"
        )
    numbers = np.nan_to_num(one.astype(np.float64).ravel(), nan=-np.inf)
    place = int(np.argsort(-numbers, kind="stable")[rank - 1])
    return (*lead, *(int(i) for i in np.unravel_index(place, one.shape)))
