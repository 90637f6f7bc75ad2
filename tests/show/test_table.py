"""The two tables of CaffeNet at batch 50, as the classic walk through Caffe prints them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.cli import run
from layerscope.measure.soundness import _faults
from layerscope.readers.caffe.write import write_caffemodel
from layerscope.show.notebook import net_html
from layerscope.show.table import field_words, tables
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
        assert any(line.startswith(wanted) for line in lines), wanted
    for wanted in PARAMS.split("\n")[1:-1]:
        assert any(line.startswith(wanted) for line in lines), wanted
    assert "conv1@conv1" in lines[19]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shapes", "tests/nets/caffenet.prototxt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["activations"][1] == {
        "blob": "conv1", "shape": [50, 96, 55, 55], "layer": "relu1", "type": "ReLU",
        "bytes": 4 * 50 * 96 * 55 * 55, "before": ["conv1@conv1"],
        "types": ["Convolution", "ReLU"],
        "field": {"input": "data", "status": "exact", "axes": 2 * [
            {"size": 11, "stride": 4, "start": 5.0, "first": 0}]},
    }  # fmt: skip
    assert found["layers"][1] == {
        "layer": "conv1", "type": "Convolution", "bottoms": ["data"], "tops": ["conv1@conv1"],
        "multiply_adds": MULTIPLY_ADDS[0], "weights": 34944,
        "activation_bytes": 4 * 50 * 96 * 55 * 55,
    }  # fmt: skip
    assert len(found["layers"]) == 24
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


def test_fields_in_words(tmp_path: Path) -> None:
    conv = (
        'layer { name: "c" type: "Convolution" bottom: "d" top: "c" convolution_param {'
        " num_output: 2 kernel_h: 3 kernel_w: 5 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0 } }\n"
        'layer { name: "g" type: "Pooling" bottom: "c" top: "g"'
        " pooling_param { pool: AVE global_pooling: true } }\n"
        'layer { name: "f" type: "Flatten" bottom: "c" top: "f" }\n'
        'layer { name: "u" type: "Deconvolution" bottom: "d" top: "u"'
        " convolution_param { num_output: 1 kernel_size: 4 stride: 4 } }\n"
        'layer { name: "k" type: "Filter" bottom: "d" bottom: "s" top: "k" }\n'
    )
    selector = 'layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 3 } } }\n'
    net = net_of(tmp_path, DATA % "dim: 3 dim: 2 dim: 9 dim: 8" + selector + conv)
    words = {row.blob: field_words(row.field) for row in tables(net).activations}
    assert words == {
        "d": ("1x1", "1", "0"),
        "s": ("-", "", ""),
        "c": ("3x5", "2x1", "0,2"),
        "g": ("all", "", ""),
        "f": ("varies", "", ""),
        "u": ("1x1", "1/4", "-0.375"),
        "k": ("<=all", "", ""),
    }
    lines = [" ".join(line.split()) for line in tables_text(tables(net)).splitlines()]
    assert "c (3, 2, 5, 4) 480 B 3x5 2x1 0,2" in lines
    assert "blob shape memory field stride start" in lines
    rows = {row["blob"]: row for row in tables(net).as_json()["activations"]}
    assert rows["u"]["field"]["axes"][0] == {"size": 1, "stride": 0.25, "start": -0.375, "first": 0}
    assert rows["f"]["field"]["axes"] == [None, None]
    assert "<td>3x5</td><td>2x1</td><td>0,2</td>" in bare(net_html(net))


def test_lines_stay_within_a_hundred_columns(caffenet: ls.Net) -> None:
    assert max(map(len, tables_text(tables(caffenet)).splitlines())) <= 100


def weights_with_faults(folder: Path) -> tuple[str, str]:
    text = (
        DATA % "dim: 1 dim: 6" + 'layer { name: "a" type: "InnerProduct" bottom: "d" top: "a"'
        " inner_product_param { num_output: 4 } }\n"
        'layer { name: "b" type: "InnerProduct" bottom: "a" top: "b"'
        " inner_product_param { num_output: 2 bias_term: false } }\n"
    )
    (folder / "n.prototxt").write_text(text)
    matrix = np.zeros((4, 6), np.float32)
    matrix[1, 2:5] = np.nan
    matrix[3, 0], matrix[3, 1] = np.inf, -np.inf
    layers = [("a", "", [matrix, np.ones(4)]), ("b", "", [np.ones((2, 4))])]
    write_caffemodel(folder / "n.caffemodel", "", layers)
    return str(folder / "n.prototxt"), str(folder / "n.caffemodel")


def test_check_counts_what_is_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = weights_with_faults(tmp_path)
    assert run(["shapes", *files, "--check"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        'note: layer "a", param a/0: of 24 weights, 3 NaN and 2 infinite',
        "note: 36 weights checked, NaN or infinite: in 1 of 3 params",
    ]
    assert run(["shapes", *files, "--check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["check"]
    assert found[0] == {"layer": "a", "param": "a/0", "weights": 24, "nan": 3, "infinite": 2}
    assert [each["nan"] + each["infinite"] for each in found] == [5, 0, 0]
    assert run(["shapes", *files]) == 0
    assert "check" not in capsys.readouterr().err
    assert run(["shapes", files[0], "--check"]) == 0
    assert "0 weights checked, NaN or infinite: none; 2 layers without weights" in (
        capsys.readouterr().err
    )


def test_check_looks_at_every_piece_of_a_large_param() -> None:
    array = np.zeros(3 * 2**18 + 7, np.float32)
    assert _faults(array) == (0, 0)
    array[[0, 2**18, -1]] = np.nan
    array[2**18 - 1] = np.inf
    assert _faults(array) == (3, 1)


def test_memory_is_counted_in_the_types_of_the_file(tmp_path: Path) -> None:
    """float16, bfloat16, int8 and 4 bits: against bytes by hand."""
    import ml_dtypes
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"h": (np.float16, (3, 5)), "b": (ml_dtypes.bfloat16, (7,)), "q": (np.int8, (11, 2)),
             "i": (ml_dtypes.int4, (3, 3)), "f": (np.float32, (13,))}  # fmt: skip
    tops = [f"to_{name}" for name in kinds]
    elements = {"h": TensorProto.FLOAT16, "i": TensorProto.INT8}
    nodes = [
        node
        for name in kinds
        for node in (
            helper.make_node("Cast", [name], [f"wide_{name}"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["x", f"wide_{name}"], [f"m_{name}"], name=f"m_{name}"),
            helper.make_node(
                "Cast", [f"m_{name}"], [f"to_{name}"], to=elements.get(name, TensorProto.FLOAT)
            ),
        )
    ]
    graph = helper.make_graph(
        nodes, "kinds", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_empty_tensor_value_info(top) for top in tops],
        [numpy_helper.from_array(np.ones(dims, kind), name)
         for name, (kind, dims) in kinds.items()],
    )  # fmt: skip
    path = tmp_path / "kinds.onnx"
    imports = [helper.make_opsetid("", 21)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString()
    )
    found = tables(ls.open(path))
    params = {row.layer: row.bytes for row in found.params}
    assert params == {"m_h": 30, "m_b": 14, "m_q": 22, "m_i": 5, "m_f": 52}  # 9 of 4 bits: 36
    assert found.totals.weight_bytes == 30 + 14 + 22 + 5 + 52
    activations = {row.blob: row.bytes for row in found.activations}
    assert activations["m_h"] == 60 and activations["to_h"] == 30 and activations["to_i"] == 9
    costs = {row.layer: row.activation_bytes for row in found.layers}
    assert costs["to_h"] == 30
