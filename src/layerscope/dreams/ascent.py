"""Gradient ascent on images: Adam on their spectra, several units at a time.

Every unit has an image, a seed and Adam's numbers of its own, so its picture is the same whatever
is beside it; only the net runs for all of them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.dreams.image import Canvas, levels
from layerscope.dreams.objective import Objective, batch_of
from layerscope.dreams.result import Dream
from layerscope.dreams.settings import Settings
from layerscope.dreams.target import Target
from layerscope.dreams.transforms import Warps
from layerscope.net import Net

Progress = Callable[[int, int, str], None]

_DEVIATION = 0.01  # of the noise that an ascent starts from
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8  # Adam's (D. Kingma and J. Ba, ICLR 2015)
_EARLY = 1 / 8  # of the steps climb in front of the rectifier
_GRAY = np.float32(0.5)


class Climber:
    """The image of one unit on its way up: a spectrum, and what Adam remembers.

    Args:
        canvas: what makes the spectrum an image.
        start: the first spectrum.
        rate: Adam's step.
    """

    def __init__(self, canvas: Canvas, start: NDArray[Any], rate: float) -> None:
        self._canvas, self._rate = canvas, rate
        self._spectrum = start[None]
        self._mean = np.zeros_like(self._spectrum)
        self._power = np.zeros_like(self._spectrum)
        self._steps = 0
        self.image = canvas.drawn(self._spectrum)

    def climb(self, gradient: NDArray[Any]) -> None:
        """One step of Adam up a gradient by the image, (1, C, H, W), and the image anew.

        The gradient counts by its direction alone: its size is that of the unit's numbers, which
        differ by orders of magnitude between units.
        """
        slope = self._canvas.back(self.image, gradient)
        size = np.sqrt(np.vdot(slope, slope) / slope.size)
        if size > 0:
            slope /= size
        self._steps += 1
        self._mean *= _FIRST
        self._mean += (1 - _FIRST) * slope
        np.square(slope, out=slope)
        slope *= 1 - _SECOND
        self._power *= _SECOND
        self._power += slope
        step = self._rate / (1 - _FIRST**self._steps)
        np.sqrt(self._power, out=slope)
        slope *= 1 / np.sqrt(1 - _SECOND**self._steps)
        slope += _TINY
        np.divide(self._mean, slope, out=slope)
        slope *= step
        self._spectrum += slope
        self.image = self._canvas.drawn(self._spectrum)


def ascents(
    net: Net, targets: Sequence[Target], settings: Settings, progress: Progress | None = None
) -> Iterator[Dream]:
    """The dreams of targets, one after the other, as they are finished.

    Args:
        net: at the size of the images, with all weights.
        targets: those of one blob run together, as many at a time as are quick.
        settings: the same for all.
        progress: called as progress(done, total, name) with steps of all units.

    Raises:
        UsageError, UnsupportedError, LimitError: see `Objective`.
    """
    batch, total = batch_of(net), len(targets) * settings.steps
    done = 0
    for _, group in groupby(targets, lambda target: (target.climbed, target.behind)):
        same = list(group)
        objective: Objective | None = None
        for first in range(0, len(same), batch):
            part = same[first : first + batch]
            if objective is None or len(objective.targets) != len(part):
                objective = Objective(net, part, negative=settings.negative)
            objective.turn_to(part)
            say = _Say(progress, done, total, len(part), str(part[0]))
            yield from _climbed(objective, settings, say)
            done += len(part) * settings.steps


@dataclass(frozen=True, slots=True)
class _Say:
    """Progress of one batch within the whole."""

    progress: Progress | None
    before: int
    total: int
    images: int
    name: str

    def __call__(self, step: int) -> None:
        if self.progress is not None:
            self.progress(self.before + step * self.images, self.total, self.name)


def _climbed(objective: Objective, settings: Settings, say: _Say) -> list[Dream]:
    """The dreams of one batch."""
    started = time.perf_counter()
    canvas = Canvas(objective.size, objective.channels)
    moves = np.random.default_rng([settings.seed, 1])
    warps = Warps(objective.size, moves) if settings.transforms else None
    climbers = [Climber(canvas, _start(canvas, settings, t), settings.rate)
                for t in objective.targets]  # fmt: skip
    before, asked, _ = objective.value_and_gradient(_images(climbers))
    first_asked, history = asked, []
    for step in range(settings.steps):
        say(step)
        objective.early = step < settings.steps * _EARLY
        warp = warps.draw(moves) if warps else None
        moved = [warps.apply(warp, c.image - _GRAY) + _GRAY if warps and warp else c.image
                 for c in climbers]  # fmt: skip
        values, _, gradients = objective.value_and_gradient(np.concatenate(moved))
        history.append(values)
        for climber, gradient in zip(climbers, gradients, strict=True):
            slope = warps.back(warp, gradient[None]) if warps and warp else gradient[None]
            climber.climb(slope)
    pictures = levels(_images(climbers))
    shown = pictures.transpose(0, 3, 1, 2)[:, : objective.channels].astype(np.float32) / 255
    after, asked, _ = objective.value_and_gradient(shown)
    say(settings.steps)
    seconds = (time.perf_counter() - started) / len(climbers)
    rows = np.array(history)
    return [
        Dream(
            str(target), objective.net_name, picture, float(before[i]), float(after[i]),
            (float(first_asked[i]), float(asked[i])), tuple(rows[:, i].tolist()), settings, seconds,
            bool(objective.asleep[i] and before[i] == after[i]), target.note,
        )
        for i, (target, picture) in enumerate(zip(objective.targets, pictures, strict=True))
    ]  # fmt: skip


def _start(canvas: Canvas, settings: Settings, target: Target) -> NDArray[Any]:
    """The first spectrum of a unit: by the seed and the place, whatever runs beside it."""
    return canvas.start(np.random.default_rng([settings.seed, 0, *target.index]), _DEVIATION)


def _images(climbers: Sequence[Climber]) -> NDArray[Any]:
    return np.concatenate([climber.image for climber in climbers])
