"""Ops that read all of an axis: normalizations, reductions, products of matrices."""

from __future__ import annotations

from layerscope.measure.boxes import Box, broadcast
from layerscope.measure.influence.step import (
    Found,
    Rule,
    Step,
    along,
    every,
    first,
    pointwise,
    rule,
)
from layerscope.measure.places import NONE, Places


@rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "InstanceNormalization")
def _each_map(step: Step) -> Rule | None:
    dims = step.dims[0]
    return (
        along(step, {i: every(dims[i]) for i in range(2, len(dims))}) if step.alive == [0] else None
    )


@rule("Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "TopK")
def one_axis(step: Step) -> Rule | None:
    """All of the setting `axis`, the last one unless it is given."""
    axis = step.axis(-1)
    return along(step, {axis: every(step.dims[0][axis])}) if step.alive == [0] else None


@rule("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def _last_axes(step: Step) -> Rule | None:
    dims = step.dims[0]
    axes = range(step.axis(-1), len(dims))
    return along(step, {i: every(dims[i]) for i in axes}) if step.alive == [0] else None


@rule("GroupNormalization")
def _group(step: Step) -> Rule | None:
    dims = step.dims[0]
    wide = dims[1] // max(1, int(step.get("num_groups", 1)))

    def channels(places: Places) -> Places:
        return (
            range(places[0] // wide * wide, (places[-1] // wide + 1) * wide) if places else places
        )

    space = {i: every(dims[i]) for i in range(2, len(dims))}
    return along(step, {1: channels, **space}) if step.alive == [0] else None


@rule("LSTM", "GRU", "RNN")
def _steps(step: Step) -> Rule | None:
    """Each step reads what came before it and, in the other direction, what comes behind it."""
    steps, _, inputs = step.dims[0]
    way = step.get("direction", "forward")
    way = way.decode() if isinstance(way, bytes) else way
    if step.alive != [0] or step.get("layout", 0):
        return None

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        if not all(box):
            return ()
        if output:  # the last state, (D, N, H), has read all steps
            return ((0, (range(steps), box[1], range(inputs)), True),)
        time, directions, n = box[:3]  # (T, D, N, H)
        ways = [way == "reverse" or d == 1 for d in (directions[0], directions[-1])]
        first = time[0] if all(ways) else 0
        last = steps - 1 if any(ways) else time[-1]
        time = range(first, last + 1)
        return ((0, (time, n, range(inputs)), True),)

    return read


@rule("MeanVarianceNormalization")
def _some_axes(step: Step) -> Rule:
    dims = step.dims[0]
    axes = [a % len(dims) for a in step.get("axes", [0, 2, 3])]
    return along(step, {i: every(dims[i]) for i in axes})


@rule("CumSum")
def _running(step: Step) -> Rule | None:
    axis = step.numbers(1)
    if axis is None:
        return None
    k = axis[0] % len(step.dims[0])
    size, late = step.dims[0][k], bool(step.get("exclusive", 0))
    if step.get("reverse", 0):
        return along(step, {k: lambda places: range(max(0, places[0] + late), size)})
    return along(step, {k: lambda places: range(min(size, places[-1] + 1 - late))})


_REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()


@rule("ArgMax", "ArgMin", *(f"Reduce{kind}" for kind in _REDUCTIONS))
def _reduce(step: Step) -> Rule | None:
    dims, kept = step.dims[0], step.get("keepdims", 1)
    if step.kind.startswith("Arg"):
        axes = [step.axis(0)]
    elif not step.fixed(1):
        return None
    else:
        given = step.numbers(1) or step.get("axes")
        if not given and step.get("noop_with_empty_axes", 0):
            return pointwise(step)
        axes = [axis % len(dims) for axis in given or range(len(dims))]

    def change(box: Box, clip: bool) -> Box:
        rest = iter(box)
        found: list[Places] = []
        for axis, dim in enumerate(dims):
            places = next(rest) if kept or axis not in axes else NONE
            found.append(range(dim) if axis in axes else places)
        return tuple(found)

    return first(change)


@rule("Gemm")
def _gemm(step: Step) -> Rule:
    turned = (step.get("transA", 0), step.get("transB", 0))

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        for i in step.alive:
            if i == 2:
                yield 2, broadcast(box, step.dims[2]), True
                continue
            inner = range(step.dims[i][1 - i if not turned[i] else i])
            pair = (box[0], inner) if i == 0 else (inner, box[1])
            yield i, pair[::-1] if turned[i] else pair, True

    return read


@rule("MatMul")
def _matmul(step: Step) -> Rule | None:
    return product_of_matrices(step, (0, 1))


def product_of_matrices(step: Step, places: tuple[int, int]) -> Rule | None:
    """A row of the one and a column of the other, which are the inputs of these numbers."""
    if any(len(step.dims[i]) < 2 for i in places) or not set(step.alive) <= set(places):
        return None

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        for i in step.alive:
            dims = step.dims[i]
            outer = broadcast(box[:-2], dims[:-2])
            if i == places[0]:
                yield i, (*outer, box[-2], range(dims[-1])), True
            else:
                yield i, (*outer, range(dims[-2]), box[-1]), True

    return read


@rule("BatchNormalization")
def _batch_norm(step: Step) -> Rule | None:
    """In training a unit hangs on all of its channel, and so do the statistics (C) beside it."""
    if step.alive != [0]:
        return None
    if not step.get("training_mode", 0):
        return first(lambda box, clip: box)
    dims = step.dims[0]

    def read(box: Box, clip: bool, output: int = 0) -> Found:
        channel = box[0] if output else box[1]
        rest = tuple(range(dim) for dim in dims[2:])
        return ((0, (range(dims[0]), channel, *rest), True),) if all(box) else ()

    return read
