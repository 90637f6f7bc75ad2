"""Running a net: ONNX Runtime underneath, every blob kept."""

from __future__ import annotations

from layerscope.engine.onnxruntime import run

__all__ = ["run"]
