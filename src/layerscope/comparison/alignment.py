"""Which blob of one net is which of another: by name, by a like name, then by shape and order.

Knows no nets: it takes plain items, so that blobs and params are aligned in one way.

Names are compared from strict to loose, and a name counts only where exactly one item on each side
still has it, where the operation that writes it is of one family, and where the shapes fit; at the
end, when order has had its turn, a name counts for another family too.  The
family keeps `conv1` of a net with in-place ReLU (the value after it) from being taken for `conv1`
of its conversion (the value before it).  What no name tells is aligned between its aligned
neighbours by the longest common subsequence of (family, shape), so order never crosses.

Exporters multiply a batch norm into the weights before it and keep the name of those, so in the end
a blob before norms that the other net lacks hands its partner on to the last of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from layerscope.errors import UnknownNameError, UsageError
from layerscope.text import nearest_hint, plural, printable, quoted, shape

MOST_CELLS = (
    4_000_000  # of the table of one common subsequence; beyond it, what is left stays alone
)

Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A blob or a param, as far as alignment cares.

    Attributes:
        name: what it is called.
        shape: for a batch of one.
        family: of the operation that writes it, see `families`.
        names: other names that it could go by: its layer's, its file's.
        norm: the item that is this one times and plus constants of each channel, where nothing
            else reads this one.
        coding: whether it only rounds another to codes, decodes it, or stands in between.
    """

    name: str
    shape: tuple[int, ...]
    family: str
    names: tuple[str, ...] = ()
    norm: str = ""
    coding: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Two items that are taken for the same.

    Attributes:
        a, b: positions in the two lists.
        how: "name", "like name", "order", "map" or "folded norm".
    """

    a: int
    b: int
    how: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs in the order of A, and what is left on each side.

    Attributes:
        pairs: the pairs.
        only_a, only_b: positions that have no partner.
        unlike: (a, b) of one name whose shapes do not fit; they are among the lonely ones too.
    """

    pairs: tuple[Pair, ...]
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    unlike: tuple[tuple[int, int], ...]


Keys = Callable[[Item], Iterable[str]]


def align(
    a: Sequence[Item],
    b: Sequence[Item],
    given: Mapping[str, str] | None = None,
    *,
    names_tell: bool = False,
) -> Alignment:
    """Align two lists of items.

    Args:
        a: in the order in which they run.
        b: the same of the other net.
        given: names of A to names of B that belong together whatever they look like.
        names_tell: whether one name is one thing, whatever the family.

    Raises:
        UnknownNameError: a given name does not exist; the message names the nearest.
        UsageError: two given names cannot be the same: their shapes do not fit.
    """
    found = _Aligned(a, b)
    for left, right in (given or {}).items():
        found.take(*_given(a, b, left, right), "map")
    if names_tell:
        found.by_names(_exact, "name", same_family=False)
    for keys, how in _LEVELS:
        found.by_names(keys, how, same_family=True)
    for begin, end in found.gaps():
        found.by_order(begin, end)
    for keys, how in _LEVELS[:3]:  # another kind of layer in the place of one, under its name
        found.by_names(keys, how, same_family=False)
    found.by_folded_norms()
    pairs = tuple(sorted(found.pairs, key=lambda pair: pair.a))
    only_a = tuple(i for i in range(len(a)) if i not in found.of_a)
    only_b = tuple(i for i in range(len(b)) if i not in found.of_b)
    names = {b[i].name: i for i in only_b}
    unlike = tuple((i, names[a[i].name]) for i in only_a if a[i].name in names)
    return Alignment(pairs, only_a, only_b, unlike)


def _given(a: Sequence[Item], b: Sequence[Item], left: str, right: str) -> tuple[int, int]:
    places = []
    for side, items, name in (("A", a, left), ("B", b, right)):
        known = {item.name: i for i, item in enumerate(items)}
        if name not in known:
            raise UnknownNameError(
                f"map {printable(left)}={printable(right)}: {quoted(name)} is not in {side}"
                f" ({plural(len(known), 'name')}){nearest_hint(name, known)}"
            )
        places.append(known[name])
    if axes(a[places[0]].shape, b[places[1]].shape) is None:
        raise UsageError(
            f"map {printable(left)}={printable(right)}: {shape(a[places[0]].shape)} and"
            f" {shape(b[places[1]].shape)} cannot be held against each other"
        )
    return places[0], places[1]


