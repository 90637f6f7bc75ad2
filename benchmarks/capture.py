"""What it costs to keep every blob: all values of a run against the last one only."""

from __future__ import annotations

import gc

from benchmarks.nets import NetFiles, images
from benchmarks.onnx_nets import OnnxFile
from benchmarks.sessions import Bare, captured_values, last_value
from benchmarks.timing import SETTLED, Figure, rounds
from layerscope.engine.onnxruntime import session

GOAL = 1.15
ONNX_GOAL = 1.25
_SECONDS = 12.0  # about how long each ratio is measured
_MOST, _FEWEST = 100, 15


def measure(
    files: NetFiles | OnnxFile, batch: int, *, goal: float | None, quick: bool
) -> list[Figure]:
    """Capture against a bare ONNX Runtime run, at one batch size.

    Two sessions are alive: the bare one for the last value, and the net's own for all values.
    Their runs alternate; first the net's is called through `net.run`, then directly.
    """
    gc.collect()
    net = files.open()
    array = images(net, batch)
    feeds = {net.inputs[0]: array}
    values = captured_values(net)
    plain, every = Bare(net, (last_value(net),)).call(feeds), session(net, values)
    trial = SETTLED + rounds({"plain": plain}, 2, warm=1, pause=SETTLED).median("plain")
    count = 5 if quick else int(min(_MOST, max(_FEWEST, _SECONDS / trial / 2)))
    run = rounds({"plain": plain, "all": lambda: net.run(array)}, count, pause=SETTLED)
    direct = rounds({"plain": plain, "all": lambda: every.run(feeds)}, count, pause=SETTLED)
    moved = sum(blob.nbytes for blob in every.run(feeds)) / 1e6
    name = f"{files.name} batch {batch}"
    note = f"{count} pairs"
    return [
        Figure(f"{name}: net.run, all blobs / plain", run.ratio("all", "plain"), "x", goal,
               note=note),
        Figure(f"{name}: session, all values / plain", direct.ratio("all", "plain"), "x",
               note=note),
        Figure(f"{name}: plain run", 1e3 * run.median("plain"), "ms", note="the floor"),
        Figure(f"{name}: net.run, all blobs", 1e3 * run.median("all"), "ms",
               note=f"{moved:.1f} MB in {len(values)} arrays"),
    ]  # fmt: skip
