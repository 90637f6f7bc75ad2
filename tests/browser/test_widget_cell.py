"""A widget in a browser: its page in the cell of a small notebook, and the kernel behind it."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.errors import UnsupportedError
from layerscope.measure.top import read_labels
from layerscope.viewer.session import Session

pytest_plugins = ["browsing", "widgets"]
pytest.importorskip("anywidget")

CAMERA = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
HOME = (
    "http://127.0.0.1:9/notebook"  # nothing listens there: what is asked for is given by the test
)

# The model is what anywidget gives; bytes come as views that begin anywhere, as over a real line.
NOTEBOOK = """<!doctype html><meta charset="utf-8"><title>a notebook</title><link rel="icon" href="data:,">
<style>body { margin: 0; background: BACKGROUND; } .viewer, #name { color: red; font-size: 50px; }</style>
<input id="editor" aria-label="code"><div id="name"></div>
<script type="module">
import widget from "/widget.js";
window.keys = [];
addEventListener("keydown", (event) => window.keys.push(event.key));
const text = (buffer) => btoa(Array.from(new Uint8Array(buffer), (each) => String.fromCharCode(each)).join(""));
const view = (words) => {
  const raw = Uint8Array.from(atob(words), (each) => each.charCodeAt(0));
  const whole = new Uint8Array(raw.length + 7);
  whole.set(raw, 3);
  return new DataView(whole.buffer, 3, raw.length);
};
window.show = (line, state) => {
  const heard = new Set();
  const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; },
    save_changes: () => kernel(JSON.stringify({ line, place: state.place })),
    send: (content, callbacks, buffers = []) => kernel(JSON.stringify({ line, content, buffers: buffers.map(text) })),
    on: (event, listener) => event === "msg:custom" && heard.add(listener),
    off: (event, listener) => heard.delete(listener),
  };
  const el = document.createElement("div");
  document.body.append(el);
  const gone = widget.render({ model, el });
  window.cells.push({ el, heard, hear: (content, buffers) => heard.forEach((each) => each(content, buffers.map(view))), close: () => { gone(); el.remove(); } });
};
window.cells = [];
window.ready = true;
for (;;) {
  for (const [line, content, buffers] of JSON.parse(await kernelSays())) cells[line].hear(content, buffers);
  await new Promise((done) => setTimeout(done, 10));
}
</script>"""


class Kernel:
    """What hands messages on between the notebook and the widgets, while it is alive."""

    def __init__(self, comms: list[Any]) -> None:
        self.comms, self.alive = comms, True

    def hears(self, words: str) -> None:
        told = json.loads(words)
        line = self.comms[told["line"]]
        if not self.alive:
            return
        if "place" in told:
            line.change("place", told["place"])
            return
        buffers = [b64decode(each) for each in told["buffers"]]
        assert all(len(each) <= 1_000_000 for each in buffers)
        line.say(told["content"], *buffers)

    def says(self) -> str:
        found = []
        for number, line in enumerate(self.comms):
            while self.alive and line.sent:
                content, buffers = line.sent.popleft()
                found.append((number, content, [b64encode(each).decode() for each in buffers]))
        return json.dumps(found)


@pytest.fixture(scope="module")
def browser(chromium: Any) -> Iterator[Any]:
    found = chromium.browser_type.launch(
        executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=CAMERA
    )
    yield found
    found.close()


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.fixture(scope="module")
def blobs(net: ls.Net) -> ls.Blobs:
    return net.run(images()["cat"])


@pytest.fixture
def kernel(comms: list[Any]) -> Kernel:
    return Kernel(comms)


Open = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, kernel: Kernel, comms: list[Any]) -> Iterator[Open]:
    """Open a notebook with the widgets that were made; at the end nothing may have failed."""
    faults: list[str] = []
    contexts = []

    def opened(
        background: str = "white", headers: Any = None, *, answers: bool = True, **how: Any
    ) -> Any:
        context = browser.new_context(viewport={"width": 1400, "height": 900}, **how)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.expose_function("kernel", kernel.hears)
        page.expose_function("kernelSays", kernel.says)
        notebook = NOTEBOOK.replace("BACKGROUND", background)
        page.route("**/*", lambda route: given(route, notebook, headers or {}))
        page.goto(HOME)
        page.wait_for_function("window.ready")
        for line, each in enumerate(comms):
            page.evaluate("([line, state]) => show(line, state)", [line, state_of(each)])
        for line in range(len(comms) if answers else 0):
            cell(page, line).locator("body[data-frame]").wait_for()
        return page

    def given(route: Any, notebook: str, headers: Any) -> None:
        url = route.request.url
        if url == HOME:
            route.fulfill(body=notebook, content_type="text/html", headers=headers)
        elif url == HOME.replace("notebook", "widget.js"):
            route.fulfill(body=comms[0].state["_esm"], content_type="text/javascript")
        else:
            faults.append(f"request: {url[:200]}")
            route.abort()

    yield opened
    for context in contexts:
        context.close()
    assert not faults


def state_of(comm: Any) -> dict[str, Any]:
    return {name: comm.state[name] for name in ("page", "place", "height")}


def cell(page: Any, number: int = 0) -> Any:
    return page.frame_locator(f"iframe >> nth={number}")


def text(frame: Any, selector: str) -> str:
    return " ".join((frame.locator(selector).first.text_content() or "").split())


def until(page: Any, frame: Any, selector: str, pattern: str) -> str:
    """The text of an element, when it is of that form."""
    ends = time.monotonic() + 20
    while not re.search(pattern, found := text(frame, selector)):
        assert time.monotonic() < ends, f"{selector}: {found!r} is not {pattern!r}"
        page.wait_for_timeout(30)
    return found


def test_layers_and_the_notebook_is_left_alone(net: ls.Net, kernel: Kernel, visit: Open) -> None:
    net.widget(labels=read_labels(LABELS))
    page = visit()
    frame = cell(page)
    assert text(frame, "#name") == "layerscope-demo" and text(frame, "#title") == "conv1"
    before = page.evaluate("history.length")
    frame.locator("#list button:has-text('pool2')").click()
    until(page, frame, "#count", r"^64 of 64 channels shown, 13x13 each$")
    for key, title in (("o", "norm2"), ("o", "conv3"), ("Backspace", "conv1")):
        page.keyboard.press(key)
        until(page, frame, "#title", f"^{title}$")
    frame.locator("#asdiagram").click()
    frame.locator("#diagram [aria-label^='fc6']").click()
    until(page, frame, "#title", "^fc6$")
    assert page.evaluate("window.keys") == [], "keys of the page are not the notebook's"
    page.click("#editor")
    page.keyboard.type("uuoo")
    assert page.input_value("#editor") == "uuoo" and text(frame, "#title") == "fc6"
    assert page.url == HOME and page.evaluate("history.length") == before
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("getComputedStyle(document.getElementById('name')).fontSize") == "50px"
    size = frame.locator("#name").evaluate("(element) => getComputedStyle(element).fontSize")
    assert size != "50px", "the notebook's style is not the page's"


def test_hover_tells_the_value(net: ls.Net, blobs: ls.Blobs, visit: Open) -> None:
    net.widget()
    page = visit()
    frame = cell(page)
    box = frame.locator("#stage canvas[data-drawn]").bounding_box()
    for right, down in ((3.5, 7.5), (60.5, 20.5), (300.5, 90.5)):
        page.mouse.move(box["x"] + right, box["y"] + down)
        told = until(page, frame, "#readout", r"^channel \d+, y \d+, x \d+: [^±]*$")
        channel, y, x = map(int, re.findall(r"\d+", told)[:3])
        value = float(told.rpartition(": ")[2])
        assert value == pytest.approx(float(blobs["conv1"][0, channel, y, x]), rel=1e-6)


def test_explains_a_unit(net: ls.Net, blobs: ls.Blobs, visit: Open) -> None:
    """Patch times kernel, by hand; the widget begins at a place."""
    net.widget().place = "blob=conv1%40conv1&tile=12&y=30&x=17"
    page = visit()
    frame = cell(page)
    until(page, frame, "#why:not([aria-busy]) .check", "difference")
    told = text(frame, "#why:not([aria-busy])")
    sums = [float(v) for v in re.findall(r"adds (-?[\d.e-]+)", told)]
    patch = blobs["data"][0, :, 120:131, 68:79].astype(np.float64)
    kernel = np.asarray(net.params["conv1"][0].data[12], np.float64)
    wanted = (patch * kernel).sum(axis=(1, 2))
    assert sorted(sums) == pytest.approx(sorted(wanted), rel=1e-3)
    value = float(blobs["conv1@conv1"][0, 12, 30, 17])
    assert float(text(frame, "#unitvalue")) == pytest.approx(value, rel=1e-6)
    box = "sees x 68..78, y 120..130 of data (11x11, exact)"
    assert text(frame, "#sight p") == box


def test_an_upload_of_several_pieces(net: ls.Net, visit: Open) -> None:
    from PIL import Image

    pixels = np.random.default_rng(5).integers(0, 256, (700, 610, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    assert len(file.getvalue()) > 1_200_000
    net.widget(labels=read_labels(LABELS)).place = "blob=prob"
    page = visit()
    frame = cell(page)
    frame.locator("#file").set_input_files(
        {"name": "noise.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    wanted = net.run(pixels)["prob"][0]
    until(page, frame, "#fed", "610x700")
    until(page, frame, "#guesses li:first-child", f"{100 * float(wanted.max()):.1f} %")
    frame.locator("#file").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    until(page, frame, "#fault", "not an image that is read here")


def test_a_failed_run_is_told(net: ls.Net, visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    net.widget()
    page = visit()
    whole = Session.run

    def stops(self: Any, fed: Any, names: Any) -> Any:
        raise UnsupportedError("ONNX Runtime stopped at conv1: the test says so")

    monkeypatch.setattr(Session, "run", stops)
    frame = cell(page)
    frame.locator(".gallery button >> nth=1").click()
    until(page, frame, "#fault", "^ONNX Runtime stopped at conv1: the test says so$")
    monkeypatch.setattr(Session, "run", whole)
    frame.locator(".gallery button >> nth=2").click()
    until(page, frame, "#fed", "coffee")
    assert text(frame, "#fault") == ""


def test_two_widgets_at_once(net: ls.Net, blobs: ls.Blobs, visit: Open) -> None:
    net.widget(images()["cat"])
    net.widget({"a rocket": images()["rocket"]}).place = "blob=conv2"
    page = visit()
    one, two = cell(page, 0), cell(page, 1)
    until(page, one, "#fed", "^cat"), until(page, two, "#fed", "^rocket")
    one.locator("#list button:has-text('pool5')").click()
    until(page, one, "#title", "^pool5$")
    assert text(two, "#title") == "conv2"


def test_a_page_that_is_moved_comes_back_to_its_place(
    net: ls.Net, visit: Open, comms: list[Any]
) -> None:
    made = net.widget()
    page = visit()
    frame = cell(page)
    frame.locator("#list button:has-text('conv4')").click()
    until(page, frame, "#title", "^conv4$")
    page.evaluate("document.body.append(cells[0].el)")  # a browser loads a moved frame anew
    page.wait_for_timeout(100)
    frame.locator("body[data-frame]").wait_for()
    until(page, frame, "#title", "^conv4$")
    assert len(made._pages) == 1 and made.place == "blob=conv4&image=cat"


def test_a_closed_cell_leaves_nothing(net: ls.Net, visit: Open) -> None:
    made = net.widget()
    page = visit()
    session = made._pages._session
    assert len(made._pages) == 1 and session._runtime is not None
    page.evaluate("cells[0].close()")
    ends = time.monotonic() + 10
    while len(made._pages) or session._runtime is not None:
        assert time.monotonic() < ends
        page.wait_for_timeout(30)
    assert page.evaluate("cells[0].heard.size") == 0


def test_a_kernel_that_does_not_answer(net: ls.Net, kernel: Kernel, visit: Open) -> None:
    net.widget()
    page = visit()
    frame = cell(page)
    kernel.alive = False
    frame.locator("#list button:has-text('conv2')").click()
    until(page, frame, "#fault", "^The kernel does not answer: it is busy, or it has ended")
    kernel.alive = True
    frame.locator("#list button:has-text('conv3')").click()
    until(page, frame, "#count", "^96 of 96 channels shown")
    assert text(frame, "#fault") == ""


def test_a_kernel_that_never_answered(net: ls.Net, kernel: Kernel, visit: Open) -> None:
    net.widget()
    kernel.alive = False
    page = visit(answers=False)
    until(page, cell(page), "#words", "^The kernel does not answer: it is busy, or it has ended")
    assert cell(page).locator("#words").is_visible()


def test_a_view_that_was_ended_says_why(net: ls.Net, visit: Open) -> None:
    made = net.widget()
    page = visit()
    frame = cell(page)
    (name,) = made._pages._lines
    hear = "([page, ended]) => cells[0].hear({ page, ended }, [])"
    page.evaluate(hear, ["another", "this is not for it"])
    page.wait_for_timeout(100)
    assert text(frame, "#fault") == ""
    page.evaluate(hear, [name, "too many of them"])
    until(page, frame, "#fault", "^too many of them$")
    frame.locator("#list button:has-text('conv2')").click()
    until(page, frame, "#title", "^conv2$")
    assert text(frame, "#fault") == "too many of them"


def test_the_camera(net: ls.Net, visit: Open) -> None:
    net.widget().place = "blob=conv1&tile=3&y=20&x=20"
    page = visit()
    frame = cell(page)
    frame.locator("#camera").click()
    told = r"camera: \d+\.\d frames a second, \d+ ms behind, [1-9]\d* shown, \d+ dropped"
    until(page, frame, "#status", told)
    assert "camera, cropped" in text(frame, "#fed")
    frame.locator("#freeze").click()
    until(page, frame, "#status", "camera: frozen")
    told = until(page, frame, "#why:not([aria-busy]) .check", "difference")
    engine = float(re.findall(r"\)(-?[\d.e-]+)", told)[0])
    assert float(text(frame, "#unitvalue")) == pytest.approx(engine, rel=1e-6)


def test_a_notebook_that_permits_no_camera(net: ls.Net, visit: Open) -> None:
    net.widget()
    page = visit(headers={"Permissions-Policy": "camera=()"})
    frame = cell(page)
    frame.locator("#camera").click()
    until(page, frame, "#fault", "^No camera: the notebook around this page does not permit it.$")


@pytest.mark.parametrize("background", ["#111", "white"])
def test_it_is_dark_where_the_notebook_is(net: ls.Net, visit: Open, background: str) -> None:
    """Whatever the machine is: a scheme that the browser is made to take would hide it."""
    net.widget()
    page = visit(background, color_scheme="null")
    color = cell(page).locator("body").evaluate("(it) => getComputedStyle(it).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", color)[:3])) / 3
    assert (light < 80) == (background == "#111"), color
