"""Frames a second of the live viewer, camera to screen, in Chromium with its fake camera.

    python -m benchmarks.viewer [--seconds 10] [--net demo] [--net caffenet]

Server and browser share the machine, as they do when somebody uses it.  The window is as high as
the list of layers, so the thumbnail of every blob is on the screen and drawn at each frame.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import layerscope as ls
from benchmarks import nets
from layerscope.demo import DEFINITION, LABELS, WEIGHTS
from layerscope.measure.top import read_labels

GOALS = {"demo": 25.0, "caffenet": 15.0}
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-fake-device-for-media-stream=fps=30", "--use-fake-ui-for-media-stream",
]  # fmt: skip
WIDTH, ROW, REST = 1600, 76, 260


def opened(name: str, folder: Path) -> tuple[ls.Net, list[str]]:
    """A net with its labels."""
    if name == "demo":
        return ls.open(DEFINITION, WEIGHTS), read_labels(LABELS)
    files = nets.write(folder, name, getattr(nets, name)())
    return ls.open(files.prototxt, files.caffemodel), []


def measured(browser: Any, net: ls.Net, labels: list[str], seconds: float) -> dict[str, Any]:
    """Rate, dropped frames and times of one net."""
    with ls.view(net, labels=labels, port=0, browser=False) as viewer:
        height = ROW * len(net.blobs) + REST
        context = browser.new_context(viewport={"width": WIDTH, "height": height})
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.goto(viewer.url)
        page.wait_for_selector("body[data-frame]")
        thumbs = page.locator(".thumb canvas[data-drawn]").count()
        page.click("#camera")
        page.wait_for_selector("body[data-rate]:not([data-rate='0.00'])")
        page.wait_for_timeout(2000)
        busy = (time.process_time(), browser_seconds())
        first = int(page.get_attribute("body", "data-frame") or 0)
        begun = page.evaluate("performance.now()")
        page.wait_for_timeout(1000 * seconds)
        last = int(page.get_attribute("body", "data-frame") or 0)
        ended = page.evaluate("performance.now()")
        spent = (time.process_time() - busy[0], browser_seconds() - busy[1])
        status = page.text_content("#status") or ""
        whole = page.text_content("#count") or ""
        context.close()
    return {
        "rate": 1000 * (last - first) / (ended - begun), "thumbs": thumbs, "whole": whole,
        "status": status, "server": 1000 * spent[0] / max(1, last - first),
        "browser": 1000 * spent[1] / max(1, last - first),
    }  # fmt: skip


def browser_seconds() -> float:
    """Processor time of all processes that this one started, so far; 0 where that is not known."""
    parents, ticks = {}, {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        process = int(place.parent.name)
        parents[process], ticks[process] = int(words[1]), int(words[11]) + int(words[12])
    found, wanted = 0, {os.getpid()}
    while wanted:
        wanted = {child for child, parent in parents.items() if parent in wanted}
        found += sum(ticks[each] for each in wanted)
    return found / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print a table."""
    from playwright.sync_api import sync_playwright

    words = argparse.ArgumentParser()
    words.add_argument("--seconds", type=float, default=10)
    words.add_argument("--net", action="append", choices=list(GOALS))
    given = words.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    print(
        "| net | thumbnails | in full | CPU ms a frame: server, browser | frames a second | goal |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name in given.net or GOALS:
            found = measured(browser, *opened(name, Path(folder)), given.seconds)
            print(
                f"| {name} | {found['thumbs']} | {found['whole']} | "
                f" {found['server']:.0f}, {found['browser']:.0f} | {found['rate']:.1f} |"
                f" {GOALS[name]:.0f} |\n<!-- {found['status']} -->",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    main()
