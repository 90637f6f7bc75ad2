"""What was dreamt: a picture, and how much its unit likes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.dreams.settings import Settings
from layerscope.pictures.contact import contact_sheet
from layerscope.pictures.image import Picture
from layerscope.text import number, plural, printable, quoted


@dataclass(frozen=True, slots=True, eq=False)
class Dream:
    """The image that a unit wants to see.

    Attributes:
        unit: as it was asked for: "conv3:7".
        net: the name of its net.
        picture: (H, W, 3) uint8 RGB, of the size of the net's input.
        before: the number that is climbed, for the noise that the ascent began with.
        value: the same for `picture`, fed as it is.
        asked: (before, after) of the unit itself, where another number is climbed for it; see
            `note`.
        history: the climbed number at each step, of the moved image.
        settings: how it was dreamt.
        seconds: what it took; a part of those of the units that ran beside it.
        dead: whether no image was found that moves the unit at all.
        note: what was climbed in place of the unit; "" where it was the unit.
        label: the class that the unit stands for, where that is known.
    """

    unit: str
    net: str
    picture: NDArray[np.uint8]
    before: float
    value: float
    asked: tuple[float, float]
    history: tuple[float, ...]
    settings: Settings
    seconds: float
    dead: bool = False
    note: str = ""
    label: str = ""

    @property
    def statement(self) -> str:
        """The unit, its number before and after, and what to know about that."""
        label = f" ({printable(self.label, 40)})" if self.label else ""
        climbed = f"{number(self.before, 3)} -> {number(self.value, 3)}"
        words = f"{printable(self.unit)}{label}: "
        if self.note:
            asked = " -> ".join(number(each, 3) for each in self.asked)
            words += f"{asked} ({self.note}: {climbed})"
        else:
            words += climbed
        return f"{words}, DEAD: no image was found that moves it at all" if self.dead else words

    @property
    def how(self) -> str:
        """How it was dreamt."""
        least = "what it wants least, " if self.settings.negative else ""
        words = f"net {quoted(self.net)}, {least}{steps_words(self.settings)}"
        return words if self.settings.transforms else f"{words}, image not moved"

    @property
    def caption(self) -> str:
        """The statement, and how it was dreamt."""
        return f"{self.statement}; {self.how}"

    def image(self) -> Picture:
        """The picture with its caption."""
        gray = bool((self.picture == self.picture[..., :1]).all())
        return Picture(np.ascontiguousarray(self.picture[..., 0]) if gray else self.picture,
                       self.caption)  # fmt: skip

    def save(self, path: str | PathLike[str], *, raw: bool = False) -> None:
        """Write it as a picture; enlarged and with its caption unless `raw`.

        Raises:
            UsageError: no such format, or `path` is a folder.
            SystemFaultError: the system refused; an existing file is untouched.
        """
        self.image().save(path, raw=raw)

    def as_json(self) -> dict[str, Any]:
        """Its numbers, without the picture."""
        return {
            "unit": self.unit,
            "before": self.before,
            "after": self.value,
            "asked_before": self.asked[0],
            "asked_after": self.asked[1],
            "dead": self.dead,
            "note": self.note,
            "seconds": self.seconds,
            **asdict(self.settings),
        }

    def _repr_html_(self) -> str:
        shown = self.image()
        times = max(1, 384 // max(shown.width, shown.height))
        return (
            f'<figure style="margin:0"><img src="{shown.data_uri()}" alt="{escape(self.unit)}"'
            f' width="{times * shown.width}" style="image-rendering:pixelated;max-width:100%">'
            f"<figcaption>{escape(shown.caption)}</figcaption></figure>"
        )

    def __repr__(self) -> str:
        return f"<dream {self.caption}>"


class Dreams(Sequence[Dream]):
    """Several dreams of one net, in the order in which they were asked for.

    Args:
        dreams: at least one.
        total: how many there could be; more than there are where a limit was given.
    """

    def __init__(self, dreams: Sequence[Dream], total: int | None = None) -> None:
        self._dreams = tuple(dreams)
        self.total = len(self._dreams) if total is None else total

    def __getitem__(self, index: Any) -> Any:
        return self._dreams[index]

    def __len__(self) -> int:
        return len(self._dreams)

    def __iter__(self) -> Iterator[Dream]:
        return iter(self._dreams)

    @property
    def dead(self) -> list[str]:
        """The units that nothing moves."""
        return [dream.unit for dream in self if dream.dead]

    @property
    def statement(self) -> str:
        """What the sheet shows."""
        first = self._dreams[0]
        blobs = {dream.unit.rpartition(":")[0] for dream in self}
        blob = f", blob {quoted(blobs.pop())}" if len(blobs) == 1 else ""
        wants = "least" if first.settings.negative else "most"
        words = (
            f"{len(self)} of {plural(self.total, 'unit')} of net {quoted(first.net)}{blob}:"
            f" the image that each wants {wants}, and its number for it"
            f" ({steps_words(first.settings)})"
        )
        for note in dict.fromkeys(dream.note for dream in self if dream.note):
            units = [printable(dream.unit, 40) for dream in self if dream.note == note]
            named = "" if len(units) == len(self) else f"{', '.join(units[:4])} "
            more = f"and {len(units) - 4} more " if named and len(units) > 4 else ""
            words += f"; {named}{more}{note}"
        if self.dead:
            them = "it" if len(self.dead) == 1 else "them"
            words += f"; {plural(len(self.dead), 'unit')} marked DEAD: nothing moves {them}"
        return words

    def sheet(self, side: int | None = None) -> Picture:
        """All of them on one page, each with its unit and number below it.

        Args:
            side: pixels of the longer side of each; by default so many that the page is about 1600
                pixels wide, and no more than they have.
        """
        labels, tails = [], []
        for each in self:
            blob, _, places = each.unit.rpartition(":")
            labels.append(printable(each.label or blob, 200))
            unit = "" if each.label else f":{printable(places)}"
            tails.append(f"{unit} DEAD" if each.dead else f"{unit} = {number(each.value, 3)}")
        pictures = [each.picture for each in self]
        return contact_sheet(pictures, labels, self.statement, tails=tails, side=side)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the sheet; raises as `Dream.save` does."""
        self.sheet().save(path, raw=True)

    def _repr_png_(self) -> bytes:
        return self.sheet().png()

    def __repr__(self) -> str:
        return f"<{plural(len(self), 'dream')}: {', '.join(d.unit for d in self._dreams[:6])}>"


def steps_words(settings: Settings) -> str:
    """How long it went up, and from where."""
    return f"{plural(settings.steps, 'step')}, seed {settings.seed}"
