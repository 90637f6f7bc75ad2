"""One self-contained page with every layer of a run, that opens from disk and can be explored.

The page asks the network for nothing: numbers are packed inside it (`figures`), and its script
(`page/`) draws them.  Its policy allows that script and that style by their hashes and nothing
else, and every text from a file is escaped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

from layerscope.blobs import Blobs
from layerscope.errors import UsageError
from layerscope.files import write_file
from layerscope.measure.attribution import Attribution, attributions
from layerscope.net import Layer, Net
from layerscope.show.document import Document
from layerscope.show.figures import (
    BLOB_BYTES,
    LAYER_BYTES,
    PARAM_BYTES,
    Figure,
    Source,
    figure,
    share,
)
from layerscope.show.sources import Sources
from layerscope.text import quoted

Progress = Callable[[int, int, str], None]


def report(  # noqa: PLR0913 - independent choices, all but the first three by name
    net: Net,
    inputs: Any,
    path: str | PathLike[str],
    *,
    labels: Sequence[str] | None = None,
    allow_missing: bool = False,
    attribute: Sequence[str | Attribution] = (),
    of: str = "",
    progress: Progress | None = None,
) -> Path:
    """Run a net and write every layer onto one page; of what cannot be computed, the reason.

    Args:
        net: the net.
        inputs: an image or arrays, as `Net.run` takes them.
        path: the page to write; it is replaced only when the new one is complete.
        labels: the names of the classes.
        allow_missing: run although some layers have no weights.
        attribute: ways to say what counts for a unit, by name ("gradcam"; docs/attribution.md), or
            what `layerscope.attribute` gave; they get a section of their own.
        of: the unit that is meant; the likeliest class when left out.
        progress: called as progress(done, total, layer name).

    Returns:
        The path.

    Raises:
        LayerscopeError: what `Net.run` and `attribute` raise; SystemFaultError when the page
            cannot be written.
    """
    blobs = inputs
    if not isinstance(inputs, Blobs):
        from layerscope.engine import run  # the runtime is loaded when it is needed

        blobs = run(net, inputs, allow_missing=allow_missing, partly=True)
    target = Path(path)
    counts = _counts(net, inputs, attribute, of, labels, allow_missing, progress)
    page = _page(net, blobs, list(labels or []), counts, progress)
    write_file(target, page.encode("utf-8", "backslashreplace"))
    return target


def _counts(
    net: Net,
    inputs: Any,
    asked: Sequence[str | Attribution],
    of: str,
    labels: Sequence[str] | None,
    allow_missing: bool,
    progress: Progress | None,
) -> list[Attribution]:
    """What counts for a unit: what was given, and what was asked for by name."""
    if of and not asked:
        raise UsageError(f"of names unit {quoted(of)}, but no way to say what counts for it")
    ready = [each for each in asked if isinstance(each, Attribution)]
    names = [each for each in asked if isinstance(each, str)]
    if not names:
        return ready
    if isinstance(inputs, Blobs):
        raise UsageError(
            "attribute by name needs what was fed: give the image, not the blobs of a run, or what"
            " layerscope.attribute gives"
        )
    return ready + attributions(
        net, inputs, of, names, labels=labels, allow_missing=allow_missing, progress=progress
    )


def _page(
    net: Net,
    blobs: Blobs,
    labels: list[str],
    counts: Sequence[Attribution],
    progress: Progress | None,
) -> str:
    sources = Sources(net, blobs, labels)
    shown = [_sources(net, blobs, layer, sources) for layer in net.layers]
    share(sources.blobs, BLOB_BYTES - LAYER_BYTES * len(net.layers))
    share(sources.params, PARAM_BYTES)
    document = Document(net, blobs, labels)
    document.counts(counts)
    # zlib and NumPy let go of the interpreter's lock, so two cores pack in half the time.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = [{key: pool.submit(figure, s) for key, s in each.items()} for each in shown]
        for i, (layer, futures) in enumerate(zip(net.layers, found, strict=True)):
            if progress is not None:
                progress(i, len(net.layers), layer.name)
            figures: dict[str | int, Figure] = {key: f.result() for key, f in futures.items()}
            document.layer(i, layer, figures)
    if progress is not None:
        progress(len(net.layers), len(net.layers), "")
    return document.page()


def _sources(net: Net, blobs: Blobs, layer: Layer, sources: Sources) -> dict[str | int, Source]:
    """What is shown of a layer: its tops by name, its params by number."""
    found: dict[str | int, Source] = {}
    same = {net.blobs[bottom].value for bottom in layer.bottoms}
    for name in layer.tops:
        if name in blobs and net.blobs[name].value not in same and blobs[name].size:
            found[name] = sources.blob(layer, name)
    for number, param in enumerate(layer.params):
        if param.array is not None and param.size:
            found[number] = sources.param(layer, number, param)
    return found
