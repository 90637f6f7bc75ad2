"""The page: whole, quiet, and the same document whatever the names in the file are."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.measure.top import read_labels


class Page(HTMLParser):
    """Tags with their attribute names, attribute values, and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.values += [(tag, name, value or "") for name, value in attrs]
        self.inside.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "cat.html"
    net = ls.open(DEFINITION, WEIGHTS)
    assert ls.report(net, images()["cat"], path, labels=read_labels(LABELS)) == path
    return path.read_text("utf-8")


def test_every_layer_is_there(demo_page: str) -> None:
    page = Page(demo_page)
    net = ls.open(DEFINITION, WEIGHTS)
    for i, layer in enumerate(net.layers):
        assert ("section", "id", f"layer{i}") in page.values
        assert ("a", "href", f"#layer{i}") in page.values
        assert layer.name in page.words
    words = " ".join(page.words)
    assert "stretched to 227x227; BGR 0-255, minus the mean" in words
    assert "48 of 48 shown" in words and "(64, 24, 5, 5) (64,)" in words
    assert "cat" in words


def test_it_asks_for_nothing(demo_page: str) -> None:
    page = Page(demo_page)
    assert "default-src 'none'" in demo_page.split("<title>")[0]
    for tag, name, value in page.values:
        if name == "src":
            assert value.startswith("data:image/png;base64,")
        if name == "href":
            assert value.startswith("#")
        assert not name.startswith("on"), f"{tag} {name}"
    assert not {"script", "link", "iframe", "object", "form", "base"} & {t for t, _ in page.tags}
    assert "http://" not in demo_page and "https://" not in demo_page and "url(" not in demo_page


def test_its_pictures_are_whole_and_described(demo_page: str) -> None:
    page = Page(demo_page)
    sources = [value for tag, name, value in page.values if (tag, name) == ("img", "src")]
    assert len(sources) > 30
    for source in sources:
        with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as picture:
            picture.load()
            assert min(picture.size) > 10
    described = [value for tag, name, value in page.values if (tag, name) == ("img", "alt")]
    assert len(described) == len(sources) and all(described)


def net_with_names(folder: Path, names: list[str], stem: str) -> ls.Net:
    quoted = ["".join(f"\\{byte:03o}" for byte in name.encode("utf-8")) for name in names]
    path = folder / f"{stem}.prototxt"
    path.write_text(
        f'name: "{quoted[0]}"\n'
        f'layer {{ name: "{quoted[1]}" type: "Input" top: "{quoted[2]}"'
        " input_param { shape { dim: 1 dim: 3 dim: 9 dim: 7 } } }\n"
        f'layer {{ name: "{quoted[3]}" type: "Convolution" bottom: "{quoted[2]}" top: "{quoted[3]}"'
        " convolution_param { num_output: 4 kernel_size: 3 } }\n"
        f'layer {{ name: "r{quoted[3]}" type: "ReLU" bottom: "{quoted[3]}" top: "{quoted[3]}" }}\n'
        f'layer {{ name: "f" type: "InnerProduct" bottom: "{quoted[3]}" top: "f{quoted[1]}"'
        " inner_product_param { num_output: 3 } }\n"
        f'layer {{ name: "p" type: "Softmax" bottom: "f{quoted[1]}" top: "p{quoted[2]}" }}\n'
    )
    return ls.open(path).filled()


HOSTILE = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "<!--", "-->", "]]>", "</style>", "</title>", "&lt;b&gt;", "javascript:alert(1)",
    "‮evil", "\x1b[31m", "a\nb", "\x00", "\u2028", "﻿", "data:text/html,x", "{{7*7}}", "$x$",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_make_the_same_document(tmp_path: Path, name: str) -> None:
    """Tags and attribute names do not depend on what a file's names say."""
    pages = []
    for stem, names in (
        ("plain", ["a0", "a1", "a2", "a3"]),
        ("hostile", [name, f"{name}1", f"{name}2", f"{name}3"]),
    ):
        net = net_with_names(tmp_path, names, stem)
        labels = [f"{names[0]} label", "b", "c"]
        path = tmp_path / f"{stem}.html"
        ls.report(net, np.ones((3, 9, 7), np.float32), path, labels=labels)
        pages.append(Page(path.read_text("utf-8")))
    plain, hostile = pages
    assert hostile.tags == plain.tags
    for (tag, attribute, value), (_, _, other) in zip(plain.values, hostile.values, strict=True):
        if attribute not in ("alt", "src", "style"):
            assert value == other, f"{tag} {attribute}"
    assert all(c.isprintable() or c == "\n" for word in hostile.words for c in word)


