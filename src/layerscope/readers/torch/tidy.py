"""An exported graph without what the exporter adds: sizes that it computes, biases of zeros."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

from layerscope.readers.torch.naming import Origins

_HIDDEN = "layerscope.kept"  # a domain that the folder does not know, and so leaves alone
_MOST_ZEROS = 1_000_000


def tidied(model: Any, origins: Origins, own: Container[str]) -> None:
    """Fold, then drop what nothing reads.

    Args:
        model: the exporter's model, changed in place.  Its batch norms stay beside their
            convolutions, which the exporter's own optimizer would not allow.
        origins: where each node comes from.
        own: the names of the module's params and buffers.
    """
    from onnx_ir.passes.common import RemoveUnusedNodesPass
    from onnxscript.optimizer import fold_constants_ir

    for node in model.graph:  # what a dropout leaves when testing, which the folder would drop
        if node.op_type == "Identity" and "dropout" in origins.of(node).function:
            node.op_type, node.domain = "Dropout", _HIDDEN
    fold_constants_ir(model, should_fold=lambda node: _may_fold(node, own))
    for node in model.graph:
        if node.domain == _HIDDEN:
            node.domain = ""
    for node in model.graph:
        if node.op_type == "Reshape":
            _state_target(model, node)
        elif node.op_type in ("Conv", "ConvTranspose") and len(node.inputs) > 2:
            _drop_zeros(node, own)
    RemoveUnusedNodesPass()(model)


def _may_fold(node: Any, own: Container[str]) -> bool | None:
    """Whether a node may become an array; None leaves that to the folder.

    A weight that is turned for a product stays the module's own, under its name and in its shape.
    """
    turned = node.op_type == "Transpose" and node.inputs[0] is not None
    return False if turned and node.inputs[0].name in own else None


def _state_target(model: Any, node: Any) -> None:
    """A Reshape whose target is computed from the free batch takes -1 for it instead."""
    import onnx_ir as ir

    target, result = node.inputs[1], node.outputs[0]
    if target.const_value is not None or result.shape is None:
        return
    dims = [each if isinstance(each, int) else -1 for each in result.shape]
    if dims.count(-1) != 1 or 0 in dims:
        return
    name = f"{result.name}:shape"
    stated = ir.Value(name=name, const_value=ir.tensor(np.asarray(dims, np.int64), name=name))
    model.graph.register_initializer(stated)
    node.replace_input_with(1, stated)


def _drop_zeros(node: Any, own: Container[str]) -> None:
    """Take off the bias of zeros that a convolution without one is given."""
    bias = node.inputs[2]
    if bias is None or bias.name in own or bias.const_value is None:
        return
    if bias.const_value.size <= _MOST_ZEROS and not bias.const_value.numpy().any():
        node.replace_input_with(2, None)


def before_bias(model: Any, origins: Origins) -> list[Any]:
    """What matrix products write before the bias is added in the same call: a Linear is one layer.

    On two axes the exporter writes a Gemm, which has the bias in it.
    """
    found = []
    for node in model.graph:
        uses = list(node.outputs[0].uses())
        if node.op_type != "MatMul" or len(uses) != 1 or node.outputs[0].is_graph_output():
            continue
        reader, origin = uses[0].node, origins.of(node)
        bias = [each for each in reader.inputs if each is not node.outputs[0]]
        if reader.op_type != "Add" or not origin.step or origins.of(reader) != origin:
            continue
        if all(map(_is_weight, (node.inputs[1], *bias))):
            found.append(node.outputs[0])
    return found


def _is_weight(value: Any) -> bool:
    """Whether a value is a weight, as it is or turned."""
    maker = value.producer()
    if maker is not None and maker.op_type == "Transpose":
        value = maker.inputs[0]
    return value.const_value is not None
