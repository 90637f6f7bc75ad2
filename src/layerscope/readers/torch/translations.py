"""PyTorch ops that the exporter would take apart, each as the ONNX ops that a person would write.

The exporter gives each function an op's arguments: values of the graph, or plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """PyTorch op to the function that writes it in ONNX."""
    import torch

    aten = torch.ops.aten
    return {
        aten.adaptive_avg_pool1d.default: _adaptive_average,
        aten.adaptive_avg_pool2d.default: _adaptive_average,
        aten.adaptive_avg_pool3d.default: _adaptive_average,
        aten.adaptive_max_pool2d.default: _adaptive_maximum,
        aten.avg_pool2d.default: _average_pool,
        aten.avg_pool3d.default: _average_pool,
        aten.group_norm.default: _group_norm,
    }


def _adaptive_average(self, output_size: Sequence[int]):  # type: ignore[no-untyped-def]
    """The mean of one window for each place of the output, (N, C, ...) -> (N, C, *output_size).

    Windows of one size are an AveragePool.  Others are two products with matrices whose rows hold
    one over the size of each window.
    """
    from onnxscript import opset18 as op

    axes = len(output_size)
    sizes = [int(each) for each in self.shape[-axes:]]
    if all(each == 1 for each in output_size) and len(self.shape) == axes + 2:
        return op.GlobalAveragePool(self)
    if all(size % out == 0 for size, out in zip(sizes, output_size, strict=True)):
        windows = [size // out for size, out in zip(sizes, output_size, strict=True)]
        return op.AveragePool(self, kernel_shape=windows, strides=windows)
    if axes == 1:
        return op.MatMul(self, _constant(_windows(sizes[0], output_size[0]).T, self))
    if axes == 2:
        across = op.MatMul(self, _constant(_windows(sizes[1], output_size[1]).T, self))
        return op.MatMul(_constant(_windows(sizes[0], output_size[0]), self), across)
    raise NotImplementedError(f"adaptive pooling of {sizes} to {list(output_size)}")


def _average_pool(  # type: ignore[no-untyped-def]
    self,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] | int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
):
    """The mean of windows, or their sum by a stated number, which the exporter would leave out."""
    from onnxscript import opset18 as op

    axes = len(self.shape) - 2
    windows, strides, pads = (
        _each(number, axes) for number in (kernel_size, stride or kernel_size, padding)
    )
    if divisor_override is not None and ceil_mode:
        raise NotImplementedError("average pooling with divisor_override and ceil_mode")
    found = op.AveragePool(
        self, kernel_shape=windows, strides=strides, pads=[*pads, *pads], ceil_mode=int(ceil_mode),
        count_include_pad=int(count_include_pad or divisor_override is not None),
    )  # fmt: skip
    if divisor_override is None:
        return found
    share = np.asarray(np.prod(windows) / divisor_override)
    return op.Mul(found, _constant(share, self))


def _each(number: Sequence[int] | int, axes: int) -> list[int]:
    """A number for each axis, where one may stand for all."""
    numbers = [number] if isinstance(number, int) else [int(each) for each in number]
    return numbers * axes if len(numbers) == 1 else numbers


def _adaptive_maximum(self, output_size: Sequence[int]):  # type: ignore[no-untyped-def]
    """The largest of one window for each place, and its place in the map; windows of one size."""
    from onnxscript import opset18 as op

    sizes = [int(each) for each in self.shape[-2:]]
    if any(size % out for size, out in zip(sizes, output_size, strict=True)):
        raise NotImplementedError(f"adaptive maximum of {sizes} to {list(output_size)}")
    windows = [size // out for size, out in zip(sizes, output_size, strict=True)]
    values, places = op.MaxPool(self, kernel_shape=windows, strides=windows)
    # ONNX counts places through all maps, PyTorch within each.
    return values, op.Mod(places, op.Constant(value_int=sizes[0] * sizes[1]))


def _windows(size: int, out: int) -> NDArray[np.float64]:
    """The matrix (out, size) that takes the means of PyTorch's adaptive windows."""
    matrix = np.zeros((out, size))
    for i in range(out):
        start, end = i * size // out, -(-(i + 1) * size // out)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def _constant(matrix: NDArray[np.float64], like: Any) -> Any:
    from onnx import numpy_helper
    from onnxscript import opset18 as op

    return op.Constant(value=numpy_helper.from_array(matrix.astype(like.dtype.numpy())))


def _group_norm(  # type: ignore[no-untyped-def]
    input, num_groups: int, weight=None, bias=None, eps: float = 1e-05, cudnn_enabled: bool = True
):
    """Each group of channels to mean 0 and deviation 1, then weight and bias of each channel.

    ONNX has the op from opset 21 on; before that a group is a channel of an InstanceNormalization.
    """
    from onnxscript import opset18 as op

    channels, *space = (int(each) for each in input.shape[1:])
    ones, zeros = (_constant(np.full(num_groups, each), input) for each in (1.0, 0.0))
    grouped = op.Reshape(input, op.Constant(value_ints=[0, num_groups, -1]))
    normal = op.InstanceNormalization(grouped, ones, zeros, epsilon=eps)
    found = op.Reshape(normal, op.Constant(value_ints=[-1, channels, *space]))
    column = [channels] + [1] * len(space)
    if weight is not None:
        found = op.Mul(found, op.Reshape(weight, op.Constant(value_ints=column)))
    if bias is not None:
        found = op.Add(found, op.Reshape(bias, op.Constant(value_ints=column)))
    return found
