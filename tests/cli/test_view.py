"""The viewer's command: which files are what, where it listens, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layerscope.demo import DEFINITION, WEIGHTS, images

pytest_plugins = ["commandline"]

COMMAND = [sys.executable, "-W", "error", "-m", "layerscope"]


@pytest.fixture
def started() -> Iterator[Any]:
    """Start the command; gives the process, its link and its token."""
    running = []

    def start(*words: Any) -> tuple[subprocess.Popen[str], str, str]:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words), "--no-browser"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert "#token=" in link, process.stderr.read() if process.stderr else ""
        return process, *link.split("/#token=")

    yield start
    for process in running:
        process.kill()
        process.communicate()


def asked(url: str, token: str, path: str) -> Any:
    request = urllib.request.Request(url + path, headers={"x-layerscope-token": token})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


def test_nothing_at_all_opens_the_demo_net(started) -> None:
    _, url, token = started("--port", 0)
    found = asked(url, token, "/api/facts")
    assert found["name"] == "layerscope-demo" and len(found["labels"]) == 12
    assert [each["key"] for each in asked(url, token, "/api/images")["images"]] == [*images()]


def test_files_and_folders(started, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("b", "a"):
        (folder / f"{name}.jpg").write_bytes(images()["cat"].read_bytes())
    (folder / "notes.txt").write_text("no image")
    _, url, token = started(DEFINITION, WEIGHTS, images()["coffee"], folder, "--port", 0)
    found = asked(url, token, "/api/images")
    assert [each["title"] for each in found["images"]] == [
        images()["coffee"].name,
        "a.jpg",
        "b.jpg",
    ]
    assert str(tmp_path) not in json.dumps(found)


def test_a_busy_port(started, run) -> None:
    """One that was asked for is an error, the usual one is passed over."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = run("view", "--port", port, "--no-browser")
        assert (
            found.code == 6
            and f"port {port} of 127.0.0.1" in found.err
            and "0 for any" in found.err
        )
    _, first, _ = started()
    _, second, _ = started()
    ports = [int(url.rpartition(":")[2]) for url in (first, second)]
    assert 8710 <= ports[0] < ports[1] < 8750


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--host", "0.0.0.0"), "lets other machines reach the viewer; add --open-to-network"),
        (("--port", "70000"), "ports are 0 (any) to 65535"),
        (("--host", "203.0.113.9", "--open-to-network"), "no address of this machine"),
        (("a.prototxt", "b.caffemodel", "c.prototxt"), "3 files are no images"),
    ],
)
def test_what_is_wrong(run, words: tuple[str, ...], message: str) -> None:
    found = run("view", *words, "--no-browser")
    assert found.code == 2 and message in found.err and found.err.count("\n") == 1


def test_ctrl_c_ends_it_at_once_with_open_sockets(started) -> None:
    from websockets.sync.client import connect

    process, url, token = started("--port", 0)
    address = url.replace("http", "ws") + "/live"
    with connect(address, origin=url, max_size=None) as page:  # type: ignore[arg-type]
        page.send(json.dumps({"token": token}))
        page.send(json.dumps({"look": {"image": "cat", "blob": "conv1"}}))
        assert page.recv(timeout=20)
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as idle:
            idle.send(b"GET / HTTP/1.1\r\n")
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
            assert time.monotonic() - begun < 2
    assert process.stdout is not None and process.stderr is not None
    said = process.stdout.read() + process.stderr.read()
    assert token not in said and "Traceback" not in said
    assert re.fullmatch(r"Ctrl-C ends it\n\s*error: interrupted\n", said), said


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")
def test_the_token_is_in_no_command_line(started) -> None:
    process, _, token = started("--port", 0)
    assert token.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert token not in os.environ.values()
