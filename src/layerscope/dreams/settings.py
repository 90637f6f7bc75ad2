"""How to dream: what is the same for every unit of one call."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from layerscope.errors import UsageError

STEPS, RATE = 128, 0.05
MOST_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How to dream.

    Attributes:
        steps: of the ascent.
        seed: of the noise that it starts from, and of the movements.
        negative: draw what the unit wants least.
        rate: Adam's step.
        transforms: move the image a little at each step.
        probability: climb a probability itself, and not the score in front of its softmax.

    Raises:
        UsageError: a number is out of range.
    """

    steps: int = STEPS
    seed: int = 0
    negative: bool = False
    rate: float = RATE
    transforms: bool = True
    probability: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_STEPS:
            raise UsageError(f"steps {self.steps} is not possible; possible: 1 to {MOST_STEPS:,}")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed} is not possible; possible: 0 to {2**32 - 1:,}")
        if not (isfinite(self.rate) and 0 < self.rate <= 100):
            raise UsageError(
                f"learning rate {self.rate:g} is not possible; possible: above 0, up to 100"
            )
