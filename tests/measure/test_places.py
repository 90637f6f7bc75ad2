"""Sets of positions, held against sets that are listed place by place."""

from __future__ import annotations

from math import prod

import numpy as np

from layerscope.measure.boxes import MOST_PARTS, add, reshaped
from layerscope.measure.places import gathered, holds, moved, reading, summed, united, within


def some(rng: np.random.Generator) -> set[int]:
    if rng.random() < 0.6:
        start, count, step = (int(rng.integers(*ends)) for ends in ((-9, 9), (1, 6), (1, 5)))
        return set(range(start, start + count * step, step))
    return {int(p) for p in rng.integers(-9, 15, int(rng.integers(1, 6)))}


def test_sets_of_places() -> None:
    rng = np.random.default_rng(1)
    for _ in range(2000):
        a, b = some(rng), some(rng)
        x, y = gathered(a), gathered(b)
        assert list(x) == sorted(a)
        stride, size = int(rng.choice([-3, -1, 1, 2, 5])), int(rng.integers(1, 14))
        assert list(moved(x, stride, 4)) == sorted(p * stride + 4 for p in a)
        assert list(within(x, size)) == sorted(p for p in a if 0 <= p < size)
        assert list(united(x, y)) == sorted(a | b)
        assert holds(x, y) == (b <= a)
        taps = range(-int(rng.integers(0, 5)), int(rng.integers(1, 6)), int(rng.integers(1, 4)))
        assert list(summed(x, taps)) == sorted({p + t for p in a for t in taps})
        every = range(-80, 80)
        wide = abs(stride)
        seen = sorted(w for w in every if any(w * wide + t in a for t in taps))
        assert list(reading(x, wide, taps)) == seen


def test_reshaped_boxes() -> None:
    rng = np.random.default_rng(2)
    shapes = [((2, 12, 5), (2, 3, 4, 5)), ((24, 5), (2, 3, 4, 5)), ((2, 3, 20), (2, 12, 5)),
              ((2, 3, 4, 5), (2, 60)), ((2, 1, 6, 1), (12,)), ((3, 2, 4), (4, 3, 2)),
              ((1, 6), (6, 1, 1)), ((4, 6), (3, 8))]  # fmt: skip
    for dims, before in shapes:
        places = np.arange(prod(dims))
        new = np.stack(np.unravel_index(places, dims), axis=1)
        old = np.stack(np.unravel_index(places, before), axis=1)
        for _ in range(60):
            ends = [sorted(rng.integers(0, dim, 2).tolist()) for dim in dims]
            box = tuple(range(a, b + 1) for a, b in ends)
            inside = all_in(new, box)
            parts = list(reshaped(box, dims, before))
            covered = np.zeros(len(places), bool)
            for part, exact in parts:
                here = all_in(old, part)
                covered |= here
                assert not exact or not (here & ~inside).any(), (dims, before, box, part)
            assert not (inside & ~covered).any()


def all_in(places: np.ndarray, box: tuple[object, ...]) -> np.ndarray:
    return np.all([np.isin(places[:, k], list(axis)) for k, axis in enumerate(box)], axis=0)  # type: ignore[call-overload]


def test_boxes_of_one_value() -> None:
    parts = [((range(0, 2), range(3)), True)]
    add(parts, ((range(2, 4), range(3)), True))
    assert parts == [((range(0, 4), range(3)), True)]
    add(parts, ((range(1, 2), range(1, 2)), True))  # within the first
    assert len(parts) == 1
    add(parts, ((range(0, 5), range(4)), False))
    assert len(parts) == 2
    for i in range(MOST_PARTS):
        add(parts, ((range(10 + 2 * i, 11 + 2 * i), range(i, i + 1)), True))
    assert parts[0] == ((range(0, 23), range(0, 7)), False)  # nine boxes, the ninth is at 22
    assert len(parts) == 2
