"""Calls that end when they are told to."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from layerscope.stopping import call_until


def test_a_result_and_an_exception_come_through() -> None:
    def fail() -> None:
        raise ValueError("seven")

    stops: list[int] = []
    assert call_until(9, lambda: 7, lambda: stops.append(1)) == 7
    with pytest.raises(ValueError, match="seven"):
        call_until(9, fail, lambda: stops.append(1))
    with pytest.raises(TimeoutError, match="of its own"):
        call_until(9, lambda: (_ for _ in ()).throw(TimeoutError("of its own")), stops.clear)
    assert stops == []


def test_what_takes_too_long_is_stopped_and_has_ended() -> None:
    told, ended = threading.Event(), threading.Event()

    def work() -> None:
        told.wait(20)
        ended.set()

    start = time.perf_counter()
    with pytest.raises(TimeoutError):
        call_until(0.1, work, told.set)
    assert ended.is_set() and time.perf_counter() - start < 10


def test_an_interrupt_ends_it() -> None:
    told = threading.Event()
    main = threading.get_ident()
    timer = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call_until(30, lambda: told.wait(30), told.set)
    finally:
        timer.join()
    assert told.is_set()
