"""Every rule against finite differences in float64, and at its corners against numbers by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from closeness import assert_blob_close
from engine.gradient.cases import CASES
from engine.gradient.more_cases import MORE_CASES
from engine.gradient.onenode import Case, differences
from layerscope.engine.gradient.registry import QUANTIZED, STOPS, rules

ALL = [*CASES, *MORE_CASES]


@pytest.mark.parametrize("case", ALL, ids=str)
def test_equals_finite_differences(case: Case) -> None:
    net, forward = case.net(), case.exact()
    arrays = [np.asarray(case.inputs[i], np.float64) for i in case.free]
    made = forward(*arrays)
    blobs = net.run(case.feeds())
    random = np.random.default_rng(3)
    seeds, given = [], {}
    for i, want in enumerate(made):
        if np.asarray(want).dtype.kind != "f":
            seeds.append(None)
            continue
        assert_blob_close(blobs[f"y{i}"], want, f"{case}: forward")
        seeds.append(random.normal(size=np.shape(want)))
        given[f"y{i}"] = seeds[-1].astype(np.float32)
    wants = differences(forward, arrays, seeds)
    names = [f"x{i}" for i in case.free]
    gots = net.gradient(of=given, wrt=names, inputs=case.feeds())
    for name, want in zip(names, wants, strict=True):
        assert_blob_close(gots[name], want, f"{case}: {name}", tolerance=5e-5)


def test_every_rule_has_a_case() -> None:
    """A new rule without a case fails here: add one to `cases.py` or `more_cases.py`."""
    assert set(rules()) - {case.op for case in ALL} == set()


def test_an_op_either_has_a_rule_or_stops() -> None:
    assert not set(rules()) & (STOPS | QUANTIZED)
    assert all(each.summary.endswith(".") for each in rules().values())


def test_the_docs_list_every_rule() -> None:
    page = (Path(__file__).parents[3] / "docs" / "gradient.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M)
    assert table == [(op, each.summary) for op, each in rules().items()]
    assert all(f"`{op}`" in page for op in STOPS)


def test_what_the_readers_write_has_a_rule_or_stops() -> None:
    """Every ONNX op that a layer type may become, found in the code of the readers."""
    readers = Path(__file__).parents[3] / "src" / "layerscope" / "readers"
    names: set[str] = set()
    for path in readers.rglob("*.py"):
        found = re.findall(r'\bg\.(?:op|ops|bounded|selection)\(\s*"(\w+)"', path.read_text())
        names.update(found)
    assert len(names) > 50
    assert names - set(rules()) - STOPS == set()


CORNERS = [
    (Case("ReduceMax", [np.float32([[2, 5, 5], [1, 1, 0]]), np.asarray([1])]),
     [[0, 1, 0], [1, 0, 0]]),
    (Case("ReduceMin", [np.float32([[2, 5], [2, 1]]), np.asarray([0])], {"keepdims": 0}),
     [[1, 0], [0, 1]]),
    (Case("GlobalMaxPool", [np.float32([[[3, 7, 7]]])]), [[[0, 1, 0]]]),
    (Case("Max", [np.float32([1, 2, 3]), np.float32([1, 3, 2])]), [0, 0, 1]),
    (Case("Min", [np.float32([1, 2, 3]), np.float32([1, 3, 2])]), [0, 1, 0]),
    (Case("Sqrt", [np.float32([0, 4])]), [0, 0.25]),
    (Case("ReduceL2", [np.float32([[0, 0], [3, 4]]), np.asarray([1])]), [[0, 0], [0.6, 0.8]]),
    (Case("Abs", [np.float32([-1, 0, 2])]), [-1, 0, 1]),
    (Case("Clip", [np.float32([-2, -1, 0, 1, 2]), np.float32(-1), np.float32(1)], fixed=(1, 2)),
     [0, 1, 1, 1, 0]),
    (Case("LeakyRelu", [np.float32([-1, 0, 1])], {"alpha": 0.25}), [0.25, 0.25, 1]),
    (Case("PRelu", [np.float32([-1, 0, 1]), np.float32([0.25])], fixed=(1,)), [0.25, 0.25, 1]),
    (Case("HardSigmoid", [np.float32([-2.5, 0, 2.5])]), [0, np.float32(0.2), 0]),
    (Case("Pow", [np.float32([0, 2]), np.float32(0)], fixed=(1,)), [0, 0]),
    (Case("ReduceProd", [np.float32([[0, 3, 2], [0, 0, 2]]), np.asarray([1])]),
     [[6, 0, 0], [0, 0, 0]]),
]  # fmt: skip


@pytest.mark.parametrize(("case", "want"), CORNERS, ids=lambda each: str(each)[:20])
def test_corners(case: Case, want: list[float]) -> None:
    got = case.net().gradient(of="y0", wrt="x0", inputs=case.feeds())
    assert_blob_close(got, want, str(case), tolerance=1e-7)
