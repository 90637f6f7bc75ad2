"""Many small planes on one page: feature maps, filters, images."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from layerscope import text
from layerscope.errors import UsageError
from layerscope.pictures import color as colors
from layerscope.pictures.color import Color
from layerscope.pictures.image import Picture
from layerscope.pictures.scale import (
    Extent,
    Levels,
    Numbers,
    Scale,
    measure,
    real_numbers,
    stretch,
)

Channels: TypeAlias = Literal["RGB", "BGR"]
MOST_PIXELS = 4096 * 4096
_WIDEST_GAP = 64
HOW = {
    "all": "over all",
    "tile": "each by its own",
    "signed": "around zero",
    "tile-signed": "each around zero",
}


class Layout(NamedTuple):
    """Where each tile of a grid is.

    Attributes:
        shown: how many tiles there are; tile i is in row i // columns.
        columns: tiles in a full row.
        tile: (height, width) of one, in pixels.
        gap: pixels between two neighbours; there is none around the whole.
    """

    shown: int
    columns: int
    tile: tuple[int, int]
    gap: int

    @property
    def rows(self) -> int:
        """Rows of tiles; the last may be incomplete."""
        return -(-self.shown // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture: count * (side + gap) - gap."""
        height, width = (side + self.gap for side in self.tile)
        return self.rows * height - self.gap, self.columns * width - self.gap

    def origin(self, index: int) -> tuple[int, int]:
        """The (x, y) of the upper left pixel of a tile.

        Raises:
            UsageError: there is no tile of that number.
        """
        if not 0 <= index < self.shown:
            raise UsageError(f"tile {index} is not shown; possible: 0 to {self.shown - 1}")
        row, column = divmod(index, self.columns)
        return column * (self.tile[1] + self.gap), row * (self.tile[0] + self.gap)

    def index_at(self, x: float, y: float) -> int | None:
        """The tile that has the pixel (x, y); None in a gap, an empty place or outside."""
        height, width = self.size
        if not (0 <= x < width and 0 <= y < height):
            return None
        column, right = divmod(int(x), self.tile[1] + self.gap)
        row, down = divmod(int(y), self.tile[0] + self.gap)
        index = row * self.columns + column
        inside = right < self.tile[1] and down < self.tile[0] and index < self.shown
        return index if inside else None


class Grid(Picture):
    """The picture of a stack of tiles; it knows which pixel belongs to which tile.

    Attributes:
        layout: the law of pixels and tiles.
        shown: tiles in the picture.
        total: tiles in the array.
        low: the value of the darkest level ("signed": -m, "tile": over all tiles).
        high: the value of the brightest level.
        scale: the mode that the values were scaled with.
    """

    def __init__(
        self,
        pixels: Levels,
        palette: npt.NDArray[np.uint8] | None,
        layout: Layout,
        tiles: _Tiles,
        extent: Extent,
    ) -> None:
        self.layout = layout
        self.shown, self.total = layout.shown, len(tiles.values)
        self.scale = extent.scale
        self.low, self.high = extent.range
        super().__init__(pixels, _caption(layout, tiles, extent), palette)

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return self.layout.rows

    @property
    def columns(self) -> int:
        """Columns of tiles."""
        return self.layout.columns

    @property
    def tile(self) -> tuple[int, int]:
        """(height, width) of one tile, in pixels."""
        return self.layout.tile

    def origin(self, index: int) -> tuple[int, int]:
        """The (x, y) of the upper left pixel of a tile; UsageError if it is not shown."""
        return self.layout.origin(index)

    def index_at(self, x: float, y: float) -> int | None:
        """The tile that has the pixel (x, y); None in a gap, an empty place or outside."""
        return self.layout.index_at(x, y)


def grid(  # noqa: PLR0913 - independent choices, all but the first two by name
    array: npt.ArrayLike,
    scale: Scale = "all",
    *,
    color: Color | None = None,
    limit: int | None = None,
    gap: int = 1,
    channels: Channels = "RGB",
    title: str = "",
    columns: int | None = None,
) -> Grid:
    """Draw each plane of an array as a tile, side by side, near-square.

    Args:
        array: real numbers: (H, W), one tile; (n, H, W); (n, C, H, W), where three channels make a
            colour tile and any other number C makes n*C gray ones; or (n, H, W, 3), colour tiles.
            A last axis of 3 means colours unless axis 1 or 2 is 3 as well: (64, 48, 3, 3) are
            kernels.
        scale: "all" one scale for the whole array, shown or not; "tile" each tile its own;
            "signed" symmetric around zero; "tile-signed" each tile around zero.
        color: "gray", "heat" or "diverging"; by default diverging for the signed scales, else gray.
            Colour tiles have none.
        limit: how many tiles to show at most; by default as many as fit 4096 x 4096 pixels.
        gap: white pixels between tiles.
        channels: the order of the three channels in `array`: "RGB", or Caffe's "BGR".
        title: what the caption starts with.
        columns: tiles in a row; by default the smallest square that holds them all.

    Raises:
        UsageError: an array of another shape, without values or not of numbers; an option that
            does not exist or does not go with the array.
    """
    tiles = _tiles(real_numbers(array), channels, title)
    layout = _layout(len(tiles.values), tiles.side, gap, limit, columns)
    extent = measure(tiles.values, scale)
    if tiles.colored and color is not None:
        raise UsageError(
            f"colour tiles take no colour map (asked for {text.quoted(color)}); "
            "pass one channel, as array[:, 0]"
        )
    if tiles.colored:
        return Grid(_colored(tiles, extent, layout), None, layout, tiles, extent)
    name = color or ("diverging" if scale.endswith("signed") else "gray")
    palette = colors.palette(name)
    values = tiles.values[: layout.shown]
    if name == "gray" and extent.finite is None:
        return Grid(canvas(stretch(values, extent), layout), None, layout, tiles, extent)
    levels = stretch(values, extent, colors.TOP)
    if extent.finite is not None:
        levels[~extent.finite[: layout.shown]] = colors.MISSING
    return Grid(canvas(levels, layout), palette, layout, tiles, extent)


