"""Ops that only move numbers: reshape, transpose, concat, slice, pad, gather."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.measure.boxes import Box, reshaped
from layerscope.measure.influence.step import Found, Rule, Step, along, first, rule
from layerscope.measure.places import Places, gathered, moved, within


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _reshape(step: Step) -> Rule:
    dims, before = step.out[0], step.dims[0]

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        return [(0, part, exact) for part, exact in reshaped(box, dims, before)]

    return read


@rule("Transpose")
def _transpose(step: Step) -> Rule:
    order = step.get("perm") or list(range(len(step.dims[0])))[::-1]
    back = [order.index(axis) for axis in range(len(order))]
    return first(lambda box, clip: tuple(box[i] for i in back))


@rule("DepthToSpace", "SpaceToDepth")
def _blocks(step: Step) -> Rule:
    """A reshape to six axes, a transpose and a reshape, as the reference of the ops says."""
    n, c, h, w = step.dims[0]
    b = step.get("blocksize")
    if step.kind == "SpaceToDepth":
        split, order = (n, c, h // b, b, w // b, b), (0, 3, 5, 1, 2, 4)
    elif step.get("mode", "DCR") == "DCR":
        split, order = (n, b, b, c // b**2, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, order = (n, c // b**2, b, b, h, w), (0, 1, 4, 2, 5, 3)
    back = [order.index(axis) for axis in range(6)]
    turned = [split[i] for i in order]

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        for part, exact in reshaped(box, step.out[0], turned):
            six = tuple(part[i] for i in back)
            yield from ((0, end, exact and e) for end, e in reshaped(six, split, step.dims[0]))

    return read


@rule("Concat")
def _concat(step: Step) -> Rule:
    return joined(step, range(len(step.dims)))


def joined(step: Step, parts: range) -> Rule:
    """Parts behind each other along an axis; `parts` are the numbers of the inputs."""
    axis = step.get("axis", 0) % len(step.out[0])
    starts: dict[int, int] = {}
    end = 0
    for i in parts:
        starts[i], end = end, end + step.dims[i][axis]

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        for i in step.alive:
            places = within(moved(box[axis], 1, -starts[i]), step.dims[i][axis])
            if places:
                yield i, (*box[:axis], places, *box[axis + 1 :]), True

    return read


@rule("Split")
def _split(step: Step) -> Rule:
    axis = step.axis(0)
    starts = [sum(dims[axis] for dims in step.out[:i]) for i in range(len(step.out))]

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        places = moved(box[axis], 1, starts[output])
        return ((0, (*box[:axis], places, *box[axis + 1 :]), True),)

    return read


@rule("Slice")
def _slice(step: Step) -> Rule | None:
    starts, ends = step.numbers(1), step.numbers(2)
    if starts is None or ends is None or not step.fixed(3) or not step.fixed(4):
        return None
    axes = step.numbers(3) or range(len(starts))
    change = {}
    for i, (axis, jump) in enumerate(zip(axes, step.numbers(4) or [1] * len(starts), strict=True)):
        size = step.dims[0][axis]
        first = slice(starts[i], ends[i], jump).indices(size)[0]
        change[axis % len(step.dims[0])] = _shift(jump, first)
    return along(step, change)


def _shift(stride: int, offset: int) -> Callable[[Places], Places]:
    return lambda places: moved(places, stride, offset)


@rule("Pad")
def _pad(step: Step) -> Rule | None:
    pads, dims = step.numbers(1), step.dims[0]
    if pads is None or not step.fixed(3):
        return None
    axes = [axis % len(dims) for axis in step.numbers(3) or range(len(dims))]
    before = dict(zip(axes, pads, strict=False))
    mode = step.get("mode", "constant")
    fold = _FOLDS.get(mode)

    def change(box: Box, clip: bool) -> Box:
        found: list[Places] = []
        for axis, (places, dim) in enumerate(zip(box, dims, strict=True)):
            inner = moved(places, 1, -before.get(axis, 0))
            if clip and fold is not None:
                inner = gathered(fold(place, dim) for place in inner)
            found.append(within(inner, dim) if clip else inner)
        return tuple(found)

    return first(change) if mode == "constant" or fold is not None else None


def _reflected(place: int, size: int) -> int:
    period = max(1, 2 * (size - 1))
    place %= period
    return min(place, period - place)


_FOLDS: dict[str, Callable[[int, int], int]] = {
    "edge": lambda place, size: min(max(place, 0), size - 1),
    "wrap": lambda place, size: place % size,
    "reflect": _reflected,
}


@rule("Tile")
def _tile(step: Step) -> Rule:
    def wrapped(size: int) -> Callable[[Places], Places]:
        return lambda places: gathered(place % size for place in places)

    sizes = zip(step.dims[0], step.out[0], strict=True)
    return along(step, {i: wrapped(old) for i, (old, new) in enumerate(sizes) if old != new})


@rule("Gather")
def _gather(step: Step) -> Rule:
    axis = step.axis(0)
    rank = len(step.dims[1])
    chosen = step.numbers(1)
    size = step.dims[0][axis]

    def places(part: Box) -> Places:
        if chosen is None:
            return range(size)
        flat = [0]
        for each, dim in zip(part, step.dims[1], strict=True):
            flat = [f * dim + p for f in flat for p in within(each, dim)]
        return gathered(int(chosen[f]) % size for f in flat)

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        part = box[axis : axis + rank]
        if 0 in step.alive:
            read = places(part)
            if read:
                yield 0, (*box[:axis], read, *box[axis + rank :]), True
        if 1 in step.alive:
            yield 1, part, True

    return read


@rule("GatherElements")
def _gather_elements(step: Step) -> Rule:
    axis = step.axis(0)

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        if 0 in step.alive:
            yield 0, (*box[:axis], range(step.dims[0][axis]), *box[axis + 1 :]), True
        if 1 in step.alive:
            yield 1, box, True

    return read
