"""A conversation over a real socket: frames, faults, slow pages, and what is malformed."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import layerscope as ls
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.errors import UnsupportedError
from layerscope.viewer.session import Session

SIDE = 227


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.fixture(scope="module")
def viewer(net: ls.Net) -> Iterator[Any]:
    with ls.view(net, port=0, browser=False) as found:
        yield found


@pytest.fixture
def page(viewer: Any) -> Iterator[Any]:
    url, token = viewer.url.split("/#token=")
    with connect(url.replace("http", "ws") + "/live", origin=url, max_size=None) as socket:
        socket.send(json.dumps({"token": token}))
        yield socket


def look(page: Any, **what: Any) -> dict[str, Any]:
    page.send(json.dumps({"look": what}))
    return frame(page)


def frame(page: Any, *, drawn: bool = True) -> dict[str, Any]:
    raw = page.recv(timeout=20)
    (length,) = struct.unpack_from("<I", raw)
    if drawn:
        page.send('{"drawn": true}')
    head: dict[str, Any] = json.loads(raw[4 : 4 + length])
    return head


def ask(page: Any, **what: Any) -> dict[str, Any]:
    page.send(json.dumps({"id": 7, **what}))
    found: dict[str, Any] = json.loads(page.recv(timeout=20))
    assert found.pop("id") == 7
    return found


def camera(page: Any, number: int, value: int = 0) -> None:
    page.send(struct.pack("<II", number, 0) + bytes([value]) * (3 * SIDE * SIDE))


def test_only_what_is_looked_at_is_sent(page: Any) -> None:
    head = look(page, image="cat", thumbs=["pool1", "fc6", "no such"], blob="conv2", tile=3)
    assert set(head["thumbs"]) == {"pool1", "fc6"} and head["blob"]["name"] == "conv2"
    assert head["tile"]["tile"] == 3 and len(head["guesses"]) == 5
    assert "blob" not in look(page, image="cat")


def test_a_failed_run_is_told_and_the_next_one_works(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Session.run

    def stops(self: Any, fed: Any, names: Any) -> Any:
        raise UnsupportedError("ONNX Runtime stopped at conv1: the test says so")

    monkeypatch.setattr(Session, "run", stops)
    head = look(page, image="rocket", blob="conv1")
    assert (
        head["kind"] == "fault"
        and head["fault"] == "ONNX Runtime stopped at conv1: the test says so"
    )
    assert "the test says so" in ask(page, ask="why", blob="conv1", index=[0, 0, 0])["fault"]
    monkeypatch.setattr(Session, "run", whole)
    assert look(page, image="rocket", blob="conv2")["kind"] == "frame"


def test_what_cannot_be_fed_is_told(page: Any) -> None:
    head = look(page, image="no such", blob="conv1")
    assert head["kind"] == "fault" and "not here any more" in head["fault"]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"ask": "no such"}, "unknown"),
        ({"ask": "values", "blob": "conv9"}, 'blob "conv9" is not in net'),
        ({"ask": "values", "blob": "conv1", "tile": 48, "h": 1, "w": 1}, "no such region"),
        ({"ask": "values", "blob": "conv1", "h": 1000, "w": 1000}, "4096 are given at once"),
        ({"ask": "values", "blob": "conv1", "tile": -1}, "0 or more"),
        ({"ask": "values", "blob": "conv1", "tile": 1e400}, "0 or more"),
        ({"ask": "unit", "blob": "conv1", "index": [1, 2, 999]}, "no unit"),
        ({"ask": "unit", "blob": "conv1", "index": "x"}, "a list of numbers"),
        ({"ask": "why", "blob": "conv1", "index": [True]}, "a list of numbers"),
        ({"ask": "param", "layer": "conv1", "number": 2}, "no param 2"),
        ({"ask": "param", "layer": ["x"], "number": 0}, "is not in net"),
        ({"ask": "picture", "image": "../../etc/passwd"}, "not here any more"),
        ({"ask": {"a": []}}, "unknown"),
    ],
)  # fmt: skip
def test_wrong_questions(page: Any, question: dict[str, Any], words: str) -> None:
    look(page, image="cat", blob="conv1")
    found = ask(page, **question)
    assert words in found["fault"] and len(found["fault"]) <= 300
    assert len(ask(page, ask="values", blob="conv1", tile=1, y=2, x=3, h=1, w=1)["values"]) == 8


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "[]",
        "{}",
        '{"look": 3}',
        '{"look": {"first": 1e999}}',
        '{"look": {"first": "x"}}',
        b"",
        b"\0" * 100,
        "x" * 110_000,
    ],
)
def test_what_is_malformed_ends_the_talk(page: Any, raw: Any) -> None:
    page.send(raw)
    with pytest.raises(ConnectionClosed) as closed:
        page.recv(timeout=10)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4400


def test_a_message_larger_than_a_frame_is_not_read(page: Any) -> None:
    page.send(b"\0" * (3 * SIDE * SIDE + 100_000))
    with pytest.raises(ConnectionClosed):
        page.recv(timeout=10)


def test_of_camera_frames_the_newest_wins(page: Any) -> None:
    """A page that does not draw gets one frame, whatever it sends; then the last one."""
    page.send(json.dumps({"look": {"image": "camera", "blob": "data"}}))
    head = frame(page)
    assert head["waiting"] is True
    camera(page, 1, 10)
    assert frame(page, drawn=False)["seen"] == 1
    for number in range(2, 40):
        camera(page, number, number)
    time.sleep(0.5)
    with pytest.raises(TimeoutError):
        page.recv(timeout=0.3)
    page.send('{"drawn": true}')
    head = frame(page)
    assert head["seen"] == 39 and head["dropped"] == 37
    mean = (91.557, 98.7, 122.512)
    assert head["blob"]["lowest"] == pytest.approx(39 - max(mean), abs=1e-3)


def test_units_say_what_they_see(page: Any) -> None:
    look(page, image="cat", blob="conv1")
    found = ask(page, ask="unit", blob="conv1", index=[12, 30, 17])
    assert found["sight"]["box"] == [68, 120, 78, 130] and found["sight"]["size"] == [SIDE, SIDE]
    assert found["filter"]["statement"] == "1 of 1 filter shown, 11x11 each in colour (from BGR)"


def test_values_are_those_of_the_run(page: Any, net: ls.Net) -> None:
    import base64

    look(page, image="coffee", blob="conv1")
    found = ask(page, ask="values", blob="conv3", tile=5, y=2, x=3, h=4, w=6)
    raw = base64.b64decode(found["values"])
    wanted = net.run(images()["coffee"])["conv3"][0, 5, 2:6, 3:9]
    np.testing.assert_allclose(np.frombuffer(raw, "<f4").reshape(4, 6), wanted, rtol=1e-6)


def test_two_pages_and_one_that_leaves(viewer: Any, page: Any) -> None:
    url, token = viewer.url.split("/#token=")
    for _ in range(5):
        with connect(url.replace("http", "ws") + "/live", origin=url) as other:
            other.send(json.dumps({"token": token}))
            other.send(json.dumps({"look": {"image": "rocket", "blob": "conv1"}}))
    assert look(page, image="cat", blob="conv1")["fed"].startswith("cat")
