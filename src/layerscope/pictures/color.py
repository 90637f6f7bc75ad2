"""Colour maps: 253 colours each, computed here from a few points in Oklab.

Oklab (Bjorn Ottosson, 2020, https://bottosson.github.io/posts/oklab) is a colour space in which
equal distances look equal, so steps that are even there are even to the eye.
"""

from __future__ import annotations

import functools
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from layerscope import text
from layerscope.errors import UsageError

Color: TypeAlias = Literal["gray", "heat", "diverging"]
COLORS: tuple[Color, ...] = get_args(Color)

Rgb: TypeAlias = npt.NDArray[np.uint8]
_Floats: TypeAlias = npt.NDArray[np.float64]

NOT_A_NUMBER = (255, 0, 255)
"""Magenta, which is in no map: a value that is NaN or infinite."""
PAGE = (255, 255, 255)
"""White: the gap between tiles, and the places without one."""

# The places of a palette (see `palette`).
TOP = 252
MISSING = 254
EMPTY = 255

# Lightness 0..1, then green-red and blue-yellow.
_POINTS = {
    "heat": [
        (0.16, 0.02, -0.06),
        (0.36, 0.10, -0.10),
        (0.56, 0.19, 0.03),
        (0.76, 0.10, 0.14),
        (0.96, -0.03, 0.11),
    ],
    "diverging": [
        (0.45, -0.03, -0.20),
        (0.725, -0.03, -0.10),
        (1.00, 0.00, 0.00),
        (0.725, 0.13, 0.06),
        (0.45, 0.16, 0.09),
    ],
}
_LAB_TO_ROOTS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_CONES_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def palette(name: Color) -> Rgb:
    """The colours of a picture with places that hold no value: (256, 3) uint8, read-only.

    "gray" is black to white, "heat" dark violet over red to pale yellow; both get lighter at every
    step.  "diverging" is blue, white, red; white is in the middle, where the scale "signed" puts
    zero.

    The map itself takes 0..`TOP` (an even number, so that it has a middle), `MISSING` is for
    values that are not finite and `EMPTY` for the page between the tiles.

    Raises:
        UsageError: no colour map has that name.
    """
    return _palette(_known(name))


def _known(name: Color) -> Color:
    if name not in COLORS:
        known = ", ".join(COLORS)
        raise UsageError(f"color map {text.quoted(name)} is unknown; possible: {known}")
    return name


@functools.cache
def _palette(name: Color) -> Rgb:
    full = np.full((256, 3), PAGE, np.uint8)
    full[: TOP + 1] = _steps(name, TOP + 1)
    full[MISSING] = NOT_A_NUMBER
    full.flags.writeable = False
    return full


def _steps(name: Color, number: int) -> Rgb:
    way = np.linspace(0, 1, number)
    if name == "gray":
        gray = (way * 255 + 0.5).astype(np.uint8)
        return np.stack([gray, gray, gray], axis=1)
    points = np.array(_POINTS[name])
    knots = np.linspace(0, 1, len(points))
    lab = np.stack([np.interp(way, knots, column) for column in points.T], axis=1)
    return _rgb(lab)


def _rgb(lab: _Floats) -> Rgb:
    """Oklab (n, 3) -> sRGB (n, 3) uint8; what no screen can show is cut at the nearest it can."""
    cones = (lab @ _LAB_TO_ROOTS.T) ** 3
    light = np.clip(cones @ _CONES_TO_RGB.T, 0, 1)
    screen = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    rounded: Rgb = (screen * 255 + 0.5).astype(np.uint8)
    return rounded
