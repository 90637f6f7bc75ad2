"""Session settings tried one by one: what each does to a run that keeps every value.

Not part of the usual table: `python -m benchmarks --only settings`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import onnxruntime as ort

import layerscope as ls
from benchmarks.nets import Floats, NetFiles, images
from benchmarks.sessions import Bare, captured_values, last_value
from benchmarks.timing import SETTLED, Figure, Work, rounds

Setting = Callable[[ort.SessionOptions], object]

SETTINGS: dict[str, Setting] = {
    "defaults": lambda options: None,
    "no memory arena": lambda options: setattr(options, "enable_cpu_mem_arena", False),
    "no memory pattern": lambda options: setattr(options, "enable_mem_pattern", False),
    "no memory reuse": lambda options: setattr(options, "enable_mem_reuse", False),
    "no spinning": lambda options: options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    ),
    "no prepacking": lambda options: options.add_session_config_entry(
        "session.disable_prepacking", "1"
    ),
    "no NCHWc layout": lambda options: setattr(
        options, "graph_optimization_level", ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ),
}


def measure(files: NetFiles, batch: int, *, quick: bool) -> list[Figure]:
    """Each setting in turn with the plain run at defaults; two sessions are alive at a time."""
    net = files.open()
    array = images(net, batch)
    plain = Bare(net, (last_value(net),)).call({net.inputs[0]: array})
    count = 5 if quick else max(15, 40 // batch)
    figures = []
    for name, setting in SETTINGS.items():
        options = ort.SessionOptions()
        setting(options)
        session = Bare(net, captured_values(net), options)
        figures += _compared(f"{files.name} batch {batch}: {name}", session.call(
            {net.inputs[0]: array}), plain, count)  # fmt: skip
        if name == "defaults":
            title = f"{files.name} batch {batch}: results bound beforehand"
            figures += _compared(title, _bound(session, net, array), plain, count)
        del session
        gc.collect()
    return figures


def _compared(name: str, work: Work, plain: Work, count: int) -> list[Figure]:
    found = rounds({"plain": plain, "tried": work}, count, pause=SETTLED)
    return [
        Figure(name, found.ratio("tried", "plain"), "x",
               note=f"{1e3 * found.median('tried'):.4g} ms, {count} pairs")
    ]  # fmt: skip


def _bound(session: Bare, net: ls.Net, array: Floats) -> Work:
    """A run that writes into arrays made once: no allocation, and no result for the user either."""
    binding = session.session.io_binding()
    binding.bind_cpu_input(net.inputs[0], array)
    kept = []
    for value in session.values:
        dims = [len(array), *net.graph.shapes[value][1:]]
        kept.append(ort.OrtValue.ortvalue_from_shape_and_type(dims, array.dtype))
        binding.bind_ortvalue_output(value, kept[-1])
    return lambda: (session.session.run_with_iobinding(binding), kept)[0]
