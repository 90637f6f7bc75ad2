"""Attributes of nodes."""

from __future__ import annotations

from typing import Any

from onnx import AttributeProto, NodeProto, helper


def without(node: NodeProto, *names: str) -> NodeProto:
    """A copy of a node without some of its attributes."""
    made = NodeProto()
    made.CopyFrom(node)
    kept = [each for each in node.attribute if each.name not in names]
    del made.attribute[:]
    made.attribute.extend(kept)
    return made


def attribute(node: NodeProto, name: str, otherwise: Any = None) -> Any:
    """The value of an attribute; text comes as text."""
    for each in node.attribute:
        if each.name == name:
            value = helper.get_attribute_value(each)
            if each.type == AttributeProto.STRING:
                return value.decode("utf-8", "replace")
            numbers = each.type in (AttributeProto.INTS, AttributeProto.FLOATS)
            return list(value) if numbers else value
    return otherwise
