"""The page of a comparison: what is packed is what was compared, and words come first."""

from __future__ import annotations

import json
import re
import struct
import zlib
from base64 import b64decode
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.comparison.result import Comparison
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.readers.caffe.write import write_caffemodel


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> tuple[ls.Net, ls.Net]:
    """The demo net, and one whose conv2 has its third filter doubled."""
    net = ls.open(DEFINITION, WEIGHTS)
    rows = []
    for layer in net.layers:
        arrays = [np.array(param.data) for param in layer.params]
        if layer.name == "conv2":
            arrays[0][2] *= 2
        if arrays:
            rows.append((layer.name, layer.type, arrays))
    path = tmp_path_factory.mktemp("nets") / "b.caffemodel"
    write_caffemodel(path, "demo", rows)
    return net, ls.open(DEFINITION, path)


@pytest.fixture(scope="module")
def found(nets: tuple[ls.Net, ls.Net]) -> Comparison:
    return ls.compare(*nets, images()["cat"])


@pytest.fixture(scope="module")
def page(found: Comparison, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert found.report(path) == path
    return path.read_text()


def panels(page: str) -> list[dict]:
    index = re.search(r'id="index">(.*?)</script>', page)
    assert index
    return json.loads(index[1])["panels"]


def unpacked(page: str, tiles: dict) -> np.ndarray:
    """The values of a stack of tiles, decoded by the format's own description."""
    data = re.search(f'id="{tiles["data"]}">(.*?)</script>', page)
    assert data
    raw = zlib.decompress(b64decode(data[1]))
    count = tiles["count"]
    ends = 1 if tiles["shared"] else count
    numbers = struct.unpack(f"<{2 * ends}f", raw[: 8 * ends])
    low, high = np.array(numbers[:ends]), np.array(numbers[ends:])
    codes = np.frombuffer(raw[8 * ends :], np.uint8).reshape(count, -1).astype(float)
    values = low[:, None] + (codes - 1) / 254 * (high - low)[:, None]
    return values.reshape(count, tiles["height"], tiles["width"])


def test_every_row_has_a_b_and_the_difference(
    page: str, found: Comparison, nets: tuple[ls.Net, ls.Net]
) -> None:
    drawn = panels(page)
    assert len(drawn) == 3 * len(found.rows)
    one, other = (net.run(images()["cat"]) for net in nets)
    for place, row in enumerate(found.rows):
        trio = drawn[3 * place : 3 * place + 3]
        assert [panel["group"] for panel in trio] == [place] * 3
        assert trio[2]["fixed"] == {"scale": "signed", "color": "diverging"}
        a, b = one[row.a][0], other[row.b][0]
        for panel, values in zip(trio, (a, b, a - b), strict=True):
            if panel["kind"] == "vector":
                raw = np.frombuffer(b64decode(panel["data"]), "<f4")
                np.testing.assert_allclose(raw, values.ravel(), rtol=1e-6)
                continue
            tiles = panel["tiles"]
            assert tiles["count"] == len(values), row.a
            step = (
                np.ptp(values, axis=(1, 2), keepdims=True)
                if not tiles["shared"]
                else np.ptp(values)
            )
            error = np.abs(unpacked(page, tiles) - values)
            assert (error <= 0.51 * step / 254 + 1e-6).all(), row.a
        if trio[0]["kind"] == "tiles":  # A and B on one scale
            low, high = min(a.min(), b.min()), max(a.max(), b.max())
            for panel in trio[:2]:
                assert panel["tiles"]["low"] == pytest.approx(low, rel=1e-6)
                assert panel["tiles"]["high"] == pytest.approx(high, rel=1e-6)
        else:
            assert trio[0]["range"] == trio[1]["range"]


def test_words_and_links(page: str, found: Comparison) -> None:
    head = re.search("<h1>(.*?)</h1>", page)
    assert head and re.sub("<.*?>", "", head[1]) == "conv2@conv2 differs first"
    ids = set(re.findall(r'id="([a-z0-9]+)"', page))
    links = re.findall(r'href="#([a-z0-9]+)"', page)
    assert set(links) <= ids and {f"row{i}" for i in range(len(found.rows))} <= set(links)
    assert page.count("differs first</b>") == 1
    words = unescape(re.sub("<.*?>", " ", page[: page.index('id="index"')]))
    for row in found.rows:
        assert f"{row.worst.relative:.3g}" in words
    assert "24 of 24 blobs aligned" in words and "prepares an image as" in words
    # Only the third channel differs before the next layers mix it.
    assert "largest at (0, 2, " in " ".join(words.split())


def test_nothing_is_asked_of_the_network_and_names_are_escaped(
    nets: tuple[ls.Net, ls.Net], tmp_path: Path
) -> None:
    text = DEFINITION.read_text().replace('"fc8"', '"<img src=x onerror=alert(1)>"')
    path = tmp_path / "hostile.prototxt"
    path.write_text(text)
    other = ls.open(path).filled()
    found = ls.compare(nets[0], other, images()["cat"])
    page = found.report(tmp_path / "page.html").read_text()
    assert "<img src=x" not in page and "onerror=alert(1)&gt;" in page
    policy = re.search('Content-Security-Policy" content="(.*?)"', page)
    assert policy and "default-src 'none'" in policy[1] and "unsafe" not in policy[1]
    assert not re.search(r'(src|href)="(?!#|data:image/png)', page)


def test_weights_nan_and_several_inputs(nets: tuple[ls.Net, ls.Net], tmp_path: Path) -> None:
    weights = ls.compare(*nets, weights=True)
    page = weights.report(tmp_path / "weights.html").read_text()
    assert "conv2/0</a> differs first" in page and "All params" in page
    assert len(panels(page)) == 3 * (len(weights.rows) - 1)
    scales = {
        p["tiles"]["scale"] for p in panels(page) if p["kind"] == "tiles" and "fixed" not in p
    }
    assert scales == {"all"}  # of A and B alike, so that equal weights look equal
    assert "80x2304 is too wide to be drawn" in page  # fc6/0, and the page says so
    several = ls.compare(*nets, [images()["cat"], images()["rocket"]])
    page = several.report(tmp_path / "several.html").read_text()
    first = several.first
    assert first is not None
    assert f"number {first.input + 1} of 2" in page
    broken = np.full((1, 3, 227, 227), np.nan, np.float32)
    lost = ls.compare(*nets, images()["cat"], inputs_b=broken)
    page = lost.report(tmp_path / "lost.html").read_text()
    assert "NaN: 0 in A, 154,587 in B" in page
    same = ls.compare(nets[0], nets[0], images()["cat"])
    assert "Equal: all 24 blobs" in same.report(tmp_path / "same.html").read_text()


def test_progress_ends(found: Comparison, tmp_path: Path) -> None:
    from layerscope.show.comparison import report

    steps: list[tuple[int, int, str]] = []
    report(found, tmp_path / "p.html", progress=lambda *step: steps.append(step))
    assert steps[0] == (0, 24, "data") and steps[-1] == (24, 24, "")
