from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.readers.caffe.write import write_caffemodel

ROOT = Path(__file__).parent.parent
GOLDEN = sorted(p.parent for p in (Path(__file__).parent / "golden").glob("*/golden.npz"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden pictures anew")


@pytest.fixture(scope="session")
def caffenet() -> ls.Net:
    """CaffeNet's shapes at batch 50, without weights."""
    return ls.open(ROOT / "tests" / "nets" / "caffenet.prototxt")


SMALL = """
name: "small"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 9 dim: 7 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "fc2" type: "InnerProduct" bottom: "conv1" top: "fc2"
        inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc2" top: "prob" }
"""


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    """A small net with weights: (prototxt, caffemodel)."""
    random = np.random.default_rng(5)
    definition, weights = tmp_path / "small.prototxt", tmp_path / "small.caffemodel"
    definition.write_text(SMALL)
    write_caffemodel(
        weights,
        "small",
        [
            (
                "conv1",
                "Convolution",
                [random.normal(size=(4, 3, 3, 3)), random.normal(size=(4,))],
            ),
            ("fc2", "InnerProduct", [random.normal(size=(5, 140)), random.normal(size=(5,))]),
        ],
    )
    return definition, weights
