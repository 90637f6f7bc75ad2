"""Files to `Net`: one module a format, found by content, imported only when it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from layerscope.errors import UsageError
from layerscope.net import Net
from layerscope.readers.file import InputFile


def open_net(
    definition: str | PathLike[str] | Any,
    weights: str | PathLike[str] | Any | None = None,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    phase: str = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
) -> Net:
    """Open a trained net.

    Args:
        definition: an ONNX file; or a Caffe prototxt (current or V1 form), or a caffemodel that
            holds its own definition; or a live PyTorch module (`nn.Module`, with the extra
            `torch`), which is exported in eval mode with a copy of its weights.  A file of
            PyTorch weights (`.pt`, `.pth`, `.safetensors`) gives a net of params alone.
        weights: for Caffe the caffemodel, or the same as HDF5 (`.caffemodel.h5`, with the extra
            `hdf5`); without it shapes are known, but nothing can run.  For a PyTorch module its
            example input: a tensor, a shape, a tuple of those, or a dict of keyword tensors.
        input_shapes: input name to shape, `{"data": (1, 3, 227, 227)}`, where the definition does
            not state it (a database has the shapes, not the net; ONNX may leave an axis free) or
            states another.
        phase: of a Caffe net, "TEST" or "TRAIN"; with level and stages it decides which layers are
            there.
        level: what `min_level` and `max_level` are held against.
        stages: what `stage` and `not_stage` are held against.

    Returns:
        Net: its layers, blobs, params and graph.  The order of the two files does not matter.

    Raises:
        UsageError: a file is not there, or an input's shape is not known.
        ReadError: a file is damaged or of another kind, or the weights do not fit.
        UnsupportedError: the net holds a layer that is not known.
        LimitError: larger than any real net.
    """
    caffe_only = (phase, level, tuple(stages)) != ("TEST", 0, ())
    if not isinstance(definition, (str, PathLike)):
        return _open_object(definition, weights, input_shapes, caffe_only)
    file = InputFile(definition)
    trained = None if weights is None else InputFile(weights)
    kinds = {file.kind, trained.kind if trained else ""}
    if not kinds.isdisjoint(("onnx", *_WEIGHTS)):
        return _open_alone(file, trained, input_shapes, caffe_only)
    from layerscope.readers.caffe import open_caffe
    from layerscope.readers.caffe.phase import State

    state = State(phase, level, tuple(stages))
    return open_caffe(file, trained, input_shapes, state=state)


_WEIGHTS = ("pytorch", "safetensors")


def _open_alone(
    file: InputFile,
    other: InputFile | None,
    input_shapes: Mapping[str, Sequence[int]] | None,
    caffe_only: bool,
) -> Net:
    """A net that is one file: ONNX, or weights alone."""
    if other is not None:
        alone = file if file.kind in ("onnx", *_WEIGHTS) else other
        if alone.kind == "onnx":
            raise UsageError(
                f"{alone.name} is an ONNX file, which holds its weights: give it alone"
            )
        raise UsageError(
            f"{alone.name} holds weights without a net, and not Caffe's: give it alone to list them"
        )
    if caffe_only:
        what = "ONNX has none" if file.kind == "onnx" else "weights alone have none"
        raise UsageError(f"{file.name}: phase, level and stages are Caffe's; {what}")
    if file.kind == "onnx":
        from layerscope.readers.onnx import open_onnx

        return open_onnx(file, input_shapes)
    if input_shapes:
        raise UsageError(f"{file.name} holds weights without a net, which has no inputs")
    if file.kind == "safetensors":
        from layerscope.readers.safetensors import open_safetensors

        return open_safetensors(file)
    from layerscope.readers.torch.statedict import open_state_dict

    return open_state_dict(file)


def _open_object(
    given: Any, example: Any, input_shapes: Mapping[str, Sequence[int]] | None, caffe_only: bool
) -> Net:
    """A net that is a live module."""
    from layerscope.readers.torch import is_module, open_module

    if not is_module(given):
        raise UsageError(
            f"a {type(given).__name__} is no net: give a path, or a PyTorch module (nn.Module) with"
            " an example input"
        )
    if caffe_only:
        raise UsageError("phase, level and stages are Caffe's; a PyTorch module has none")
    return open_module(given, example, input_shapes)
