"""The one comparison of blobs that the tests use."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def assert_blob_close(got: ArrayLike, want: ArrayLike, name: str, tolerance: float = 2e-5) -> None:
    """Same shape, and max |got - want| <= tolerance * max(1, max |want|); NaN only where wanted."""
    a, b = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert a.shape == b.shape, f"{name}: shape {a.shape}, wanted {b.shape}"
    if a.size == 0:
        return
    assert np.array_equal(np.isnan(a), np.isnan(b)), f"{name}: NaN in other places"
    difference = np.where(np.isnan(a) | (a == b), 0, np.abs(a - b))
    worst = np.unravel_index(np.argmax(difference), difference.shape)
    finite = b[np.isfinite(b)]
    allowed = tolerance * max(1.0, float(np.abs(finite).max(initial=0)))
    assert difference[worst] <= allowed, (
        f"{name}: {difference[worst]:.3g} apart at {tuple(map(int, worst))}:"
        f" got {a[worst]}, wanted {b[worst]}, allowed {allowed:.3g}"
    )
