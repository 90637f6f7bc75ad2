"""The live viewer in a real browser: what it shows, tells, explains, and what a link keeps."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.measure.top import read_labels
from viewing import Open, camera_browser, text, until, visits

pytest_plugins = ["browsing"]

MIDDLE = ("#writes", "#summaries", "#bar", "#count", "#stage", "#readout", ".below")


@pytest.fixture(scope="module")
def browser(chromium: Any) -> Iterator[Any]:
    yield from camera_browser(chromium)


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.fixture(scope="module")
def blobs(net: ls.Net) -> ls.Blobs:
    return net.run(images()["cat"])


@pytest.fixture(scope="module")
def viewer(net: ls.Net) -> Iterator[Any]:
    with ls.view(net, labels=read_labels(LABELS), port=0, browser=False) as found:
        yield found


@pytest.fixture
def visit(browser: Any, viewer: Any) -> Iterator[Open]:
    yield from visits(browser, viewer)


def test_the_token_leaves_the_address(visit: Open, viewer: Any) -> None:
    page = visit()
    assert "token" not in page.url and viewer.url.split("token=")[1] not in page.content()
    assert text(page, "#name") == "layerscope-demo"


def test_every_blob_has_its_thumbnail(visit: Open, net: ls.Net) -> None:
    page = visit(height=1600)
    page.wait_for_timeout(300)
    assert (
        page.locator(".thumb canvas[data-drawn]").count() == page.locator("#list li").count() == 15
    )
    assert text(page, "#counted") == "15 blobs, first 8 channels"


def test_layers_by_mouse_and_by_key(visit: Open) -> None:
    page = visit()
    assert text(page, "#title") == "conv1"
    page.click("#list button:has-text('pool2')")
    until(page, "#title", "^pool2$")
    until(page, "#count", r"^64 of 64 channels shown, 13x13 each$")
    for key, title in (
        ("o", "norm2"),
        ("o", "conv3"),
        ("u", "norm2"),
        ("u", "pool2"),
        ("u", "conv2"),
    ):
        page.keyboard.press(key)
        until(page, "#title", f"^{title}$")
    page.click("#asdiagram")
    page.click("#diagram [aria-label^='fc6']")
    until(page, "#title", "^fc6$")
    assert page.locator("#list button[aria-current]").count() == 1
    page.go_back()
    until(page, "#title", "^conv2$")


def test_hover_tells_the_value(visit: Open, blobs: ls.Blobs) -> None:
    page = visit("blob=conv1")
    grid = page.locator("#stage canvas[data-drawn]")
    box = grid.bounding_box()
    for right, down in ((3.5, 7.5), (60.5, 20.5), (500.5, 140.5), (300.5, 100.5)):
        page.mouse.move(box["x"] + right, box["y"] + down)
        told = until(page, "#readout", r"^channel \d+, y \d+, x \d+: [^±]*$")
        channel, y, x = map(int, re.findall(r"\d+", told)[:3])
        value = float(told.rpartition(": ")[2])
        assert value == pytest.approx(float(blobs["conv1"][0, channel, y, x]), rel=1e-6)
        assert (y, x) == (int(down) % 56, int(right) % 56)


def test_before_and_after_relu(visit: Open, blobs: ls.Blobs) -> None:
    page = visit("blob=conv1&tile=12&y=30&x=16")
    after = float(until(page, "#unitvalue", r"\d"))
    page.click("#writes button:has-text('before ReLU')")
    until(page, "#unittitle", "conv1@conv1")
    ends = time.monotonic() + 10
    wanted = float(blobs["conv1@conv1"][0, 12, 30, 16])
    while (found := text(page, "#unitvalue")) != "…" and float(found) != pytest.approx(
        wanted, rel=1e-6
    ):
        assert time.monotonic() < ends
    assert after == pytest.approx(max(0.0, wanted), rel=1e-6)


@pytest.mark.parametrize(
    "unit",
    [
        ("conv1", (12, 30, 17)),
        ("pool2", (9, 5, 6)),
        ("fc6", (12,)),
        ("prob", (3,)),
        ("norm1", (5, 9, 8)),
    ],
)
def test_explains_a_unit(visit: Open, net: ls.Net, blobs: ls.Blobs, unit: Any) -> None:
    name, place = unit
    state = f"blob={name}&tile={place[0]}" + (
        f"&y={place[1]}&x={place[2]}" if len(place) == 3 else ""
    )
    page = visit(state)
    told = until(page, "#why:not([aria-busy]) .check", "difference")
    engine, again = (float(v) for v in re.findall(r"\)(-?[\d.e-]+)", told)[:2])
    assert engine == pytest.approx(float(blobs[name][(0, *place)]), rel=1e-6)
    assert again == pytest.approx(engine, rel=1e-4)


def test_the_products_of_a_unit_add_up(visit: Open, net: ls.Net, blobs: ls.Blobs) -> None:
    """Patch times kernel, by hand."""
    page = visit("blob=conv1%40conv1&tile=12&y=30&x=17")
    until(page, "#why:not([aria-busy]) .check", "difference")
    sums = [float(v) for v in re.findall(r"adds (-?[\d.e-]+)", text(page, "#why:not([aria-busy])"))]
    patch = blobs["data"][0, :, 120:131, 68:79].astype(np.float64)
    kernel = np.asarray(net.params["conv1"][0].data[12], np.float64)
    wanted = (patch * kernel).sum(axis=(1, 2))
    assert sorted(sums) == pytest.approx(sorted(wanted), rel=1e-3)
    assert text(page, "#sight p") == "sees x 68..78, y 120..130 of data (11x11, exact)"
    seen, whole = (
        page.locator(".seen").nth(1).bounding_box(),
        page.locator(".sight canvas").bounding_box(),
    )
    assert (seen["x"] - whole["x"]) / whole["width"] == pytest.approx(68 / 227, abs=0.01)
    assert seen["height"] / whole["height"] == pytest.approx(11 / 227, abs=0.01)


def test_steps_back_to_the_pixels(visit: Open) -> None:
    page = visit("blob=prob&tile=0")
    titles = []
    for _ in range(40):
        titles.append(text(page, "#title"))
        until(page, "#why:not([aria-busy])", "Why this number.*(difference|pixel)")
        if not page.locator("#why .back").count():
            break
        before = page.url
        page.click("#why .back")
        ends = time.monotonic() + 10
        while page.url == before:
            assert time.monotonic() < ends, (titles, before, text(page, "#fault"))
            page.wait_for_timeout(20)
        page.wait_for_timeout(100)
    assert titles[0] == "prob" and titles[-1] == "data", titles
    assert re.search(
        r"pixel \(red, green, blue\): \d+, \d+, \d+", text(page, "#why:not([aria-busy])")
    )


def test_arrow_keys_move_the_unit(visit: Open) -> None:
    page = visit("blob=pool2")
    page.locator("#stage canvas").focus()
    page.keyboard.press("ArrowRight")
    until(page, "#unittitle", "^pool2 channel 0, y 6, x 6$")
    page.keyboard.press("l")
    until(page, "#unittitle", "^pool2 channel 1, y 6, x 6$")
    page.keyboard.press("Enter")
    page.keyboard.press("k")
    page.keyboard.press("ArrowLeft")
    until(page, "#unittitle", "^pool2 channel 1, y 7, x 5$")
    assert "tile=1&y=7&x=5" in page.url
    page.keyboard.press("Escape")
    until(page, "#unittitle", "^No unit selected$")


def test_choices_and_a_link_keeps_them(visit: Open, viewer: Any) -> None:
    page = visit("blob=conv2")
    for key in "ssmaz":  # scaling: as it fits, over all, each tile
        page.keyboard.press(key)
    until(page, "#readout", "scaled each by its own")
    address = page.url
    for words in ("scale=tile", "color=gray", "sort=mean", "zoom=2", "blob=conv2"):
        assert words in address
    page.reload()
    page.wait_for_selector("#stage canvas[data-drawn='tile gray mean']")
    assert page.url == address and text(page, "#title") == "conv2"
    other = page.context.new_page()
    visit.watch(other)  # type: ignore[attr-defined]
    other.goto(address)
    other.wait_for_selector("#stage canvas[data-drawn='tile gray mean']")
    assert text(other, "#title") == "conv2"


def test_a_fixed_range(visit: Open) -> None:
    page = visit("blob=conv1&scale=fixed&low=-2&high=2")
    until(page, "#readout", r"^scaled between fixed ends: -2 … 2$")
    page.fill(".range input >> nth=1", "5")
    page.keyboard.press("Tab")
    until(page, "#readout", r"^scaled between fixed ends: -2 … 5$")


def test_sorted_by_activity(visit: Open, blobs: ls.Blobs) -> None:
    page = visit("blob=conv5&sort=max")
    page.wait_for_selector("#stage canvas[data-drawn]")
    page.keyboard.press("ArrowRight")
    told = until(page, "#unittitle", r"channel \d+")
    strongest = int(blobs["conv5"][0].reshape(64, -1).max(axis=1).argmax())
    assert told.startswith(f"conv5 channel {strongest},")


def test_params_as_filters(visit: Open) -> None:
    page = visit("blob=conv1")
    page.click("#writes button:has-text('48x3x11x11')")
    until(page, "#count", r"48 of 48 filters shown, 11x11 each in colour \(from BGR\)")
    page.click("#writes button:has-text('after ReLU')")
    until(page, "#count", "48 of 48 channels")


def test_params_come_in_parts(visit: Open, net: ls.Net) -> None:
    """A filter of any part tells its true numbers, and leads to the unit of its channel."""
    page = visit("blob=conv3")
    page.click("#writes button:has-text('96x64x3x3')")
    until(page, "#count", r"5,440 of 6,144 kernels shown, 3x3 each")
    assert page.is_disabled(".pages button:has-text('previous')")
    page.focus(".pages button:has-text('next')")
    page.keyboard.press("Enter")
    until(page, "#count", r"704 of 6,144 kernels shown, from 5,440 on")
    assert page.is_disabled(".pages button:has-text('next')")
    assert page.evaluate("document.activeElement.textContent") == "previous"
    assert "first=5440" in page.url
    box = page.locator("#stage canvas[data-drawn]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2 + 3)
    told = until(page, "#readout", r"filter \d+, kernel \d+, y \d, x \d: ")
    where = [int(v) for v in re.findall(r"\d+", told)[:4]]
    value, precision = (float(v) for v in told.rpartition(": ")[2].split(" ± "))
    true = float(net.params["conv3"][0].data[tuple(where)])
    assert where[0] >= 85 and value == pytest.approx(true, abs=1.1 * precision)
    page.mouse.down()
    page.mouse.up()
    until(page, "#unittitle", rf"^conv3 channel {where[0]}, y 6, x 6$")
    until(page, "#filter", "conv3")
    page.reload()
    until(page, "#count", r"from 5,440 on")
    page.click("#writes button:has-text('after ReLU')")
    until(page, "#count", "^96 of 96 channels")


def test_enter_leads_into_the_map_and_back(visit: Open) -> None:
    """Also where nothing has the keys yet, as after a click on a layer."""
    page = visit("blob=conv2&tile=7&y=3&x=4")
    until(page, "#unittitle", "conv2 channel 7, y 3, x 4")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    until(page, "#unittitle", "conv2 channel 7, y 4, x 4")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    until(page, "#unittitle", "conv2 channel 8, y 4, x 4")


@pytest.mark.parametrize("width", [1440, 390])
def test_the_diagram_can_be_read_and_follows(visit: Open, width: int) -> None:
    page = visit("blob=conv1&layers=diagram", width=width)
    for key in ["o"] * 9 + ["u"]:
        page.keyboard.press(key)
    page.wait_for_selector("#diagram [aria-current]")
    scale, inside = page.evaluate(
        """() => {
          const svg = document.querySelector("#diagram svg");
          const box = document.getElementById("diagram").getBoundingClientRect();
          const block = document.querySelector("#diagram [aria-current]").getBoundingClientRect();
          return [svg.getBoundingClientRect().width / svg.viewBox.baseVal.width,
            block.top >= box.top - 1 && block.bottom <= box.bottom + 1 && block.right <= box.right + 1];
        }"""
    )
    assert scale >= 0.599 and inside


@pytest.mark.parametrize("width", [1440, 390])
def test_numbers_in_cells_are_whole(visit: Open, width: int) -> None:
    """None is cut off, and what is written is the number, rounded."""
    page = visit("blob=conv2&tile=5&y=12&x=12", width=width)
    until(page, "#why:not([aria-busy]) .check", "difference")
    cut, cells = page.evaluate(
        """() => {
          const cells = [...document.querySelectorAll(".matrix.written i")];
          const cut = (c) => c.scrollWidth > c.clientWidth || c.scrollHeight > c.clientHeight;
          return [cells.filter(cut).length, cells.map((c) => [
            c.closest(".named").querySelector("small").textContent, c.textContent, c.title])];
        }"""
    )
    assert cut == 0 and len(cells) == 6 * 3 * 25
    for name, words, title in cells:
        times = float(name.partition("×")[2] or 1)
        digits = len(words.partition(".")[2])
        value = float(title.rpartition(": ")[2])
        assert float(words) * times == pytest.approx(value, abs=0.501 * times / 10**digits)


def test_vectors_and_probabilities(visit: Open, blobs: ls.Blobs) -> None:
    page = visit("blob=prob")
    until(page, "#count", "^12 of 12 values shown$")
    best = int(blobs["prob"][0].argmax())
    name = read_labels(LABELS)[best]
    assert text(page, "#guesses li:first-child").startswith(name)
    assert f"{100 * float(blobs['prob'].max()):.1f} %" in text(page, "#guesses li:first-child")
    page.click("#guesses li:first-child button")
    until(page, "#unitvalue", rf"\({name}\)")


def test_an_upload(visit: Open, net: ls.Net) -> None:
    page = visit("blob=prob")
    page.set_input_files("#file", str(images()["rocket"]))
    wanted = net.run(images()["rocket"])["prob"][0]
    until(page, "#guesses li:first-child", f"{100 * float(wanted.max()):.1f} %")
    assert re.search("image=upload[0-9]+", page.url)
    page.reload()
    until(page, "#guesses li:first-child", f"{100 * float(wanted.max()):.1f} %")


def test_what_is_no_image_is_told_and_the_next_one_works(visit: Open) -> None:
    page = visit("blob=prob")
    page.set_input_files(
        "#file", {"name": "<img src=x>.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    until(page, "#fault", "not an image that is read here")
    page.set_input_files("#file", str(images()["coffee"]))
    until(page, "#fed", "coffee|upload|image")
    until(page, "#fault", "^$")


def test_paste_and_drop(visit: Open) -> None:
    page = visit("blob=prob")
    before = page.locator(".gallery button").count()
    give = """async ([kind, url]) => {
      const file = new File([await (await fetch(url)).blob()], "icon.png", { type: "image/png" });
      const data = new DataTransfer();
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 40;
      const blob = await new Promise((done) => canvas.toBlob(done));
      data.items.add(new File([blob], "x.png", { type: "image/png" }));
      if (kind === "paste") dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
      else document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    for number, kind in enumerate(("paste", "drop")):
        page.evaluate(give, [kind, "/static/icon.svg"])
        page.locator(".gallery button").nth(before + number).wait_for()
    assert text(page, "#fault") == ""


def test_the_camera(visit: Open) -> None:
    page = visit("blob=conv1&tile=3&y=20&x=20")
    page.keyboard.press("c")
    until(
        page,
        "#status",
        r"camera: \d+\.\d frames a second, \d+ ms behind, [1-9]\d+ shown, \d+ dropped",
    )
    assert "image=camera" in page.url and "camera, cropped" in text(page, "#fed")
    until(page, "#why", "Freeze and explain")
    page.keyboard.press("f")
    until(page, "#status", "camera: frozen")
    page.wait_for_timeout(400)
    frame = page.get_attribute("body", "data-frame")
    told = until(page, "#why:not([aria-busy]) .check", "difference")
    engine = float(re.findall(r"\)(-?[\d.e-]+)", told)[0])
    assert float(text(page, "#unitvalue")) == pytest.approx(engine, rel=1e-6)
    page.wait_for_timeout(400)
    assert page.get_attribute("body", "data-frame") == frame
    page.keyboard.press("f")
    until(page, "#status", r"frames a second")
    page.wait_for_selector(f"body:not([data-frame='{frame}'])")
    page.keyboard.press("c")
    until(page, "#fed", r"cat\.jpg")


def test_two_tabs_see_their_own(visit: Open) -> None:
    one, two = visit("blob=conv1&image=cat"), visit("blob=conv2&image=rocket")
    until(one, "#fed", "cat"), until(two, "#fed", "rocket")
    two.click(".gallery button >> nth=2")
    until(two, "#fed", "coffee")
    assert "cat" in text(one, "#fed") and text(one, "#title") == "conv1"


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(1440, 900, "light"), (1100, 760, "dark"), (820, 1100, "dark"), (390, 844, "dark")],
)
def test_nothing_moves_or_is_too_wide(visit: Open, width: int, height: int, scheme: str) -> None:
    page = visit("blob=conv1&tile=12&y=30&x=17", width, height, color_scheme=scheme)
    until(page, "#why", "difference")
    rows = [page.locator(name).first.bounding_box() for name in MIDDLE]
    for above, below in itertools.pairwise(rows):
        assert above["y"] + above["height"] <= below["y"] + 0.5, "what stands below the other"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if width > 1000:
        before = [page.locator(s).bounding_box() for s in ("#stage", "#bar", ".below", "#unit")]
        page.keyboard.press("s")
        page.wait_for_timeout(300)
        assert before == [
            page.locator(s).bounding_box() for s in ("#stage", "#bar", ".below", "#unit")
        ]


def test_everything_has_a_name(visit: Open) -> None:
    """For those who listen: every control and every picture says what it is."""
    page = visit("blob=conv1&tile=12&y=30&x=17")
    until(page, "#why", "difference")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input:not([hidden]), canvas:not([aria-hidden])")]
          .filter((e) => e.checkVisibility() && !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length))
          .map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


def test_without_its_link_the_page_says_so(browser: Any, viewer: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(viewer.url.split("#")[0])
    until(page, "#fault", "open the one that layerscope printed")
    assert "layerscope-demo" not in page.content()
    context.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")  # noqa: PTH110
def test_a_page_that_went_away_costs_nothing(visit: Open) -> None:
    page = visit("blob=conv1")
    page.keyboard.press("c")
    until(page, "#status", r"[1-9]\d+ shown")
    page.context.close()
    time.sleep(2)
    before = time.process_time()
    time.sleep(1.5)
    assert time.process_time() - before < 0.15
