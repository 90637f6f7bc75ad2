"""Ops that look through windows: convolution, pooling, resizing."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

from layerscope.measure.boxes import Box
from layerscope.measure.influence.step import Rule, Step, along, first, rule
from layerscope.measure.padding import pads_before
from layerscope.measure.places import Places, gathered, moved, reading, summed, within


def _windows(step: Step, kernel: list[int]) -> list[tuple[int, range]]:
    """Stride and taps along each spatial axis; a tap is counted from the window's number * stride.

    `auto_pad` is solved from the shapes of input and output.
    """
    axes = len(kernel)
    strides = step.get("strides") or [1] * axes
    gaps = step.get("dilations") or [1] * axes
    reach = [gap * (k - 1) + 1 for gap, k in zip(gaps, kernel, strict=True)]
    image, out = step.dims[0][2:], step.out[0][2:]
    transposed = step.kind == "ConvTranspose"
    if transposed:
        image, out = out, image
    before = pads_before(step.settings, kernel, image, out, transposed=transposed)
    return [
        (s, range(-p, -p + r, gap) if r > 1 else range(-p, -p + 1))
        for s, p, r, gap in zip(strides, before, reach, gaps, strict=True)
    ]


def _slide(windows: list[tuple[int, range]], dims: tuple[int, ...], box: Box, clip: bool) -> Box:
    """The places under windows, without N and C."""
    found = [
        summed(moved(places, stride, 0), taps)
        for places, (stride, taps) in zip(box, windows, strict=True)
    ]
    if clip:
        found = [within(places, dim) for places, dim in zip(found, dims, strict=True)]
    return tuple(found)


def _group(places: Places, outputs: int, inputs: int, group: int) -> Places:
    """The input channels that output channels read."""
    if group == 1 or len(places) == outputs:
        return range(inputs)
    each, wide = outputs // group, inputs // group
    groups = gathered(place // each for place in places)
    return summed(moved(groups, wide, 0), range(wide))


@rule("Conv", "FusedConv", "QLinearConv")
def convolution(step: Step) -> Rule | None:
    """The places under a filter, in the channels of its group."""
    if step.alive != [0]:
        return None
    weights = step.dims[3 if step.kind == "QLinearConv" else 1]
    windows = _windows(step, list(weights[2:]))
    space, inputs, outputs = step.dims[0][2:], step.dims[0][1], step.out[0][1]
    group = step.get("group", 1)
    return first(
        lambda box, clip: (
            box[0],
            _group(box[1], outputs, inputs, group),
            *_slide(windows, space, box[2:], clip),
        )
    )


@rule("ConvTranspose")
def _conv_transpose(step: Step) -> Rule | None:
    if step.alive != [0]:
        return None
    windows = _windows(step, list(step.dims[1][2:]))
    space, inputs, outputs = step.dims[0][2:], step.dims[0][1], step.out[0][1]
    group = step.get("group", 1)

    def change(box: Box, clip: bool) -> Box:
        found = [reading(p, s, taps) for p, (s, taps) in zip(box[2:], windows, strict=True)]
        if clip:
            found = [within(p, dim) for p, dim in zip(found, space, strict=True)]
        return (box[0], _group(box[1], outputs, inputs, group), *found)

    return first(change)


@rule("MaxPool", "AveragePool", "LpPool")
def pool(step: Step) -> Rule:
    """The places under a window, in each map."""
    windows, space = _windows(step, list(step.get("kernel_shape"))), step.dims[0][2:]
    return first(lambda box, clip: (*box[:2], *_slide(windows, space, box[2:], clip)))


@rule("LRN")
def _lrn(step: Step) -> Rule:
    size, channels = step.get("size"), step.dims[0][1]
    near = range(-((size - 1) // 2), size // 2 + 1)
    return along(step, {1: lambda places: within(summed(places, near), channels)})


# --- resizing ---


@rule("Resize")
def _resize(step: Step) -> Rule | None:
    """The one, two or four neighbours that each place is made of; weights of 0 read nothing."""
    mode = step.get("mode", "nearest")
    unusual = step.get("antialias", 0) or step.get("exclude_outside", 0)
    stretched = step.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    if unusual or not stretched or mode not in ("nearest", "linear", "cubic"):
        return None
    rank = len(step.dims[0])
    axes = [axis % rank for axis in step.get("axes", range(rank))]
    scales = dict(zip(axes, step.numbers(2) or [], strict=False))
    change = {}
    for axis, (size, larger) in enumerate(zip(step.dims[0], step.out[0], strict=True)):
        if axis not in axes or (size == larger and scales.get(axis, 1) == 1):
            continue
        scale = Fraction(scales[axis]) if axis in scales else Fraction(larger, size)
        line = _line(step, scale, size, larger)
        if line is None:
            return None
        change[axis] = (
            _neighbours(mode, step.get("nearest_mode", "round_prefer_floor"), line),
            size,
        )

    def read(box: Box, clip: bool) -> Box:
        found: list[Places] = list(box)
        for axis, (near, size) in change.items():
            places = [p for place in box[axis] for p in near(place)]
            found[axis] = (
                gathered(min(max(p, 0), size - 1) for p in places) if clip else gathered(places)
            )
        return tuple(found)

    return first(read)


# a, b, c: place o of the output lies at (a * o + b) / c of the input.
_Line: TypeAlias = tuple[int, int, int]


def _line(step: Step, scale: Fraction, size: int, larger: int) -> _Line | None:
    up, down = scale.numerator, scale.denominator
    mode = step.get("coordinate_transformation_mode", "half_pixel")
    if mode == "asymmetric":
        return down, 0, up
    if mode == "align_corners":
        return (size - 1, 0, larger - 1) if larger > 1 else (0, 0, 1)
    if mode == "pytorch_half_pixel" and larger == 1:
        return 0, 0, 1
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return 2 * down, down - up, 2 * up
    return None


def _neighbours(mode: str, nearest: str, line: _Line) -> Callable[[int], range]:
    a, b, c = line

    def one(place: int) -> range:
        top = a * place + b
        at = {
            "floor": top // c,
            "ceil": -(-top // c),
            "round_prefer_ceil": (2 * top + c) // (2 * c),
        }.get(nearest, -((c - 2 * top) // (2 * c)))
        return range(at, at + 1)

    def several(place: int) -> range:
        at, rest = divmod(a * place + b, c)
        if rest == 0:
            return range(at, at + 1)
        return range(at, at + 2) if mode == "linear" else range(at - 1, at + 3)

    return one if mode == "nearest" else several
