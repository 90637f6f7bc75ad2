"""A layer's map on the image: at the middles of receptive fields, linear between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.measure.attribution.baseline import blurred
from layerscope.measure.attribution.placement import Placement, placement
from measure.attribution.smallnet import image, opened
from onelayer import net_of


def test_linear_between_the_places() -> None:
    plane = np.array([[1.0, 3, 0], [5, -2, 4]])
    found = Placement((1.0, 2.5), (4.0, 3.0), (8, 12), "").spread(plane)
    for y, x in np.ndindex(8, 12):
        row, column = min(max((y - 1) / 4, 0), 1), min(max((x - 2.5) / 3, 0), 2)
        want = 0.0
        for i, j in np.ndindex(2, 3):
            want += max(0, 1 - abs(row - i)) * max(0, 1 - abs(column - j)) * plane[i, j]
        assert found[y, x] == pytest.approx(want)


def test_a_place_stands_where_it_looks(tmp_path: Path) -> None:
    """Only pixels around the place of the map's peak change the unit of that place."""
    text = """layer { name: "c" type: "Convolution" bottom: "x" top: "c"
                      convolution_param { num_output: 1 kernel_size: 5 stride: 4 } }"""
    weights = np.ones((1, 1, 5, 5), np.float32)
    net = net_of(tmp_path, (1, 1, 21, 25), text, {"c": [weights, np.zeros(1)]})
    where = placement(net, "c", "x", (21, 25))
    assert where is not None and "first at 2, stride 4" in where.words
    plane = np.zeros((5, 6))
    plane[3, 4] = 1
    peak = np.unravel_index(where.spread(plane).argmax(), (21, 25))
    blank = np.zeros((1, 21, 25), np.float32)
    touched = []
    for place in np.ndindex(21, 25):
        moved = blank.copy()
        moved[(0, *place)] = 1
        if net.run(moved, ["c"])["c"][0, 0, 3, 4]:
            touched.append(place)
    np.testing.assert_array_equal(peak, np.mean(touched, axis=0))


def test_one_place_or_no_map(tmp_path: Path) -> None:
    net = opened(tmp_path)
    assert placement(net, "fc", "x", (7, 6)) is None
    whole = placement(net, "pool2", "x", (14, 6))  # not the size of the input: drawn over it
    assert whole is not None and "over the whole input" in whole.words
    np.testing.assert_allclose(whole.spread(np.full((2, 2), 3.0)), np.full((14, 6), 3.0))
    found = ls.attribute(net, image(), "prob:1", "gradcam", at="pool2")
    assert found.map.shape == (7, 6) and found.plane.shape == (2, 2)


def test_blur() -> None:
    random = np.random.default_rng(1)
    values = random.standard_normal((2, 9, 8))
    found = blurred(values, (1, 2), 1.0)
    bell = np.exp(-0.5 * np.arange(-3, 4) ** 2.0)
    bell /= bell.sum()
    for c, y, x in np.ndindex(2, 9, 8):
        want = 0.0
        for i, j in np.ndindex(7, 7):
            row, column = min(max(y + i - 3, 0), 8), min(max(x + j - 3, 0), 7)
            want += bell[i] * bell[j] * values[c, row, column]
        assert found[c, y, x] == pytest.approx(want)
