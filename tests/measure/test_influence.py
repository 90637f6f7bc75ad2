"""What a unit of one op reads: its box against runs in which one number after the other is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.gradient.onenode import Case
from engine.gradient.recurrence import GATES
from layerscope.measure.influence import rule_of

RANDOM = np.random.default_rng(21)


def normal(*dims: int) -> np.ndarray:
    return RANDOM.normal(size=dims).astype(np.float32)


def recurrent(op: str, way: str) -> Case:
    count, gates = (2 if way == "bidirectional" else 1), GATES[op] * 3
    arrays = [normal(4, 2, 3), normal(count, gates, 3), normal(count, gates, 3)]
    outputs = 3 if op == "LSTM" else 2
    return Case(op, arrays, {"hidden_size": 3, "direction": way}, outputs, (1, 2), label=way)


def same(x: np.ndarray) -> np.ndarray:
    return x


CASES = [
    *(recurrent(op, way) for op in GATES for way in ("forward", "reverse", "bidirectional")),
    Case("GroupNormalization", [normal(2, 6, 3), normal(6), normal(6)], {"num_groups": 3},
         fixed=(1, 2), opset=21, forward=same),
    Case("RMSNormalization", [normal(2, 3, 4), normal(4)], fixed=(1,), opset=23, forward=same),
    Case("SimplifiedLayerNormalization", [normal(2, 3, 4), normal(3, 4)], {"axis": 1}, fixed=(1,),
         forward=same),
    Case("BatchNormalization", [normal(2, 3, 4), *(abs(normal(3)) for _ in range(4))],
         {"training_mode": 1}, 3, (1, 2, 3, 4), forward=same),
    Case("Gelu", [normal(2, 3)], opset=20, forward=same),
    Case("Swish", [normal(2, 3)], opset=24, forward=same),
    Case("Shrink", [normal(2, 3) * 3], {"lambd": 0.01}, forward=same),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_box_is_what_changes_a_unit(case: Case) -> None:
    """All in the box changes the unit, and nothing outside it."""
    net = case.net()
    rule = rule_of(net.graph.nodes[0], net.graph, {"x0"})
    x = case.inputs[0]
    moved: dict[tuple[int, ...], Any] = {}
    for place in np.ndindex(x.shape):
        other = x.copy()
        other[place] += 0.5
        moved[place] = net.run({"x0": other})
    still = net.run({"x0": x})
    for output in range(case.outputs):
        array = still[f"y{output}"]
        for unit in list(np.ndindex(array.shape))[:: max(1, array.size // 12)]:
            ((which, box, exact),) = rule(tuple(range(i, i + 1) for i in unit), True, output)
            assert which == 0 and exact
            for place, blobs in moved.items():
                inside = all(i in places for i, places in zip(place, box, strict=True))
                assert (blobs[f"y{output}"][unit] != array[unit]) == inside, (unit, place)
