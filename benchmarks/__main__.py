"""`python -m benchmarks`: measure everything and print a table with the goals."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from benchmarks import (
    capture,
    cold_start,
    dream,
    gradient,
    grids,
    nets,
    onnx_nets,
    opening,
    overhead,
    rivals,
    settings,
    surgery,
    table,
)
from benchmarks.timing import Figure

Group = Callable[[], list[Figure]]
ONNX = ("resnet50", "mobilenet_v2")
ON_REQUEST = ("settings",)  # only with --only


def groups(folder: Path, quick: bool) -> dict[str, list[Group]]:
    """What is measured, by name, in this order."""

    @cache
    def files(name: str) -> nets.NetFiles:
        return nets.write(folder, name, getattr(nets, name)())

    @cache
    def exported(name: str) -> onnx_nets.OnnxFile:
        return onnx_nets.write(folder, name, getattr(onnx_nets, name)())

    def kept(name: str, batch: int) -> Group:
        return lambda: capture.measure(exported(name), batch, goal=capture.ONNX_GOAL, quick=quick)

    def beaten(name: str, batch: int) -> Group:
        return lambda: rivals.measure(exported(name), batch, quick=quick)

    def captured(name: str, batch: int, goal: float | None) -> Group:
        return lambda: capture.measure(files(name), batch, goal=goal, quick=quick)

    def added(name: str, count: int) -> Group:
        return lambda: overhead.measure(files(name), quick=quick, count=count)

    def derived(name: str, batch: int) -> Group:
        return lambda: gradient.measure(files(name), batch, quick=quick)

    def dreamt(name: str, unit: str, batch: int) -> Group:
        source = dream.demo if name == "demo" else lambda: files(name).open()
        return lambda: dream.measure(source(), unit, batch, quick=quick)

    def tried(name: str, batch: int) -> Group:
        return lambda: settings.measure(files(name), batch, quick=quick)

    return {
        "opening": [
            lambda: opening.measure(files("caffenet"), quick=quick),
            lambda: opening.measure(files("vgg16"), quick=quick, goal=False),
            lambda: opening.measure(files("resnet152"), quick=quick, goal=False),
        ],
        "cold_start": [lambda: cold_start.measure(files("caffenet"), quick=quick)],
        "overhead": [added("small", 150), added("caffenet", 100)],
        "capture": [
            *(captured("caffenet", batch, capture.GOAL) for batch in (1, 10, 50)),
            *(captured("googlenet", batch, None) for batch in (1, 10)),
        ],
        "onnx": [kept(name, batch) for name in ONNX for batch in (1, 10)],
        "rivals": [beaten(name, batch) for name in ONNX for batch in (1, 10)],
        "gradient": [
            *(derived(name, batch) for name in ("caffenet", "googlenet") for batch in (1, 10)),
            lambda: gradient.measure_cam(files("caffenet"), quick=quick),
            lambda: gradient.measure_cam(files("googlenet"), quick=quick),
        ],
        "dream": [
            *(dreamt("demo", "conv3:7", batch) for batch in (1, 16)),
            *(dreamt("caffenet", "conv5:7", batch) for batch in (1, 4)),
            *(dreamt("caffenet", "prob:7", batch) for batch in (1, 4)),
        ],
        "grids": [lambda: grids.measure(files("googlenet"), quick=quick)],
        "surgery": [lambda: surgery.measure(files("caffenet"), 10, quick=quick)],
        "settings": [tried("caffenet", 1), tried("caffenet", 10), tried("googlenet", 10)],
    }


def measured(chosen: list[str], quick: bool) -> Iterator[Figure]:
    """The figures, one after another, as they come."""
    with tempfile.TemporaryDirectory(prefix="layerscope-bench-") as folder:
        known = groups(Path(folder), quick)
        for name in chosen or [name for name in known if name not in ON_REQUEST]:
            for group in known[name]:
                yield from group()


def main() -> None:
    """Measure and print; a goal that is not met is told, and is no failure."""
    names = list(groups(Path(), True))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions: rough figures")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--only", choices=names, action="append", default=[], metavar="NAME",
                        help=f"just this measurement ({', '.join(names)})")  # fmt: skip
    given = parser.parse_args()
    about = table.machine()
    if given.json:
        print(table.as_json(about, list(measured(given.only, given.quick))))
        return
    print(table.heading(about), flush=True)
    missed = 0
    for figure in measured(given.only, given.quick):
        print(table.row(figure), flush=True)
        missed += figure.met is False
    print(f"\n{missed or 'no'} goal{'' if missed == 1 else 's'} not met")


if __name__ == "__main__":
    main()
