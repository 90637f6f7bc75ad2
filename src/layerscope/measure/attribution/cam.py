"""Class activation maps: the channels of a layer, each weighed by what it does for the unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.attribution.registry import NO_PLACE, Found, method

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject

Floats = NDArray[np.float64]


@method("gradcam", title="Grad-CAM", paper="Selvaraju et al., ICCV 2017", at="layer")
def gradcam(subject: Subject, at: str, *, signed: bool = False) -> Found:
    """The channels of a layer, each times its mean gradient, summed; what is positive of that."""
    maps, slopes = _both(subject, at)
    weights = slopes.mean(axis=tuple(range(1, slopes.ndim)))
    return _found(np.tensordot(weights, maps, 1), signed)


@method("gradcam++", title="Grad-CAM++", paper="Chattopadhay et al., WACV 2018", at="layer")
def gradcam_plus_plus(subject: Subject, at: str, *, signed: bool = False) -> Found:
    """Grad-CAM with weights for each place: where a channel speaks for the unit, it counts more.

    The paper takes the exponential of the score s, whose derivatives are exp(s) times powers of the
    slope g where the net is linear in pieces; a place has the weight
    g^2 / (2 g^2 + (the sum of the channel) g^3), and a channel the sum of those times max(g, 0).
    """
    maps, slopes = _both(subject, at)
    places = tuple(range(1, maps.ndim))
    square = slopes**2
    below = 2 * square + maps.sum(axis=places, keepdims=True) * square * slopes
    alpha = np.divide(square, below, out=np.zeros_like(square), where=below != 0)
    weights = (alpha * np.maximum(slopes, 0)).sum(axis=places)
    note = "in closed form; the factor exp(score), the same for all places, is left out"
    return _found(np.tensordot(weights, maps, 1), signed, note)


def _both(subject: Subject, at: str) -> tuple[Floats, Floats]:
    """A layer's channels and their gradients, (C, ...)."""
    return np.asarray(subject.one(at), np.float64), np.asarray(subject.slope(at), np.float64)


def _found(plane: Floats, signed: bool, *notes: str) -> Found:
    if signed:
        return Found(plane, "none", notes)
    if plane.size and plane.max() <= 0 and plane.min() < 0:
        notes = (*notes, NO_PLACE)
    return Found(np.maximum(plane, 0), "none", notes)
