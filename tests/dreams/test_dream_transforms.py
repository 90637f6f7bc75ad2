"""Small movements: transposed exactly, and what a slow loop over pixels gives."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.dreams.transforms import SCALE, TURN, Warp, Warps


def places(warps: Warps, warp: Warp) -> np.ndarray:
    """(4, H * W), the four neighbours of where a pixel comes from."""
    return warp.first + np.array([[0], [1], [warps._wide], [warps._wide + 1]])


@pytest.mark.parametrize("size", [(9, 7), (1, 1), (20, 31), (64, 64)])
def test_the_way_back_is_the_transpose(size: tuple[int, int]) -> None:
    random = np.random.default_rng(8)
    warps = Warps(size, random)
    for _ in range(12):
        warp = warps.draw(random)
        images = random.normal(size=(2, 3, *size))
        gradients = random.normal(size=(2, 3, *size))
        there = (warps.apply(warp, images) * gradients).sum()
        back = (images * warps.back(warp, gradients)).sum()
        assert there == pytest.approx(back, rel=1e-10, abs=1e-10)


def test_places_and_weights_are_those_of_a_turn_and_a_scale() -> None:
    """Where pixels come from is a similarity: one angle, one factor, within the limits."""
    random = np.random.default_rng(2)
    warps = Warps((24, 30), random)
    wide = warps._wide
    angles, factors = set(), set()
    for _ in range(40):
        warp = warps.draw(random)
        np.testing.assert_allclose(warp.weights.sum(axis=0), 1, atol=1e-6)
        rows = ((places(warps, warp) // wide) * warp.weights).sum(axis=0).reshape(24, 30)
        columns = ((places(warps, warp) % wide) * warp.weights).sum(axis=0).reshape(24, 30)
        right = (columns[:, 1:] - columns[:, :-1]) + 1j * (rows[:, 1:] - rows[:, :-1])
        down = (rows[1:] - rows[:-1]) - 1j * (columns[1:] - columns[:-1])
        step = right.mean()
        np.testing.assert_allclose(right, step, atol=1e-3)
        np.testing.assert_allclose(down, step, atol=1e-3)
        angles.add(round(float(np.degrees(np.angle(step))), 3))
        factors.add(round(float(np.log(abs(step))), 4))
    assert max(map(abs, angles)) <= TURN + 0.01 and max(map(abs, factors)) <= SCALE + 0.001
    assert min(angles) < -2 < 2 < max(angles) and min(factors) < -0.02 < 0.02 < max(factors)


def test_a_moved_image_is_what_a_slow_loop_samples() -> None:
    random = np.random.default_rng(6)
    warps = Warps((8, 11), random)
    image = random.normal(size=(8, 11))
    warp = warps.draw(random)
    (top, left), wide = warp.corner, warps._wide
    want = np.zeros((8, 11))
    for pixel in range(8 * 11):
        for place, weight in zip(
            places(warps, warp)[:, pixel], warp.weights[:, pixel], strict=True
        ):
            y, x = int(place) // wide - top, int(place) % wide - left
            if 0 <= y < 8 and 0 <= x < 11:  # gray beyond the edge: 0 as a difference
                want[pixel // 11, pixel % 11] += weight * image[y, x]
    np.testing.assert_allclose(warps.apply(warp, image[None, None])[0, 0], want, atol=1e-12)


def test_nothing_reaches_beyond_the_margin() -> None:
    for size in [(5, 200), (100, 100), (3, 3)]:
        random = np.random.default_rng(1)
        warps = Warps(size, random)
        for _ in range(60):
            warp = warps.draw(random)
            columns = places(warps, warp) % warps._wide
            assert min(warp.corner) >= 0 and warp.corner[0] + size[0] <= warps._high
            assert warp.corner[1] + size[1] <= warps._wide
            assert (
                places(warps, warp).min() >= 0
                and places(warps, warp).max() < warps._wide * warps._high
            )
            assert columns.min() >= 1 and columns.max() < warps._wide - 1  # no row runs over


def test_the_same_seed_moves_alike() -> None:
    def moved(seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        warps = Warps((9, 9), random)
        image = np.random.default_rng(0).normal(size=(1, 1, 9, 9))
        return np.concatenate([warps.apply(warps.draw(random), image) for _ in range(5)])

    assert (moved(1) == moved(1)).all() and (moved(1) != moved(2)).any()
    assert len(np.unique(moved(1).reshape(5, -1), axis=0)) == 5
