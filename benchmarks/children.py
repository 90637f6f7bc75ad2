"""Fresh processes: they find the same layerscope as this one does, compiled as if installed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import layerscope

_ROOT = Path(__file__).parents[1]


def output_of(command: Sequence[str]) -> str:
    """Run a command to its end and give what it printed.

    Python keeps the compiled modules in a folder of their own, which the first run fills: an
    installed layerscope is compiled too, whatever PYTHONDONTWRITEBYTECODE says here.

    Raises:
        CalledProcessError: it failed.
    """
    source = Path(layerscope.__file__).parents[1]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join([str(source), str(_ROOT)])
    environment["PYTHONPYCACHEPREFIX"] = _compiled().name
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


@cache
def _compiled() -> tempfile.TemporaryDirectory[str]:
    """A folder that lasts as long as this process."""
    return tempfile.TemporaryDirectory(prefix="layerscope-bench-compiled-")
