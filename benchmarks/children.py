"""Fresh processes: they find the same layerscope as this one does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import layerscope

_ROOT = Path(__file__).parents[1]


def output_of(command: Sequence[str]) -> str:
    """Run a command to its end and give what it printed.

    Raises:
        CalledProcessError: it failed.
    """
    source = Path(layerscope.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(_ROOT)])}
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