class _Tiles(NamedTuple):
    values: Numbers  # (n, H, W), or (n, 3, H, W) and (n, H, W, 3) in colour
    title: str
    axis: int | None  # where the colours are
    channels: Channels

    @property
    def colored(self) -> bool:
        return self.axis is not None

    @property
    def side(self) -> tuple[int, int]:
        dims = [d for a, d in enumerate(self.values.shape) if a not in (0, self.axis)]
        return dims[0], dims[1]


def _tiles(array: Numbers, channels: Channels, title: str) -> _Tiles:
    dims = array.shape
    if channels not in ("RGB", "BGR"):
        raise UsageError(f"channels {text.quoted(channels)} is unknown; possible: RGB, BGR")
    if not 2 <= array.ndim <= 4:
        hint = "; a vector is drawn by plot()" if array.ndim == 1 else ""
        raise UsageError(
            "a grid needs an array of shape (H, W), (n, H, W), (n, C, H, W) or (n, H, W, 3); "
            f"found {text.shape(dims)}{hint}"
        )
    if array.size == 0:
        raise UsageError(f"nothing to draw: the array of shape {text.shape(dims)} is empty")
    if array.ndim == 4 and dims[1] == 3:
        return _Tiles(array, title, 1, channels)
    if array.ndim == 4 and dims[3] == 3 and dims[2] != 3:
        return _Tiles(array, title, 3, channels)
    return _Tiles(array.reshape(-1, *dims[-2:]), title, None, channels)


def _layout(
    total: int, tile: tuple[int, int], gap: int, limit: int | None, columns: int | None
) -> Layout:
    if not 0 <= gap <= _WIDEST_GAP:
        raise UsageError(f"gap {gap} is not possible; possible: 0 to {_WIDEST_GAP}")
    for name, number in (("limit", limit), ("columns", columns)):
        if number is not None and number < 1:
            raise UsageError(f"{name} {number} is not possible; possible: 1 and more")
    places = max(1, MOST_PIXELS // ((tile[0] + gap) * (tile[1] + gap)))
    shown = min(total, places) if limit is None else min(total, limit)
    layout = _laid(shown, tile, gap, columns)
    while limit is None and layout.shown > 1 and layout.rows * layout.columns > places:
        layout = _laid(layout.shown - 1, tile, gap, columns)
    return layout


def _laid(shown: int, tile: tuple[int, int], gap: int, columns: int | None) -> Layout:
    wide = math.isqrt(shown - 1) + 1 if columns is None else min(columns, shown)
    return Layout(shown, wide, tile, gap)


def canvas(levels: Levels, layout: Layout) -> Levels:
    """Lay tiles out: (shown, H, W[, 3]) -> (height, width[, 3]) uint8."""
    rows, columns, gap = layout.rows, layout.columns, layout.gap
    high, wide = (side + gap for side in layout.tile)
    rest = levels.shape[3:]
    page = np.full((rows * high, columns * wide, *rest), colors.EMPTY, np.uint8)
    places = page.reshape(rows, high, columns, wide, *rest).swapaxes(1, 2)
    places = places[:, :, : layout.tile[0], : layout.tile[1]]
    full = layout.shown // columns
    ready = full * columns
    places[:full] = levels[:ready].reshape(full, columns, *levels.shape[1:])
    if full < rows:
        places[full, : layout.shown - ready] = levels[ready:]
    height, width = layout.size
    return page[:height, :width]


def _colored(tiles: _Tiles, extent: Extent, layout: Layout) -> Levels:
    axis = tiles.axis or 0
    levels = np.moveaxis(stretch(tiles.values[: layout.shown], extent), axis, -1)
    if tiles.channels == "BGR":
        levels = levels[..., ::-1]
    if extent.finite is not None:
        levels = levels.copy()
        levels[~extent.finite[: layout.shown].all(axis=axis)] = colors.NOT_A_NUMBER
    return canvas(levels, layout)


def _caption(layout: Layout, tiles: _Tiles, extent: Extent) -> str:
    how = HOW[extent.scale]
    low, high = (f"{end:.3g}" for end in extent.range)
    name = f"{text.printable(tiles.title)}: " if tiles.title else ""
    order = " in colour" + (" (from BGR)" if tiles.channels == "BGR" else "")
    words = (
        f"{name}{layout.shown} of {len(tiles.values)} shown, {text.times(layout.tile)} each"
        f"{order if tiles.colored else ''}, scaled {how}: {low} … {high}"
    )
    if extent.missing:
        words += f"; {text.plural(extent.missing, 'value')} not finite (magenta)"
    return words
