"""Which blob a method looks at that looks at a layer, and what stands before a softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.errors import UsageError
from layerscope.text import nearest_hint, plural, printable, quoted, shape

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject

# What keeps or loses places, or turns axes, and so is not where a net recognizes something.
_PASSED_OVER = frozenset(
    "MaxPool AveragePool LpPool Transpose Reshape Flatten Squeeze Unsqueeze Resize Slice Pad"
    " Identity Dropout".split()
)
_SATURATES = {"Softmax": "a softmax", "Sigmoid": "a sigmoid"}


def maps(subject: Subject) -> list[str]:
    """The blobs with several places between input and unit, in the order of the net."""
    graph, net = subject.net.graph, subject.net
    rank = subject.item.ndim + 1
    last = {name: node.op_type for node in graph.nodes for name in node.output}
    path = subject.values_between()
    own = net.blobs[subject.unit.blob].base
    found = {}
    for key, blob in net.blobs.items():
        several = len(blob.shape) == rank and any(d > 1 for d in blob.shape[2:])
        if several and rank > 2 and blob.value in path and blob.base != own:
            found[blob.value] = key
    seen = [key for value, key in found.items() if last.get(value) not in _PASSED_OVER]
    return seen or list(found.values())


def layer_of(subject: Subject, asked: str, keys: list[str]) -> tuple[str, str]:
    """The blob to look at, and a note where it was chosen here.

    Args:
        subject: the unit.
        asked: the name of a blob; "" for the last one with a map.
        keys: what `maps` found.

    Raises:
        UnknownNameError: there is no such blob.
        UsageError: the unit does not depend on it, or there is no blob with a map.
    """
    if asked:
        return subject.key(asked), ""
    if not keys:
        raise UsageError(
            f"no blob with several places lies between {quoted(subject.name)} and unit"
            f" {quoted(subject.unit)}; name a layer (--layer), or take a method that needs none"
        )
    return keys[-1], f"at {printable(keys[-1], 40)}, the last map before the unit"


def check_map(subject: Subject, key: str) -> None:
    """Refuse a blob without places.

    Raises:
        UsageError: it has one number a channel.
    """
    dims = subject.net.blobs[key].shape
    if len(dims) > 2 and any(d > 1 for d in dims[2:]):
        return
    known = maps(subject)
    hint = f"; the last map is {printable(known[-1])}" if known else ""
    raise UsageError(
        f"blob {quoted(key)} {shape(dims)} has one place a channel, and no map"
        f"{nearest_hint(key, known) or hint}"
    )


def others_note(subject: Subject) -> str:
    """What to say where one row of the input is not all that the unit is computed from."""
    if not subject.reads_others:
        return ""
    fed = subject.feeds[subject.name]
    return (
        f"the map is of {printable(subject.name, 40)}[{subject.slot}] alone, of"
        f" {plural(len(fed), 'row')} {shape(fed.shape)}; the unit changes with the others too"
    )


def saturation_note(subject: Subject) -> str:
    """What to say of a unit whose slope shrinks where it is sure; "" for others."""
    net, unit = subject.net, subject.unit
    value = net.blobs[unit.blob].value
    op = next((node.op_type for node in net.graph.nodes if value in node.output), "")
    layer = next((each for each in net.layers if unit.blob in each.tops), None)
    if op not in _SATURATES or layer is None or not layer.bottoms:
        return ""
    ends = "near 1" if op == "Softmax" else "near 0 and 1"
    before = str(unit).replace(unit.blob, layer.bottoms[0], 1)
    same = net.blobs[layer.bottoms[0]].shape == net.blobs[unit.blob].shape
    before = before if same else layer.bottoms[0]
    return (
        f"{printable(unit.blob, 40)} is {_SATURATES[op]}, whose slope shrinks {ends};"
        f" {printable(before, 60)} is the score before it"
    )
