"""A file that is about to be read: mapped, not loaded, and recognised by its content."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from pathlib import Path

from layerscope.errors import ReadError, SystemFaultError, UsageError
from layerscope.text import printable

HEAD = 4096

# What people have opened as a net by mistake, by how it begins: a name and what to do.
_IMPOSTORS: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    ((b"version https://git-lfs",), "a Git LFS pointer", "fetch the file itself with git lfs pull"),
    ((b"\x1f\x8b",), "a gzip archive", "unpack it first"),
    ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM6"), "an image", "the order is NET WEIGHTS IMAGE"),
    ((b"%PDF",), "a PDF document", "give the net's definition"),
    ((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a Python pickle",
     "it could run a program, so it is not opened; PyTorch weights: save them with today's"
     " torch.save"),
    ((b"\x7fELF", b"MZ\x90"), "a program", "give the net's definition"),
    ((b"\x93NUMPY",), "a NumPy array", "give the net's definition"),
    ((b"ORTM",), "a model in ONNX Runtime's own form", "give the .onnx that it was made from"),
    ((b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ"), "an archive", "unpack it first"),
)  # fmt: skip
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1a\x1b")
# The fields of an ONNX model: number to wire type.  A caffemodel is a protobuf message too, whose
# fields have these numbers in other forms, or other numbers.
_ONNX_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_ONNX_GRAPH = 7
_ONNX_MARKS = {1, _ONNX_GRAPH}  # ir_version and graph, which a caffemodel never has in this form
_CAFFE_FIELDS = {(1, 2), (4, 0), (7, 0), (100, 2)}  # name, input_dim, debug_info, layer
_CAFFE_SUFFIXES = (".prototxt", ".caffemodel", ".binaryproto")
_HTML = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<script", b"<!--")


class InputFile:
    """One file of a net.

    Attributes:
        path, name: where it is, and its name made printable.
        view: its bytes, mapped: what is not looked at is not read from disk.
        kind: "text", "binary" (of Caffe), "onnx", "hdf5", "pytorch" or "safetensors" (weights
            alone), by content; only a binary file that could be either of the binary kinds is
            taken for what its suffix says.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = printable(self.path.name or str(path))
        self._map: mmap.mmap | None = None
        self._state = (0, 0)
        self.view = self._mapped()
        self.kind = self._recognised()

    def _mapped(self) -> memoryview:
        try:
            # A FIFO would block here for ever without O_NONBLOCK.
            handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            raise UsageError(f"{printable(self.path)}: no such file") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SystemFaultError(f"{self.name}: cannot be opened: {reason}") from None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
                raise SystemFaultError(f"{printable(self.path)}: {what}; a net is a file")
            self._state = (status.st_size, status.st_mtime_ns)
            if status.st_size == 0:
                return memoryview(b"")
            self._map = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
            return memoryview(self._map)
        except OSError as error:
            code = errno.errorcode.get(error.errno or 0, "")
            raise SystemFaultError(
                f"{self.name}: cannot be read: {error.strerror} {code}"
            ) from None
        finally:
            os.close(handle)

    def check_unchanged(self) -> None:
        """After reading: what was mapped must still be the file that was opened.

        Raises:
            ReadError: it was written to or cut meanwhile; the numbers could be of either version.
        """
        try:
            status = self.path.stat()
        except OSError:
            return  # moved or deleted: the map still holds what was opened
        if (status.st_size, status.st_mtime_ns) != self._state:
            raise ReadError(f"{self.name}: changed while it was read; try again")

    def _recognised(self) -> str:
        head = bytes(self.view[:HEAD])
        if not head:
            raise ReadError(f"{self.name}: the file is empty")
        if head.startswith(b"\x89HDF\r\n"):
            return "hdf5"
        if head.startswith(b"PK\x03\x04"):
            from layerscope.readers.archive import kind_of_zip

            return kind_of_zip(self.path, self.name)
        if _is_safetensors(self.view):
            return "safetensors"
        for beginnings, what, todo in _IMPOSTORS:
            if head.startswith(beginnings) or (b"ORTM" in beginnings and head[4:8] == b"ORTM"):
                raise ReadError(f"{self.name}: {what}, not a net; {todo}")
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16 with its mark
            return "text"
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        if text.startswith(_HTML):
            raise ReadError(
                f"{self.name}: a web page, not a net; download the raw file instead of the page"
                " that shows it"
            )
        # A binary message always has tags and lengths among these; a text may hold a stray escape
        # code or an old editor's end-of-file mark.
        if not _CONTROL.intersection(head):
            return "text"
        return "onnx" if _is_onnx(self.view, self.path.suffix) else "binary"


def _is_safetensors(view: memoryview) -> bool:
    """Whether a file begins with the length of a table in JSON that lies in it."""
    return bytes(view[8:9]) == b"{" and 2 <= int.from_bytes(view[:8], "little") <= len(view) - 8


def _is_onnx(view: memoryview, suffix: str) -> bool:
    """Whether a binary file is an ONNX model and no caffemodel: by its outermost fields."""
    at = 0
    seen: set[int] = set()
    for _ in range(1000):
        if at >= len(view):
            break
        tag, at = _varint(view, at)
        number, wire = tag >> 3, tag & 7
        if _ONNX_FIELDS.get(number) != wire:
            return (number, wire) not in _CAFFE_FIELDS and suffix.lower() == ".onnx"
        seen |= _ONNX_MARKS & {number}
        length, at = _varint(view, at)
        at += length if wire else 0
    if _ONNX_GRAPH in seen or suffix.lower() == ".onnx":
        return True
    return bool(seen) and suffix.lower() not in _CAFFE_SUFFIXES  # it ends early


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(view) and shift < 70:
        byte = view[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            break
    return value, at
