"""The figures as a table for people, or as JSON; and what machine they are from."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.timing import Figure

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "pillow", "matplotlib")


def machine() -> dict[str, str]:
    """The date, the machine and the versions."""
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "not known"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}",
        "load before": load,
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def heading(about: dict[str, str]) -> str:
    """What stands above the table."""
    lines = [f"{name:12} {value}" for name, value in about.items()]
    columns = f"{'what':62} {'measured':>10}      {'goal':>10}"
    return "\n".join([*lines, "", columns, "-" * 104])


def row(figure: Figure) -> str:
    """One line of the table."""
    goal = ""
    if figure.goal is not None:
        goal = f"{'>=' if figure.at_least else '<='} {_number(figure.goal)} {figure.unit}"
    verdict = {True: "ok", False: "NOT MET", None: ""}[figure.met]
    value = _number(figure.value)
    line = f"{figure.what:62} {value:>10} {figure.unit:3} {goal:>11}  {verdict:8} {figure.note}"
    return line.rstrip()


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 3 if abs(value) < 10 else 2
    return f"{value:.{digits}f}"


def as_json(about: dict[str, str], figures: Iterable[Figure]) -> str:
    """Everything, for programs."""
    rows = [
        {
            "what": figure.what.strip(),
            "value": figure.value,
            "unit": figure.unit,
            "goal": figure.goal,
            "at_least": figure.at_least,
            "met": figure.met,
            "note": figure.note,
        }
        for figure in figures
    ]
    return json.dumps({"about": about, "figures": rows}, indent=1)
