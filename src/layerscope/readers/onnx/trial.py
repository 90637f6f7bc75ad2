"""A try-out run that finds the shapes which nothing else tells.

Only when inference leaves something open: ops of other domains, sizes that are computed.  The
optimizer is off, the run is stopped after some seconds, and what is known to be too large is not
tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from layerscope.errors import LimitError, UnsupportedError
from layerscope.readers.onnx.draft import Draft
from layerscope.readers.onnx.shapes import Known
from layerscope.stopping import call_until
from layerscope.text import plural, printable, quoted, size

SECONDS = 20.0
MOST_BYTES = 4 * 10**9  # of all values whose shape is known
_FAILED = "[ONNXRuntimeError] : "


def try_out(draft: Draft, inputs: Mapping[str, Sequence[int]], known: Known) -> None:
    """Run the model once for the shapes and types that are missing, and note them.

    Raises:
        UnsupportedError: ONNX Runtime does not accept the model, or stops.
        LimitError: it needs too much memory or time.
    """
    missing = known.missing(draft)
    if not missing:
        return
    needed = sum(4 * prod(dims) for dims in known.shapes.values())
    if needed > MOST_BYTES:
        raise LimitError(
            f"net {quoted(draft.name)}: the sizes of {plural(len(missing), 'blob')} show only in a"
            f" run, which needs more than {size(needed)}; the limit is {size(MOST_BYTES)}"
        )
    _note_types(draft, inputs, known, missing)
    arrays = [name for name in missing if name not in known.other]
    tops = [f"{name}:shape of it" for name in arrays]
    asking = [
        helper.make_node("Shape", [name], [top]) for name, top in zip(arrays, tops, strict=True)
    ]
    session = _session(draft, inputs, tops, asking)
    try:
        found = _run(session, tops, _fed(draft, inputs, 0), draft)
    except UnsupportedError:
        if not any(helper.tensor_dtype_to_np_dtype(e.element).kind in "iu" for e in draft.inputs):
            raise
        # A size or a place that is fed may have to be more than 0.
        found = _run(session, tops, _fed(draft, inputs, 1), draft)
    for name, dims in zip(arrays, found, strict=True):
        known.shapes[name] = tuple(int(d) for d in dims)


def _note_types(
    draft: Draft, inputs: Mapping[str, Sequence[int]], known: Known, missing: Sequence[str]
) -> None:
    open_ = [name for name in missing if not known.types.get(name)]
    if not open_:
        return
    names = {words: number for number, words in _type_names().items()}
    for each in _session(draft, inputs, open_).get_outputs():
        if each.type in names:
            known.types[each.name] = names[each.type]
        else:
            known.other[each.name] = printable(each.type, 60)


def _type_names() -> dict[int, str]:
    """ONNX element type to ONNX Runtime's name of an array of it."""
    short = {TensorProto.FLOAT: "float", TensorProto.DOUBLE: "double"}
    return {
        number: f"tensor({short.get(number, name.lower())})"
        for name, number in TensorProto.DataType.items()
    }


def _session(
    draft: Draft, inputs: Mapping[str, Sequence[int]], outputs: Sequence[str], extra: Any = ()
) -> Any:
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    arrays = {name: np.ascontiguousarray(array) for name, array in draft.large().items()}
    held = [value_of(array, draft.elements[name]) for name, array in arrays.items()]
    if held:
        options.add_external_initializers(list(arrays), held)
    try:
        return ort.InferenceSession(
            draft.model(inputs, outputs, extra).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,
        )
    except Exception as error:  # the runtime has no common base of its errors
        raise UnsupportedError(
            f"ONNX Runtime does not accept net {quoted(draft.name)}: {reason(error)}"
        ) from None


def value_of(array: NDArray[Any], element: int) -> Any:
    """An array as the runtime takes it, also of types that NumPy does not know."""
    import onnxruntime as ort

    if array.dtype.kind in "fiub" and array.dtype.type.__module__ == "numpy":
        return ort.OrtValue.ortvalue_from_numpy(array)
    plain = array.view(f"u{array.dtype.itemsize}")
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(plain, element)


def _fed(draft: Draft, inputs: Mapping[str, Sequence[int]], whole: int) -> dict[str, NDArray[Any]]:
    """Numbers from 0 to 1, always the same; for whole numbers all are `whole`."""
    random = np.random.default_rng(0)
    fed: dict[str, NDArray[Any]] = {}
    for each in draft.inputs:
        kind = helper.tensor_dtype_to_np_dtype(each.element)
        dims = tuple(inputs[each.name])
        fed[each.name] = (
            random.random(dims).astype(kind) if kind.kind == "f" else np.full(dims, whole, kind)
        )
    return fed


def _run(session: Any, tops: Sequence[str], fed: Mapping[str, Any], draft: Draft) -> list[Any]:
    import onnxruntime as ort

    options = ort.RunOptions()
    options.log_severity_level = 4
    try:
        return call_until(
            SECONDS,
            lambda: list(session.run(list(tops), dict(fed), options)),
            lambda: setattr(options, "terminate", True),
        )
    except TimeoutError:
        raise LimitError(
            f"net {quoted(draft.name)}: the try-out run for the sizes of its blobs took longer"
            f" than {SECONDS:.0f} s"
        ) from None
    except Exception as error:
        raise UnsupportedError(
            f"net {quoted(draft.name)}: ONNX Runtime stopped: {reason(error)}"
        ) from None


def reason(error: Exception) -> str:
    """The runtime's first line, without its own numbers."""
    words = str(error).splitlines()[0] if str(error) else type(error).__name__
    return printable(words.removeprefix(_FAILED), 200)
