"""Whether a net's weights are numbers: how many of each param are NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.net import Net
from layerscope.text import plural, printable, quoted

_PIECE = 1 << 18  # numbers looked at at once: they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Soundness:
    """One param that was looked at.

    Attributes:
        layer, param: their names.
        weights: how many numbers it has.
        nan, infinite: how many of them are not numbers, or are without end.
    """

    layer: str
    param: str
    weights: int
    nan: int
    infinite: int

    @property
    def statement(self) -> str:
        """What is wrong with it, in one line; nothing where all is well."""
        found = [(self.nan, "NaN"), (self.infinite, "infinite")]
        words = " and ".join(f"{number:,} {what}" for number, what in found if number)
        if not words:
            return ""
        where = f"layer {quoted(self.layer)}, param {printable(self.param)}"
        return f"{where}: of {plural(self.weights, 'weight')}, {words}"


def check_weights(net: Net) -> list[Soundness]:
    """Look at every weight of a net, which reads the whole file; shared ones are read once.

    Params without weights are left out.
    """
    return [
        Soundness(layer.name, param.name, param.size, *_faults(param.array))
        for layer in net.layers
        for param in layer.params
        if param.array is not None and not param.shared_with
    ]


def _faults(array: NDArray[Any]) -> tuple[int, int]:
    """How many numbers are NaN, and how many infinite."""
    nan = infinite = 0
    for piece in _pieces(array):
        if not np.isfinite(piece).all():
            bad = int(np.isnan(piece).sum())
            nan += bad
            infinite += int((~np.isfinite(piece)).sum()) - bad
    return nan, infinite


def _pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    flat = array.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        yield flat[start : start + _PIECE]
