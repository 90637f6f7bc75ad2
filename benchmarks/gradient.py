"""What the gradient of one output by the input costs, next to a plain forward of the same net.

And what Grad-CAM does, which goes back from the output to the last map alone.
"""

from __future__ import annotations

import gc

import layerscope as ls
from benchmarks.nets import NetFiles, images
from benchmarks.timing import SETTLED, Figure, rounds

GOAL = 2.5
CAM_GOAL = 1.5


def measure(files: NetFiles, batch: int, *, quick: bool) -> list[Figure]:
    """Forward and backward by forward, both as a user calls them; the goal is 2.5 or less."""
    gc.collect()
    net = files.open()
    array, last, data = images(net, batch), net.outputs[-1], net.inputs[0]
    works = {
        "run": lambda: net.run(array, [last]),
        "gradient": lambda: net.gradient(f"{last}:7", data, array),
    }
    found = rounds(works, 5 if quick else max(10, 40 // batch), pause=SETTLED)
    forward, both = (1e3 * found.median(name) for name in ("run", "gradient"))
    return [
        Figure(
            f"{files.name}, batch {batch}: gradient / forward",
            found.ratio("gradient", "run"),
            "x",
            GOAL,
            note=f"{both:.3g} ms, {forward:.3g} ms",
        )
    ]


def measure_cam(files: NetFiles, *, quick: bool) -> list[Figure]:
    """Grad-CAM of one image by forward; the goal is 1.5 or less."""
    gc.collect()
    net = files.open()
    array, last = images(net, 1), net.outputs[-1]
    works = {
        "run": lambda: net.run(array, [last]),
        "gradcam": lambda: ls.attribute(net, array, f"{last}:top1", "gradcam"),
    }
    found = rounds(works, 5 if quick else 40, pause=SETTLED)
    forward, both = (1e3 * found.median(name) for name in ("run", "gradcam"))
    return [
        Figure(
            f"{files.name}: Grad-CAM / forward",
            found.ratio("gradcam", "run"),
            "x",
            CAM_GOAL,
            note=f"{both:.3g} ms, {forward:.3g} ms",
        )
    ]
