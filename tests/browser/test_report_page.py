"""The report in a real browser: what is drawn, told, chosen and walked through."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.pictures import grid

pytest_plugins = ["browsing"]

Visit = Callable[..., Any]
Demo = tuple[Path, ls.Blobs]


def canvas(page: Any, layer: int, number: int = 0) -> Any:
    """A canvas of a layer, scrolled to and drawn."""
    found = page.locator(f"#layer{layer} canvas").nth(number)
    found.scroll_into_view_if_needed()
    page.locator(f"#layer{layer} canvas[data-drawn]").nth(number).wait_for()
    return found


def pixels(found: Any) -> np.ndarray:
    """The pixels of a canvas, (H, W, 4)."""
    import base64

    uri = found.evaluate("canvas => canvas.toDataURL('image/png')")
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as picture:
        return np.asarray(picture.convert("RGBA"))


def layout(found: Any, tile: int) -> tuple[int, int]:
    """(columns, pixels from one tile to the next) of a grid of tiles that are drawn 1 to 1."""
    width = found.evaluate("canvas => canvas.width")
    return (width + 1) // (tile + 1), tile + 1


def readout(found: Any) -> str:
    text: str = found.evaluate(
        "canvas => canvas.closest('.view').querySelector('.readout').textContent"
    )
    return text


def told(words: str) -> tuple[int, int, int, float, float]:
    """(channel, y, x, value, precision) of a line of the page."""
    match = re.fullmatch(r"channel (\d+), y (\d+), x (\d+): (\S+) ± (\S+)", words)
    assert match, words
    return int(match[1]), int(match[2]), int(match[3]), float(match[4]), float(match[5])


def test_a_grid_is_that_of_every_other_surface(visit: Visit, demo: Demo) -> None:
    path, blobs = demo
    found = canvas(visit(path), 1)
    columns, _ = layout(found, 55)
    drawn = pixels(found)
    wanted = grid(blobs["conv1@conv1"][0], columns=columns).array
    shown = drawn[..., 3] == 255
    assert shown.sum() == 48 * 55 * 55
    assert np.abs(drawn[shown][:, :3].astype(int) - wanted[shown]).max() <= 1


@pytest.mark.parametrize(("layer", "blob"), [(1, "conv1@conv1"), (2, "conv1")])
def test_hovering_tells_the_value(visit: Visit, demo: Demo, layer: int, blob: str) -> None:
    path, blobs = demo
    found = canvas(visit(path), layer)
    columns, step = layout(found, 55)
    for channel, y, x in ((0, 0, 0), (9, 30, 20), (columns + 3, 54, 54)):
        place = {"x": channel % columns * step + x + 0.5, "y": channel // columns * step + y + 0.5}
        found.hover(position=place)
        *where, value, precision = told(readout(found))
        assert where == [channel, y, x]
        low, high = blobs["conv1@conv1"][0, channel].min(), blobs["conv1@conv1"][0, channel].max()
        assert precision == pytest.approx((high - low) / 508, rel=0.06)
        assert abs(value - blobs[blob][0, channel, y, x]) <= 1.1 * precision


def test_a_click_enlarges_a_tile(visit: Visit, demo: Demo) -> None:
    path, blobs = demo
    page = visit(path)
    found = canvas(page, 1)
    _, step = layout(found, 55)
    found.click(position={"x": 2 * step + 10, "y": step + 10})
    dialog = page.locator("dialog.zoom[open]")
    columns, _ = layout(found, 55)
    channel = columns + 2
    assert dialog.locator("h3").text_content() == f"conv1@conv1 (1, 48, 55, 55): channel {channel}"
    one = blobs["conv1@conv1"][0, channel].astype(np.float64)
    facts = f"55 x 55, {one.min():.4g} to {one.max():.4g}, mean {one.mean():.4g}"
    assert dialog.locator("p").first.text_content() == facts
    large = dialog.locator("canvas")
    box = large.bounding_box()
    times = round(box["width"] / 55)
    assert times >= 8 and box["width"] == 55 * times
    large.hover(position={"x": 20.5 * times, "y": 31.5 * times})
    *where, value, precision = told(dialog.locator(".readout").text_content())
    assert where == [channel, 31, 20]
    assert abs(value - blobs["conv1@conv1"][0, channel, 31, 20]) <= 1.1 * precision
    page.keyboard.press("ArrowRight")
    assert told(dialog.locator(".readout").text_content())[:3] == (channel, 31, 21)
    dialog.get_by_text("next").click()
    assert told(dialog.locator(".readout").text_content())[0] == channel + 1
    page.keyboard.press("Escape")
    page.locator("dialog.zoom").wait_for(state="hidden")


def test_an_enlarged_small_tile_says_how_exact_it_is(visit: Visit, demo: Demo) -> None:
    page = visit(demo[0])
    canvas(page, 9, 1).click(position={"x": 1, "y": 1})
    words = page.locator("dialog.zoom[open] p").first.text_content()
    match = re.fullmatch(r"3 x 3, (\S+) ± (\S+) to (\S+) ± \S+, mean (\S+) ± \S+", words)
    assert match, words
    low, off, high, mean = map(float, match.groups())
    net = ls.open(DEFINITION, WEIGHTS)
    kernel = net.params[net.layers[9].name][0].data[0, 0].astype(np.float64)
    for told_value, value in ((low, kernel.min()), (high, kernel.max()), (mean, kernel.mean())):
        assert abs(told_value - value) <= 1.1 * off


def test_channels_are_sorted(visit: Visit, demo: Demo) -> None:
    path, blobs = demo
    page = visit(path)
    found = canvas(page, 3)
    values = blobs["pool1"][0]
    for key, wanted in (
        ("max", np.argsort(-values.max((1, 2)), kind="stable")),
        ("mean", np.argsort(-values.mean((1, 2)), kind="stable")),
        ("index", np.arange(len(values))),
    ):
        page.locator("select[name=sort]").select_option(key)
        found.hover(position={"x": 5, "y": 5})
        assert told(readout(found))[0] == wanted[0]


def test_scaling_and_colours_change_the_pixels(visit: Visit, demo: Demo) -> None:
    path, blobs = demo
    page = visit(path)
    found = canvas(page, 1)
    columns, _ = layout(found, 55)
    for scale, color, name in (
        ("tile", "auto", "gray"),
        ("tile-signed", "auto", "gray"),
        ("signed", "auto", "diverging"),
        ("all", "heat", "heat"),
    ):
        page.locator("select[name=scale]").select_option(scale)
        page.locator("select[name=color]").select_option(color)
        drawn = pixels(found)
        wanted = grid(blobs["conv1@conv1"][0], scale, color=name, columns=columns).array
        shown = drawn[..., 3] == 255
        off = np.abs(drawn[shown][:, :3].astype(int) - wanted[shown])
        assert off.max() <= 6 and off.mean() < 1, (scale, color)


@pytest.mark.parametrize(("layer", "number"), [(1, 1), (5, 1)], ids=["in colour", "kernels"])
def test_filters_are_each_around_zero_as_everywhere(
    visit: Visit, demo: Demo, layer: int, number: int
) -> None:
    """Zero is mid gray in each; the maps beside them are still scaled over all."""
    path, _ = demo
    page = visit(path)
    found = canvas(page, layer, number)
    assert canvas(page, layer).get_attribute("data-drawn") == "all auto index"
    net = ls.open(DEFINITION, WEIGHTS)
    weights = net.params[net.layers[layer].name][0].data
    side = weights.shape[2]
    drawn = pixels(found)
    times = next(
        t
        for t in range(12, 0, -1)
        if (drawn.shape[1] + (2 if t > 3 else 1)) % (side * t + (2 if t > 3 else 1)) == 0
    )
    step = side * times + (2 if times > 3 else 1)
    columns = (drawn.shape[1] + step) // step
    kernels = weights if weights.shape[1] == 3 else weights.reshape(-1, 1, side, side)
    for tile in (0, 5, 40):
        most = max(abs(float(v)) for v in kernels[tile].ravel())
        y, x = tile // columns * step, tile % columns * step
        cut = drawn[y : y + side * times : times, x : x + side * times : times, :3].astype(int)
        planes = kernels[tile][::-1] if len(kernels[tile]) == 3 else kernels[tile][[0, 0, 0]]
        wanted = np.floor((planes / most + 1) * 127 + 0.5).transpose(1, 2, 0)
        assert np.abs(cut - wanted).max() <= 1
    assert readout(found).startswith("scaled each around zero: -")


def test_the_keyboard_walks_through_the_net(visit: Visit, demo: Demo) -> None:
    path, _ = demo
    page = visit(path)
    for number in range(5):
        page.keyboard.press("o")
        page.locator(f"#layer{number}:focus").wait_for()
    page.keyboard.press("u")
    page.locator("#layer3:focus").wait_for()
    assert page.locator(".list a[aria-current]").text_content().startswith("pool1")
    block = page.locator(".diagram a[aria-current]")
    assert block.get_attribute("href") == "#layer3"
    page.locator("#layer3 canvas[data-drawn]").first.wait_for()
    page.keyboard.press("l")
    page.keyboard.press("l")
    active = page.locator("#layer3 canvas:focus")
    active.wait_for()
    assert told(readout(active))[0] == 1
    outline = page.locator("#layer3 canvas:focus").evaluate("c => getComputedStyle(c).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("ArrowRight")
    assert told(readout(active))[0] == 2
    page.keyboard.press("Enter")
    page.locator("dialog.zoom[open]").wait_for()
    assert page.locator("dialog.zoom h3").text_content().endswith("channel 2")
    before = told(page.locator("dialog.zoom .readout").text_content())
    page.keyboard.press("k")
    after = told(page.locator("dialog.zoom .readout").text_content())
    assert (after[1], after[2]) == (before[1] + 1, before[2])
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    assert page.locator("select[name=scale]").input_value() == "all"
    page.keyboard.press("h")
    assert page.locator("dialog.help[open] kbd").count() > 10
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.locator("select[name=scale]").input_value() == "auto"


def test_the_diagram_leads_to_the_layers(visit: Visit, demo: Demo) -> None:
    path, _ = demo
    page = visit(path)
    page.locator(".diagram a[href='#layer9']").click()
    page.wait_for_function("document.querySelector('#layer9').getBoundingClientRect().top < 120")
    page.locator(".diagram a[aria-current][href='#layer9']").wait_for()


def test_an_address_may_name_a_layer(visit: Visit, demo: Demo) -> None:
    path, _ = demo
    page = visit(path)
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#layer12")
    page.wait_for_function(
        "Math.abs(document.querySelector('#layer12').getBoundingClientRect().top) < 120"
    )
    page.locator(".list a[aria-current][href='#layer12']").wait_for(state="attached")


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_window_and_nothing_moves(
    visit: Visit, demo: Demo, width: int
) -> None:
    path, _ = demo
    page = visit(path, width=width, height=700)
    for layer in (0, 1, 5, 16, 22):
        canvas(page, layer)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert page.evaluate("shifts") == []


def test_grids_fit_a_window_that_is_made_narrow(visit: Visit, demo: Demo) -> None:
    path, blobs = demo
    page = visit(path)
    canvas(page, 1)
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_function("document.querySelector('#layer1 canvas').width < 400")
    found = canvas(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    found.hover(position={"x": 3.5, "y": 2.5})
    channel, y, x, value, precision = told(readout(found))
    assert abs(value - blobs["conv1@conv1"][0, channel, y, x]) <= 1.1 * precision


def branched(folder: Path, branches: int) -> Path:
    """The report of a net of so many branches side by side, twice."""
    lines = [
        'layer { name: "data" type: "Input" top: "data" input_param { shape {'
        " dim: 1 dim: 3 dim: 14 dim: 14 } } }"
    ]
    bottom = "data"
    for block in ("inception_a", "inception_b"):
        parts = [f"{block}/3x3_reduce_{i}" for i in range(branches)]
        lines += [
            f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"'
            " convolution_param { num_output: 2 kernel_size: 1 } }"
            for name in parts
        ]
        bottom, joined = f"{block}/output", " ".join(f'bottom: "{name}"' for name in parts)
        lines.append(f'layer {{ name: "{bottom}" type: "Concat" {joined} top: "{bottom}" }}')
    path = folder / "branched.prototxt"
    path.write_text("\n".join(lines))
    image = np.ones((3, 14, 14), np.float32)
    return ls.report(ls.open(path).filled(), image, folder / "branched.html")


IN_SIGHT = """(links) => {
  const box = document.querySelector("nav.drawing").getBoundingClientRect();
  return links.map((link) => link.getBoundingClientRect()).filter((r) =>
    r.left >= box.left && r.right <= box.right && r.top >= box.top && r.bottom <= box.bottom).length;
}"""


def diagram_scale(page: Any) -> float:
    found: float = page.locator("nav.drawing svg").evaluate(
        "svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
    )
    return found


def test_a_wide_diagram_is_seen_from_side_to_side(visit: Visit, tmp_path: Path) -> None:
    """Four branches beside 1400 pixels of page, their words at three fifths of their size or more."""
    page = visit(branched(tmp_path, 4), width=1400)
    page.keyboard.press("o")
    box = page.locator("nav.drawing")
    assert box.evaluate("b => b.querySelector('svg').viewBox.baseVal.width") > 800
    assert box.evaluate("b => b.scrollWidth <= b.clientWidth")
    links = box.locator("a")
    assert links.count() == 11 and links.evaluate_all(IN_SIGHT) == 11
    assert 0.6 <= diagram_scale(page) < 0.9
    assert box.bounding_box()["width"] <= 0.4 * 1400


@pytest.mark.parametrize(("branches", "width"), [(12, 1400), (4, 390)])
def test_a_wider_diagram_scrolls_to_the_layer(
    visit: Visit, tmp_path: Path, branches: int, width: int
) -> None:
    page = visit(branched(tmp_path, branches), width=width, height=700)
    assert diagram_scale(page) == pytest.approx(0.6, abs=0.01)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for _ in range(2 + branches):
        page.keyboard.press("o")
        current = page.locator("nav.drawing a[aria-current]")
        if page.locator("section.layer:focus").get_attribute("id") == "layer0":
            continue
        assert current.evaluate_all(IN_SIGHT) == 1


CONTRAST = """
() => {
  const channel = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const parsed = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parsed(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("h1,h2,h3,p,dt,dd,td,th,caption,figcaption,small,span,select,button,summary,text")) {
    if (!element.textContent.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const back = element.closest("svg.ls-diagram") ? parsed(getComputedStyle(document.body).backgroundColor) : behind(element);
    const front = parsed(element instanceof SVGElement ? style.fill : style.color);
    const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push([element.tagName, element.textContent.slice(0, 30), ratio]);
  }
  return found;
}
"""


def test_every_word_of_the_choices_fits_a_telephone(visit: Visit, demo: Demo) -> None:
    path, _ = demo
    page = visit(path, width=390, height=844)
    left = page.evaluate(
        """() => [...document.querySelectorAll(".bar select")].flatMap((select) => {
          const style = getComputedStyle(select);
          const pen = document.createElement("canvas").getContext("2d");
          pen.font = style.font;
          const room = select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 16;
          return [...select.options].map((option) => room - pen.measureText(option.text).width);
        })"""
    )  # 16 for the arrow
    assert len(left) == 12 and min(left) > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_has_contrast(visit: Visit, demo: Demo, scheme: str) -> None:
    path, _ = demo
    page = visit(path, color_scheme=scheme)
    canvas(page, 1)
    assert page.evaluate(CONTRAST) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_print_has_every_picture(visit: Visit, demo: Demo) -> None:
    """Also those that nobody has scrolled to."""
    path, _ = demo
    page = visit(path, color_scheme="dark")
    page.locator("canvas[data-drawn]").first.wait_for()
    assert page.locator("canvas[data-drawn]").count() < page.locator(".stage canvas").count()
    page.evaluate("addEventListener('afterprint', () => { window.printed = true; })")
    written = page.pdf(print_background=True)
    assert written.startswith(b"%PDF") and len(written) > 300_000
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("canvas[data-drawn]").count() == page.locator(".stage canvas").count()
    assert not page.locator(".bar").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(CONTRAST) == []


def test_without_script_words_and_numbers_are_there(visit: Visit, demo: Demo) -> None:
    path, blobs = demo
    page = visit(path, java_script_enabled=False)
    words = page.locator("#layer1").inner_text()
    assert f"{blobs['conv1@conv1'].max():.4g}" in words and "48 filters 11x11" in words
    assert page.locator("noscript").inner_text().startswith("The pictures of this page")
    assert page.locator(".diagram svg").is_visible()


def test_everything_has_a_name_for_those_who_cannot_see(visit: Visit, demo: Demo) -> None:
    path, _ = demo
    page = visit(path)
    canvas(page, 1)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("canvas, img, svg, nav, select, button")]
        .filter((e) => e.checkVisibility() && !e.closest("[aria-hidden]"))
        .filter((e) => !(e.getAttribute("aria-label") || e.alt || e.textContent.trim() || e.labels?.length))
        .map((e) => e.outerHTML.slice(0, 100))"""
    )
    assert unnamed == []


