"""From a net and words to dreams: of units, or of a layer into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from layerscope.dreams.ascent import Progress, ascents
from layerscope.dreams.folder import Folder
from layerscope.dreams.objective import image_input, sized
from layerscope.dreams.result import Dreams
from layerscope.dreams.settings import Settings
from layerscope.dreams.target import channels, label_of, parse_target
from layerscope.engine.onnxruntime import missing
from layerscope.errors import UsageError
from layerscope.net import Net


def dream_with(
    net: Net, units: Sequence[str], settings: Settings, *, size: int | None = None,
    labels: Sequence[str] | None = None, progress: Progress | None = None,
) -> Dreams:  # fmt: skip
    """Dream of units, all with the same settings; see `dream`.  `labels` are names of classes."""
    if not units:
        raise UsageError("no unit is given; name one, as conv3:7")
    fitting, image = _ready(net, size)
    targets = [
        parse_target(
            each, fitting, image, probability=settings.probability, negative=settings.negative
        )
        for each in units
    ]
    made = zip(ascents(fitting, targets, settings, progress), targets, strict=True)
    return Dreams([replace(each, label=label_of(t, fitting, labels)) for each, t in made])


def layer_folder(
    net: Net, blob: str, path: Path, settings: Settings, *, first: int | None = None,
    size: int | None = None, labels: Sequence[str] | None = None,
) -> Folder:  # fmt: skip
    """A folder for dreams of the channels of a blob, all or the first of them; see `Folder`.

    Raises:
        UsageError, ReadError, UnsupportedError: as `dream`, and as `Folder`.
    """
    fitting, image = _ready(net, size)
    words = channels(blob, fitting)
    targets = [
        parse_target(
            each, fitting, image, probability=settings.probability, negative=settings.negative
        )
        for each in words[:first]
    ]
    return Folder(fitting, targets, path, settings, len(words), labels)


def _ready(net: Net, size: int | None) -> tuple[Net, str]:
    """The net at the size of the image, and the name of its input."""
    if net.missing:
        raise UsageError(missing(net))
    return sized(net, size), image_input(net)
