"""Both nets run, and their aligned blobs two at a time.

ONNX Runtime hands over all captured values when a run has ended, so blobs of both nets are held
together.  To bound that, the pairs are cut into groups of at most so many bytes, and both nets run
once for each group: one group costs no time beyond two runs, several cost two runs and two sessions
each.  Within a group every blob is let go as soon as it was compared, and the sessions of a group
are let go before the next one's are made, as they hold the weights in a packed form.

Measured with VGG-16 and one image (115 MB of blobs in each net), the most that the process held:
2.51 GB when each net gives its last blob only, 2.65 GB compared in one group; 2.75 GB in groups of
100 MB, for 1.8 times the processor's time, as every group packs the weights anew.  What the process
holds is the packed weights, so groups gain nothing there.  One group is the usual way, and groups
are for batches and large images, where blobs outweigh weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.comparison.alignment import Pair, axes
from layerscope.comparison.feeding import Fedboth
from layerscope.comparison.quantized import Codes, codes_of
from layerscope.inputs import Fed
from layerscope.net import Blob, Net

GROUP_BYTES = 256_000_000
_BYTES = 4  # of a float32; values of other types are rare and small

Arrays = tuple[NDArray[Any], NDArray[Any]]
Shapes = tuple[tuple[int, ...], tuple[int, ...]]


class Runs:
    """Two nets whose blobs are aligned.

    Attributes:
        groups: pairs that are captured together.
    """

    def __init__(self, a: Net, b: Net, pairs: Sequence[Pair], most: int, batch: int = 1) -> None:
        self._a, self._b, self._batch = a, b, batch
        self._blobs_a, self._blobs_b = list(a.blobs.values()), list(b.blobs.values())
        self._codes = codes_of(a), codes_of(b)
        self.groups = list(_cut(pairs, self._size, most))

    def _size(self, pair: Pair) -> int:
        """Bytes of both blobs for the images that are fed at once."""
        total = 0
        for net, blobs, place in (
            (self._a, self._blobs_a, pair.a),
            (self._b, self._blobs_b, pair.b),
        ):
            dims = blobs[place].shape
            first = net.graph.shapes[net.inputs[0]] if net.inputs else ()
            declared = max(1, first[0]) if first else 1
            total += _BYTES * int(np.prod(dims, dtype=np.int64)) * self._batch // declared
        return total

    def renew(self) -> None:
        """Let go of the sessions of the last group; where there is one only, it may run again."""
        if len(self.groups) > 1:  # the engine keeps sessions as long as the net that they are of
            self._a, self._b = replace(self._a), replace(self._b)

    def pairs(self, group: Sequence[Pair], fed: Fedboth) -> Iterator[tuple[Pair, Shapes, Arrays]]:
        """The arrays of a group for one input, with their shapes as they were in the run.

        B's has the shape of A's, where that is possible.
        """
        of_a = self._run(self._a, [self._blobs_a[pair.a].name for pair in group], fed.a)
        of_b = self._run(self._b, [self._blobs_b[pair.b].name for pair in group], fed.b)
        for pair in group:
            one = self._numbers(self._codes[0], self._blobs_a[pair.a], of_a)
            other = self._numbers(self._codes[1], self._blobs_b[pair.b], of_b)
            yield pair, (one.shape, other.shape), (one, turned(other, one.shape))

    @staticmethod
    def _numbers(
        codes: Mapping[str, Codes], blob: Blob, arrays: dict[str, NDArray[Any]]
    ) -> NDArray[Any]:
        """Take a blob out of the arrays, as numbers where it is in codes."""
        array = arrays.pop(blob.name)
        known = codes.get(blob.value)
        return array if known is None or array.dtype.kind == "f" else known.numbers(array)

    @staticmethod
    def _run(net: Net, names: list[str], fed: Mapping[str, Fed]) -> dict[str, NDArray[Any]]:
        feeds = {name: each.array for name, each in fed.items()}
        return dict(net.run(feeds, names))


def turned(array: NDArray[Any], dims: tuple[int, ...]) -> NDArray[Any]:
    """B's array in A's shape, a view where possible; as it is where nothing makes it fit."""
    order = axes(dims, array.shape)
    return array if order is None else array.transpose(order).reshape(dims)


def _cut(pairs: Iterable[Pair], size: Any, most: int) -> Iterator[list[Pair]]:
    group: list[Pair] = []
    held = 0
    for pair in pairs:
        each = size(pair)
        if group and held + each > most:
            yield group
            group, held = [], 0
        group.append(pair)
        held += each
    if group:
        yield group
