"""The two tables of CaffeNet at batch 50, as the classic walk through Caffe prints them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import layerscope as ls
from layerscope.cli import run
from layerscope.show.table import tables
from layerscope.show.terminal import tables_text

ACTIVATIONS = """
data (50, 3, 227, 227)
conv1 (50, 96, 55, 55)
pool1 (50, 96, 27, 27)
norm1 (50, 96, 27, 27)
conv2 (50, 256, 27, 27)
pool2 (50, 256, 13, 13)
norm2 (50, 256, 13, 13)
conv3 (50, 384, 13, 13)
conv4 (50, 384, 13, 13)
conv5 (50, 256, 13, 13)
pool5 (50, 256, 6, 6)
fc6 (50, 4096)
fc7 (50, 4096)
fc8 (50, 1000)
prob (50, 1000)
"""
PARAMS = """
conv1 (96, 3, 11, 11) (96,)
conv2 (256, 48, 5, 5) (256,)
conv3 (384, 256, 3, 3) (384,)
conv4 (384, 192, 3, 3) (384,)
conv5 (256, 192, 3, 3) (256,)
fc6 (4096, 9216) (4096,)
fc7 (4096, 4096) (4096,)
fc8 (1000, 4096) (1000,)
"""
# conv1 .. conv5, fc6 .. fc8: outputs x inputs weighed for each, for 50 images.
MULTIPLY_ADDS = [
    50 * 55 * 55 * 96 * 363, 50 * 27 * 27 * 256 * 1200, 50 * 169 * 384 * 2304,
    50 * 169 * 384 * 1728, 50 * 169 * 256 * 1728, 50 * 4096 * 9216, 50 * 4096 * 4096,
    50 * 1000 * 4096,
]  # fmt: skip


def test_activation_shapes(caffenet: ls.Net) -> None:
    found = [f"{row.blob} {row.shape}" for row in tables(caffenet).activations]
    assert found == ACTIVATIONS.split("\n")[1:-1]


def test_param_shapes_and_cost(caffenet: ls.Net) -> None:
    rows = tables(caffenet).params
    assert [f"{r.layer} {r.shapes[0]} {r.shapes[1]}" for r in rows] == PARAMS.split("\n")[1:-1]
    assert [row.multiply_adds for row in rows] == MULTIPLY_ADDS
    totals = tables(caffenet).totals
    assert totals.weights == sum(row.weights for row in rows) == 60_965_224
    assert totals.weight_bytes == 4 * 60_965_224
    assert totals.multiply_adds == sum(MULTIPLY_ADDS)
    assert totals.activation_bytes == sum(
        4 * int(np.prod(row.shape)) for row in tables(caffenet).activations
    )


def test_text_has_every_line(caffenet: ls.Net) -> None:
    lines = [" ".join(line.split()) for line in tables_text(tables(caffenet)).splitlines()]
    for wanted in ACTIVATIONS.split("\n")[1:-1]:
        assert wanted in lines
    for wanted in PARAMS.split("\n")[1:-1]:
        assert any(line.startswith(wanted) for line in lines), wanted
    assert "conv1@conv1" in lines[18]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shapes", "tests/nets/caffenet.prototxt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["activations"][1] == {
        "blob": "conv1", "shape": [50, 96, 55, 55], "layer": "relu1", "type": "ReLU",
        "bytes": 4 * 50 * 96 * 55 * 55, "before": ["conv1@conv1"],
    }  # fmt: skip
    assert found["params"][1]["shapes"] == [[256, 48, 5, 5], [256]]
    assert found["params"][1]["loaded"] is False
    assert found["totals"]["weights"] == 60_965_224
