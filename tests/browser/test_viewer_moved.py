"""What moved the selected unit, in a real browser: its pixels, its numbers, its link, its keys."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.measure.attribution import methods
from layerscope.measure.top import read_labels
from layerscope.show.attribution_picture import overlay, ramp_of
from viewing import Open, camera_browser, text, until, visits

pytest_plugins = ["browsing"]

MAP = "#moved canvas:not(.ramp)"


@pytest.fixture(scope="module")
def browser(chromium: Any) -> Iterator[Any]:
    yield from camera_browser(chromium)


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.fixture(scope="module")
def viewer(net: ls.Net) -> Iterator[Any]:
    with ls.view(net, labels=read_labels(LABELS), port=0, browser=False) as found:
        yield found


@pytest.fixture
def visit(browser: Any, viewer: Any) -> Iterator[Open]:
    yield from visits(browser, viewer)


def drawn(page: Any, method: str) -> None:
    page.wait_for_selector(f"{MAP}[data-method='{method}']")
    page.wait_for_selector("#moved section:not([aria-busy])")


def pixels(page: Any, selector: str = MAP) -> np.ndarray:
    url = page.locator(selector).evaluate("(canvas) => canvas.toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.array(image.convert("RGB"), np.int64)


@pytest.mark.parametrize(
    ("state", "of", "method", "at"),
    [
        ("blob=fc8&tile=2", "fc8:2", "gradcam", ""),
        ("blob=conv3&tile=48&y=3&x=6", "conv3:48,3,6", "inputxgradient", ""),
        ("blob=prob&tile=2", "prob:2", "contribution", "conv3"),
        ("blob=fc8&tile=2", "fc8:2", "guided", ""),
    ],
)
def test_the_map_is_that_of_attribute(
    visit: Open, net: ls.Net, state: str, of: str, method: str, at: str
) -> None:
    page = visit(f"{state}&method={method}&at={at}")
    drawn(page, method)
    wanted = ls.attribute(net, images()["cat"], of, method, at=at)
    picture = overlay(wanted, ramp_of(wanted)).astype(np.int64)
    away = np.abs(pixels(page) - picture)
    # The last bits of a number may put it on the other side of a color's end.
    assert away.max() <= 12 and (away <= 1).mean() > 0.999
    low, high = ramp_of(wanted).ends()
    assert text(page, "#moved .ends") == low + high
    bar = np.abs(pixels(page, "#moved .ramp") - ramp_of(wanted).bar().astype(np.int64))
    assert bar.max() <= 1
    box = page.locator(MAP).bounding_box()
    for x, y in ((0.31, 0.42), (0.55, 0.2), (0.93, 0.88)):
        page.locator(MAP).hover(position={"x": x * box["width"], "y": y * box["height"]})
        told = until(page, "#moved .told", r"^x \d+, y \d+: ")
        column, row = map(int, re.findall(r"\d+", told)[:2])
        assert abs(column - x * 227) <= 1.5 and abs(row - y * 227) <= 1.5
        value = float(told.rpartition(": ")[2])
        scale = float(np.abs(wanted.map).max())
        assert value == pytest.approx(wanted.map[row, column], rel=1e-4, abs=1e-5 * scale)


def test_keys_choose_the_method(visit: Open) -> None:
    page = visit("blob=fc8")
    assert page.locator("#moved section").is_hidden()
    page.keyboard.press("g")
    drawn(page, "gradient")
    until(page, "#unittitle", "^fc8 0$")
    for method in ("inputxgradient", "guided"):
        page.keyboard.press("g")
        drawn(page, method)
        assert f"method={method}" in page.url
    page.keyboard.press("Escape")
    until(page, "#unittitle", "^No unit selected$")
    assert "method" not in page.url
    page.keyboard.press("h")
    assert "next method of what moved the unit" in text(page, "#keys")


def test_g_comes_back_to_none(visit: Open) -> None:
    page = visit("blob=fc8&tile=1")
    names = page.locator("#moved select >> nth=0").locator("option")
    count = names.count()
    assert count == 1 + len(methods())
    seen = []
    for _ in range(count):
        page.keyboard.press("g")
        seen.append(page.locator("#moved select >> nth=0").input_value())
    assert seen[-1] == "" and len(set(seen)) == count
    assert seen[7:11] == ["integrated", "smoothgrad", "occlusion", "rise"]


def test_another_method_and_back_before_it_is_there(visit: Open) -> None:
    page = visit("blob=fc8&tile=2&method=gradcam")
    drawn(page, "gradcam")
    page.locator("#moved select >> nth=0").evaluate(
        """(choice) => {
          for (const method of ["rise", "gradient", "gradcam"]) {
            choice.value = method;
            choice.dispatchEvent(new Event("change"));
          }
        }"""
    )
    until(page, "#moved .door", r"^took \d+ ms$")
    drawn(page, "gradcam")
    assert page.locator("#moved select >> nth=1").input_value() == ""
    until(page, "#moved .heading", "Grad-CAM at conv5")


def test_a_link_keeps_method_layer_and_opacity(visit: Open) -> None:
    page = visit("blob=fc8&tile=2&method=gradcam")
    drawn(page, "gradcam")
    layers = page.locator("#moved select >> nth=1")
    assert layers.locator("option >> nth=0").text_content() == "last map (conv5)"
    layers.select_option("conv2")
    until(page, "#moved .heading", "Grad-CAM at conv2")
    whole = pixels(page)
    page.locator("#moved input").evaluate(
        """(slider) => {
          slider.value = 40;
          slider.dispatchEvent(new Event("input"));
          slider.dispatchEvent(new Event("change"));
        }"""
    )
    faint = pixels(page)
    for words in ("method=gradcam", "at=conv2", "opacity=40"):
        assert words in page.url
    page.reload()
    drawn(page, "gradcam")
    until(page, "#moved .heading", "Grad-CAM at conv2")
    np.testing.assert_array_equal(pixels(page), faint)
    gray = (faint - 0.4 * whole) / 0.6  # what is below the color, which covers 0.4 as much
    assert np.abs(gray - gray.mean(axis=2, keepdims=True)).max() <= 3


def test_long_ones_have_a_button_and_can_be_cancelled(visit: Open, net: ls.Net) -> None:
    page = visit("blob=fc8&tile=2&method=rise")
    page.click("#moved .door button:has-text('Compute it for this image')")
    until(page, "#moved .door", r"[1-9]\d* of 1,000")
    page.click("#moved .door button:has-text('Cancel')")
    until(page, "#moved .door", "^Compute it for this image$")
    page.locator("#moved select >> nth=0").select_option("integrated")
    page.focus("#moved .door button")
    page.keyboard.press("Enter")
    drawn(page, "integrated")
    wanted = ls.attribute(net, images()["cat"], "fc8:2", "integrated")
    assert str(wanted.completeness) in text(page, "#moved .notes")
    until(page, "#moved .door", r"^took \d+ ms$")


def test_another_image_or_unit_is_followed(visit: Open, net: ls.Net) -> None:
    page = visit("blob=fc8&tile=2&method=gradient")
    drawn(page, "gradient")
    page.click(".gallery button >> nth=3")
    page.wait_for_selector(f"{MAP}[data-frame='2']")
    page.locator("#stage canvas").focus()
    page.keyboard.press("ArrowRight")
    until(page, "#moved .heading", "^fc8:3 ")
    drawn(page, "gradient")
    wanted = ls.attribute(net, images()["rocket"], "fc8:3", "gradient")
    assert text(page, "#moved .notes li >> nth=1").startswith(
        f"largest {wanted.map.max():.3g} at x {wanted.strongest[1]}, y {wanted.strongest[0]}"
    )


def test_what_cannot_be_is_told_in_one_line(visit: Open) -> None:
    page = visit("blob=conv2&tile=3&y=3&x=3&method=gradcam&at=conv5")
    until(page, "#moved .reason", '"conv2" does not depend on "conv5"')
    assert page.locator(MAP).is_hidden()
    page.locator("#moved select >> nth=1").select_option("")
    until(page, "#moved .heading:not(.reason)", "Grad-CAM at norm1")
    assert page.locator(MAP).is_visible()


def test_quick_ones_follow_the_camera(visit: Open) -> None:
    page = visit("blob=fc8&tile=2&method=gradcam")
    page.keyboard.press("c")
    until(page, "#status", r"[1-9]\d+ shown")
    seen = set()
    ends = time.monotonic() + 20
    while len(seen) < 4:
        assert time.monotonic() < ends, (seen, text(page, "#moved .door"))
        again = page.locator("#moved .door button")
        if again.count():  # the machine is busy: this frame is asked for
            again.evaluate("(button) => button.click()")
        seen.add(page.get_attribute(MAP, "data-frame"))
        page.wait_for_timeout(50)
    assert page.get_attribute("#moved .heading", "aria-live") == "off"
    page.keyboard.press("f")
    ends = time.monotonic() + 20
    while page.get_attribute(MAP, "data-frame") != page.get_attribute("body", "data-frame"):
        assert time.monotonic() < ends, "the map of the frozen frame"
        page.wait_for_timeout(50)
    assert page.get_attribute("#moved .heading", "aria-live") == "polite"


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_nothing_moves_and_all_has_a_name(visit: Open, width: int, scheme: str) -> None:
    page = visit("blob=fc8&tile=2&method=gradient", width=width, color_scheme=scheme)
    boxes = []
    for method in ("gradient", "inputxgradient", "guided"):
        drawn(page, method)
        page.wait_for_timeout(100)
        boxes.append(
            page.evaluate(
                """() => ["#moved canvas", "#moved .ramp", "#moved .heading"].map((name) => {
                  const box = document.querySelector(name).getBoundingClientRect();
                  const from = document.querySelector("#moved section").getBoundingClientRect();
                  return [box.left - from.left, box.top - from.top, box.width];
                })"""
            )
        )
        page.keyboard.press("g")
    assert boxes[0] == boxes[1] == boxes[2]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("#moved button, #moved select, #moved input, #moved canvas:not([aria-hidden])")]
          .filter((e) => !(e.textContent.trim() && e.tagName === "BUTTON") && !e.getAttribute("aria-label")
            && !e.getAttribute("aria-labelledby") && !e.labels?.length).map((e) => e.outerHTML)"""
    )
    assert nameless == []
