"""Layers that look at images: convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, prod

import numpy as np

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape, times

_FLT_MAX = float(np.finfo(np.float32).max)


@layer(
    "Convolution",
    v1="CONVOLUTION",
    bottoms=(1, None),
    tops=(1, None),
    param="convolution_param",
    source="caffe/src/caffe/layers/base_conv_layer.cpp, conv_layer.cpp",
)
def convolution(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Slide learned filters over the spatial axes.  (N, C, ...) -> (N, num_output, ...)."""
    p = layer.param
    dims = g.shape(bottoms[0])
    axis = layer.axis(p.axis, dims)
    if axis != 1:
        raise layer.unsupported(f"convolution over axis {axis}; only axis 1 is known", "axis")
    space = dims[2:]
    kernel = _sizes(layer, p, "kernel_size", ("kernel_h", "kernel_w"), len(space), None)
    stride = _sizes(layer, p, "stride", ("stride_h", "stride_w"), len(space), 1)
    pad = _sizes(layer, p, "pad", ("pad_h", "pad_w"), len(space), 0)
    dilation = _sizes(layer, p, "dilation", (), len(space), 1)
    _positive(layer, kernel, "kernel_size")
    _positive(layer, stride, "stride")
    _positive(layer, dilation, "dilation")
    channels, outputs, group = dims[1], p.num_output, p.group
    if outputs < 1:
        raise layer.error("num_output must be at least 1", "num_output")
    if group < 1 or channels % group or outputs % group:
        raise layer.error(
            f"{channels} channels in, {outputs} out cannot be split into {group} groups", "group"
        )
    weights = [layer.weight((outputs, channels // group, *kernel), p.weight_filler)]
    if p.bias_term:
        weights.append(layer.weight((outputs,), p.bias_filler))
    layer.summary = _conv_summary(outputs, kernel, stride, pad, dilation, group)
    for size, k, s, before, d in zip(space, kernel, stride, pad, dilation, strict=True):
        if (size + 2 * before - (d * (k - 1) + 1)) // s < 0:
            raise layer.error(
                f"a kernel of {times(kernel)} does not fit into a bottom {shape(dims)}"
            )
    if any(g.shape(bottom)[1:] != dims[1:] for bottom in bottoms):
        raise layer.error("its bottoms must all have one shape")
    if not space:
        return tuple(_dense(g, bottom, weights) for bottom in bottoms)
    return tuple(
        g.op(
            "Conv", bottom, *weights,
            kernel_shape=kernel, strides=stride, pads=[*pad, *pad], dilations=dilation, group=group,
        )
        for bottom in bottoms
    )  # fmt: skip


def _dense(g: GraphBuilder, bottom: str, weights: Sequence[str]) -> str:
    """A convolution without spatial axes is an inner product."""
    return g.op("Gemm", bottom, *weights, transB=1)


def _conv_summary(
    outputs: int,
    kernel: list[int],
    stride: list[int],
    pad: list[int],
    dilation: list[int],
    group: int,
) -> str:
    parts = [f"{outputs} filters {times(kernel)}"]
    parts += [f"stride {times(stride)}"] if any(s != 1 for s in stride) else []
    parts += [f"pad {times(pad)}"] if any(pad) else []
    parts += [f"dilation {times(dilation)}"] if any(d != 1 for d in dilation) else []
    parts += [f"{group} groups"] if group > 1 else []
    return ", ".join(parts)


def _positive(layer: LayerSpec, sizes: Sequence[int], field: str) -> None:
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


@layer(
    "Pooling",
    v1="POOLING",
    bottoms=1,
    tops=(1, 2),
    param="pooling_param",
    source="caffe/src/caffe/layers/pooling_layer.cpp",
)
def pooling(g: GraphBuilder, layer: LayerSpec, x: str) -> tuple[str, ...]:
    """Take the largest or the mean value of each window.  (N, C, H, W) -> (N, C, h, w).

    Caffe's rules, which converters get wrong: the output size is rounded up, a last window that
    would begin in the padding is left out, and a mean is divided by the size of the window within
    the padded image.  With two tops, MAX gives the winner's index in its plane (y * W + x) too.
    """
    p = layer.param
    dims = g.shape(x)
    if len(dims) != 4:
        raise layer.error(f"pooling takes (N, C, H, W), the bottom is {shape(dims)}")
    if p.pool not in ("MAX", "AVE", "STOCHASTIC"):
        raise layer.error(f"pool: {p.pool} is not known; MAX, AVE and STOCHASTIC are", "pool")
    if p.pool == "STOCHASTIC":
        raise layer.unsupported("stochastic pooling is not computed yet", "pool")
    windows = _windows(layer, p, dims[2:])
    layer.summary = _pool_summary(p, windows)
    if layer.tops == 2 and p.pool != "MAX":
        raise layer.error("a second top (the winner's index) needs MAX pooling", "pool")
    if p.pool == "AVE":
        return (_average(g, x, windows),)
    return _maximum(g, x, windows, dims, layer.tops)


@dataclass(frozen=True, slots=True)
class _Window:
    """Pooling along one axis of `size` positions.

    `out` windows are counted as Caffe does; the last of them may lie wholly outside the image when
    the stride is larger than the kernel and there is no padding: `empty` counts those.
    """

    size: int
    kernel: int
    stride: int
    pad: int
    out: int

    @property
    def empty(self) -> int:
        """How many windows begin behind the padded end."""
        return sum((i * self.stride - self.pad) >= self.size + self.pad for i in range(self.out))

    @property
    def behind(self) -> int:
        """How far the windows that are not empty reach behind the image."""
        last = (self.out - self.empty - 1) * self.stride + self.kernel
        return max(0, last - self.size - self.pad)


def _windows(layer: LayerSpec, p: Message, space: Sequence[int]) -> list[_Window]:
    if p.global_pooling:
        if p.has("kernel_size") or p.has("kernel_h") or p.has("kernel_w"):
            raise layer.error("global_pooling takes no kernel size", "global_pooling")
        kernel = list(space)
    else:
        kernel = _pair(layer, p, "kernel_size", "kernel")
    stride, pad = _pair(layer, p, "stride", "stride"), _pair(layer, p, "pad", "pad")
    if p.global_pooling and (pad != [0, 0] or stride != [1, 1]):
        raise layer.error("global_pooling takes no pad and no stride", "global_pooling")
    _positive(layer, kernel, "kernel_size")
    _positive(layer, stride, "stride")
    if any(b >= k for b, k in zip(pad, kernel, strict=True)):
        raise layer.error(
            f"pad {times(pad)} must be smaller than the kernel {times(kernel)}", "pad"
        )
    windows = []
    for size, k, s, b in zip(space, kernel, stride, pad, strict=True):
        room = size + 2 * b - k
        if room < 0:
            raise layer.error(
                f"a window of {times(kernel)} is larger than the bottom {times(space)}"
            )
        out = (room // s if p.round_mode == "FLOOR" else -(-room // s)) + 1
        if any(pad) and (out - 1) * s >= size + b:
            out -= 1
        windows.append(_Window(size, k, s, b, out))
    return windows


def _pair(layer: LayerSpec, p: Message, field: str, stem: str) -> list[int]:
    """A setting as (h, w), given as one number or as two."""
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


def _pool_summary(p: Message, windows: list[_Window]) -> str:
    verb = {"MAX": "largest", "AVE": "mean"}[p.pool]
    if p.global_pooling:
        return f"{verb} of the whole map"
    text = f"{verb} of {times([w.kernel for w in windows])}"
    text += f", stride {times([w.stride for w in windows])}"
    return text + (
        f", pad {times([w.pad for w in windows])}" if any(w.pad for w in windows) else ""
    )


def _geometry(windows: list[_Window], pads: list[int]) -> dict[str, list[int]]:
    return {
        "kernel_shape": [w.kernel for w in windows],
        "strides": [w.stride for w in windows],
        "pads": pads,
    }


def _maximum(
    g: GraphBuilder, x: str, windows: list[_Window], dims: Sequence[int], tops: int
) -> tuple[str, ...]:
    pads = [*(w.pad for w in windows), *(w.behind for w in windows)]
    values = g.ops("MaxPool", tops, x, **_geometry(windows, pads))
    largest = _add_empty(g, values[0], windows, -_FLT_MAX)
    if tops == 1:
        return (largest,)
    # ONNX counts the winner over (N, C, H, W); Caffe within its plane, as a float.
    plane = g.constant(np.asarray(prod(dims[2:]), np.int64), "plane")
    index = g.op("Cast", g.op("Mod", values[1], plane), to=1)
    return largest, _add_empty(g, index, windows, -1.0)


def _average(g: GraphBuilder, x: str, windows: list[_Window]) -> str:
    """The mean over what lies within the padded image: padding counts, what is behind it not."""
    pad, behind = [w.pad for w in windows], [w.behind for w in windows]
    if all(b <= p for b, p in zip(behind, pad, strict=True)):
        geometry = _geometry(windows, [*pad, *behind])
        mean = g.op("AveragePool", x, count_include_pad=1, **geometry)
    else:
        if any(pad):
            x = _pad(g, x, pad, pad, 0.0)
        rest = [max(0, b - p) for b, p in zip(behind, pad, strict=True)]
        mean = g.op("AveragePool", x, count_include_pad=0, **_geometry(windows, [0, 0, *rest]))
    return _add_empty(g, mean, windows, 0.0, empty_mean=True)


def _add_empty(
    g: GraphBuilder, x: str, windows: list[_Window], value: float, *, empty_mean: bool = False
) -> str:
    """Append what Caffe leaves in windows outside the image: its start value, or 0/0 of a mean."""
    fills = []
    for axis, w in enumerate(windows):
        if w.empty:
            first = (w.out - w.empty) * w.stride - w.pad
            no_size = empty_mean and first == w.size + w.pad  # Caffe divides 0 by that size
            fills.append((no_size, axis, nan if no_size else value))
    for _, axis, fill in sorted(fills):  # where two meet in a corner, 0/0 wins
        before, after = [0, 0], [0, 0]
        after[axis] = windows[axis].empty
        x = _pad(g, x, before, after, fill)
    return x


def _pad(g: GraphBuilder, x: str, before: Sequence[int], after: Sequence[int], fill: float) -> str:
    pads = g.constant(np.asarray([0, 0, *before, 0, 0, *after], np.int64), "pads")
    return g.op("Pad", x, pads, g.constant(np.float32(fill), "fill"))
