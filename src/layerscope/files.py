"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Collection
from pathlib import Path

from layerscope import text
from layerscope.errors import SystemFaultError, UsageError

_NAME_LETTERS = 60


def write_file(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then put it in its place in one step.

    A reader sees the old file or the new one, never a part; upon a failure the old one is
    untouched.  A symbolic link stays a link, an existing file keeps its permissions, and what is
    not a plain file (a pipe, /dev/stdout) is written to directly.

    Raises:
        UsageError: `path` is a folder, or no possible file name.
        SystemFaultError: the system refused: no such folder, no permission, disk full.
    """
    try:
        if path.is_dir():
            raise UsageError(f"cannot write {text.quoted(path)}: it is a folder; name a file in it")
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _replace(path.resolve(), content)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SystemFaultError(
            text.one_line(f"cannot write {text.quoted(path)}: {reason}{_hint(path)}")
        ) from error
    except (ValueError, RuntimeError) as error:  # a NUL, a lone surrogate, a loop of links
        raise UsageError(
            text.one_line(f"cannot write {text.quoted(path)}: not a usable file name ({error})")
        ) from error


def format_of(path: Path, known: Collection[str]) -> str:
    """The file format that a name asks for: its suffix in lower case, without the dot.

    >>> format_of(Path("conv1.PNG"), ("png", "jpg"))
    'png'

    Raises:
        UsageError: the suffix is not in `known`, and the message lists those that are; or the
            path is a folder.
    """
    if path.is_dir():
        raise UsageError(text.one_line(f"cannot write {text.quoted(path)}: it is a folder"))
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in known:
        return suffix
    found = f"ends in {text.quoted(path.suffix)}" if suffix else "has no suffix"
    possible = ", ".join(f".{each}" for each in known)
    raise UsageError(
        text.one_line(f"cannot save {text.quoted(path)}: the name {found}; possible: {possible}")
    )


def file_name(name: str) -> str:
    """A name from a file as part of a file name: nothing in it can leave the folder.

    >>> file_name("inception_3a/3x3"), file_name("../a:b"), file_name("...")
    ('inception_3a_3x3', '_a_b', '')
    """
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return safe.strip(".")[:_NAME_LETTERS]


def _replace(path: Path, content: bytes) -> None:
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    if mode is not None and not os.access(path, os.W_OK):  # a rename would not ask
        raise PermissionError(13, "Permission denied")
    # Short and random: the name itself may already be as long as the file system allows.
    beside = path.with_name(f".layerscope-{secrets.token_hex(8)}")
    try:
        with beside.open("xb") as file:
            file.write(content)
        if mode is not None:
            beside.chmod(mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _hint(path: Path) -> str:
    try:
        if path.parent.is_dir():
            return ""
    except OSError:
        return ""
    return f"; there is no folder {text.quoted(path.parent)}"
