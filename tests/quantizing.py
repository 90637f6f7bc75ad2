"""The demo net as ONNX, and in int8 by ONNX Runtime's own tool."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, WEIGHTS, images


@pytest.fixture(scope="session")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `layerscope convert` makes of the demo net."""
    path = tmp_path_factory.mktemp("floats") / "demo.onnx"
    ls.convert(ls.open(DEFINITION, WEIGHTS), path)
    return path


@pytest.fixture(scope="session")
def int8(floats: Path) -> Path:
    """QDQ, a scale for each filter, calibrated on all images of the demo but the cat."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    net = ls.open(floats)

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = [net.run(p, ["data"]) for name, p in images().items() if name != "cat"]

        def get_next(self) -> Any:
            return {"data": self.left.pop()["data"]} if self.left else None

    path = floats.with_name("int8.onnx")
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantize_static(floats, path, Images(), quant_format=QuantFormat.QDQ, per_channel=True)
    finally:
        logging.disable(logging.NOTSET)
    return path
