"""What a person does one after the other: keys wherever the focus is, a camera that goes, many files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.measure.top import read_labels
from viewing import Open, camera_browser, text, until, visits

pytest_plugins = ["browsing"]

HAS_FOCUS = "document.activeElement.textContent.trim()"
STREAMS = """() => {
  window.streams = [];
  const media = navigator.mediaDevices;
  const first = media.getUserMedia.bind(media);
  media.getUserMedia = async (wanted) => {
    await new Promise((done) => setTimeout(done, 300));
    const stream = await first(wanted);
    window.streams.push(stream);
    return stream;
  };
}"""
LIVE = "streams.flatMap((stream) => stream.getTracks()).filter((track) => track.readyState === 'live').length"
SHIFTS = """() => {
  window.shifts = 0;
  const add = (list) => list.getEntries().forEach((entry) => { window.shifts += entry.value; });
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: false });
}"""


@pytest.fixture(scope="module")
def browser(chromium: Any) -> Iterator[Any]:
    yield from camera_browser(chromium)


@pytest.fixture(scope="module")
def viewer() -> Iterator[Any]:
    net = ls.open(DEFINITION, WEIGHTS)
    with ls.view(net, labels=read_labels(LABELS), port=0, browser=False) as found:
        yield found


@pytest.fixture
def visit(browser: Any, viewer: Any) -> Iterator[Open]:
    yield from visits(browser, viewer)


@pytest.mark.parametrize("where", ["#list li:nth-child(3) button", ".gallery button", "#diagram"])
def test_arrows_move_the_unit_after_a_click_anywhere(visit: Open, where: str) -> None:
    page = visit("blob=pool1" + ("&layers=diagram" if where == "#diagram" else ""))
    page.click("#diagram .block:nth-of-type(33)" if where == "#diagram" else where)
    page.wait_for_selector("#stage canvas[data-drawn]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    until(page, "#unittitle", "channel 1, ")


def test_nothing_changes_behind_the_help(visit: Open) -> None:
    page = visit("blob=pool1")
    page.keyboard.press("h")
    for key in ("o", "s", "l", "g", "ArrowRight"):
        page.keyboard.press(key)
    assert text(page, "#title") == "pool1" and text(page, "#unittitle") == "No unit selected"
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('keys').open")
    page.keyboard.press("o")
    until(page, "#title", "^norm1$")


def test_the_button_that_was_pressed_keeps_the_focus(visit: Open) -> None:
    page = visit("blob=conv1")
    page.focus("#writes button:nth-child(3)")
    page.keyboard.press("Enter")
    until(page, "#count", "^conv1/0 .* filters shown")
    assert page.evaluate(HAS_FOCUS) == "conv1/0 48x3x11x11"


def test_a_camera_that_is_called_twice_is_off(visit: Open) -> None:
    page = visit("blob=conv1")
    page.evaluate(STREAMS)
    page.keyboard.press("c")
    page.keyboard.press("c")
    page.wait_for_timeout(900)
    assert page.evaluate(LIVE) == 0 and page.get_attribute("#camera", "aria-pressed") == "false"
    page.keyboard.press("c")
    page.click("[data-key=rocket]")  # before it is there
    page.wait_for_timeout(900)
    assert page.evaluate(LIVE) == 0 and "rocket" in text(page, "#fed")
    page.keyboard.press("c")
    until(page, "#fed", "^camera")
    assert page.evaluate(LIVE) == 1


def test_a_camera_that_is_taken_away_is_told(visit: Open) -> None:
    page = visit("image=coffee")
    page.evaluate(STREAMS)
    page.keyboard.press("c")
    until(page, "#fed", "^camera")
    page.evaluate(
        "streams[0].getTracks().forEach((t) => { t.stop(); t.dispatchEvent(new Event('ended')); })"
    )
    until(page, "#fed", "coffee")
    assert text(page, "#fault") == "The camera has gone; the image of before is shown."
    assert page.get_attribute("#camera", "aria-pressed") == "false"
    page.keyboard.press("o")
    until(page, "#fault", "^$")


def test_a_bad_upload_is_told_while_the_camera_runs(visit: Open) -> None:
    page = visit()
    page.keyboard.press("c")
    until(page, "#status", "[1-9] shown")
    page.set_input_files("#file", {"name": "x.png", "mimeType": "image/png", "buffer": b"none"})
    until(page, "#fault", "not an image that is read here")
    page.wait_for_timeout(500)  # several frames
    assert "not an image that is read here" in text(page, "#fault")


def test_several_files_are_all_taken(visit: Open) -> None:
    page = visit()
    before = page.locator(".gallery button").count()
    files = [
        {"name": n, "mimeType": "image/jpeg", "buffer": content}
        for n, content in [
            ("1", images()["rocket"].read_bytes()), ("2", b"none"), ("3", images()["coffee"].read_bytes()),
        ]
    ]  # fmt: skip
    page.set_input_files("#file", files)
    page.locator(".gallery button").nth(before + 1).wait_for()
    until(page, "#fault", "^file 2 of 3: the upload: not an image that is read here")
    assert page.locator(".gallery button").count() == before + 2
    until(page, "#fed", "^image 250x270")  # the last good one


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (800, 1000)])
def test_nothing_shifts_from_layer_to_layer(visit: Open, width: int, height: int) -> None:
    page = visit("blob=data", width, height)
    page.wait_for_timeout(500)
    page.evaluate(SHIFTS)
    for _ in range(14):
        page.keyboard.press("o")
        page.wait_for_timeout(250)
    assert text(page, "#title") == "prob"
    assert page.evaluate("shifts") < 0.005  # the words of a title have other lengths


@pytest.mark.parametrize(
    ("state", "lost"),
    [
        ("method=nonsense", "method"), ("method=gradcam&at=nowhere", "at"), ("opacity=500", "opacity"),
        ("opacity=-30", "opacity"), ("opacity=33.3", "opacity"), ("first=-4", "first"), ("first=1.5", "first"),
        ("scale=fixed", "scale"), ("scale=fixed&low=1", "scale"),
    ],
)  # fmt: skip
def test_what_a_link_says_that_cannot_be_is_left_out(visit: Open, state: str, lost: str) -> None:
    page = visit(f"blob=prob&tile=0&{state}")
    page.keyboard.press("z")  # writes the address anew
    page.wait_for_function("location.hash.includes('zoom=2')")
    assert f"{lost}=" not in page.url and "tile=0" in page.url
