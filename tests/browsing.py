"""One Chromium for all tests of the page; where there is none they are skipped, but not in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.measure.top import read_labels

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifts.push(entry.value);
}).observe({ type: "layout-shift", buffered: true });
"""


def without(what: str) -> None:
    """Skip, where a reader of the output sees it; fail where everything has to be there."""
    words = f"the page is not tested in a browser: {what} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if not CHROMIUM:
        without("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("playwright (pip install '.[dev]')")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ls.Blobs]:
    """The report of the demo net, and the blobs that it shows."""
    path = tmp_path_factory.mktemp("page") / "cat.html"
    net = ls.open(DEFINITION, WEIGHTS)
    blobs = net.run(images()["cat"])
    ls.report(net, blobs, path, labels=read_labels(LABELS))
    return path, blobs


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a page from disk; at the end nothing may have failed and nothing been asked for."""
    faults: list[str] = []
    contexts = []

    def opened(path: Path, width: int = 1400, height: int = 1000, **how: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, **how)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda asked: check(asked.url))
        page.add_init_script(SHIFTS)
        opened_files.add(path.as_uri())
        page.goto(path.as_uri())
        return page

    def check(url: str) -> None:
        if not url.startswith("data:image/png") and url.split("#")[0] not in opened_files:
            faults.append(f"request: {url[:200]}")

    opened_files: set[str] = set()
    yield opened
    for context in contexts:
        context.close()
    assert not faults
