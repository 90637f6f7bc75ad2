"""Timing in rounds, medians, and the figures that come out: in one place for all measurements.

Machines drift: another job starts, the clock changes.  So what is compared runs in turn (A B A B),
a ratio is taken within each round, and the median of those ratios counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]

# The threads of an ONNX Runtime session go on spinning for up to 50 ms after a run.  On two cores
# that would slow the next session down, and make calling one session twice look fast.
SETTLED = 0.08


@dataclass(frozen=True)
class Figure:
    """One measured number, with its goal where it has one.

    Attributes:
        what: what was measured.
        value: the number.
        unit: "x" for a ratio, "ms", "s", "MB".
        goal: what it should be at most, or at least.
        at_least: whether more is better.
        note: how it came about, in a few words.
    """

    what: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@dataclass(frozen=True)
class Rounds:
    """The seconds of several kinds of work that ran in turn, one list each."""

    seconds: Mapping[str, list[float]]

    def __len__(self) -> int:
        return len(next(iter(self.seconds.values())))

    def median(self, name: str) -> float:
        """The median seconds of one kind of work."""
        return median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """The median over the rounds of one's time divided by the other's."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return median(mine / theirs for mine, theirs in pairs)

    def difference(self, name: str, other: str) -> float:
        """The median over the rounds of one's seconds minus the other's."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return median(mine - theirs for mine, theirs in pairs)


def rounds(works: Mapping[str, Work], count: int, warm: int = 2, pause: float = 0) -> Rounds:
    """Run every kind of work once a round.

    Args:
        works: name to work, in the order of a round.
        count: rounds that are measured.
        warm: rounds before them that are not.
        pause: seconds of rest before each; see `SETTLED`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-warm, count):
        for name, work in works.items():
            time.sleep(pause)
            taken = once(work)
            if number >= 0:
                seconds[name].append(taken)
    return Rounds(seconds)


def once(work: Work) -> float:
    """The seconds of one call; its result is freed after the clock has stopped, in every case."""
    start = time.perf_counter()
    result = work()
    taken = time.perf_counter() - start
    del result
    return taken
