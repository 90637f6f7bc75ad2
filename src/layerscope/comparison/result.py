"""The outcome of a comparison: a row for each aligned pair, and what has no partner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict

from numpy.typing import NDArray

from layerscope.comparison.alignment import Alignment, Item, axes
from layerscope.errors import UsageError
from layerscope.measure.similarity import Measure, Similarity
from layerscope.net import Net
from layerscope.text import plural, printable, shape

Arrays = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Rule:
    """Beyond which number of which measure two count as different."""

    by: Measure
    threshold: float


@dataclass(frozen=True, slots=True)
class Row:
    """One blob (or param) of A held against the one of B.

    Attributes:
        a, b: their names.
        shape_a, shape_b: as they are in the nets; for blobs, as they were in the run.
        layer_a, layer_b, type_a, type_b: the layers that write them, or own them.
        how: by what they were aligned: "name", "like name", "order", "map", or "folded norm" where
            the one net has in its weights what the other computes after them.
        turned: how B was brought into A's shape, in words; "" where it had it.
        worst: the measures for the input for which they are least alike.
        overall: the measures over all inputs together: means are means over all, sums run over all.
        input: the number of the worst input.
        beyond: whether `worst` is beyond the threshold.
    """

    a: str
    b: str
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]
    layer_a: str
    layer_b: str
    type_a: str
    type_b: str
    how: str
    turned: str
    worst: Similarity
    overall: Similarity
    input: int
    beyond: bool

    def as_dict(self) -> dict[str, Any]:
        """One flat row: names, shapes and the worst input's measures, `overall_...` beside them."""
        plain = {k: v for k, v in asdict(self).items() if k not in ("worst", "overall")}
        overall = {f"overall_{k}": v for k, v in asdict(self.overall).items()}
        return {**plain, **asdict(self.worst), "equal": self.worst.equal, **overall}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two nets, in words.

    Attributes:
        net, format, files: its name, its format, and the files that it was read from.
        layers: how many.
        preprocessing: how it wants an image, and who says so.
    """

    net: str
    format: str
    files: tuple[str, ...]
    layers: int
    preprocessing: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One input: what it was called, and how it was made what A and B were fed."""

    name: str
    fed_a: str
    fed_b: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two nets held against each other.

    Attributes:
        kind: "blobs" or "weights".
        a, b: the two sides in words.
        rows: a row for each aligned pair, in the order in which A runs.
        only_a, only_b: names that have no partner.
        again_a, again_b: of the rest those that are others under another name: what dropout passes
            on when testing.
        coded_a, coded_b: of the rest those that only round others to codes, decode them, or stand
            in between.
        unlike: of those the ones that both nets have, in different shapes, in words.
        not_held: pairs that could not be held against each other, and why, in words.
        by, threshold: the measure and the number beyond which two differ.
        inputs: what was fed; nothing for weights.
        feed: "own" or "same", see `compare`; "" for weights.
        notes: what the user should know, one line each.
    """

    kind: Literal["blobs", "weights"]
    a: Side
    b: Side
    rows: tuple[Row, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    again_a: tuple[str, ...]
    again_b: tuple[str, ...]
    coded_a: tuple[str, ...]
    coded_b: tuple[str, ...]
    unlike: tuple[str, ...]
    not_held: tuple[str, ...]
    by: Measure
    threshold: float
    inputs: tuple[Entry, ...]
    feed: str
    notes: tuple[str, ...]
    arrays: Callable[[int], Iterator[tuple[Row, Arrays]]] = field(repr=False)
    pictures: Callable[[int], tuple[NDArray[Any] | None, NDArray[Any] | None]] = field(repr=False)

    @property
    def first(self) -> Row | None:
        """The first row beyond the threshold, in the order in which A runs; None if none is."""
        return next((row for row in self.rows if row.beyond), None)

    @property
    def differs(self) -> bool:
        """Whether a row is beyond the threshold, or a pair had other shapes in the run."""
        return self.first is not None or bool(self.not_held)

    @property
    def worst(self) -> Row | None:
        """The row that is least alike by the measure."""
        return max(self.rows, key=lambda row: row.worst.rank(self.by), default=None)

    @property
    def total(self) -> tuple[int, int]:
        """How many blobs (or params) A and B have."""
        aligned = len(self.rows) + len(self.not_held)
        of_a = aligned + len(self.only_a) + len(self.again_a) + len(self.coded_a)
        return of_a, aligned + len(self.only_b) + len(self.again_b) + len(self.coded_b)

    def to_rows(self) -> list[dict[str, Any]]:
        """The rows as flat dicts; `pandas.DataFrame(comparison.to_rows())` is a table."""
        return [row.as_dict() for row in self.rows]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain lists and dicts."""
        return {
            "kind": self.kind,
            "a": asdict(self.a),
            "b": asdict(self.b),
            "by": self.by,
            "threshold": self.threshold,
            "differs": self.differs,
            "first": None if self.first is None else self.first.a,
            "aligned": len(self.rows),
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "again_a": list(self.again_a),
            "again_b": list(self.again_b),
            "coded_a": list(self.coded_a),
            "coded_b": list(self.coded_b),
            "unlike": list(self.unlike),
            "not_held": list(self.not_held),
            "feed": self.feed,
            "inputs": [asdict(each) for each in self.inputs],
            "notes": list(self.notes),
            "rows": self.to_rows(),
        }

    # The object's face; these import rightward, inside the call, as those of Net do.

    def report(self, path: str | PathLike[str]) -> Path:
        """Write the side-by-side page.

        The nets run once more, for the input for which the first row that differs is worst.

        Raises:
            SystemFaultError: the page cannot be written.
        """
        from layerscope.show.comparison import report

        return report(self, path)

    def _repr_html_(self) -> str:
        from layerscope.show.differences import comparison_html

        return comparison_html(self)

    def __str__(self) -> str:
        from layerscope.show.differences import comparison_text

        return comparison_text(self)