class _Aligned:
    """The pairs so far."""

    def __init__(self, a: Sequence[Item], b: Sequence[Item]) -> None:
        self.a, self.b = a, b
        self.pairs: list[Pair] = []
        self.of_a: dict[int, int] = {}
        self.of_b: dict[int, int] = {}

    def take(self, i: int, j: int, how: str) -> None:
        if i in self.of_a or j in self.of_b:
            raise UsageError(
                f"map names {quoted(self.a[i].name)} or {quoted(self.b[j].name)} twice"
            )
        self.of_a[i], self.of_b[j] = j, i
        self.pairs.append(Pair(i, j, how))

    def by_names(self, keys: Keys, how: str, *, same_family: bool) -> None:
        """Pair what shares a key that nothing else on its side has."""
        left = _by_key(self.a, self.of_a, keys, same_family=same_family)
        right = _by_key(self.b, self.of_b, keys, same_family=same_family)
        for key, places in left.items():
            others = right.get(key, [])
            if len(places) != 1 or len(others) != 1:
                continue
            i, j = places[0], others[0]
            if i in self.of_a or j in self.of_b or not self._fit(i, j):
                continue
            self.take(i, j, how)

    def _fit(self, i: int, j: int) -> bool:
        return axes(self.a[i].shape, self.b[j].shape) is not None

    def gaps(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """The stretches between pairs that are in one order on both sides."""
        chain = _rising([(p.a, p.b) for p in sorted(self.pairs, key=lambda p: p.a)])
        marks = [(-1, -1), *chain, (len(self.a), len(self.b))]
        return [
            ((i + 1, k), (j + 1, m))
            for (i, j), (k, m) in pairwise(marks)
            if k > i + 1 and m > j + 1
        ]

    def by_order(self, in_a: tuple[int, int], in_b: tuple[int, int]) -> None:
        """Pair what is alone in one gap by the longest common subsequence."""
        left = [i for i in range(*in_a) if i not in self.of_a]
        right = [j for j in range(*in_b) if j not in self.of_b]
        if len(left) * len(right) > MOST_CELLS:
            return
        for i, j in _common([_print(self.a[i]) for i in left], [_print(self.b[j]) for j in right]):
            self.take(left[i], right[j], "order")

    def by_folded_norms(self) -> None:
        """Pair what stands after norms with what has those norms in its weights."""
        norms_a, norms_b = _norms(self.a), _norms(self.b)
        for n, pair in enumerate(self.pairs):
            if pair.how == "map":
                continue
            of_a, of_b = norms_a.get(pair.a, ()), norms_b.get(pair.b, ())
            if of_a and not of_b and self.of_a.keys().isdisjoint(of_a):
                del self.of_a[pair.a]
                self.of_a[of_a[-1]], self.of_b[pair.b] = pair.b, of_a[-1]
                self.pairs[n] = Pair(of_a[-1], pair.b, "folded norm")
            elif of_b and not of_a and self.of_b.keys().isdisjoint(of_b):
                del self.of_b[pair.b]
                self.of_a[pair.a], self.of_b[of_b[-1]] = of_b[-1], pair.a
                self.pairs[n] = Pair(pair.a, of_b[-1], "folded norm")


def _norms(items: Sequence[Item]) -> dict[int, tuple[int, ...]]:
    """For products of weights the norms that follow, one after the other."""
    places = {item.name: i for i, item in enumerate(items)}
    found: dict[int, tuple[int, ...]] = {}
    for i in range(len(items) - 1, -1, -1):
        after = places.get(items[i].norm, -1)
        if after > i:
            found[i] = (after, *found.get(after, ()))
    return {i: norms for i, norms in found.items() if items[i].family == "weighted"}


def _by_key(
    items: Sequence[Item], taken: Mapping[int, int], keys: Keys, *, same_family: bool
) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for i, item in enumerate(items):
        if i not in taken:
            for key in dict.fromkeys(keys(item)):
                if key:
                    found.setdefault((key, item.family if same_family else ""), []).append(i)
    return found


# What exporters put around a name: ":0", "/Conv_output_0", "_output_0", "_Y", "_quantized".
_TAIL = re.compile(
    r"(_(de)?quantizelinear_(output|input)(_\d+)?|:\d+|/[A-Za-z]+_output_\d+|[_.]output_\d+|[/_.:](y|output|out|quantized|dequantized)(_\d+)?)$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[_.:/]\d+$")


def plain(name: str) -> str:
    """A name without what exporters add, in lower case.

    >>> plain("/features/Conv1/Conv_output_0"), plain("conv1:0"), plain("inception_3a/1x1")
    ('features_conv1', 'conv1', 'inception_3a_1x1')
    """
    words = name.strip("/")
    shorter = _TAIL.sub("", words)
    while shorter and shorter != words:
        words, shorter = shorter, _TAIL.sub("", shorter)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or name


def _exact(item: Item) -> Iterable[str]:
    return (item.name,)


def _any(item: Item) -> Iterable[str]:
    return item.names


def _plain(item: Item) -> Iterable[str]:
    return (plain(name) for name in (item.name, *item.names))


def _numberless(item: Item) -> Iterable[str]:
    return (key for name in _plain(item) for key in (name, _NUMBER.sub("", name)))


def _last(item: Item) -> Iterable[str]:
    """The last word of a path: `features_conv1` of a module's scope."""
    return (plain(name.strip("/").split("/")[-1]) for name in (item.name, *item.names))


_LEVELS: tuple[tuple[Keys, str], ...] = (
    (_exact, "name"),
    (_any, "name"),
    (_plain, "like name"),
    (_numberless, "like name"),
    (_last, "like name"),
)


def _print(item: Item) -> tuple[str, tuple[int, ...]]:
    """What must be equal for an alignment by order; NHWC and NCHW look alike."""
    return item.family, tuple(sorted(d for d in item.shape if d != 1))


def _rising(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of points (in order of the first) that rises in the second too."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for n, (_, j) in enumerate(points):
        at = bisect_left(ends, j)
        before.append(last[at - 1] if at else -1)
        if at == len(ends):
            ends.append(j)
            last.append(n)
        else:
            ends[at], last[at] = j, n
    chain, n = [], last[-1] if last else -1
    while n >= 0:
        chain.append(points[n])
        n = before[n]
    return chain[::-1]


def _common(a: Sequence[object], b: Sequence[object]) -> list[tuple[int, int]]:
    """The longest common subsequence, as places in both; of equals the first in both."""
    lengths = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        for j in range(len(b) - 1, -1, -1):
            same = a[i] == b[j]
            lengths[i][j] = (
                lengths[i + 1][j + 1] + 1 if same else max(lengths[i + 1][j], lengths[i][j + 1])
            )
    found, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


def axes(a: Sequence[int], b: Sequence[int]) -> Axes | None:
    """How B's axes must be ordered so that it can be held against A; None where nothing helps.

    Equal shapes, and shapes that differ in axes of 1 or are flattened (C x H x W against their
    product), keep their order; NHWC against NCHW is turned, and so is a transposed matrix.

    >>> axes((1, 8, 5, 4), (1, 5, 4, 8)), axes((10, 7), (7, 10)), axes((1, 8, 5, 4), (1, 160))
    ((0, 3, 1, 2), (1, 0), (0, 1))
    """
    a, b = tuple(a), tuple(b)
    if a == b or [d for d in a if d != 1] == [d for d in b if d != 1]:
        return tuple(range(len(b)))
    if len(a) == len(b) >= 3:
        channels_last = (0, len(b) - 1, *range(1, len(b) - 1))
        channels_first = (0, *range(2, len(b)), 1)
        for order in (channels_last, channels_first):
            if tuple(b[i] for i in order) == a:
                return order
    if len(a) == len(b) == 2 and a == b[::-1]:
        return (1, 0)
    if a and b and a[0] == b[0] and prod(a) == prod(b) and 2 in (len(a), len(b)):
        return tuple(range(len(b)))
    return None
