"""What counts for a unit, in the report: words, pictures and numbers are those of `attribute`."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.errors import UnknownNameError, UsageError
from layerscope.measure.top import read_labels
from layerscope.show.attribution_picture import overlay, ramp_of

pytest_plugins = ["commandline"]

CAT = str(images()["cat"])
WAYS = ("gradcam", "inputxgradient")


@pytest.fixture(scope="module")
def net() -> ls.Net:
    return ls.open(DEFINITION, WEIGHTS)


@pytest.fixture(scope="module")
def page(net: ls.Net, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("counts") / "cat.html"
    ls.report(net, CAT, path, labels=read_labels(LABELS), attribute=WAYS, of="fc8:2")
    return path.read_text("utf-8")


def section(page: str) -> str:
    (found,) = re.findall(r'<section class="counts".*?</section>', page, re.DOTALL)
    return str(found)


def test_words_are_there_without_a_script(net: ls.Net, page: str) -> None:
    words = section(page)
    assert "<h2>What counts for fc8:2 = " in words and 'href="#counts"' in page
    for way in WAYS:
        found = ls.attribute(net, CAT, "fc8:2", way)
        assert f"<h3>{found.way} <small>{found.paper}</small>" in words
        assert all(note in words for note in found.notes)


def test_each_map_lies_over_the_image(net: ls.Net, page: str) -> None:
    sources = re.findall(r'<img class="pixels" src="data:image/png;base64,([^"]+)"', section(page))
    assert len(sources) == len(WAYS)
    for way, source in zip(WAYS, sources, strict=True):
        found = ls.attribute(net, CAT, "fc8:2", way)
        with Image.open(io.BytesIO(base64.b64decode(source))) as drawn:
            assert np.array_equal(np.asarray(drawn.convert("RGB")), overlay(found, ramp_of(found)))


def test_the_numbers_of_a_map_are_packed(net: ls.Net, page: str) -> None:
    from test_report import tiles_of  # the page's index, as its script reads it

    for way in WAYS:
        true = ls.attribute(net, CAT, "fc8:2", way)
        _, codes, (low, high) = tiles_of(page, f"{true.way}, the map {true.map.shape}")
        found = low + (codes[0, 0].astype(np.float64) - 1) / 254 * (high - low)
        assert np.abs(found - true.map).max() <= (high - low) / 508 * 1.01
    signed = [p["fixed"]["scale"] for p in _panels(page) if "fixed" in p]
    assert signed == ["all", "signed"]


def _panels(page: str) -> list[dict]:
    from test_report import index_of

    return index_of(page)["panels"]


def test_a_page_without_ways_has_no_such_section(net: ls.Net, tmp_path: Path) -> None:
    path = ls.report(net, CAT, tmp_path / "plain.html")
    assert "counts" not in re.sub(r"<style>.*?</style>|<script.*?</script>", "",
                                  path.read_text("utf-8"), flags=re.DOTALL)  # fmt: skip


def test_ready_attributions_go_with_the_blobs_of_a_run(net: ls.Net, tmp_path: Path) -> None:
    ready = ls.attribute(net, CAT, "conv3:5,6,6", "gradient")
    path = ls.report(net, net.run(CAT), tmp_path / "ready.html", attribute=[ready])
    assert "What counts for conv3:5,6,6 = " in section(path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"attribute": ["gradcan"]}, UnknownNameError, "gradcam"),
        ({"attribute": ["gradcam"], "of": "prob:99"}, UsageError, "prob:99"),
        ({"of": "prob:1"}, UsageError, "no way to say"),
    ],
)
def test_refusals_write_nothing(net: ls.Net, tmp_path: Path, given, kind, words: str) -> None:
    with pytest.raises(kind, match=words):
        ls.report(net, CAT, tmp_path / "no.html", **given)
    with pytest.raises(UsageError, match="give the image"):
        ls.report(net, net.run(CAT), tmp_path / "no.html", attribute=["gradcam"])
    assert not list(tmp_path.iterdir())


def test_the_command(run) -> None:
    files = (DEFINITION, WEIGHTS, CAT)
    found = run("report", *files, "--attribute", "gradcam,gradient", "-o", "cat.html")
    assert found.code == 0
    assert section(Path("cat.html").read_text("utf-8")).count("<h3>") == 2
    found = run("report", *files, "--of", "prob:1", "-o", "no.html")
    assert found.code == 2 and "--attribute gradcam" in found.err and not Path("no.html").exists()


def test_a_vector_input_has_its_numbers_as_bars(tmp_path: Path) -> None:
    """A net without an image: the map is a vector, which the page draws as one."""
    text = 'input: "x" input_shape { dim: 1 dim: 5 } layer { name: "ip" type: "InnerProduct"'
    text += ' bottom: "x" top: "ip" inner_product_param { num_output: 3 weight_filler'
    text += ' { type: "gaussian" std: 1 } } }'
    file = tmp_path / "net.prototxt"
    file.write_text(text)
    small = ls.open(file).filled()
    fed = {"x": np.arange(5, dtype=np.float32)[None]}
    path = ls.report(small, fed, tmp_path / "x.html", attribute=["gradient"], of="ip:1")
    words = path.read_text("utf-8")
    assert "What counts for ip:1" in words
    true = np.abs(small.params["ip"][0].data[1])
    titles = {p["title"]: p for p in _panels(words) if p["kind"] == "vector"}
    numbers = np.frombuffer(base64.b64decode(titles["Gradient, the map (5,)"]["data"]), "<f4")
    assert np.allclose(numbers, true) or np.allclose(numbers, small.params["ip"][0].data[1])
