"""One thread that computes: nets are run there, one job after the other, and the server stays free.

ONNX Runtime uses every processor for one run, so two runs at once would only be in each other's
way.  The thread is a daemon: Ctrl-C does not wait for a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Worker:
    """The thread; it starts with the first job."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def do(self, job: Callable[[], Result]) -> Result:
        """What the job gives, or its exception.  A job whose caller has gone is not begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="layerscope", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._jobs.put((job, future, loop))
        return await future

    def stop(self) -> None:
        """End the thread after the job that it is at."""
        self._jobs.put(None)

    def let_others(self) -> None:
        """Do what waits; a job that takes long calls it now and then, in the worker's thread."""
        while True:
            try:
                item = self._jobs.get_nowait()
            except queue.Empty:
                return
            if item is None:
                self._jobs.put(None)  # the end, which comes after the job that calls
                return
            _done(*item)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            _done(*item)
            del item  # an idle thread holds nothing


def _done(job: Callable[[], Any], future: asyncio.Future[Any], loop: Any) -> None:
    """Do a job and tell its loop."""
    if future.cancelled():
        return
    result: Any = None
    error: Exception | None = None
    try:
        result = job()
    except Exception as fault:
        error = fault
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
