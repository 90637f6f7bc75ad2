"""Chromium without a driver beside it: one page, and questions to it.

A driver such as playwright's listens to what every page receives; for a viewer that is megabytes a
second, copied and encoded by the browser and read by the driver, which nobody's own browser does.
So for figures the page is only asked, by the DevTools protocol, and nothing of it is listened to.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

ARGUMENTS = [
    "--headless", "--remote-debugging-port=0", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--mute-audio", "--disable-extensions", "--disable-default-apps",
]  # fmt: skip
PATIENCE = 120.0  # seconds


class Page:
    """A page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._asked = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its answer."""
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        while True:
            found: dict[str, Any] = json.loads(self._socket.recv(PATIENCE))
            if found.get("id") == self._asked:
                assert "error" not in found, found["error"]
                result: dict[str, Any] = found["result"]
                return result

    def value(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        ends = time.monotonic() + PATIENCE
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < ends, f"{expression} did not come true"
            time.sleep(0.1)


@contextmanager
def page(url: str, width: int, height: int, arguments: Sequence[str] = ()) -> Iterator[Page]:
    """A browser with one page of that size in pixels."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            program, *ARGUMENTS, *arguments, f"--user-data-dir={profile}",
            f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(Path(profile)), max_size=None) as socket:
                found = Page(socket)
                found.ask(
                    "Emulation.setDeviceMetricsOverride",
                    width=width, height=height, deviceScaleFactor=1, mobile=False,
                )  # fmt: skip
                found.ask("Page.navigate", url=url)
                yield found
        finally:
            browser.terminate()
            browser.wait(PATIENCE)


def _address(profile: Path) -> str:
    """Where the first page is spoken to, when the browser has written down its port."""
    ends = time.monotonic() + PATIENCE
    note = profile / "DevToolsActivePort"
    while not (note.exists() and len(note.read_text().splitlines()) > 1):
        assert time.monotonic() < ends, "Chromium did not start"
        time.sleep(0.05)
    port = note.read_text().splitlines()[0]
    while time.monotonic() < ends:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [each for each in json.load(answer) if each["type"] == "page"]
        if pages:
            return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError("Chromium opened no page")
