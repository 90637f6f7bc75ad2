from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layerscope.errors import UsageError
from layerscope.pictures import color
from layerscope.pictures.color import COLORS, TOP, Color, palette
from layerscope.pictures.scale import measure, stretch

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def shades(name: Color) -> Any:
    """The part of a palette that values are drawn with."""
    return palette(name)[: TOP + 1]


def oklab(rgb: Any) -> Any:
    """The way back: sRGB bytes to Oklab, with the matrices of its definition."""
    screen = rgb / 255
    light = np.where(screen <= 0.04045, screen / 12.92, ((screen + 0.055) / 1.055) ** 2.4)
    return np.cbrt(light @ _TO_CONES.T) @ _TO_LAB.T


@pytest.mark.parametrize("name", COLORS)
def test_palettes_are_read_only_bytes(name: Color) -> None:
    made = palette(name)
    assert (made.shape, made.dtype) == ((256, 3), np.uint8)
    with pytest.raises(ValueError, match="read-only"):
        made[0, 0] = 1


def test_gray_is_gray() -> None:
    colors = shades("gray")
    assert (colors == colors[:, :1]).all()
    assert (colors[0, 0], colors[-1, 0]) == (0, 255)
    np.testing.assert_allclose(colors[:, 0], np.linspace(0, 255, TOP + 1), atol=0.5)


@pytest.mark.parametrize("name", ["gray", "heat"])
def test_sequential_maps_get_lighter_at_every_step(name: Color) -> None:
    assert (np.diff(oklab(shades(name))[:, 0]) > 0).all()


def test_heat_is_even_to_the_eye() -> None:
    lightness = oklab(shades("heat"))[:, 0]
    even = np.linspace(lightness[0], lightness[-1], TOP + 1)
    assert np.abs(lightness - even).max() < 0.02
    assert lightness[-1] - lightness[0] > 0.75


def test_diverging_is_white_in_the_middle_and_as_dark_at_both_ends() -> None:
    colors = shades("diverging")
    assert colors[TOP // 2].tolist() == [255, 255, 255]
    lightness = oklab(colors)[:, 0]
    assert (np.diff(lightness[: TOP // 2 + 1]) > 0).all()
    assert (np.diff(lightness[TOP // 2 :]) < 0).all()
    assert np.abs(lightness - lightness[::-1]).max() < 0.02


def test_palette_keeps_places_for_what_is_no_value() -> None:
    for name in COLORS:
        colors = palette(name)
        assert colors[color.MISSING].tolist() == list(color.NOT_A_NUMBER)
        assert colors[color.EMPTY].tolist() == list(color.PAGE)
        assert color.NOT_A_NUMBER not in {tuple(c) for c in colors[: color.TOP + 1].tolist()}
    assert palette("diverging")[color.TOP // 2].tolist() == [255, 255, 255]


def test_zero_is_white_from_number_to_colour() -> None:
    values = np.array([[-3.0, 0.0, 1.0]])
    levels = stretch(values, measure(values, "signed"), TOP)
    assert palette("diverging")[levels][0, 1].tolist() == [255, 255, 255]


def test_an_unknown_map_lists_the_known() -> None:
    with pytest.raises(UsageError, match='"jet" is unknown; possible: gray, heat, diverging'):
        palette("jet")  # type: ignore[arg-type]
