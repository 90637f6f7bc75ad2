"""What it costs to keep every blob: all values of a run against the last one only."""

from __future__ import annotations

import gc

from benchmarks.nets import NetFiles, images
from benchmarks.sessions import Bare, captured_values, last_value
from benchmarks.timing import Figure, rounds
from layerscope.engine.onnxruntime import session

GOAL = 1.15
_SECONDS = 12.0  # about how long one batch size is measured
_MOST, _FEWEST = 200, 15


def measure(files: NetFiles, batch: int, *, goal: float | None, quick: bool) -> list[Figure]:
    """Capture against a bare ONNX Runtime run, at one batch size.

    Two sessions are alive: the bare one for the last value, and the net's own for all values,
    which is called once directly and once through `net.run` in every round.
    """
    gc.collect()
    net = files.open()
    array = images(net, batch)
    feeds = {net.inputs[0]: array}
    values = captured_values(net)
    plain, every = Bare(net, (last_value(net),)).call(feeds), session(net, values)
    works = {
        "plain": plain,
        "session": lambda: every.run(feeds),
        "run": lambda: net.run(array),
    }
    trial = sum(rounds(works, 1, warm=1).median(name) for name in works)
    count = 5 if quick else int(min(_MOST, max(_FEWEST, _SECONDS / trial)))
    found = rounds(works, count)
    moved = sum(blob.nbytes for blob in every.run(feeds)) / 1e6
    name = f"{files.name} batch {batch}"
    note = f"{count} pairs"
    return [
        Figure(f"{name}: net.run, all blobs / plain", found.ratio("run", "plain"), "x", goal,
               note=note),
        Figure(f"{name}: session, all values / plain", found.ratio("session", "plain"), "x",
               note=note),
        Figure(f"{name}: plain run", 1e3 * found.median("plain"), "ms", note="the floor"),
        Figure(f"{name}: net.run, all blobs", 1e3 * found.median("run"), "ms",
               note=f"{moved:.1f} MB in {len(values)} arrays"),
    ]  # fmt: skip
