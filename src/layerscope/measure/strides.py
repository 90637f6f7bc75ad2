"""How receptive fields grow through a net: size, stride and start of each blob, in closed form.

Every node is asked once how the places of its output map to places of its input along an axis; the
maps are then joined from the image on.  They are found by calling the rules that
`receptive.receptive_box` calls, so the two agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import gcd, lcm
from typing import Literal, TypeAlias

from layerscope.measure.boxes import Box, hull, whole
from layerscope.measure.influence import POINTWISE, Rule
from layerscope.measure.paths import Paths, paths_of
from layerscope.measure.places import Places
from layerscope.net import Net

MOST_PHASES = 64

Ends: TypeAlias = tuple[int, int]
Status: TypeAlias = Literal["exact", "upper bound", "none"]


@dataclass(frozen=True, slots=True)
class Extent:
    """The receptive fields of a blob's units along one spatial axis of the image.

    Attributes:
        size: places seen by one unit, those over the edge too; the largest where units differ (as
            behind a deconvolution).
        stride: places of the image from one unit to the next; a part of 1 where the blob is finer
            than the image, None where there is one unit only.
        start: the place in the image of the middle of unit 0's field, on average where the units
            see different sizes.
        first: the first place that unit 0 sees; below 0 in the padding.
    """

    size: int
    stride: Fraction | None
    start: float
    first: int


@dataclass(frozen=True, slots=True)
class Receptive:
    """The receptive fields of a blob.

    Attributes:
        input: the input that is looked at: the first with spatial axes; "" if the net has none.
        status: "exact"; "upper bound" where an op on the way is not known in detail; "none" where
            the blob does not depend on that input.
        axes: for each spatial axis of the input an extent; "all" where each unit sees the whole of
            it, or some of its channels do; None where the units have no field in common.
    """

    input: str
    status: Status
    axes: tuple[Extent | Literal["all"] | None, ...] = ()


def receptive_fields(net: Net) -> dict[str, Receptive]:
    """The receptive fields of every blob, in the order of the net.

    They are relative to the first input with spatial axes, (N, C, ...) or (N, H, W, C).
    """
    image = next((name for name in net.inputs if len(net.graph.shapes[name]) > 2), "")
    found = _states(net, image) if image else {}
    dims = net.graph.shapes.get(image, ())
    size = [dims[axis] for axis in spatial_axes(net, dims)]
    return {
        name: _receptive(image, size, found.get(blob.value)) for name, blob in net.blobs.items()
    }


def spatial_axes(net: Net, dims: Sequence[int]) -> range:
    """The spatial axes of an input: those behind the channels, or before where they are last."""
    last = net.preprocessing.layout == "NHWC" and len(dims) == 4 and dims[3] in (1, 3)
    return range(1, len(dims) - 1) if last else range(2, len(dims))


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What every unit sees."""

    ends: Ends


@dataclass(frozen=True, slots=True)
class _Along:
    """Units along `axis` of a value: unit p + period sees what unit p sees, `jump` further on."""

    axis: int
    jump: int
    ends: tuple[Ends, ...]

    def at(self, place: int) -> Ends:
        """What the unit at a place sees."""
        turns, phase = divmod(place, len(self.ends))
        first, last = self.ends[phase]
        return first + turns * self.jump, last + turns * self.jump

    def over(self, places: Places, size: int) -> _Fixed:
        """What these places of the axis, which has `size`, see together; of all only its own."""
        low, high = places[0], places[-1]
        if low <= 0 and high >= size - 1:
            low, high = 0, size - 1
        turn = len(self.ends)  # the first and the last turn reach furthest
        first = min(self.at(place)[0] for place in range(low, min(low + turn, high + 1)))
        last = max(self.at(place)[1] for place in range(max(high - turn + 1, low), high + 1))
        return _Fixed((first, last))


@dataclass(frozen=True, slots=True)
class _Mixed:
    """What is seen changes along these axes of a value, by no law; together they see `ends`."""

    axes: frozenset[int]
    ends: Ends


_Axis: TypeAlias = _Along | _Fixed | _Mixed | Literal["all"]


@dataclass(frozen=True, slots=True)
class _State:
    axes: tuple[_Axis, ...]
    exact: bool = True


