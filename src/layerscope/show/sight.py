"""What a unit sees of the image: its receptive field in words, and as a box on what was fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.inputs import Fed
from layerscope.measure.explain import Derivation, Explainer, Unit
from layerscope.measure.receptive import Field, Reach, Span, receptive_box
from layerscope.net import Net
from layerscope.text import printable, times

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What a unit sees.

    Attributes:
        words: for each input, in one line.
        input: the input of the picture; "" without one.
        picture: the image that was fed, (H, W) or (H, W, 3), or None.
        box: (x0, y0, x1, y1) of it that is seen, ends included.
        wide: the same as if the image went on behind its edges.
        found: the field.
    """

    words: str
    input: str
    picture: NDArray[np.uint8] | None
    box: Box | None
    wide: Box | None
    found: Field | None

    def as_json(self) -> list[dict[str, Any]]:
        """For each input how well it is known, and the spans of its axes."""
        reaches = self.found.inputs.values() if self.found else ()
        return [
            {
                "input": reach.input, "status": reach.status,
                "low": [s.low for s in reach.axes], "high": [s.high for s in reach.axes],
                "first": [s.first for s in reach.axes], "last": [s.last for s in reach.axes],
            }
            for reach in reaches
        ]  # fmt: skip


def sight_of(explainer: Explainer, found: Derivation) -> Sight:
    """What the unit of an explanation sees of the inputs of its run."""
    return unit_sight(explainer.net, explainer.blobs.fed, found.unit)


def unit_sight(net: Net, given: Mapping[str, Fed], unit: Unit) -> Sight:
    """What a unit sees of what was fed into the inputs of a net."""
    index = unit.index
    dims = net.blobs[unit.blob].shape
    image = index[0] if index else 0
    if dims and image >= dims[0]:
        image = 0  # a larger batch than the file's: the images are alike
    if len(dims) != len(index) or any(i >= d for i, d in zip(index[1:], dims[1:], strict=True)):
        return Sight("", "", None, None, None, None)
    field = receptive_box(net, unit.blob, index[1:], image)
    words = "; ".join(_words(reach) for reach in field.inputs.values() if reach.axes)
    for name, reach in field.inputs.items():
        fed = given.get(name)
        if fed is None or len(reach.space) != 2 or not index or index[0] >= len(fed.pictures):
            continue
        picture = fed.pictures[index[0]]
        if picture.shape[:2] == tuple(fed.array.shape[axis] for axis in reach.spatial):
            y, x = reach.space
            box, wide = (x.low, y.low, x.high, y.high), (x.first, y.first, x.last, y.last)
            return Sight(words, name, picture, box, wide, field)
    return Sight(words, "", None, None, None, field)


def _ends(span: Span) -> str:
    return f"{span.low}..{span.high}" if span.high > span.low else f"{span.low}"


def _words(reach: Reach) -> str:
    """`sees x 68..78, y 120..130 of data (11x11, exact)`."""
    name, space = printable(reach.input, 40), reach.space
    if not space:
        return f"sees {name} ({reach.status})"
    if all(span.whole for span in space):
        return f"sees all of {name} ({times([s.size for s in reversed(space)])}, {reach.status})"
    axes = ("x", "y", "z")
    spans = [
        f"{axes[i] if i < 3 else f'axis {i}'} {_ends(span)}"
        for i, span in enumerate(reversed(space))
    ]
    size = times([span.last - span.first + 1 for span in reversed(space)])
    cut = any((s.first, s.last) != (s.low, s.high) for s in space)
    over = f", {size} with what lies over the edge" if cut else ""
    seen = times([span.high - span.low + 1 for span in reversed(space)])
    return f"sees {', '.join(spans)} of {name} ({seen}, {reach.status}{over})"
