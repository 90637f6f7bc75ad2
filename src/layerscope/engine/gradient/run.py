"""The gradient of a unit, or of seeded blobs, with respect to blobs, inputs and params."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from layerscope.blobs import Blobs
from layerscope.engine.gradient.backward import Backward, backward, dependent, layer_names, pruned
from layerscope.engine.gradient.tape import FLOATS, sized_by_run
from layerscope.engine.gradient.widening import widened
from layerscope.engine.onnxruntime import Session, fed_and_fitting, run, wanted_blobs
from layerscope.errors import UnknownNameError, UnsupportedError, UsageError
from layerscope.net import Net
from layerscope.text import nearest_hint, quoted, shape
from layerscope.units import parse_unit

KEPT_PROGRAMS = 2  # per net: backward graphs with their sessions
Array = NDArray[Any]

_programs: WeakKeyDictionary[Net, OrderedDict[tuple[Any, ...], Program]] = WeakKeyDictionary()
_open: WeakKeyDictionary[Net, frozenset[str]] = WeakKeyDictionary()


class Program:
    """Forward and backward of some targets and wanted values, as one session.

    Args:
        net: at the shapes of the run; one of half numbers is computed in float32.
        targets, wanted, blocked: see `backward`.
        given: forward values that are fed and not computed again; see `pruned`.
        also: forward values that `run` gives beside the gradients.
        spins: see `Session`.
        mode: whose rules, where not the derivative's; see `backward`.

    Attributes:
        fed: the inputs and given values that `run` must be given.
    """

    def __init__(  # noqa: PLR0913 - all but the first three by name
        self,
        net: Net,
        targets: Sequence[str],
        wanted: Sequence[str],
        *,
        blocked: Collection[tuple[int, str]] = (),
        given: Collection[str] = (),
        also: Sequence[str] = (),
        spins: bool = True,
        mode: str = "",
    ) -> None:
        net = widened(net)
        # Not the net: programs are kept by net, and one that held it would keep it for ever.
        self._layers = layer_names(net)
        self.found: Backward = backward(net, targets, wanted, blocked, mode)
        seeds = self.found.seeds.values()
        made = dict.fromkeys(g for g in self.found.gradients.values() if g and g not in seeds)
        self._also = list(dict.fromkeys(also))
        self._values = [*made, *self._also]
        self._net = pruned(self.found, self._values, given)
        self._session = None
        if self._values:
            self._session = Session(self._net, self._values, spins=spins, planned=False)
        self.fed = [name for name in self._net.inputs if name not in seeds]

    def run(self, feeds: Mapping[str, Array], seeds: Mapping[str, Array]) -> dict[str, Array]:
        """Wanted value to gradient, without those that no target depends on; `also` to value.

        Args:
            feeds: input or given value to array.
            seeds: target value to the gradient put on it.
        """
        known = self._fed(feeds, seeds)
        given = {name: known[name] for name in self._net.inputs}
        arrays = self._session.run(given) if self._session else []
        known.update(zip(self._values, arrays, strict=True))
        gradients = {v: known[g] for v, g in self.found.gradients.items() if g}
        return gradients | {v: known[v] for v in self._also}

    def nan_at(self, feeds: Mapping[str, Array], seeds: Mapping[str, Array]) -> str:
        """The first layer that gives back what is not a number, walking from the targets."""
        known, order = self._fed(feeds, seeds), self.found.order
        self._add(known, order.values())
        for value, gradient in order.items():
            if np.isnan(known[gradient]).any():
                givers = self.found.givers[value]
                self._add(known, givers)
                # None of them where infinities of two cancel out.
                odd = [node for part, node in givers.items() if np.isnan(known[part]).any()]
                return self._layers[next(iter([*odd, *givers.values()]))]
        return ""

    def _fed(self, feeds: Mapping[str, Array], seeds: Mapping[str, Array]) -> dict[str, Array]:
        """What the graph is given by name, in the types that it takes."""
        known = {**feeds, **{self.found.seeds[t]: array for t, array in seeds.items()}}
        types = self.found.net.graph.types
        return {
            name: np.asarray(array, helper.tensor_dtype_to_np_dtype(types[name]))
            for name, array in known.items()
        }

    def _add(self, known: dict[str, Array], names: Iterable[str]) -> None:
        """Compute values of the graph that are not known yet."""
        names = [name for name in dict.fromkeys(names) if name not in known]
        if names:
            net = pruned(self.found, names)
            given = {name: known[name] for name in net.inputs}
            known.update(zip(names, Session(net, names).run(given), strict=True))


def gradient(
    net: Net,
    of: str | Mapping[str, Any],
    wrt: str | Sequence[str],
    inputs: Any,
    *,
    allow_missing: bool = False,
) -> Array | dict[str, Array]:
    """How targets change with blobs, inputs or params; see `Net.gradient`."""
    if not isinstance(wrt, Iterable):
        raise UsageError(
            f"wrt is a {type(wrt).__name__}; give the name of a blob, or a list of them"
        )
    names = [wrt] if isinstance(wrt, str) else list(wrt)
    blobs, params = _sorted_out(net, names)
    targets = _targets(net, of)
    fed, fitting = fed_and_fitting(
        net, inputs, [*targets, *blobs.values()], allow_missing=allow_missing
    )
    feeds = {name: each.array for name, each in fed.items()}
    values = {name: fitting.blobs[key].value for name, key in blobs.items()} | params
    for key in (*targets, *blobs.values()):
        check_float(fitting, key)
    seeds = _seeds(net, fitting, of, targets, inputs, allow_missing)
    program = _program(fitting, tuple(seeds), tuple(dict.fromkeys(values.values())))
    found = program.run(feeds, seeds)
    for name, value in values.items():
        if value not in found:
            raise independent(fitting, targets, name, value)
        if np.isnan(found[value]).any():
            raise not_a_number(program, feeds, seeds, name)
    arrays = {name: found[value] for name, value in values.items()}
    return arrays[names[0]] if isinstance(wrt, str) else arrays


def _program(net: Net, targets: tuple[str, ...], wanted: tuple[str, ...]) -> Program:
    kept = _programs.setdefault(net, OrderedDict())
    key = (targets, wanted)
    if key not in kept:
        while len(kept) >= KEPT_PROGRAMS:
            kept.popitem(last=False)
        kept[key] = Program(net, targets, wanted)
    kept.move_to_end(key)
    return kept[key]


def _sorted_out(net: Net, names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The names as given: those of blobs with their keys, those of params with their values."""
    if not names:
        raise UsageError("wrt is empty; name blobs, inputs or params")
    params = {param.name: param for layer in net.layers for param in layer.params}
    blobs, found = {}, {}
    for name in names:
        if name in params and name not in net.blobs:
            # A param that is shared may have its own name there, or only that of its owner.
            value = name if name in net.graph.tensors else params[name].shared_with
            if value not in net.graph.tensors or not _read(net, value):
                raise UnsupportedError(
                    f"param {quoted(name)}: its numbers are worked into others before the net"
                    " runs, so it has no gradient of its own"
                )
            found[name] = value
        else:
            if name not in net.blobs and "/" in name:
                hint = nearest_hint(name, [*params, *net.blobs])
                raise UnknownNameError(
                    f"{quoted(name)} is no blob and no param of net {quoted(net.name)}{hint}"
                )
            blobs[name] = wanted_blobs(net, [name])[0]
    return blobs, found