def _receptive(image: str, size: Sequence[int], state: _State | None) -> Receptive:
    if state is None:
        return Receptive(image, "none")
    axes = tuple(_extent(axis, length) for axis, length in zip(state.axes, size, strict=True))
    return Receptive(image, "exact" if state.exact else "upper bound", axes)


def _extent(axis: _Axis, length: int) -> Extent | Literal["all"] | None:
    if isinstance(axis, _Fixed):
        first, last = axis.ends
        if first <= 0 and last >= length - 1:
            return "all"
        return Extent(last - first + 1, None, (first + last) / 2, first)
    if not isinstance(axis, _Along):
        return "all" if axis == "all" else None
    period = len(axis.ends)
    stride = Fraction(axis.jump, period)
    middles = [Fraction(sum(ends), 2) - p * stride for p, ends in enumerate(axis.ends)]
    largest = max(last - first + 1 for first, last in axis.ends)
    return Extent(largest, stride, float(sum(middles) / period), axis.ends[0][0])


def _states(net: Net, image: str) -> dict[str, _State]:
    """What is known of each value that depends on the image."""
    paths = paths_of(net)
    shapes = net.graph.shapes
    axes = spatial_axes(net, shapes[image])
    states = {image: _State(tuple(_Along(axis, 1, ((0, 0),)) for axis in axes))}
    for number, node in enumerate(net.graph.nodes):
        known = [i for i, name in enumerate(node.input) if name in states]
        for k, name in enumerate(node.output):
            if not known or not name:
                continue
            ways = []
            for i in known:
                source = node.input[i]
                if node.op_type in POINTWISE and shapes[source] == shapes[name]:
                    ways.append(states[source])
                    continue
                look = _Look(paths, number, k, i, shapes[name], shapes[source])
                way = look.through(states[source])
                ways += [way] if way is not None else []
            if ways:
                states[name] = _joined(ways, shapes[name])
    return states


