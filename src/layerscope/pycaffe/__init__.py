"""pycaffe's face: `import layerscope.pycaffe as caffe` runs scripts written for Caffe's Python.

    import layerscope.pycaffe as caffe
    net = caffe.Net("deploy.prototxt", caffe.TEST, weights="weights.caffemodel")
    net.blobs["data"].data[...] = image
    net.forward()["prob"]

What works and what differs: docs/pycaffe.md.
"""

from __future__ import annotations

from typing import Any

from layerscope.pycaffe import io, proto
from layerscope.pycaffe.blob import Blob
from layerscope.pycaffe.classifier import Classifier
from layerscope.pycaffe.detector import Detector
from layerscope.pycaffe.mode import (
    TEST,
    TRAIN,
    init_log,
    layer_type_list,
    log,
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_random_seed,
)
from layerscope.pycaffe.net import Net
from layerscope.pycaffe.outline import Layer

_TRAINING = {
    "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "NesterovSolver", "RMSPropSolver",
    "SGDSolver", "Solver", "get_solver",
}  # fmt: skip
_WRITING = {"NetSpec", "layers", "params", "to_proto"}

__version__ = "1.0.0"  # of the Caffe whose Python this is
__all__ = [
    "TEST",
    "TRAIN",
    "Blob",
    "Classifier",
    "Detector",
    "Layer",
    "Net",
    "__version__",
    "init_log",
    "io",
    "layer_type_list",
    "log",
    "proto",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_random_seed",
]


def __getattr__(name: str) -> Any:
    if name in _TRAINING:
        raise AttributeError(f"caffe.{name}: training is not part of layerscope")
    if name in _WRITING:
        raise AttributeError(f"caffe.{name}: definitions are not written from Python here")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
