"""The images that can be put before the net, by key; pixels are read when they are wanted."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LimitError, ReadError, UsageError
from layerscope.text import plural, printable

MOST_UPLOADS = 24
MOST_FILES = 500
UPLOAD_BYTES = 32_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm")


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """One image.

    Attributes:
        key: its name in links; no path, and nothing that a browser sent.
        title: what it is called, printable.
        source: what `prepare` takes: a path, an array, an image.
        statement: how it was fed, where `source` is no more what was given; "" otherwise.
    """

    key: str
    title: str
    source: Any
    statement: str = ""


class Gallery:
    """All images: those that were given when the viewer was opened, and the last uploads.

    Attributes:
        left_out: how many files of a folder are not shown.
        offered: whether nobody asked for these images; a net that takes none is not given them.
    """

    def __init__(
        self, given: Sequence[Exhibit], left_out: int = 0, *, offered: bool = False
    ) -> None:
        self._given = OrderedDict((each.key, each) for each in given)
        self._uploads: OrderedDict[str, Exhibit] = OrderedDict()
        self._count = 0
        self.left_out, self.offered = left_out, offered

    def __len__(self) -> int:
        return len(self._given) + len(self._uploads)

    @property
    def dropped(self) -> int:
        """How many uploads are forgotten."""
        return self._count - len(self._uploads)

    def get(self, key: str) -> Exhibit:
        """The image of that key.

        Raises:
            UsageError: there is none, or it was forgotten.
        """
        found = self._given.get(key) or self._uploads.get(key)
        if found is None:
            raise UsageError(f"image {printable(key, 40)} is not here any more; choose another one")
        return found

    def add(self, source: Any, statement: str) -> Exhibit:
        """Keep an upload; the oldest one goes when there are too many."""
        self._count += 1
        key = f"upload{self._count}"
        found = Exhibit(key, f"upload {self._count}", source, statement)
        self._uploads[key] = found
        while len(self._uploads) > MOST_UPLOADS:
            self._uploads.popitem(last=False)
        return found

    def as_json(self) -> dict[str, Any]:
        """Keys and titles, and how many there are that are not shown."""
        shown = [*self._given.values(), *self._uploads.values()]
        return {
            "images": [{"key": each.key, "title": each.title} for each in shown],
            "left_out": self.left_out,
            "forgotten": self.dropped,
        }


def given_images(images: Any) -> Gallery:
    """The gallery of what a program gives: an image, a list or a mapping of images, or nothing."""
    if images is None:
        return demo_images()
    if isinstance(images, Mapping):
        named = [(printable(name, 60), source) for name, source in images.items()]
    else:
        several = isinstance(images, (list, tuple))
        named = [(_title(each, i), each) for i, each in enumerate(images if several else [images])]
    return Gallery([Exhibit(f"image{i + 1}", title, s) for i, (title, s) in enumerate(named)])


def _title(source: Any, position: int) -> str:
    if isinstance(source, (str, Path)):
        return printable(Path(source).name, 60)
    return f"image {position + 1}"


def demo_images() -> Gallery:
    """The images of the demo."""
    from layerscope.demo import images

    shown = [Exhibit(name, name, path) for name, path in images().items()]
    return Gallery(shown, offered=True)


def image_files(paths: Sequence[str]) -> Gallery:
    """The gallery of files and folders of the command line.

    Raises:
        UsageError: a path that is not there, or a folder without images.
    """
    found: list[Path] = []
    left_out = 0
    for words in paths:
        path = Path(words)
        if not path.is_dir():
            if not path.exists():
                raise UsageError(f"{printable(path)}: no such image or folder")
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
        if not inside:
            raise UsageError(f"{printable(path)}: no images in this folder ({', '.join(SUFFIXES)})")
        left_out += max(0, len(inside) - MOST_FILES)
        found += inside[:MOST_FILES]
    return Gallery(
        [Exhibit(f"image{i + 1}", printable(p.name, 60), p) for i, p in enumerate(found)], left_out
    )


def uploaded(content: bytes) -> Any:
    """The image or array of an upload, told by its first bytes; its name plays no part.

    Raises:
        ReadError: it is neither.
        LimitError: it has too many pixels.
    """
    if content.startswith(b"\x93NUMPY"):
        try:
            found: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
            return found
        except (ValueError, OSError, EOFError) as error:
            raise ReadError(f"the upload is no array of numbers: {printable(error)}") from None
    from layerscope.media import decode_image

    return decode_image(content, "the upload")


def check_size(size: int) -> None:
    """Refuse an upload that is too large.

    Raises:
        LimitError: it is.
    """
    if size > UPLOAD_BYTES:
        raise LimitError(f"the upload is larger than {plural(UPLOAD_BYTES // 10**6, 'megabyte')}")