def test_nets_of_other_shapes(tmp_path: Path) -> None:
    """Blobs with one, two, three and five axes, one number, and NaN."""
    path = tmp_path / "n.prototxt"
    path.write_text("""
        layer { name: "v" type: "Input" top: "v" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 dim: 6 } } }
        layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 7 } } }
        layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 3 dim: 8 } } }
        layer { name: "o" type: "Input" top: "o" input_param { shape { dim: 1 } } }
        layer { name: "c" type: "Convolution" bottom: "v" top: "c" convolution_param { num_output: 2 kernel_size: 2 } }
        layer { name: "r" type: "ReLU" bottom: "t" top: "t" }
    """)
    net = ls.open(path).filled()
    random = np.random.default_rng(0)
    feeds = {name: random.normal(size=net.graph.shapes[name]) for name in net.inputs}
    feeds["t"][0, 0, 0] = np.nan
    feeds["o"][:] = np.inf
    ls.report(net, feeds, tmp_path / "n.html")
    page = Page((tmp_path / "n.html").read_text())
    words = " ".join(page.words)
    assert "1 NaN or infinite" in words and "(2, 3, 4, 5, 6)" in words


def test_blobs_without_numbers(tmp_path: Path) -> None:
    """A Filter that selects nothing, with probabilities behind it."""
    path, page = tmp_path / "net.prototxt", tmp_path / "page.html"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }\n'
        'layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 2 } } }\n'
        'layer { name: "f" type: "Filter" bottom: "x" bottom: "s" top: "f" }\n'
        'layer { name: "p" type: "Softmax" bottom: "f" top: "p" }'
    )
    feeds = {"x": np.ones((2, 4), np.float32), "s": np.zeros(2, np.float32)}
    ls.report(ls.open(path), feeds, page)
    text = page.read_text()
    assert "f (0, 4): no numbers" in text and "p (0, 4): no numbers" in text


def test_progress_is_told(tmp_path: Path, small: tuple[Path, Path]) -> None:
    told: list[tuple[int, int, str]] = []
    ls.report(
        ls.open(*small), np.ones((3, 9, 7), np.float32), tmp_path / "x.html",
        progress=lambda done, total, name: told.append((done, total, name)),
    )  # fmt: skip
    assert told[0] == (0, 5, "data") and told[-1] == (5, 5, "")


def test_a_folder_that_is_not_there(tmp_path: Path, small: tuple[Path, Path]) -> None:
    with pytest.raises(ls.errors.SystemFaultError):
        ls.report(ls.open(*small), np.ones((3, 9, 7), np.float32), tmp_path / "no" / "x.html")


def report_of(net: ls.Net, fed: object, folder: Path) -> str:
    return ls.report(net, fed, folder / "page.html").read_text("utf-8")


def pixel_images(page: str) -> list[dict[str, str]]:
    """Attributes of the images that show pixels, with those of their style."""
    found = []
    for tag in re.findall(r"<img [^>]*>", page):
        attributes = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if "pixels" in attributes.get("class", ""):
            pairs = (each.split(":", 1) for each in attributes["style"].split(";"))
            found.append({**attributes, **dict(pairs)})
    return found


def width_of(attributes: dict[str, str]) -> int:
    with Image.open(io.BytesIO(base64.b64decode(attributes["src"].split(",")[1]))) as picture:
        return picture.width


def test_pixels_are_enlarged_by_whole_numbers_and_never_made_smaller(demo_page: str) -> None:
    images = pixel_images(demo_page)
    assert len(images) > 30
    for image in images:
        width, times, few = width_of(image), int(image["--times"]), int(image["--few"])
        assert int(image["--wide"]) == width
        assert int(image["width"]) == width * times
        assert 1 <= few <= times <= 8
        assert few == 1 or width * few <= 330
    assert {int(image["--times"]) for image in images} > {1, 2}
    rules = dict(re.findall(r"(img[.a-z]*) \{ ([^}]*) \}", demo_page))
    assert "max-width" not in rules["img"]
    assert "max-width" not in rules["img.pixels"]
    assert demo_page.count("<div class=scroll><img ") == demo_page.count("<img ")


def test_places_without_a_tile_are_cut_off(demo_page: str) -> None:
    """48 maps of 55x55 in 7 columns: 391 pixels, of which the last tile would begin at 336."""
    shapes = {
        image["alt"].split(":")[0]: image.get("clip-path", "") for image in pixel_images(demo_page)
    }
    down, right = 100 * 335 / 391, 100 * 335 / 391
    assert shapes["conv1 (1, 48, 55, 55)"] == (
        f"polygon(0 0,100% 0,100% {down:.4f}%,{right:.4f}% {down:.4f}%,{right:.4f}% 100%,0 100%)"
    )
    assert shapes["conv2 (1, 64, 27, 27)"] == ""


