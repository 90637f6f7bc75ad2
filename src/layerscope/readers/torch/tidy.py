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
    fold_constants_ir(model)
    for node in model.graph:
        if node.domain == _HIDDEN:
            node.domain = ""
    for node in model.graph:
        if node.op_type == "Reshape":
            _state_target(model, node)
        elif node.op_type in ("Conv", "ConvTranspose") and len(node.inputs) > 2:
            _drop_zeros(node, own)
    RemoveUnusedNodesPass()(model)


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
