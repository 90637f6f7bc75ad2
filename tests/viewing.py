"""The live viewer of the demo net in a browser with a camera, for the tests of its pages."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

Open = Callable[..., Any]
CAMERA = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip


def camera_browser(chromium: Any) -> Iterator[Any]:
    """A Chromium with the camera that it draws itself."""
    found = chromium.browser_type.launch(
        executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=CAMERA
    )
    yield found
    found.close()


def visits(browser: Any, viewer: Any) -> Iterator[Open]:
    """Open a page; at the end nothing may have failed, and nothing been asked for elsewhere."""
    faults: list[str] = []
    contexts = []
    home = viewer.url.split("/#")[0]

    def opened(state: str = "", width: int = 1440, height: int = 900, **how: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **how)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        page.goto(f"{viewer.url}&{state}")
        page.wait_for_selector("body[data-frame]")
        return page

    def watch(page: Any) -> None:
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda asked: asked.url.startswith(home) or faults.append(asked.url))
        page.on(
            "websocket",
            lambda asked: (
                asked.url.startswith(home.replace("http", "ws")) or faults.append(asked.url)
            ),
        )

    opened.watch = watch  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        context.close()
    assert not faults, faults


def text(page: Any, selector: str) -> str:
    return " ".join((page.text_content(selector) or "").split())


def until(page: Any, selector: str, pattern: str) -> str:
    """The text of an element, when it is of that form."""
    ends = time.monotonic() + 15
    while not re.search(pattern, found := text(page, selector)):
        assert time.monotonic() < ends, f"{selector}: {found!r} is not {pattern!r}"
        page.wait_for_timeout(30)
    return found
