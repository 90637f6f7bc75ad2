"""A folder with a picture of every blob and every param, and an index that needs no script.

It is drawn beside its place and then put there, so a run that fails leaves what was there before.
Nothing is removed that an album did not write itself.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from layerscope.blobs import Blobs
from layerscope.errors import SystemFaultError, UsageError
from layerscope.files import file_name, write_file
from layerscope.net import Layer, Net
from layerscope.pictures import Picture, Plot
from layerscope.pictures.scale import Scale
from layerscope.show.drawing import blob_picture, param_picture
from layerscope.show.index import index_page
from layerscope.text import one_line, printable, quoted

Progress = Callable[[int, int, str], None]

MADE_BY = "layerscope album"
INDEX, PAGE = "index.json", "index.html"
_OURS = re.compile(r"\d{3,}-[A-Za-z0-9._-]*\.png")


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture, or why there is none.

    Attributes:
        layer, type: the layer that it belongs to.
        kind: "blob", "param" or "layer".
        name: of the blob or the param.
        shape: of its array.
        file: the picture, in the folder; "" where there is none.
        caption: of the picture, or the reason why there is none.
        size: (width, height) of the picture in pixels.
    """

    layer: str
    type: str
    kind: str
    name: str
    shape: tuple[int, ...]
    file: str
    caption: str
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Album:
    """What was written.

    Attributes:
        folder: where.
        entries: in the order of the net.
    """

    folder: Path
    entries: tuple[Entry, ...]

    @property
    def pictures(self) -> int:
        """How many pictures there are."""
        return sum(bool(entry.file) for entry in self.entries)

    @property
    def statement(self) -> str:
        """How many pictures there are of how many blobs and params."""
        return f"{self.pictures:,} of {len(self.entries):,} blobs and params drawn"


