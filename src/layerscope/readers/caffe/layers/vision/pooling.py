"""Pooling, by the rules that converters get wrong, and the pyramid made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, prod

import numpy as np

from layerscope.readers.caffe.layers.vision.geometry import pair_of, positive
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape, times

_FLT_MAX = float(np.finfo(np.float32).max)
_FLT_MIN = float(np.finfo(np.float32).tiny)
_VERBS = {"MAX": "largest", "AVE": "mean", "STOCHASTIC": "mean weighted by itself"}


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
    _check(layer, dims)
    windows = _windows(layer, p, dims[2:])
    layer.summary = _pool_summary(p, windows)
    if layer.tops == 2 and p.pool != "MAX":
        raise layer.error("a second top (the winner's index) needs MAX pooling", "pool")
    return _pooled(g, x, p.pool, windows, layer.tops)


@layer(
    "SPP",
    bottoms=1,
    tops=1,
    param="spp_param",
    source="caffe/src/caffe/layers/spp_layer.cpp",
)
def spp(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Pool over 1, 4, 16, ... parts of the map and put all of them into one vector.

    (N, C, H, W) -> (N, C * (1 + 4 + ...)); with one level, Caffe leaves the axes: (N, C, 1, 1).
    """
    p = layer.param
    dims = g.shape(x)
    _check(layer, dims)
    if p.pyramid_height < 1:
        raise layer.error("pyramid_height must be at least 1", "pyramid_height")
    layer.summary = f"{_VERBS[p.pool]} of {p.pyramid_height} levels"
    levels = []
    for level in range(p.pyramid_height):
        kernel = [-(-size // 2**level) for size in dims[2:]]
        pad = [(k * 2**level - size + 1) // 2 for k, size in zip(kernel, dims[2:], strict=True)]
        windows = _placed(layer, p.pool, dims[2:], (kernel, kernel, pad))
        levels.append(_pooled(g, x, p.pool, windows)[0])
    if len(levels) == 1:
        return levels[0]
    return g.op("Concat", *(g.op("Flatten", each, axis=1) for each in levels), axis=1)


def _check(layer: LayerSpec, dims: Sequence[int]) -> None:
    """What every pooling asks for."""
    if len(dims) != 4:
        raise layer.error(f"pooling takes (N, C, H, W), the bottom is {shape(dims)}")
    if layer.param.pool not in _VERBS:
        raise layer.error(
            f"pool: {layer.param.pool} is not known; MAX, AVE and STOCHASTIC are", "pool"
        )


def _pooled(
    g: GraphBuilder, x: str, pool: str, windows: list[_Window], tops: int = 1
) -> tuple[str, ...]:
    if pool == "MAX":
        return _maximum(g, x, windows, tops)
    return (_average(g, x, windows) if pool == "AVE" else _weighted(g, x, windows),)


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
        kernel = pair_of(layer, p, "kernel_size", "kernel")
    stride, pad = pair_of(layer, p, "stride", "stride"), pair_of(layer, p, "pad", "pad")
    if p.global_pooling and (pad != [0, 0] or stride != [1, 1]):
        raise layer.error("global_pooling takes no pad and no stride", "global_pooling")
    positive(layer, kernel, "kernel_size")
    positive(layer, stride, "stride")
    return _placed(layer, p.pool, space, (kernel, stride, pad), floor=p.round_mode == "FLOOR")


def _placed(
    layer: LayerSpec,
    pool: str,
    space: Sequence[int],
    sizes: tuple[list[int], list[int], list[int]],
    *,
    floor: bool = False,
) -> list[_Window]:
    """The windows of (kernel, stride, pad) along each axis."""
    kernel, stride, pad = sizes
    if pool == "STOCHASTIC" and any(pad):
        raise layer.error(f"pad {times(pad)}; stochastic pooling takes none", "pad")
    if any(b >= k for b, k in zip(pad, kernel, strict=True)):
        raise layer.error(
            f"pad {times(pad)} must be smaller than the kernel {times(kernel)}", "pad"
        )
    windows = []
    for size, k, s, b in zip(space, kernel, stride, pad, strict=True):
        room = size + 2 * b - k  # below 0, rounding up may still leave one window that is cut
        out = (room // s if floor else -(-room // s)) + 1
        if any(pad) and (out - 1) * s >= size + b:
            out -= 1
        if out < 1:
            raise layer.error(
                f"no window of {times(kernel)} with stride {times(stride)} begins in the bottom"
                f" {times(space)}"
            )
        windows.append(_Window(size, k, s, b, out))
    return windows


def _pool_summary(p: Message, windows: list[_Window]) -> str:
    verb = _VERBS[p.pool]
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


def _maximum(g: GraphBuilder, x: str, windows: list[_Window], tops: int) -> tuple[str, ...]:
    pads = [*(w.pad for w in windows), *(w.behind for w in windows)]
    values = g.ops("MaxPool", tops, x, **_geometry(windows, pads))
    largest = _add_empty(g, values[0], windows, -_FLT_MAX)
    if tops == 1:
        return (largest,)
    # ONNX counts the winner over (N, C, H, W); Caffe within its plane, as a float.
    plane = g.constant(np.asarray(prod(g.shape(x)[2:]), np.int64), "plane")
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


def _weighted(g: GraphBuilder, x: str, windows: list[_Window]) -> str:
    """Each window's sum of squares by its sum: what stochastic pooling expects when testing.

    Caffe computes this on a GPU only (pooling_layer.cu, StoPoolForwardTest).
    """
    geometry = _geometry(windows, [0, 0, *(w.behind for w in windows)])
    area = g.constant(float(prod(w.kernel for w in windows)), "area")

    def total(values: str) -> str:
        mean = g.op("AveragePool", values, count_include_pad=1, **geometry)
        return g.op("Mul", mean, area)

    least = g.constant(_FLT_MIN, "least")  # so that 0 / 0 is 0
    ratio = g.op("Div", total(g.op("Mul", x, x)), g.op("Add", total(x), least))
    return _add_empty(g, ratio, windows, 0.0)


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
