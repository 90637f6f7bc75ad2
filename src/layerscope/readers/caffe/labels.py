"""Which inputs are labels: only losses read them, so a net runs without them too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from layerscope.net import Blob, Layer
from layerscope.text import printable


def label_inputs(
    layers: Sequence[Layer], blobs: Mapping[str, Blob], inputs: Collection[str]
) -> tuple[str, ...]:
    """The inputs that only losses read, if need be through layers without learned numbers.

    A net that is nothing but losses needs all of its inputs: then there are none.
    """
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for bottom in layer.bottoms:
            readers.setdefault(bottom, []).append(layer)
    spare: set[str] = set()
    for layer in reversed(layers):  # who reads a blob comes after who writes it
        for top in layer.tops:
            known = top in readers or not layer.bottoms
            if known and all(_only_scores(each, spare) for each in readers.get(top, ())):
                spare.add(top)
    tops = [top for layer in layers if not layer.bottoms for top in layer.tops]
    values = (blobs[top].value for top in tops if top in spare)
    found = tuple(value for value in values if value in inputs)
    return found if len(found) < len(inputs) else ()


def label_note(
    layers: Sequence[Layer], blobs: Mapping[str, Blob], labels: Collection[str]
) -> list[str]:
    """What is left out while the labels are not fed, in one line; nothing where there are none."""
    gone = {key for key, blob in blobs.items() if blob.value in labels}
    if not gone:
        return []
    spare = _names(gone)
    for layer in layers:
        if gone.intersection(layer.bottoms):
            gone.update(layer.tops)
    left = _names(key for key in blobs if key in gone)
    return [
        f"only losses read input {spare}; while it is not fed, these blobs are left out: {left}"
    ]


def _only_scores(layer: Layer, spare: set[str]) -> bool:
    """Whether a layer is a loss, or has no learned numbers and writes nothing but for losses."""
    return layer.family == "loss" or (not layer.params and spare.issuperset(layer.tops))


def _names(keys: Iterable[str]) -> str:
    return ", ".join(printable(key) for key in keys)
