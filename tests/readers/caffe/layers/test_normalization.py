"""MVN against a slow loop written from mvn_layer.cpp."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_layers import net_of

import layerscope as ls
from batches import assert_follows


def layer_of(settings: str) -> str:
    return f'layer {{ name: "l" type: "MVN" bottom: "x" top: "y" mvn_param {{ {settings} }} }}'


def slow_mvn(x, across, variance, eps):
    full = x.reshape(*x.shape, *(1,) * (4 - x.ndim)).astype(np.float64)
    y = np.zeros(full.shape)
    for n in range(full.shape[0]):
        for group in [slice(None)] if across else [slice(c, c + 1) for c in range(full.shape[1])]:
            given = full[n, group]
            mean = sum(given.ravel()) / given.size
            spread = math.sqrt(sum((v - mean) ** 2 for v in given.ravel()) / given.size)
            y[n, group] = (given - mean) / ((spread + eps) if variance else 1)
    return y


@pytest.mark.parametrize("dims", [(2, 3, 4, 5), (2, 3, 4), (2, 3)])
@pytest.mark.parametrize("eps", [1e-9, 0.75])
@pytest.mark.parametrize("variance", [True, False])
@pytest.mark.parametrize("across", [True, False])
def test_mvn(tmp_path, across, variance, eps, dims):
    """A bottom with fewer than four axes gets ones behind, as Caffe's num() ... width() count."""
    settings = (
        f"across_channels: {str(across).lower()} normalize_variance: {str(variance).lower()}"
        f" eps: {eps}"
    )
    net = net_of(tmp_path, dims, layer_of(settings))
    assert_follows(net, lambda x: slow_mvn(x, across, variance, eps))
    assert net.graph.free_batch
    how = f"eps {eps:g}" if variance else "mean only"
    assert net.layers[-1].summary == f"each {'image' if across else 'map'}, {how}"


def test_a_map_of_one_number(tmp_path):
    """It is its own mean, and 0 / (0 + eps) is 0."""
    net = net_of(tmp_path, (2, 3), layer_of(""))
    assert_follows(net, lambda x: np.zeros((*x.shape, 1, 1)))


def test_eps_is_added_to_the_deviation_not_to_the_variance(tmp_path):
    net = net_of(tmp_path, (1, 1, 1, 2), layer_of("eps: 1"))
    y = net.run(np.float32([-3, 3]).reshape(1, 1, 1, 2))["y"]
    assert y.ravel().tolist() == [-0.75, 0.75]  # 3 / (3 + 1), not 3 / sqrt(9 + 1)


def test_five_axes_are_refused(tmp_path):
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, (1, 2, 3, 4, 5), layer_of(""))
    assert str(caught.value).endswith(
        'layer "l": takes (N, C, H, W), the bottom is (1, 2, 3, 4, 5)'
    )


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_lrn_takes_four_axes_as_caffe_does(region, tmp_path):
    layer = (
        'layer { name: "l" type: "LRN" bottom: "x" top: "y"'
        f" lrn_param {{ norm_region: {region} }} }}"
    )
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, (2, 3, 7), layer)
    assert str(caught.value).endswith('layer "l": takes (N, C, H, W), the bottom is (2, 3, 7)')
