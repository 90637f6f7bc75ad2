"""The words of a comparison: rows that can be told apart, and no "equal" where NaN stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls
from layerscope import cli
from layerscope.show.differences import row_name

FLOAT = TensorProto.FLOAT
NAMES = ("features.stage3.block1.conv1", "features.stage3.block1.conv2")


def net(folder: Path, data: str, names: tuple[str, str], offset: float) -> ls.Net:
    """Two additions: of 1, and of `offset` to the second number only."""
    graph = helper.make_graph(
        [helper.make_node("Add", [data, "one"], [names[0]]),
         helper.make_node("Mul", [names[0], "k"], [names[1]])],
        "little",
        [helper.make_tensor_value_info(data, FLOAT, (1, 2))],
        [helper.make_empty_tensor_value_info(names[1])],
        [numpy_helper.from_array(np.ones(2, np.float32), "one"),
         numpy_helper.from_array(np.array([1, offset], np.float32), "k")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = folder / f"{data}{offset}.onnx"
    path.write_bytes(made.SerializeToString())
    return ls.open(path)


def test_rows_of_long_names_can_be_told_apart(tmp_path: Path) -> None:
    a = net(tmp_path, "x", NAMES, 1)
    b = net(tmp_path, "input.1", ("/features/stage3/conv_1", "/features/stage3/conv_2"), 1)
    found = ls.compare(a, b, np.ones((1, 2), np.float32))
    names = [row_name(row) for row in found.rows]
    assert names[1:] == ["…age3.block1.conv1 = /features/…", "…age3.block1.conv2 = /features/…"]
    assert all(name in str(found) for name in names)


def test_what_both_are_fed_alike_is_said_once(tmp_path: Path) -> None:
    a, b = net(tmp_path, "x", NAMES, 1), net(tmp_path, "input.1", NAMES, 1)
    words = str(ls.compare(a, b, np.ones((1, 2), np.float32)))
    assert "input array 1: x in A, input.1 in B: array (1, 2), fed as it is\n" in words


@pytest.mark.parametrize("offset", [np.nan, np.inf])
def test_what_is_not_finite_is_not_called_equal(offset: float, tmp_path: Path) -> None:
    a, b = net(tmp_path, "x", NAMES, 1), net(tmp_path, "x", NAMES, offset)
    found = ls.compare(a, b, np.ones((1, 2), np.float32))
    line = next(each for each in str(found).splitlines() if each.startswith(">"))
    assert line.split()[-7:] == ["1x2", "-", "-", "-", "-", "-", "-"]
    page = found.report(tmp_path / "page.html").read_text(encoding="utf-8")
    last = page[page.index('<a class="beyond" href="#row2"') :]
    assert last[: last.index("</li>")].endswith("<small>-</small></a>")
    assert "at 1 place, -" in page


def counting(folder: Path, above: float) -> ls.Net:
    """A net that gives the numbers above a limit: how many depends on them."""
    graph = helper.make_graph(
        [helper.make_node("Greater", ["x", "k"], ["which"]),
         helper.make_node("Compress", ["x", "which"], ["kept"])],
        "little",
        [helper.make_tensor_value_info("x", FLOAT, (4,))],
        [helper.make_empty_tensor_value_info("kept")],
        [numpy_helper.from_array(np.float32(above), "k")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = folder / f"above{above}.onnx"
    path.write_bytes(made.SerializeToString())
    return ls.open(path)


def test_results_of_other_sizes_differ(tmp_path: Path) -> None:
    """Within the limit are the rows that could be held; the pair that could not is no pass."""
    a, b = counting(tmp_path, 1.5), counting(tmp_path, 2.5)
    given = np.array([1, 2, 3, 4], np.float32)
    found = ls.compare(a, b, given, match={"kept": "kept"}, threshold=1)
    assert found.first is None
    assert found.differs and found.as_json()["differs"]
    assert "1 aligned blob could not be held, the shapes differ: kept: (3,) in A, (2,) in B" in str(
        found
    )
    np.save(tmp_path / "x.npy", given)
    files = [str(tmp_path / f"above{above}.onnx") for above in (1.5, 2.5)]
    words = ["compare", *files, "--input", str(tmp_path / "x.npy"), "--map", "kept=kept"]
    assert cli.run([*words, "--fail-above", "1"]) == 1
    assert cli.run(words) == 0
