"""Nodes of older opsets in the forms of opset 18, so that everything after sees one form of an op.

Which op changed its form in which opset stands in ONNX's Changelog.md; what the change is, one
function an op says in `forms.py`.  A node that did not change is kept as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from layerscope.errors import ReadError
from layerscope.net import OPSET
from layerscope.readers.onnx.draft import OWN_DOMAINS, Draft
from layerscope.readers.onnx.forms import FORMS, Form
from layerscope.readers.onnx.wiring import label, with_inner

Shapes = Mapping[str, Sequence[int]]


def upgraded(draft: Draft, shapes: Shapes, types: Mapping[str, int]) -> None:
    """Bring a model of an opset below 18 to 18; one of 18 or later is kept.

    Args:
        draft: the model; its nodes are replaced, constants are added to its tensors.
        shapes: of the values, as far as they are known.
        types: the same for ONNX element types.

    Raises:
        UnsupportedError: a node uses what ONNX has dropped since.
    """
    for function in draft.functions:
        version = next((e.version for e in function.opset_import if e.domain in OWN_DOMAINS), 0)
        if 0 < version < OPSET:
            nodes = Upgrade(draft, version, {}, {}).all(function.node)
            del function.node[:]
            function.node.extend(nodes)
    if draft.opset < OPSET:
        draft.nodes = Upgrade(draft, draft.opset, shapes, types).all(draft.nodes)
        draft.notes.append(f"made for opset {draft.opset}, read as opset {OPSET}")
        draft.opset = OPSET


class Upgrade:
    """What a form needs to know and to make.

    Attributes:
        opset: the version that the nodes are written for.
        shapes, types: of the values, as far as they are known.
        tensors: the arrays of the model.
    """

    def __init__(self, draft: Draft, opset: int, shapes: Shapes, types: Mapping[str, int]) -> None:
        self._draft = draft
        self.opset = opset
        self.shapes, self.types, self.tensors = shapes, types, draft.tensors

    def all(self, nodes: Any) -> list[NodeProto]:
        """The nodes in their new forms, also those of the graphs inside them."""
        found: list[NodeProto] = []
        for node in nodes:
            form = FORMS.get(node.op_type) if node.domain in OWN_DOMAINS else None
            changed = self._changed(form, node) if form else None
            written = [node] if changed is None else changed
            found += [with_inner(each, self.all) for each in written]
        return found

    def _changed(self, form: Form, node: NodeProto) -> list[NodeProto] | None:
        try:
            return form(self, node)
        except (TypeError, ValueError, IndexError, KeyError, OverflowError):
            raise ReadError(f"{label(node)}: its settings make no sense") from None

    def constant(
        self, node: NodeProto, what: str, content: Any, element: int = TensorProto.INT64
    ) -> str:
        """A small array for a node; gives its name."""
        array = np.asarray(content, helper.tensor_dtype_to_np_dtype(element))
        name = base = f"{node.name or next(iter(node.output), '')}:{what}"
        number = 2
        while name in self._draft.tensors or name in self.shapes:
            name, number = f"{base}:{number}", number + 1
        return self._draft.constant(name, array)

    def element(self, value: str) -> int:
        """The element type of a value; float32 where it is not known."""
        return self.types.get(value) or TensorProto.FLOAT