class _Look:
    """One node, from one output to one input."""

    def __init__(
        self, paths: Paths, number: int, output: int, source: int, dims: Sequence[int],
        before: Sequence[int],
    ) -> None:  # fmt: skip
        self.read: Rule = paths.rule(number)[0]
        self.output, self.source = output, source
        self.dims, self.before = tuple(dims), tuple(before)

    def seen(self, box: Box) -> tuple[Box | None, bool]:
        """What a box of the output sees of the input, over the edges; and whether that is exact."""
        found = [
            (part, exact)
            for i, part, exact in self.read(box, False, self.output)
            if i == self.source
        ]
        box_seen = hull([part for part, _ in found]) if found else None
        return box_seen, all(exact for _, exact in found)

    def through(self, state: _State) -> _State | None:
        """What the output is known to see, when this is known of the input."""
        everything, exact = self.seen(whole(self.dims))
        if everything is None:
            return None
        if not exact:
            return _State(tuple("all" for _ in state.axes), False)
        return _State(tuple(self._axis(axis, everything) for axis in state.axes), state.exact)

    def _axis(self, axis: _Axis, everything: Box) -> _Axis:
        if isinstance(axis, (str, _Fixed)):
            return axis
        own = {axis.axis} if isinstance(axis, _Along) else axis.axes
        moving = {j for each in own for j in self._moving(each, everything[each])}
        if not moving:
            if isinstance(axis, _Along):
                return axis.over(everything[axis.axis], self.before[axis.axis])
            wide = [(everything[each], self.before[each]) for each in own]
            if own and all(seen[0] <= 0 and seen[-1] >= size - 1 for seen, size in wide):
                return _Fixed(axis.ends)
            return _Mixed(frozenset(), axis.ends)
        mixed = _Mixed(frozenset(moving), _together(axis, self.before))
        if len(moving) > 1 or not isinstance(axis, _Along):
            return mixed
        (j,) = moving
        if len(self.before) != len(self.dims) and self.before[axis.axis] != self.dims[j]:
            return mixed  # axes laid out as one: no law over all of it
        fitted = _fitted(partial(self._ends, j, axis.axis), self.dims[j])
        return (None if fitted is None else _composed(j, fitted, axis)) or mixed

    def _moving(self, own: int, everything: Places) -> list[int]:
        """The axes of the output along which other places of axis `own` are seen."""
        fixed = (everything[0], everything[-1])
        return [j for j in range(len(self.dims)) if self._moves(j, own, fixed)]

    def _moves(self, axis: int, own: int, fixed: Ends) -> bool:
        """Whether places along an axis of the output see different places along axis `own`."""
        size = self.dims[axis]
        some = {0, min(1, size - 1), size // 2, size - 1} if size > 1 else set()
        return any(self._ends(axis, own, place) not in (fixed, None) for place in some)

    def _ends(self, axis: int, own: int, place: int) -> Ends | None:
        """What is seen along axis `own` of the input from one place along an axis of the output."""
        box = tuple(
            range(place, place + 1) if j == axis else range(dim) for j, dim in enumerate(self.dims)
        )
        seen = self.seen(box)[0]
        return None if seen is None else (seen[own][0], seen[own][-1])


def _fitted(ends: Callable[[int], Ends | None], size: int) -> _Along | None:
    """The law behind what is seen from each place; None where there is none with a short period."""
    found: list[Ends | None] = []
    for period in range(1, MOST_PHASES):
        found += [ends(place) for place in range(len(found), 2 * period + 1)]
        base = found[0]
        after = found[period]
        if base is None or after is None:
            return None
        jump = after[0] - base[0]
        kept = tuple(each for each in found[:period] if each is not None)
        if jump <= 0 or len(kept) < period:
            continue
        law = _Along(0, jump, kept)
        near = all(law.at(place) == each for place, each in enumerate(found))
        if near and law.at(size - 1) == ends(size - 1):
            return law
        if 2 * period > size:
            break
    return None


def _composed(axis: int, node: _Along, image: _Along) -> _Along | None:
    """From the output's places through the input's to the image's."""
    period = len(node.ends) * len(image.ends) // gcd(node.jump, len(image.ends))
    if period > MOST_PHASES:
        return None
    table = []
    for place in range(period + 1):
        first, last = node.at(place)
        table.append((image.at(first)[0], image.at(last)[1]))
    return _Along(axis, table[-1][0] - table[0][0], tuple(table[:-1]))


def _joined(ways: Sequence[_State], dims: Sequence[int]) -> _State:
    axes = ways[0].axes
    for way in ways[1:]:
        axes = tuple(_both(a, b, dims) for a, b in zip(axes, way.axes, strict=True))
    return _State(axes, all(way.exact for way in ways))


def _both(a: _Axis, b: _Axis, dims: Sequence[int]) -> _Axis:
    """What is seen on two ways together: from the first place of both to the last."""
    if a == b or a == "all" or b == "all":
        return "all" if "all" in (a, b) else a
    (first, last), (low, high) = _together(a, dims), _together(b, dims)
    ends = (min(first, low), max(last, high))
    fixed = [each.ends for each in (a, b) if isinstance(each, _Fixed)]
    if len(fixed) == 2 or ends in fixed:  # what every unit sees holds all that the others see
        return _Fixed(ends)
    mixed = _Mixed(_axes_of(a) | _axes_of(b), ends)
    if not isinstance(a, _Along) or not isinstance(b, _Along) or a.axis != b.axis:
        return mixed
    period = lcm(len(a.ends), len(b.ends))
    if a.jump * len(b.ends) != b.jump * len(a.ends) or period > MOST_PHASES:
        return mixed
    pairs = [(a.at(p), b.at(p)) for p in range(period)]
    table = tuple((min(x[0], y[0]), max(x[1], y[1])) for x, y in pairs)
    return _Along(a.axis, a.jump * period // len(a.ends), table)


def _together(axis: _Along | _Fixed | _Mixed, dims: Sequence[int]) -> Ends:
    """What all units of a value of shape `dims` see together."""
    if isinstance(axis, _Along):
        return axis.over(range(dims[axis.axis]), dims[axis.axis]).ends
    return axis.ends


def _axes_of(axis: _Axis) -> frozenset[int]:
    if isinstance(axis, _Along):
        return frozenset({axis.axis})
    return axis.axes if isinstance(axis, _Mixed) else frozenset()
