"""Which picture a blob or a param gets: grid, plot with histogram, or probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.blobs import Blobs
from layerscope.errors import UsageError
from layerscope.measure.top import probability_blob
from layerscope.net import Layer, Net
from layerscope.pictures import Picture, Plot, filters, grid, histogram, probabilities, vector
from layerscope.pictures.grid import Channels
from layerscope.pictures.scale import Scale
from layerscope.text import plural, printable, shape

MOST_MATRIX = 1024  # a matrix with a longer side is shown by its distribution


def blob_picture(
    net: Net,
    blobs: Blobs,
    name: str,
    *,
    image: int = 0,
    scale: Scale = "all",
    labels: Sequence[str] | None = None,
    as_image: bool = True,
) -> Picture | Plot:
    """The picture of one blob for one image of the batch.

    Feature maps (N, C, H, W) become a grid, a vector its values with their histogram, the net's
    probabilities a wide plot with the top five named; an input that was fed from an image is shown
    as that image, or as its channels when `as_image` is false.

    Raises:
        UnknownNameError: there is no such blob.
        UsageError: the batch has no such image.
    """
    array = blobs[name]
    fed = blobs.fed.get(name)
    if as_image and fed is not None and 0 <= image < len(fed.pictures):
        return Picture(fed.pictures[image], f"{printable(name)}: {fed.statement}")
    title = f"{printable(name)} {shape(array.shape)}"
    if array.ndim and not 0 <= image < len(array):
        raise UsageError(f"image {image} of {plural(len(array), 'image')} in the batch")
    one = array[image] if array.ndim > 1 else array
    if array.ndim > 1 and len(array) > 1:
        title += f", image {image} of {len(array)}"
    if prod(one.shape[1:]) == 1:
        if name == probability_blob(net):
            return probabilities(one.ravel(), labels, title=title)
        return vector(one.ravel(), title=title)
    return grid(planes(one), scale, title=title)


def planes(one: NDArray[Any]) -> NDArray[Any]:
    """An image's share of a blob, (C, ...), as (n, H, W); 3-D maps are laid out slice by slice."""
    if one.ndim <= 2:
        return np.atleast_2d(one)[None]
    return one.reshape(-1, *one.shape[-2:])


def param_picture(
    net: Net,
    layer: str | Layer,
    index: int = 0,
    *,
    scale: Scale | None = None,
    limit: int | None = None,
) -> Picture | Plot:
    """The picture of a layer's param: its filters, in colour where they read an image.

    Matrices with a side of more than 1024 and vectors are plots.  Scaled as `pictures.filters` does
    unless `scale` is given; `limit` is the most filters to show.

    Raises:
        UnknownNameError: the layer has no params, or does not exist.
        UsageError: it has no param of that number.
        ReadError: the net was opened without weights for it.
    """
    owner = layer if isinstance(layer, Layer) else _with_params(net, layer)
    if not 0 <= index < len(owner.params):
        raise UsageError(
            f"layer {printable(owner.name)} has params 0 to {len(owner.params) - 1},"
            f" there is no {index}"
        )
    param = owner.params[index]
    title = f"{printable(param.name)} {shape(param.shape)}"
    data = param.data
    dims = tuple(d for d in param.shape if d != 1)
    how: Scale = scale or "tile-signed"
    if len(param.shape) >= 3 and prod(param.shape[2:]) > 1 and len(param.shape) <= 5:
        order: Channels = "BGR" if net.preprocessing.channels == "BGR" else "RGB"
        colored = order if _reads_an_image(net, owner) else None
        return filters(data, how, channels=colored, title=title, limit=limit)
    if len(dims) == 2 and max(dims) <= MOST_MATRIX:
        return filters(data.reshape(dims), scale or "signed", color="diverging", title=title)
    if len(dims) >= 2:
        return histogram(data.ravel(), title=title)
    return vector(data.ravel(), title=title)


def _with_params(net: Net, name: str) -> Layer:
    """The first layer of that name that has params, which are those of `net.params`."""
    net.params[name]
    return next(each for each in net.layers if each.name == name and each.params)


def _reads_an_image(net: Net, layer: Layer) -> bool:
    """Whether a layer's three input channels are colours: those of an input, and nothing else's."""
    return any(net.blobs[bottom].value in net.inputs for bottom in layer.bottoms)
