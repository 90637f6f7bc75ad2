"""Max pooling's gradient against a slow loop, where most windows hold equal values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from closeness import assert_blob_close
from engine.gradient.onenode import Case

SHAPES = [  # kernel, stride, pads above, left, below, right; (H, W)
    ([3, 3], [1, 1], [1, 1, 1, 1], (6, 7)),
    ([3, 2], [1, 1], [1, 0, 1, 1], (5, 8)),
    ([2, 3], [1, 1], [1, 2, 0, 0], (4, 6)),
    ([5, 1], [1, 1], [2, 0, 2, 0], (7, 4)),
    ([1, 4], [1, 1], [0, 3, 0, 0], (3, 5)),
    ([3, 3], [1, 1], [1, 1, 1, 1], (1, 5)),
    ([5, 5], [1, 1], [2, 2, 2, 2], (3, 2)),
    ([3, 3], [1, 1], [1, 0, 1, 0], (6, 7)),
    ([3, 3], [2, 2], [0, 0, 1, 1], (6, 8)),
    ([3, 2], [2, 3], [1, 0, 1, 1], (7, 8)),
]


def to_the_first(
    x: NDArray[np.float32], dy: NDArray[np.float32], kernel: Sequence[int],
    strides: Sequence[int], pads: Sequence[int],
) -> NDArray[np.float64]:  # fmt: skip
    """Walk through each window row by row; a later value wins only if it is larger."""
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dy.shape):
        best: tuple[int, int] | None = None
        for a, b in np.ndindex(*kernel):
            h, w = i * strides[0] + a - pads[0], j * strides[1] + b - pads[1]
            inside = 0 <= h < x.shape[2] and 0 <= w < x.shape[3]
            if inside and (best is None or x[n, c, h, w] > x[n, c, best[0], best[1]]):
                best = h, w
        assert best is not None
        dx[n, c, best[0], best[1]] += dy[n, c, i, j]
    return dx


@pytest.mark.parametrize("values", ["few", "rectified", "one", "infinite"])
@pytest.mark.parametrize(("kernel", "strides", "pads", "space"), SHAPES)
def test_the_first_of_equal_values_wins(
    kernel: list[int], strides: list[int], pads: list[int], space: tuple[int, int], values: str
) -> None:
    random = np.random.default_rng(8)
    x = random.integers(-2, 3, (2, 3, *space)).astype(np.float32)
    if values == "rectified":
        x = np.maximum(x, 0)
    elif values == "one":
        x = np.full_like(x, -4)
    elif values == "infinite":
        x[x == 1] = np.inf
    net = Case("MaxPool", [x], {"kernel_shape": kernel, "strides": strides, "pads": pads}).net()
    dy = random.normal(size=net.blobs["y0"].shape).astype(np.float32)
    got = net.gradient({"y0": dy}, "x0", {"x0": x})
    assert_blob_close(got, to_the_first(x, dy, kernel, strides, pads), "x0")
