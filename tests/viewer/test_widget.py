"""A widget without a browser: what a notebook says to it, and what it is told."""

from __future__ import annotations

import base64
import gc
import json
import struct
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.errors import SystemFaultError, UnsupportedError, UsageError
from layerscope.measure.top import read_labels
from layerscope.viewer.pages import MOST_PAGES
from layerscope.viewer.session import Session

pytest_plugins = ["widgets"]
pytest.importorskip("anywidget")

SIDE = 227
LOOK = {"image": "cat", "thumbs": ["data", "pool1", "fc6"], "blob": "conv2", "first": 0, "tile": 3}


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.fixture(scope="module")
def viewer(net: ls.Net) -> Iterator[Any]:
    with ls.view(net, labels=read_labels(LABELS), port=0, browser=False) as found:
        yield found


class Page:
    """One page in a notebook."""

    def __init__(self, comm: Any, name: str = "one") -> None:
        self.comm, self.name = comm, name
        self.do("open")

    def do(self, what: str, /, *buffers: bytes, **more: Any) -> None:
        self.comm.say({"page": self.name, "do": what, **more}, *buffers)

    def say(self, **words: Any) -> None:
        self.do("say", text=json.dumps(words))

    def told(self, seconds: float = 20) -> tuple[dict[str, Any], list[bytes]]:
        """The next message to this page."""
        ends = time.monotonic() + seconds
        while True:
            for message in self.comm.sent:
                if message[0]["page"] == self.name:
                    self.comm.sent.remove(message)
                    return message
            if time.monotonic() > ends:
                raise TimeoutError
            time.sleep(0.005)

    def frame(self, *, drawn: bool = True) -> dict[str, Any]:
        content, (raw,) = self.told()
        assert content == {"page": self.name}
        if drawn:
            self.say(drawn=True)
        return head_of(raw)

    def look(self, **what: Any) -> dict[str, Any]:
        self.say(look=what)
        return self.frame()

    def ask(self, **what: Any) -> dict[str, Any]:
        self.say(id=7, **what)
        content, buffers = self.told()
        found: dict[str, Any] = json.loads(content["text"])
        assert found.pop("id") == 7 and not buffers
        return found

    def answer(self, what: str, /, *buffers: bytes, **more: Any) -> dict[str, Any]:
        self.do(what, *buffers, number=3, **more)
        content, _ = self.told()
        assert content["number"] == 3
        found: dict[str, Any] = json.loads(content["text"])
        return found

    def camera(self, number: int, value: int = 0) -> None:
        self.do("say", struct.pack("<II", number, 0) + bytes([value]) * (3 * SIDE * SIDE))


