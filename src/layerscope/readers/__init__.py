"""Files to `Net`: one module a format, found by content, imported only when it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

from layerscope.errors import UsageError
from layerscope.net import Net
from layerscope.readers.file import InputFile


def open_net(
    definition: str | PathLike[str],
    weights: str | PathLike[str] | None = None,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    phase: str = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
) -> Net:
    """Open a trained net.

    Args:
        definition: an ONNX file; or a Caffe prototxt (current or V1 form), or a caffemodel that
            holds its own definition.
        weights: for Caffe the caffemodel, or the same as HDF5 (`.caffemodel.h5`, with the extra
            `hdf5`); without it shapes are known, but nothing can run.
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
    file = InputFile(definition)
    trained = None if weights is None else InputFile(weights)
    if "onnx" in (file.kind, trained.kind if trained else ""):
        if trained is not None:
            onnx = file if file.kind == "onnx" else trained
            raise UsageError(f"{onnx.name} is an ONNX file, which holds its weights: give it alone")
        if (phase, level, tuple(stages)) != ("TEST", 0, ()):
            raise UsageError(f"{file.name}: phase, level and stages are Caffe's; ONNX has none")
        from layerscope.readers.onnx import open_onnx

        return open_onnx(file, input_shapes)
    from layerscope.readers.caffe import open_caffe
    from layerscope.readers.caffe.phase import State

    state = State(phase, level, tuple(stages))
    return open_caffe(file, trained, input_shapes, state=state)
