"""What goes into both nets is what was given, in the type that each input takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import layerscope as ls

INT64, DOUBLE, UINT8 = TensorProto.INT64, TensorProto.DOUBLE, TensorProto.UINT8


def net(
    folder: Path, element: int, dims: tuple[int, ...], *nodes: object, **tensors: object
) -> ls.Net:
    """A net of one input x and nodes, the last of which writes y."""
    graph = helper.make_graph(
        list(nodes),
        "little",
        [helper.make_tensor_value_info("x", element, dims)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in tensors.items()],
    )
    path = folder / f"net{len(list(folder.iterdir()))}.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return ls.open(path)


def test_whole_numbers_beyond_those_of_float32(tmp_path: Path) -> None:
    """Numbers of a table of more than 2^24 rows: the odd ones are no float32."""
    given = np.array([[2**24 + 1, 2**40 + 1, 3]])
    a = net(tmp_path, INT64, (1, 3), helper.make_node("Mod", ["x", "two"], ["y"]), two=2)
    b = net(tmp_path, INT64, (1, 3), helper.make_node("Mul", ["x", "zero"], ["y"]), zero=0)
    rows = ls.compare(a, b, given, match={"y": "y"}).rows
    assert rows[0].worst.peak == 2**40 + 1
    assert rows[1].worst.mean == 1.0  # all three are odd


def test_doubles_stay_doubles(tmp_path: Path) -> None:
    given = np.array([[1 + 1e-9, 1.0, 2.0]])
    a = net(tmp_path, DOUBLE, (1, 3), helper.make_node("Sub", ["x", "k"], ["y"]), k=1.0)
    b = net(tmp_path, DOUBLE, (1, 3), helper.make_node("Sub", ["x", "k"], ["y"]), k=1 + 3e-9)
    row = ls.compare(a, b, given).rows[-1]
    assert row.worst.at_a == pytest.approx(1e-9, rel=1e-6)
    assert row.worst.at_b == pytest.approx(-2e-9, rel=1e-6)


def test_an_image_for_an_input_of_bytes(tmp_path: Path) -> None:
    """Pixels minus a mean that is no whole number are rounded and kept within the bytes."""
    image = tmp_path / "image.png"
    Image.fromarray(np.full((4, 4, 3), (5, 100, 200), np.uint8)).save(image)
    cast = helper.make_node("Cast", ["x"], ["y"], to=1)
    a = net(tmp_path, UINT8, (1, 3, 4, 4), cast)
    a = replace(a, preprocessing=replace(a.preprocessing, mean=(10.4, 10.4, 10.4)))
    found = ls.compare(a, a, [image], inputs_b=[image])
    assert found.rows[0].worst.peak == 190.0  # 200 - 10.4, rounded
    assert found.first is None


def test_inputs_by_name_reach_those_that_b_calls_otherwise(tmp_path: Path) -> None:
    """As a converter that numbers the inputs leaves them; by a mapping, and by a file of arrays."""
    nets = []
    for names in (("left", "right"), ("input.1", "input.2")):
        graph = helper.make_graph(
            [helper.make_node("Sub", names, ["y"])],
            "little",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in names],
            [helper.make_empty_tensor_value_info("y")],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        (tmp_path / f"{names[0]}.onnx").write_bytes(made.SerializeToString())
        nets.append(ls.open(tmp_path / f"{names[0]}.onnx"))
    given = {"right": np.array([[1, 2, 3]], "f"), "left": np.array([[10, 20, 40]], "f")}
    np.savez(tmp_path / "given.npz", **given)
    for inputs in (given, tmp_path / "given.npz"):
        found = ls.compare(*nets, inputs)
        assert [(row.a, row.b, row.worst.equal, row.worst.peak) for row in found.rows] == [
            ("left", "input.1", True, 40), ("right", "input.2", True, 3), ("y", "y", True, 37),
        ]  # fmt: skip


def test_nets_that_take_no_input(tmp_path: Path) -> None:
    nets = []
    for last in (5, 6):
        graph = helper.make_graph(
            [helper.make_node("Range", ["zero", "last", "one"], ["y"])],
            "little",
            [],
            [helper.make_empty_tensor_value_info("y")],
            [
                numpy_helper.from_array(np.asarray(number, np.float32), name)
                for name, number in (("zero", 0), ("one", last - 4), ("last", 5 * (last - 4)))
            ],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        (tmp_path / f"{last}.onnx").write_bytes(made.SerializeToString())
        nets.append(ls.open(tmp_path / f"{last}.onnx"))
    (row,) = ls.compare(*nets, {}).rows
    assert (row.worst.absolute, row.worst.at_a, row.worst.at_b) == (4.0, 4.0, 8.0)
