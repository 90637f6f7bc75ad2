"""How filters lie on the spatial axes of a blob: the settings that Caffe's layers share.

Rules: `caffe/src/caffe/layers/base_conv_layer.cpp` (LayerSetUp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape, times


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a filter lies: one number for each spatial axis.

    Attributes:
        axis: the axis of the channels; those before it are independent of one another.
        channels: the size of that axis.
        space: the sizes of the axes behind it.
        kernel, stride, pad, dilation: as in the file.
    """

    axis: int
    channels: int
    space: tuple[int, ...]
    kernel: list[int]
    stride: list[int]
    pad: list[int]
    dilation: list[int]

    @property
    def extent(self) -> list[int]:
        """How far a kernel reaches, with its gaps."""
        return [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]

    @property
    def fitting(self) -> list[int]:
        """How often the kernel fits along each axis; below 1 where it does not."""
        sizes = zip(self.space, self.pad, self.extent, self.stride, strict=True)
        return [(size + 2 * pad - extent) // stride + 1 for size, pad, extent, stride in sizes]

    @property
    def spread(self) -> list[int]:
        """The size that a deconvolution makes of each axis."""
        sizes = zip(self.space, self.pad, self.extent, self.stride, strict=True)
        return [stride * (size - 1) + extent - 2 * pad for size, pad, extent, stride in sizes]

    @property
    def attributes(self) -> dict[str, list[int]]:
        """The same for ONNX, which needs at least one axis."""
        return {
            "kernel_shape": self.kernel or [1],
            "strides": self.stride or [1],
            "pads": [*self.pad, *self.pad] or [0, 0],
            "dilations": self.dilation or [1],
        }

    def words(self) -> list[str]:
        """What is not usual about it, for a summary."""
        parts = [f"stride {times(self.stride)}"] if any(s != 1 for s in self.stride) else []
        parts += [f"pad {times(self.pad)}"] if any(self.pad) else []
        parts += [f"dilation {times(self.dilation)}"] if any(d != 1 for d in self.dilation) else []
        return parts

    def to_images(self, g: GraphBuilder, x: str) -> str:
        """The blob as (N, C, ...) with at least one spatial axis: what ONNX's ops take."""
        if self.axis == 1 and self.space:
            return x
        return g.reshape(x, [-1, self.channels, *(self.space or (1,))])

    def from_images(self, g: GraphBuilder, y: str, dims: Sequence[int]) -> str:
        """Back to the axes that the bottom of shape `dims` had before its channels."""
        if self.axis == 1 and self.space:
            return y
        if self.axis == 0:
            g.free_batch = False  # the first axis is the channels
        channels, *space = g.shape(y)[1:]
        lead = [-1, *dims[1 : self.axis]] if self.axis else []
        return g.reshape(y, [*lead, channels, *(space if self.space else [])])


def read_geometry(layer: LayerSpec, dims: Sequence[int]) -> Geometry:
    """The geometry that a convolution_param gives for a bottom of shape `dims`.

    Raises:
        ReadError: a setting is missing, given twice, or does not fit the number of axes.
    """
    p = layer.param
    axis = layer.axis(p.axis, dims)
    space = tuple(dims[axis + 1 :])
    kernel = _sizes(layer, p, "kernel_size", ("kernel_h", "kernel_w"), len(space), None)
    stride = _sizes(layer, p, "stride", ("stride_h", "stride_w"), len(space), 1)
    pad = _sizes(layer, p, "pad", ("pad_h", "pad_w"), len(space), 0)
    dilation = _sizes(layer, p, "dilation", (), len(space), 1)
    positive(layer, kernel, "kernel_size")
    positive(layer, stride, "stride")
    positive(layer, dilation, "dilation")
    return Geometry(axis, dims[axis], space, kernel, stride, pad, dilation)


def check_fits(layer: LayerSpec, found: Geometry, dims: Sequence[int]) -> None:
    """Refuse a kernel that is larger than the padded bottom."""
    if any(out < 1 for out in found.fitting):
        raise layer.error(
            f"a kernel of {times(found.kernel)} does not fit into a bottom {shape(dims)}"
        )


def positive(layer: LayerSpec, sizes: Sequence[int], field: str) -> None:
    """Refuse sizes below 1."""
    if any(s < 1 for s in sizes):
        raise layer.error(f"{field} {times(sizes)}; every number must be at least 1", field)


def _sizes(
    layer: LayerSpec, p: Message, field: str, pair: tuple[str, ...], axes: int, default: int | None
) -> list[int]:
    """A size per spatial axis, given once, once an axis, or as field_h and field_w."""
    if any(p.has(name) for name in pair):
        if axes != 2:
            raise layer.error(f"{pair[0]} is for two spatial axes, the bottom has {axes}", pair[0])
        if p.has(field):
            raise layer.error(f"{field} and {pair[0]}/{pair[1]} are both given; use one", pair[0])
        if default is None and not all(p.has(name) for name in pair):
            raise layer.error(f"{pair[0]} and {pair[1]} must both be given", pair[0])
        return [getattr(p, name) if p.has(name) else int(default or 0) for name in pair]
    given = list(getattr(p, field))
    if not given:
        if default is None:
            if axes == 0:
                return []
            raise layer.error(f"{field} is missing")
        return [default] * axes
    if len(given) not in (1, axes):
        raise layer.error(
            f"{field} has {len(given)} values; 1 or {axes} fit a bottom with {axes} spatial axes",
            field,
        )
    return [int(v) for v in (given * axes if len(given) == 1 else given)]


def pair_of(layer: LayerSpec, p: Message, field: str, stem: str) -> list[int]:
    """A pooling setting as (h, w), given as one number or as two."""
    pair = [f"{stem}_h", f"{stem}_w"]
    if any(p.has(name) for name in pair):
        if p.has(field):
            raise layer.error(f"{field} and {pair[0]}/{pair[1]} are both given; use one", pair[0])
        if not all(p.has(name) for name in pair) and stem != "pad":
            raise layer.error(f"{pair[0]} and {pair[1]} must both be given", pair[0])
        return [getattr(p, name) for name in pair]
    if not p.has(field) and field == "kernel_size":
        raise layer.error("kernel_size is missing")
    return [getattr(p, field)] * 2
