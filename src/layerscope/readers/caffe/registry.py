"""The layer types: one decorated function each, from which everything else about a type follows.

    @layer("LRN", v1="LRN", bottoms=1, tops=1, source="caffe/src/caffe/layers/lrn_layer.cpp")
    def lrn(g, layer, x): ...

From the entry come dispatch, the errors for a wrong number of bottoms or tops, the older enum
name, the list of known types with its "did you mean", the family (the name of the module in
`layers/`, or of the package where a family has several modules) and the table of
`layerscope layers`.  A type that forks spell in several ways has an entry for each spelling.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from layerscope.text import nearest_hint, quoted

FAMILIES = (
    "data", "vision", "recurrent", "common", "normalization", "neuron", "utility", "loss",
    "detection", "fork",
)  # fmt: skip
_LAYERS = "layerscope.readers.caffe.layers"

Arity = int | tuple[int, int | None]
Translate = Callable[..., str | tuple[str, ...]]
Sharing = Literal["", "always", "alone", "in place"]


@dataclass(frozen=True, slots=True)
class LayerType:
    """One entry.

    Attributes:
        name: Caffe's type string.
        v1: the older enum name, or "".
        bottoms, tops: least and most; None means any number.
        param: the field of LayerParameter with its settings, or "".
        family: Caffe's layer family.
        source: the file of Caffe that defines it.
        sharing: when its tops are the bottom's own numbers and not a copy: always, when it has one
            bottom and one top, or when it works in place.
        translate: `translate(g, layer, *bottoms)` adds the nodes and gives the tops.
    """

    name: str
    v1: str
    bottoms: tuple[int, int | None]
    tops: tuple[int, int | None]
    param: str
    family: str
    source: str
    translate: Translate
    sharing: Sharing = ""

    def shares_data(self, bottoms: Sequence[str], tops: Sequence[str]) -> bool:
        """Whether a layer with these blobs gives out its first bottom's own numbers."""
        if self.sharing == "alone":
            return len(bottoms) == len(tops) == 1
        if self.sharing == "in place":
            return list(bottoms) == list(tops)
        return bool(self.sharing)

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.translate.__doc__ or "").strip().splitlines()[0]


_types: dict[str, LayerType] = {}


def layer(
    name: str,
    *,
    bottoms: Arity,
    tops: Arity,
    v1: str = "",
    param: str = "",
    source: str,
    sharing: Sharing = "",
) -> Callable[[Translate], Translate]:
    """Register the function that translates a layer type.

    Args:
        name: Caffe's type string, "Convolution".
        bottoms: how many: a number, or (least, most) with None for "any number".
        tops: the same for what it writes.
        v1: the name in the older enum, "CONVOLUTION".
        param: the field of LayerParameter that has its settings, "convolution_param".
        source: the file of Caffe that defines it.
        sharing: when its tops are the bottom's own numbers; see `LayerType`.
    """

    def register(function: Translate) -> Translate:
        if name in _types:
            raise AssertionError(f"layer type {name} is registered twice")
        _types[name] = LayerType(
            name=name,
            v1=v1,
            bottoms=_arity(bottoms),
            tops=_arity(tops),
            param=param,
            family=function.__module__.removeprefix(f"{_LAYERS}.").split(".")[0],
            source=source,
            translate=function,
            sharing=sharing,
        )
        return function

    return register


def _arity(given: Arity) -> tuple[int, int | None]:
    return (given, given) if isinstance(given, int) else given


@cache
def layer_types() -> dict[str, LayerType]:
    """All known types by name."""
    for family in FAMILIES:
        module = importlib.import_module(f"{_LAYERS}.{family}")
        for part in pkgutil.iter_modules(getattr(module, "__path__", ())):
            importlib.import_module(f"{module.__name__}.{part.name}")
    return dict(sorted(_types.items()))


@cache
def v1_names() -> dict[str, str]:
    """Older enum name to type string."""
    return {each.v1: each.name for each in layer_types().values() if each.v1}


def find(name: str) -> LayerType | None:
    """The type of that name, or None."""
    return layer_types().get(name)


def unknown_type(name: str) -> str:
    """The message about a type that is not known."""
    known: dict[str, Any] = layer_types()
    return (
        f"type {quoted(name)}; {len(known)} types are known{nearest_hint(name, known)}"
        " (see: layerscope layers)"
    )
