"""Blobs that share their numbers, and what a write in place changes besides its own top.

Caffe hands on the memory of a bottom where nothing is computed (`Blob::ShareData` in Split,
Flatten, Reshape, Concat of one bottom, Slice into one top), and gives every reader of a blob a
share of it
(`insert_splits.cpp`).  A layer that then writes in place changes all of them: they are other names
of the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

from layerscope.errors import LimitError
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import find
from layerscope.text import quoted

MAX_WRITTEN_ALONG = 10_000


def written_along(layers: Sequence[Message]) -> list[tuple[str, ...]]:
    """For each layer the blobs that its writes in place change, besides its tops.

    A blob that other layers have read before stays what they read: Caffe refuses such a net
    ("produced by multiple sources"), as each of its readers has a share under another name.

    Raises:
        LimitError: more than `MAX_WRITTEN_ALONG` such changes; each is a value of its own.
    """
    rooms: dict[str, int] = {}  # blob -> the memory that it is in
    blobs: dict[int, list[str]] = {}  # memory -> blobs that have been in it
    reads: Counter[str] = Counter()  # of the blob's numbers as they are now
    new = count()
    found = []
    total = 0
    for layer in layers:
        reads.update(layer.bottom)
        along: list[str] = []
        for top, room, written in _tops(layer, rooms):
            if written and reads[top] == 1:
                along += [b for b in blobs[rooms[top]] if b != top and rooms[b] == rooms[top]]
                reads[top] = 0
                continue
            rooms[top] = next(new) if room is None else room
            blobs.setdefault(rooms[top], []).append(top)
            reads[top] = 0
        found.append(tuple(dict.fromkeys(along)))
        total += len(found[-1])
        if total > MAX_WRITTEN_ALONG:
            raise LimitError(
                f"{layer.place()}: layer {quoted(layer.name)}: more than {MAX_WRITTEN_ALONG:,}"
                " blobs change because they share the numbers of one that is written in place"
            )
    return found


def _tops(layer: Message, rooms: dict[str, int]) -> Iterator[tuple[str, int | None, bool]]:
    """Each top, the memory it is given or None for its own, and whether it is written in place."""
    kind = find(layer.type)
    shares = kind is not None and kind.shares_data(layer.bottom, layer.top)
    for i, top in enumerate(layer.top):
        in_place = top in rooms and i < len(layer.bottom) and layer.bottom[i] == top
        if shares and layer.bottom and layer.bottom[0] in rooms:
            yield top, rooms[layer.bottom[0]], False
        else:
            yield top, None, in_place
