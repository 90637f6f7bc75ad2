"""The ops whose form changed before opset 18: one function an op, from the old form to the new.

Each gives the nodes that take the place of one node, or None to keep it.  The names of outputs
stay.  Source of all changes: Changelog.md and the schemas of the ONNX project.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from onnx import NodeProto, TensorProto, helper

from layerscope.errors import UnsupportedError
from layerscope.readers.onnx.attributes import attribute, without
from layerscope.readers.onnx.wiring import label
from layerscope.text import plural

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Context(Protocol):
    """What a form may ask; see `upgrade.Upgrade`."""

    opset: int
    shapes: Any
    types: Any
    tensors: Any

    def constant(self, node: NodeProto, what: str, content: Any, element: int = INT64) -> str:
        """A small array for a node; gives its name."""

    def element(self, value: str) -> int:
        """The element type of a value."""


Form = Callable[[Context, NodeProto], list[NodeProto] | None]
FORMS: dict[str, Form] = {}


def form(*kinds: str) -> Callable[[Form], Form]:
    """Name the ops that a function brings to their new form."""

    def register(function: Form) -> Form:
        FORMS.update(dict.fromkeys(kinds, function))
        return function

    return register


def _with_inputs(node: NodeProto, count: int, *more: str) -> NodeProto:
    """The node with `count` of its inputs and then others; trailing empty ones are left out."""
    names = [*node.input[:count], *[""] * (count - len(node.input)), *more]
    while names and not names[-1]:
        names.pop()
    del node.input[:]
    node.input.extend(names)
    return node


# --- attributes that became inputs ---


def _axes(u: Context, node: NodeProto, since: int) -> list[NodeProto] | None:
    axes = attribute(node, "axes")
    if u.opset >= since or axes is None:
        return None
    return [_with_inputs(without(node, "axes"), 1, u.constant(node, "axes", axes))]


@form("Squeeze", "Unsqueeze", "ReduceSum")
def axes_until_13(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Axes became an input in 13."""
    return _axes(u, node, 13)


