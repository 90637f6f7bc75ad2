"""What each number of a layer adds to a unit, to first order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from layerscope.measure.attribution.registry import Found, method
from layerscope.text import number

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject


@method(
    "contribution",
    title="Layer-wise contribution",
    paper="first order of Taylor's series: Montavon et al., Pattern Recognition 2017",
    at="layer",
)
def contribution(subject: Subject, at: str) -> Found:
    """Each number of a layer times its gradient: what the unit would lose without it, at first."""
    values = np.asarray(subject.one(at), np.float64) * subject.slope(at)
    shares = values.reshape(len(values), -1).sum(axis=1) if values.ndim else values.reshape(1)
    note = f"all of it adds up to {number(float(values.sum()))}; the unit is"
    note += f" {number(subject.value)}"
    return Found(values, "sum", (note,), shares=shares)
