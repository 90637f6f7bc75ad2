"""Embed against a table by hand."""

from __future__ import annotations

import numpy as np
import pytest
from test_layers import net_of

import layerscope as ls
from batches import assert_follows

RANDOM = np.random.default_rng(31)
VECTORS = RANDOM.normal(size=(7, 4)).astype(np.float32)
BIAS = RANDOM.normal(size=4).astype(np.float32)


def layer_of(settings: str) -> str:
    return f'layer {{ name: "l" type: "Embed" bottom: "x" top: "y" embed_param {{ {settings} }} }}'


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dims", [(3,), (3, 5), (3, 1, 2, 5)])
def test_embed(tmp_path, dims, bias):
    net = net_of(
        tmp_path, dims,
        layer_of(f"input_dim: 7 num_output: 4 bias_term: {str(bias).lower()}"),
        {"l": [VECTORS, BIAS] if bias else [VECTORS]},
    )  # fmt: skip

    def rule(x):
        y = np.zeros((*x.shape, 4))
        for at in np.ndindex(x.shape):
            y[at] = VECTORS[int(x[at])] + (BIAS if bias else 0)
        return y

    assert_follows(net, rule, draw=lambda d: RANDOM.integers(0, 7, d))
    assert net.layers[-1].summary == "one of 7 vectors of 4"
    assert (net.layers[-1].family, net.graph.free_batch) == ("common", True)


def table(tmp_path):
    settings = "input_dim: 7 num_output: 4 bias_term: false"
    return net_of(tmp_path, (1, 2), layer_of(settings), {"l": [VECTORS]})


def test_indices_are_cut_off_to_whole_numbers(tmp_path):
    y = table(tmp_path).run(np.float32([[2.9, -0.5]]))["y"]
    np.testing.assert_array_equal(y, VECTORS[None, [2, 0]])


@pytest.mark.parametrize("index", [7, -1, -7, 1e9, -1e9, np.nan])
def test_an_index_outside_stops_the_run(tmp_path, index):
    with pytest.raises(ls.errors.UnsupportedError, match=r"out of (data )?bounds"):
        table(tmp_path).run(np.float32([[0, index]]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("input_dim: 7", "num_output must be at least 1"),
        ("num_output: 4", "input_dim must be at least 1"),
        ("input_dim: 0 num_output: 4", "input_dim must be at least 1"),
    ],
)
def test_refused(tmp_path, settings, message):
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, (1, 2), layer_of(settings))
    assert str(caught.value).endswith(f': layer "l": {message}')
