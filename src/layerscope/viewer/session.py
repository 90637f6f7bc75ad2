"""One net, ready to run for many pages, and the images that may be put before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.blobs import Blobs
from layerscope.engine.onnxruntime import Session as Runtime
from layerscope.engine.onnxruntime import fitting_net, input_types, missing
from layerscope.errors import UnsupportedError, UsageError
from layerscope.inputs import Fed, prepare
from layerscope.measure.distribution import Distribution
from layerscope.measure.top import probability_blob
from layerscope.net import Named, Net
from layerscope.show.figures import Source, spread_of
from layerscope.text import plural, printable, quoted
from layerscope.viewer.gallery import Exhibit, Gallery
from layerscope.viewer.mover import Mover


class Session:
    """A net that is run one image at a time.

    Only its worker's thread may call what runs the net; `mover` has a thread of its own.

    Args:
        net: the net.
        gallery: the images.
        labels: names of the classes.
        others: what the other inputs of the net are fed with, by name: one source as for `net.run`
            each; zeros where there is none.

    Raises:
        UsageError: the net has no weights, or no input of a name in `others`.
        UnsupportedError: nothing of it can be computed.
    """

    def __init__(
        self,
        net: Net,
        gallery: Gallery,
        labels: Sequence[str] = (),
        others: Mapping[str, Any] | None = None,
    ) -> None:
        if net.missing:
            raise UsageError(missing(net))
        if not net.blobs or not net.inputs:
            why = net.not_computed[0].reason if net.not_computed else "it has no inputs"
            raise UnsupportedError(f"net {printable(net.name)} cannot be viewed: {why}")
        self.required = [name for name in net.inputs if name not in net.optional]
        dims = {name: (1, *net.graph.shapes[name][1:]) for name in self.required}
        self.net = fitting_net(net, dims)
        self.gallery = gallery
        self.labels = list(labels)
        self._others = dict(others or {})
        for name in self._others:
            Named(dict.fromkeys(net.inputs), "input", f"net {quoted(net.name)}")[name]
        self.probability = probability_blob(self.net)
        self._dims, self._types = dims, input_types(self.net)
        if gallery.offered and self.image_size is None:
            noise = Exhibit("noise", "noise", self.noise(), "noise of a fixed seed")
            self.gallery = Gallery([noise])
        self._runtime: Runtime | None = None
        self.mover = Mover(self.net)
        self._spreads: dict[tuple[str, int], Distribution] = {}
        self._values = tuple(
            dict.fromkeys(
                blob.value
                for blob in self.net.blobs.values()
                if blob.value not in self.net.graph.tensors and blob.value not in self.net.inputs
            )
        )

    @property
    def main_input(self) -> str:
        """The input that an image is for: the first that can take one, or the first of all."""
        free = {n: d for n, d in self._dims.items() if n not in self._others} or self._dims
        return next((n for n, d in free.items() if takes_images(d)), next(iter(free)))

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of the image that the net takes; None when it takes none."""
        dims = self._dims[self.main_input]
        return (dims[2], dims[3]) if takes_images(dims) else None

    def feed(self, source: Any, statement: str = "") -> dict[str, Fed]:
        """The blobs of all inputs for one image; inputs that it is not for get zeros.

        Raises:
            LayerscopeError: it is no image, or does not fit.
        """
        main = self.main_input
        found = self._prepared(main, source)
        others = [name for name in self.required if name != main]
        words = statement or found.statement
        if len(found.array) > 1:
            words += f"; the first of {len(found.array)} is shown"
        zeros = [name for name in others if name not in self._others]
        if zeros:
            words += f"; {plural(len(zeros), 'other input')} fed with zeros"
        fed = {name: self._other(name) for name in others}
        fed[main] = Fed(found.array[:1], found.pictures[:1], words)
        return {name: fed[name] for name in self.required}

    def _other(self, name: str) -> Fed:
        """What an input is fed with that no image is for."""
        if name not in self._others:
            return Fed(np.zeros(self._dims[name], self._type(name)), (), "zeros")
        found = self._prepared(name, self._others[name])
        return Fed(found.array[:1], found.pictures[:1], found.statement)

    def _type(self, name: str) -> np.dtype[Any]:
        return self._types.get(name, np.dtype(np.float32))

    def _prepared(self, name: str, source: Any) -> Fed:
        return prepare(source, self._dims[name], self.net.preprocessing, name, self._type(name))

    def accept(self, source: Any) -> Exhibit:
        """Keep an upload in the size of the net, which is small, with how it was made.

        Raises:
            LayerscopeError: it cannot be fed.
        """
        fed = self.feed(source)[self.main_input]
        kept = fed.picture if fed.picture is not None else fed.array
        return self.gallery.add(kept, fed.statement)

    def noise(self) -> NDArray[Any]:
        """What is fed where there is no image: normal noise of a fixed seed.

        Whole numbers are 0 or 1: as indices they are in every table.
        """
        random, dims = np.random.default_rng(0), self._dims[self.main_input]
        kind = self._type(self.main_input)
        if kind.kind == "f":
            return random.normal(size=dims).astype(kind)
        return random.integers(0, 2, size=dims).astype(kind)

    def run(self, fed: Mapping[str, Fed], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The blobs of those names; one runtime session serves every choice of them.

        Raises:
            LayerscopeError: the runtime stopped.
        """
        feeds = {name: each.array for name, each in fed.items()}
        known: dict[str, Any] = {**self.net.graph.tensors, **feeds}
        values = {self.net.blobs[name].value for name in names}
        wanted = [value for value in self._values if value in values]
        if wanted:
            if self._runtime is None:
                # The browser beside it needs the processors between two frames; and every page
                # wants other blobs.
                self._runtime = Runtime(self.net, self._values, spins=False, keeps=False)
            found = self._runtime.run(feeds, wanted)
            known.update(zip(wanted, found, strict=True))
        return {name: known[self.net.blobs[name].value] for name in names}

    def rest(self) -> None:
        """Forget what runs the net, until it is run again: no page looks at it."""
        self._runtime = None
        self.mover.rest()

    def spread(self, key: tuple[str, int], source: Source) -> Distribution:
        """How all numbers of a param, by layer and number, are spread; large ones take a second."""
        if key not in self._spreads:
            self._spreads[key] = spread_of(source)
        return self._spreads[key]

    def blobs(self, fed: Mapping[str, Fed]) -> Blobs:
        """Every blob of a run, for explanations."""
        arrays = self.run(fed, list(self.net.blobs))
        return Blobs(arrays, fed, net_name=self.net.name)


def takes_images(dims: Sequence[int]) -> bool:
    """Whether an input of that shape can be filled with an image."""
    return len(dims) == 4 and dims[1] in (1, 3)
