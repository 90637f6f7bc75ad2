"""What moved a unit, as a page asks for it: the answers are those of `layerscope.attribute`."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

import layerscope as ls
from coroutines import result
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.engine import onnxruntime as engine
from layerscope.measure.attribution import Attribution
from layerscope.pictures.color import palette
from layerscope.show.attribution_picture import overlay, ramp_of
from layerscope.units import Unit
from layerscope.viewer import mover
from layerscope.viewer.gallery import demo_images
from layerscope.viewer.mover import Mover, attribution_json
from layerscope.viewer.session import Session
from layerscope.viewer.worker import Worker

LABELS = [f"class {i}" for i in range(12)]


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.fixture(scope="module")
def viewer(net: ls.Net) -> Iterator[Any]:
    with ls.view(net, labels=LABELS, port=0, browser=False) as found:
        yield found


class Page:
    """A page that has drawn a frame."""

    def __init__(self, socket: Any, token: str, image: str) -> None:
        self.socket = socket
        self.send(token=token)
        self.send(look={"image": image, "blob": "prob"})
        self.frames = 0
        while not self.frames:
            self.heard()

    def send(self, **words: Any) -> None:
        self.socket.send(json.dumps(words))

    def heard(self) -> dict[str, Any] | None:
        """The next answer; None for a frame."""
        raw = self.socket.recv(timeout=30)
        if isinstance(raw, str):
            found: dict[str, Any] = json.loads(raw)
            return found
        self.frames += 1
        self.send(drawn=True)
        return None

    def answer(self, number: int) -> dict[str, Any]:
        while (found := self.heard()) is None or found["id"] != number:
            pass
        return found

    def moved(self, method: str, blob: str, *index: int, **more: Any) -> dict[str, Any]:
        self.send(id=5, ask="moved", method=method, blob=blob, index=index, **more)
        return self.answer(5)


@contextmanager
def opened(viewer: Any, image: str = "cat") -> Iterator[Page]:
    url, token = viewer.url.split("/#token=")
    with connect(url.replace("http", "ws") + "/live", origin=url, max_size=None) as socket:
        yield Page(socket, token, image)


@pytest.fixture
def page(viewer: Any) -> Iterator[Page]:
    with opened(viewer) as found:
        yield found


def numbers(told: dict[str, Any]) -> np.ndarray:
    raw = np.frombuffer(base64.b64decode(told["map"]["values"]), "<f4")
    return raw.reshape(told["map"]["height"], told["map"]["width"])


@pytest.mark.parametrize(
    ("method", "blob", "index", "at"),
    [
        ("gradient", "fc8", (2,), ""),
        ("inputxgradient", "conv3", (48, 3, 6), ""),
        ("guided", "conv3", (48, 3, 6), ""),
        ("deconvolution", "fc8", (4,), ""),
        ("gradcam", "prob", (2,), ""),
        ("gradcam++", "fc8", (2,), "conv3"),
        ("contribution", "fc8", (2,), "conv4@conv4"),
    ],
)
def test_the_answer_is_that_of_attribute(
    page: Page, net: ls.Net, method: str, blob: str, index: tuple[int, ...], at: str
) -> None:
    told = page.moved(method, blob, *index, at=at)
    of = f"{blob}:{','.join(map(str, index))}"
    wanted = ls.attribute(net, images()["cat"], of, method, at=at, labels=LABELS)
    np.testing.assert_allclose(
        numbers(told), wanted.map, rtol=1e-4, atol=1e-5 * np.abs(wanted.map).max()
    )
    assert told["heading"] == wanted.heading and told["frame"] == 1 and told["ms"] > 0
    assert told["at"] == wanted.at and wanted.paper == told["paper"]
    ramp = ramp_of(wanted)
    assert told["map"]["ends"] == list(ramp.ends()) and told["map"]["color"] == ramp.color
    keys = [key for key, _ in told["layers"]]
    assert ("conv5" in keys and "pool5" not in keys) if wanted.at else keys == []


def test_the_ground_is_the_image_as_it_was_fed(page: Page, net: ls.Net) -> None:
    told = page.moved("gradient", "fc8", 2)["map"]
    gray = np.frombuffer(base64.b64decode(told["gray"]), np.uint8).reshape(227, 227)
    seen = net.run(images()["cat"]).fed["data"].picture
    assert seen is not None
    red, green, blue = np.moveaxis(seen.astype(np.float64), -1, 0)
    wanted = 40 + 0.8 * (0.299 * red + 0.587 * green + 0.114 * blue)
    assert np.abs(gray - wanted).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"method": "gradcan", "blob": "fc8", "index": [2]}, 'method "gradcan" is unknown; nearest'),
        ({"method": "gradcam", "blob": "fc9", "index": [2]}, 'blob "fc9" is not in net'),
        ({"method": "gradcam", "blob": "fc8", "index": [12]}, "has no unit"),
        ({"method": "gradcam", "blob": "fc8", "index": None}, "a list of numbers"),
        ({"method": "gradcam", "blob": "conv2", "index": [1, 2, 3], "at": "conv5"}, "does not depend"),
        ({"method": "gradcam", "blob": "fc8", "index": [2], "at": "fc6"}, "one place a channel"),
        ({"method": "gradcam", "blob": "fc8", "index": [2], "at": {"a": 1}}, "is not in net"),
        ({"method": ["gradcam"], "blob": "fc8", "index": [2]}, "is unknown"),
    ],
)  # fmt: skip
def test_wrong_questions(page: Page, words: dict[str, Any], fault: str) -> None:
    page.send(id=9, ask="moved", **words)
    found = page.answer(9)["fault"]
    assert fault in found and len(found) <= 300 and "\n" not in found
    assert page.moved("gradient", "fc8", 1)["map"]["width"] == 227


def test_the_newest_question_wins(page: Page) -> None:
    for number in range(10, 30):
        page.send(id=number, ask="moved", method="rise", blob="fc8", index=[2])
    page.send(id=30, ask="moved", method="gradient", blob="fc8", index=[2])
    answers = {}
    while len(answers) < 21:
        found = page.heard()
        if found is not None:
            answers[found["id"]] = found
    assert all(answers[number]["cancelled"] for number in range(10, 30))
    assert answers[30]["method"] == "gradient"


def test_frames_and_progress_go_on_while_a_long_one_runs(page: Page) -> None:
    page.send(id=1, ask="moved", method="rise", blob="fc8", index=[2])
    seen = []
    ends = time.monotonic() + 20
    while not any(seen) and time.monotonic() < ends:
        page.send(id=2, ask="progress")
        told = page.answer(2)
        seen.append(told["done"])
        assert told["total"] in (0, 1000)
    before = page.frames
    page.send(look={"image": "rocket", "blob": "conv1"})
    while page.frames == before:
        assert page.heard() is None, "the frame comes before the long answer"
    page.send(id=3, ask="moved", method="")
    found = {}
    while len(found) < 2:
        told = page.heard() or {}
        found.update({told["id"]: told} if told else {})
    assert found[1]["cancelled"] and found[3] == {"id": 3}
    assert page.moved("gradient", "fc8", 2)["frame"] == 2


def test_a_long_one_lets_the_quick_ones_of_other_pages_go_first(viewer: Any, page: Page) -> None:
    with opened(viewer, "rocket") as other:
        page.send(id=1, ask="moved", method="rise", blob="fc8", index=[2])
        while not progress(page):
            pass
        assert other.moved("gradient", "fc8", 3)["method"] == "gradient"
        assert 0 < progress(page) < 1000, "the long one is not over yet"


def progress(page: Page) -> int:
    page.send(id=2, ask="progress")
    return int(page.answer(2)["done"])


def test_a_page_that_goes_ends_its_question(viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, began, whole = threading.Event(), threading.Event(), Mover.find

    def find(self: Mover, *given: Any) -> dict[str, Any]:
        began.set()
        try:
            return whole(self, *given)
        except BaseException:
            ended.set()
            raise

    monkeypatch.setattr(Mover, "find", find)
    with opened(viewer) as gone:
        gone.send(id=1, ask="moved", method="rise", blob="fc8", index=[2])
        assert began.wait(10)
    assert ended.wait(10)


def test_another_unit_of_a_blob_needs_no_new_program(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.moved("gradcam", "fc8", 2)
    made: list[object] = []
    whole = engine.Session.__init__

    def counted(self: Any, *given: Any, **more: Any) -> None:
        made.append(given)
        whole(self, *given, **more)

    monkeypatch.setattr(engine.Session, "__init__", counted)
    assert page.moved("gradcam", "fc8", 7)["method"] == "gradcam"
    assert made == []
    assert page.moved("gradcam", "fc7", 7)["method"] == "gradcam"
    assert made, "another blob has programs of its own, or nothing is counted"


def test_a_session_at_rest_keeps_no_programs(net: ls.Net) -> None:
    session = Session(net, demo_images())
    fed = session.feed(images()["cat"])
    asked = {"method": "gradcam"}

    def told() -> dict[str, Any]:
        return session.mover.find(
            fed, "data", Unit("fc8", (0, 2)), asked, [], lambda done, total, title: None
        )

    before = told()
    kept = weakref.ref(session.mover._net)  # type: ignore[arg-type]  # it was just used
    session.rest()
    gc.collect()
    assert kept() is None
    assert told()["map"] == before["map"]


def test_a_job_lets_others_go_first() -> None:
    order: list[str] = []

    async def play() -> None:
        worker, gate = Worker(), threading.Event()

        def long() -> None:
            gate.wait(10)
            worker.let_others()
            order.append("long")

        def fails() -> None:
            raise ZeroDivisionError

        first = asyncio.create_task(worker.do(long))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(worker.do(lambda: order.append("quick")))]
        others.append(asyncio.create_task(worker.do(fails)))
        await asyncio.sleep(0.05)
        worker.stop()
        gate.set()
        await first
        found = await asyncio.gather(*others, return_exceptions=True)
        assert isinstance(found[1], ZeroDivisionError)

    result(play())
    assert order == ["quick", "long"]


def found_of(values: np.ndarray, picture: np.ndarray | None = None) -> Attribution:
    return Attribution(
        method="gradient", title="Gradient", paper="", unit=Unit("fc8", (0, 2)), value=1.0,
        label="", input="data", at="", values=values.astype(np.float32), picture=picture,
    )  # fmt: skip


def test_of_a_large_map_every_nth_place_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "MOST_SIDE", 100)
    values = np.random.default_rng(0).normal(size=(70, 250))
    told = attribution_json(found_of(values))
    assert told["map"]["step"] == 3 and told["map"]["words"] == (
        "one of 3x3 places is drawn, of 250x70"
    )
    np.testing.assert_array_equal(numbers(told), values[::3, ::3].astype(np.float32))
    assert len(base64.b64decode(told["map"]["gray"])) == 24 * 84


def test_what_is_no_picture_is_told_in_words() -> None:
    told = attribution_json(found_of(np.array([1.0, -3.0, 2.0])))
    assert told["map"] is None and "largest 2 at place 2" in told["lines"][0]


@pytest.mark.parametrize("signed", [False, True])
def test_what_the_page_is_told_makes_the_picture(signed: bool) -> None:
    """The rule of the page, number by number, against the picture of Python."""
    random = np.random.default_rng(4)
    values = random.normal(size=(9, 7)) if signed else random.uniform(size=(9, 7))
    values[2, 3] = np.nan
    found = found_of(values, random.integers(0, 256, (9, 7, 3)).astype(np.uint8))
    meta = attribution_json(found)["map"]
    gray = np.frombuffer(base64.b64decode(meta["gray"]), np.uint8).reshape(9, 7)
    wanted = overlay(found, ramp_of(found))
    for y, x in np.ndindex(9, 7):
        value = 0.0 if np.isnan(values[y, x]) else float(values[y, x])
        share = (min(max(value, meta["low"]), meta["high"]) - meta["low"]) / (
            meta["high"] - meta["low"]
        )
        level = share
        if meta["color"] == "diverging":
            share = abs(2 * share - 1)
            level = (1 + np.sign(value) * (meta["hue"] + (1 - meta["hue"]) * share)) / 2
        cover = meta["cover"] * share ** meta["bend"]
        color = palette(meta["color"])[int(level * 252 + 0.5)]
        assert np.abs(color * cover + gray[y, x] * (1 - cover) - wanted[y, x]).max() <= 1.01
