"""What an attribution is: how much each place counts for a unit, and what was done to know it."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.files import write_file
from layerscope.measure.attribution.placement import Placement
from layerscope.text import brief, number, printable, shape
from layerscope.units import Unit

MOST_NUMBERS = 1000  # of a map that stand in JSON
MOST_SHARES = 100
WIDE_GAP = 0.1  # of what the map has to add up to
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether the numbers of a map add up to what they have to explain.

    Attributes:
        sum: of the map.
        difference: the unit's value less its value at the baseline.
    """

    sum: float
    difference: float

    @property
    def gap(self) -> float:
        """The sum less the difference: 0 when nothing is missing."""
        return self.sum - self.difference

    @property
    def _advice(self) -> str:
        """What to do about a gap that is a good part of what has to be explained."""
        wide = abs(self.gap) > WIDE_GAP * max(abs(self.difference), abs(self.sum))
        return ", which is wide: take more steps" if wide else ""

    def __str__(self) -> str:
        return (
            f"sum of the map {number(self.sum)}, value less that of the baseline"
            f" {number(self.difference)}, gap {brief(self.gap)}{self._advice}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """How much each place counts for one unit of one image.

    Attributes:
        method, title, paper: what was done, as it is asked for, as it is called, and its source.
        unit: the unit.
        value: its value.
        label: the class that it stands for; "" where that is not known.
        input: the input (or blob) that the map lies on.
        at: the blob of a method that looks at a layer; "" for the others.
        values: float32, in the shape of one image of the input, or of the layer's blob or map.
        settings: that were used.
        notes: what the reader of the map has to know, one line each.
        completeness: for methods whose numbers have to add up.
        shares: what each channel of the layer adds, for layer-wise contribution.
        picture: the image as it was fed, (H, W) or (H, W, 3), or None.
        fed: how it was fed, in words.
        placement: where a layer's map lies on the input; None for a map of the input itself.
        reduction: how channels become one map; see `registry.Found`.
        channel_axis: that of `values`; None where they have none.
    """

    method: str
    title: str
    paper: str
    unit: Unit
    value: float
    label: str
    input: str
    at: str
    values: NDArray[np.float32]
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    completeness: Completeness | None = None
    shares: Floats | None = None
    picture: NDArray[np.uint8] | None = None
    fed: str = ""
    placement: Placement | None = None
    reduction: Literal["sum", "largest", "none"] = "none"
    channel_axis: int | None = None

    @property
    def plane(self) -> Floats:
        """One number for each place: the channels taken together, at the size of `values`."""
        found = np.asarray(self.values, np.float64)
        if self.channel_axis is None or self.reduction == "none":
            return found
        if self.reduction == "largest":
            return np.asarray(np.abs(found).max(axis=self.channel_axis))
        return np.asarray(found.sum(axis=self.channel_axis))

    @property
    def map(self) -> Floats:
        """`plane`, and that of a layer at the size of the input, (H, W) for an image."""
        return self.placement.spread(self.plane) if self.placement else self.plane

    @property
    def level(self) -> bool:
        """Whether the numbers are values of the unit (RISE): none of them speaks for or against."""
        return self.method == "rise"

    @property
    def signed(self) -> bool:
        """Whether some places speak against the unit."""
        return not self.level and bool((self.plane < 0).any())

    @property
    def strongest(self) -> tuple[int, ...]:
        """The place of the map with the largest number; (y, x) for an image."""
        found = self.map
        at = int(np.argmax(np.nan_to_num(found, nan=-np.inf)))
        return tuple(int(i) for i in np.unravel_index(at, found.shape))

    @property
    def half(self) -> float:
        """The smallest share of the places that holds half of the positive sum; NaN without one.

        NaN too for values of the unit, which are no shares of a sum.
        """
        if self.level:
            return float("nan")
        positive = np.sort(np.maximum(np.nan_to_num(self.map, posinf=0).ravel(), 0))[::-1]
        total = positive.sum()
        if not total:
            return float("nan")
        return float(np.searchsorted(np.cumsum(positive), total / 2) + 1) / positive.size

    @property
    def heading(self) -> str:
        """`prob:281 (tabby cat) = 0.87, Grad-CAM at conv5`."""
        named = f" ({printable(self.label, 60)})" if self.label else ""
        image = f" (image {self.unit.image})" if self.unit.image else ""
        unit = f"{printable(self.unit, 60)}{image}{named}"
        return f"{unit} = {number(self.value, 3)}, {self.way}"

    @property
    def way(self) -> str:
        """The method, and where it looked."""
        return f"{self.title} at {printable(self.at, 40)}" if self.at else self.title

    def as_json(self) -> dict[str, Any]:
        """Everything as plain lists and dicts; the numbers of a large map are left to `.npy`."""
        found, small = self.map, self.values.size <= MOST_NUMBERS
        complete = self.completeness
        return {
            "method": self.method, "title": self.title, "paper": self.paper,
            "unit": str(self.unit), "blob": self.unit.blob, "index": list(self.unit.index),
            "value": self.value, "label": self.label, "input": self.input, "at": self.at,
            "shape": list(self.values.shape), "map_shape": list(found.shape),
            "reduction": self.reduction,
            "settings": {name: _plain(each) for name, each in self.settings.items()},
            "low": float(found.min()), "high": float(found.max()),
            "strongest": list(self.strongest), "half_within": self.half,
            "placement": self.placement.words if self.placement else "",
            "completeness": None if complete is None else {
                "sum": complete.sum, "difference": complete.difference, "gap": complete.gap,
            },
            "shares": self._shares(), "channels": 0 if self.shares is None else len(self.shares),
            "fed": self.fed, "notes": list(self.notes),
            "values": self.values.tolist() if small else None,
        }  # fmt: skip

    def ranking(self, most: int = MOST_SHARES) -> list[tuple[int, float]]:
        """(channel, what it adds), those that add most in magnitude first."""
        if self.shares is None:
            return []
        order = np.argsort(-np.abs(self.shares), kind="stable")[:most]
        return [(int(i), float(self.shares[i])) for i in order]

    def _shares(self) -> list[dict[str, Any]]:
        return [{"channel": channel, "adds": adds} for channel, adds in self.ranking()]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `values` as .npy, or the picture as .png, .svg or .pdf.

        Raises:
            UsageError: another suffix, `path` is a folder, or there is nothing to draw.
            SystemFaultError: the system refused; an existing file is untouched.
        """
        if Path(path).suffix.lower() == ".npy":
            buffer = io.BytesIO()
            np.save(buffer, self.values, allow_pickle=False)
            write_file(Path(path), buffer.getvalue())
            return
        from layerscope.show.attribution_picture import attribution_picture

        attribution_picture([self]).save(path)

    def __str__(self) -> str:
        from layerscope.show.attribution import attribution_text

        return attribution_text([self])

    def __repr__(self) -> str:
        return f"<attribution {self.heading}>"

    def _repr_png_(self) -> bytes | None:
        if self.map.ndim not in (1, 2):
            return None
        from layerscope.show.attribution_picture import attribution_picture

        return attribution_picture([self]).png()


def _plain(setting: Any) -> Any:
    """A setting as JSON has it; an array by its shape."""
    if isinstance(setting, (np.ndarray, list, tuple)):
        return f"array {shape(np.shape(setting))}"
    return setting.item() if isinstance(setting, np.generic) else setting
