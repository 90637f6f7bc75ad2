"""What a command says of a run: how the input was fed, and the most likely classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from layerscope.blobs import Blobs
from layerscope.measure.top import Guess, probability_blob, score_blob, top
from layerscope.net import Net
from layerscope.show.terminal import guesses_text, scores_text
from layerscope.text import printable


@dataclass(frozen=True, slots=True)
class Outcome:
    """The statement of each input, and the classes of the first image.

    Attributes:
        fed: input name to statement.
        guesses: the classes, by their probability or score; none where the net gives neither.
        scores: the blob of the scores; "" where the guesses are probabilities.
    """

    fed: dict[str, str]
    guesses: tuple[Guess, ...]
    scores: str = ""

    def text(self) -> str:
        """A few lines."""
        lines = ["input", *(f"  {statement}" for statement in self.fed.values())]
        if self.guesses and self.scores:
            lines += [
                "",
                f"largest scores ({printable(self.scores)}; the net ends without a softmax)",
            ]
            lines.append(scores_text(self.guesses))
        elif self.guesses:
            lines += ["", "most likely", guesses_text(self.guesses)]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same as plain lists and dicts."""
        kind = {"top_is": "scores" if self.scores else "probabilities"} if self.guesses else {}
        return {"fed": self.fed, "top": [asdict(guess) for guess in self.guesses], **kind}


def outcome(net: Net, blobs: Blobs, labels: Sequence[str] | None) -> Outcome:
    """What to say of a run."""
    scores = score_blob(net) or ""
    last = probability_blob(net) or scores
    known = bool(last) and last in blobs and len(blobs[last]) > 0
    guesses = top(blobs[last][0], list(labels or [])) if known else []
    fed = {name: each.statement for name, each in blobs.fed.items()}
    return Outcome(fed, tuple(guesses), scores if known else "")
