"""What image a unit wants to see: gradient ascent on the input, over the net's backward graph.

image.py      a spectrum as an image, and back      transforms.py  small movements, and back
target.py     which unit                            objective.py   the net: number, gradient
settings.py   how                                   ascent.py      Adam, several units at a time
result.py     `Dream`: the picture                  folder.py      a layer's channels as files
request.py    a net and words to dreams
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from layerscope.dreams.result import Dream, Dreams
from layerscope.dreams.settings import RATE, STEPS, Settings
from layerscope.net import Net

if TYPE_CHECKING:
    from layerscope.dreams.ascent import Progress

__all__ = ["Dream", "Dreams", "Settings", "dream"]


@overload
def dream(
    net: Net, unit: str, *, steps: int = STEPS, seed: int = 0, size: int | None = None,
    negative: bool = False, rate: float = RATE, transforms: bool = True, probability: bool = False,
    progress: Progress | None = None,
) -> Dream: ...  # fmt: skip


@overload
def dream(
    net: Net, unit: list[str] | tuple[str, ...], *, steps: int = STEPS, seed: int = 0,
    size: int | None = None, negative: bool = False, rate: float = RATE, transforms: bool = True,
    probability: bool = False, progress: Progress | None = None,
) -> Dreams: ...  # fmt: skip


def dream(  # noqa: PLR0913 - independent choices, all but the first two by name
    net: Net,
    unit: str | list[str] | tuple[str, ...],
    *,
    steps: int = STEPS,
    seed: int = 0,
    size: int | None = None,
    negative: bool = False,
    rate: float = RATE,
    transforms: bool = True,
    probability: bool = False,
    progress: Progress | None = None,
) -> Dream | Dreams:
    """Draw the image that a unit of a net wants to see, by gradient ascent from noise.

    The image is a spectrum with decorrelated colours, moved a little at each step (C. Olah,
    A. Mordvintsev and L. Schubert, "Feature Visualization", Distill 2017); see docs/dream.md.  The
    same call gives the same pixels, whatever other units are asked for beside one.

    Args:
        net: any net whose input is one image, with its weights.
        unit: "conv3:7", a channel (its mean); "conv3:7,6,6", one place of it (y, x); "prob:3", a
            class, for which the score in front of the softmax is climbed.  Or several of them.
        steps: of the ascent.
        seed: of the noise that it starts from.
        size: pixels of a side, where the net takes other sizes than its own.
        negative: draw what the unit wants least.
        rate: Adam's step.
        transforms: move the image a little at each step; without, it is often noise.
        probability: climb a probability itself.
        progress: called as progress(done, total, name).

    Returns:
        One dream, or for several units a sequence of them.

    Raises:
        UsageError: no such unit, it does not depend on the image, or weights are missing.
        ReadError: the net does not take that size.
        UnsupportedError: the net has no gradient, or gives what is not a number.
        LimitError: the blobs would not fit into memory.
    """
    settings = Settings(steps, seed, negative, rate, transforms, probability)
    words = [unit] if isinstance(unit, str) else list(unit)
    from layerscope.dreams.request import dream_with  # it loads the engine

    found = dream_with(net, words, settings, size=size, progress=progress)
    return found[0] if isinstance(unit, str) else found
