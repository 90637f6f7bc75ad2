"""What the report shows of each array: tiles or a vector, packed, with its distribution.

A page stays below a size that every browser opens.  Where a net has more than that, each array
gets a fair share, and its figure says "n of N shown".
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.distribution import Distribution, distribution
from layerscope.pictures.packed import pack
from layerscope.pictures.scale import Scale
from layerscope.text import printable, shape, times

# Of packed values, before base64 makes them a third more; all of a VGG-16 fits, on 20 MB.
BLOB_BYTES = 15_600_000
PARAM_BYTES = 1_500_000
LAYER_BYTES = 3_500  # what a layer takes for words and numbers, counted like packed values
FEWEST = 8
MOST_OF_A_PARAM = 49_152  # filters of a deep layer are many and alike
SMALL_TILE = 64  # values; smaller tiles share one pair of ends, which would be as large as they are
FEW = 8  # up to so many numbers of a param are written out
# What `pictures.filters` and `show --param` scale params by; maps are scaled over all.
_SCALES: dict[str, Scale] = {"filter": "tile-signed", "kernel": "tile-signed", "row": "signed"}
MOST_COLUMNS = 2048  # a matrix that is wider is told by its distribution


@dataclass(slots=True)
class Source:
    """An array that is to be shown, and how.

    Attributes:
        name: the blob or param.
        array: one image's share of a blob, or a param.
        dims: the shape that is stated.
        unit: what a tile is: "channel", "slice", "filter", "kernel", "row" or "value".
        tiles: (n, h, w) or in colour (n, 3, h, w); None for a vector or what is not drawn.
        depth: slices of a channel, or kernels of a filter, that are tiles of their own.
        order: of three colour planes.
        parent: the source whose codes this one is drawn from.
        slope: what the parent's values below zero are multiplied with; None leaves them.
        ends: what the ends of the parent's tiles become, (2, n) float32; None where they stay.
        most: bytes that it may take.
        names: of the values of a vector.
        words: what else is to be said.
        shown: how many tiles or values are shown, see `share`.
        first: the first of them; a page that asks can have the others too.
    """

    name: str
    array: NDArray[Any]
    dims: tuple[int, ...]
    unit: str
    tiles: NDArray[Any] | None = None
    depth: int = 1
    order: str = "RGB"
    parent: Source | None = None
    slope: float | None = None
    ends: NDArray[np.float32] | None = None
    most: int = 1 << 40
    names: Sequence[str] = ()
    words: tuple[str, ...] = ()
    shown: int = 0
    first: int = 0

    @property
    def title(self) -> str:
        """Name and shape."""
        return f"{printable(self.name)} {shape(self.dims)}"

    @property
    def total(self) -> int:
        """Tiles, or values of a vector."""
        return len(self.tiles) if self.tiles is not None else int(self.array.size)

    @property
    def part(self) -> slice:
        """The tiles or values that are shown."""
        return slice(self.first, self.first + self.shown)

    @property
    def owner(self) -> Source:
        """The source that has the codes: the parent, or this one."""
        return self.parent or self

    @property
    def stack(self) -> bool:
        """Whether it has several tiles, of which some may be left out."""
        return self.tiles is not None and self.unit != "row"

    @property
    def drawn(self) -> bool:
        """Whether there is anything to draw: a matrix that is too wide is not."""
        return self.tiles is not None or self.array.size <= max(self.array.shape, default=1)

    @property
    def shares_ends(self) -> bool:
        """Whether all tiles are packed with one pair of ends."""
        return self.tiles is not None and self.tiles[0].size < SMALL_TILE

    @property
    def bytes_each(self) -> int:
        """Bytes of one tile or value, before base64."""
        if self.tiles is None:
            return 4
        planes = self.tiles.shape[1] if self.tiles.ndim == 4 else 1
        return int(self.tiles[0].size) + (0 if self.shares_ends else 8 * planes)


@dataclass(slots=True)
class Figure:
    """A source, measured and packed.

    Attributes:
        source: what it shows.
        spread: its distribution, over everything, shown or not.
        data: base64 of what is drawn; "" where the source's parent has it, or nothing is drawn.
    """

    source: Source
    spread: Distribution
    data: str = ""
    panel: dict[str, Any] = field(default_factory=dict)

    @property
    def dead(self) -> tuple[int, int]:
        """How many channels are zero everywhere, and how many there are; (0, 0) without channels.

        A channel of maps with a third axis is several tiles.
        """
        if self.source.unit not in ("channel", "slice") or self.spread.channels < 2:
            return 0, 0
        zero: Any = self.spread.zero_channels.reshape(-1, self.source.depth).all(axis=1)
        return int(zero.sum()), len(zero)

    @property
    def statement(self) -> str:
        """How much is shown of how much."""
        source = self.source
        if not source.drawn:
            return f"{times(source.array.shape)} is too wide to be drawn: its distribution only"
        noun = f"{source.unit}{'' if source.total == 1 else 's'}"
        words = f"{source.shown:,} of {source.total:,} {noun} shown"
        if source.first:
            words += f", from {source.first:,} on"
        if source.tiles is not None:
            sides = source.tiles.shape[-2:]
            words += f", {sides[1]:,} wide" if source.unit == "row" else f", {times(sides)} each"
            if source.tiles.ndim == 4:
                words += f" in colour (from {source.order})"
        return words


def share(sources: Sequence[Source], budget: int) -> None:
    """Say how many tiles of each source are shown, so that all together stay below `budget` bytes.

    Every source shows all of its tiles up to one common number, the highest that the budget allows.
    Where that would be less than FEWEST, each gets the same room in bytes instead: so one source
    with large maps takes nothing from the small ones.
    """
    for source in sources:
        room = source.most // source.bytes_each if source.drawn and source.total else 0
        source.shown = min(source.total, room)
    own = [s for s in sources if s.parent is None]
    budget -= sum(8 * s.total for s in sources if s.ends is not None)
    if sum(s.shown * s.bytes_each for s in own) > budget:
        if not _share_tiles(own, budget):
            _share_bytes(own, budget)
    for source in sources:
        if source.parent is not None:
            source.shown = source.parent.shown


def _share_tiles(sources: Sequence[Source], budget: int) -> bool:
    """Show the same number of tiles of each source; False where that would be too few."""

    def needed(most: int) -> int:
        return sum(s.bytes_each * (min(s.shown, most) if s.stack else s.shown) for s in sources)

    low, high = 0, max((s.shown for s in sources), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if needed(middle) <= budget else (low, middle - 1)
    if low < FEWEST:
        return False
    for source in sources:
        if source.stack:
            source.shown = min(source.shown, low)
    return True


def _share_bytes(sources: Sequence[Source], budget: int) -> None:
    """Give each source what it asks for, up to one common number of bytes."""
    wanted = sorted(s.shown * s.bytes_each for s in sources)
    left, limit = max(0, budget), 1 << 40
    for done, each in enumerate(wanted):
        if each * (len(wanted) - done) > left:
            limit = left // (len(wanted) - done)
            break
        left -= each
    for source in sources:
        source.shown = min(source.shown, limit // source.bytes_each)


def spread_of(source: Source) -> Distribution:
    """How all numbers of a source are spread, shown or not."""
    values = source.tiles if source.tiles is not None else source.array
    return distribution(_channels(source, values))


def figure(source: Source, spread: Distribution | None = None) -> Figure:
    """Measure and pack one source; it may run beside others.

    Args:
        source: what is shown.
        spread: its distribution, where it is known already.
    """
    spread = spread_of(source) if spread is None else spread
    found = Figure(source, spread)
    if not source.drawn or not source.shown:
        return found
    if source.tiles is None:
        numbers = source.array.reshape(-1)[source.part].astype("<f4")
        found.data = b64encode(numbers.tobytes()).decode("ascii")
    elif source.parent is None:
        found.data = _packed(source, spread)
    found.panel = _panel(found)
    return found


def _channels(source: Source, values: NDArray[Any]) -> NDArray[Any]:
    """The array with its tiles or channels first; params that are not drawn are one long row."""
    if source.tiles is not None and values.ndim == 4:
        return values.reshape(-1, *values.shape[2:])
    alike = source.shares_ends and source.unit == "kernel"  # a million kernels of a deep layer
    if source.tiles is None or source.unit == "row" or alike:
        return values.reshape(1, -1)
    return values


def _packed(source: Source, spread: Distribution) -> str:
    assert source.tiles is not None
    tiles = source.tiles[source.part]
    if source.shares_ends:
        ends = np.array([spread.low]), np.array([spread.high])
        return pack(tiles.reshape(1, -1), *ends)
    planes = tiles.shape[1] if tiles.ndim == 4 else 1
    if source.unit == "row":  # one tile, of as many rows as are shown
        return pack(tiles.reshape(1, -1), spread.lows, spread.highs)
    rows = slice(source.part.start * planes, source.part.stop * planes)
    return pack(tiles.reshape(source.shown * planes, -1), spread.lows[rows], spread.highs[rows])


def _panel(found: Figure) -> dict[str, Any]:
    """What the page's script is told; `report` adds where the data are."""
    source, spread = found.source, found.spread
    if source.tiles is None:
        names = [printable(name) for name in source.names[source.part]]
        return {"kind": "vector", "data": found.data, "title": source.title, "names": names}
    tiles = source.tiles
    one = source.unit == "row"
    return {
        "kind": "tiles",
        "tiles": {
            "count": 1 if one else source.shown,
            "planes": tiles.shape[1] if tiles.ndim == 4 else 1,
            "height": source.shown if one else tiles.shape[-2],
            "width": tiles.shape[-1],
            "shared": source.shares_ends or one,
            "ends": _ends(source),
            "means": _means(source),
            "slope": source.slope,
            "low": spread.low,
            "high": spread.high,
            "missing": spread.not_finite > 0,
            "order": source.order,
            "title": source.title,
            "unit": "matrix" if one else source.unit,
            "depth": source.depth,
            "first": source.first,
            "scale": _SCALES.get(source.unit, "all"),
        },
    }


def _ends(source: Source) -> str:
    if source.ends is None:
        return ""
    shown = source.ends[:, source.part].astype("<f4")
    return b64encode(shown.tobytes()).decode("ascii")


def _means(source: Source) -> str:
    """The mean of each shown tile, over its finite values: bytes for values have it no more.

    None for small tiles, of which means would be half as large as the values; the page computes it,
    and says how far it may be off.
    """
    assert source.tiles is not None
    tiles = source.tiles[source.part]
    if source.shares_ends and source.unit != "row":
        return ""
    rows = tiles.reshape(1 if source.unit == "row" else len(tiles), -1)
    with np.errstate(all="ignore"):
        sums = rows.sum(axis=1, dtype=np.float64)
        known = np.full(len(rows), rows.shape[1])
        if not np.isfinite(sums).all():
            finite = np.isfinite(rows)
            sums, known = rows.sum(axis=1, dtype=np.float64, where=finite), finite.sum(axis=1)
        means = (sums / known).astype("<f4")
    return b64encode(means.tobytes()).decode("ascii")