def _read(net: Net, value: str) -> bool:
    return any(value in node.input for node in net.graph.nodes)


def _targets(net: Net, of: str | Mapping[str, Any]) -> list[str]:
    """The keys of the blobs whose units or seeds are meant."""
    if isinstance(of, str):
        return [unit_blob(net, of)]
    if not isinstance(of, Mapping):
        raise UsageError(
            f"of is a {type(of).__name__}; give a unit (blob:channel,y,x), a blob, or a mapping of"
            " blob to what is put on it"
        )
    if not of:
        raise UsageError("of is empty; give a unit, or blobs with their seeds")
    return wanted_blobs(net, list(of))


def _numbers(name: str, given: Any) -> Array:
    """A seed as an array."""
    try:
        return np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise UsageError(f"seed of blob {quoted(name)} is no array of numbers") from None


def unit_blob(net: Net, words: str) -> str:
    """The key of the blob that a unit is of; a blob's name may have a colon itself."""
    name = words
    if words not in net.blobs and ":" in words:
        name = words.rpartition(":")[0]
    return wanted_blobs(net, [name])[0]


def _seeds(
    net: Net,
    fitting: Net,
    of: str | Mapping[str, Any],
    targets: Sequence[str],
    inputs: Any,
    allow_missing: bool,
) -> dict[str, Array]:
    """Target value to what is put on it."""
    if isinstance(of, str):
        key = targets[0]
        seed = _unit_seed(net, fitting, of, key, inputs, allow_missing)
        return {fitting.blobs[key].value: seed}
    seeds: dict[str, Array] = {}
    for key, (name, given) in zip(targets, of.items(), strict=True):
        dims, array = fitting.blobs[key].shape, _numbers(name, given)
        if fitting.blobs[key].value in _sized_by_run(fitting):
            dims = array.shape
        if array.shape != dims and array.shape != dims[1:]:
            raise UsageError(
                f"seed of blob {quoted(name)} is {shape(array.shape)}; the blob is {shape(dims)}"
            )
        if not np.isfinite(array).all():
            raise UsageError(f"seed of blob {quoted(name)} has values that are not finite")
        array = np.ascontiguousarray(np.broadcast_to(array, dims))
        value = fitting.blobs[key].value
        seeds[value] = seeds[value] + array if value in seeds else array
    return seeds


