"""Which layers a net has in a phase: include and exclude rules.

Rules: `caffe/src/caffe/net.cpp` (FilterNet, StateMeetsRule).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layerscope.errors import ReadError
from layerscope.readers.caffe.message import Message
from layerscope.text import quoted


@dataclass(frozen=True, slots=True)
class State:
    """The state that rules are held against."""

    phase: str = "TEST"
    level: int = 0
    stages: tuple[str, ...] = ()


TESTING = State()


def kept(layers: Sequence[Message], state: State) -> list[Message]:
    """The layers that are there in this state, each told the phase.

    Raises:
        ReadError: a layer has include and exclude rules at once, which Caffe refuses.
    """
    found = []
    for layer in layers:
        if layer.include and layer.exclude:
            raise ReadError(
                f"{layer.place('exclude')}: layer {quoted(layer.name)} has include and exclude"
                " rules; it may have one kind"
            )
        if layer.include:
            keep = any(_meets(rule, state) for rule in layer.include)
        else:
            keep = not any(_meets(rule, state) for rule in layer.exclude)
        if keep:
            found.append(_in_phase(layer, state.phase))
    return found


def _in_phase(layer: Message, phase: str) -> Message:
    """The layer with the net's phase, where it does not state its own."""
    if layer.has("phase"):
        return layer
    copy = layer.copy()
    copy.set("phase", phase)
    return copy


def _meets(rule: Message, state: State) -> bool:
    if rule.has("phase") and rule.phase != state.phase:
        return False
    if rule.has("min_level") and state.level < rule.min_level:
        return False
    if rule.has("max_level") and state.level > rule.max_level:
        return False
    stages = set(state.stages)
    return set(rule.stage) <= stages and not set(rule.not_stage) & stages
