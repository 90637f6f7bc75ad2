"""Calls that can be ended: by Ctrl-C at once, and after some seconds.

While foreign code runs, Python hears a Ctrl-C only when that code returns.  So it runs in a thread,
and the caller waits.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")

PATIENCE = 5.0  # seconds for a call to end when it was told to


def call_until(seconds: float, call: Callable[[], Result], stop: Callable[[], None]) -> Result:
    """Call and wait, `seconds` at most.

    Args:
        seconds: how long.
        call: what runs, in a thread of its own.
        stop: makes `call` return soon; called when time is over, or when waiting is interrupted.

    Returns:
        what `call` gives.

    Raises:
        TimeoutError: time was over.
        Exception: what `call` raises, and what interrupts the waiting.
    """
    outcome: Future[Result] = Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        return outcome.result(seconds)
    except BaseException:
        if not outcome.done():
            stop()
            thread.join(PATIENCE)
        raise
