"""Frames a second of the live viewer, camera to screen, in Chromium with its fake camera.

    python -m benchmarks.viewer [--seconds 10] [--net demo] [--net caffenet] [--camera 30]

Server and browser share the machine, as they do when somebody uses it.  The window is as high as
the list of layers, so the thumbnail of every blob is on the screen and drawn at each frame.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import layerscope as ls
from benchmarks import chromium, nets
from layerscope.demo import DEFINITION, LABELS, WEIGHTS
from layerscope.measure.top import read_labels

GOALS = {"demo": 25.0, "caffenet": 15.0}
CAMERA = ["--use-fake-device-for-media-stream=fps={}", "--use-fake-ui-for-media-stream"]
WIDTH, ROW, REST = 1600, 76, 260
FRAME = "[Number(document.body.dataset.frame), performance.now()]"


def opened(name: str, folder: Path) -> tuple[ls.Net, list[str]]:
    """A net with its labels."""
    if name == "demo":
        return ls.open(DEFINITION, WEIGHTS), read_labels(LABELS)
    files = nets.write(folder, name, getattr(nets, name)())
    return ls.open(files.prototxt, files.caffemodel), []


def measured(net: ls.Net, labels: list[str], seconds: float, camera: int) -> dict[str, Any]:
    """Rate, dropped frames and times of one net."""
    height = ROW * len(net.blobs) + REST
    arguments = [each.format(camera) for each in CAMERA]
    with (
        ls.view(net, labels=labels, port=0, browser=False) as viewer,
        chromium.page(viewer.url, WIDTH, height, arguments) as page,
    ):
        page.wait("document.body?.dataset.frame")
        page.value("document.getElementById('camera').click()")
        page.wait("Number(document.body.dataset.rate) > 0")
        time.sleep(2)
        busy = (time.process_time(), browser_seconds())
        first, begun = page.value(FRAME)
        time.sleep(seconds)
        last, ended = page.value(FRAME)
        spent = (time.process_time() - busy[0], browser_seconds() - busy[1])
        thumbs = page.value("document.querySelectorAll('.thumb canvas[data-drawn]').length")
        status, whole = (
            page.value(f"document.getElementById('{each}').textContent")
            for each in ("status", "count")
        )
    frames = max(1, last - first)
    return {
        "rate": 1000 * (last - first) / (ended - begun), "thumbs": thumbs, "whole": whole,
        "status": status, "server": 1000 * spent[0] / frames, "browser": 1000 * spent[1] / frames,
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
    words = argparse.ArgumentParser()
    words.add_argument("--seconds", type=float, default=10)
    words.add_argument("--net", action="append", choices=list(GOALS))
    words.add_argument("--camera", type=int, default=30, help="frames a second that it gives")
    given = words.parse_args()
    print(
        "| net | thumbnails | in full | CPU ms a frame: server, browser | frames a second | goal |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.net or GOALS:
            found = measured(*opened(name, Path(folder)), given.seconds, given.camera)
            print(
                f"| {name} | {found['thumbs']} | {found['whole']} | "
                f" {found['server']:.0f}, {found['browser']:.0f} | {found['rate']:.1f} |"
                f" {GOALS[name]:.0f} |\n<!-- {found['status']} -->",
                flush=True,
            )


if __name__ == "__main__":
    main()
