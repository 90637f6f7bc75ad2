"""Memory that nothing uses any more goes back to the system.

glibc keeps what is freed for the next time, in a place of its own for each thread.  The blobs of a
page are made in one thread and sent by another, so these places would fill up with what was free.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Give free memory back, where the allocator can be told to: glibc's `malloc_trim`."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except OSError:
        return None
    return found
