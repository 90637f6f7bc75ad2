"""Measures of likeness, against numbers made by hand and against NumPy on whole arrays."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from layerscope.measure import similarity as module
from layerscope.measure.similarity import Tally, similarity


def test_by_hand() -> None:
    found = similarity(np.array([3.0, -4.0, 0.0, 1.0]), np.array([3.0, 4.0, 0.5, 1.0]))
    assert (found.size, found.absolute, found.relative) == (4, 8.0, 2.0)
    assert found.mean == 8.5 / 4
    assert found.snr == pytest.approx(10 * math.log10(26 / 64.25))
    assert found.cosine == pytest.approx((9 - 16 + 1) / math.sqrt(26 * 26.25))
    assert found.flips == 0.25  # 0 against 0.5 is no flip
    assert (found.place, found.at_a, found.at_b, found.peak) == (1, -4.0, 4.0, 4.0)
    assert not found.equal


def test_twenty_decibels_is_a_tenth() -> None:
    a = np.array([1.0, 2.0, -3.0])
    assert similarity(a, 1.1 * a).snr == pytest.approx(20)
    assert similarity(a, 1.001 * a).snr == pytest.approx(60)


def test_equal_zero_and_opposite() -> None:
    a = np.array([1.0, -2.0])
    same = similarity(a, a.copy())
    assert (same.absolute, same.relative, same.cosine, same.snr) == (0, 0, 1, math.inf)
    assert same.equal and not same.beyond(0, "relative") and not same.beyond(200, "snr")
    assert similarity(a, -a).cosine == pytest.approx(-1) and similarity(a, -a).flips == 1
    zero = np.zeros(2)
    assert similarity(zero, zero).cosine == 1
    lost = similarity(zero, a)
    assert (lost.cosine, lost.relative, lost.snr) == (0, math.inf, -math.inf)
    assert similarity(a, zero).snr == 0
    assert similarity(np.zeros((0, 3)), np.zeros((0, 3))).equal


def test_not_finite() -> None:
    nan, inf = math.nan, math.inf
    a = np.array([1.0, nan, nan, inf, inf, 2.0, -1.0], np.float32)
    b = np.array([1.0, nan, 5.0, inf, -inf, inf, -1.5], np.float32)
    found = similarity(a, b)
    assert (found.nan_a, found.nan_b, found.infinite_a, found.infinite_b) == (2, 1, 2, 3)
    assert found.apart == 3  # NaN/5, inf/-inf, 2/inf
    assert found.absolute == 0.5 and found.place == 6 and found.mean == pytest.approx(0.5 / 2)
    for by in ("relative", "absolute", "snr", "cosine"):
        assert found.beyond(-1e9 if by in ("snr", "cosine") else 1e9, by)
    alike = similarity(np.array([nan, inf, 1]), np.array([nan, inf, 1]))
    assert alike.equal and not alike.beyond(0, "absolute")


def _slow(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    d = a - b
    return {
        "absolute": np.abs(d).max(),
        "mean": np.abs(d).mean(),
        "relative": np.abs(d).max() / np.abs(a).max(),
        "snr": 10 * np.log10(np.sum(a**2) / np.sum(d**2)),
        "cosine": np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b),
        "flips": np.mean(np.sign(a) * np.sign(b) == -1),
        "place": np.argmax(np.abs(d)),
    }


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int8, np.float64])
def test_blocks_give_what_whole_arrays_give(kind: type) -> None:
    random = np.random.default_rng(3)
    shape = (3, 17, 61, 53)  # more than two blocks, the last one incomplete
    assert np.prod(shape) > 2 * module._BLOCK
    a = (30 * random.normal(size=shape)).clip(-120, 120).astype(kind)
    b = (a + 3 * random.normal(size=shape)).clip(-125, 125).astype(kind)
    found = similarity(a, b)
    for name, wanted in _slow(a, b).items():
        assert getattr(found, name) == pytest.approx(wanted, rel=1e-10), name


def test_any_memory_layout_and_no_large_copy() -> None:
    random = np.random.default_rng(4)
    a = random.normal(size=(1, 64, 120, 130)).astype(np.float32)
    b = np.ascontiguousarray(a.transpose(0, 2, 3, 1) + np.float32(0.25)).transpose(0, 3, 1, 2)
    b[0, 7, 5, 3] += 1
    similarity(a[:, :1], b[:, :1])
    tracemalloc.start()
    found = similarity(a, b)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.unravel_index(found.place, a.shape) == (0, 7, 5, 3)
    for name, wanted in _slow(a, b).items():
        assert getattr(found, name) == pytest.approx(wanted, rel=1e-10), name
    assert most < a.nbytes  # 4 MB; the same sums over whole arrays in float64 hold 16


def test_several_arrays_together_are_as_one() -> None:
    random = np.random.default_rng(5)
    a, b = random.normal(size=(2, 3, 1000))
    b[1, 17] = np.nan
    whole, parts = Tally(), Tally()
    whole.add(a, b)
    for one, other in zip(a, b, strict=True):
        tally = Tally()
        tally.add(one, other)
        parts.include(tally)
    left, right = whole.result(), parts.result()
    for name in left.__dataclass_fields__:
        assert getattr(left, name) == pytest.approx(getattr(right, name), rel=1e-12), name


def test_beyond_and_rank() -> None:
    a = np.array([1.0, 1.0])
    near, far = similarity(a, a * [1, 1.01]), similarity(a, a * [1, 1.1])
    assert near.beyond(0.009, "relative") and not near.beyond(0.011, "relative")
    assert far.beyond(30, "snr") and not near.beyond(30, "snr")
    for by in ("relative", "absolute", "snr", "cosine"):
        assert far.rank(by) > near.rank(by), by


def test_shapes_must_be_equal() -> None:
    with pytest.raises(ValueError, match="differ"):
        similarity(np.zeros((2, 3)), np.zeros((3, 2)))
