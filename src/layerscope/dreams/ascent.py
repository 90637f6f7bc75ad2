"""Gradient ascent on images: Adam on their spectra, several units at a time.

Every unit has an image, a seed and Adam's numbers of its own, so its picture is the same whatever
is beside it; only the net runs for all of them together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
_LEAST = 1.2e-38  # what float32 can divide by
_PART = 16_384  # numbers at a time, so that what a step of Adam reads again is still in the cache


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
        self._slope = np.empty_like(self._spectrum)
        self._steps = 0
        self.image = canvas.drawn(self._spectrum)

    def climb(self, gradient: NDArray[Any]) -> None:
        """One step of Adam up a gradient by the image, (1, C, H, W), and the image anew.

        The gradient counts by its direction alone: its size is that of the unit's numbers, which
        differ by orders of magnitude between units.
        """
        slope = self._canvas.back(self.image, gradient, out=self._slope)
        self._steps += 1
        arrays = (slope, self._mean, self._power, self._spectrum)
        flat = [array.reshape(-1) for array in arrays]
        parts = [slice(at, at + _PART) for at in range(0, slope.size, _PART)]
        size = np.sqrt(sum(_energy(flat[0][part]) for part in parts) / slope.size)
        for part in parts:
            self._adam([array[part] for array in flat], float(size))
        self._canvas.drawn(self._spectrum, out=self.image)

    def _adam(self, arrays: Sequence[NDArray[Any]], size: float) -> None:
        """Change parts of slope, mean, power and spectrum in place; the slope is used up."""
        slope, mean, power, spectrum = arrays
        if size > _LEAST:
            slope /= size
        mean *= _FIRST
        mean += (1 - _FIRST) * slope
        np.square(slope, out=slope)
        slope *= 1 - _SECOND
        power *= _SECOND
        power += slope
        np.sqrt(power, out=slope)
        slope *= 1 / (1 - _SECOND**self._steps) ** 0.5
        slope += _TINY
        np.divide(mean, slope, out=slope)
        slope *= self._rate / (1 - _FIRST**self._steps)
        spectrum += slope


def _energy(numbers: NDArray[Any]) -> float:
    """The sum of squares, in float64: squares of small gradients are 0 in float32."""
    wide = numbers.astype(np.float64)
    return float(np.add.reduce(np.square(wide, out=wide)))


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
            yield from Ascent(objective, settings).dreams(say)
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


class Ascent:
    """One batch on its way up.

    Args:
        objective: the net, turned to the targets.
        settings: how to dream.
    """

    def __init__(self, objective: Objective, settings: Settings) -> None:
        self.objective, self._settings = objective, settings
        self._canvas = Canvas(objective.size, objective.channels)
        self._moves = np.random.default_rng([settings.seed, 1])
        self._warps = Warps(objective.size, self._moves) if settings.transforms else None
        self._climbers = [
            Climber(self._canvas, _start(self._canvas, settings, target), settings.rate)
            for target in objective.targets
        ]
        self._history: list[NDArray[Any]] = []
        # NumPy lets other threads run while it computes, so images are worked on side by side.
        workers = min(len(self._climbers), os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def _side_by_side(self, work: Callable[..., Any], *over: Iterable[Any]) -> list[Any]:
        """What `work` gives for each image, in their order."""
        return list(self._pool.map(work, *over) if self._pool else map(work, *over))

    @property
    def images(self) -> NDArray[Any]:
        """(N, C, H, W), levels 0 to 1."""
        return np.concatenate([climber.image for climber in self._climbers])

    def step(self) -> None:
        """Look at the images once, each moved a little, and change them."""
        done = len(self._history)
        self.objective.early = done < self._settings.steps * _EARLY
        if self._warps is None:
            values, _, slopes = self.objective.value_and_gradient(self.images)
        else:
            warps, warp = self._warps, self._warps.draw(self._moves)
            moved = self._side_by_side(
                lambda climber: warps.apply(warp, climber.image - _GRAY), self._climbers
            )
            seen = np.concatenate(moved)
            seen += _GRAY
            values, _, gradients = self.objective.value_and_gradient(seen)
            back = self._side_by_side(lambda each: warps.back(warp, each[None]), gradients)
            slopes = np.concatenate(back)
        self._side_by_side(lambda climber, each: climber.climb(each[None]), self._climbers, slopes)
        self._history.append(values)

    def dreams(self, say: _Say) -> list[Dream]:
        """All steps, and what came of them."""
        started = time.perf_counter()
        before, first, _ = self.objective.value_and_gradient(self.images)
        for step in range(self._settings.steps):
            say(step)
            self.step()
        pictures = levels(self.images)
        planes = pictures.transpose(0, 3, 1, 2)[:, : self.objective.channels]
        after, last, _ = self.objective.value_and_gradient(planes / np.float32(255))
        say(self._settings.steps)
        seconds = (time.perf_counter() - started) / len(pictures)
        history = np.array(self._history)
        return [
            Dream(
                unit=str(target),
                net=self.objective.net_name,
                picture=pictures[i],
                before=float(before[i]),
                value=float(after[i]),
                asked=(float(first[i]), float(last[i])),
                history=tuple(history[:, i].tolist()),
                settings=self._settings,
                seconds=seconds,
                dead=bool(self.objective.asleep[i] and before[i] == after[i]),
                note=target.note,
            )
            for i, target in enumerate(self.objective.targets)
        ]


def _start(canvas: Canvas, settings: Settings, target: Target) -> NDArray[Any]:
    """The first spectrum of a unit: by the seed and the place, whatever runs beside it."""
    return canvas.start(np.random.default_rng([settings.seed, 0, *target.index]), _DEVIATION)
