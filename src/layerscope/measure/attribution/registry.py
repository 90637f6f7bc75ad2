"""The methods of attribution: one decorated function each.

    @method("gradcam", title="Grad-CAM", paper="Selvaraju et al., ICCV 2017", at="layer")
    def gradcam(subject, *, signed=False): ...

A method is given a `Subject`, one unit of one image, and says how much each place counts.  Its
settings are its arguments by name, with their defaults.  From the entry come `attribute`, the
messages about a wrong name or setting, the options of the command and the table of
`docs/attribution.md`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import UnknownNameError, UsageError
from layerscope.measure.attribution.result import Completeness
from layerscope.text import nearest_hint, quoted

if TYPE_CHECKING:
    pass

NO_PLACE = "no place speaks for the unit; see the signed map (--signed)"
At = Literal["input", "layer"]
_MODULES = ("gradients", "rectifiers", "cam", "contribution", "perturbation")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a method gives.

    Attributes:
        values: how much each place counts; a layer's without the axis of the batch.
        reduction: how channels become one map: their "sum", the "largest" magnitude, or "none"
            where there are none.
        notes: what the reader of the map has to know, one line each.
        completeness: for methods whose values have to add up.
        shares: for each channel of a layer what it adds.
        settings: those that were used, where they differ from what was asked for.
    """

    values: NDArray[Any]
    reduction: Literal["sum", "largest", "none"]
    notes: tuple[str, ...] = ()
    completeness: Completeness | None = None
    shares: NDArray[np.float64] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


Apply = Callable[..., Found]


@dataclass(frozen=True, slots=True)
class Method:
    """One entry.

    Attributes:
        name: as it is asked for.
        title: as pictures say it.
        paper: where it comes from.
        at: "input" where the map is of what is fed, "layer" where it is of a blob in the net.
        slopes: whether it goes by the gradient.
        apply: `apply(subject, **settings)`.
    """

    name: str
    title: str
    paper: str
    at: At
    slopes: bool
    apply: Apply

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.apply.__doc__ or "").strip().splitlines()[0]

    @property
    def defaults(self) -> dict[str, Any]:
        """The settings that it takes, with their defaults."""
        return dict(_defaults(self.apply))

    @property
    def many(self) -> bool:
        """Whether it runs the net for many inputs, and not just once forward and back."""
        return bool(self.defaults.keys() & {"steps", "samples", "patch"})

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings to use: the defaults, and what is given in their place.

        Raises:
            UsageError: it does not take one of them, or not such a value.
        """
        known = self.defaults
        for name, value in given.items():
            if name not in known:
                takes = ", ".join(known) or "none"
                raise UsageError(
                    f"method {quoted(self.name)} has no setting {quoted(name)}; it takes: {takes}"
                    f"{nearest_hint(name, known)}"
                )
            _check(name, value)
        return {**known, **given}


@cache
def _defaults(apply: Apply) -> Mapping[str, Any]:
    """The arguments by name alone, with their defaults."""
    parameters = inspect.signature(apply).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


_LIMITS: dict[str, tuple[float, float]] = {
    "steps": (1, 100_000), "samples": (1, 1_000_000), "patch": (1, 1_000_000),
    "stride": (1, 1_000_000), "cells": (1, 1000), "seed": (0, 2**32 - 1),
    "noise": (0, 1000), "keep": (0.001, 0.999),
}  # fmt: skip
_PARTS = frozenset({"noise", "keep"})  # need not be whole


def _check(name: str, value: Any) -> None:
    """Refuse a number out of its limits."""
    if name not in _LIMITS or value is None:
        return
    low, high = _LIMITS[name]
    real = isinstance(value, (int, float, np.integer, np.floating)) and isfinite(value)
    if real and low <= value <= high and (name in _PARTS or value == int(value)):
        return
    kind = "a number" if name in _PARTS else "a whole number"
    raise UsageError(f"{name} {quoted(value)}: {kind} from {low:,} to {high:,} is needed")


_methods: dict[str, Method] = {}


def method(
    name: str, *, title: str, paper: str, at: At = "input", slopes: bool = True
) -> Callable[[Apply], Apply]:
    """Register the function of a method."""

    def register(function: Apply) -> Apply:
        if name in _methods:
            raise AssertionError(f"method {name} is there twice")
        _methods[name] = Method(name, title, paper, at, slopes, function)
        return function

    return register


@cache
def methods() -> Mapping[str, Method]:
    """All methods by name, those that cost little first."""
    modules = [f"layerscope.measure.attribution.{name}" for name in _MODULES]
    for module in modules:
        importlib.import_module(module)
    # A module may have been imported alone before: the order is that of the list.
    return dict(sorted(_methods.items(), key=lambda each: modules.index(each[1].apply.__module__)))


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        UnknownNameError: there is none; the message has the nearest and all.
    """
    known = methods()
    if name not in known:
        raise UnknownNameError(
            f"method {quoted(name)} is unknown{nearest_hint(str(name), known)};"
            f" possible: {', '.join(known)}"
        )
    return known[name]
