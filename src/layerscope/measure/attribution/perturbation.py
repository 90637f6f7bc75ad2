"""Methods that need no gradient: they cover parts of the input and look at what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LimitError
from layerscope.measure.attribution.baseline import baseline_of
from layerscope.measure.attribution.registry import Found, method
from layerscope.text import number, plural, times

if TYPE_CHECKING:
    from layerscope.measure.attribution.subject import Subject

_PATCHES = 8  # patches along the longer side, unless their size is given
_MOST_PATCHES = 1_000_000
Floats = NDArray[np.float64]


@method("occlusion", title="Occlusion", paper="Zeiler and Fergus, ECCV 2014", slopes=False)
def occlusion(
    subject: Subject, *, patch: int | None = None, stride: int | None = None,
    baseline: Any = "zero",
) -> Found:  # fmt: skip
    """What the unit loses when a patch is covered; a place has the mean of the patches over it."""
    subject.check_fed()
    item, places = np.asarray(subject.item, np.float64), subject.places
    start, words = baseline_of(subject, baseline)
    side = patch or max(round(max(places, default=1) / _PATCHES), 1)
    step = min(stride or max(side // 2, 1), side)
    corners = list(product(*(_corners(size, side, step) for size in places)))
    if len(corners) > _MOST_PATCHES:
        raise LimitError(f"{len(corners):,} patches; take a larger stride")

    def covered() -> Iterator[Floats]:
        for corner in corners:
            image, part = item.copy(), _part(subject, corner, side)
            image[part] = start[part]
            yield image

    lost, counts = np.zeros(places), np.zeros(places)
    for corner, value in zip(corners, subject.values(covered(), len(corners)), strict=True):
        part = tuple(slice(at, at + side) for at in corner)
        lost[part] += subject.value - value
        counts[part] += 1
    sides = times([min(side, size) for size in places])
    note = f"patches of {sides}, {step} apart ({len(corners)}), covered with {words}"
    return Found(lost / counts, "none", (note,), settings={"patch": side, "stride": step})


def _corners(size: int, side: int, step: int) -> list[int]:
    """Where patches begin along an axis; the last one ends at its end."""
    last = max(size - side, 0)
    return sorted({*range(0, last + 1, step), last})


def _part(subject: Subject, corner: Sequence[int], side: int) -> tuple[slice, ...]:
    """A patch of the input, in all its channels."""
    part = [slice(None)] * subject.item.ndim
    for axis, at in zip(subject.space, corner, strict=True):
        part[axis] = slice(at, at + side)
    return tuple(part)


@method("rise", title="RISE", paper="Petsiuk, Das and Saenko, BMVC 2018", slopes=False)
def rise(
    subject: Subject, *, samples: int = 1000, cells: int = 7, keep: float = 0.5, seed: int = 0,
    baseline: Any = "zero",
) -> Found:  # fmt: skip
    """The unit's mean value under random soft masks, for each place over those that keep it.

    The paper divides by the number of masks times the share that is kept; here each place is
    divided by how much of it was kept in fact, which is the same in the end and shakes less.
    """
    subject.check_fed()
    item, places = np.asarray(subject.item, np.float64), subject.places
    start, words = baseline_of(subject, baseline)
    random = np.random.default_rng(seed)
    waiting: list[Floats] = []

    def masked() -> Iterator[Floats]:
        for _ in range(samples):
            mask = soft_mask(random, places, cells, keep)
            waiting.append(mask)
            if subject.channel_axis is not None:
                mask = np.expand_dims(mask, subject.channel_axis)
            yield start + mask * (item - start)

    total, kept = np.zeros(places), np.zeros(places)
    for value in subject.values(masked(), samples):
        mask = waiting.pop(0)
        total += value * mask
        kept += mask
    note = (
        f"{plural(samples, 'mask')} of {times([min(cells, s) for s in places])} cells,"
        f" {number(100 * keep, 3)} % kept; covered with {words}"
    )
    mean = np.divide(total, kept, out=np.zeros(places), where=kept > 0)
    return Found(mean, "none", (note,))


def soft_mask(
    random: np.random.Generator, places: Sequence[int], cells: int, keep: float
) -> Floats:
    """A coarse grid of zeros and ones, enlarged linearly and cut out at a random place.

    As in the paper: the grid is one cell larger than needed, and shifted by less than a cell.
    """
    counts = [min(cells, size) for size in places]
    coarse = (random.random([count + 1 for count in counts]) < keep).astype(np.float64)
    for axis, (size, count) in enumerate(zip(places, counts, strict=True)):
        cell = -(-size // count)
        shift = int(random.integers(cell))
        # The middle of cell i is at (i + 1/2) cell; outside of the middles it stays level.
        where = np.clip((np.arange(size) + shift + 0.5) / cell - 0.5, 0, count)
        low = np.minimum(np.floor(where).astype(int), count - 1)
        part = (where - low).reshape([-1 if i == axis else 1 for i in range(coarse.ndim)])
        ends = (np.take(coarse, low, axis), np.take(coarse, low + 1, axis))
        coarse = ends[0] * (1 - part) + ends[1] * part
    return coarse
