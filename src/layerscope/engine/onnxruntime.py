"""Run a net with ONNX Runtime and keep every blob.

The wanted blobs become outputs of the graph, with the optimizer left on; measured, that costs
little more than a plain run, and changes no value (tests/engine/test_capture.py).  Weights are
handed over as arrays, never serialized, so a large net opens in about the time of reading it.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, helper

from layerscope.blobs import Blobs
from layerscope.engine.model import beside, is_held, lent, model, put_in_order
from layerscope.errors import LimitError, UnknownNameError, UnsupportedError, UsageError
from layerscope.inputs import Fed, prepare_all
from layerscope.net import Named, Net, once
from layerscope.stopping import call_until
from layerscope.text import plural, printable, quoted, size

KEPT_NETS = 4  # per net: those made from it for a run
KEPT_SESSIONS = 2  # per net: one that captures all, one for a choice of blobs
MEMORY_SHARE = 0.9
LOOP_SECONDS = 300.0  # of a run of a net with a Loop, which may have no end
_FAILED = re.compile(r"Name:'([^']*)' Status Message: (?:.*\] |\S*/\S* )?(.*)")

_sessions: WeakKeyDictionary[Net, OrderedDict[tuple[str, ...], Session]] = WeakKeyDictionary()
_made: WeakKeyDictionary[Net, OrderedDict[str, Net]] = WeakKeyDictionary()


class Session:
    """An ONNX Runtime session for some of a net's values, with the arrays that it points to.

    Args:
        net: the net.
        values: what can be asked for.
        spins: whether threads that wait for work in a run keep their processor busy: quicker where
            nothing else wants it.
        planned: whether the second run lays out its memory as one block, beside what the first one
            left; a gradient is as quick without, and takes a third less.
        keeps: whether memory that a run needed is kept for the next ones: where these want other
            blobs each time it becomes more and more, in pieces.
    """

    def __init__(
        self,
        net: Net,
        values: Sequence[str],
        *,
        spins: bool = True,
        planned: bool = True,
        keeps: bool = True,
    ) -> None:
        options = ort.SessionOptions()
        options.enable_mem_pattern = planned
        options.enable_cpu_mem_arena = keeps
        # Between two runs the processors belong to others, such as the session of a way back.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if not spins:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what goes wrong comes as an exception, never as print
        # Else values of a quantized net that are not asked for are computed on codes, and their
        # readers come out one code beside; under coded weights even floats become codes.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._net = quoted(net.name)
        self._loop = next(filter(_loops, net.graph.nodes), None)
        arrays = beside(net)
        # The runtime may read these arrays in place, so they live as long as the session.  As
        # external initializers alone it copies each of them; as initializers that the caller
        # owns too, it keeps only what it packs anew, but does not see what its optimizer changed.
        self._arrays = [np.ascontiguousarray(array) for array in arrays.values()]
        self._held = [
            _value_of(array, net.graph.types[name])
            for name, array in zip(arrays, self._arrays, strict=True)
        ]
        if arrays:
            options.add_external_initializers(list(arrays), self._held)
        in_place = lent(net)
        for name, value in zip(arrays, self._held, strict=True):
            if name in in_place:
                options.add_initializer(name, value)
        graph = model(net, values)
        self._names = [each.name for each in graph.graph.output]
        put_in_order(graph, net, values)
        try:
            self._session = ort.InferenceSession(
                graph.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,
            )
        except Exception as error:  # the runtime has no common base of its errors
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            reason = reason.removeprefix("[ONNXRuntimeError] : ")
            raise UnsupportedError(
                f"ONNX Runtime does not accept net {quoted(net.name)}: {printable(reason, 200)}"
            ) from None

    def run(
        self, feeds: Mapping[str, NDArray[Any]], values: Sequence[str] | None = None
    ) -> list[NDArray[Any]]:
        """The values, in the order in which they were asked for; `values` are some of them."""
        wanted = self._names if values is None else list(values)
        try:
            if self._loop is not None:
                return self._run_loop(self._loop, feeds, wanted)
            found: list[NDArray[Any]] = self._session.run(wanted, dict(feeds))
        except LimitError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if "alloc" in reason.lower():
                raise LimitError(f"not enough memory for this run: {printable(reason)}") from None
            raise UnsupportedError(f"ONNX Runtime stopped{_stopped(reason)}") from None
        return found

    def _run_loop(
        self, loop: NodeProto, feeds: Mapping[str, NDArray[Any]], wanted: list[str] | None
    ) -> list[NDArray[Any]]:
        """Run what may never end: it ends with Ctrl-C, and when its time is over."""
        options = ort.RunOptions()
        options.log_severity_level = 4
        try:
            return call_until(
                LOOP_SECONDS,
                lambda: list(self._session.run(wanted, dict(feeds), options)),
                lambda: setattr(options, "terminate", True),
            )
        except TimeoutError:
            raise LimitError(
                f"net {self._net}: layer {quoted(loop.name)} ({loop.op_type}) repeats its graph,"
                f" and the run took longer than {LOOP_SECONDS:g} s"
            ) from None


def _loops(outer: NodeProto) -> bool:
    """Whether a node is a Loop, or holds one."""
    waiting = [outer]
    while waiting:
        node = waiting.pop()
        if node.op_type == "Loop":
            return True
        for each in node.attribute:
            if each.HasField("g") or each.graphs:
                waiting += [inner for graph in (each.g, *each.graphs) for inner in graph.node]
    return False


def _value_of(array: NDArray[Any], element: int) -> Any:
    """An array as the runtime takes it, also of types that NumPy itself does not have."""
    if is_held(element):
        return ort.OrtValue.ortvalue_from_numpy(array)
    plain = array.view(f"u{array.dtype.itemsize}")
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(plain, element)


def _stopped(reason: str) -> str:
    """Where and why, without the places in the runtime's own code."""
    found = _FAILED.search(reason)
    if found is None:
        return f": {printable(reason, 200)}"
    return f" at {quoted(found[1])}: {printable(found[2], 200)}"


