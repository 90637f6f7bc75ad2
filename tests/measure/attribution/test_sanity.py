"""The maps have to change when the weights do (Adebayo et al., "Sanity Checks for Saliency Maps").

The demo net's layers are filled with random weights one after the other, from the top down, and the
map of the same score is held against the one of the trained net by rank correlation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope import demo
from layerscope.measure.attribution import methods
from layerscope.readers.caffe.write import write_caffemodel

FROM_THE_TOP = ["fc8", "fc7", "fc6", "conv5", "conv4", "conv3", "conv2", "conv1"]
UNIT = "fc8:2"
SETTINGS: dict[str, dict[str, int]] = {
    "integrated": {"steps": 8}, "smoothgrad": {"samples": 6},
    "occlusion": {"patch": 45, "stride": 45}, "rise": {"samples": 60},
}  # fmt: skip


def randomized(folder: Path, layers: list[str]) -> ls.Net:
    """The demo net with other weights in some layers, of the deviation that they had."""
    net, random = ls.open(demo.DEFINITION, demo.WEIGHTS), np.random.default_rng(1)
    entries = []
    for name, params in net.params.items():
        arrays = [np.asarray(param) for param in params]
        if name in layers:
            arrays = [(a.std() * random.standard_normal(a.shape)).astype(np.float32)
                      for a in arrays]  # fmt: skip
        entries.append((name, "", arrays))
    path = folder / "random.caffemodel"
    write_caffemodel(path, "demo", entries)
    return ls.open(demo.DEFINITION, path)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, of magnitudes; equal values share their rank."""
    ranks = []
    for values in (np.abs(a).ravel(), np.abs(b).ravel()):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        ranks.append((ends - (counts - 1) / 2)[inverse])
    return float(np.corrcoef(*ranks)[0, 1])


def correlations(folder: Path, method: str, depths: list[int]) -> list[float]:
    image = str(demo.images()["cat"])
    more = SETTINGS.get(method, {})
    plain = ls.attribute(randomized(folder, []), image, UNIT, method, **more).map
    return [
        rank_correlation(
            plain,
            ls.attribute(randomized(folder, FROM_THE_TOP[:d]), image, UNIT, method, **more).map,
        )
        for d in depths
    ]


@pytest.mark.parametrize("method", [each for each in methods() if each != "guided"])
def test_maps_change_with_the_weights(tmp_path: Path, method: str) -> None:
    same, top, whole = correlations(tmp_path, method, [0, 1, 8])
    assert same == pytest.approx(1)
    assert abs(top) < 0.9, "the last layer's weights do not matter"
    assert abs(whole) < 0.6, "no weights matter"


def test_guided_backpropagation_hardly_looks_at_the_top(tmp_path: Path) -> None:
    """As Adebayo et al. found: what the last layers learned is not in its map."""
    same, top, half, whole = correlations(tmp_path, "guided", [0, 1, 4, 8])
    assert same == pytest.approx(1)
    assert top > 0.95 and half > 0.85
    assert whole < 0.6
