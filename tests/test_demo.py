"""The demo net is trained: it knows its images, and it is small."""

from __future__ import annotations

import numpy as np
import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, FOLDER, LABELS, WEIGHTS, images
from layerscope.measure.top import read_labels, top


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


def test_it_is_of_caffenets_kind(net: ls.Net) -> None:
    wanted = [
        "Input",
        *["Convolution", "ReLU", "Pooling", "LRN"] * 2,
        *["Convolution", "ReLU"] * 3,
        "Pooling",
        *["InnerProduct", "ReLU", "Dropout"] * 2,
        "InnerProduct",
        "Softmax",
    ]
    assert [layer.type for layer in net.layers] == wanted
    assert net.graph.shapes["data"] == (1, 3, 227, 227)
    assert sum(p.size for each in net.params.values() for p in each) * 4 <= 1_500_000


@pytest.mark.parametrize("name", sorted(images()))
def test_it_knows_its_images(net: ls.Net, name: str) -> None:
    best = top(net.run(images()[name])["prob"][0], read_labels(LABELS))[0]
    assert best.label == name and best.value > 0.5


def test_channels_are_alive(net: ls.Net) -> None:
    blobs = [net.run(path) for path in images().values()]
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        together = np.concatenate([each[name] for each in blobs])
        alive = together.any(axis=(0, 2, 3))
        assert alive.mean() >= 0.75, name


def test_images_are_small_and_their_origin_is_said() -> None:
    origin = (FOLDER / "ORIGIN.md").read_text()
    assert 2 <= len(images()) <= 4
    for path in images().values():
        assert path.stat().st_size < 60_000
        assert path.name in origin


def test_the_docs_state_its_mean_and_size(net: ls.Net) -> None:
    page = (FOLDER.parents[2] / "docs" / "demo-net.md").read_text()
    blue, green, red = net.preprocessing.mean
    assert f"(B {blue:g}, G {green:g}, R {red:g})" in page
    weights = sum(p.size for each in net.params.values() for p in each)
    assert f"{weights:,} numbers" in page
