"""`.safetensors`: a length, a table in JSON, then the numbers; views on the mapped file.

Form: the README of huggingface/safetensors.
"""

from __future__ import annotations

import json
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReadError
from layerscope.net import Net
from layerscope.readers.file import InputFile
from layerscope.readers.weights import weights_net
from layerscope.text import plural, printable, quoted, shape

MAX_TABLE = 100_000_000  # bytes: the format's own limit
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
ADVICE = "open the module itself: layerscope.open(module, example)"


def open_safetensors(file: InputFile) -> Net:
    """The weights of a file as a net of params.

    Raises:
        ReadError: the table is damaged, or says more than the file holds.
    """
    view = file.view
    start = 8 + int.from_bytes(view[:8], "little")
    if start > min(len(view), MAX_TABLE + 8):
        raise ReadError(f"{file.name}: its table should end at byte {start:,}; damaged or cut")
    try:
        table = json.loads(bytes(view[8:start]))
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ReadError(f"{file.name}: its table is no JSON object; the file is damaged")
    table.pop("__metadata__", None)
    tensors: dict[str, NDArray[Any]] = {}
    halves: dict[str, int] = {}
    unread = []
    for name, entry in table.items():
        array = _array(view[start:], name, entry, file.name)
        if array is None:
            unread.append(printable(name, 40))
        else:
            tensors[name] = array
            halves |= {name: 16} if entry["dtype"] == "BF16" else {}
    notes = []
    if unread:
        of = plural(len(table), "tensor")
        notes.append(f"{len(unread)} of {of} have number types that are not read: {unread[0]}, ...")
    file.check_unchanged()
    return weights_net(file.name, "safetensors", tensors, ADVICE, notes, halves)


def _array(numbers: memoryview, name: str, entry: Any, file: str) -> NDArray[Any] | None:
    try:
        kind, dims = str(entry["dtype"]), tuple(entry["shape"])
        start, end = entry["data_offsets"]
        whole = all(type(each) is int and each >= 0 for each in (*dims, start, end))
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise ReadError(f"{file}: tensor {quoted(name)} has a damaged entry in the table")
    if kind not in _TYPES:
        return None
    dtype = np.dtype(_TYPES[kind])
    if prod(dims) * dtype.itemsize != end - start or end > len(numbers):
        raise ReadError(
            f"{file}: tensor {quoted(name)} {shape(dims)} does not fit bytes {start:,} to {end:,}"
            f" of {len(numbers):,}; damaged or cut"
        )
    array: NDArray[Any] = np.frombuffer(numbers[start:end], dtype).reshape(dims)
    if kind == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array
