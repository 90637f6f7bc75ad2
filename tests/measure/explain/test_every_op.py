"""Every blob of every golden net: units recomputed in double precision equal Caffe's numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from conftest import GOLDEN, ROOT
from layerscope.measure.explain import Explainer, Unit
from layerscope.measure.explain.registry import explained_ops

# Of the sum of the absolute terms.  The engine adds in float32, where each term is off by up to
# 6e-8 of itself; a recurrent net multiplies the error from step to step.
TOLERANCE = 1e-5
UNITS = 6
# What readers write and nothing here puts into numbers: how many boxes are left, or which places
# are not 0, is a loop over all of them.
WITHOUT_RULE = {"NonMaxSuppression", "NonZero"}


def run(case: Path) -> tuple[ls.Net, ls.Blobs, dict[str, np.ndarray]]:
    weights = case / "net.caffemodel"
    net = ls.open(case / "net.prototxt", weights if weights.exists() else None)
    with np.load(case / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden.files}
    fed = {name[3:]: array for name, array in arrays.items() if name.startswith("in/")}
    return net, net.run(fed), arrays


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_recomputed_equals_engine_and_caffe(case: Path) -> None:
    net, blobs, golden = run(case)
    explainer = Explainer(net, blobs)
    random = np.random.default_rng(len(case.name))
    held = against_caffe = 0
    for name, array in blobs.items():
        caffe = golden.get(f"out/{name}")
        for _ in range(UNITS):
            index = tuple(int(random.integers(size)) for size in array.shape)
            found = explainer.explain(Unit(name, index))
            assert found.recomputed is not None, f"{name}: {found.reason}"
            allowed = TOLERANCE * max(found.size, abs(float(array[index])))
            assert abs(found.recomputed - float(array[index])) <= allowed, f"{name}{index}"
            assert found.value == float(array[index])
            if caffe is not None:
                allowed = TOLERANCE * max(found.size, 1.0)
                assert abs(found.recomputed - float(caffe[index])) <= allowed, f"{name}{index}"
                against_caffe += 1
            held += 1
    assert held == UNITS * len(blobs) > 0
    assert against_caffe >= UNITS or case.name == "silence"


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_operands_add_up(case: Path) -> None:
    """In each sum the parts of the JSON, with the bias, are the result; n of N is true."""
    net, blobs, _ = run(case)
    explainer = Explainer(net, blobs)
    checked = 0
    for name, array in blobs.items():
        found = explainer.explain(Unit(name, tuple(size // 2 for size in array.shape)))
        for step in found.steps:
            told = step.as_json()
            assert len(told["operands"]) == sum(step.counts.values())
            if step.kind == "sum" and step.op != "ReduceL2":
                parts = sum(each["part"] for each in told["operands"])
                bias = step.numbers.get("bias", 0.0)
                assert parts + bias == pytest.approx(step.result, abs=1e-9 * max(1.0, step.size))
            checked += 1
    assert checked or not any(layer.nodes for layer in net.layers)


def test_which_ops_have_no_rule() -> None:
    """All ops of all nets of the tests have one; so does all that a reader of Caffe can write."""
    used: Counter[str] = Counter()
    definitions = [*ROOT.glob("tests/**/*.prototxt"), *ROOT.glob("src/**/*.prototxt")]
    for path in definitions:
        used.update(node.op_type for node in ls.open(path).graph.nodes)
    assert len(used) >= 50
    assert set(used) - set(explained_ops()) == set()
    assert written_by_readers() - set(explained_ops()) == WITHOUT_RULE


def written_by_readers() -> set[str]:
    """Names of ONNX ops that stand as text in the code of the layers."""
    import ast

    import onnx

    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    found: set[str] = set()
    for path in (ROOT / "src/layerscope/readers/caffe/layers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
                "op", "ops", "bounded", "selection",
            ):  # fmt: skip
                texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
                found |= {text for text in texts if text in known}
    assert len(found) > 60
    return found
