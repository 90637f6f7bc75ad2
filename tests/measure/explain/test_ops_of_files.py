"""Rules of ops that only ONNX files hold, against the runtime: all units of nets of one node."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

import layerscope as ls
from layerscope.measure.explain import Explainer, Unit

MICROSOFT = "com.microsoft"
RANDOM = np.random.default_rng(31)
X = RANDOM.normal(size=(2, 6, 3, 5)).astype(np.float32)
GAIN, SHIFT = (RANDOM.normal(size=6).astype(np.float32) for _ in range(2))
ROWS = RANDOM.normal(size=(3, 5)).astype(np.float32)
CODES = RANDOM.integers(-128, 128, (2, 6, 3, 5)).astype(np.int8)
SCALES = np.float32([0.1, 0.2, 0.3, 0.05, 0.01, 0.7])
ZEROS = np.int8([0, 3, -7, 1, 100, -128])

# op, arrays of its inputs, settings, opset; "microsoft" for the runtime's own
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], int | str]] = [
    ("QuantizeLinear", (3 * X, np.float32(0.07), np.uint8(120)), {}, 19),
    ("QuantizeLinear", (3 * X, SCALES, ZEROS), {"axis": 1}, 19),
    ("QuantizeLinear", (3 * X, np.float32(0.5)), {}, 19),
    ("DequantizeLinear", (CODES, np.float32(0.3), np.int8(-4)), {}, 19),
    ("DequantizeLinear", (CODES, SCALES, ZEROS), {"axis": 1}, 19),
    ("DequantizeLinear", (CODES, SCALES), {"axis": 1}, 19),
]  # fmt: skip
OPS = {case[0] for case in CASES}


def net_of_one(folder: Path, op: str, arrays: Any, settings: Any, opset: int | str) -> ls.Net:
    """A net of one node; its first input is fed."""
    settings = dict(settings)
    tops = [f"y{i}" for i in range(settings.pop("outputs", 1))]
    own = opset == "microsoft"
    names = ["x", *(f"c{i}" for i in range(1, len(arrays)))]
    node = helper.make_node(
        op, names, tops, name="one", domain=MICROSOFT if own else "", **settings
    )
    kind = helper.np_dtype_to_tensor_dtype(arrays[0].dtype)
    graph = helper.make_graph(
        [node], "little", [helper.make_tensor_value_info("x", kind, arrays[0].shape)],
        [helper.make_empty_tensor_value_info(top) for top in tops],
        [numpy_helper.from_array(np.asarray(each), name)
         for name, each in zip(names[1:], arrays[1:], strict=True)],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 18 if own else opset), helper.make_opsetid(MICROSOFT, 1)]
    path = folder / "net.onnx"
    model = helper.make_model(graph, opset_imports=imports, ir_version=11)
    path.write_bytes(model.SerializeToString())
    return ls.open(path)


@pytest.mark.parametrize(
    ("op", "arrays", "settings", "opset"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_every_unit(op: str, arrays: Any, settings: Any, opset: Any, tmp_path: Path) -> None:
    net = net_of_one(tmp_path, op, arrays, settings, opset)
    blobs = net.run({"x": arrays[0]})
    explainer = Explainer(net, blobs)
    checked = 0
    for name in list(blobs)[1:]:
        array = blobs[name]
        places = list(product(*map(range, array.shape)))
        for place in places[:: max(1, len(places) // 60)]:
            found = explainer.explain(Unit(name, place))
            assert found.recomputed is not None, found.reason
            want = float(array[place])
            assert found.recomputed == pytest.approx(want, abs=2e-6 * max(found.size, abs(want)))
            (step,) = found.steps
            assert step.formula and "{" not in step.formula
            for operand in step.operands:
                assert operand.value == float(arrays[0][operand.index])
            checked += 1
    assert checked >= 6
