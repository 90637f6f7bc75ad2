"""An ONNX file taken apart without copying its weights.

The numbers of a tensor usually stand in the file as they stand in memory.  Only the rest, the
skeleton, goes through protobuf; the numbers stay views on the mapped file.  So a net of 500 MB
opens in the memory of its skeleton, and one above protobuf's 2 GB opens too.

Field numbers: onnx.proto of the ONNX project.
"""

from __future__ import annotations

from collections.abc import Iterator

from layerscope.errors import LimitError, ReadError
from layerscope.text import plural, size

MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER, TENSOR_RAW_DATA = 7, 1, 5, 9
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
KEPT = 1024  # bytes: smaller tensors stay in the skeleton
MAX_PARTS = 400_000  # nodes, weights and notes of one graph
MAX_SKELETON = 2**31 - 1  # what protobuf reads

Field = tuple[int, int, int, int, int]  # number, wire type, start, start of content, end


class Parts:
    """The skeleton of a model, and the numbers that were left out of it.

    Attributes:
        skeleton: the model as protobuf, without the numbers of large tensors.
        numbers: position among the graph's initializers to the bytes of its numbers.
    """

    def __init__(self, view: memoryview, name: str) -> None:
        self._view, self._name = view, name
        self._count = 0
        self.numbers: dict[int, memoryview] = {}
        pieces: list[bytes | memoryview] = []
        for number, wire, start, content, end in fields(view, 0, len(view), name):
            if (number, wire) == (MODEL_GRAPH, BYTES):
                graph = b"".join(self._graph(content, end))
                pieces += [_tag(MODEL_GRAPH), _varint(len(graph)), graph]
            else:
                pieces.append(view[start:end])
        total = sum(len(piece) for piece in pieces)
        if total > MAX_SKELETON:
            raise LimitError(f"{name}: {size(total)} without its weights; the limit is 2 GB")
        self.skeleton = b"".join(pieces)

    def _graph(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        parts = 0
        for number, wire, at, content, stop in fields(self._view, start, end, self._name):
            parts += 1
            if parts > MAX_PARTS:
                raise LimitError(
                    f"{self._name}: more than {plural(MAX_PARTS, 'part')} in the graph"
                )
            if (number, wire) == (GRAPH_INITIALIZER, BYTES):
                tensor = b"".join(self._tensor(content, stop, self._count))
                yield from (_tag(GRAPH_INITIALIZER), _varint(len(tensor)), tensor)
                self._count += 1
            else:
                yield self._view[at:stop]

    def _tensor(self, start: int, end: int, index: int) -> Iterator[memoryview]:
        for number, wire, at, content, stop in fields(self._view, start, end, self._name):
            if (number, wire) == (TENSOR_RAW_DATA, BYTES) and stop - content > KEPT:
                self.numbers[index] = self._view[content:stop]
            else:
                yield self._view[at:stop]


def fields(view: memoryview, start: int, end: int, name: str) -> Iterator[Field]:
    """The fields of one message, one after the other, not looking into them.

    Raises:
        ReadError: it ends early, or is no protobuf message.
    """
    at = start
    while at < end:
        begin = at
        tag, at = _number(view, at, end, name)
        number, wire = tag >> 3, tag & 7
        content = at
        if wire == VARINT:
            _, at = _number(view, at, end, name)
        elif wire == BYTES:
            length, content = _number(view, at, end, name)
            at = content + length
        elif wire in (FIXED32, FIXED64):
            at += 4 if wire == FIXED32 else 8
        else:
            raise ReadError(f"{name}: damaged at byte {begin} (wire type {wire} of field {number})")
        if not number:
            raise ReadError(f"{name}: damaged at byte {begin} (a field without a number)")
        if at > end:
            raise ReadError(
                f"{name}: ends early: the part that begins at byte {begin} should end at {at},"
                f" there are {end}"
            )
        yield number, wire, begin, content, at


def _number(view: memoryview, at: int, end: int, name: str) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ReadError(f"{name}: ends early or is damaged at byte {at}")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _tag(number: int) -> bytes:
    return _varint(number << 3 | BYTES)