def side(net: Net) -> Side:
    """A net in words."""
    how = net.preprocessing
    return Side(net.name, net.format, (), len(net.layers), f"{how} ({how.source})")


class Alone(TypedDict):
    """The fields of `Comparison` for what has no partner."""

    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    again_a: tuple[str, ...]
    again_b: tuple[str, ...]
    coded_a: tuple[str, ...]
    coded_b: tuple[str, ...]
    unlike: tuple[str, ...]


def alone(found: Alignment, a: Sequence[Item], b: Sequence[Item]) -> Alone:
    """What has no partner, by name."""

    def named(items: Sequence[Item], places: Sequence[int], kind: str) -> tuple[str, ...]:
        return tuple(items[i].name for i in places if _kind(items[i]) == kind)

    return Alone(
        only_a=named(a, found.only_a, "only"),
        only_b=named(b, found.only_b, "only"),
        again_a=named(a, found.only_a, "again"),
        again_b=named(b, found.only_b, "again"),
        coded_a=named(a, found.only_a, "coded"),
        coded_b=named(b, found.only_b, "coded"),
        unlike=tuple(_unlike(a[i], b[j]) for i, j in found.unlike),
    )


def _kind(item: Item) -> str:
    """Why an item may have no partner."""
    return "coded" if item.coding else "again" if item.family == "again" else "only"


def _unlike(one: Item, other: Item) -> str:
    return f"{printable(one.name)} is {shape(one.shape)} in A, {shape(other.shape)} in B"


def checked(found: Alignment, a: Sequence[Item], b: Sequence[Item], noun: str) -> Alignment:
    """The alignment, if it has any pair but inputs.

    Raises:
        UsageError: it has none.
    """
    if any(a[pair.a].family != "input" for pair in found.pairs):
        return found
    names = [", ".join(printable(item.name, 30) for item in side[-3:]) for side in (a, b)]
    raise UsageError(
        f"none of the {plural(len(a), noun[:-1])} of A fits one of the {len(b)} of B by name, or by"
        f" shape and order; --map says which belong together (A ends in {names[0] or 'nothing'};"
        f" B in {names[1] or 'nothing'})"
    )


def turned_words(a: Sequence[int], b: Sequence[int]) -> str:
    """How B is brought into A's shape, in words; "" where it has it."""
    order = axes(a, b)
    if tuple(a) == tuple(b) or order is None:
        return ""
    if order == tuple(range(len(b))):
        return f"B {shape(b)} reshaped"
    return f"B {shape(b)} transposed"
