"""Links that were written by hand, are old, or are of another net: what is not there is left out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, WEIGHTS

pytest_plugins = ["browsing"]

Open = Callable[..., Any]
GONE = "The image of this link is not here any more; another one is shown."
TWINS = """
name: "twins with a name that is so very long that it could be written over a whole side of a page"
layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 1 dim: 2 dim: 6 dim: 7 } } }
layer { name: "b" type: "Input" top: "b" input_param { shape { dim: 1 dim: 2 dim: 6 dim: 7 } } }
layer { name: "own" type: "Python" bottom: "a" top: "own" }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
layer { name: "end" type: "Silence" bottom: "b" }
"""


@pytest.fixture
def visit(chromium: Any) -> Iterator[Open]:
    """Open a page of a net; at the end nothing may have failed in it."""
    faults: list[str] = []
    open_things: list[Any] = []

    def opened(net: ls.Net, state: str = "") -> Any:
        viewer = ls.view(net, port=0, browser=False)
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        open_things.extend([page, viewer])
        page.set_default_timeout(20_000)
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.goto(f"{viewer.url}&{state}")
        page.wait_for_selector("body[data-frame]")
        page.wait_for_selector("#stage canvas")
        return page

    yield opened
    for each in open_things:
        each.close()
    assert not faults


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.mark.parametrize(
    "state",
    [
        "scale=odd&color=__proto__&sort=toString&zoom=1e9&layers=odd", "zoom=-3", "tile=48&y=3&x=3",
        "tile=5.5", "tile=2&y=55&x=-4", "param=nowhere.0", "param=conv1.2", "param=conv2.0",
    ],
)  # fmt: skip
def test_what_is_not_there_is_left_out(visit: Open, net: ls.Net, state: str) -> None:
    page = visit(net, f"blob=conv1&{state}")
    assert page.text_content("#count") == "48 of 48 channels shown, 55x55 each"
    assert page.text_content("#unittitle") == "No unit selected"
    chosen = page.eval_on_selector_all("#bar select", "all => all.map(each => each.value)")
    assert chosen == ["auto", "auto", "index"] and page.is_visible("text=Zoom 1×")


def test_another_name_of_the_same_numbers(visit: Open, net: ls.Net) -> None:
    """Dropout passes on what relu7 wrote, so the list has one state for both."""
    page = visit(net, "blob=fc7%40relu7&tile=4")
    assert page.text_content("#count") == "64 of 64 values shown"
    assert page.text_content("#unittitle") == "fc7 4"


def test_an_image_that_is_gone_is_told(visit: Open, net: ls.Net) -> None:
    page = visit(net, "image=upload3")
    page.wait_for_timeout(200)
    assert page.text_content("#fault") == GONE
    page.click("[data-key=coffee]")
    page.wait_for_selector("#fault:empty", state="attached")


def test_a_net_that_takes_no_images(visit: Open, tmp_path: Path) -> None:
    """It begins with noise, which can be chosen again, and with a blob that is computed."""
    path = tmp_path / "twins.prototxt"
    path.write_text(TWINS)
    page = visit(ls.open(path))
    assert page.eval_on_selector_all(".gallery button", "all => all.map(e => e.title)") == ["noise"]
    assert page.text_content("#title") == "sum" and page.text_content("#fault") == ""
    assert page.text_content("#counted") == "3 blobs, first 8 channels; 1 not computed"
    words = page.eval_on_selector_all(
        "#list small:nth-of-type(1)", "all => all.map(each => each.textContent)"
    )
    assert words == ["2x6x7", "2x6x7", "not computed", "2x6x7", "no blob"]
    assert page.text_content("#guesstitle") == "Before the net"
    assert "noise" in page.text_content("#fed")
    heading = page.locator("#name")
    assert heading.bounding_box()["height"] < 60 and "page" in heading.get_attribute("title")


def test_the_keys_stay_with_the_steps_back(visit: Open, net: ls.Net) -> None:
    """Enter on the button leads on and on; on the pixels there is no button, but its panel."""
    page = visit(net, "blob=conv3&tile=95&y=1&x=11")
    page.wait_for_selector("#why .back")
    page.focus("#why .back")
    for blob in ("norm2", "pool2", "conv2", "norm1", "pool1", "conv1", "data"):
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#unittitle:text-matches('^{blob} ')")
        page.wait_for_selector("#why:not([aria-busy])")
        assert page.evaluate("document.activeElement.closest('#why') !== null"), blob


def test_what_is_not_finite_is_told(visit: Open, net: ls.Net) -> None:
    page = visit(net)
    file = io.BytesIO()
    np.save(file, np.full((3, 227, 227), np.nan, np.float32))
    page.set_input_files("#file", {"name": "x.npy", "mimeType": "x", "buffer": file.getvalue()})
    page.wait_for_selector("#numbers:has-text('all of them')")
    assert page.text_content("#numbers") == "NaN, infiniteall of them"
    shares = page.eval_on_selector_all("#guesses output", "all => all.map(e => e.textContent)")
    assert shares == ["not finite"] * 5


def test_the_choices_stand_in_one_row_beside_the_diagram(visit: Open, net: ls.Net) -> None:
    page = visit(net, "layers=diagram")
    tops = page.eval_on_selector_all(
        "#bar > :not([hidden])", "all => all.map(each => each.getBoundingClientRect().bottom)"
    )
    assert len(tops) == 4 and max(tops) - min(tops) < 8


def reshaped_net(path: Path) -> ls.Net:
    """x (1, 6, 4); r (1, 3, 1, 2, 4), whose last but two is 1; t (6, 1, 4), first in another axis."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    tables = {"to": np.array([1, 3, 1, 2, 4]), "four": np.array([4])}
    nodes = [
        helper.make_node("Reshape", ["x", "to"], ["r"], name="r"),
        helper.make_node("Transpose", ["x"], ["t"], name="t", perm=[1, 0, 2]),
        helper.make_node("Gather", ["t", "four"], ["g"], name="g", axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "reshaped",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "rg"],
        [numpy_helper.from_array(array, name) for name, array in tables.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path / "net.onnx"
    )
    return ls.open(path / "net.onnx")


def test_units_of_blobs_with_more_axes(visit: Open, tmp_path: Path) -> None:
    """The noise is that of NumPy's generator of seed 0, so each number is known."""
    noise = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
    page = visit(reshaped_net(tmp_path), "blob=r&tile=2&y=1&x=3")
    page.wait_for_selector("#why .check")
    wanted = float(noise.reshape(1, 3, 1, 2, 4)[0, 2, 0, 1, 3])
    assert float(page.text_content("#unitvalue")) == pytest.approx(wanted, rel=1e-6)
    assert "r[0, 2, 0, 1, 3]" in page.text_content("#why")


def test_what_lies_beyond_the_first_of_axis_0_is_told(visit: Open, tmp_path: Path) -> None:
    page = visit(reshaped_net(tmp_path), "blob=g&tile=0&y=0&x=2")
    page.click("#why .back")
    page.wait_for_selector("#fault:not(:empty)")
    assert page.text_content("#fault").startswith("t:4,0,2 is not shown")
    assert page.text_content("#title") == "g"
    page.click("#list li:has(b:text-is('t')) button")
    page.wait_for_selector("#stage canvas[data-drawn]")
    assert page.text_content("#count").endswith("; the first of 6 along axis 0")