HOSTILE = (
    "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>\"'><b>\u2028\u202e&lt;"
)


def hostile_report(folder: Path, name: str) -> Path:
    """A page with a name in every place where the text of a file can come to be."""
    escaped = "".join(f"\\{byte:03o}" for byte in name.encode())
    folder.mkdir()
    path = folder / "net.prototxt"
    path.write_text(
        f'name: "{escaped}"\n'
        f'layer {{ name: "{escaped}1" type: "Input" top: "{escaped}b"'
        " input_param { shape { dim: 1 dim: 3 dim: 12 dim: 12 } } }\n"
        f'layer {{ name: "{escaped}2" type: "Convolution" bottom: "{escaped}b" top: "{escaped}c"'
        " convolution_param { num_output: 4 kernel_size: 3 weight_filler { value: 0.1 } } }\n"
        f'layer {{ name: "{escaped}3" type: "ReLU" bottom: "{escaped}c" top: "{escaped}c" }}\n'
        f'layer {{ name: "{escaped}4" type: "InnerProduct" bottom: "{escaped}c" top: "{escaped}d"'
        " inner_product_param { num_output: 20 weight_filler { value: 0.1 } } }\n"
        f'layer {{ name: "{escaped}5" type: "Softmax" bottom: "{escaped}d" top: "{escaped}e" }}\n'
    )
    image = folder / f"{re.sub('/', '-', name)[:60]}.png"
    Image.fromarray(np.arange(432, dtype=np.uint8).reshape(12, 12, 3)).save(image)
    net = ls.open(path).filled()
    page = folder / "page.html"
    return ls.report(net, image, page, labels=[f"{name} {i}" for i in range(20)])


