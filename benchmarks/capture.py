"""What it costs to keep every blob: all values of a run against the last one only."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nets import NetFiles, images
from benchmarks.onnx_nets import OnnxFile
from benchmarks.sessions import Bare, captured_values, last_value
from benchmarks.timing import SETTLED, Figure, Work, rounds
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
    Their runs alternate; first the net's is called through `net.run`, then directly.  In the same
    rounds the bytes that a capture keeps are written once, to memory that is there already: no way
    of keeping them can cost less beyond the plain run.
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
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        write = _writing(every.run(feeds), pool)
        written = rounds({"plain": plain, "write": write}, count, pause=SETTLED)
        del write
    direct = rounds({"plain": plain, "all": lambda: every.run(feeds)}, count, pause=SETTLED)
    moved = sum(blob.nbytes for blob in every.run(feeds)) / 1e6
    rate = moved / 1e3 / written.median("write")
    name = f"{files.name} batch {batch}"
    note = f"{count} pairs"
    return [
        Figure(f"{name}: net.run, all blobs / plain", run.ratio("all", "plain"), "x", goal,
               note=note),
        Figure(f"{name}: session, all values / plain", direct.ratio("all", "plain"), "x",
               note=note),
        Figure(f"{name}: plain run and writing / plain", 1 + written.ratio("write", "plain"), "x",
               note=f"the floor; {rate:.1f} GB/s"),
        Figure(f"{name}: plain run", 1e3 * run.median("plain"), "ms"),
        Figure(f"{name}: net.run, all blobs", 1e3 * run.median("all"), "ms",
               note=f"{moved:.1f} MB in {len(values)} arrays"),
    ]  # fmt: skip


def _writing(arrays: Sequence[NDArray[Any]], pool: ThreadPoolExecutor) -> Work:
    """Work that writes every byte of the arrays once, on all processors."""
    flat = [array.reshape(-1).view(np.uint8) for array in arrays if array.nbytes]
    return lambda: list(pool.map(lambda part: part.fill(1), flat))
