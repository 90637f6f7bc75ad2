"""One table of Caffe's messages, read by both decoders (text and binary) and by the writer.

A message is a block of lines `number name type [= default]`.  Types are protobuf's scalar types,
another message of the table, or an enum (written with its values).  A `*` after the type means
repeated, `[]` means repeated and packed.  Field numbers, types and defaults are those of
`caffe/src/caffe/proto/caffe.proto` (BVLC, 1.0 and the later master with Swish and Clip).

What forks of Caffe added (`forks.py`) is known by name only: their field numbers collide with
BVLC's and with one another, so a number never leads to a fork's field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from layerscope.readers.caffe.forks import FORK_ENUMS, FORK_FIELDS, FORK_MESSAGES
from layerscope.readers.caffe.messages import ENUMS, MESSAGES

INTEGERS = frozenset({"int32", "int64", "uint32", "uint64"})
FLOATS = frozenset({"float", "double"})
SCALARS = INTEGERS | FLOATS | {"bool", "string", "bytes"}


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum: value names and numbers, both ways."""

    name: str
    numbers: dict[str, int]
    names: dict[int, str]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message; `kind` is a scalar type, "enum" or "message".

    The number of a fork's field is 0: it stands in text only.
    """

    name: str
    number: int
    kind: str
    type_name: str
    repeated: bool
    packed: bool
    default: Any

    @property
    def enum(self) -> Enum:
        """The enum of an enum field."""
        return enum_type(self.type_name)

    @property
    def message(self) -> MessageType:
        """The message type of a message field."""
        return message_type(self.type_name)


@dataclass(frozen=True, slots=True)
class MessageType:
    """A message: its fields by name and by number, and by name those that forks add."""

    name: str
    fields: dict[str, Field] = field(default_factory=dict)
    numbers: dict[int, Field] = field(default_factory=dict)
    forks: dict[str, Field] = field(default_factory=dict)

    def find(self, name: str) -> Field | None:
        """The field of that name, BVLC's or a fork's."""
        return self.fields.get(name) or self.forks.get(name)


@cache
def message_type(name: str) -> MessageType:
    """The message of that name, for example "NetParameter"; KeyError is our own mistake."""
    kind = MessageType(name)
    for line in (MESSAGES.get(name) or FORK_MESSAGES[name]).strip().splitlines():
        each = _field(line)
        kind.fields[each.name] = each
        if each.number:
            kind.numbers[each.number] = each
    for line in FORK_FIELDS.get(name, "").strip().splitlines():
        each = _field(line)
        kind.forks[each.name] = each
    return kind


@cache
def enum_type(name: str) -> Enum:
    """The enum of that name, for example "Phase"."""
    pairs = [word.split("=") for word in (ENUMS.get(name) or FORK_ENUMS[name]).split()]
    numbers = {word: int(number) for word, number in pairs}
    return Enum(name, numbers, {number: word for word, number in numbers.items()})


def _field(line: str) -> Field:
    words, _, default = line.partition("=")
    *number, name, type_name = words.split()
    packed = type_name.endswith("[]")
    repeated = packed or type_name.endswith("*")
    type_name = type_name.rstrip("[]*")
    is_enum = type_name in ENUMS or type_name in FORK_ENUMS
    kind = type_name if type_name in SCALARS else "enum" if is_enum else "message"
    value = None if repeated else _default(kind, type_name, default.strip())
    return Field(name, int(*number), kind, type_name, repeated, packed, value)


def _default(kind: str, type_name: str, text: str) -> Any:
    """The value that Caffe reads from a field that is not there."""
    if kind == "message":
        return None
    if kind == "enum":  # without a stated default, protobuf takes the first value
        return text or next(iter(enum_type(type_name).numbers))
    if kind == "bool":
        return text == "true"
    if kind in INTEGERS:
        return int(text or 0)
    if kind in FLOATS:
        return float(text or 0)
    return text if kind == "string" else b""
