"""Coroutines in tests, in a thread of their own.

The browser of other tests has an event loop in the main one, where no second one may run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_THREAD = ThreadPoolExecutor(1, "coroutines")


def result(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives, or its exception."""
    return _THREAD.submit(asyncio.run, coroutine).result()