def run(
    net: Net,
    inputs: Any,
    blobs: Sequence[str] | None = None,
    *,
    allow_missing: bool = False,
    partly: bool = False,
) -> Blobs:
    """Feed a net and keep blobs; see `Net.run`.

    `partly` keeps all that can be computed, where anything can, though a layer cannot.
    """
    if net.not_computed and (blobs is None or not net.blobs) and not (partly and net.graph.nodes):
        raise UnsupportedError(net.not_computed[0].reason)
    fed, fitting = _fed(net, inputs, allow_missing=allow_missing)
    wanted = list(fitting.blobs) if blobs is None else _wanted(net, blobs, fitting)
    _check_memory(fitting, fed, wanted)
    return Blobs(_arrays(fitting, fed, wanted), fed, _aliases(fitting), net.name)


def fed_and_fitting(
    net: Net, inputs: Any, blobs: Sequence[str], *, allow_missing: bool
) -> tuple[dict[str, Fed], Net]:
    """What goes into a net, and the net at just the shapes of that, for a gradient.

    Args:
        net: any net.
        inputs: as `Net.run` takes them.
        blobs: keys that must be there without the inputs that are not fed.
        allow_missing: fill weights that are missing.

    Raises:
        UsageError: the input does not fit, weights are missing, or a blob needs what is not fed.
        LimitError: the blobs would not fit into memory.
    """
    fed, fitting = _fed(net, inputs, allow_missing=allow_missing, exact=True)
    _wanted(net, blobs, fitting)
    _check_memory(fitting, fed, list(fitting.blobs))
    return fed, fitting


def _fed(
    net: Net, inputs: Any, *, allow_missing: bool, exact: bool = False
) -> tuple[dict[str, Fed], Net]:
    if not allow_missing and net.missing:
        raise UsageError(missing(net))
    fed = prepared(net, inputs)
    shapes = {name: each.array.shape for name, each in fed.items()}
    return fed, fitting_net(net, shapes, exact=exact)


def prepared(net: Net, inputs: Any) -> dict[str, Fed]:
    """The blobs of all inputs that are given, each in the type that the input takes.

    Raises:
        LayerscopeError: what `layerscope.inputs.prepare_all` raises.
    """
    shapes = {name: net.graph.shapes[name] for name in net.inputs}
    return prepare_all(inputs, shapes, net.preprocessing, net.optional, input_types(net))


def wanted_blobs(net: Net, blobs: Sequence[str]) -> list[str]:
    """The keys of blobs by name, also of those written as blob@layer.

    Raises:
        UnknownNameError: there is no such blob; the message has the nearest.
    """
    return _wanted(net, blobs, net)


def input_types(net: Net) -> dict[str, np.dtype[Any]]:
    """What each input takes."""
    return {
        name: np.dtype(helper.tensor_dtype_to_np_dtype(net.graph.types[name]))
        for name in net.inputs
    }