@form(
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSumSquare",
)  # fmt: skip
def axes_until_18(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Axes became an input in 18."""
    return _axes(u, node, 18)


@form("Split")
def split(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """The sizes became an input in 13; since 18 equal parts are counted."""
    sizes = attribute(node, "split") if u.opset < 13 else None
    if sizes is not None:
        return [_with_inputs(without(node, "split"), 1, u.constant(node, "split", sizes))]
    if len(node.input) > 1 and node.input[1] and (u.opset >= 13 or u.opset < 2):
        return None
    made = _with_inputs(without(node), 1)
    made.attribute.append(helper.make_attribute("num_outputs", len(node.output)))
    return [made]


@form("Slice")
def slice_(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Starts, ends and axes became inputs in 10."""
    if u.opset >= 10:
        return None
    given = [attribute(node, name) for name in ("starts", "ends", "axes")]
    names = [
        "" if values is None else u.constant(node, what, values)
        for what, values in zip(("starts", "ends", "axes"), given, strict=True)
    ]
    return [_with_inputs(without(node, "starts", "ends", "axes"), 1, *names)]


@form("Pad")
def pad(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Pads and value became inputs in 11."""
    if u.opset >= 11:
        return None
    pads = attribute(node, "pads", attribute(node, "paddings", []))
    value = attribute(node, "value", 0.0)
    element = u.element(node.input[0])
    names = [u.constant(node, "pads", pads)]
    names += [u.constant(node, "value", value, element)] if value else []
    return [_with_inputs(without(node, "pads", "paddings", "value"), 1, *names)]


@form("Clip")
def clip(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Both ends became inputs in 11."""
    if u.opset >= 11:
        return None
    element = u.element(node.input[0])
    ends = [attribute(node, "min"), attribute(node, "max")]
    names = [
        "" if end is None else u.constant(node, what, end, element)
        for what, end in zip(("min", "max"), ends, strict=True)
    ]
    return [_with_inputs(without(node, "min", "max", "consumed_inputs"), 1, *names)]


@form("TopK")
def top_k(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """The count became an input in 10."""
    if u.opset >= 10:
        return None
    count = u.constant(node, "k", [attribute(node, "k", 1)])
    return [_with_inputs(without(node, "k"), 1, count)]


@form("Dropout")
def dropout(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """The ratio became an input in 12; without training it changes nothing either way."""
    if u.opset >= 12:
        return None
    made = without(node, "ratio", "is_test", "consumed_inputs")
    if len(node.output) > 1:
        made.output[1] = ""  # the mask, which was float before 10, is not used when testing
    return [made]


# --- ops that mean something else since ---


@form("Softmax", "LogSoftmax", "Hardmax")
def softmax(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Before 13 all axes from `axis` on counted as one, and it was 1 unless given."""
    if u.opset >= 13:
        return None
    axis = int(attribute(node, "axis", 1))
    source, made = node.input[0], without(node, "axis")
    dims = u.shapes.get(source)
    if dims is not None and all(d == 1 for d in dims[axis % max(1, len(dims)) + 1 :]):
        made.attribute.append(helper.make_attribute("axis", axis))
        return [made]
    top = node.output[0]
    made.input[0], made.output[0] = f"{top}:rows", f"{top}:flat"
    made.attribute.append(helper.make_attribute("axis", 1))
    base = node.name or top
    return [
        helper.make_node("Flatten", [source], [f"{top}:rows"], name=f"{base}:rows", axis=axis),
        made,
        helper.make_node("Shape", [source], [f"{top}:shape"], name=f"{base}:shape"),
        helper.make_node(
            "Reshape", [f"{top}:flat", f"{top}:shape"], [top], name=f"{base}:back", allowzero=1
        ),
    ]


@form("BatchNormalization")
def batch_normalization(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Since 9 the statistics are always those of channels; since 14 training is said in words."""
    if u.opset >= 14:
        return None
    if any(node.output[1:]):
        raise UnsupportedError(
            f"{label(node)}: gives {plural(len(node.output), 'output')}, as for training; export"
            " the net for testing"
        )
    made = without(node, "spatial", "is_test", "consumed_inputs")
    del made.output[1:]
    if u.opset < 9 and attribute(node, "spatial", 1) == 0:
        return _each_number_by_itself(u, node)
    return [made]


def _each_number_by_itself(u: Context, node: NodeProto) -> list[NodeProto]:
    """spatial=0: mean, variance, scale and shift for every unit, (C, H, W), not for channels."""
    x, scale, shift, mean, variance = node.input[:5]
    top, base = node.output[0], node.name or node.output[0]
    element = u.element(x)
    epsilon = u.constant(node, "epsilon", attribute(node, "epsilon", 1e-5), element)
    steps = [
        ("Sub", [x, mean], "centred"),
        ("Add", [variance, epsilon], "variance"),
        ("Sqrt", [f"{top}:variance"], "deviation"),
        ("Div", [f"{top}:centred", f"{top}:deviation"], "normal"),
        ("Mul", [f"{top}:normal", scale], "scaled"),
    ]
    made = [
        helper.make_node(kind, inputs, [f"{top}:{what}"], name=f"{base}:{what}")
        for kind, inputs, what in steps
    ]
    return [*made, helper.make_node("Add", [f"{top}:scaled", shift], [top], name=base)]


@form("RoiAlign")
def roi_align(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Since 16 a box is moved by half a pixel unless said otherwise."""
    if u.opset >= 16:
        return None
    made = without(node, "coordinate_transformation_mode")
    made.attribute.append(
        helper.make_attribute("coordinate_transformation_mode", "output_half_pixel")
    )
    return [made]


@form("Scatter")
def scatter(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Its name since 11 is ScatterElements."""
    made = without(node)
    made.op_type = "ScatterElements"
    return [made]


@form("Scan")
def scan(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Until 8 it had a batch of its own."""
    if u.opset >= 9:
        return None
    raise UnsupportedError(
        f"{label(node)}: the Scan of opset 8, which ONNX dropped with opset 9; export the net again"
    )


# --- resizing ---


@form("Upsample", "Resize")
def resize(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Upsample and the Resize of 10 place pixels by division alone; since 11 that has a name."""
    if u.opset >= 13:
        return None
    if u.opset >= 11 and node.op_type == "Resize":
        return _resize_of_11(u, node)
    scales = attribute(node, "scales")
    if scales is None and attribute(node, "height_scale") is not None:
        scales = [1.0, 1.0, attribute(node, "height_scale"), attribute(node, "width_scale")]
    if scales is None:
        name = node.input[1]
        known = u.tensors.get(name)
        scales = None if known is None else [float(s) for s in np.asarray(known).ravel()]
    else:
        name = u.constant(node, "scales", scales, FLOAT)
    mode = {"bilinear": "linear", "trilinear": "linear"}.get(
        given := attribute(node, "mode", "nearest"), given
    )
    down = [s < 1 for s in scales or ()]
    if mode == "nearest" and any(down) and any(s > 1 for s in scales or ()):
        # ONNX Runtime rounds up where the image shrinks and down where it grows: two steps.
        both = np.asarray(scales, np.float32)
        first = u.constant(node, "shrink", np.minimum(both, 1), FLOAT)
        second = u.constant(node, "grow", np.maximum(both, 1), FLOAT)
        middle = f"{node.output[0]}:shrunk"
        return [
            _placed_by_division(node, node.input[0], first, middle, mode, "ceil"),
            _placed_by_division(node, middle, second, node.output[0], mode, "floor"),
        ]
    rounding = "ceil" if any(down) else "floor"
    return [_placed_by_division(node, node.input[0], name, node.output[0], mode, rounding)]


def _placed_by_division(
    node: NodeProto, source: str, scales: str, top: str, mode: str, rounding: str
) -> NodeProto:
    own = top == node.output[0]
    return helper.make_node(
        "Resize",
        [source, "", scales],
        [top],
        name=node.name if own else f"{node.name or node.output[0]}:shrunk",
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        **({"nearest_mode": rounding} if mode == "nearest" else {}),
    )


def _resize_of_11(u: Context, node: NodeProto) -> list[NodeProto]:
    """Since 13 what is not used is left out, and one way to place pixels has gone."""
    empty = {name for name in node.input[1:] if name in u.tensors and not np.size(u.tensors[name])}
    made = without(node)
    names = [*node.input[:1], *("" if name in empty else name for name in node.input[1:])]
    if len(names) > 3 and names[3]:
        names[2] = ""
    del made.input[:]
    made.input.extend(names)
    if attribute(node, "coordinate_transformation_mode") == "tf_half_pixel_for_nn":
        # (x + 1/2) / scale rounded down is half_pixel, which takes 1/2 off, rounded to the nearest.
        rounding = attribute(node, "nearest_mode", "round_prefer_floor")
        if attribute(node, "mode", "nearest") != "nearest" or rounding != "floor":
            raise UnsupportedError(
                f"{label(node)}: tf_half_pixel_for_nn, which ONNX dropped with opset 13, is read"
                " for nearest_mode floor only"
            )
        made = _replaced(made, "half_pixel", "round_prefer_ceil")
    return [made]


def _replaced(node: NodeProto, places: str, rounding: str) -> NodeProto:
    made = without(node, "coordinate_transformation_mode", "nearest_mode")
    made.attribute.append(helper.make_attribute("coordinate_transformation_mode", places))
    made.attribute.append(helper.make_attribute("nearest_mode", rounding))
    return made


# --- opset 6: a second input that is spread by an attribute ---


@form("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less", "PRelu")
def spread(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Before 7 `axis` said where the axes of the second input begin; PRelu's were channels."""
    if u.opset >= 7:
        return None
    made = without(node, "axis", "broadcast", "consumed_inputs")
    first, second = (u.shapes.get(name) for name in node.input[:2])
    axis = attribute(node, "axis")
    if node.op_type == "PRelu" and second is not None and len(second) == 1:
        axis = 1
    if axis is None or (node.op_type != "PRelu" and not attribute(node, "broadcast", 0)):
        return [made]
    if first is None or second is None:
        raise UnsupportedError(f"{label(node)}: spread by an attribute over an unknown shape")
    behind = len(first) - axis % max(1, len(first)) - len(second)
    if behind <= 0:
        return [made]
    axes = u.constant(node, "axes", list(range(len(second), len(second) + behind)))
    wide = f"{node.output[0]}:spread"
    made.input[1] = wide
    name = f"{node.name or node.output[0]}:spread"
    return [helper.make_node("Unsqueeze", [node.input[1], axes], [wide], name=name), made]


@form("Gemm")
def gemm(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Before 7 an attribute allowed the third input to be spread."""
    return [without(node, "broadcast")] if u.opset < 7 else None


@form("LSTM", "GRU", "RNN")
def recurrent(u: Context, node: NodeProto) -> list[NodeProto] | None:
    """Before 7 an attribute said whether the first output is wanted."""
    return [without(node, "output_sequence")] if u.opset < 7 else None
