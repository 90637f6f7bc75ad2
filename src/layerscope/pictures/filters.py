"""The weights of a convolution: a tile for each filter, whatever number of channels it reads."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope import text
from layerscope.errors import UsageError
from layerscope.pictures import color as colors
from layerscope.pictures.color import Color
from layerscope.pictures.grid import HOW, MOST_PIXELS, Grid, Layout, canvas, grid
from layerscope.pictures.image import Picture
from layerscope.pictures.scale import Numbers, Scale, measure, real_numbers, stretch

MOST_ALIKE = 16  # up to so many input channels are all shown
STRONGEST = 8  # of more, so many are
MID_GRAY = " (mid gray)"
_BETWEEN = 3  # pixels between two filters; within one there is a gap of 1


class Filters(Grid):
    """The picture of filters; a tile is a filter, with its input channels side by side.

    Attributes:
        inputs: (total, k): the input channels of each filter in the order in which they are shown;
            none where they are colours, or rows of the tile.
    """

    inputs: npt.NDArray[np.intp]

    def __init__(self, drawn: _Drawn, inputs: npt.NDArray[np.intp], scale: Scale) -> None:
        self.layout = drawn.layout
        self.shown, self.total = drawn.layout.shown, drawn.total
        self.scale, self.inputs = scale, inputs
        self.low, self.high = drawn.ends
        Picture.__init__(self, drawn.pixels, drawn.caption, drawn.palette)


class _Drawn(NamedTuple):
    pixels: npt.NDArray[np.uint8]
    palette: npt.NDArray[np.uint8] | None
    layout: Layout
    total: int
    ends: tuple[float, float]
    caption: str


def filters(
    weights: npt.ArrayLike,
    scale: Scale = "tile-signed",
    *,
    channels: Literal["RGB", "BGR"] | None = "RGB",
    inputs: int | None = None,
    limit: int | None = None,
    color: Color = "gray",
    title: str = "",
) -> Filters:
    """Draw the weights of a layer, a tile for each filter.

    Filters of three channels are colour tiles.  Others have a gray tile for each input channel, one
    beside the other: all of them up to 16, of more the strongest 8 of each filter (by their L2
    norm), the strongest first.  What is left out is said in the caption.

    Each filter is scaled by its own and around zero, unless another scale is asked for: zero is mid
    gray in every filter, so what is lighter adds and what is darker takes off.  Over all filters
    ("all", "signed") a few strong ones leave the rest gray without detail; and between the lowest
    and the highest value of each ("tile") zero has another gray in every filter.

    Args:
        weights: real numbers: (filters, channels, H, W); (filters, channels, D, H, W), the D slices
            of a channel side by side; (filters, channels, W), or with H or W of 1: a tile of
            channels x W for each filter; (filters, channels), or kernels of 1 x 1: one tile with a
            row for each filter.
        scale: see `grid`; a tile is a filter with all its input channels, shown or not.
        channels: the order of three input channels, "RGB" or Caffe's "BGR"; None where they are no
            colours.
        inputs: how many input channels to show of each filter.
        limit: how many filters to show at most; by default as many as fit 4096 x 4096 pixels.
        color: the colour map of tiles that are not in colour; "diverging" has white for zero.
        title: what the caption starts with.

    Raises:
        UsageError: an array of another shape, without values or not of numbers; an option that
            does not exist.
    """
    array = real_numbers(weights)
    if not 2 <= array.ndim <= 5:
        hint = "; a vector is drawn by plot()" if array.ndim == 1 else ""
        raise UsageError(
            "filters need weights of shape (filters, channels[, D][, H][, W]);"
            f" found {text.shape(array.shape)}{hint}"
        )
    for name, number in (("inputs", inputs), ("limit", limit)):
        if number is not None and number < 1:
            raise UsageError(f"{name} {number} is not possible; possible: 1 and more")
    if array.size == 0:
        raise UsageError(f"nothing to draw: the weights {text.shape(array.shape)} are empty")
    if array.ndim == 4 and array.shape[1] == 3 and channels and math.prod(array.shape[2:]) > 1:
        made = grid(array, scale, channels=channels, limit=limit, title=title)
        caption = made.caption.replace(" shown,", " filters shown,", 1)
        caption = caption.replace(f"scaled {HOW[scale]}", f"scaled {_how(scale)}", 1)
        drawn = _Drawn(
            made.pixels, made.palette, made.layout, made.total, (made.low, made.high), caption
        )
        return Filters(drawn, np.zeros((len(array), 0), np.intp), scale)
    return _strips(array, scale, inputs, limit, color, title)


def _strips(
    array: Numbers, scale: Scale, inputs: int | None, limit: int | None, color: Color, title: str
) -> Filters:
    """Filters whose channels are no colours."""
    total, space = len(array), [dim for dim in array.shape[2:] if dim > 1]
    extent = measure(array.reshape(total, -1), scale)
    order = np.zeros((total, 0), np.intp)
    if len(space) < 2:  # channels are rows: a tile for each filter, or one for them all
        tiles = array.reshape(total, 1, *(space and [array.shape[1]]), -1)
        parts = [f"{text.times(tiles.shape[2:])} each (channels x width)"] if space else []
    else:
        order = _strongest(array, inputs)
        tiles, words = _side_by_side(np.take_along_axis(array, _beside(order, array), axis=1))
        parts = [*_which(order.shape[1], array.shape[1]), words]
    height, width = (1, tiles.shape[-1]) if not space else tiles.shape[2:]
    layout = _layout(total, (height, tiles.shape[1] * (width + 1) - 1), limit, _gap(space, tiles))
    shown = tiles[: layout.shown].reshape(layout.shown, -1)
    levels = stretch(shown, extent._replace(finite=None), colors.TOP)
    levels[~np.isfinite(shown)] = colors.MISSING
    strips = np.full((layout.shown, height, tiles.shape[1], width + 1), colors.EMPTY, np.uint8)
    strips[..., :width] = levels.reshape(layout.shown, -1, height, width).swapaxes(1, 2)
    pixels = canvas(strips.reshape(layout.shown, height, -1)[..., :-1], layout)
    if not space:
        parts = ["one row each"]
    name = f"{text.printable(title)}: " if title else ""
    how = _how(scale) if color == "gray" else _how(scale).replace(MID_GRAY, "")
    low, high = extent.range
    caption = f"{name}{layout.shown} of {total} filters shown, {', '.join(parts)}"
    caption += f", scaled {how}: {low:.3g} … {high:.3g}"
    if extent.missing:
        caption += f"; {text.plural(extent.missing, 'value')} not finite (magenta)"
    drawn = _Drawn(pixels, colors.palette(color), layout, total, (low, high), caption)
    return Filters(drawn, order, scale)


def _how(scale: Scale) -> str:
    zero = MID_GRAY if scale.endswith("signed") else ""
    return HOW[scale].replace("each", "each filter") + zero


def _strongest(array: Numbers, inputs: int | None) -> npt.NDArray[np.intp]:
    """The input channels to show of each filter: all in their order, or the strongest first."""
    filters, channels = array.shape[:2]
    most = inputs or (channels if channels <= MOST_ALIKE else STRONGEST)
    if most >= channels:
        return np.broadcast_to(np.arange(channels), (filters, channels))
    flat = array.reshape(filters, channels, -1).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.nan_to_num((flat * flat).sum(axis=2), nan=np.inf)
    return np.argsort(-norms, axis=1, kind="stable")[:, :most]


def _beside(order: npt.NDArray[np.intp], array: Numbers) -> npt.NDArray[np.intp]:
    return order.reshape(*order.shape, *[1] * (array.ndim - 2))


def _side_by_side(array: Numbers) -> tuple[Numbers, str]:
    """(n, k, H, W) as it is; (n, k, D, H, W) with its D slices in one tile (n, k, H, D * W)."""
    n, k, *space = array.shape
    if len(space) == 2:
        return array, f"{text.times(space)} each"
    slices, height, width = space
    words = f"{slices} slices of {height}x{width} side by side"
    return array.swapaxes(2, 3).reshape(n, k, height, slices * width), words


def _which(shown: int, channels: int) -> list[str]:
    if channels == 1:
        return []
    if shown == channels:
        return [f"all {channels} input channels side by side"]
    return [f"{shown} of {channels} input channels, the strongest of each filter"]


def _gap(space: list[int], tiles: Numbers) -> int:
    """Pixels between filters: none between the rows of one matrix, more where a filter has gaps."""
    if not space:
        return 0
    return 1 if tiles.shape[1] == 1 else _BETWEEN


def _layout(total: int, tile: tuple[int, int], limit: int | None, gap: int) -> Layout:
    """Near-square; the rows of one matrix, which have no gap, are below each other."""
    height, width = (side + gap for side in tile)
    shown = max(1, min(total, limit or total, MOST_PIXELS // (height * width)))
    columns = max(1, math.ceil(math.sqrt(shown * height / width) - 1e-9)) if gap else 1
    return Layout(shown, min(columns, shown), tile, gap)
