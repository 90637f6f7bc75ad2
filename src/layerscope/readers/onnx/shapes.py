"""The shape and type of every value: by inference, by what the file says, or by a try-out run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto

from layerscope.errors import LimitError
from layerscope.readers.onnx.draft import Draft
from layerscope.readers.onnx.parse import dims_of
from layerscope.readers.onnx.pooling import cut_off
from layerscope.readers.onnx.signature import axis_sizes
from layerscope.readers.onnx.wiring import label
from layerscope.text import quoted, shape

MAX_NUMBERS = 2**40  # of one value
MAX_AXES = 1000
# Ops that take the axes of their result from a list: which input it is.
_AXES_BY = {"Reshape": 1, "Expand": 1, "Tile": 1, "ConstantOfShape": 0, "Upsample": 1, "Resize": 2}
MOST_FOLLOWED = 100_000  # numbers in a list that inference follows
_GROWING = frozenset({"ConstantOfShape", "Range", "Expand", "Tile", "OneHot", "Pad", "Resize"})
# Ops whose output's size depends on the numbers that are fed.
BY_NUMBERS = frozenset(
    {"NonZero", "NonMaxSuppression", "Unique", "Compress", "Range", "StringSplit"}
)


@dataclass(slots=True)
class Known:
    """What is known of the values of a draft.

    Attributes:
        shapes: value to shape, of those whose shape is known.
        types: value to ONNX element type, of those that are arrays.
        other: value to what it is, for those that are no arrays: "sequence", "optional", ...
    """

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)

    def missing(self, draft: Draft) -> list[str]:
        """The values that nodes write and whose shape or type is not known."""
        return [
            name
            for node in draft.nodes
            for name in node.output
            if name
            and name not in self.other
            and (name not in self.shapes or not self.types.get(name))
        ]


def inferred(draft: Draft, inputs: Mapping[str, Sequence[int]]) -> Known:
    """What inference and the file itself say, for fixed input shapes.

    Raises:
        LimitError: a value would be larger than any machine holds.
    """
    known = _given(draft, inputs)
    _check_axes(draft, known.shapes)
    model = draft.model(inputs, draft.outputs)
    _infer(known, model, follow_numbers=False)
    while cut_off(model, known.shapes):
        known = _given(draft, inputs)
        _infer(known, model, follow_numbers=False)
    if known.missing(draft) and _numbers_stay_few(draft, known):
        _infer(known, model, follow_numbers=True)
    _as_the_file_says(known, draft, inputs)
    for name, dims in known.shapes.items():
        if prod(dims) > MAX_NUMBERS:
            raise LimitError(
                f"value {quoted(name)} would be {shape(dims)}: more than any machine holds"
            )
    return known


def _given(draft: Draft, inputs: Mapping[str, Sequence[int]]) -> Known:
    """What is known from the start: inputs and weights."""
    known = Known()
    for each in draft.inputs:
        known.shapes[each.name] = tuple(inputs[each.name])
        known.types[each.name] = each.element
    for name, array in draft.tensors.items():
        known.shapes[name], known.types[name] = array.shape, draft.elements[name]
    return known


def _check_axes(draft: Draft, shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuse a result with as many axes as a long list has numbers, before inference lists them.

    Raises:
        LimitError: there is such a result.
    """
    most = {name: dims[0] if len(dims) == 1 else 1 for name, dims in shapes.items()}
    for node in draft.nodes:
        sizes = [most.get(name, 1) for name in node.input if name]
        if node.op_type in _AXES_BY and len(node.input) > _AXES_BY[node.op_type]:
            axes = most.get(node.input[_AXES_BY[node.op_type]], 1)
            if axes > MAX_AXES:
                raise LimitError(f"{label(node)}: its result would have {axes:,} axes")
        if node.op_type == "Concat":
            bound = sum(sizes)
        elif node.op_type in ("ConstantOfShape", "Range"):
            bound = _length(draft, node)
        else:
            bound = 1 if node.op_type == "Shape" else max(sizes, default=1)
        most.update(dict.fromkeys(filter(None, node.output), bound))


def _length(draft: Draft, node: NodeProto) -> int:
    """The length of a list that is made from constants; 1 where it is not."""
    arrays = [draft.tensors.get(name) for name in node.input]
    numbers = [a.reshape(-1)[0] for a in arrays if a is not None and a.size == 1]
    if len(numbers) < len(node.input) or not all(abs(float(n)) < 2**62 for n in numbers):
        return 1
    if node.op_type == "ConstantOfShape":
        return int(numbers[0])
    start, stop, step = (float(n) for n in numbers)
    return int((stop - start) / step) if step else 1


def _infer(known: Known, model: onnx.ModelProto, *, follow_numbers: bool) -> None:
    """Note what ONNX's inference finds; `follow_numbers` computes shapes that ops compute."""
    try:
        found = onnx.shape_inference.infer_shapes(model, data_prop=follow_numbers).graph
    except MemoryError:
        raise LimitError("not enough memory to find the shapes of this net") from None
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return  # the file's own words and the try-out run remain
    for info in (*found.value_info, *found.output):
        _note(known, info)


def _numbers_stay_few(draft: Draft, known: Known) -> bool:
    """Whether the lists of numbers that inference would follow have a bound.

    It follows them without any, so that a file of 200 bytes could fill the memory.
    """
    most = {name: dims[0] if len(dims) == 1 else 1 for name, dims in known.shapes.items()}
    for node in draft.nodes:
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            return False
        sizes = [most.get(name, 1) for name in node.input if name]
        bound = sum(sizes) if node.op_type == "Concat" else max(sizes, default=1)
        for name in filter(None, node.output):
            if name not in known.shapes and node.op_type in _GROWING:
                return False
            bound = most.setdefault(name, bound)
            if bound > MOST_FOLLOWED and len(known.shapes.get(name, (0,))) == 1:
                return False
    return True


def _note(known: Known, info: ValueInfoProto) -> None:
    name, kind = info.name, info.type.WhichOneof("value")
    if kind is None or name in known.shapes:
        return
    if kind != "tensor_type":
        known.other[name] = kind.removesuffix("_type").replace("_", " ")
        return
    tensor = info.type.tensor_type
    if tensor.elem_type:
        known.types[name] = tensor.elem_type
    if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
        known.shapes[name] = tuple(d.dim_value for d in tensor.shape.dim)


def _as_the_file_says(known: Known, draft: Draft, inputs: Mapping[str, Sequence[int]]) -> None:
    """Fill in from the file, whose free axes have names, where those sizes are known."""
    sizes = axis_sizes(draft, inputs)
    as_stated = all(
        not isinstance(stated, int) or stated == size
        for each in draft.inputs
        for stated, size in zip(each.dims or (), inputs[each.name], strict=False)
    )
    for info in draft.infos:
        name, kind = info.name, info.type.WhichOneof("value")
        if kind != "tensor_type":
            if kind and name not in known.types:
                known.other.setdefault(name, kind.removesuffix("_type").replace("_", " "))
            continue
        known.types.setdefault(name, info.type.tensor_type.elem_type)
        if name in known.shapes or not as_stated or not info.type.tensor_type.HasField("shape"):
            continue
        dims = [sizes.get(d, 0) if isinstance(d, str) else d or 0 for d in dims_of(info)]
        if all(dims):
            known.shapes[name] = tuple(dims)


def element_name(element: int) -> str:
    """An element type as people write it: float16, int8."""
    try:
        return str(TensorProto.DataType.Name(element)).lower()
    except ValueError:
        return f"type {element}"
