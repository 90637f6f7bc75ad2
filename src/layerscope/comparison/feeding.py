"""What each of two nets is fed: the same image in its own way, or the very same array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from layerscope.comparison.alignment import Axes, axes
from layerscope.errors import UsageError
from layerscope.inputs import Fed, Preprocessing
from layerscope.media import load_arrays
from layerscope.net import Net
from layerscope.text import printable, quoted, shape

Feed = Literal["own", "same"]
FEEDS: tuple[Feed, ...] = get_args(Feed)


@dataclass(frozen=True, slots=True, eq=False)
class Fedboth:
    """What went into A and into B for one input, and the same in words."""

    a: Mapping[str, Fed]
    b: Mapping[str, Fed]

    @property
    def statements(self) -> tuple[str, str]:
        """How the input of each was made, one line each."""
        words = [
            "; ".join(f"{printable(name)}: {fed.statement}" for name, fed in side.items())
            for side in (self.a, self.b)
        ]
        return words[0], words[1]


class Feeding:
    """How two nets are fed.

    Attributes:
        way: "own": each prepares the image in its own way.  "same": one array goes into both,
            turned where one net wants channels last.  See `layerscope.compare` for what is chosen
            when nothing is asked for.
        leader: whose way of preparing counts when the way is "same": "A", or "B" where only B says
            how it wants its images.
        notes: what the user should know about it.
    """

    def __init__(
        self, a: Net, b: Net, way: Feed | None, *, apart: bool = False, array: bool = False
    ) -> None:
        if way is not None and way not in FEEDS:
            raise UsageError(f"feed {quoted(way)} is unknown; possible: {', '.join(FEEDS)}")
        self._a, self._b, self._apart = a, b, apart
        self._inputs = _partners(a, b)
        p, q = a.preprocessing, b.preprocessing
        alike = array or _alike(p, q)  # what is given as an array is not prepared
        guess = not alike and not (p.stated and q.stated)
        turned = array and any(there != tuple(range(len(there))) for _, _, there, _ in self._inputs)
        self.way: Feed = way or ("same" if (guess or turned) and not apart else "own")
        self.leader = "B" if self.way == "same" and guess and q.stated else "A"
        self.notes = () if alike or not _takes_image(a) else (self._note(p, q),)
        if apart and self.way == "same":
            raise UsageError("two inputs are given, one for A and one for B: they are not the same")

    def _note(self, p: Preprocessing, q: Preprocessing) -> str:
        differ = f"the nets prepare an image in different ways: A {p} ({p.source}), B {q}"
        differ += f" ({q.source})"
        if self.way == "same":
            return f"{differ}; here both are fed the array of {self.leader}"
        return f"{differ}; --feed same gives both one array"

    def both(self, source_a: Any, source_b: Any) -> Fedboth:
        """Prepare one input for both.

        Raises:
            LayerscopeError: what `Net.run` raises on an input.
        """
        if self.way == "own":
            source_b = source_b if self._apart else self._named_for_b(source_b)
            return Fedboth(_prepared(self._a, source_a), _prepared(self._b, source_b))
        if self.leader == "A":
            fed = _prepared(self._a, source_a)
            return Fedboth(fed, self._handed(fed, "A", {x: (y, o) for x, y, o, _ in self._inputs}))
        fed = _prepared(self._b, source_b)
        return Fedboth(self._handed(fed, "B", {y: (x, o) for x, y, _, o in self._inputs}), fed)

    def _named_for_b(self, source: Any) -> Any:
        """Inputs by name under the names that they have in B, where B has others than A."""
        is_file = isinstance(source, (str, PathLike))
        if is_file and Path(source).suffix.lower() == ".npz" and len(self._inputs) > 1:
            source = load_arrays(Path(source))
        if not isinstance(source, Mapping):
            return source
        names = {x: y for x, y, _, _ in self._inputs if x not in self._b.inputs}
        return {names.get(name, name): each for name, each in source.items()}

    def _handed(
        self, fed: Mapping[str, Fed], side: str, partners: Mapping[str, tuple[str, Axes]]
    ) -> dict[str, Fed]:
        """The arrays that one net was fed, for the other one."""
        found = {}
        for name, each in fed.items():
            if name in partners:
                other, order = partners[name]
                array = np.ascontiguousarray(each.array.transpose(order))
                found[other] = Fed(array, each.pictures, f"the array that {side} was fed")
        return found


def _prepared(net: Net, source: Any) -> dict[str, Fed]:
    from layerscope.engine.onnxruntime import prepared

    return prepared(net, source)


def _partners(a: Net, b: Net) -> list[tuple[str, str, Axes, Axes]]:
    """(input of A, input of B, axes from A to B, axes from B to A), by name, then in order.

    Raises:
        UsageError: no input of one fits any of the other.
    """
    left = [name for name in a.inputs if name not in a.optional]
    right = [name for name in b.inputs if name not in b.optional]
    named = [(name, name) for name in a.inputs if name in b.inputs]
    rest_a = [name for name in left if name not in right]
    rest_b = [name for name in right if name not in left]
    found = []
    for x, y in (*named, *zip(rest_a, rest_b, strict=False)):
        one, other = a.graph.shapes[x], b.graph.shapes[y]
        one, other = (1, *one[1:]) if one else (), (1, *other[1:]) if other else ()
        there, back = axes(other, one), axes(one, other)
        if there is not None and back is not None and len(one) == len(other):
            found.append((x, y, there, back))
    if not found and (a.inputs or b.inputs):
        raise UsageError(
            f"A takes {_inputs(a, left)}, B takes {_inputs(b, right)}: their blobs cannot be held"
            " against each other; --input-shape gives both one size, --weights compares weights"
        )
    return found


def _inputs(net: Net, names: list[str]) -> str:
    return ", ".join(f"{printable(n)} {shape(net.graph.shapes[n])}" for n in names) or "no input"


def _takes_image(net: Net) -> bool:
    return any(len(net.graph.shapes[name]) == 4 for name in net.inputs)


def _alike(p: Preprocessing, q: Preprocessing) -> bool:
    """Whether two ways of preparing give the same array."""
    same = (p.channels, p.scale, p.std, p.fit) == (q.channels, q.scale, q.std, q.fit)
    return same and np.array_equal(_numbers(p.mean), _numbers(q.mean))


def _numbers(mean: tuple[float, ...] | NDArray[np.float32]) -> NDArray[Any]:
    numbers = np.asarray(mean, np.float64)
    return numbers if numbers.any() else np.zeros(0)
