"""A run of some layers: the part of the definition built as a net of its own, and a session."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.engine.onnxruntime import Session
from layerscope.inputs import Preprocessing
from layerscope.net import Net
from layerscope.pycaffe.definition import Definition, with_inputs
from layerscope.readers.caffe.build import NetBuilder
from layerscope.readers.caffe.weights import Weights

Shape = tuple[int, ...]


class Program:
    """The layers from `first` to `last`, with an input for every blob that comes from elsewhere.

    Attributes:
        fed: the blobs that it must be given, with the shapes it was built for.
        shapes: every blob that it writes, with its shape.
        net: those layers as a net of their own.
    """

    def __init__(
        self,
        definition: Definition,
        first: int,
        last: int,
        given: Mapping[str, Shape],
        weights: Weights | None,
    ) -> None:
        names, layers = definition.part(first, last)
        self.fed = {name: given[name] for name in names}
        builder = NetBuilder(with_inputs(self.fed, layers), weights)
        builder.build()
        self.net = Net(
            name=definition.name,
            format="caffe",
            layers=tuple(builder.layers),
            blobs=builder.blobs,
            graph=builder.g.finish(),
            outputs=builder.outputs,
            preprocessing=Preprocessing(),
        )
        tops = dict.fromkeys(top for each in layers for top in each.top)
        self._values = {name: builder.blobs[name].value for name in tops if name in builder.blobs}
        self.shapes = {name: builder.blobs[name].shape for name in self._values}

    def fits(self, given: Mapping[str, Shape]) -> bool:
        """Whether it runs for blobs of these shapes: the same, or another batch where that is free.

        Args:
            given: the present shape of every blob.
        """
        now = {name: given[name] for name in self.fed}
        if now == self.fed:
            return True
        if not self.net.graph.free_batch or not all(now.values()):
            return False
        pairs = [(now[name], dims) for name, dims in self.fed.items()]
        rates = {(new[0] * pairs[0][1][0], old[0] * pairs[0][0][0]) for new, old in pairs if old}
        return all(new[1:] == old[1:] and new[0] > 0 for new, old in pairs) and all(
            a == b for a, b in rates
        )

    @cached_property
    def _computed(self) -> list[str]:
        known = {*self.net.graph.tensors, *self.net.inputs}
        return [value for value in dict.fromkeys(self._values.values()) if value not in known]

    @cached_property
    def _session(self) -> Session:
        return Session(self.net, self._computed)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every blob that the layers write; each array belongs to its blob alone."""
        known: dict[str, Any] = {**self.net.graph.tensors, **feeds}
        if self._computed:
            known.update(zip(self._computed, self._session.run(feeds), strict=True))
        found: dict[str, NDArray[Any]] = {}
        taken: set[str] = set(known) - set(self._computed)
        for name, value in self._values.items():
            array = np.asarray(known[value], np.float32)
            found[name] = np.array(array) if value in taken else array
            taken.add(value)
        return found
