"""What the gradient of one output by the input costs, next to a plain forward of the same net.

And what Grad-CAM does, which goes back from the output to the last map alone.

Where PyTorch is installed (`pip install torch`), its forward and backward of the same net run in
turn with ours, on as many threads.
"""

from __future__ import annotations

import gc
from importlib.util import find_spec

import numpy as np

import layerscope as ls
from benchmarks.nets import Floats, NetFiles, images
from benchmarks.timing import SETTLED, Figure, Rounds, Work, rounds

GOAL = 2.5
CAM_GOAL = 1.5
UNIT = 7


def measure(files: NetFiles, batch: int, *, quick: bool) -> list[Figure]:
    """Forward and backward by forward, both as a user calls them; the goal is 2.5 or less.

    The unit is one of the scores, before the softmax: with weights at random that gives 0 and 1, so
    all behind it would be zeros.  PyTorch's two ways, where it is there, should take no less.
    """
    gc.collect()
    net = files.open()
    array, data = images(net, batch), net.inputs[0]
    last = next(layer.bottoms[0] for layer in net.layers if layer.type == "Softmax")
    works: dict[str, Work] = {
        "run": lambda: net.run(array, [last]),
        "gradient": lambda: net.gradient(f"{last}:{UNIT}", data, array),
    }
    if find_spec("torch") is not None:
        from benchmarks.gradient_torch import both_ways

        works["torch"] = both_ways(net, array, last, UNIT)
        _check_equal(net.gradient(f"{last}:{UNIT}", data, array), works["torch"]())
    found = rounds(works, 5 if quick else max(10, 40 // batch), pause=SETTLED)
    title = f"{files.name}, batch {batch}: gradient"
    figures = [_figure(found, f"{title} / forward", "run", GOAL)]
    if "torch" in works:
        figures.append(_figure(found, f"{title} / PyTorch's forward and backward", "torch", 1.0))
    return figures


def _figure(found: Rounds, what: str, other: str, goal: float) -> Figure:
    ours, theirs = (1e3 * found.median(name) for name in ("gradient", other))
    note = f"{ours:.3g} ms, {theirs:.3g} ms"
    return Figure(what, found.ratio("gradient", other), "x", goal, note=note)


def _check_equal(ours: Floats, theirs: object) -> None:
    """Stop where the two do not compute the same: their times would say nothing.

    As a whole: rounding may let another of two nearly equal values win a pool, or close a gate.
    """
    size, away = (float(np.linalg.norm(each)) for each in (ours, ours - np.asarray(theirs)))
    if not 0 <= away < 0.02 * size:
        raise AssertionError(
            f"PyTorch's gradient is {away:.2g} from ours, which is {size:.2g} long"
        )


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
