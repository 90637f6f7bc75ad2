"""The page: whole, quiet, and the same document whatever the names in the file are."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.measure.distribution import distribution
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
    assert "48 of 48 channels shown, 55x55 each" in words and "(64, 24, 5, 5) (64,)" in words
    assert "cat" in words


def test_it_asks_for_nothing(demo_page: str) -> None:
    page = Page(demo_page)
    for tag, name, value in page.values:
        if name == "src":
            assert value.startswith("data:image/png;base64,")
        if name == "href":
            assert value.startswith("#")
        assert not name.startswith("on"), f"{tag} {name}"
    assert not {"link", "iframe", "object", "form", "base"} & {t for t, _ in page.tags}
    texts = re.sub(r'"http://www.w3.org/2000/svg"', "", demo_page)  # the name of SVG, no address
    assert "http://" not in texts and "https://" not in texts and "url(" not in texts


def test_only_its_own_script_and_style_may_run(demo_page: str) -> None:
    """The policy comes first, names nothing but hashes, and each hash is that of what is there."""
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', demo_page)
    assert demo_page.index("Content-Security-Policy") < demo_page.index("<style")
    rules = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert set(rules) == {
        "default-src",
        "img-src",
        "style-src",
        "script-src",
        "base-uri",
        "form-action",
    }
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", demo_page, re.DOTALL)
        hashes = [
            base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts
        ]
        assert sorted(rules[kind].split()) == sorted(f"'sha256-{each}'" for each in hashes)
    page = Page(demo_page)
    assert not any("style" in names for tag, names in page.tags), "a style that the policy forbids"
    kinds = {value for tag, name, value in page.values if (tag, name) == ("script", "type")}
    assert kinds == {"application/json", "application/base64"}


def index_of(page: str) -> dict[str, Any]:
    """What the script of a page is told."""
    (words,) = re.findall(r'id="index">(.*?)</script>', page, re.DOTALL)
    return json.loads(words)


def tiles_of(page: str, title: str) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """A stack of tiles, its codes (n, planes, h, w), and the ends (2, n) of its planes."""
    (found,) = [
        panel["tiles"]
        for panel in index_of(page)["panels"]
        if panel["kind"] == "tiles" and panel["tiles"]["title"] == title
    ]
    (data,) = re.findall(rf'id="{found["data"]}">(.*?)</script>', page)
    raw = zlib.decompress(base64.b64decode(data))
    dims = [found[key] for key in ("count", "planes", "height", "width")]
    number = 1 if found["shared"] else dims[0] * dims[1]
    ends = np.frombuffer(raw[: 8 * number], "<f4").reshape(2, number)
    return found, np.frombuffer(raw[8 * number :], np.uint8).reshape(dims), ends


def test_what_is_packed_is_what_was_computed(demo_page: str) -> None:
    """Each value of a blob is in the page, to 1/508 of the span of its channel."""
    net = ls.open(DEFINITION, WEIGHTS)
    blobs = net.run(images()["cat"])
    for name in ("data", "conv1@conv1", "pool2", "norm1", "conv5@conv5"):
        true = blobs[name][0]
        _, codes, (low, high) = tiles_of(demo_page, f"{name} {true.shape and blobs[name].shape}")
        span = (high - low)[:, None, None]
        found = low[:, None, None] + (codes[:, 0].astype(np.float64) - 1) / 254 * span
        assert codes.min() == 1 and codes.max() == 255
        assert (np.abs(found - true) <= span / 508 * 1.01).all()


def test_after_relu_is_packed_once(demo_page: str) -> None:
    before, _, _ = tiles_of(demo_page, "conv1@conv1 (1, 48, 55, 55)")
    after, _, _ = tiles_of(demo_page, "conv1 (1, 48, 55, 55)")
    assert before["slope"] is None and after["slope"] == 0.0
    assert before["data"] == after["data"]
    assert before["low"] < 0 and after["low"] == 0.0


def test_its_pictures_are_described(demo_page: str) -> None:
    page = Page(demo_page)
    panels = index_of(demo_page)["panels"]
    assert len(panels) > 30
    assert [v for _, n, v in page.values if n == "data-panel"] == [
        str(i) for i in range(len(panels))
    ]
    titles = [panel.get("title") or panel["tiles"]["title"] for panel in panels]
    assert all(titles)
    (source,) = [value for tag, name, value in page.values if (tag, name) == ("img", "src")]
    with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as picture:
        assert picture.size == (227, 227)
    (alt,) = [value for tag, name, value in page.values if (tag, name) == ("img", "alt")]
    assert "stretched to 227x227" in alt


def test_without_its_script_it_says_so_and_has_every_number(demo_page: str) -> None:
    assert "<noscript>" in demo_page
    (first,) = re.findall(r'<figure class="tiles">(.*?)</figure>', demo_page, re.DOTALL)[1:2]
    words = " ".join(Page(first).words)
    stats = distribution(ls.open(DEFINITION, WEIGHTS).run(images()["cat"])["conv1@conv1"][0])
    for name, number in (("lowest", stats.low), ("mean", stats.mean), ("highest", stats.high)):
        assert f"{name} {number:.4g}" in words
    assert "zeros none" in words and "channels all zero 0 of 48" in words


def net_with_names(folder: Path, names: list[str], stem: str) -> ls.Net:
    quoted = ["".join(f"\\{byte:03o}" for byte in name.encode("utf-8")) for name in names]
    path = folder / f"{stem}.prototxt"
    path.write_text(
        f'name: "{quoted[0]}"\n'
        f'layer {{ name: "{quoted[1]}" type: "Input" top: "{quoted[2]}"'
        " input_param { shape { dim: 1 dim: 3 dim: 9 dim: 7 } } }\n"
        f'layer {{ name: "{quoted[3]}" type: "Convolution" bottom: "{quoted[2]}" top: "{quoted[3]}"'
        " convolution_param { num_output: 4 kernel_size: 3 weight_filler { value: 0.1 } } }\n"
        f'layer {{ name: "r{quoted[3]}" type: "ReLU" bottom: "{quoted[3]}" top: "{quoted[3]}" }}\n'
        f'layer {{ name: "f" type: "InnerProduct" bottom: "{quoted[3]}" top: "f{quoted[1]}"'
        " inner_product_param { num_output: 3 weight_filler { value: -0.1 } } }\n"
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
    texts = {"alt", "data-title", "aria-label", "data-key"}
    drawn = {"svg", "rect", "text", "path", "polygon"}  # a diagram has room for its names
    for (tag, attribute, value), (_, _, other) in zip(plain.values, hostile.values, strict=True):
        if attribute not in texts and tag not in drawn:
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
    assert "NaN or infinite 1" in words and "(2, 3, 4, 5, 6)" in words
    assert "12 of 12 slices shown" in words and "channels all zero 0 of 3" in words


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
    (fed,) = re.findall(r'<img class="pixels"[^>]* width="(\d+)" height="(\d+)">', page)
    assert fed == ("224", "224")  # eight times 28
    assert "channels in the order" not in page


def test_every_param_is_shown(tmp_path: Path, lenet: ls.Net) -> None:
    words = report_of(lenet, np.zeros((1, 28, 28), np.float32), tmp_path)
    for name, dims, shown in (
        ("c/0", "(20, 1, 5, 5)", "20 of 20 kernels shown, 5x5 each; param 1 of 2"),
        ("c/1", "(20,)", "20 of 20 values shown; param 2 of 2"),
        ("n/0", "(20,)", "20 of 20 values shown; param 1 of 3"),
        ("n/1", "(20,)", "20 of 20 values shown; param 2 of 3"),
        ("s/0", "(20,)", "20 of 20 values shown; param 1 of 2"),
        ("s/1", "(20,)", "20 of 20 values shown; param 2 of 2"),
        ("f/1", "(10,)", "10 of 10 values shown; param 2 of 2"),
    ):
        caption = f'<figcaption><b>{name}</b> {dims} <span class="dim">{shown}</span>'
        assert caption in words, name
    assert '<p>n/2 (1,): 1 <span class="dim">(param 3 of 3)</span></p>' in words
    numbers = {p["title"]: p["data"] for p in index_of(words)["panels"] if p["kind"] == "vector"}
    found = np.frombuffer(base64.b64decode(numbers["s/0 (20,)"]), "<f4")
    np.testing.assert_array_equal(found, np.ones(20))


def test_a_batch_is_described_by_the_image_that_is_shown(tmp_path: Path, lenet: ls.Net) -> None:
    batch = np.ones((3, 1, 28, 28), np.float32) * np.array([2, 50, -70])[:, None, None, None]
    page = report_of(lenet, batch, tmp_path)
    words = " ".join(Page(page.split('id="layer0"')[1].split('id="layer1"')[0]).words)
    assert "lowest 2 highest 2 mean 2 zeros none" in words and "image 1 of 3" in words
    assert "50" not in words and "-70" not in words
    assert "most likely (p), image 1 of 3" in page


def test_a_net_without_a_softmax_lists_its_largest_scores(tmp_path: Path, lenet: ls.Net) -> None:
    """By their labels, as numbers: they are no shares of a whole."""
    path = tmp_path / "scores.prototxt"
    path.write_text(LENET.replace('layer { name: "p" type: "Softmax" bottom: "f" top: "p" }', ""))
    net = ls.open(path).filled()
    blobs = net.run(np.random.default_rng(3).normal(size=(2, 1, 28, 28)).astype(np.float32))
    labels = [f"the digit {i}" for i in range(10)]
    page = ls.report(net, blobs, tmp_path / "s.html", labels=labels).read_text("utf-8")
    (table,) = re.findall(r'<table class="guesses">.*?</table>', page, re.DOTALL)
    found = re.findall(r"<tr>(.*?)</tr>", table)
    scores = sorted(((float(v), i) for i, v in enumerate(blobs["f"][0])), reverse=True)
    assert [Page(row).words for row in found] == [
        [f"{value:.4g}", f"the digit {i}"] for value, i in scores[:5]
    ]
    caption = "largest scores (f; the net ends without a softmax), image 1 of 2"
    assert (
        f"<caption>{caption}</caption>" in table and "%" not in table and "most likely" not in page
    )
    names = {p["title"]: p["names"] for p in index_of(page)["panels"] if p["kind"] == "vector"}
    assert names["f (2, 10)"] == labels and names["f/1 (10,)"] == []
    unit = ls.explain(net, blobs, "f:top1")
    assert f"the digit {scores[0][1]}" in unit.text(labels)


def test_costs_name_the_batch_of_the_file(tmp_path: Path, lenet: ls.Net, demo_page: str) -> None:
    page = report_of(lenet, np.zeros((1, 28, 28), np.float32), tmp_path)
    header = " ".join(page.split('<header class="top">')[1].split("</header>")[0].split())
    assert header.endswith("multiply-adds for a batch of 64</p>")
    assert "multiply-adds for a batch of 64</th>" in page
    assert "for a batch of" not in demo_page


@pytest.mark.parametrize(
    ("zeros", "words"),
    [(0, "zeros none"), (1, "zeros, without bar < 0.1 %"), (3, "zeros, without bar 0.1 %"),
     (1499, "zeros, without bar 50.0 %"), (2999, "zeros, without bar > 99.9 %"),
     (3000, "zeros, without bar 100.0 %")],
)  # fmt: skip
def test_a_few_zeros_are_not_none(tmp_path: Path, zeros: int, words: str) -> None:
    path = tmp_path / "x.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param {'
        " shape { dim: 1 dim: 3 dim: 40 dim: 25 } } }"
    )
    values = np.ones(3000, np.float32)
    values[:zeros] = 0
    page = report_of(ls.open(path), values.reshape(1, 3, 40, 25), tmp_path)
    assert f" {words} " in " ".join(Page(page).words)


def test_a_net_without_params_has_no_table_of_them(tmp_path: Path, lenet: ls.Net) -> None:
    path = tmp_path / "r.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 5 } } }\n'
        'layer { name: "r" type: "ReLU" bottom: "x" top: "r" }'
    )
    net = ls.open(path)
    for page in (report_of(net, np.ones((1, 5), np.float32), tmp_path), net._repr_html_()):
        assert "<caption>activations</caption>" in page and "<caption>params</caption>" not in page
    assert "<caption>params</caption>" in lenet._repr_html_()


def test_a_long_name_breaks_no_table(tmp_path: Path) -> None:
    path = tmp_path / "long.prototxt"
    path.write_text(
        f'layer {{ name: "{"x" * 400}" type: "Input" top: "{"y" * 400}"'
        " input_param { shape { dim: 1 dim: 5 } } }"
    )
    page = report_of(ls.open(path), np.ones(5, np.float32), tmp_path)
    assert f">{'y' * 59}…</td>" in page


def test_a_net_of_61_million_weights_makes_a_small_page(tmp_path: Path, caffenet: ls.Net) -> None:
    net = caffenet.reshaped(data=(1, 3, 227, 227)).filled()
    image = np.random.default_rng(0).integers(0, 256, (227, 227, 3)).astype(np.uint8)
    page = report_of(net, image, tmp_path)
    assert len(page) < 4_000_000
    tiles = [p["tiles"] for p in index_of(page)["panels"] if p["kind"] == "tiles"]
    shown = [t["count"] for t in tiles if t["unit"] == "channel"]
    assert shown[:4] == [3, 96, 96, 96] and sum(shown) == sum(
        blob.shape[1] for blob in net.blobs.values() if len(blob.shape) == 4
    )
    assert "1,365 of 1,048,576 kernels shown, 6x6 each" in page  # those of fc6
