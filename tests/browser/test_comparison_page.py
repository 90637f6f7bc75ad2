"""The page of a comparison in Chromium: three pictures that follow one pointer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, WEIGHTS, images

pytest_plugins = ["browsing"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = ls.open(DEFINITION, WEIGHTS)
    found = ls.compare(net, inputs=images()["cat"], inputs_b=images()["rocket"])
    return found.report(tmp_path_factory.mktemp("compared") / "page.html")


def values(page: Any, row: int) -> list[tuple[float, float]]:
    """What A, B and the difference tell: a value, and how far it may be from the true one."""
    words = [each.inner_text() for each in page.locator(f"#row{row} .readout").all()]
    numbers = [word.split(":")[1].split("±") for word in words]
    return [(float(each[0]), float(each[1]) if len(each) > 1 else 1e-5) for each in numbers]


def test_one_pointer_tells_three_values(visit, compared: Path) -> None:
    page = visit(compared)
    told = []
    for row in (1, 3, 16):  # maps of two sizes, and a vector
        canvas = page.locator(f"#row{row} canvas").first
        canvas.scroll_into_view_if_needed()
        page.locator(f"#row{row} canvas[data-drawn]").nth(2).wait_for()
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 12, box["y"] + 12)  # within the first tile, or the second bar
        (a, near_a), (b, near_b), (apart, near) = values(page, row)
        told += [a, b]
        assert abs(apart - (a - b)) <= 1.05 * (near_a + near_b + near)
        assert page.locator(f"#row{row} .mark:visible").count() == 3
    assert any(told)


def test_the_difference_keeps_its_colours_and_its_order(visit, compared: Path) -> None:
    page = visit(compared)
    stages = page.locator("#row1 canvas")
    stages.first.scroll_into_view_if_needed()
    page.locator("select[name=sort]").select_option("max")
    page.locator("select[name=color]").select_option("heat")
    drawn = [stages.nth(i).get_attribute("data-drawn") for i in range(3)]
    assert drawn == ["all heat max", "all heat max", "signed diverging max"]
    box = stages.nth(2).bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    names = {each.inner_text().split(",")[0] for each in page.locator("#row1 .readout").all()}
    assert len(names) == 1  # tiles of one place are of one channel
    blobs = [
        ls.open(DEFINITION, WEIGHTS).run(images()[n])["conv1@conv1"][0] for n in ("cat", "rocket")
    ]
    most = np.abs(blobs[0] - blobs[1]).max(axis=(1, 2)).argmax()
    assert names == {f"channel {most}"}


def test_the_curve_and_the_headline_lead_to_layers(visit, compared: Path) -> None:
    page = visit(compared)
    page.locator("h1 a").click()
    assert page.evaluate("location.hash") == "#row0"
    page.locator('.curve a[href="#row9"]').click()
    assert page.evaluate("location.hash") == "#row9"


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window(visit, compared: Path, width: int) -> None:
    page = visit(compared, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
