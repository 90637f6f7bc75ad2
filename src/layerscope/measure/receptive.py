"""The receptive field: which part of the input a unit sees.

A unit is followed backwards through the ONNX graph, box by box (Araujo, Norris and Sim, "Computing
Receptive Fields of Convolutional Neural Networks", Distill 2019, derive the same from the input
side).  What a unit can depend on is a matter of the graph alone, whatever the weights are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerscope.errors import UsageError
from layerscope.measure.boxes import Box, Part, hull
from layerscope.measure.paths import paths_of
from layerscope.measure.strides import Extent, Receptive, Status, receptive_fields, spatial_axes
from layerscope.net import Blob, Named, Net
from layerscope.text import quoted, shape

__all__ = ["Extent", "Field", "Reach", "Receptive", "Span", "Status", "receptive_box",
           "receptive_fields"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """What is seen along one axis of an input, ends included.

    Attributes:
        first, last: as if the input went on behind its edges: may be below 0 or over the end,
            where padding is seen.
        low, high: the first and the last position of the input that has an influence.
        size: of the axis.
    """

    first: int
    last: int
    low: int
    high: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether it goes from one edge of the input to the other."""
        return self.low == 0 and self.high == self.size - 1


@dataclass(frozen=True, slots=True)
class Reach:
    """What a unit sees of one input.

    Attributes:
        input: the blob that is fed.
        status: "exact": each end of the box has an influence and nothing outside has; "upper
            bound": nothing outside has, but the box may be too large; "none": nothing has.
        axes: a span for each axis of the input, N first; empty when the status is "none".
        spatial: the numbers of its spatial axes.
    """

    input: str
    status: Status
    axes: tuple[Span, ...] = ()
    spatial: range = range(0)

    @property
    def channels(self) -> Span | None:
        """The channels that are seen, axis 1 or the last; None where there is no such axis."""
        rest = [axis for i, axis in enumerate(self.axes) if i and i not in self.spatial]
        return rest[0] if rest else None

    @property
    def space(self) -> tuple[Span, ...]:
        """The spatial axes."""
        return tuple(self.axes[i] for i in self.spatial)


@dataclass(frozen=True, slots=True)
class Field:
    """The receptive field of one unit.

    Attributes:
        blob, index, image: the unit: its place in the blob without the first axis, and the place on
            the first axis.
        inputs: for every input of the net what is seen of it.
    """

    blob: str
    index: tuple[int, ...]
    image: int
    inputs: Mapping[str, Reach]

    @property
    def status(self) -> Status:
        """That of all inputs together."""
        found = {reach.status for reach in self.inputs.values()}
        return "upper bound" if "upper bound" in found else "exact" if "exact" in found else "none"


def receptive_box(net: Net, blob: str, index: Sequence[int], image: int = 0) -> Field:
    """The set of input positions that can influence a unit, as its bounding box on each input.

    Args:
        net: the net; it needs no weights.
        blob: name of the blob.
        index: the unit's place in one image of the blob: (c, y, x) for (N, C, H, W).
        image: the place on the first axis; a blob without axes has none.

    Raises:
        UnknownNameError: there is no such blob.
        UsageError: the blob has no such unit.
    """
    found: Blob = Named(net.blobs, "blob", f"net {quoted(net.name)}")[blob]
    place = (image, *index) if found.shape else tuple(index)
    dims = found.shape
    if len(place) != len(dims) or not all(0 <= i < d for i, d in zip(place, dims, strict=True)):
        raise UsageError(
            f"blob {quoted(blob)} {shape(dims)} has no unit {shape(index)} in image {int(image)}"
        )
    start: Box = tuple(range(int(i), int(i) + 1) for i in place)
    paths = paths_of(net)
    seen = paths.trace(found.value, start, clip=True)
    wide = paths.trace(found.value, start, clip=False)
    inputs = {name: _reach(net, name, seen.get(name), wide.get(name)) for name in net.inputs}
    return Field(blob, tuple(int(i) for i in index), int(image), inputs)


def _reach(net: Net, name: str, seen: list[Part] | None, wide: list[Part] | None) -> Reach:
    if not seen:
        return Reach(name, "none")
    box = hull([part for part, _ in seen])
    known = [part for part, exact in seen if exact]
    around = hull([box, *(part for part, _ in wide or ())])
    sizes = net.graph.shapes[name]
    spatial = spatial_axes(net, sizes)
    spans = tuple(
        Span(out[0], out[-1], inner[0], inner[-1], size)
        for out, inner, size in zip(around, box, sizes, strict=True)
    )
    status: Status = "exact" if known and hull(known) == box else "upper bound"
    return Reach(name, status, spans, spatial)
