"""The inputs of a comparison: one, several, or those of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import SystemFaultError, UsageError
from layerscope.media import ARRAY_SUFFIXES
from layerscope.text import plural, printable

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", *ARRAY_SUFFIXES)


def sources(inputs: Any) -> tuple[list[Any], list[str]]:
    """Inputs one by one, and notes on what was left out.

    A list is several inputs, which are fed one after the other; a folder stands for the images and
    arrays in it, in the order of their names.

    Raises:
        UsageError: there are none.
        SystemFaultError: a folder cannot be read.
    """
    found: list[Any] = []
    notes: list[str] = []
    for each in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
        if isinstance(each, (str, PathLike)) and Path(each).is_dir():
            files, note = _of_folder(Path(each))
            found += files
            notes += note
        else:
            found.append(each)
    if not found:
        raise UsageError("no input: give an image, an array (.npy) or a folder of them")
    return found, notes


def _of_folder(folder: Path) -> tuple[list[Path], list[str]]:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise SystemFaultError(f"{printable(folder)}: cannot be read: {error.strerror}") from None
    known = [path for path in files if path.suffix.lower() in _SUFFIXES]
    if not known:
        raise UsageError(
            f"{printable(folder)}: {plural(len(files), 'file')}, none is an image or an array"
        )
    left = len(files) - len(known)
    note = f"{printable(folder)}: {len(known)} of {len(files)} files are images or arrays"
    return known, [note] if left else []


def named(source: Any, number: int) -> str:
    """What to call an input."""
    if isinstance(source, (str, PathLike)):
        return printable(Path(source).name)
    if isinstance(source, Mapping):
        files = [
            named(each, number) for each in source.values() if not isinstance(each, np.ndarray)
        ]
        return ", ".join(files) or f"array {number}"
    return f"array {number}" if isinstance(source, np.ndarray) else f"input {number}"
