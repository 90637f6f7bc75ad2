"""Every rule against finite differences in float64, and at its corners against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from closeness import assert_blob_close
from engine.gradient.cases import CASES
from engine.gradient.onenode import Case, differences
from layerscope.engine.gradient.registry import QUANTIZED, STOPS, rules

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
