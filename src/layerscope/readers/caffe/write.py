"""Write Caffe's files, a caffemodel (binary) and a prototxt (text), from messages and the table.

The twin of `wire.py` and `prototxt.py`: what these write, those read back to the same values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import UnsupportedError
from layerscope.files import write_file
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.schema import INTEGERS, Field, message_type
from layerscope.readers.caffe.wire import BYTES, FIXED32, FIXED64, VARINT, float_array

Part = bytes | memoryview
_DTYPE = {"float": "<f4", "double": "<f8"}


def write_caffemodel(
    path: str | PathLike[str],
    name: str,
    layers: Iterable[tuple[str, str, Sequence[NDArray[Any]]]],
) -> None:
    """Write trained weights.

    Args:
        path: the `.caffemodel` to write.
        name: the net's name.
        layers: (layer name, layer type, arrays) in the order of the net; arrays are stored as
            float32 with their shapes.

    Raises:
        SystemFaultError: the system refused; an existing file is untouched.
    """
    net = Message(message_type("NetParameter"))
    net.set("name", name)
    found = []
    for layer_name, layer_type, arrays in layers:
        layer = Message(message_type("LayerParameter"))
        layer.set("name", layer_name)
        layer.set("type", layer_type)
        layer.set("blobs", [blob_message(array) for array in arrays])
        found.append(layer)
    net.set("layer", found)
    write_file(Path(path), to_bytes(net))


def blob_message(array: NDArray[Any]) -> Message:
    """An array as a BlobProto."""
    blob, dims = Message(message_type("BlobProto")), Message(message_type("BlobShape"))
    dims.set("dim", [int(d) for d in array.shape])
    blob.set("shape", dims)
    blob.set("data", np.ascontiguousarray(array, "<f4").ravel())
    return blob


# --- binary ---


def to_bytes(message: Message) -> bytes:
    """A message in protobuf's wire format.

    Raises:
        UnsupportedError: it states a fork's field, which has no number.
    """
    return b"".join(_parts(message))


def _parts(message: Message) -> list[Part]:
    parts: list[Part] = []
    for field, value in message.given():
        if not field.number:
            raise UnsupportedError(
                f"{field.name} is a fork's setting, which has no place in a binary file of BVLC's"
                " Caffe; write it as text"
            )
        if field.packed:
            parts += _packed(field, value)
            continue
        for each in value if field.repeated else (value,):
            parts += _one(field, each)
    return parts


def _one(field: Field, value: Any) -> list[Part]:
    if field.kind == "message":
        inner = _parts(value)
        return [_tag(field, BYTES), _varint(sum(len(p) for p in inner)), *inner]
    if field.kind in ("string", "bytes"):
        raw = value.encode("utf-8") if field.kind == "string" else bytes(value)
        return [_tag(field, BYTES), _varint(len(raw)), raw]
    if field.kind in _DTYPE:
        wire, code = (FIXED32, "<f") if field.kind == "float" else (FIXED64, "<d")
        return [_tag(field, wire), struct.pack(code, value)]
    return [_tag(field, VARINT), _varint(_whole(field, value))]


def _packed(field: Field, values: Any) -> list[Part]:
    if field.kind in _DTYPE:
        array = np.ascontiguousarray(float_array(values), _DTYPE[field.kind])
        raw: Part = array.data.cast("B") if array.size else b""
    else:
        raw = b"".join(_varint(_whole(field, v)) for v in values)
    return [_tag(field, BYTES), _varint(len(raw)), raw]


def _whole(field: Field, value: Any) -> int:
    if field.kind == "enum":
        number = field.enum.numbers.get(value)
        value = int(value) if number is None else number
    return int(value) & 0xFFFF_FFFF_FFFF_FFFF


def _tag(field: Field, wire: int) -> bytes:
    return _varint(field.number << 3 | wire)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


# --- text ---


def to_text(message: Message, indent: str = "") -> str:
    """A message in protobuf's text format, one field a line."""
    lines = []
    for field, value in message.given():
        for each in value if field.repeated else (value,):
            if field.kind == "message":
                inner = to_text(each, indent + "  ")
                lines.append(f"{indent}{field.name} {{\n{inner}{indent}}}\n")
            else:
                lines.append(f"{indent}{field.name}: {_word(field, each)}\n")
    return "".join(lines)


def _word(field: Field, value: Any) -> str:
    if field.kind in INTEGERS or field.kind == "enum":
        return str(value)
    if field.kind == "bool":
        return "true" if value else "false"
    if field.kind == "float":  # the shortest text that reads back to the same float32
        return str(np.float32(value))
    if field.kind == "double":
        return repr(float(value))
    raw = value.encode("utf-8") if field.kind == "string" else bytes(value)
    return '"' + "".join(_escaped(byte) for byte in raw) + '"'


def _escaped(byte: int) -> str:
    if byte in (34, 92):
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
