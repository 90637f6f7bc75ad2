"""Opening a large caffemodel and running it once, in a process of its own: time and memory."""

from __future__ import annotations

import json
import sys
from statistics import median

from benchmarks.children import output_of
from benchmarks.nets import NetFiles
from benchmarks.timing import Figure

GOAL_SECONDS = 1.0
GOAL_MEMORY = 3.5  # times the file


def measure(files: NetFiles, *, quick: bool, goal: bool = True) -> list[Figure]:
    """Medians over fresh processes; the file is in the page cache, as it was just written."""
    count = 2 if quick else 5
    command = [sys.executable, "-m", "benchmarks.opening_child"]
    command += [str(files.prototxt), str(files.caffemodel)]
    output_of(command)  # once for the caches
    runs = [json.loads(output_of(command)) for _ in range(count)]
    found = {name: median(run[name] for run in runs) for name in runs[0]}
    size = files.caffemodel.stat().st_size / 1e6
    beyond = found["peak"] - found["peak imports"]
    name, note = f"{files.name}, {size:.0f} MB", f"{count} processes"
    mapped = f"{found['peak']:.0f} MB, the mapped file counted"
    return [
        Figure(f"{name}: open and run once, beyond imports", found["total"], "s",
               GOAL_SECONDS if goal else None, note=note),
        Figure("  open", found["open"], "s"),
        Figure("  make the session", found["session"], "s"),
        Figure("  first run, all blobs", found["run"], "s"),
        Figure("  imports", found["imports"], "s", note="not counted above"),
        Figure(f"{name}: peak memory / file", found["peak"] / size, "x",
               GOAL_MEMORY if goal else None, note=mapped),
        Figure("  peak after the imports", found["peak imports"], "MB"),
        Figure("  peak beyond the imports / file", beyond / size, "x"),
    ]  # fmt: skip
