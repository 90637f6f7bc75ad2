"""ONNX files to `Net`.

wire takes a file apart without copying its weights; parse makes a draft of it, tensors and external
find the numbers; signature settles the shapes of the inputs; upgrade brings old ops to the forms of
opset 18, functions writes the file's own ops out; shapes and trial find the shape of every value;
build makes the layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import TensorProto, helper

from layerscope.net import OPSET, Net
from layerscope.readers.file import InputFile
from layerscope.readers.onnx.build import fold_repeated, to_net
from layerscope.readers.onnx.draft import Draft, Input
from layerscope.readers.onnx.feeding import preprocessing
from layerscope.readers.onnx.functions import function_opsets, written_out
from layerscope.readers.onnx.kernels import with_kernels
from layerscope.readers.onnx.parse import parse
from layerscope.readers.onnx.shapes import BY_NUMBERS, Known, element_name, inferred
from layerscope.readers.onnx.signature import input_shapes
from layerscope.readers.onnx.trial import try_out
from layerscope.readers.onnx.upgrade import upgraded
from layerscope.readers.onnx.wiring import ordered, renamed, with_every_output
from layerscope.text import plural, printable


def open_onnx(file: InputFile, asked: Mapping[str, Sequence[int]] | None = None) -> Net:
    """Build a net from an ONNX file.

    Args:
        file: the model; weights in other files have to lie in its folder.
        asked: input name to shape, where the file leaves an axis free or another size is wanted.

    Raises:
        UsageError: a shape that is asked for does not fit.
        ReadError: the file is damaged, or one with its weights is not there.
        UnsupportedError: an input's shape is not known, or it holds what ONNX Runtime does not run.
        LimitError: larger than any real net.
    """
    draft = parse(file)
    file.check_unchanged()
    return built(draft, dict(asked or {}))


def built(draft: Draft, asked: Mapping[str, Sequence[int]]) -> Net:
    """The net of a draft for the shapes that are asked for; the draft stays as it is."""
    shapes, free_batch = input_shapes(draft, asked)
    made = draft.copy()
    _check_order(made)
    if made.functions:
        # Before anything infers shapes: that would follow functions that call each other twice.
        if function_opsets(made) != {made.opset}:
            upgraded(made, {}, {})
        written_out(made)
        _check_order(made)
    made.nodes = with_every_output(made.nodes, _given(made), made.opset)
    if made.opset < OPSET:
        before = inferred(made, shapes)
        upgraded(made, before.shapes, before.types)
    _feed_what_numpy_holds(made)
    known = inferred(made, shapes)
    with_kernels(made, known.types)
    try_out_known(made, shapes, known)
    fold_repeated(made, known)
    return to_net(
        made,
        known,
        free_batch,
        preprocessing=preprocessing(made, shapes),
        rebuild=lambda more, fill, without: built(draft, {**asked, **more}),
    )


def _check_order(draft: Draft) -> None:
    draft.nodes = ordered(draft.nodes, _given(draft), draft.outputs)


def _given(draft: Draft) -> list[str]:
    return [*(each.name for each in draft.inputs), *draft.tensors]


def try_out_known(draft: Draft, shapes: Mapping[str, Sequence[int]], known: Known) -> None:
    """Run the model once where shapes are missing and all its ops are known."""
    from layerscope.readers.onnx.catalogue import is_known

    if all(is_known(node.op_type, node.domain, draft.opset) for node in draft.nodes):
        missing = set(known.missing(draft))
        try_out(draft, shapes, known)
        varying = [
            node for node in draft.nodes if node.op_type in BY_NUMBERS and missing & {*node.output}
        ]
        if varying:
            first = printable(varying[0].name or varying[0].output[0], 60)
            draft.notes.append(
                f"sizes behind {plural(len(varying), 'layer')} ({first}, ...) depend on the"
                " numbers; those stated are of a try-out run"
            )


def _feed_what_numpy_holds(draft: Draft) -> None:
    """An input of bfloat16 or the like takes float32, and a Cast makes it what it was."""
    for i, each in enumerate(draft.inputs):
        kind = helper.tensor_dtype_to_np_dtype(each.element)
        if kind.type.__module__ == "numpy":
            continue
        inside = f"{each.name}:{element_name(each.element)}"
        draft.nodes = [renamed(node, each.name, inside) for node in draft.nodes]
        cast = helper.make_node("Cast", [each.name], [inside], name=inside, to=each.element)
        draft.nodes.insert(0, cast)
        draft.inputs[i] = Input(each.name, TensorProto.FLOAT, each.dims)
        draft.notes.append(
            f"input {printable(each.name, 60)} takes {element_name(each.element)}; it is fed"
            " float32, which is cast"
        )
