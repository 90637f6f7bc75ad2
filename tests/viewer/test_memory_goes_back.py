"""Memory that is free goes back, where the system can be told to take it."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

import layerscope as ls
from layerscope.demo import DEFINITION, WEIGHTS
from layerscope.viewer import live, memory


def resident() -> float:
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="needs glibc",
)
def test_what_is_free_goes_back() -> None:
    """Below a last piece that is in use, the allocator keeps what is free."""
    pieces = [np.ones(1000) for _ in range(12_000)]
    full = resident()
    last = pieces[-1]
    del pieces
    memory.give_back()
    assert full - resident() > 60 and last.sum() == 1000


def test_where_nobody_can_be_told_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    memory._trim.cache_clear()
    try:
        assert memory._trim() is None
        memory.give_back()
    finally:
        memory._trim.cache_clear()


def test_a_page_that_goes_leaves_no_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    talks: list[live.Live] = []
    gone = threading.Event()

    class Kept(live.Live):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            talks.append(self)

    monkeypatch.setattr(live, "Live", Kept)
    monkeypatch.setattr(live, "give_back", gone.set)
    with ls.view(ls.open(DEFINITION, WEIGHTS), port=0, browser=False) as viewer:
        url, token = viewer.url.split("/#token=")
        with connect(url.replace("http", "ws") + "/live", origin=url, max_size=None) as page:
            page.send(json.dumps({"token": token}))
            page.send(json.dumps({"look": {"image": "cat", "blob": "conv1"}}))
            page.recv(timeout=20)
            assert talks[0]._scope.arrays and talks[0]._scope.fed
        assert gone.wait(20)
        assert not talks[0]._scope.arrays and not talks[0]._scope.fed
