"""Methods that go back through rectifiers in another way than the derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.measure.attribution.registry import Found, method

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject


@method("guided", title="Guided backpropagation", paper="Springenberg et al., ICLR 2015 workshop")
def guided(subject: Subject) -> Found:
    """The gradient, of which each rectifier also holds back what is negative."""
    return Found(subject.slope(mode="guided"), "largest", _notes(subject))


@method("deconvolution", title="Deconvolution", paper="Zeiler and Fergus, ECCV 2014")
def deconvolution(subject: Subject) -> Found:
    """The gradient, but each rectifier passes what is positive, whatever it passed forward."""
    return Found(subject.slope(mode="deconvolution"), "largest", _notes(subject))


def _notes(subject: Subject) -> tuple[str, ...]:
    if subject.rectifiers():
        return ()
    return ("no ReLU on the way: the map is the plain gradient",)
