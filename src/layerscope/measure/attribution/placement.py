"""Where the places of a layer's map lie on the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.receptive import receptive_box
from layerscope.net import Net, once
from layerscope.text import number, printable

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where each place of a map lies on the input, for each spatial axis.

    Attributes:
        starts: the place of the input at which the map's place 0 lies.
        strides: how far apart the map's places are.
        sizes: of the input's axes.
        words: how that was found.
    """

    starts: tuple[float, ...]
    strides: tuple[float, ...]
    sizes: tuple[int, ...]
    words: str

    def spread(self, plane: NDArray[Any]) -> Floats:
        """A map at the size of the input: linear between its places, level outside of them."""
        found = np.asarray(plane, np.float64)
        axes = zip(self.starts, self.strides, self.sizes, strict=True)
        for axis, (start, stride, size) in enumerate(axes):
            where = (np.arange(size, dtype=np.float64) - start) / stride
            matrix = _between(found.shape[axis], np.clip(where, 0, found.shape[axis] - 1))
            found = np.moveaxis(np.tensordot(matrix, found, (1, axis)), 0, axis)
        return found


@once
def placement(net: Net, blob: str, name: str, places: tuple[int, ...]) -> Placement | None:
    """Where a blob's map lies on an input.

    By the middles of receptive fields where they lie evenly (Araujo, Norris and Sim, Distill 2019),
    else drawn over the whole input.

    Args:
        net: at the shapes of the run.
        blob: (N, C, ...) with a map.
        name: the input.
        places: the sizes of the input's spatial axes.

    Returns:
        None where the two have not as many spatial axes.
    """
    dims = net.blobs[blob].shape[2:]
    if len(dims) != len(places):
        return None
    sizes = tuple(int(size) for size in places)
    even = _evenly(net, blob, name, dims) if net.blobs[name].shape[2:] == sizes else None
    if even is not None:
        starts, strides = even
        where = ", ".join(number(start) for start in dict.fromkeys(starts))
        step = ", ".join(number(stride) for stride in dict.fromkeys(strides))
        words = (
            f"each place of {printable(blob, 40)} stands at the middle of its receptive field"
            f" (first at {where}, stride {step}), linear between them"
        )
        return Placement(starts, strides, sizes, words)
    strides = tuple(size / dim for size, dim in zip(sizes, dims, strict=True))
    starts = tuple((stride - 1) / 2 for stride in strides)
    words = f"the map of {printable(blob, 40)} is drawn over the whole input, linear between places"
    return Placement(starts, strides, sizes, words)


def _evenly(
    net: Net, blob: str, name: str, dims: Sequence[int]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The middle of the first receptive field and the step to the next, along each axis.

    None where the last one is not where that leads to: fields that do not lie evenly, or that are
    all the whole input.
    """
    if name not in net.inputs:
        return None
    ends = [[0] * len(dims), [min(1, dim - 1) for dim in dims], [dim - 1 for dim in dims]]
    found = [_middles(net, blob, name, end) for end in ends]
    starts, seconds, lasts = found
    if not len(starts) == len(seconds) == len(lasts) == len(dims):
        return None
    strides = []
    for start, second, last, dim in zip(*found, dims, strict=True):
        stride = second - start if dim > 1 else 1.0
        if stride <= 0 or start + stride * (dim - 1) != last:
            return None
        strides.append(stride)
    return starts, tuple(strides)


def _middles(net: Net, blob: str, name: str, place: Sequence[int]) -> tuple[float, ...]:
    """The middle of a unit's receptive field, as if the input went on behind its edges."""
    reach = receptive_box(net, blob, (0, *place)).inputs[name]
    return tuple((span.first + span.last) / 2 for span in reach.space)


def _between(count: int, where: Floats) -> Floats:
    """A matrix that reads a vector of `count` numbers at fractional places within it."""
    low = np.minimum(np.floor(where).astype(int), max(count - 2, 0))
    part = where - low
    matrix = np.zeros((len(where), count))
    rows = np.arange(len(where))
    matrix[rows, low] += 1 - part
    matrix[rows, np.minimum(low + 1, count - 1)] += part
    return matrix
