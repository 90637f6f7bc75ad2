"""The two tables of CaffeNet at batch 50, as the classic walk through Caffe prints them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.cli import run
from layerscope.show.notebook import net_html
from layerscope.show.table import tables
from layerscope.show.terminal import tables_text

ACTIVATIONS = """
data (50, 3, 227, 227)
conv1 (50, 96, 55, 55)
pool1 (50, 96, 27, 27)
norm1 (50, 96, 27, 27)
conv2 (50, 256, 27, 27)
pool2 (50, 256, 13, 13)
norm2 (50, 256, 13, 13)
conv3 (50, 384, 13, 13)
conv4 (50, 384, 13, 13)
conv5 (50, 256, 13, 13)
pool5 (50, 256, 6, 6)
fc6 (50, 4096)
fc7 (50, 4096)
fc8 (50, 1000)
prob (50, 1000)
"""
PARAMS = """
conv1 (96, 3, 11, 11) (96,)
conv2 (256, 48, 5, 5) (256,)
conv3 (384, 256, 3, 3) (384,)
conv4 (384, 192, 3, 3) (384,)
conv5 (256, 192, 3, 3) (256,)
fc6 (4096, 9216) (4096,)
fc7 (4096, 4096) (4096,)
fc8 (1000, 4096) (1000,)
"""
# conv1 .. conv5, fc6 .. fc8: outputs x inputs weighed for each, for 50 images.
MULTIPLY_ADDS = [
    50 * 55 * 55 * 96 * 363, 50 * 27 * 27 * 256 * 1200, 50 * 169 * 384 * 2304,
    50 * 169 * 384 * 1728, 50 * 169 * 256 * 1728, 50 * 4096 * 9216, 50 * 4096 * 4096,
    50 * 1000 * 4096,
]  # fmt: skip


def test_activation_shapes(caffenet: ls.Net) -> None:
    found = [f"{row.blob} {row.shape}" for row in tables(caffenet).activations]
    assert found == ACTIVATIONS.split("\n")[1:-1]


def test_param_shapes_and_cost(caffenet: ls.Net) -> None:
    rows = tables(caffenet).params
    assert [f"{r.layer} {r.shapes[0]} {r.shapes[1]}" for r in rows] == PARAMS.split("\n")[1:-1]
    assert [row.multiply_adds for row in rows] == MULTIPLY_ADDS
    totals = tables(caffenet).totals
    assert totals.weights == sum(row.weights for row in rows) == 60_965_224
    assert totals.weight_bytes == 4 * 60_965_224
    assert totals.multiply_adds == sum(MULTIPLY_ADDS)
    assert totals.activation_bytes == sum(
        4 * int(np.prod(row.shape)) for row in tables(caffenet).activations
    )


def test_text_has_every_line(caffenet: ls.Net) -> None:
    lines = [" ".join(line.split()) for line in tables_text(tables(caffenet)).splitlines()]
    for wanted in ACTIVATIONS.split("\n")[1:-1]:
        assert wanted in lines
    for wanted in PARAMS.split("\n")[1:-1]:
        assert any(line.startswith(wanted) for line in lines), wanted
    assert "conv1@conv1" in lines[18]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shapes", "tests/nets/caffenet.prototxt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["activations"][1] == {
        "blob": "conv1", "shape": [50, 96, 55, 55], "layer": "relu1", "type": "ReLU",
        "bytes": 4 * 50 * 96 * 55 * 55, "before": ["conv1@conv1"],
        "types": ["Convolution", "ReLU"],
    }  # fmt: skip
    assert found["params"][1]["shapes"] == [[256, 48, 5, 5], [256]]
    assert found["params"][1]["loaded"] is False
    assert found["totals"]["weights"] == 60_965_224
    assert found["batch"] == 50


def test_types_are_those_of_all_writers(caffenet: ls.Net) -> None:
    rows = {row.blob: row for row in tables(caffenet).activations}
    assert rows["conv1"].types == ("Convolution", "ReLU")
    assert rows["fc6"].types == ("InnerProduct", "ReLU", "Dropout")
    assert rows["fc6"].before == ("fc6@fc6", "fc6@relu6")
    assert rows["fc6"].type == "Dropout"
    assert rows["pool1"].types == ("Pooling",)
    assert "<td>InnerProduct, ReLU, Dropout</td>" in bare(net_html(caffenet))


def net_of(folder: Path, text: str) -> ls.Net:
    path = folder / "net.prototxt"
    path.write_text(text)
    return ls.open(path)


DATA = 'layer { name: "d" type: "Input" top: "d" input_param { shape { %s } } }\n'


def test_values_belong_to_the_blob_that_was_written(tmp_path: Path) -> None:
    """The name of a blob may begin like another one with its layer behind."""
    net = net_of(
        tmp_path,
        DATA % "dim: 1 dim: 4"
        + """
        layer { name: "r" type: "ReLU" bottom: "d" top: "a" }
        layer { name: "b" type: "Power" bottom: "d" top: "a@r" }
        layer { name: "r" type: "TanH" bottom: "a@r" top: "a@r" }
        layer { name: "r@r" type: "Sigmoid" bottom: "a@r" top: "a@r" }
        """,
    )
    assert {name: blob.base for name, blob in net.blobs.items()} == {
        "d": "d", "a": "a", "a@r@b": "a@r", "a@r@r": "a@r", "a@r": "a@r",
    }  # fmt: skip
    rows = {row.blob: row for row in tables(net).activations}
    assert rows["a"].before == ()
    assert rows["a@r"].before == ("a@r@b", "a@r@r")
    assert rows["a@r"].types == ("Power", "TanH", "Sigmoid")


@pytest.mark.parametrize(
    ("dims", "batch", "words"),
    [
        ("dim: 10 dim: 6", 10, " for a batch of 10"),
        ("dim: 1 dim: 6", 1, ""),
        ("dim: 1200 dim: 6", 1200, " for a batch of 1,200"),
    ],
)
def test_costs_say_the_batch(tmp_path: Path, dims: str, batch: int, words: str) -> None:
    fc = (
        'layer { name: "f" type: "InnerProduct" bottom: "d" top: "f"'
        " inner_product_param { num_output: 5 } }"
    )
    net = net_of(tmp_path, DATA % dims + fc)
    found = tables(net)
    assert found.as_json()["batch"] == found.batch == batch
    text, page = tables_text(found), net_html(net)
    assert text.count("for a batch of") == page.count("for a batch of") == (2 if words else 0)
    assert f"of activations{words}" in text
    assert page.count(f"multiply-adds{words}<") == 2


def test_a_net_whose_input_has_no_axis(tmp_path: Path) -> None:
    made = 'layer { name: "d" type: "DummyData" top: "d" dummy_data_param { shape { dim: 7 } } }'
    found = tables(net_of(tmp_path, made))
    assert found.batch is None
    assert found.for_batch == ""


def test_rows_of_shared_params_say_so_and_totals_count_them_once(tmp_path: Path) -> None:
    fc = (
        'layer { name: "%s" type: "InnerProduct" bottom: "%s" top: "%s"'
        ' inner_product_param { num_output: 6 } param { name: "w" } %s }\n'
    )
    net = net_of(
        tmp_path,
        DATA % "dim: 1 dim: 6"
        + fc % ("a", "d", "a", 'param { name: "b" }')
        + fc % ("b", "a", "b", 'param { name: "b" }')
        + fc % ("c", "b", "c", ""),
    )
    found = tables(net)
    a, b, c = found.params
    assert (a.shared_with, b.shared_with) == (("", ""), ("a/0", "a/1"))
    assert (a.sharing, b.sharing) == ("", "shared with a/0, a/1")
    assert (c.shared_with, c.sharing) == (("a/0", ""), "in part shared with a/0")
    assert (a.weights, b.weights, c.weights) == (42, 42, 42)
    assert found.totals.weights == 42 + 6
    lines = tables_text(found).splitlines()
    assert sum(line.endswith("  shared with a/0, a/1") for line in lines) == 1
    assert "42 (in part shared with a/0)" in net_html(net)


def test_html_tables_scroll_and_break_no_number(caffenet: ls.Net) -> None:
    page = net_html(caffenet)
    assert page.count('style="overflow-x:auto;max-width:100%"><table>') == 2
    assert '<td style="white-space:nowrap;text-align:right">37,752,832</td>' in page
    for cell in re.findall(r"<t[hd]\b[^>]*>", page):
        assert "white-space:nowrap" in cell


def bare(page: str) -> str:
    return re.sub(r' style="[^"]*"', "", page)
