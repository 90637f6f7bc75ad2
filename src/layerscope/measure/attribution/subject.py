"""One unit of one image: its value and its gradient, for what was fed and for other inputs.

The unit is found once, by a run of what was fed: `prob:top1` stays the same unit when the image
changes.  That run keeps what the way back reads, so that a gradient costs the way back alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from layerscope.blobs import Blobs
from layerscope.engine.gradient.backward import dependent, upstream, values_between
from layerscope.engine.gradient.rules.rectifier import rectifiers
from layerscope.engine.gradient.run import (
    Program,
    check_float,
    independent,
    not_a_number,
    unit_blob,
)
from layerscope.engine.gradient.tape import sized_by_run
from layerscope.engine.onnxruntime import fed_and_fitting, session, wanted_blobs
from layerscope.errors import LayerscopeError, UnsupportedError, UsageError
from layerscope.inputs import Fed, Preprocessing
from layerscope.measure.attribution.trials import Trials
from layerscope.measure.top import probability_blob, score_blob
from layerscope.net import Net
from layerscope.text import printable, quoted
from layerscope.units import parse_unit

KEPT_PROGRAMS = 4  # per net: ways back with their sessions
_SAME = 1e-5  # of the largest number of the unit's blob: how far a value may be off by rounding

Array = NDArray[Any]
Progress = Callable[[int, int, str], None]

_programs: WeakKeyDictionary[Net, OrderedDict[tuple[str, ...], Program]] = WeakKeyDictionary()


class Subject:
    """A unit of an image, and what its value is when the input changes.

    Args:
        net: any net.
        inputs: as `Net.run` takes them.
        of: the unit, as `parse_unit` reads it; "" for the likeliest class.
        wrt: the input or blob that it is to be explained by; "" for the image.
        image: which image of the batch.
        allow_missing: fill missing weights, as `Net.run` does.
        progress: called as progress(done, total, title) in long work.

    Attributes:
        net: at the shapes of the run.
        unit: the unit, with its place in the batch.
        value: its value.
        name: the key of the blob that `wrt` names.
        item: one image of it, (C, H, W) for an image.
        target: the ONNX value of the unit's blob.
        feeds: input to what was fed.
        known: ONNX value to array, for all that the unit is computed from.
        title: of the method, for `progress`.

    Raises:
        UsageError: a name or an index is wrong, the input does not fit, or the unit does not depend
            on `wrt`.
        UnsupportedError: the blob holds whole numbers, or the value is not a number.
    """

    def __init__(
        self,
        net: Net,
        inputs: Any,
        of: str = "",
        *,
        wrt: str = "",
        image: int = 0,
        allow_missing: bool = False,
        progress: Progress | None = None,
    ) -> None:
        words = of or _likeliest(net)
        target = unit_blob(net, words)
        asked = wanted_blobs(net, [wrt]) if wrt else []
        fed, self.net = fed_and_fitting(net, inputs, [target, *asked], allow_missing=allow_missing)
        check_float(self.net, target)
        self._source, self._fed, self.progress, self.title = net, fed, progress, ""
        self.name = asked[0] if asked else _image(fed)
        self.target = self.net.blobs[target].value
        if not dependent(self.net, self.target, self.net.blobs[self.name].value)[0]:
            raise independent(self.net, [target], self.name, self.net.blobs[self.name].value)
        self.feeds = {name: each.array for name, each in fed.items()}
        self.known = self._captured()
        array = self.known[self.target]
        self.unit = parse_unit(words, net, Blobs({target: array}), image)
        self.value = float(array[self.unit.index])
        if not np.isfinite(self.value):
            raise self._not_finite()
        self._slot = self.unit.index[0] if array.ndim > 1 else image
        self.item = self.one(self.name)

    # --- what was fed ---

    @property
    def fed(self) -> Fed | None:
        """What went into the input, where the unit is explained by an input."""
        return self._fed.get(self.name)

    @property
    def slot(self) -> int:
        """Which row of the input is explained."""
        return self._slot if self._slot < len(self.known[self.net.blobs[self.name].value]) else 0

    @property
    def picture(self) -> NDArray[np.uint8] | None:
        """The image as it was fed, (H, W) or (H, W, 3), where there is one of the input's size."""
        fed = self.fed
        if fed is None or len(fed.pictures) != len(fed.array):
            return None
        found = fed.pictures[self._slot if self._slot < len(fed.pictures) else 0]
        return found if found.shape[:2] == tuple(self.places) else None

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become the input."""
        return self._source.preprocessing

    @property
    def last(self) -> bool:
        """Whether the channels of the input are its last axis (N, H, W, C)."""
        return self.fed is not None and self._source.preprocessing.layout == "NHWC"

    @property
    def space(self) -> tuple[int, ...]:
        """The axes of `item` that are places and not channels; the only one of a vector."""
        axes = tuple(range(self.item.ndim))
        if len(axes) < 2:
            return axes
        return axes[:-1] if self.last and len(axes) > 2 else axes[1:]

    @property
    def channel_axis(self) -> int | None:
        """The axis of `item` that is its channels."""
        left = [axis for axis in range(self.item.ndim) if axis not in self.space]
        return left[0] if left else None

    @property
    def places(self) -> tuple[int, ...]:
        """The sizes of those axes: (H, W) for an image."""
        return tuple(self.item.shape[axis] for axis in self.space)

    def one(self, blob: str) -> Array:
        """What a blob was in the run, for the image alone."""
        return self.row(self.known[self.net.blobs[blob].value])

    def key(self, blob: str) -> str:
        """The key of a blob that the unit is computed from.

        Raises:
            UnknownNameError: there is no such blob.
            UsageError: the unit does not depend on it.
        """
        (key,) = wanted_blobs(self.net, [blob])
        if self.net.blobs[key].value not in self.known:
            value = self.net.blobs[key].value
            raise independent(self.net, [self.unit.blob], key, value)
        return key

    def row(self, array: Array) -> Array:
        """What an array of the run has for the image; all of it where it has no batch."""
        if array.ndim < 2:
            return array
        found: Array = array[self._slot if self._slot < len(array) else 0]
        return found

    # --- what the unit makes of other inputs ---

    def values(self, samples: Iterable[Array], total: int) -> Iterator[float]:
        """The unit's value for each of some inputs.

        Args:
            samples: each in the shape of `item`.
            total: how many there are.

        Raises:
            UsageError: the unit is explained by a blob that is not fed.
        """
        self.check_fed()
        return self._trials.values(samples, total)

    def gradients(self, samples: Iterable[Array], total: int) -> Iterator[Array]:
        """The gradient of the unit by the input, for each of some inputs, as `values` takes them.

        Raises:
            UsageError: the unit is explained by a blob that is not fed.
            UnsupportedError: an op has no gradient, or it is not a number.
        """
        self.check_fed()
        return self._trials.gradients(samples, total)

    def slope(self, blob: str = "", mode: str = "") -> Array:
        """The gradient of the unit by a blob, for what was fed, in the shape of `one(blob)`.

        Only what lies between the two is run, and backward alone.

        Args:
            blob: a key of `net.blobs`; "" for that of `name`.
            mode: whose rules, where not the derivative's; see `engine.gradient.backward`.
        """
        key = blob or self.name
        check_float(self.net, key)
        given = self.known.keys() - sized_by_run(self.net.graph) - set(self.net.inputs)
        seed = np.zeros(self.known[self.target].shape, self.known[self.target].dtype)
        seed[self.unit.index] = 1
        return self.row(self.backward(self.net, key, self.known, seed, mode, tuple(sorted(given))))

    def backward(
        self, net: Net, key: str, feeds: dict[str, Array], seed: Array, mode: str = "",
        given: tuple[str, ...] = (),
    ) -> Array:  # fmt: skip
        """The gradient of the unit's blob, with a seed put on it, by another blob.

        Args:
            net: at the shapes of what is fed.
            key: the blob.
            feeds: input or given value to array.
            seed: what is put on the unit's blob.
            mode: whose rules; see `slope`.
            given: forward values that are known.
        """
        value = net.blobs[key].value
        program = _program(net, self.target, value, mode, given)
        seeds = {self.target: seed}
        found = program.run(feeds, seeds)
        if value not in found:
            raise independent(net, [self.unit.blob], key, value)
        if np.isnan(found[value]).any():
            raise not_a_number(program, feeds, seeds, key)
        return found[value]

    @cached_property
    def reads_others(self) -> bool:
        """Whether the unit changes with other rows of the input than the one that is explained.

        So it does by the steps before of a recurrent layer, by statistics of the batch, and where
        the first axis of the input is no batch at all.  Tried once: the other rows are set to 0.
        """
        fed = self.feeds.get(self.name)
        if fed is None or fed.ndim < 2 or len(fed) < 2:
            return False
        changed = np.zeros_like(fed)
        self.row(changed)[...] = self.item
        try:
            (array,) = session(self.net, (self.target,)).run({**self.feeds, self.name: changed})
        except LayerscopeError:
            return True  # cannot even be computed without them
        known = self.known[self.target]
        if array.shape != known.shape:
            return True
        size = float(np.abs(known, dtype=np.float64).max(initial=1e-30))
        return not abs(float(array[self.unit.index]) - self.value) <= _SAME * size

    def rectifiers(self) -> int:
        """How many rectifiers lie between the unit and the input."""
        return rectifiers(self.net, self.target, self.net.blobs[self.name].value)

    def values_between(self) -> frozenset[str]:
        """The values through which the unit depends on the input."""
        return values_between(self.net, self.target, self.net.blobs[self.name].value)

    def check_fed(self) -> None:
        """Refuse a blob where a method has to change what is fed.

        Raises:
            UsageError: the unit is explained by a blob that is no input.
        """
        if self.name not in self.feeds:
            names = ", ".join(printable(name) for name in self.feeds)
            raise UsageError(
                f"{self.title or 'this method'} changes what is fed, and {quoted(self.name)} is"
                f" no input (inputs: {names}); take gradient or inputxgradient, or an input"
            )

    # --- inside ---

    def _captured(self) -> dict[str, Array]:
        """One run: every blob that the unit is computed from, by value."""
        made = upstream(self.net, self.target)
        values = [b.value for b in self.net.blobs.values() if b.value in made]
        values += [self.target] if self.target in made else []
        wanted = tuple(dict.fromkeys(values))
        known: dict[str, Array] = dict(self.feeds)
        if wanted:
            arrays = session(self.net, wanted).run(self.feeds)
            known.update(zip(wanted, arrays, strict=True))
        return known

    def _not_finite(self) -> UnsupportedError:
        """The error about a value that is not a number, with the first layer that gives such."""
        odd = (
            blob
            for blob in self.net.blobs.values()
            if not np.isfinite(self.known.get(blob.value, np.zeros(1))).all()
        )
        first = next(odd, self.net.blobs[self.unit.blob])
        return UnsupportedError(
            f"unit {quoted(self.unit)} is {self.value}, which nothing can be said of; the first"
            f" that is not finite is blob {quoted(first.name)} of layer {quoted(first.layer)}"
        )

    @cached_property
    def _trials(self) -> Trials:
        return Trials(self, self._source)


def _program(
    net: Net, target: str, wanted: str, mode: str = "", given: tuple[str, ...] = ()
) -> Program:
    kept = _programs.setdefault(net, OrderedDict())
    key = (target, wanted, mode, *given)
    if key not in kept:
        while len(kept) >= KEPT_PROGRAMS:
            kept.popitem(last=False)
        kept[key] = Program(net, [target], [wanted], given=given, mode=mode)
    kept.move_to_end(key)
    return kept[key]


def _likeliest(net: Net) -> str:
    """The unit that is meant when none is named."""
    found = probability_blob(net) or score_blob(net)
    if found is None:
        raise UsageError(
            f"net {quoted(net.name)} ends in no classes; name a unit: blob:channel,y,x or blob:top1"
        )
    return f"{found}:top1"


def _image(fed: dict[str, Fed]) -> str:
    """The input that is explained by: the one that was fed an image, or has the most axes."""
    for name, each in fed.items():
        if each.pictures:
            return name
    floats = [name for name, each in fed.items() if each.array.dtype.kind == "f"] or list(fed)
    if not floats:
        raise UsageError("nothing was fed, so there is nothing to explain the unit by")
    return max(floats, key=lambda name: fed[name].array.ndim)