def album(
    net: Net,
    blobs: Blobs,
    folder: str | PathLike[str],
    *,
    labels: Sequence[str] | None = None,
    scale: Scale | None = None,
    raw: bool = False,
    progress: Progress | None = None,
) -> Album:
    """Draw every blob of a run, before and after each in-place layer, and every param.

    The first image of a batch is drawn.  What has no picture is in the index with the reason.

    Args:
        net: the net.
        blobs: a run of it.
        folder: a new or an empty folder, or one that was made by this; then it is made anew.
        labels: the names of the classes.
        scale: how all pictures are scaled, in place of what fits each.
        raw: only the pixels: not enlarged, without captions.
        progress: called as progress(done, total, name).

    Raises:
        UsageError: the folder has files that are not an album's, or is none.
        SystemFaultError: the system refused.
    """
    target = Path(folder)
    before = _before(target)
    pad = target if target.is_dir() else target.parent
    beside = pad / f".layerscope-{secrets.token_hex(8)}"
    try:
        beside.mkdir(parents=True)
        draw = _Drawer(net, blobs, beside, labels, scale, raw)
        entries = tuple(draw.every(progress))
        _write_index(net, blobs, beside, entries, raw=raw)
        _put(beside, target, before)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SystemFaultError(
            one_line(f"cannot write the folder {quoted(target)}: {reason}")
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Album(target, entries)


def _before(target: Path) -> set[str]:
    """The files that an earlier album left in a folder.

    Raises:
        UsageError: there is something else.
    """
    try:
        if not stat.S_ISDIR(target.stat().st_mode):
            raise UsageError(f"cannot make the folder {quoted(target)}: there is a file")
        found = {path.name for path in target.iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise SystemFaultError(
            one_line(f"cannot read the folder {quoted(target)}: {error.strerror}")
        ) from error
    except ValueError as error:  # a NUL, a lone surrogate
        raise UsageError(f"{quoted(target)}: not a usable folder name ({error})") from error
    if not found:
        return set()
    try:
        index = json.loads((target / INDEX).read_bytes())
        ours = index["made_by"] == MADE_BY
        listed = {str(entry["file"]) for entry in index["pictures"]} if ours else set()
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise UsageError(
            f"the folder {quoted(target)} has files of others ({quoted(min(found))});"
            " name a new or an empty folder"
        )
    return {name for name in listed if _OURS.fullmatch(name)} & found | ({INDEX, PAGE} & found)


def _put(beside: Path, target: Path, before: set[str]) -> None:
    """Put what was drawn into its place, the index last, and remove what is no longer in it.

    Raises:
        UsageError: a file of somebody else has the name of one of ours.
    """
    if not target.exists():
        beside.rename(target)
        return
    made = sorted((path.name for path in beside.iterdir()), key=lambda name: (name == INDEX, name))
    for name in made:
        if name not in before and (target / name).exists():
            raise UsageError(
                f"the folder {quoted(target)} has a file {quoted(name)} of its own;"
                " name a new or an empty folder"
            )
    for name in made:
        (beside / name).replace(target / name)
    for name in before - set(made):
        (target / name).unlink(missing_ok=True)


class _Drawer:
    """Draws one picture after the other into a folder."""

    def __init__(
        self, net: Net, blobs: Blobs, folder: Path, labels: Sequence[str] | None,
        scale: Scale | None, raw: bool,
    ) -> None:  # fmt: skip
        self.net, self.blobs, self.folder = net, blobs, folder
        self.labels, self.scale, self.raw = labels, scale, raw
        self.number = 0
        self.total = sum(len(self._of(layer)) for layer in net.layers)

    def every(self, progress: Progress | None) -> Iterator[Entry]:
        """An entry for each blob and each param, layer by layer."""
        done = 0
        for layer in self.net.layers:
            if layer.reason:
                yield Entry(layer.name, layer.type, "layer", layer.name, (), "", layer.reason)
            for make, number in self._of(layer):
                if progress is not None:
                    progress(done, self.total, layer.name)
                done += 1
                yield make(layer, number)
        if progress is not None:
            progress(self.total, self.total, "")

    def _of(self, layer: Layer) -> list[tuple[Callable[[Layer, int], Entry], int]]:
        blobs = [(self._blob, i) for i, top in enumerate(layer.tops) if top in self.blobs]
        return [*blobs, *((self._param, i) for i in range(len(layer.params)))]

    def _blob(self, layer: Layer, number: int) -> Entry:
        name = layer.tops[number]
        array, value = self.blobs[name], self.net.blobs[name].value
        same = [b for b in layer.bottoms if self.net.blobs[b].value == value]
        none = f"the same as {printable(same[0])}" if same else "" if array.size else "no numbers"
        if none:
            return Entry(layer.name, layer.type, "blob", name, array.shape, "", none)
        scale = self.scale or "all"
        made = blob_picture(self.net, self.blobs, name, scale=scale, labels=self.labels)
        return self._kept(layer, "blob", name, array.shape, made)

    def _param(self, layer: Layer, number: int) -> Entry:
        param = layer.params[number]
        none = "" if param.size else "no numbers"
        if param.shared_with:
            none = f"the same as {printable(param.shared_with)}"
        elif param.array is None:
            none = "no weights"
        if none:
            return Entry(layer.name, layer.type, "param", param.name, param.shape, "", none)
        made = param_picture(self.net, layer, number, scale=self.scale)
        return self._kept(layer, "param", param.name, param.shape, made, f"-param{number}")

    def _kept(
        self, layer: Layer, kind: str, name: str, dims: tuple[int, ...], made: Picture | Plot,
        tail: str = "",
    ) -> Entry:  # fmt: skip
        self.number += 1
        stem = layer.name if kind == "param" else name
        file = f"{self.number:03}-{file_name(stem)}{tail}.png"
        if isinstance(made, Plot):
            width, height = made.figure.get_size_inches()
            size, caption = (round(100 * width), round(100 * height)), made.title
            write_file(self.folder / file, made.png())
        else:
            shown = made if self.raw else made.readable()
            size, caption = (shown.width, shown.height), made.caption
            shown.save(self.folder / file, raw=True)
        return Entry(layer.name, layer.type, kind, name, dims, file, caption, size)


def _write_index(
    net: Net, blobs: Blobs, folder: Path, entries: Sequence[Entry], *, raw: bool
) -> None:
    fed = {name: each.statement for name, each in blobs.fed.items()}
    content: dict[str, Any] = {
        "made_by": MADE_BY,
        "net": net.name,
        "format": net.format,
        "fed": fed,
        "notes": list(net.notes),
        "pictures": [asdict(entry) for entry in entries if entry.file],
        "without_picture": [asdict(entry) for entry in entries if not entry.file],
    }
    write_file(folder / INDEX, json.dumps(content, indent=1, ensure_ascii=True).encode())
    heads = [(layer.name, layer.type, layer.summary) for layer in net.layers]
    page = index_page(net.name, list(fed.values()), net.notes, heads, entries, captions=raw)
    write_file(folder / PAGE, page.encode("utf-8", "backslashreplace"))
