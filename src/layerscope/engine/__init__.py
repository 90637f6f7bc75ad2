"""Running a net: ONNX Runtime underneath, every blob kept, gradients by a graph of their own."""

from __future__ import annotations

from layerscope.engine.gradient import gradient
from layerscope.engine.onnxruntime import run

__all__ = ["gradient", "run"]
