"""What moves a unit, for all pages of a net: the methods of attribution in a thread of their own.

The frames of the pages go on beside it.  A method that takes long lets the quick ones of other
pages go first, between two of its runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from math import ceil
from time import perf_counter
from typing import Any

import numpy as np

from layerscope.inputs import Fed
from layerscope.measure.attribution import Attribution
from layerscope.measure.attribution.registry import NO_PLACE, Method, method_named
from layerscope.net import Net
from layerscope.show.attribution import shares_words, where_words
from layerscope.show.attribution_picture import BEND, COVER, HUE, PLAIN, ground, ramp_of, reading
from layerscope.text import printable
from layerscope.units import Unit
from layerscope.viewer.wire import base64_of
from layerscope.viewer.worker import Worker

MOST_SIDE = 512  # of a map that is sent; of larger ones every n-th place
CHANNELS = 6
AGAINST = "layer-wise contribution shows what speaks against it, too"

Progress = Callable[[int, int, str], None]


class Mover:
    """The thread, and the net with the programs of its gradients.

    Args:
        net: at the shapes of the session.  What runs it is kept by net; so that it stays with this
            thread, and goes with `rest`, the thread has a net of its own, of the same arrays.

    Attributes:
        worker: the thread.
        ended: what goes on there is to stop.
    """

    def __init__(self, net: Net) -> None:
        self._source = net
        self._net: Net | None = None
        self.worker = Worker()
        self.ended = False

    def stop(self) -> None:
        """End the thread, and what it is at between two of its runs."""
        self.ended = True
        self.worker.stop()

    def rest(self) -> None:
        """Forget what runs the net, until it is wanted again."""
        self._net = None

    def find(
        self,
        fed: Mapping[str, Fed],
        main: str,
        unit: Unit,
        asked: Mapping[str, Any],
        labels: Sequence[str],
        progress: Progress,
    ) -> dict[str, Any]:
        """One method on one unit, as a page draws it; runs in the thread.

        Args:
            fed: what is before the net.
            main: the input that the image is in.
            unit: what is explained.
            asked: by the page: `method`, and `at` for one that looks at a layer.
            labels: names of the classes.
            progress: called between the runs of a method that takes many; what it raises ends it.

        Raises:
            LayerscopeError: as `layerscope.attribute`.
        """
        from layerscope.measure.attribution import layers
        from layerscope.measure.attribution.run import apply, label_of
        from layerscope.measure.attribution.subject import Subject  # loads the runtime

        begun = perf_counter()
        net = self._net = self._net or copy(self._source)
        method = method_named(printable(asked.get("method", ""), 40))
        arrays = {name: each.array for name, each in fed.items()}
        subject = Subject(net, arrays, str(unit), wrt=main, progress=progress)
        at = str(asked.get("at", "")) if method.at == "layer" else ""
        label = label_of(subject.net, subject.unit, labels or None)
        found = apply(subject, method, at, label, method.settings({}))
        found = replace(found, picture=fed[main].picture, fed=fed[main].statement)
        keys = layers.maps(subject) if method.at == "layer" else []
        taken = 1000 * (perf_counter() - begun)
        return {
            **attribution_json(found), "ms": taken,
            "layers": [[key, printable(key, 60)] for key in keys],
        }  # fmt: skip


def attribution_json(found: Attribution) -> dict[str, Any]:
    """An attribution in the words of every other surface, and its map where it is one."""
    notes = [AGAINST if note == NO_PLACE else note for note in found.notes]
    lines = [where_words(found), shares_words(found, CHANNELS), *notes]
    told = {
        "method": found.method, "heading": found.heading, "way": found.way, "paper": found.paper,
        "at": found.at, "lines": [line for line in lines if line], "map": None,
    }  # fmt: skip
    return {**told, "map": _map_json(found)} if found.map.ndim == 2 else told


def methods_json(known: Mapping[str, Method]) -> list[dict[str, Any]]:
    """The methods as a page offers them: those of one pass first."""
    ordered = sorted(known.values(), key=lambda each: each.many)
    return [
        {"name": m.name, "title": m.title, "summary": m.summary, "many": m.many, "at": m.at}
        for m in ordered
    ]


def _map_json(found: Attribution) -> dict[str, Any]:
    """The numbers, the gray below them, and how the numbers become colors."""
    values = found.map
    ramp = ramp_of(found)
    step = max(1, ceil(max(values.shape) / MOST_SIDE))
    shown = values[::step, ::step]
    gray = np.rint(ground(found.picture, values.shape)[::step, ::step]).astype(np.uint8)
    rows, columns = values.shape
    words = f"one of {step}x{step} places is drawn, of {columns}x{rows}" if step > 1 else ""
    return {
        "height": shown.shape[0], "width": shown.shape[1], "step": step, "words": words,
        "values": base64_of(shown.astype("<f4")), "gray": base64_of(gray), "plain": PLAIN,
        "low": ramp.low, "high": ramp.high, "empty": not ramp.most, "color": ramp.color,
        "cover": COVER, "bend": BEND, "hue": HUE,
        "ends": list(ramp.ends()), "reading": reading(found), "over": ramp.over,
    }  # fmt: skip
