"""What a command says of a run: how the input was fed, and the most likely classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from layerscope.blobs import Blobs
from layerscope.measure.top import Guess, probability_blob, top
from layerscope.net import Net
from layerscope.show.terminal import guesses_text


@dataclass(frozen=True, slots=True)
class Outcome:
    """The statement of each input, and the classes of the first image; none without a softmax."""

    fed: dict[str, str]
    guesses: tuple[Guess, ...]

    def text(self) -> str:
        """A few lines."""
        lines = ["input", *(f"  {statement}" for statement in self.fed.values())]
        if self.guesses:
            lines += ["", "most likely", guesses_text(self.guesses)]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same as plain lists and dicts."""
        return {"fed": self.fed, "top": [asdict(guess) for guess in self.guesses]}


def outcome(net: Net, blobs: Blobs, labels: Sequence[str] | None) -> Outcome:
    """What to say of a run."""
    last = probability_blob(net)
    known = last is not None and last in blobs and len(blobs[last]) > 0
    guesses = top(blobs[last][0], list(labels or [])) if last and known else []
    return Outcome({name: fed.statement for name, fed in blobs.fed.items()}, tuple(guesses))
