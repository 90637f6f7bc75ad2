"""Tensors of a model as arrays; views on the file wherever the numbers stand there as they are."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from layerscope.errors import LimitError, ReadError
from layerscope.readers.onnx.external import Folder
from layerscope.text import quoted, shape

MAX_NUMBERS = 2**36  # of one tensor
PACKED = {  # numbers of less than a byte: how many share one
    TensorProto.INT4: 2, TensorProto.UINT4: 2, TensorProto.FLOAT4E2M1: 2,
    getattr(TensorProto, "INT2", -1): 4, getattr(TensorProto, "UINT2", -2): 4,
}  # fmt: skip


def array_of(
    tensor: TensorProto, folder: Folder | None, numbers: memoryview | None = None
) -> NDArray[Any]:
    """The array of a tensor.

    Args:
        tensor: the tensor, maybe without its numbers.
        folder: where external data may lie; None where a tensor may not be external.
        numbers: its numbers, where they were left out of it.

    Raises:
        ReadError: the numbers are not as many as the shape asks for, or lie outside the folder.
        LimitError: larger than any real tensor.
    """
    name = f"tensor {quoted(tensor.name)}"
    dims = tuple(tensor.dims)
    if min(dims, default=1) < 0:
        raise ReadError(f"{name}: shape {shape(dims)}")
    if prod(dims) > MAX_NUMBERS:
        raise LimitError(f"{name}: shape {shape(dims)} is more than any machine holds")
    if tensor.data_type not in TensorProto.DataType.values() or not tensor.data_type:
        raise ReadError(f"{name}: element type {tensor.data_type} is not known")
    if tensor.data_location == TensorProto.EXTERNAL:
        if tensor.data_type == TensorProto.STRING:
            raise ReadError(f"{name}: text cannot be external data")
        if folder is None:
            raise ReadError(f"{name}: external data inside a node, which is not read")
        keys = [entry.key for entry in tensor.external_data]
        if len(set(keys)) != len(keys):
            raise ReadError(f"{name}: its external data is given twice")
        entries = {entry.key: entry.value for entry in tensor.external_data}
        numbers = folder.numbers(tensor.name, entries, byte_count(tensor.data_type, dims))
    elif numbers is None and tensor.HasField("raw_data"):
        numbers = memoryview(tensor.raw_data)
    if numbers is None:
        return _written_out(tensor, name)
    wanted = byte_count(tensor.data_type, dims)
    if len(numbers) != wanted:
        raise ReadError(
            f"{name}: shape {shape(dims)} needs {wanted} bytes, there are {len(numbers)}"
        )
    if tensor.data_type in PACKED:
        packed = TensorProto(data_type=tensor.data_type, dims=dims, raw_data=bytes(numbers))
        return numpy_helper.to_array(packed)
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.frombuffer(numbers, kind.newbyteorder("<") if kind.kind != "V" else kind).reshape(
        dims
    )


def byte_count(element: int, dims: tuple[int, ...]) -> int:
    """Bytes of a tensor as it is stored."""
    if element == TensorProto.STRING:
        raise ReadError("text has no fixed size")
    if element in PACKED:
        return -(-prod(dims) // PACKED[element])
    return prod(dims) * int(helper.tensor_dtype_to_np_dtype(element).itemsize)


def _written_out(tensor: TensorProto, name: str) -> NDArray[Any]:
    """The numbers of a tensor whose fields hold them one by one."""
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, OverflowError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReadError(f"{name}: shape {shape(tuple(tensor.dims))}: {reason}") from None