def _arrays(net: Net, fed: Mapping[str, Fed], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    feeds = {name: each.array for name, each in fed.items()}
    known: dict[str, Any] = {**net.graph.tensors, **feeds}
    computed = dict.fromkeys(
        value for name in wanted if (value := net.blobs[name].value) not in known
    )
    if computed:
        values = session(net, tuple(computed)).run(feeds)
        known.update(zip(computed, values, strict=True))
    return {name: known[net.blobs[name].value] for name in wanted}


def session(net: Net, values: tuple[str, ...]) -> Session:
    """The session for some values of a net; the last ones used are kept."""
    kept = _sessions.setdefault(net, OrderedDict())
    if values in kept:
        kept.move_to_end(values)
        return kept[values]
    while len(kept) >= KEPT_SESSIONS:
        kept.popitem(last=False)
    kept[values] = Session(net, values)
    return kept[values]


def missing(net: Net) -> str:
    """The message about layers that have no weights."""
    with_params = sum(bool(each.params) for each in net.layers)
    names = ", ".join(printable(n, 40) for n in net.missing[:4])
    more = f" and {len(net.missing) - 4} more" if len(net.missing) > 4 else ""
    return (
        f"net {quoted(net.name)}: {len(net.missing)} of {plural(with_params, 'layer')} with params"
        f" have no weights ({names}{more}); give the caffemodel, or allow missing weights"
        " (--allow-missing) to fill them at random"
    )


def fitting_net(net: Net, fed: Mapping[str, tuple[int, ...]], *, exact: bool = False) -> Net:
    """The net for one run: without the inputs that are not fed, at the fed shapes, filled.

    `exact` wants the fed batch in the net too, where a run alone could leave it free.
    """
    unfed = [name for name in net.inputs if name not in fed]
    if unfed:
        net = _kept(net, f"without {unfed}", lambda net: net.without(*unfed))
    other = any(dims != net.graph.shapes[name] for name, dims in fed.items())
    if other and (exact or not (net.graph.free_batch and _one_rate(net, fed))):
        net = _kept(net, f"at {fed}", lambda net: net.reshaped(**fed))
    return _kept(net, "filled", lambda net: net.filled()) if net.missing else net


def _one_rate(net: Net, fed: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether all batches grow alike; else only a net built anew checks that they fit together.

    ONNX would broadcast one image over the three of another input, where Caffe refuses.
    """
    batches = [(dims[0], net.graph.shapes[name][0]) for name, dims in fed.items() if dims]
    return all(a * batches[0][1] == batches[0][0] * b for a, b in batches)


def _kept(net: Net, what: str, make: Callable[[Net], Net]) -> Net:
    """A net made from another one; the last few are kept, and with them their sessions."""
    kept = _made.setdefault(net, OrderedDict())
    if what not in kept:
        while len(kept) >= KEPT_NETS:
            kept.popitem(last=False)
        kept[what] = make(net)
    kept.move_to_end(what)
    return kept[what]


def _aliases(net: Net) -> dict[str, str]:
    """blob@layer for last writes too, so that every write can be asked for in one way."""
    return {
        f"{blob.name}@{blob.layer}": blob.name for blob in net.blobs.values() if not blob.replaced
    }


def _wanted(net: Net, blobs: Sequence[str], fitting: Net) -> list[str]:
    """The keys of the blobs that were asked for; `fitting` is what is left of the net."""
    if isinstance(blobs, str):
        raise UsageError(f"blobs takes a list of names, not the text {quoted(blobs)}")
    known, aliases = Named(net.blobs, "blob", f"net {quoted(net.name)}"), _aliases(net)
    for name in blobs:
        writer = next((each for each in net.layers if each.name == name), None)
        if name in known or name in aliases or writer is None:
            continue
        if writer.reason:
            raise UnsupportedError(writer.reason)
        raise UnknownNameError(
            f"{quoted(name)} is a layer, not a blob; it writes {', '.join(writer.tops)}"
        )
    wanted: list[str] = []
    for name in blobs:
        try:
            wanted.append(known[aliases.get(name, name)].name)
        except UnknownNameError as error:
            for layer in net.not_computed:
                if name in layer.lost:
                    reason = printable(layer.reason, 200)
                    raise UnsupportedError(f"blob {quoted(name)}: {reason}") from None
            raise error
    for name in wanted:
        if name not in fitting.blobs:
            unfed = ", ".join(printable(n) for n in net.inputs if n not in fitting.inputs)
            raise UsageError(f"blob {quoted(name)} needs input {unfed}, which is not fed")
    return wanted


def _check_memory(net: Net, fed: Mapping[str, Fed], wanted: Sequence[str]) -> None:
    """Refuse what cannot fit before anything is allocated."""
    batch = declared = 1
    for first in list(fed)[:1]:
        batch = fed[first].array.shape[0] if fed[first].array.ndim else 1
        declared = (net.graph.shapes[first] or (1,))[0]
    sizes = _bytes(net)
    needed = sum(sizes[value] for value in {net.blobs[name].value for name in wanted})
    # What is not kept is still made, and some of it is larger than all that is kept.
    needed = max(needed, max(sizes.values(), default=0))
    needed = int(needed * batch / max(declared, 1))
    free = _available_memory()
    if free and needed > MEMORY_SHARE * free:
        raise LimitError(
            f"the blobs of this run need {size(needed)}, {size(free)} of memory are free;"
            " feed fewer images at once, or keep only some blobs"
        )


@once
def _bytes(net: Net) -> dict[str, int]:
    """Bytes of each value, at the batch size of the file."""
    return {value: net.graph.bytes(value) for value in net.graph.shapes}


def _available_memory() -> int:
    """Bytes that can be had without swapping; 0 where that is not known."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - not a path of a user
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0
