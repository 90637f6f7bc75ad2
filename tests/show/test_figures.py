"""How much of each array is shown, and what is stored once."""

from __future__ import annotations

import base64
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.readers.caffe.write import write_caffemodel
from layerscope.show.figures import MOST_OF_A_PARAM, Source, figure, share
from layerscope.show.sources import Sources, slope_of


def maps(count: int, side: int) -> Source:
    tiles = np.zeros((count, side, side), np.float32)
    return Source("x", tiles, tiles.shape, "channel", tiles)


def test_all_is_shown_where_there_is_room() -> None:
    sources = [maps(3, 10), maps(50, 20)]
    share(sources, 3 * 108 + 50 * 408)
    assert [s.shown for s in sources] == [3, 50]


def test_too_much_is_cut_alike_and_stays_below_the_budget() -> None:
    sources = [maps(3, 10), maps(500, 20), maps(100, 40), maps(40, 50)]
    budget = 3 * 108 + 60 * (408 + 1608) + 40 * 2508 + 1000
    share(sources, budget)
    assert [s.shown for s in sources] == [3, 60, 60, 40]
    packed = [len(figure(s).data) for s in sources]
    assert sum(packed) <= 4 / 3 * budget + 400


def test_large_maps_take_nothing_from_small_ones() -> None:
    sources = [maps(3, 10), maps(500, 20), maps(10, 400)]
    share(sources, 400_000)
    assert [s.shown for s in sources] == [3, (400_000 - 3 * 108) // 2 // 408, 1]


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


NORMED = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 20 dim: 20 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {
    num_output: 9 kernel_size: KERNEL weight_filler { type: "xavier" } } }
layer { name: "n" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "t" type: "Scale" bottom: "c" top: "t" }
"""


@pytest.mark.parametrize("kernel", [3, 15], ids=["own ends", "shared ends"])
def test_a_scaled_blob_is_stored_once(tmp_path: Path, kernel: int) -> None:
    """BatchNorm and Scale: the codes of the convolution with other ends, negative factors too."""
    random = np.random.default_rng(2)
    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    path.write_text(NORMED.replace("KERNEL", str(kernel)))
    arrays = {
        "c": [random.normal(size=(9, 3, kernel, kernel)), random.normal(size=9)],
        "n": [random.normal(size=9), random.uniform(0.5, 2, 9), np.ones(1)],
        "s": [random.normal(size=9), random.normal(size=9)],
        "t": [np.ones(9)],
    }
    write_caffemodel(weights, "net", [(name, "", each) for name, each in arrays.items()])
    net = ls.open(path, weights)
    blobs = net.run(random.normal(size=(1, 3, 20, 20)).astype(np.float32))
    sources = Sources(net, blobs, [])
    names = ["c@c", "c@n", "c@s", "c", "t"]
    found = [sources.blob(*each) for each in zip(net.layers[1:], names, strict=True)]
    assert [each.owner.name for each in found] == ["c@c"] * 4 + ["t"]  # nothing behind a ReLU
    share(sources.blobs, 1 << 30)
    raw = zlib.decompress(base64.b64decode(figure(found[0]).data))
    number = 1 if kernel == 15 else 9
    codes = np.frombuffer(raw[8 * number :], np.uint8).reshape(9, -1)
    for source, name in zip(found[1:4], names[1:4], strict=True):
        low, high = np.frombuffer(
            base64.b64decode(figure(source).panel["tiles"]["ends"]), "<f4"
        ).reshape(2, 9, 1)
        values = low + (codes.astype(np.float64) - 1) / 254 * (high - low)
        if source.slope is not None:
            values = np.where(values < 0, source.slope * values, values)
        true = blobs[name][0].reshape(9, -1)
        assert (np.abs(values - true) <= 0.61 * np.abs(high - low) / 254).all(), name
    assert (found[1].ends[0] < found[1].ends[1]).all()  # a deviation is positive
    assert (found[2].ends[0] > found[2].ends[1]).any()  # a factor need not be


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


def test_an_inner_product_of_maps_has_kernels(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 5 } } }
        layer { name: "f" type: "InnerProduct" bottom: "x" top: "f" inner_product_param {
            num_output: 7 weight_filler { type: "xavier" } } }
        layer { name: "g" type: "InnerProduct" bottom: "f" top: "g" inner_product_param {
            num_output: 6 weight_filler { type: "xavier" } } }
    """)
    net = ls.open(path).filled()
    sources = Sources(net, net.run(np.ones((1, 3, 4, 5), np.float32)), [])
    first, second = (sources.param(layer, 0, layer.params[0]) for layer in net.layers[1:])
    share(sources.params, 1 << 30)
    assert figure(first).statement == "21 of 21 kernels shown, 4x5 each"
    np.testing.assert_array_equal(first.tiles[3 * 2 + 1], first.array[2].reshape(3, 4, 5)[1])
    assert figure(second).statement == "6 of 6 rows shown, 7 wide"


def tile_means(source: Source) -> np.ndarray:
    share([source], 1 << 30)
    return np.frombuffer(base64.b64decode(figure(source).panel["tiles"]["means"]), "<f4")


def test_the_mean_of_a_tile_is_that_of_its_numbers() -> None:
    """Not that of what is packed: in a byte a value, 0.001 beside 1000 is 0."""
    random = np.random.default_rng(7)
    tiles = random.normal(size=(4, 9, 8)).astype(np.float32)
    tiles[1] = 0.001
    tiles[1, 0, 0] = 1000
    tiles[2, 1, 1], tiles[2, 0, 3] = np.nan, np.inf
    tiles[3] = np.nan
    found = tile_means(Source("x", tiles, tiles.shape, "channel", tiles))
    for tile, mean in zip(tiles.tolist(), found, strict=True):
        values = [v for row in tile for v in row if math.isfinite(v)]
        if values:
            assert mean == pytest.approx(math.fsum(values) / len(values), rel=1e-6)
        else:
            assert np.isnan(mean)


def test_the_mean_of_filters_in_colour_and_of_a_matrix() -> None:
    colored = np.random.default_rng(8).normal(size=(5, 3, 9, 9)).astype(np.float32)
    found = tile_means(Source("c", colored, colored.shape, "filter", colored))
    assert found.tolist() == pytest.approx([math.fsum(f.ravel()) / 243 for f in colored], rel=1e-5)
    rows = np.arange(12.0, dtype=np.float32).reshape(4, 1, 3)
    assert tile_means(Source("m", rows, (4, 3), "row", rows)).tolist() == [5.5]


def test_small_tiles_have_no_means_in_the_page() -> None:
    """4 bytes beside 9: the page computes them, and says how far off they may be."""
    assert tile_means(maps(5, 3)).size == 0 and tile_means(maps(5, 8)).size == 5
