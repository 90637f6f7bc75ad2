"""Whether the viewer stays as it is: 10,000 mixed requests, and what they leave behind.

    python -m benchmarks.soak [--requests 10000]

Memory after a warm-up, file descriptors and threads are those of the server's own process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

from layerscope.demo import images

WARM_UP = 1500  # then every image, blob and kind of question has been used
SETTLED = 3.0  # seconds, in which what the last pages had is given back
MEGABYTES, DESCRIPTORS, THREADS = 20.0, 2, 2
BLOBS = ("conv1", "conv1@conv1", "pool2", "conv5", "fc6", "prob", "no such blob")


def state(process: int) -> tuple[float, int, int]:
    """Megabytes of memory, file descriptors and threads of a process."""
    words = Path(f"/proc/{process}/status").read_text()
    rows = dict(line.split(":", 1) for line in words.splitlines())
    memory = int(rows["VmRSS"].split()[0]) / 1024
    return memory, len(os.listdir(f"/proc/{process}/fd")), int(rows["Threads"])  # noqa: PTH208


class Pages:
    """Pages that come, ask and go."""

    def __init__(self, url: str, token: str, seed: int) -> None:
        self.url, self.token = url, token
        self.rng = np.random.default_rng(seed)
        self.done = 0

    async def many(self, count: int) -> None:
        """So many requests, from four pages at once."""
        share = count // 4
        await asyncio.gather(*(self.pages(share) for _ in range(4)))

    async def pages(self, count: int) -> None:
        """One page after the other."""
        ends = self.done_by(count)
        while ends():
            await self.page(40)

    def done_by(self, count: int) -> Any:
        """Whether more are wanted."""
        start = self.done
        return lambda: self.done - start < 4 * count

    async def page(self, count: int) -> None:
        """A visit."""
        async with connect(
            self.url.replace("http", "ws") + "/live", origin=self.url, max_size=None  # type: ignore[arg-type]
        ) as socket:  # fmt: skip
            await socket.send(json.dumps({"token": self.token}))
            for _ in range(count):
                await self.request(socket)
                self.done += 1

    async def request(self, socket: Any) -> None:
        """One of many kinds; some of them are wrong."""
        rng = self.rng
        blob = str(rng.choice(BLOBS))
        kind = int(rng.integers(0, 9))
        if kind <= 2:
            image = str(rng.choice(["cat", "rocket", "coffee", "none", "noise"]))
            tile = int(rng.integers(-1, 70))
            look = {"image": image, "blob": blob, "thumbs": list(BLOBS[:4]), "tile": tile}
            await self.drawn(socket, json.dumps({"look": look}))
        elif kind == 3:
            await socket.send(json.dumps({"look": {"image": "camera", "blob": blob}}))
            pixels = rng.integers(0, 255, 227 * 227 * 3, dtype=np.uint8).tobytes()
            await self.drawn(socket, (1).to_bytes(4, "little") + bytes(4) + pixels)
        elif kind == 4:
            await asyncio.to_thread(self.http)
        else:
            ask = ["values", "unit", "why", "param"][kind - 5]
            place = [int(i) for i in rng.integers(0, 12, 3)]
            spot = {"tile": 1, "y": 1, "x": 1, "h": 2, "w": 2}
            words = {"id": 1, "ask": ask, "blob": blob, "index": place, "layer": blob, **spot}
            await socket.send(json.dumps(words))
            while not isinstance(await socket.recv(), str):
                await socket.send('{"drawn": true}')

    async def drawn(self, socket: Any, message: Any) -> None:
        """Send, and draw what comes."""
        await socket.send(message)
        while not isinstance(await socket.recv(), bytes):
            pass
        await socket.send('{"drawn": true}')

    def http(self) -> None:
        """A file, the facts, an upload, or what is refused."""
        kind = int(self.rng.integers(0, 5))
        path = ["/", "/page/tiles.js", "/api/facts", "/none", "/api/images"][kind]
        body = images()["cat"].read_bytes() if kind == 4 else None
        headers = {"x-layerscope-token": self.token, "origin": self.url}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.url + path, data=body, headers=headers), timeout=60
            ) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            error.close()


def main() -> int:
    """Soak, print, and say by the exit code whether the limits hold."""
    words = argparse.ArgumentParser()
    words.add_argument("--requests", type=int, default=10_000)
    count = words.parse_args().requests
    server = subprocess.Popen(
        [sys.executable, "-m", "layerscope", "view", "--port", "0", "--no-browser"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url, token = server.stdout.readline().strip().split("/#token=")
        asyncio.run(Pages(url, token, 0).many(WARM_UP))
        time.sleep(SETTLED)
        before = state(server.pid)
        asyncio.run(Pages(url, token, 1).many(count))
        time.sleep(SETTLED)
        after = state(server.pid)
    finally:
        server.kill()
        server.wait()
    limits = (MEGABYTES, DESCRIPTORS, THREADS)
    print(f"| after {count:,} requests | before | after | growth | limit |\n|---|---|---|---|---|")
    names = ("memory, MB", "file descriptors", "threads")
    for name, one, two, limit in zip(names, before, after, limits, strict=True):
        print(f"| {name} | {one:.0f} | {two:.0f} | {two - one:.1f} | {limit:g} |")
    return int(any(b - a > limit for a, b, limit in zip(before, after, limits, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
