"""Which of the files of `compare` make net A, and which net B: told by what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.cli.options import is_input
from layerscope.errors import UsageError
from layerscope.net import Net
from layerscope.readers import open_net
from layerscope.readers.file import InputFile
from layerscope.text import plural, printable

HOW = "give NET [WEIGHTS] NET [WEIGHTS], or one NET with two WEIGHTS"


@dataclass(frozen=True, slots=True)
class NetFiles:
    """A net file, and its weights where it has a file of them."""

    net: str
    weights: str | None = None

    def open(self, **opening: Any) -> Net:
        """The net."""
        return open_net(self.net, self.weights, **opening)

    @property
    def names(self) -> tuple[str, ...]:
        """Its files as they were given."""
        return tuple(path for path in (self.net, self.weights) if path is not None)


def sides(files: Sequence[str]) -> tuple[NetFiles, NetFiles | None, list[str]]:
    """(A, B, inputs); B is None where there is one net only.

    A definition and a model that holds its weights each begin a net; weights go to the definitions
    in order, one for all where there is one only; one definition with two weights is two nets; and
    weights without any definition hold their own.

    Raises:
        UsageError: too few files, too many, or a file that is not there.
    """
    by_kind: dict[str, list[str]] = {"definition": [], "weights": [], "model": [], "input": []}
    nets: list[str] = []
    for file in files:
        kind = _kind(file)
        by_kind[kind].append(file)
        if kind in ("definition", "model"):
            nets.append(file)
    definitions, weights = by_kind["definition"], by_kind["weights"]
    if len(nets) == 1 and len(definitions) == 1 and len(weights) == 2:
        found = [NetFiles(nets[0], each) for each in weights]
    elif not definitions and len(nets) + len(weights) <= 2:
        found = [NetFiles(file) for file in files if file in nets or file in weights]
    elif len(weights) in (0, 1, len(definitions)):
        supply = iter(weights if len(weights) == len(definitions) else weights * len(definitions))
        found = [
            NetFiles(file, next(supply, None) if file in definitions else None) for file in nets
        ]
    else:
        raise UsageError(
            f"{plural(len(weights), 'file')} of weights for"
            f" {plural(len(definitions), 'definition')}: {HOW}"
        )
    if not 1 <= len(found) <= 2:
        raise UsageError(f"compare takes two nets, {len(found)} are given: {HOW}")
    return found[0], (found[1] if len(found) == 2 else None), by_kind["input"]


def _kind(file: str) -> str:
    if is_input(file):
        return "input"
    kind = InputFile(file).kind
    if kind == "text":
        return "definition"
    alone = kind in ("onnx", "pytorch", "safetensors") or Path(file).suffix.lower() == ".onnx"
    return "model" if alone else "weights"


def said(a: NetFiles, b: NetFiles) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files of both for the heading: names alone where those tell A from B."""
    short = [tuple(printable(Path(name).name) for name in side.names) for side in (a, b)]
    if short[0] != short[1] or a == b:
        return short[0], short[1]
    return tuple(printable(n) for n in a.names), tuple(printable(n) for n in b.names)
