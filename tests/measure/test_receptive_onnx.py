"""What a unit sees through ops that only ONNX files have: held against runs with changed numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls
from layerscope.measure.receptive import receptive_box
from layerscope.measure.strides import Extent, receptive_fields

MICROSOFT = "com.microsoft"
RANDOM = np.random.default_rng(21)


def n(kind: str, inputs: str, top: str, domain: str = "", **settings: Any) -> Any:
    return helper.make_node(
        kind, inputs.split(), top.split(), name=top.split()[0], domain=domain, **settings
    )


def weights(*dims: int) -> np.ndarray:
    return RANDOM.uniform(0.5, 1.5, dims).astype(np.float32)


def codes(*dims: int) -> np.ndarray:
    return RANDOM.integers(1, 3, dims).astype(np.uint8)


CODED = {"s": np.float32(0.02), "t": np.float32(0.5), "o": np.float32(1), "z": np.uint8(0)}

NETS: dict[str, tuple[tuple[int, ...], list[Any], dict[str, Any]]] = {
    "channels last": ((1, 3, 8, 9), [
        n("Conv", "x w", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        n("Transpose", "c", "p", perm=[0, 2, 3, 1]),
        n("LayerNormalization", "p g b", "l", axis=-1),
        n("MatMul", "l m", "f"), n("Gelu", "f", "u"), n("Transpose", "u", "q", perm=[0, 3, 1, 2]),
        n("Conv", "q v", "d", pads=[1, 0, 1, 0], group=2),
    ], {"w": weights(4, 3, 3, 2), "g": weights(4), "b": weights(4), "m": weights(4, 6),
        "v": weights(2, 3, 3, 1)}),
    "norms of groups": ((1, 6, 3, 4), [
        n("GroupNormalization", "x g g", "l", num_groups=3),
        n("Shrink", "x", "h", lambd=0.1), n("Softsign", "h", "y"),
    ], {"g": weights(6)}),
    "codes": ((1, 3, 7, 6), [
        n("QuantizeLinear", "x s z", "q"),
        n("QLinearConv", "q s z w o z t z", "c", strides=[2, 1], pads=[1, 0, 1, 2]),
        n("QLinearAveragePool", "c t z t z", "a", MICROSOFT, kernel_shape=[2, 2]),
        n("QLinearAdd", "c t z c t z o z", "e", MICROSOFT),
        n("DequantizeLinear", "a t z", "d"),
    ], {"w": codes(4, 3, 3, 2), **CODED}),
    "codes of small maps": ((1, 3, 2, 2), [
        n("QuantizeLinear", "x s z", "q"),
        n("QLinearGlobalAveragePool", "q s z s z", "a", MICROSOFT),
        n("QLinearSigmoid", "q s z s z", "i", MICROSOFT),
        n("DequantizeLinear", "i s z", "d"),
    ], CODED),
    "codes side by side": ((1, 2, 5), [
        n("QuantizeLinear", "x s z", "q"),
        n("QLinearMatMul", "q s z w o z t z", "m"),
        n("QLinearConcat", "t z m t z m t z", "k", MICROSOFT, axis=1),
        n("MatMulInteger", "q w", "i"), n("Cast", "i", "f", to=TensorProto.FLOAT),
    ], {"w": codes(5, 3), **CODED}),
    "whole numbers": ((1, 2, 6, 5), [
        n("QuantizeLinear", "x s z", "q"), n("ConvInteger", "q w", "c", dilations=[2, 1]),
        n("Cast", "c", "f", to=TensorProto.FLOAT), n("DequantizeLinear", "q s z", "d"),
        n("QuickGelu", "d", "g", MICROSOFT),
    ], {"w": codes(3, 2, 2, 2), **CODED}),
    "sizes that are computed": ((1, 6, 5, 4), [
        n("Shape", "x", "size"), n("Gather", "size one", "c", axis=0), n("Div", "c two", "half"),
        n("Slice", "x zero half one", "low"), n("Slice", "x half c one", "high"),
        n("Conv", "high w", "v", pads=[1, 0, 1, 0]), n("Mul", "low low", "y"),
        n("Concat", "nil minus", "rows", axis=0), n("Reshape", "v rows", "flat"),
    ], {"w": weights(2, 3, 3, 1), "zero": np.int64([0]), "one": np.int64([1]),
        "two": np.int64([2]), "nil": np.int64([0]), "minus": np.int64([-1])}),
}  # fmt: skip


BY_THE_LARGEST = (
    (1, 2, 5),
    [n("DynamicQuantizeLinear", "x", "q f k"), n("MatMulInteger", "q w k", "i"),
     n("Cast", "i", "g", to=TensorProto.FLOAT), n("Mul", "g f", "y")],
    {"w": codes(5, 3)},
)  # fmt: skip


def opened(folder: Path, name: str) -> ls.Net:
    dims, nodes, tensors = NETS.get(name, BY_THE_LARGEST)
    read = {top for node in nodes for top in node.input}
    tops = [top for node in nodes for top in node.output if top not in read]
    graph = helper.make_graph(
        nodes, "little", [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_empty_tensor_value_info(top) for top in tops],
        [numpy_helper.from_array(np.asarray(array), key) for key, array in tensors.items()],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
    path = folder / "net.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString()
    )
    return ls.open(path)


@pytest.mark.parametrize("name", NETS)
def test_a_unit_changes_with_the_numbers_of_its_box_and_with_no_others(
    name: str, tmp_path: Path
) -> None:
    net = opened(tmp_path, name)
    dims = NETS[name][0]
    rng = np.random.default_rng(5)
    image = rng.uniform(1, 2, dims).astype(np.float32)
    count = image.size
    batch = np.repeat(image, count + 1, axis=0)
    far = 4 if name in ("channels last", "norms of groups") else 400
    batch[np.arange(count), *np.unravel_index(np.arange(count), dims[1:])] += far
    checked = 0
    for blob, array in net.run({"x": batch}).items():
        if len(array) != len(batch) or blob == "x":
            continue  # a size
        runs = array.astype(np.float64)
        moved = abs(runs[:-1] - runs[-1]) > 1e-5 * abs(runs[-1])
        moved = moved.reshape(*dims, *array.shape[1:])
        for index in rng.permutation(list(np.ndindex(array.shape[1:])))[:25]:
            found = receptive_box(net, blob, index)
            seen = moved[(..., *index)]
            where = f"{blob} {index}"
            if not seen.any():
                assert found.status == "none", where
                continue
            assert found.status == "exact", where
            places = [(int(axis.min()), int(axis.max())) for axis in np.nonzero(seen)]
            assert [(s.low, s.high) for s in found.inputs["x"].axes] == places, where
            checked += 1
    assert checked > 20


def test_codes_by_the_largest_number_depend_on_all(tmp_path: Path) -> None:
    net = opened(tmp_path, "by the largest")
    image = np.random.default_rng(5).uniform(1, 2, (1, 2, 5)).astype(np.float32)
    before = net.run({"x": image})["y"]
    for place in np.ndindex(image.shape):
        changed = image.copy()
        changed[place] = -400
        assert (net.run({"x": changed})["y"] != before).all()
    found = receptive_box(net, "y", (1, 2))
    assert found.status == "exact" and all(span.whole for span in found.inputs["x"].axes)


def test_the_table_follows_channels_last_and_codes(tmp_path: Path) -> None:
    table = receptive_fields(opened(tmp_path, "channels last"))
    # 3x2 stride 2 from a pad of 1, then 3x1 padded by 1: rows 3 + 2 * 2, columns 2.
    assert table["u"] == table["c"]
    assert table["d"].axes == (Extent(7, 2, 0.0, -3), Extent(2, 2, -0.5, -1))
    coded = receptive_fields(opened(tmp_path, "codes"))
    assert coded["d"].axes == (Extent(5, 2, 1.0, -1), Extent(3, 1, 1.0, 0))
    assert {field.status for field in coded.values()} == {"exact"}


def test_an_image_with_its_channels_last(tmp_path: Path) -> None:
    """The rows and columns are axes 1 and 2 of the input, as it is fed."""
    graph = helper.make_graph(
        [n("Transpose", "x", "t", perm=[0, 3, 1, 2]), n("Conv", "t w", "y", strides=[2, 3])],
        "little", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 9, 12, 3))],
        [helper.make_empty_tensor_value_info("y")], [numpy_helper.from_array(weights(2, 3, 3, 4), "w")],
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    imports = [helper.make_opsetid("", 18)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    )
    net = ls.open(path)
    table = receptive_fields(net)
    assert table["x"].axes == (Extent(1, 1, 0.0, 0), Extent(1, 1, 0.0, 0))
    assert table["y"].axes == (Extent(3, 2, 1.0, 0), Extent(4, 3, 1.5, 0))
    reach = receptive_box(net, "y", (1, 2, 1)).inputs["x"]
    assert [(s.low, s.high) for s in reach.space] == [(4, 6), (3, 6)]
    assert reach.channels is not None and (reach.channels.low, reach.channels.high) == (0, 2)


def test_what_all_units_see_is_not_narrowed_by_what_some_see_besides(tmp_path: Path) -> None:
    """x + mean(x): every unit sees all, and its own place is part of that."""
    graph = helper.make_graph(
        [n("ReduceMean", "x axes", "mean"), n("Transpose", "x", "t", perm=[0, 3, 1, 2]),
         n("Reshape", "t flat", "r"), n("Reshape", "mean flat1", "m"), n("Add", "r m", "y")],
        "little", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 4, 3))],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.int64(v), k) for k, v in
         {"axes": [1, 2, 3], "flat": [1, -1], "flat1": [1, 1]}.items()],
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    imports = [helper.make_opsetid("", 18)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    )
    table = receptive_fields(ls.open(path))
    assert table["r"].axes == (None, None)  # places of one axis of the blob lie anywhere
    assert table["y"].axes == ("all", "all")
