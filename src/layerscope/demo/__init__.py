"""The demo net: a small net of CaffeNet's kind that was really trained, with labels and images.

See ORIGIN.md beside this file for where the images come from, docs/demo-net.md for the training.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
DEFINITION = FOLDER / "demo.prototxt"
WEIGHTS = FOLDER / "demo.caffemodel"
LABELS = FOLDER / "labels.txt"


def images() -> dict[str, Path]:
    """Name to file of the demo images; the cat is the one that is shown unless asked."""
    found = [p for p in FOLDER.iterdir() if p.suffix in (".jpg", ".png")]
    found.sort(key=lambda path: (path.stem != "cat", path.stem))
    return {path.stem: path for path in found}
