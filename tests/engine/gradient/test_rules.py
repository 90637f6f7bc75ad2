"""Every rule against finite differences in float64, and at its corners against numbers by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from closeness import assert_blob_close
from engine.gradient.cases import CASES
from engine.gradient.onenode import Case, differences
from layerscope.engine.gradient.registry import QUANTIZED, STOPS, rules

WITHOUT_RULE = {"MaxRoiPool"}  # it does not say which place won
WITHOUT_CASE = {"Cast", "Mod", "Gelu", "Upsample"}  # tested below, or of another opset


@pytest.mark.parametrize("case", CASES, ids=str)
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
    assert set(rules()) - {case.op for case in CASES} == WITHOUT_CASE


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
    assert names - set(rules()) - STOPS == WITHOUT_RULE