def head_of(raw: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", raw)
    head: dict[str, Any] = json.loads(raw[4 : 4 + length])
    return head


def rest_of(raw: bytes) -> bytes:
    return raw[4 + struct.unpack_from("<I", raw)[0] :]


def test_a_page_is_sent_the_bytes_of_the_viewer(net: ls.Net, viewer: Any, comms: Any) -> None:
    """The same look over a socket and through a notebook: all but the times is the same."""
    url, token = viewer.url.split("/#token=")
    with connect(url.replace("http", "ws") + "/live", origin=url, max_size=None) as socket:
        socket.send(json.dumps({"token": token}))
        socket.send(json.dumps({"look": LOOK}))
        wanted = socket.recv(timeout=20)

    net.widget(labels=read_labels(LABELS))
    page = Page(comms[0])
    page.say(look=LOOK)
    _, (found,) = page.told()
    assert isinstance(wanted, bytes) and rest_of(found) == rest_of(wanted)
    heads = [head_of(found), head_of(wanted)]
    assert all(len(head.pop("times")) == 3 for head in heads)
    assert heads[0] == heads[1] and heads[0]["blob"]["name"] == "conv2"


def test_what_is_asked_of_a_server_is_asked_of_a_widget(
    net: ls.Net, viewer: Any, comms: Any
) -> None:
    url, token = viewer.url.split("/#token=")
    net.widget(labels=read_labels(LABELS))
    page = Page(comms[0])
    facts, pictures, fault = [
        page.answer("get", what=name) for name in ("facts", "images", "secrets")
    ]
    for name, found in (("facts", facts), ("images", pictures)):
        asked = urllib.request.Request(
            f"{url}/api/{name}", headers={"x-layerscope-token": token, "Origin": url}
        )
        with urllib.request.urlopen(asked) as reply:
            assert json.load(reply) == found
    assert "facts or images" in fault["fault"]


def test_values_and_reasons_are_those_of_the_run(net: ls.Net, comms: Any) -> None:
    import base64

    net.widget({"a cup": images()["coffee"]})
    page = Page(comms[0])
    head = page.look(image="image1", blob="conv1")
    assert head["fed"].startswith("coffee")
    values = page.ask(ask="values", blob="conv3", tile=5, y=2, x=3, h=4, w=6)
    why = page.ask(ask="why", blob="conv1@conv1", index=[12, 30, 17])
    blobs = net.run(images()["coffee"])
    found = np.frombuffer(base64.b64decode(values["values"]), "<f4").reshape(4, 6)
    np.testing.assert_allclose(found, blobs["conv3"][0, 5, 2:6, 3:9], rtol=1e-6)
    patch = blobs["data"][0, :, 120:131, 68:79].astype(np.float64)
    kernel = np.asarray(net.params["conv1"][0].data[12], np.float64)
    wanted = float((patch * kernel).sum() + net.params["conv1"][1].data[12])
    assert why["steps"][0]["result"] == pytest.approx(wanted, rel=1e-4)


def test_what_moved_a_unit_is_that_of_attribute(net: ls.Net, comms: Any) -> None:
    net.widget()
    page = Page(comms[0])
    page.look(image="cat", blob="fc8")
    told = page.ask(ask="moved", method="gradcam", blob="fc8", index=[2])
    wanted = ls.attribute(net, images()["cat"], "fc8:2", "gradcam")
    found = np.frombuffer(base64.b64decode(told["map"]["values"]), "<f4").reshape(227, 227)
    np.testing.assert_allclose(found, wanted.map, rtol=1e-4, atol=1e-5 * wanted.map.max())


def test_an_upload_in_pieces(net: ls.Net, comms: Any) -> None:
    content = images()["rocket"].read_bytes()
    cut = len(content) // 3
    net.widget()
    page = Page(comms[0])
    page.do("piece", content[:cut])
    page.do("piece", content[cut : 2 * cut])
    kept = page.answer("upload", content[2 * cut :])
    head = page.look(image=kept["key"], blob="prob")
    assert kept == {"key": "upload1", "title": "upload 1"}
    best = net.run(images()["rocket"])["prob"].max()
    assert head["guesses"][0]["value"] == pytest.approx(float(best), rel=1e-5)


def test_an_upload_that_is_too_large_or_none(net: ls.Net, comms: Any) -> None:
    net.widget()
    page = Page(comms[0])
    for _ in range(50):
        page.do("piece", bytes(1_000_000))
    large = page.answer("upload", b"x")
    none = page.answer("upload", b"no image")
    assert "larger than 32 megabytes" in large["fault"]
    assert "not an image that is read here" in none["fault"], "what came before is forgotten"


def test_of_camera_frames_the_newest_wins(net: ls.Net, comms: Any) -> None:
    net.widget()
    page = Page(comms[0])
    waiting = page.look(image="camera", blob="data")
    page.camera(1, 10)
    first = page.frame(drawn=False)
    for number in range(2, 40):
        page.camera(number, number)
    with pytest.raises(TimeoutError):
        page.told(0.4)
    page.say(drawn=True)
    last = page.frame()
    assert waiting["waiting"] is True and first["seen"] == 1
    assert last["seen"] == 39 and last["dropped"] == 37
    assert last["blob"]["lowest"] == pytest.approx(39 - 122.512, abs=1e-3)


def test_a_failed_run_is_told_and_the_next_one_works(
    net: ls.Net, comms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Session.run

    def stops(self: Any, fed: Any, names: Any) -> Any:
        raise UnsupportedError("ONNX Runtime stopped at conv1: the test says so")

    net.widget()
    page = Page(comms[0])
    monkeypatch.setattr(Session, "run", stops)
    failed = page.look(image="cat", blob="conv1")
    monkeypatch.setattr(Session, "run", whole)
    head = page.look(image="cat", blob="conv2")
    assert failed["kind"] == "fault"
    assert failed["fault"] == "ONNX Runtime stopped at conv1: the test says so"
    assert head["kind"] == "frame"


def test_the_kernel_is_free_while_the_net_runs(
    net: ls.Net, comms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, begun, goes_on = Session.run, threading.Event(), threading.Event()

    def waits(self: Any, fed: Any, names: Any) -> Any:
        begun.set()
        assert goes_on.wait(20)
        return whole(self, fed, names)

    monkeypatch.setattr(Session, "run", waits)
    net.widget()
    page = Page(comms[0])
    page.say(look=LOOK)
    while not begun.is_set():
        time.sleep(0.005)
    page.do("ping")
    there = page.told()
    goes_on.set()
    head = page.frame()
    assert there == ({"page": "one"}, []) and head["blob"]["name"] == "conv2"


def test_messages_from_another_thread(net: ls.Net, comms: Any) -> None:
    """A kernel hands on what its notebook says in the thread that it likes."""
    net.widget()
    page = Page(comms[0])
    thread = threading.Thread(target=page.say, kwargs={"look": LOOK})
    thread.start()
    thread.join()
    assert page.frame()["image"] == "cat"


def test_pages_are_told_apart(net: ls.Net, comms: Any) -> None:
    net.widget()
    net.widget()
    one, two, other = Page(comms[0], "a"), Page(comms[0], "b"), Page(comms[1], "a")
    one.say(look={**LOOK, "image": "cat"})
    two.say(look={**LOOK, "image": "rocket"})
    other.say(look={**LOOK, "image": "coffee"})
    assert [(page.frame())["image"] for page in (one, two, other)] == ["cat", "rocket", "coffee"]


def test_of_too_many_pages_the_one_used_least_is_ended(net: ls.Net, comms: Any) -> None:
    net.widget()
    pages = [Page(comms[0], str(number)) for number in range(MOST_PAGES)]
    pages[0].do("ping")
    pages[0].told()
    Page(comms[0], "one more")
    ended = pages[1].told()
    pages[1].say(look=LOOK)
    again, head = pages[1].told(), pages[0].look(**LOOK)
    assert "more than 8 views" in ended[0]["ended"] and "run the cell again" in again[0]["ended"]
    assert head["kind"] == "frame"


@pytest.mark.parametrize(
    "say",
    [
        lambda page: page.do("say", text="[]"),
        lambda page: page.do("say", text=3),
        lambda page: page.say(look=3),
        lambda page: page.do("say", bytes(100)),
        lambda page: page.do("say", text="x" * 110_000),
    ],
)
def test_what_is_malformed_ends_the_page(
    net: ls.Net, comms: Any, say: Callable[[Page], None]
) -> None:
    net.widget()
    page = Page(comms[0])
    say(page)
    content, _ = page.told()
    content, head = content, Page(comms[0], "another").look(**LOOK)
    assert 10 < len(content["ended"]) <= 300 and head["kind"] == "frame"


def test_without_a_page_nothing_is_kept_of_a_run(net: ls.Net, comms: Any) -> None:
    made = net.widget()
    session = made._pages._session
    one, two = Page(comms[0], "a"), Page(comms[0], "b")
    one.look(**LOOK)
    assert session._runtime is not None
    one.do("close")
    until(lambda: len(made._pages) == 1)
    time.sleep(0.1)
    assert session._runtime is not None
    two.do("close")
    until(lambda: session._runtime is None)
    Page(comms[0], "c").look(**LOOK)
    assert session._runtime is not None


def until(done: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_close_frees_the_session(net: ls.Net, comms: Any) -> None:
    made = net.widget()
    seen = weakref.ref(made._pages._session)
    threads = made._pages._worker, made._pages._loop
    page = Page(comms[0])
    page.look(**LOOK)
    made.close()
    until(lambda: not any(each._thread.is_alive() for each in threads))
    page.say(look=LOOK)  # of a view that does not know it yet
    time.sleep(0.05)
    gc.collect()
    assert seen() is None and comms[0].closed
    assert list(comms[0].sent) == [({"page": "one", "ended": "this widget was closed"}, [])]
    assert repr(made) == '<widget of net "layerscope-demo" (closed)>'
    made.close()


def test_the_place_is_kept(net: ls.Net, comms: Any) -> None:
    made = net.widget(height=500)
    assert comms[0].state["height"] == 500 and comms[0].state["place"] == ""
    comms[0].change("place", "blob=conv3&tile=4")
    assert made.place == "blob=conv3&tile=4"


def test_without_anywidget_one_line_says_what_to_do(
    net: ls.Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.viewer.notebook import widget_class

    widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(SystemFaultError, match=r'^[^\n]*pip install "layerscope\[notebook\]"$'):
        net.widget()
    widget_class.cache_clear()


@pytest.mark.parametrize("height", [0, 199, 4001, "tall", None, True])
def test_a_height_that_is_none(net: ls.Net, height: Any) -> None:
    with pytest.raises(UsageError, match="200 to 4000 pixels"):
        net.widget(height=height)


def test_a_net_without_weights_has_no_widget() -> None:
    with pytest.raises(UsageError, match="weights"):
        ls.open(DEFINITION).widget()


def test_messages_that_arrive_out_of_order(net: ls.Net, comms: Any) -> None:
    """A kernel may hand on "open" last, where a cell runs in the thread that it went to."""
    net.widget()
    page = Page(comms[0], "late")
    comms[0].sent.clear()
    early = Page.__new__(Page)
    early.comm, early.name = comms[0], "early"
    early.say(look=LOOK)
    head = early.frame()
    early.do("open")
    assert head["image"] == "cat" and early.look(**{**LOOK, "blob": "conv3"})["kind"] == "frame"
    page.do("close")
    page.say(look=LOOK)
    assert page.told()[0]["ended"] == "this view was ended; run the cell again"


def test_a_message_of_nobody(net: ls.Net, comms: Any) -> None:
    made = net.widget()
    for content in (None, [], "open", {}, {"page": 3}, {"page": "a", "do": "no such"}):
        comms[0].say(content)
    assert Page(comms[0], "a").look(**LOOK)["kind"] == "frame" and len(made._pages) == 1
