"""What `net.run` adds to the bare session call when it gives back the same one array."""

from __future__ import annotations

import gc

from benchmarks.nets import NetFiles, images
from benchmarks.sessions import Bare, last_value
from benchmarks.timing import SETTLED, Figure, rounds

GOAL_MS, GOAL_SHARE = 1.0, 0.02


def measure(files: NetFiles, *, quick: bool, count: int) -> list[Figure]:
    """The difference of the two, at batch 1; the goal is 1 ms and 2 % of the bare call."""
    gc.collect()
    net = files.open()
    array = images(net, 1)
    last = net.outputs[-1]
    bare = Bare(net, (last_value(net),)).call({net.inputs[0]: array})
    count = max(5, count // 10) if quick else count
    works = {"bare": bare, "run": lambda: net.run(array, [last])}
    found = rounds(works, count, pause=SETTLED)
    call = 1e3 * found.median("bare")
    return [
        Figure(
            f"{files.name}: net.run adds",
            1e3 * found.difference("run", "bare"),
            "ms",
            GOAL_MS + GOAL_SHARE * call,
            note=f"bare call {call:.3g} ms, {count} pairs",
        )
    ]
