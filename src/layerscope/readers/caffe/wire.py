"""Read Caffe's binary files (protobuf wire format) into messages, without copying the weights.

Arrays of floats become `numpy.frombuffer` views on the buffer, which is usually a mapped file: a
weight that nobody looks at is never read from disk.  Gradients (`diff`) are views too, so they
cost nothing.  Fields outside the schema are stepped over and noted once per kind.  Damage is an
error with its byte offset.  Encoding: protobuf's public description of its wire format.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LimitError, UnsupportedError
from layerscope.readers.caffe.message import MAX_DEPTH, Message, Source, decode_text
from layerscope.readers.caffe.schema import INTEGERS, Field, message_type
from layerscope.text import quoted

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = 0, 1, 2, 3, 4, 5
_WIDTH = {"float": 4, "double": 8}
_DTYPE: dict[str, np.dtype[Any]] = {"float": np.dtype("<f4"), "double": np.dtype("<f8")}
_CHUNK = 1 << 16


def decode(buffer: memoryview, name: str, kind: str = "NetParameter") -> Message:
    """Decode a binary message.

    Args:
        buffer: the whole file, for example a memoryview of a `mmap`.
        name: the file's name, for messages.
        kind: the message that the file holds.

    Raises:
        ReadError: the bytes end early or are damaged, with the offset.
        LimitError: more fields than any real net, or nested too deep.
        UnsupportedError: its blobs are in the layout of C3D, an old fork.
    """
    source = Source(name)
    reader = _Reader(buffer.toreadonly(), source)
    root = Message(message_type(kind), source, 0)
    reader.fields(root, 0, len(buffer), 0)
    return root


class _Reader:
    """Walks the buffer; every method takes and returns offsets, nothing is sliced but arrays."""

    def __init__(self, buffer: memoryview, source: Source) -> None:
        self.buffer = buffer
        self.source = source
        self.layer: Message | None = None  # the one being read, for messages

    # --- bytes ---

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """An unsigned number of 64 bits, and the offset after it."""
        value = shift = 0
        start = at
        while at < end:
            byte = self.buffer[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
            shift += 7
            if shift >= 70:
                raise self.source.fail(start, "a number of more than 10 bytes: the file is damaged")
        raise self.ends_early(start, end)

    def ends_early(self, at: int, end: int) -> Exception:
        where = "the file" if end >= len(self.buffer) else "the message"
        return self.source.fail(at, f"{where} ends early, at byte {end:,}: cut off or damaged")

    def span(self, at: int, end: int) -> tuple[int, int]:
        """Start and end of a run of bytes with its length before it."""
        length, start = self.varint(at, end)
        if start + length > end:
            raise self.source.fail(
                at, f"{length:,} bytes are announced, {end - start:,} are there: cut off or damaged"
            )
        return start, start + length

    # --- fields ---

    def fields(self, into: Message, at: int, end: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise LimitError(f"{self.source.place(at)}: nested deeper than {MAX_DEPTH}")
        kind = into.kind
        while at < end:
            start = at
            tag, at = self.varint(at, end)
            number, wire = tag >> 3, tag & 7
            if number == 0 or number >= 1 << 29:
                raise self.source.fail(start, f"field number {number}: the file is damaged")
            field = kind.numbers.get(number)
            if field is not None and _fits(field, wire):
                at = self.field(into, field, wire, start, at, end, depth)
            else:
                at = self.unknown(into, number, wire, start, at, end)

    def field(
        self, into: Message, field: Field, wire: int, start: int, at: int, end: int, depth: int
    ) -> int:
        if wire == BYTES and field.kind in _WIDTH:
            begin, at = self.span(at, end)
            self.add_floats(into, field, self.floats(field, begin, at), start)
            return at
        if field.kind in _WIDTH and field.repeated:
            return self.unpacked_floats(into, field, start, end)
        self.source.spend(start)
        if wire != BYTES:
            value, at = self.scalar(field, wire, at, end)
            self.add_scalar(into, field, value, start)
            return at
        begin, stop = self.span(at, end)
        if field.kind == "message":
            self.add(into, field, self.message(into, field, begin, stop, depth), start)
        elif field.kind == "string":
            self.source.spend_text(start, stop - begin)
            words = decode_text(bytes(self.buffer[begin:stop]), self.source, begin)
            self.add(into, field, words, start)
        elif field.kind == "bytes":
            self.add(into, field, self.buffer[begin:stop], start)
        else:
            while begin < stop:  # packed numbers
                self.source.spend(begin)
                value, begin = self.scalar(field, VARINT, begin, stop)
                self.add_scalar(into, field, value, start)
        return stop

    def message(self, into: Message, field: Field, begin: int, stop: int, depth: int) -> Message:
        inner: Message | None = None
        if not field.repeated and into.has(field.name):
            inner = getattr(into, field.name)  # protobuf merges a message that comes twice
        if inner is None:
            inner = Message(field.message, self.source, begin)
        if field.name in ("layer", "layers"):
            self.layer = inner
        self.fields(inner, begin, stop, depth + 1)
        return inner

    def add(self, into: Message, field: Field, value: Any, start: int) -> None:
        if not field.repeated:
            into.put(field, value, start)
        elif into.has(field.name):
            getattr(into, field.name).append(value)
        else:
            into.put(field, [value], start)

    def add_scalar(self, into: Message, field: Field, value: Any, start: int) -> None:
        if field.kind == "enum" and value not in field.enum.numbers:
            self.source.ignore_value(start, field, value)
        self.add(into, field, value, start)

    def scalar(self, field: Field, wire: int, at: int, end: int) -> tuple[Any, int]:
        if wire == VARINT:
            raw, at = self.varint(at, end)
            return _number(field, raw), at
        width = 4 if wire == FIXED32 else 8
        if at + width > end:
            raise self.ends_early(at, end)
        return struct.unpack_from("<f" if width == 4 else "<d", self.buffer, at)[0], at + width

    # --- arrays ---

    def floats(self, field: Field, begin: int, stop: int) -> NDArray[Any]:
        width = _WIDTH[field.kind]
        count, rest = divmod(stop - begin, width)
        if rest:
            known = self.layer is not None and self.layer.has("name")
            where = f"layer {quoted(self.layer.name)}: " if self.layer and known else ""
            what = f"{stop - begin:,} bytes are no whole number of {field.kind}s"
            raise self.source.fail(begin, f"{where}{field.name}: {what}")
        array: NDArray[Any] = np.frombuffer(self.buffer, _DTYPE[field.kind], count, begin)
        return array

    def unpacked_floats(self, into: Message, field: Field, start: int, end: int) -> int:
        """A run of floats with a tag before each, as old files have: copied, in chunks."""
        _, after = self.varint(start, end)
        tag = np.frombuffer(self.buffer, np.uint8, after - start, start)
        step = len(tag) + _WIDTH[field.kind]
        row = np.dtype([("tag", np.uint8, (len(tag),)), ("value", _DTYPE[field.kind])])
        if start + step > end:
            raise self.ends_early(start, end)
        at, most = start, 16
        while at + step <= end:
            count = min((end - at) // step, most)
            most = min(2 * most, _CHUNK)  # a short run must not cost the look at a long one
            rows = np.frombuffer(self.buffer, row, count, at)
            same = (rows["tag"] == tag).all(axis=1)
            run = count if same.all() else int(same.argmin())
            if run:
                self.add_floats(into, field, rows["value"][:run].copy(), at)
                at += run * step
            if run < count:
                break
        return at

    def add_floats(self, into: Message, field: Field, values: NDArray[Any], start: int) -> None:
        self.source.spend(start)
        if not field.repeated:
            into.put(field, float(values[-1]) if len(values) else 0.0, start)
        elif into.has(field.name):
            into.put(field, Runs.joined(getattr(into, field.name), values))
        else:
            into.put(field, values, start)

    # --- what the schema does not have ---

    def unknown(self, into: Message, number: int, wire: int, start: int, at: int, end: int) -> int:
        self.source.spend(start)
        if into.kind.name == "BlobProto" and (number, wire) == (5, VARINT) and into.has("width"):
            # There: 3 length, 4 height, 5 width, 6 data; here 4 is the width and 5 the numbers.
            raise UnsupportedError(
                f"{self.source.place(start)}: the weights use the C3D layout (five sizes a blob),"
                " which is not read; convert them with a Caffe that has N-dimensional blobs"
            )
        at = self.pass_over(number, wire, start, at, end)
        into.unknown.append((str(number), f"wire type {wire}, bytes {start} to {at}"))
        self.source.ignore(start, f"unknown field number {number} of {into.kind.name}")
        return at

    def pass_over(self, number: int, wire: int, start: int, at: int, end: int) -> int:
        """The offset after a field of any wire type; groups are walked without recursion."""
        open_groups: list[int] = []
        while True:
            if wire == VARINT:
                _, at = self.varint(at, end)
            elif wire in (FIXED32, FIXED64):
                at += 4 if wire == FIXED32 else 8
                if at > end:
                    raise self.ends_early(start, end)
            elif wire == BYTES:
                _, at = self.span(at, end)
            elif wire == GROUP:
                open_groups.append(number)
                if len(open_groups) > MAX_DEPTH:
                    raise LimitError(f"{self.source.place(at)}: nested deeper than {MAX_DEPTH}")
            elif wire == END_GROUP and open_groups and open_groups[-1] == number:
                open_groups.pop()
            else:
                raise self.source.fail(start, f"wire type {wire} of field {number}: damaged")
            if not open_groups:
                return at
            start = at
            self.source.spend(start)
            tag, at = self.varint(at, end)
            number, wire = tag >> 3, tag & 7


class Runs(list[NDArray[Any]]):
    """Several runs of one repeated float field, joined only when they are asked for."""

    @staticmethod
    def joined(before: Any, values: NDArray[Any]) -> Runs:
        """The runs so far and one more."""
        runs = before if isinstance(before, Runs) else Runs([before])
        runs.append(values)
        return runs


def float_array(values: Any) -> NDArray[Any]:
    """A repeated float field as one array; a view on the file wherever that is possible."""
    if isinstance(values, Runs):
        return np.concatenate(values)
    return values if isinstance(values, np.ndarray) else np.asarray(values, np.float64)


def _fits(field: Field, wire: int) -> bool:
    """Whether a field of the schema can come in this wire type; else it is treated as unknown."""
    if field.kind in ("message", "string", "bytes"):
        return wire == BYTES
    if field.kind in _WIDTH:
        return wire == (FIXED32 if field.kind == "float" else FIXED64) or (
            wire == BYTES and field.repeated
        )
    return wire == VARINT or (wire == BYTES and field.repeated)


def _number(field: Field, raw: int) -> Any:
    if field.kind == "bool":
        return raw != 0
    if field.kind == "enum":
        return field.enum.names.get(_signed(raw, 32), str(_signed(raw, 32)))
    if field.kind in INTEGERS:
        bits = 32 if field.kind.endswith("32") else 64
        return raw & ((1 << bits) - 1) if field.kind[0] == "u" else _signed(raw, bits)
    raise AssertionError(f"{field.name} is no varint")


def _signed(raw: int, bits: int) -> int:
    raw &= (1 << bits) - 1
    return raw - (1 << bits) if raw >> (bits - 1) else raw
