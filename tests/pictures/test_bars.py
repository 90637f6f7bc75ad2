"""Strips of bars: where each value is, and what the caption says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layerscope.errors import UsageError
from layerscope.pictures import color
from layerscope.pictures.bars import HEIGHT, WIDTH, bars

BAR, ZERO, WHITE = [42, 111, 187], [138, 143, 152], [255, 255, 255]


def test_a_bar_goes_from_zero_to_its_value() -> None:
    made = bars([1.0, -0.5, 0.0], "conv1/1 (3,)")
    assert made.caption == "conv1/1 (3,): 3 values, -0.5 … 1"
    assert (made.width, made.height) == (3 * 16 - 1, HEIGHT)
    zero = round(63 * 2 / 3)
    first, second, third = (made.array[:, 16 * i + 3].tolist() for i in range(3))
    assert first == [BAR] * zero + [ZERO] + [WHITE] * (63 - zero)
    assert second == [WHITE] * zero + [ZERO] + [BAR] * (63 - zero)
    assert third == [WHITE] * zero + [ZERO] + [WHITE] * (63 - zero)
    assert made.array[0, 15].tolist() == WHITE  # the gap


def test_a_small_value_is_still_seen() -> None:
    column = bars([1.0, 1e-15]).array[:, 19].tolist()
    assert column.count(BAR) == 1


def test_many_values_share_columns_and_none_is_lost() -> None:
    values = np.zeros(5000)
    values[4321], values[17] = 3.0, -3.0
    made = bars(values)
    assert made.width == WIDTH
    assert made.caption == "5,000 values, -3 … 3, 9.77 to a column"
    assert made.array[0, 4321 * WIDTH // 5000].tolist() == BAR
    assert made.array[-1, 17 * WIDTH // 5000].tolist() == BAR
    assert sum((made.array == BAR).all(axis=2).any(axis=0)) == 2


def test_what_is_not_finite_is_magenta() -> None:
    made = bars([1.0, np.nan, np.inf])
    assert made.caption.endswith("1 … 1; 2 values not finite (magenta)")
    assert (made.array[:, 20] == color.NOT_A_NUMBER).all()
    assert not (made.array[:, 3] == color.NOT_A_NUMBER).all(axis=1).any()


@pytest.mark.parametrize(
    "values",
    [[-1.7e308, 1.7e308], [0.0, 5e-324], np.zeros(9), [np.nan], [True, False], np.full(600, -2.0)],
)
def test_odd_values(values: Any) -> None:
    made = bars(values)
    assert made.png().startswith(b"\x89PNG")
    assert (made.array == ZERO).all(axis=2).any() or np.isnan(values).all()


@pytest.mark.parametrize("values", [[], ["a"], [1j]])
def test_what_cannot_be_drawn(values: Any) -> None:
    with pytest.raises(UsageError, match=r"no values|real numbers"):
        bars(values)
