"""Convolution and its transpose, with groups, strides, dilation and pads, over any axes.

The gradient of the input is a convolution with the filters turned round; that of the filters
convolves the input with the gradient of the output, images and channels trading places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape


@dataclass(frozen=True, slots=True)
class Window:
    """A convolution's geometry; lists have a number for each spatial axis."""

    space: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    end: list[int]
    group: int

    @property
    def axes(self) -> range:
        """The spatial axes."""
        return range(len(self.space))

    def reach(self, axis: int) -> int:
        """How far the dilated kernel spreads along an axis."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1


def conv_window(t: Tape, node: Node, *, transposed: bool = False) -> Window:
    """The geometry of a Conv; of a ConvTranspose that of the Conv which it turns round."""
    x, y, kernel = t.shape(node.x)[2:], t.shape(node.y)[2:], t.shape(node.inputs[1])[2:]
    n = len(kernel)
    strides = list(node.get("strides", [1] * n))
    dilations = list(node.get("dilations", [1] * n))
    space, out = (y, x) if transposed else (x, y)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = list(node.get("pads", [0] * (2 * n)))
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max(0, (o - 1) * s + r - i)
            for o, s, r, i in zip(out, strides, reach, space, strict=True)
        ]
        small, large = [p // 2 for p in total], [p - p // 2 for p in total]
        pads = [*small, *large] if auto == "SAME_UPPER" else [*large, *small]
    elif auto == "VALID":
        pads = [0] * (2 * n)
    if transposed and "output_shape" in node.settings:
        more = node.get("output_padding", [0] * n)
        total = [
            (o - 1) * s + m + r - i
            for o, s, m, r, i in zip(out, strides, more, reach, space, strict=True)
        ]
        small, large = [p // 2 for p in total], [p - p // 2 for p in total]
        upper = auto == "SAME_UPPER"
        pads = [*small, *large] if upper else [*large, *small]
    return Window(
        space, out, kernel, strides, dilations, pads[:n], pads[n:], int(node.get("group", 1))
    )


@rule("Conv")
def conv(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Input: convolved with the filters turned round; filters: input by gradient; bias: sum."""
    window = conv_window(t, node)
    found = {}
    if 0 in node.wanted:
        found[0] = _spread(t, dy, node.inputs[1], window, t.shape(node.x))
    if 1 in node.wanted:
        found[1] = _filters(t, node.x, dy, t.shape(node.x), t.shape(node.y), window)
    if 2 in node.wanted:
        axes = [i for i in range(t.rank(node.y)) if i != 1]
        found[2] = t.sum(dy, axes, keepdims=False)
    return found


@rule("ConvTranspose")
def conv_transpose(t: Tape, node: Node, dy: str) -> dict[int, str]:
    """Input: the convolution that it turns round; filters: gradient by input; bias: sum."""
    window = conv_window(t, node, transposed=True)
    found = {}
    if 0 in node.wanted:
        missing = _missing(window)
        cut = t.pad(dy, [0] * (2 + len(missing)), [0, 0, *missing])
        found[0] = t.op(
            "Conv", cut, node.inputs[1],
            kernel_shape=window.kernel, strides=window.strides, dilations=window.dilations,
            pads=[*window.begin, *window.end], group=window.group,
        )  # fmt: skip
        spare = _fitting(window, missing) != tuple(window.out)
        if spare:
            dims = t.shape(node.x)
            found[0] = t.slice(found[0], [0] * len(dims), dims)
    if 1 in node.wanted:
        found[1] = _filters(t, dy, node.x, t.shape(node.y), t.shape(node.x), window)
    if 2 in node.wanted:
        axes = [i for i in range(t.rank(node.y)) if i != 1]
        found[2] = t.sum(dy, axes, keepdims=False)
    return found


def _fitting(window: Window, more: Sequence[int]) -> tuple[int, ...]:
    """How many windows fit into the image that is `more` larger."""
    return tuple(
        (window.space[i] + more[i] + window.begin[i] + window.end[i] - window.reach(i))
        // window.strides[i]
        + 1
        for i in window.axes
    )


def _missing(window: Window) -> list[int]:
    """How many places the image lacks behind for all of `out` windows to fit."""
    return [
        max(
            0,
            (window.out[i] - 1) * window.strides[i]
            + window.reach(i)
            - (window.space[i] + window.begin[i] + window.end[i]),
        )
        for i in window.axes
    ]


def _spread(t: Tape, dy: str, filters: str, window: Window, dims: Sequence[int]) -> str:
    """The gradient of a convolution's input, of shape `dims`."""
    if all(s == 1 for s in window.strides):
        turned = _turned(t, filters, window.group)
        before = [window.reach(i) - 1 - window.begin[i] for i in window.axes]
        behind = [window.reach(i) - 1 - window.end[i] for i in window.axes]
        pads = [*(max(0, p) for p in before), *(max(0, p) for p in behind)]
        dx = t.op(
            "Conv", dy, turned,
            kernel_shape=window.kernel, dilations=window.dilations, pads=pads, group=window.group,
        )  # fmt: skip
        cut = [[0, 0, *(min(0, p) for p in each)] for each in (before, behind)]
        return t.pad(dx, *cut)  # pads wider than the kernel's reach
    phased = _phases(t, dy, filters, window, dims)
    if phased:
        return phased
    return _transposed(t, dy, filters, window)


