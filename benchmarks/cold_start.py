"""How long `layerscope shapes` takes as a whole process, and what nothing at all takes."""

from __future__ import annotations

import sys

from benchmarks.children import output_of
from benchmarks.nets import NetFiles
from benchmarks.timing import Figure, rounds

GOAL = 0.7
_ENTRY = "from layerscope.cli import main; main()"  # what the installed command does


def measure(files: NetFiles, *, quick: bool) -> list[Figure]:
    """Medians over fresh processes that run in turn."""
    commands = {
        "shapes": [sys.executable, "-c", _ENTRY, "shapes", str(files.prototxt)],
        "libraries": [sys.executable, "-c", "import numpy, onnx"],
        "nothing": [sys.executable, "-c", "pass"],
    }
    count = 3 if quick else 11
    works = {name: lambda line=line: output_of(line) for name, line in commands.items()}
    found = rounds(works, count, warm=1)
    note = f"{count} processes"
    return [
        Figure(f"layerscope shapes {files.prototxt.name}", found.median("shapes"), "s", GOAL,
               note=note),
        Figure("  python -c 'import numpy, onnx'", found.median("libraries"), "s",
               note="the floor of it"),
        Figure("  python -c pass", found.median("nothing"), "s"),
    ]  # fmt: skip