def _sized_by_run(net: Net) -> frozenset[str]:
    """See `sized_by_run`; found once a net, as a gradient is often asked for again and again."""
    if net not in _open:
        _open[net] = frozenset(sized_by_run(net.graph))
    return _open[net]


def _unit_seed(
    net: Net, fitting: Net, words: str, key: str, inputs: Any, allow_missing: bool
) -> Array:
    """1 at the unit of every image of the batch, 0 elsewhere; all 1 for a whole blob."""
    blob = fitting.blobs[key]
    top = words.rpartition(":")[2].startswith("top")
    if top or blob.value in _sized_by_run(fitting):
        blobs = run(net, inputs, [key], allow_missing=allow_missing)
    else:
        blobs = Blobs({key: np.broadcast_to(np.float32(0), blob.shape)})
    dims = blobs[key].shape
    if ":" not in words or words in (key, f"{key}@{blob.layer}"):
        return np.ones(dims, np.float32)
    seed = np.zeros(dims, np.float32)
    for image in range(dims[0] if len(dims) > 1 else 1):
        unit = parse_unit(words, net, blobs, image)
        seed[unit.index] = 1
    return seed


def check_float(net: Net, key: str) -> None:
    """Refuse a blob of whole numbers.

    Raises:
        UnsupportedError: it is one.
    """
    value = net.blobs[key].value
    if net.graph.types.get(value, 1) not in FLOATS:
        other = "a blob after it" if key in net.inputs else "the blob before it"
        raise UnsupportedError(
            f"blob {quoted(key)} holds whole numbers (layer {quoted(net.blobs[key].layer)}), which"
            f" change in steps and have no gradient; take {other}"
        )


def independent(net: Net, targets: Sequence[str], name: str, value: str) -> UsageError:
    """The error about a gradient that is zero because nothing is computed from the value."""
    many = len(targets) > 1
    words = ", ".join(quoted(key) for key in targets[:3])
    linked = [dependent(net, net.blobs[key].value, value) for key in targets]
    stops = [stop for depends, stop in linked if depends and stop]
    if stops:
        return UsageError(
            f"the gradient of {words} with respect to {quoted(name)} is zero everywhere: layer"
            f" {quoted(stops[0])} gives indices or steps; take a blob before it"
        )
    return UsageError(
        f"{words} {'do' if many else 'does'} not depend on {quoted(name)}: no way through the net"
        " leads from the one to the other"
    )


def not_a_number(
    program: Program, feeds: Mapping[str, Array], seeds: Mapping[str, Array], name: str
) -> UnsupportedError:
    """The error about a gradient that is NaN, with the layer that gives it."""
    layer = program.nan_at(feeds, seeds)
    where = f"; the first, walking back, is what layer {quoted(layer)} gives" if layer else ""
    return UnsupportedError(
        f"the gradient with respect to {quoted(name)} is not a number (NaN){where}"
    )
