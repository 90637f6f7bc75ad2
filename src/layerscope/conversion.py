"""A net as a standard ONNX file that runs without layerscope."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import onnx

from layerscope.errors import LimitError, UnsupportedError, UsageError
from layerscope.files import write_file
from layerscope.net import Named, Net
from layerscope.text import printable, quoted, size

MAX_BYTES = 2_000_000_000  # of one protobuf message, which an ONNX file is


def convert(
    net: Net,
    path: str | PathLike[str],
    *,
    blobs: Sequence[str] | None = None,
    allow_missing: bool = False,
) -> Path:
    """Write a net as ONNX: the graph that is run here, with its weights, names kept.

    The first axis of the inputs stays free wherever the net allows it.  The file is checked by
    onnx's own checker before anything is written; how an image is to be fed stands in its metadata.

    Args:
        net: the net, with weights.
        path: the `.onnx` to write.
        blobs: the outputs of the file; the net's own outputs when left out, `list(net.blobs)` for
            every blob.
        allow_missing: fill weights that are missing.

    Returns:
        The path.

    Raises:
        UsageError: weights are missing.
        UnsupportedError: a layer cannot be computed.
        LimitError: more than 2 GB, which one ONNX file cannot hold.
        SystemFaultError: the system refused; an existing file is untouched.
    """
    from layerscope.engine.model import standalone
    from layerscope.engine.onnxruntime import missing  # the runtime is loaded when it is needed

    if net.not_computed:
        raise UnsupportedError(net.not_computed[0].reason)
    if net.missing and not allow_missing:
        raise UsageError(missing(net))
    net = net.filled()
    known = Named(net.blobs, "blob", f"net {quoted(net.name)}")
    names = [known[name].name for name in (net.outputs if blobs is None else blobs)]
    total = sum(a.nbytes for a in net.graph.tensors.values() if a is not None)
    if total > MAX_BYTES:
        raise LimitError(
            f"net {quoted(net.name)} has {size(total)} of weights; one ONNX file holds 2 GB"
        )
    try:
        model = onnx.shape_inference.infer_shapes(standalone(net, names), strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = printable(str(error).splitlines()[0], 200)
        raise UnsupportedError(f"net {quoted(net.name)} is not valid as ONNX: {reason}") from None
    write_file(Path(path), model.SerializeToString())
    return Path(path)