# Inside the drawings there are names in one or more lines; what is in
# sight, and so drawn and marked, depends on how long the names are.
STRUCTURE = """() => [...document.querySelectorAll("*")].filter((e) => !e.closest("svg")).map((e) =>
  e.tagName + " " + [...e.attributes].map((a) => a.name).filter((name) =>
    !["aria-current", "data-drawn", "hidden", "style", "width", "height"].includes(name)).sort().join(" "))"""
DRAWN = """() => [...new Set([...document.querySelectorAll("svg, svg *")].map((e) => e.localName))].sort()"""


def test_hostile_names_make_the_same_page(visit: Visit, tmp_path: Path) -> None:
    found = []
    for folder, name in (("plain", "plain name"), ("hostile", HOSTILE)):
        page = visit(hostile_report(tmp_path / folder, name))
        for layer in range(1, 5):
            canvas(page, layer).hover(position={"x": 4, "y": 4})
        canvas(page, 1).click(position={"x": 4, "y": 4})
        page.locator("dialog.zoom[open]").wait_for()
        assert name[:8] in page.locator("dialog.zoom h3").text_content()
        page.keyboard.press("Escape")
        assert page.evaluate("window.hit") is None
        found.append((page.evaluate(STRUCTURE), page.evaluate(DRAWN)))
    plain, hostile = found
    assert plain == hostile
    assert set(hostile[1]) <= {
        "a",
        "g",
        "line",
        "path",
        "polygon",
        "rect",
        "style",
        "svg",
        "text",
        "title",
    }


def test_what_counts_for_a_unit_is_read_off_its_map(visit: Visit, tmp_path: Path) -> None:
    net, image = ls.open(DEFINITION, WEIGHTS), str(images()["cat"])
    path = ls.report(net, image, tmp_path / "cat.html", attribute=["gradcam", "gradient"])
    page = visit(path)
    true = ls.attribute(net, image).map
    found = page.locator("#counts canvas").first
    found.scroll_into_view_if_needed()
    page.locator("#counts canvas[data-drawn]").first.wait_for()
    box = found.bounding_box()
    for y, x in ((0, 161), (120, 40), (226, 226)):
        place = {"x": (x + 0.5) * box["width"] / 227, "y": (y + 0.5) * box["height"] / 227}
        found.hover(position=place)
        match = re.fullmatch(r"map, y (\d+), x (\d+): (\S+) ± (\S+)", readout(found))
        assert match and (int(match[1]), int(match[2])) == (y, x)
        assert abs(float(match[3]) - true[y, x]) <= 1.1 * float(match[4])
    page.locator("header a[href='#counts']").click()
    assert page.evaluate("document.querySelector('#counts').getBoundingClientRect().top") < 200
