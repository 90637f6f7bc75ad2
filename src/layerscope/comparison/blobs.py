"""Blobs held against blobs: both nets run on each input, and sums are kept, never arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.comparison.alignment import Pair, align
from layerscope.comparison.feeding import Fedboth, Feed, Feeding
from layerscope.comparison.items import blob_items
from layerscope.comparison.result import (
    Arrays,
    Comparison,
    Entry,
    Row,
    Rule,
    alone,
    checked,
    side,
    turned_words,
)
from layerscope.comparison.runs import Runs
from layerscope.comparison.sources import named, sources
from layerscope.errors import UsageError
from layerscope.measure.similarity import Similarity, Tally
from layerscope.media import ARRAY_SUFFIXES
from layerscope.net import Blob, Net
from layerscope.text import plural, printable, shape

Progress = Callable[[int, int, str], None]


def compare_blobs(  # noqa: PLR0913 - see `compare`
    a: Net,
    b: Net,
    rule: Rule,
    match: Mapping[str, str] | None = None,
    *,
    inputs: Any,
    inputs_b: Any,
    feed: Feed | None,
    most_bytes: int,
    progress: Progress | None,
) -> Comparison:
    """Hold the blobs of two nets against each other; see `compare`."""
    given, notes = _given(inputs, inputs_b)
    feeding = Feeding(a, b, feed, apart=inputs_b is not None, array=_is_array(given[0][0]))
    fed = feeding.both(*given[0])
    left, right = a.without(*_unfed(a, fed.a)), b.without(*_unfed(b, fed.b))
    items_a, items_b = blob_items(left), blob_items(right)
    found = checked(align(items_a, items_b, match), items_a, items_b, "blobs")
    runs = Runs(left, right, found.pairs, most_bytes, _batch(fed))
    work = _Work(left, right, feeding, given, runs)
    states = work.measure(rule, progress)
    rows = {pair: state.row(pair, work, rule) for pair, state in states.items() if state.held}

    def arrays(number: int) -> Iterator[tuple[Row, Arrays]]:
        for pair, both in work.arrays(number):
            if pair in rows:
                yield rows[pair], both

    return Comparison(
        kind="blobs",
        a=side(a),
        b=side(b),
        rows=tuple(rows[pair] for pair in found.pairs if pair in rows),
        **alone(found, items_a, items_b),
        not_held=tuple(state.unlike for state in states.values() if not state.held),
        by=rule.by,
        threshold=rule.threshold,
        inputs=tuple(work.entries),
        feed=feeding.way,
        notes=(*feeding.notes, *notes, *_notes("A", a), *(_notes("B", b) if b is not a else ())),
        arrays=arrays,
        pictures=work.pictures,
    )


def _given(inputs: Any, inputs_b: Any) -> tuple[list[tuple[Any, Any]], list[str]]:
    """(input of A, input of B), one by one."""
    left, notes = sources(inputs)
    if inputs_b is None:
        return [(each, each) for each in left], notes
    right, more = sources(inputs_b)
    if len(right) == 1:
        right *= len(left)
    if len(right) != len(left):
        raise UsageError(
            f"{plural(len(left), 'input')} for A, {plural(len(right), 'input')} for B:"
            " give as many for each, or one for B"
        )
    return list(zip(left, right, strict=True)), notes + more


def _batch(fed: Fedboth) -> int:
    """How many images are fed at once, to the net that gets more."""
    both = [*fed.a.values(), *fed.b.values()]
    return max((each.array.shape[0] for each in both if each.array.ndim), default=1)


def _is_array(source: Any) -> bool:
    """Whether an input is numbers that are fed as they are, and not an image."""
    if isinstance(source, Mapping):
        return all(map(_is_array, source.values()))
    if isinstance(source, (str, PathLike)):
        return Path(source).suffix.lower() in ARRAY_SUFFIXES
    return isinstance(source, np.ndarray) and source.dtype != np.uint8


def _unfed(net: Net, fed: Mapping[str, Any]) -> list[str]:
    return [name for name in net.optional if name not in fed]


def _notes(name: str, net: Net) -> list[str]:
    notes = [f"{name}: {note}" for note in net.notes]
    return notes + [f"{name}: not computed: {layer.reason}" for layer in net.not_computed]


@dataclass(slots=True)
class _State:
    """What is known of one pair so far."""

    overall: Tally = field(default_factory=Tally)
    worst: Similarity | None = None
    input: int = 0
    dims: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    unlike: str = ""

    @property
    def held(self) -> bool:
        return not self.unlike and self.worst is not None

    def add(self, number: int, arrays: Arrays, rule: Rule) -> None:
        tally = Tally()
        tally.add(*arrays)
        measures = tally.result()
        self.overall.include(tally)
        if self.worst is None or measures.rank(rule.by) > self.worst.rank(rule.by):
            self.worst, self.input = measures, number

    def row(self, pair: Pair, work: _Work, rule: Rule) -> Row:
        one, other = work.blobs(pair)
        assert self.worst is not None
        return Row(
            a=one.name,
            b=other.name,
            shape_a=self.dims[0],
            shape_b=self.dims[1],
            layer_a=one.layer,
            layer_b=other.layer,
            type_a=work.types[0][one.name],
            type_b=work.types[1][other.name],
            how=pair.how,
            turned=turned_words(*self.dims),
            worst=self.worst,
            overall=self.overall.result(),
            input=self.input,
            beyond=self.worst.beyond(rule.threshold, rule.by),
        )


class _Work:
    """The runs of one comparison; the groups are outside, so each is prepared once."""

    def __init__(
        self, a: Net, b: Net, feeding: Feeding, given: Sequence[tuple[Any, Any]], runs: Runs
    ) -> None:
        self.entries: list[Entry] = []
        self.types = _types(a), _types(b)
        self._feeding, self._given, self._runs = feeding, given, runs
        self._of_a, self._of_b = list(a.blobs.values()), list(b.blobs.values())

    def blobs(self, pair: Pair) -> tuple[Blob, Blob]:
        """The two blobs of a pair."""
        return self._of_a[pair.a], self._of_b[pair.b]

    def measure(self, rule: Rule, progress: Progress | None) -> dict[Pair, _State]:
        """Hold every pair against each other for every input."""
        states = {pair: _State() for group in self._runs.groups for pair in group}
        done, total = 0, len(states) * len(self._given)
        for first, group in enumerate(self._runs.groups):
            self._runs.renew()
            for number, (one, other) in enumerate(self._given):
                fed = self._feeding.both(one, other)
                if not first:
                    self.entries.append(_entry(number, one, other, fed))
                for pair, dims, arrays in self._runs.pairs(group, fed):
                    if progress is not None:
                        progress(done, total, self._of_a[pair.a].name)
                    done += 1
                    states[pair].dims = dims
                    if arrays[0].shape == arrays[1].shape:
                        states[pair].add(number, arrays, rule)
                    else:
                        name = printable(self._of_a[pair.a].name)
                        states[
                            pair
                        ].unlike = f"{name}: {shape(dims[0])} in A, {shape(dims[1])} in B"
        if progress is not None:
            progress(total, total, "")
        return states

    def arrays(self, number: int) -> Iterator[tuple[Pair, Arrays]]:
        """Run again for one input, and give the arrays."""
        fed = self._feeding.both(*self._given[number])
        for group in self._runs.groups:
            self._runs.renew()
            for pair, _, arrays in self._runs.pairs(group, fed):
                yield pair, arrays

    def pictures(self, number: int) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        """What A and B saw, where an image was fed."""
        fed = self._feeding.both(*self._given[number])
        found = [
            next((each.picture for each in side.values() if each.pictures), None)
            for side in (fed.a, fed.b)
        ]
        return found[0], found[1]


def _types(net: Net) -> dict[str, str]:
    """Blob to the type of the layer that writes it."""
    return {top: layer.type for layer in net.layers for top in layer.tops}


def _entry(number: int, one: Any, other: Any, fed: Fedboth) -> Entry:
    name = named(one, number + 1)
    if other is not one:
        name += f" and {named(other, number + 1)}"
    return Entry(name, *fed.statements)
