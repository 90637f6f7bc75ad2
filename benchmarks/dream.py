"""What a step of `dream` costs, and how much of that is not the net."""

from __future__ import annotations

import gc

import layerscope as ls
from benchmarks.timing import Figure, rounds
from layerscope.demo import DEFINITION, WEIGHTS
from layerscope.dreams.ascent import Ascent
from layerscope.dreams.objective import Objective, image_input
from layerscope.dreams.settings import Settings
from layerscope.dreams.target import parse_target

SHARE = 0.25
"""Of a step of CaffeNet, what image, movement and Adam may take."""


def demo() -> ls.Net:
    """The demo net, read again."""
    return ls.open(DEFINITION, WEIGHTS)


def measure(net: ls.Net, unit: str, batch: int, *, quick: bool) -> list[Figure]:
    """Steps a second (one step of one image), and the part of a step that is not the net.

    A step follows a step without rest, as in an ascent.
    """
    gc.collect()
    first = parse_target(unit, net, image_input(net))
    objective = Objective(net, [first] * batch)
    ascent = Ascent(objective, Settings())
    prepared = objective.prepared(ascent.images)
    works = {"step": ascent.step, "net": lambda: objective.net_alone(prepared)}
    found = rounds(works, 5 if quick else max(10, 40 // batch))
    name = "demo net" if net.name == "layerscope-demo" else net.name
    what = f"dream {name} {unit}, batch {batch}"
    step, alone = found.median("step"), found.median("net")
    share = max(0.0, 1 - found.ratio("net", "step"))
    goal = None if name == "demo net" else SHARE
    return [
        Figure(
            f"{what}: steps",
            batch / step,
            "/s",
            note=f"{1e3 * step / batch:.3g} ms an image, net {1e3 * alone / batch:.3g} ms",
        ),
        Figure(f"{what}: not the net", share, "x", goal, note="of a step"),
    ]
