"""The floor: a bare ONNX Runtime session on the same graph, and the values that a capture keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

import layerscope as ls
from layerscope.engine.model import beside, model

Floats = NDArray[np.float32]


class Bare:
    """ONNX Runtime as anybody would call it: default options, weights given as arrays.

    Args:
        net: what to run.
        values: the graph's outputs.
        options: session options to try instead of the defaults.
    """

    def __init__(
        self, net: ls.Net, values: Sequence[str], options: ort.SessionOptions | None = None
    ) -> None:
        options = options or ort.SessionOptions()
        large = {name: np.ascontiguousarray(array) for name, array in beside(net).items()}
        self._arrays = list(large.values())  # pointed to, so they live as long as it does
        self._held = [ort.OrtValue.ortvalue_from_numpy(array) for array in self._arrays]
        options.add_external_initializers(list(large), self._held)
        self.values = list(values)
        self.session = ort.InferenceSession(
            model(net, values).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def call(self, feeds: dict[str, Any]) -> Callable[[], object]:
        """One run, as work to be timed."""
        return lambda: self.session.run(self.values, feeds)


def last_value(net: ls.Net) -> str:
    """The value of the net's output."""
    return net.blobs[net.outputs[-1]].value


def captured_values(net: ls.Net) -> tuple[str, ...]:
    """The values that `net.run` computes for all blobs: each once, without the inputs."""
    given = {*net.graph.tensors, *net.inputs}
    values = dict.fromkeys(blob.value for blob in net.blobs.values())
    return tuple(value for value in values if value not in given)
