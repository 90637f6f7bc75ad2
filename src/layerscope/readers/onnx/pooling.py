"""The size of a pooling that rounds up, where its last window would begin behind the image."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto, NodeProto, helper

from layerscope.readers.onnx.attributes import attribute
from layerscope.readers.onnx.draft import OWN_DOMAINS

_POOLS = ("MaxPool", "AveragePool", "LpPool")


def cut_off(model: ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Change a model that is only there for inference, so that it finds the true sizes.

    A window that would begin in the padding at the end is left out
    (https://onnx.ai/onnx/operators/onnx__MaxPool.html), which ONNX's own inference forgets: with
    that window gone the axis is rounded down.  An axis beside it that is rounded up stays so by
    more padding.

    Args:
        model: its nodes are changed.
        shapes: of the values, as far as they are known.

    Returns:
        Whether a size changes, and with it those behind it.
    """
    found = False
    for node in model.graph.node:
        if node.op_type in _POOLS and node.domain in OWN_DOMAINS and attribute(node, "ceil_mode"):
            found |= _cut_off(node, shapes.get(node.input[0], ()))
    return found


def _cut_off(node: NodeProto, dims: tuple[int, ...]) -> bool:
    kernel = attribute(node, "kernel_shape")
    axes, padded = len(kernel), attribute(node, "auto_pad", "NOTSET")
    if not axes or len(dims) != axes + 2 or padded not in ("", "NOTSET"):
        return False
    strides = attribute(node, "strides") or [1] * axes
    dilations = attribute(node, "dilations") or [1] * axes
    pads = list(attribute(node, "pads") or [0] * 2 * axes)
    if not len(strides) == len(dilations) == len(pads) // 2 == axes or min(strides) < 1:
        return False
    beyond = []
    for i, size in enumerate(dims[2:]):
        free = size + pads[i] + pads[axes + i] - ((kernel[i] - 1) * dilations[i] + 1)
        last = -(-free // strides[i]) * strides[i]
        beyond.append(last >= size + pads[i])
    if not any(beyond):
        return False
    for i in range(axes):
        pads[axes + i] += 0 if beyond[i] else strides[i] - 1
    kept = [each for each in node.attribute if each.name not in ("ceil_mode", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("pads", pads)])
    return True
