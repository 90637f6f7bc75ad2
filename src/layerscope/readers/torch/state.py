"""A module while its graph is taken: in eval mode, silent, and afterwards as it was."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

_TABLES = ("_parameters", "_buffers", "_modules")


@contextmanager
def evaluated(module: Any) -> Iterator[None]:
    """Eval mode for every part of a module; then all attributes are as they were.

    The flags are set directly: a module's own `train` may do more than that.  A `forward` that
    keeps something in `self` would leave a tensor without numbers there, so attributes are put
    back as well.
    """
    import torch

    parts = list(module.modules())
    before = [
        (dict(vars(part)), {name: dict(vars(part)[name]) for name in _TABLES}) for part in parts
    ]
    try:
        for part in parts:
            part.training = False
        with torch.no_grad():
            yield
    finally:
        for part, (attributes, tables) in zip(parts, before, strict=True):
            vars(part).clear()
            vars(part).update(attributes)
            for name, content in tables.items():
                vars(part)[name].clear()
                vars(part)[name].update(content)


@contextmanager
def silence() -> Iterator[list[Any]]:
    """No log lines, prints and warnings of the exporter; gives the list that warnings go into."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        quiet = io.StringIO()
        with (
            redirect_stdout(quiet),
            redirect_stderr(quiet),
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            yield caught
    finally:
        logging.disable(disabled)
