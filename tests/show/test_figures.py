"""How much of each array is shown, and what is stored once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.show.figures import MOST_OF_A_PARAM, Source, figure, share
from layerscope.show.sources import Sources, slope_of


def maps(count: int, side: int) -> Source:
    tiles = np.zeros((count, side, side), np.float32)
    return Source("x", tiles, tiles.shape, "channel", tiles)


def test_all_is_shown_where_there_is_room() -> None:
    sources = [maps(3, 10), maps(50, 20)]
    share(sources, 3 * 108 + 50 * 408)
    assert [s.shown for s in sources] == [3, 50]


def test_too_much_is_cut_fairly_and_stays_below_the_budget() -> None:
    sources = [maps(3, 10), maps(500, 20), maps(100, 40)]
    budget = 100_000
    share(sources, budget)
    assert sources[0].shown == 3  # asks for less than its share
    used = [s.shown * s.bytes_each for s in sources]
    assert sum(used) <= budget
    assert all(each > 0.9 * (budget - used[0]) / 2 for each in used[1:])
    packed = [len(figure(s).data) for s in sources]
    assert sum(packed) <= 4 / 3 * budget + 400


def test_one_map_that_is_too_large_is_said_to_be_missing() -> None:
    source = maps(2, 300)
    share([source], 50_000)
    found = figure(source)
    assert not found.panel and found.statement == "0 of 2 channels shown, 300x300 each"


def test_a_wide_matrix_is_told_by_its_distribution(tmp_path: Path) -> None:
    matrix = np.arange(12_288.0).reshape(4, 3072)
    found = figure(Source("w", matrix, matrix.shape, "value"))
    assert "4x3072 is too wide to be drawn" in found.statement
    assert found.spread.high == 12_287 and found.spread.size == 12_288


NET = """
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 1 dim: 3 dim: 20 dim: 20 }} }} }}
layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{
    num_output: 90 kernel_size: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "r" type: "{kind}" bottom: "c" top: "c" {more} }}
layer {{ name: "d" type: "Convolution" bottom: "c" top: "d" convolution_param {{
    num_output: 90 kernel_size: 3 weight_filler {{ type: "xavier" }} }} }}
"""


@pytest.mark.parametrize(
    ("kind", "more", "slope"),
    [
        ("ReLU", "", 0.0),
        ("ReLU", "relu_param { negative_slope: 0.25 }", 0.25),
        ("ReLU", "relu_param { negative_slope: -0.5 }", None),
        ("Sigmoid", "", None),
        ("TanH", "", None),
    ],
)
def test_what_the_page_can_compute_is_stored_once(
    tmp_path: Path, kind: str, more: str, slope: float | None
) -> None:
    """Decided by what the layer does: the name says nothing."""
    path = tmp_path / "net.prototxt"
    path.write_text(NET.format(kind=kind, more=more))
    net = ls.open(path).filled()
    blobs = net.run(np.random.default_rng(1).normal(size=(1, 3, 20, 20)).astype(np.float32))
    sources = Sources(net, blobs, [])
    before = sources.blob(net.layers[1], "c@c")
    after = sources.blob(net.layers[2], "c")
    assert slope_of(net, net.layers[2]) == slope
    assert after.parent is (before if slope is not None else None)
    share(sources.blobs, 1 << 30)
    if slope is not None:
        assert not figure(after).data and after.shown == before.shown == 90
        bent = np.where(blobs["c@c"] < 0, slope * blobs["c@c"], blobs["c@c"])
        np.testing.assert_allclose(blobs["c"], bent, rtol=1e-6)


def test_deep_filters_are_shown_in_part(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET.format(kind="ReLU", more=""))
    net = ls.open(path).filled()
    blobs = net.run(np.zeros((1, 3, 20, 20), np.float32))
    sources = Sources(net, blobs, [])
    deep = sources.param(net.layers[3], 0, net.layers[3].params[0])
    share(sources.params, 1 << 30)
    assert 9 * deep.shown <= MOST_OF_A_PARAM < 9 * deep.total
    assert figure(deep).statement == f"{deep.shown:,} of 8,100 kernels shown, 3x3 each"
