"""A unit for many inputs: its values and gradients, several images at once where a net allows it.

Most nets treat the images of a batch alone, and then a chunk of inputs is one run.  Where they meet
(an LSTM's steps, the statistics of a batch, regions of one image), the inputs take the place of the
image in what was fed, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.engine.onnxruntime import fitting_net, session
from layerscope.errors import LayerscopeError
from layerscope.net import Net

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject

MOST_AT_ONCE = 16
CHUNK_BYTES = 256_000_000  # of blobs, for the images that are run at once
_SAME = 1e-3  # relative: the value of an image alone and beside another

Array = NDArray[Any]


class Trials:
    """What a subject's unit makes of other inputs.

    Args:
        subject: the unit, and what was fed.
        source: the net as it was given.

    Attributes:
        together: whether images run at once.
    """

    def __init__(self, subject: Subject, source: Net) -> None:
        self._subject, self._source = subject, source
        self._array = subject.known[subject.target]
        self.together = self._own_rows()

    def values(self, samples: Iterable[Array], total: int) -> Iterator[float]:
        """The unit's value for each input."""
        subject = self._subject
        run = session(subject.net, (subject.target,)).run
        for chunk in self._chunks(samples, total, self._at_once(total)):
            (array,) = run(self._feeds(chunk))
            for i in range(len(chunk)):
                yield float(array[self._place(i)])

    def gradients(self, samples: Iterable[Array], total: int) -> Iterator[Array]:
        """The gradient of the unit for each input."""
        subject = self._subject
        count = self._at_once(total)
        net = self._at_batch(count) if self.together else subject.net
        dims = (count, *self._array.shape[1:]) if self.together else self._array.shape
        seed = np.zeros(dims, self._array.dtype)
        for i in range(count):
            seed[self._place(i)] = 1
        for chunk in self._chunks(samples, total, count):
            feeds = self._feeds([*chunk, *chunk[-1:] * (count - len(chunk))])
            found = subject.backward(net, subject.name, feeds, seed)
            if self.together:
                yield from found[: len(chunk)]
            else:
                yield subject.row(found)

    def _place(self, image: int) -> tuple[int, ...]:
        """The unit of an image of a chunk."""
        index = self._subject.unit.index
        return (image, *index[1:]) if self.together else index

    def _own_rows(self) -> bool:
        """Whether each image of a batch is computed alone: tried with one beside another."""
        subject, array = self._subject, self._array
        batches = {len(each) if each.ndim > 1 else 0 for each in subject.feeds.values()}
        if not subject.net.graph.free_batch or array.ndim < 2 or batches != {len(array)}:
            return False
        self.together = True
        pair = self._feeds([subject.item, np.zeros_like(subject.item)])
        try:
            (found,) = session(subject.net, (subject.target,)).run(pair)
            self._at_batch(2)
        except LayerscopeError:
            return False
        if found.shape[1:] != array.shape[1:]:
            return False
        # All of the image's numbers: the unit alone may be 0 here and beside another, by a ReLU.
        alone = np.asarray(subject.row(array), np.float64)
        away = np.abs(found[0] - alone).max(initial=0)
        return bool(away <= _SAME * max(np.abs(alone).max(initial=0), 1e-6))

    def _at_batch(self, count: int) -> Net:
        shapes = {n: (count, *array.shape[1:]) for n, array in self._subject.feeds.items()}
        return fitting_net(self._source, shapes, exact=True)

    def _at_once(self, total: int) -> int:
        """How many images run at once, so that all chunks are about as large."""
        if not self.together:
            return 1
        held = sum(array.nbytes for array in self._subject.known.values()) / len(self._array)
        most = int(min(max(CHUNK_BYTES // max(held, 1), 1), MOST_AT_ONCE))
        return ceil(total / ceil(total / most))

    def _feeds(self, chunk: Sequence[Array]) -> dict[str, Array]:
        """What to feed for some inputs: all of them at once, or the one in its place."""
        subject = self._subject
        feeds, name = subject.feeds, subject.name
        dtype = feeds[name].dtype
        images = [np.rint(each) if dtype.kind in "iu" else each for each in chunk]
        if self.together:
            own = {n: np.repeat(subject.row(a)[None], len(chunk), 0) for n, a in feeds.items()}
            return {**own, name: np.stack(images).astype(dtype)}
        whole = feeds[name].copy()
        subject.row(whole)[...] = images[0]
        return {**feeds, name: whole}

    def _chunks(self, samples: Iterable[Array], total: int, size: int) -> Iterator[list[Array]]:
        """The samples, so many at a time; says how far it is."""
        left, done = iter(samples), 0
        tell, title = self._subject.progress if total > 1 else None, self._subject.title
        while chunk := list(islice(left, size)):
            if tell is not None:
                tell(done, total, title)
            yield chunk
            done += len(chunk)
        if tell is not None:
            tell(total, total, title)
