"""What stands for "nothing there": the input that an image is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import UsageError
from layerscope.inputs import prepare
from layerscope.text import nearest_hint, quoted, shape

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject

Baseline = Literal["zero", "black", "blur"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
_BLUR = 16  # the deviation of the blur is this part of the shorter side
Floats = NDArray[np.float64]


def baseline_of(subject: Subject, asked: Any) -> tuple[Floats, str]:
    """The baseline of an input, and what it is in words.

    Args:
        subject: whose input.
        asked: "zero" for 0 as it is fed (for a net that takes its mean off, the mean), "black" for
            a black image, "blur" for the image blurred, or an array in the shape of the input.

    Raises:
        UsageError: none of those, or black where no image was fed.
    """
    item = np.asarray(subject.item, np.float64)
    if not isinstance(asked, str):
        try:
            given = np.asarray(asked, np.float64)
        except (TypeError, ValueError):
            given = np.array(np.nan)
        if not np.isfinite(given).all():
            raise UsageError(
                f"the baseline has what is no finite number; possible: {', '.join(BASELINES)},"
                f" a number, or an array {shape(item.shape)}"
            )
        if given.shape not in (item.shape, ()):
            raise UsageError(
                f"the baseline is {shape(given.shape)}, the input {quoted(subject.name)}"
                f" {shape(item.shape)}"
            )
        words = "the array that was given" if given.ndim else f"{float(given):g} as fed"
        return np.broadcast_to(given, item.shape), words
    if asked == "zero":
        return np.zeros_like(item), _zero_words(subject)
    if asked == "black":
        return _black(subject), "a black image"
    if asked == "blur":
        size = min(subject.places, default=1)
        sigma = max(size / _BLUR, 1.0)
        return blurred(item, subject.space, sigma), f"the image blurred by {sigma:.3g} pixels"
    raise UsageError(
        f"baseline {quoted(asked)} is unknown; possible: {', '.join(BASELINES)}"
        f"{nearest_hint(asked, BASELINES)}"
    )


def _zero_words(subject: Subject) -> str:
    if subject.picture is None:
        return "0 as fed"
    how = subject.preprocessing
    mean = isinstance(how.mean, np.ndarray) or any(how.mean)
    if not mean:
        return "0 as fed, which is black"
    kind = "mean image" if isinstance(how.mean, np.ndarray) else "mean color"
    return f"0 as fed, which is the {kind}"


def _black(subject: Subject) -> Floats:
    if subject.picture is None:
        raise UsageError("baseline black needs an image; an array was fed: take zero, or an array")
    picture = np.zeros_like(subject.picture)
    fed = prepare(picture, (1, *subject.item.shape), subject.preprocessing, subject.name)
    return np.asarray(fed.array[0], np.float64)


def blurred(values: NDArray[Any], axes: Sequence[int], sigma: float) -> Floats:
    """Values smoothed by a Gaussian along some axes; the edge goes on behind itself."""
    found = np.asarray(values, np.float64)
    reach = ceil(3 * sigma)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    bell /= bell.sum()
    for axis in axes:
        padding = [(reach, reach) if i == axis else (0, 0) for i in range(found.ndim)]
        padded = np.pad(found, padding, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(bell), axis=axis)
        found = windows @ bell
    return found
