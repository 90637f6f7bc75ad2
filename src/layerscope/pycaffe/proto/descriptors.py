"""The schema table as a protobuf file descriptor, in a pool of its own.

A pool of its own, so that a real caffe_pb2 in the same process does not collide with it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from layerscope.readers.caffe.messages import ENUMS, MESSAGES
from layerscope.readers.caffe.schema import Field, enum_type, message_type

PACKAGE = "caffe"
_TOP_LEVEL = {"Phase"}  # every other enum stands in each message that uses it, as in caffe.proto
_RENAMED = {"V1LayerType": "LayerType"}
_PROTO = descriptor_pb2.FieldDescriptorProto


@cache
def pool() -> Any:
    """The pool with all of Caffe's messages."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package=PACKAGE, syntax="proto2")
    for name in ENUMS:
        if name in _TOP_LEVEL:
            _add_enum(file, name, name)
    for name in MESSAGES:
        _add_message(file, name)
    found = descriptor_pool.DescriptorPool()
    found.AddSerializedFile(file.SerializeToString())
    return found


@cache
def message_class(name: str) -> Any:
    """The class of a message, for example "NetParameter"."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


def _add_message(file: Any, name: str) -> None:
    message = file.message_type.add(name=name)
    places: dict[str, str] = {each: each for each in _TOP_LEVEL}
    words: set[str] = set()
    for field in message_type(name).fields.values():
        if field.kind == "enum" and field.type_name not in places:
            places[field.type_name] = _add_inner(message, field.type_name, words)
        _describe(message.field.add(), field, places)


def _add_inner(message: Any, name: str, words: set[str]) -> str:
    """Add an enum to a message and give its full name.

    The values of all enums of a message share one scope; an enum of a fork that would collide
    stands in a message around it.
    """
    inner = _RENAMED.get(name, name)
    numbers = enum_type(name).numbers
    if words.isdisjoint(numbers):
        words.update(numbers)
        _add_enum(message, name, inner)
        return f"{message.name}.{inner}"
    scope = message.nested_type.add(name=f"{inner}Scope")
    _add_enum(scope, name, inner)
    return f"{message.name}.{scope.name}.{inner}"


def _add_enum(into: Any, name: str, inner: str) -> None:
    enum = into.enum_type.add(name=inner)
    for word, number in enum_type(name).numbers.items():
        enum.value.add(name=word, number=number)


def _describe(into: Any, field: Field, places: dict[str, str]) -> None:
    into.name, into.number = field.name, field.number
    into.label = _PROTO.LABEL_REPEATED if field.repeated else _PROTO.LABEL_OPTIONAL
    into.type = getattr(_PROTO, f"TYPE_{field.kind.upper()}")
    if field.kind == "message":
        into.type_name = f".{PACKAGE}.{field.type_name}"
    elif field.kind == "enum":
        into.type_name = f".{PACKAGE}.{places[field.type_name]}"
    if field.packed:
        into.options.packed = True
    if not field.repeated and field.kind not in ("message", "bytes"):
        into.default_value = _default(field)


def _default(field: Field) -> str:
    if field.kind == "bool":
        return "true" if field.default else "false"
    return repr(field.default) if field.kind in ("float", "double") else str(field.default)