def test_plots_fit_a_dark_page(demo_page: str) -> None:
    assert demo_page.count("class=plot") == 7
    assert demo_page.count('class="pixels bars"') == 8
    dark = demo_page.split("@media (prefers-color-scheme: dark) {")[-1]
    assert dark.strip().startswith("img.plot, img.bars { filter: invert(")
    assert "background: #fff" not in demo_page


def test_an_input_says_the_order_of_its_channels(tmp_path: Path, small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    image = np.arange(9 * 7 * 3, dtype=np.uint8).reshape(9, 7, 3)
    assert "channels in the order B, G, R" in report_of(net, image, tmp_path)
    rgb = replace(net, preprocessing=ls.Preprocessing(channels="RGB"))
    assert "channels in the order R, G, B" in report_of(rgb, image, tmp_path)
    # Of an array that is fed as it is nobody knows it.
    assert "in the order" not in report_of(net, np.ones((3, 9, 7), np.float32), tmp_path)


LENET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 64 dim: 1 dim: 28 dim: 28 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 20 kernel_size: 5
        weight_filler { type: "xavier" } } }
layer { name: "n" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 10
        weight_filler { type: "xavier" } } }
layer { name: "p" type: "Softmax" bottom: "f" top: "p" }
"""


@pytest.fixture
def lenet(tmp_path: Path) -> ls.Net:
    path = tmp_path / "lenet.prototxt"
    path.write_text(LENET)
    return ls.open(path).filled()


def test_a_small_input_is_enlarged(tmp_path: Path, lenet: ls.Net) -> None:
    page = report_of(lenet, np.arange(28 * 28, dtype=np.uint8).reshape(28, 28), tmp_path)
    fed, data = pixel_images(page)[:2]
    assert (fed["width"], fed["height"]) == (data["width"], data["height"]) == ("224", "224")
    assert "channels in the order" not in page


def test_every_param_is_shown(tmp_path: Path, lenet: ls.Net) -> None:
    words = report_of(lenet, np.zeros((1, 28, 28), np.float32), tmp_path)
    for title, number in (
        ("c/0 (20, 1, 5, 5): 20 of 20 filters shown", "param 1 of 2"),
        ("c/1 (20,): 20 values", "param 2 of 2"),
        ("n/0 (20,): 20 values", "param 1 of 3"),
        ("n/1 (20,): 20 values", "param 2 of 3"),
        ("s/0 (20,): 20 values, 1 … 1", "param 1 of 2"),
        ("s/1 (20,): 20 values, 0 … 0", "param 2 of 2"),
        ("f/1 (10,): 10 values", "param 2 of 2"),
    ):
        assert re.search(rf"<figcaption>{re.escape(title)}[^<]*<br>{number}</fig", words), title
    assert "<p>n/2 (1,): 1 <span class=dim>(param 3 of 3)</span></p>" in words


def test_a_batch_is_described_by_the_image_that_is_shown(tmp_path: Path, lenet: ls.Net) -> None:
    batch = np.ones((3, 1, 28, 28), np.float32) * np.array([2, 50, -70])[:, None, None, None]
    page = report_of(lenet, batch, tmp_path)
    assert "2 to 2, mean 2, 0.0 % zeros" in page
    assert "to 50" not in page and "-70" not in page
    assert "most likely (p), image 0 of 3" in page


def test_costs_name_the_batch_of_the_file(tmp_path: Path, lenet: ls.Net, demo_page: str) -> None:
    page = report_of(lenet, np.zeros((1, 28, 28), np.float32), tmp_path)
    header = " ".join(page.split("<header>")[1].split("</header>")[0].split())
    assert header.endswith("multiply-adds for a batch of 64</p>")
    assert "multiply-adds for a batch of 64</th>" in page
    assert "for a batch of" not in demo_page


def test_a_long_name_breaks_no_table(tmp_path: Path) -> None:
    path = tmp_path / "long.prototxt"
    path.write_text(
        f'layer {{ name: "{"x" * 400}" type: "Input" top: "{"y" * 400}"'
        " input_param { shape { dim: 1 dim: 5 } } }"
    )
    page = report_of(ls.open(path), np.ones(5, np.float32), tmp_path)
    assert f">{'y' * 59}…</td>" in page
