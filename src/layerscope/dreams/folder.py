"""Every channel of a blob as a file of its own, so that a long job can be stopped and goes on.

Each picture says in its file what it was made from: the settings, and a mark of the net.  A file
that says the same is not made again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.dreams.ascent import Progress, ascents
from layerscope.dreams.objective import fingerprint
from layerscope.dreams.result import Dream, Dreams
from layerscope.dreams.settings import Settings
from layerscope.dreams.target import Target, label_of
from layerscope.errors import LayerscopeError, SystemFaultError, UsageError
from layerscope.files import file_name, write_file
from layerscope.media import decode_image, read_bytes
from layerscope.net import Net
from layerscope.pictures import png
from layerscope.text import one_line, printable, quoted

KEY = "layerscope dream"
RECIPE = 2  # of the pictures: another number when the same settings no longer give the same pixels
MAX_FILE = 256_000_000
_OLD_SHEET = "the image that each wants"  # sheets said no more before recipe 2


class Folder:
    """Dreams of one blob's channels in a folder.

    Args:
        net: at the size of the images, with all weights.
        targets: of one blob.
        path: the folder; it is made when there is none.
        settings: how to dream.
        total: how many channels the blob has, for the sheet.
        labels: the names of the classes, for a blob of those.

    Attributes:
        finished: target to dream, of those that are in the folder.
        found: how many of them were there already.

    Raises:
        UsageError: `path` is a file, or has a file of somebody else where one of ours would go.
        SystemFaultError: the folder cannot be made.
    """

    def __init__(
        self, net: Net, targets: Sequence[Target], path: Path, settings: Settings, total: int,
        labels: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        self.net, self.targets, self.path = net, list(targets), path
        self.settings, self.total, self._labels = settings, total, labels
        self._mark = {"recipe": RECIPE, "net": fingerprint(net, targets[0]), **asdict(settings)}
        _make(path)
        self._check_sheet()
        self.finished: dict[Target, Dream] = {}
        for target in self.targets:
            dream = self._read(target)
            if dream is not None:
                self.finished[target] = dream
        self.found = len(self.finished)

    @property
    def sheet(self) -> Path:
        """The page of all of them."""
        return self.path / f"{file_name(self.targets[0].blob) or 'blob'}-sheet.png"

    def file(self, target: Target) -> Path:
        """The picture of one channel."""
        name = file_name(target.blob) or "blob"
        return self.path / f"{name}-{'-'.join(f'{number:03}' for number in target.index)}.png"

    def fill(self, progress: Progress | None = None) -> Dreams:
        """Dream what is not there yet, write each as it is finished, and then the sheet."""
        left = [target for target in self.targets if target not in self.finished]
        by_name = {str(target): target for target in left}
        for dream in ascents(self.net, left, self.settings, progress):
            target = by_name[dream.unit]
            write_file(self.file(target), self._encoded(dream))
            self.finished[target] = dream
        named = [
            replace(self.finished[t], label=label_of(t, self.net, self._labels))
            for t in self.targets
        ]
        dreams = Dreams(named, self.total)
        sheet = dreams.sheet()
        facts = json.dumps({"made from": self._mark})
        write_file(
            self.sheet,
            png.encode(sheet.pixels, compress=6, caption=sheet.caption, texts={KEY: facts}),
        )
        return dreams

    def _check_sheet(self) -> None:
        """Raise UsageError if the sheet would be written over a file of somebody else."""
        content = _content(self.sheet)
        if content is not None:
            words = png.texts(content)
            if KEY not in words and _OLD_SHEET not in words.get("Description", ""):
                raise _foreign(self.sheet)

    def _encoded(self, dream: Dream) -> bytes:
        """The PNG with what it was made from."""
        facts = {"made from": {**self._mark, "unit": dream.unit}, "result": _result(dream)}
        return png.encode(
            dream.picture, compress=6, caption=dream.caption, texts={KEY: json.dumps(facts)}
        )

    def _read(self, target: Target) -> Dream | None:
        """The dream of a file, where that was made from the same."""
        path = self.file(target)
        content = _content(path)
        if content is None:
            return None
        words = png.texts(content).get(KEY)
        if words is None:
            raise _foreign(path)
        try:
            facts = json.loads(words)
            if facts["made from"] != {**self._mark, "unit": str(target)}:
                return None
            picture = np.asarray(decode_image(content, printable(path.name)), np.uint8)
            return _dream(facts["result"], str(target), self.net.name, picture, self.settings)
        except (LayerscopeError, ValueError, LookupError, TypeError, RecursionError):
            return None  # damaged: made again


def _content(path: Path) -> bytes | None:
    """What is in a file; None where there is none."""
    try:
        return read_bytes(path, "picture", MAX_FILE) if path.exists() else None
    except OSError as error:
        raise SystemFaultError(f"cannot read {quoted(path)}: {error.strerror}") from None


def _foreign(path: Path) -> UsageError:
    return UsageError(
        one_line(f"{quoted(path)} is not a picture of a dream and would be written over;"
                 " name another folder")
    )  # fmt: skip


def _result(dream: Dream) -> dict[str, Any]:
    numbers = dream.as_json()
    keys = ("before", "after", "asked_before", "asked_after", "dead", "note", "seconds")
    return {key: numbers[key] for key in keys}


def _dream(
    result: dict[str, Any], unit: str, net: str, picture: Any, settings: Settings
) -> Dream:  # fmt: skip
    """A dream read again; its history is not kept."""
    return Dream(
        unit, net, picture, float(result["before"]), float(result["after"]),
        (float(result["asked_before"]), float(result["asked_after"])), (), settings,
        float(result["seconds"]), bool(result["dead"]), str(result["note"]),
    )  # fmt: skip


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"cannot make the folder {quoted(path)}: there is a file") from None
    except OSError as error:
        raise SystemFaultError(
            one_line(f"cannot make the folder {quoted(path)}: {error.strerror}")
        ) from None
    except ValueError as error:  # a NUL, a lone surrogate
        raise UsageError(f"{quoted(path)}: not a usable folder name ({error})") from None
    check_writable(path)


def check_writable(folder: Path) -> None:
    """Tell before a long job that its pictures cannot be written.

    Raises:
        SystemFaultError: the folder may not be written to.
    """
    if not os.access(folder, os.W_OK):
        raise SystemFaultError(one_line(f"cannot write into the folder {quoted(folder)}:"
                                        " permission denied; name another"))  # fmt: skip