def _transposed(t: Tape, dy: str, filters: str, window: Window) -> str:
    """By ConvTranspose; places behind the last window get zeros."""
    rest = [
        (window.out[i] - 1) * window.strides[i]
        + window.reach(i)
        - window.begin[i]
        - window.space[i]
        for i in window.axes
    ]
    dx = t.op(
        "ConvTranspose", dy, filters,
        kernel_shape=window.kernel, strides=window.strides, dilations=window.dilations,
        pads=[*window.begin, *(max(0, r) for r in rest)], group=window.group,
    )  # fmt: skip
    return t.pad(dx, [0] * (2 + len(rest)), [0, 0, *(max(0, -r) for r in rest)])


def _turned(t: Tape, filters: str, group: int) -> str:
    """Filters (M, C / group, ...) as (C, M / group, ...), back to front."""
    outputs, channels, *kernel = t.shape(filters)
    axes = tuple(range(3, 3 + len(kernel)))
    array = t.array(filters)
    if array is not None:
        split = array.reshape(group, outputs // group, channels, *kernel)
        split = np.flip(split.swapaxes(1, 2), axes)
        return t.constant(split.reshape(group * channels, outputs // group, *kernel), filters)
    split_ = t.reshape(filters, [group, outputs // group, channels, *kernel])
    split_ = t.op("Transpose", split_, perm=[0, 2, 1, *axes])
    if any(k > 1 for k in kernel):
        numbers = [[-1] * len(axes), [np.iinfo(np.int64).min] * len(axes), axes, [-1] * len(axes)]
        split_ = t.op("Slice", split_, *(t.constant(np.asarray(n, np.int64)) for n in numbers))
    return t.reshape(split_, [group * channels, outputs // group, *kernel])


def _phases(t: Tape, dy: str, filters: str, window: Window, dims: Sequence[int]) -> str:
    """The same for a stride s: s * s convolutions at once, their results dealt out; "" if not fit.

    Every s-th place of the input is reached by every s-th tap only, so each of the s * s phases is
    a convolution of stride 1 with a part of the kernel; together they are one with s * s times the
    channels, which DepthToSpace puts in place.
    """
    array, (s, *others) = t.array(filters), window.strides
    plain = len(window.kernel) == 2 and all(o == s for o in others)
    if array is None or not plain or window.group != 1 or any(d != 1 for d in window.dilations):
        return ""
    taps = [-(-k // s) for k in window.kernel]
    outputs, channels = array.shape[:2]
    whole = np.zeros((outputs, channels, taps[0] * s, taps[1] * s), array.dtype)
    whole[:, :, : window.kernel[0], : window.kernel[1]] = array
    # (M, C, a, p, b, q): tap a * s + p; phase (p, q) of place i is the sum over a of dy[i - a].
    split = whole.reshape(outputs, channels, taps[0], s, taps[1], s)
    turned = np.flip(split.transpose(3, 5, 1, 0, 2, 4), (4, 5))
    turned = turned.reshape(s * s * channels, outputs, *taps)
    first = [b // s for b in window.begin]  # whole steps that the padding takes off
    steps = [
        -(-(window.begin[i] + window.space[i]) // s) - first[i] for i in window.axes
    ]  # of s places
    before = [taps[i] - 1 - first[i] for i in window.axes]
    behind = [steps[i] + first[i] - window.out[i] for i in window.axes]
    pads = [*(max(0, p) for p in before), *(max(0, p) for p in behind)]
    if any(p < 0 for p in (*before, *behind)):
        return ""
    dealt = t.op("Conv", dy, t.constant(turned, filters), kernel_shape=taps, pads=pads)
    placed = t.op("DepthToSpace", dealt, blocksize=s, mode="DCR")
    starts = [window.begin[i] - first[i] * s for i in window.axes]
    if not any(starts) and all(steps[i] * s == window.space[i] for i in window.axes):
        return placed
    ends = [start + size for start, size in zip(starts, window.space, strict=True)]
    return t.slice(placed, [0, 0, *starts], [*dims[:2], *ends])


def _filters(
    t: Tape, x: str, dy: str, dims: Sequence[int], out: Sequence[int], window: Window
) -> str:
    """The gradient of filters (M, C / group, ...): x (N, C, ...) by dy (N, M, ...).

    Each filter's tap is a sum over images and places of x, shifted, by dy: a convolution of x with
    dy as the kernel, where images are what channels usually are.  A group's channels stand behind
    one another in the channels of that convolution, so all groups are one node.
    """
    group, n = window.group, dims[0]
    channels, outputs = dims[1] // group, out[1]
    axes = list(range(3, 3 + len(window.kernel)))
    images = t.reshape(x, [n, group, channels, *dims[2:]])
    images = t.op("Transpose", images, perm=[2, 1, 0, *axes])
    images = t.reshape(images, [channels, group * n, *dims[2:]])
    kernel = t.op("Transpose", dy, perm=[1, 0, *(a - 1 for a in axes)])
    missing = _missing(window)
    ends = [e + m for e, m in zip(window.end, missing, strict=True)]
    found = t.op(
        "Conv", images, kernel,
        kernel_shape=out[2:], strides=window.dilations, dilations=window.strides,
        pads=[*window.begin, *ends], group=group,
    )  # fmt: skip
    spare = any(
        (dims[2 + i] + window.begin[i] + ends[i] - (window.out[i] - 1) * window.strides[i] - 1)
        // window.dilations[i]
        + 1
        > window.kernel[i]
        for i in window.axes
    )
    if spare:
        found = t.slice(found, [0] * (2 + len(axes)), [channels, outputs, *window.kernel])
    return t.op("Transpose", found, perm=[1, 0, *(a - 1 for a in axes)])
