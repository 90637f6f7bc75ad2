"""Google's protobuf as a second opinion: its message classes, built from our own schema table."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from google.protobuf.message import Message as Foreign
from hypothesis import strategies as st

from layerscope.pycaffe.proto.descriptors import message_class
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.schema import FLOATS, Field, message_type
from layerscope.readers.caffe.wire import Runs, float_array


def foreign(kind: str) -> Foreign:
    """An empty message of google.protobuf."""
    message: Foreign = message_class(kind)()
    return message


def plain_foreign(message: Foreign) -> dict[str, Any]:
    """A google.protobuf message as a dict of the fields that it states."""
    found = {}
    for descriptor, value in message.ListFields():
        field = message_type(message.DESCRIPTOR.name).fields[descriptor.name]
        found[field.name] = _plain(field, value, _foreign_value)
    return found


def plain(message: Message) -> dict[str, Any]:
    """One of our messages as a dict of the fields that it states; empty lists are left out."""
    found = {}
    for field, value in message.given():
        if not field.repeated or len(value):
            found[field.name] = _plain(field, value, _own_value)
    return found


def _plain(field: Field, value: Any, one: Any) -> Any:
    if not field.repeated:
        return one(field, value)
    if field.kind in FLOATS:
        value = float_array(value if isinstance(value, (Runs, np.ndarray)) else list(value))
    return [one(field, each) for each in value]


def _foreign_value(field: Field, value: Any) -> Any:
    if field.kind == "message":
        return plain_foreign(value)
    if field.kind == "enum":
        return field.enum.names[value]
    return _scalar(field, value)


def _own_value(field: Field, value: Any) -> Any:
    return plain(value) if field.kind == "message" else _scalar(field, value)


def _scalar(field: Field, value: Any) -> Any:
    if field.kind == "float":
        return _bits32(value)
    if field.kind == "double":
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if field.kind == "bytes":
        return bytes(value)
    return value


def _bits32(value: float) -> Any:
    """The value as the float32 that Caffe holds; every not-a-number is the same one."""
    if math.isnan(value):
        return "nan"
    try:
        return struct.pack("<f", value)
    except OverflowError:  # beyond float32: infinite there
        return struct.pack("<f", math.copysign(math.inf, value))


# --- random messages, as trees of plain values ---

_NUMBERS = {
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "bool": st.booleans(),
    "string": st.text(max_size=8),
    "bytes": st.binary(max_size=8),
}


@st.composite
def trees(draw: st.DrawFn, kind: str, depth: int = 3) -> dict[str, Any]:
    """Some fields of a message with random values, as a dict."""
    fields = [f for f in message_type(kind).fields.values() if depth or f.kind != "message"]
    if not fields:
        return {}
    chosen = draw(st.lists(st.sampled_from(fields), max_size=5, unique_by=lambda f: f.name))
    found = {}
    for field in chosen:
        one = _value(field, depth)
        found[field.name] = draw(st.lists(one, min_size=1, max_size=4) if field.repeated else one)
    return found


def _value(field: Field, depth: int) -> st.SearchStrategy[Any]:
    if field.kind == "message":
        return trees(field.type_name, depth - 1)
    return (
        st.sampled_from(list(field.enum.numbers)) if field.kind == "enum" else _NUMBERS[field.kind]
    )


def own(kind: str, tree: dict[str, Any]) -> Message:
    """The tree as one of our messages."""
    message = Message(message_type(kind))
    for name, value in tree.items():
        field = message_type(kind).fields[name]
        if field.kind == "message":
            inner = [own(field.type_name, each) for each in (value if field.repeated else [value])]
            value = inner if field.repeated else inner[0]
        message.set(name, value)
    return message


def fill(message: Foreign, tree: dict[str, Any]) -> Foreign:
    """Put the tree into a google.protobuf message."""
    fields = message_type(message.DESCRIPTOR.name).fields
    for name, value in tree.items():
        field = fields[name]
        if field.kind == "message":
            for each in value if field.repeated else [value]:
                inner = getattr(message, name)
                inner = inner.add() if field.repeated else inner
                inner.SetInParent() if not field.repeated else None
                fill(inner, each)
            continue
        if field.kind == "enum":
            numbers = field.enum.numbers
            value = [numbers[v] for v in value] if field.repeated else numbers[value]
        if field.repeated:
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message
