"""Weights that lie in files beside the model: only files of the model's own folder are read.

A model is somebody else's text; what it names could be any file of this machine.  So no way leads
out of the folder: no "..", no absolute path, no link, no address of memory.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from layerscope.errors import ReadError, SystemFaultError
from layerscope.text import printable, quoted

KEYS = frozenset({"location", "offset", "length", "checksum"})
_DRIVE = re.compile(r"^[A-Za-z]:")
_MEMORY_TAG = re.compile(r"_MEM_ADDR_", re.I)


class Folder:
    """The folder of a model: its files are mapped once, and only when a tensor asks for them."""

    def __init__(self, model: Path) -> None:
        self._folder = model.parent
        self._model = model
        self._open: dict[str, memoryview] = {}

    def numbers(self, tensor: str, entries: Mapping[str, str], needed: int) -> memoryview:
        """The bytes of one tensor.

        Args:
            tensor: its name, for messages.
            entries: what the model says of the place: location, offset, length.
            needed: how many bytes its shape and type ask for.

        Raises:
            ReadError: the place is outside the folder, there is no such file, or it ends before.
        """
        what = f"weights {quoted(tensor)}"
        unknown = sorted(set(entries) - KEYS)
        if unknown:
            raise ReadError(f"{what}: external data with the unknown entry {quoted(unknown[0])}")
        location = entries.get("location", "")
        view = self._file(location, what)
        offset = _whole(entries.get("offset", "0"), "offset", what)
        length = _whole(entries.get("length", str(needed)), "length", what)
        if length != needed:
            raise ReadError(f"{what}: external data of {length} bytes, its shape needs {needed}")
        if offset + length > len(view):
            raise ReadError(
                f"{what}: bytes {offset} to {offset + length} of {printable(location)}, which has"
                f" {len(view)}; is the file complete?"
            )
        return view[offset : offset + length]

    def _file(self, location: str, what: str) -> memoryview:
        if location not in self._open:
            self._open[location] = self._mapped(self._inside(location, what), location, what)
        return self._open[location]

    def _inside(self, location: str, what: str) -> Path:
        """The path of a file of the folder.

        Raises:
            ReadError: it leads out of the folder.
        """
        parts = re.split(r"[/\\]", location)
        if _MEMORY_TAG.search(location):
            raise ReadError(f"{what}: an address of memory ({printable(location)}) is no file")
        if not location or "\0" in location or parts[-1] in ("", "."):
            raise ReadError(f"{what}: external data in {quoted(location)}, which names no file")
        if not parts[0] or ".." in parts or _DRIVE.match(location) or ":" in location:
            raise ReadError(f"{what}: refers to a file outside its folder: {printable(location)}")
        path = self._folder / Path(*parts)
        real = Path(os.path.realpath(path))
        home = Path(os.path.realpath(self._folder))
        # A download cache keeps model and weights as links to one store: the store of a model that
        # is such a link itself counts as its folder.
        store = Path(os.path.realpath(self._model)).parent
        linked = self._model.is_symlink() and real.parent == store
        if not (real.is_relative_to(home) or linked):
            raise ReadError(
                f"{what}: refers by a link to a file outside its folder: {printable(location)}"
            )
        return real

    def _mapped(self, path: Path, location: str, what: str) -> memoryview:
        shown = printable(location)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            handle = os.open(path, flags)
        except FileNotFoundError:
            raise ReadError(
                f"{what}: {shown} is missing; it has to lie beside {printable(self._model.name)}"
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SystemFaultError(f"{what}: {shown} cannot be opened: {reason}") from None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ReadError(f"{what}: {shown} is not a regular file")
            if status.st_nlink > 1:
                raise ReadError(
                    f"{what}: {shown} is a hard link, so it may be a file of another folder;"
                    " copy it to have a file of its own"
                )
            if status.st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise SystemFaultError(f"{what}: {shown} cannot be read: {error.strerror}") from None
        finally:
            os.close(handle)


def _whole(words: str, key: str, what: str) -> int:
    if not (words.isascii() and words.isdigit() and len(words) < 20):
        raise ReadError(f"{what}: {key} {quoted(words)} of its external data is no number of bytes")
    return int(words)
