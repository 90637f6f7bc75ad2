"""Methods that take the gradient as it is, once or on average."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.attribution.baseline import baseline_of
from layerscope.measure.attribution.registry import Found, method
from layerscope.measure.attribution.result import Completeness
from layerscope.text import number

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject


@method("gradient", title="Gradient", paper="Simonyan, Vedaldi and Zisserman, ICLR 2014 workshop")
def gradient(subject: Subject) -> Found:
    """How the unit changes with each number of the input; the map is the largest of a pixel."""
    return Found(subject.slope(), "largest")


@method(
    "inputxgradient", title="Input x gradient", paper="Shrikumar et al., arXiv:1605.01713, 2016"
)
def input_times_gradient(subject: Subject) -> Found:
    """Each number of the input as it is fed, times how the unit changes with it."""
    item = np.asarray(subject.item, np.float64)
    return Found(item * subject.slope(), "sum")


@method("integrated", title="Integrated gradients", paper="Sundararajan, Taly and Yan, ICML 2017")
def integrated(subject: Subject, *, steps: int = 50, baseline: Any = "zero") -> Found:
    """The input less a baseline, times the mean gradient on the straight way between them."""
    subject.check_fed()
    start, words = baseline_of(subject, baseline)
    away = np.asarray(subject.item, np.float64) - start

    def on_the_way() -> Iterator[NDArray[Any]]:
        for step in range(steps):
            yield start + (step + 0.5) / steps * away

    total = np.zeros_like(away)
    for slope in subject.gradients(on_the_way(), steps):
        total += slope
    values = away * total / steps
    (before,) = subject.values([start], 1)
    complete = Completeness(float(values.sum()), subject.value - before)
    notes = (f"baseline: {words}; the unit is {number(before)} there", str(complete))
    return Found(values, "sum", notes, complete)


@method("smoothgrad", title="SmoothGrad", paper="Smilkov et al., arXiv:1706.03825, 2017")
def smoothgrad(subject: Subject, *, samples: int = 25, noise: float = 0.15, seed: int = 0) -> Found:
    """The mean gradient of images with noise on them; the map is the largest of a pixel."""
    subject.check_fed()
    item = np.asarray(subject.item, np.float64)
    sigma = noise * float(item.max() - item.min())
    random = np.random.default_rng(seed)
    noisy = (item + sigma * random.standard_normal(item.shape) for _ in range(samples))
    total = np.zeros_like(item)
    for slope in subject.gradients(noisy, samples):
        total += slope
    note = (
        f"mean of {samples} images with noise of deviation {number(sigma, 3)}"
        f" ({number(100 * noise, 3)} % of the range)"
    )
    return Found(total / samples, "largest", (note,))
