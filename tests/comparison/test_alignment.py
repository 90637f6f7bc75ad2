"""Which blob is which: names that exporters change, layers that are new or gone, shapes turned."""

from __future__ import annotations

import doctest
import itertools
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from conftest import GOLDEN
from layerscope.comparison import alignment
from layerscope.comparison.alignment import Item, align, axes, plain
from layerscope.comparison.items import blob_items
from layerscope.errors import UnknownNameError, UsageError


def items(*rows: tuple) -> list[Item]:
    return [Item(row[0], row[2], row[1], tuple(row[3:])) for row in rows]


CHAIN = items(
    ("data", "input", (1, 3, 9, 7)),
    ("conv1@conv1", "weighted", (1, 4, 7, 5), "conv1", "conv1"),
    ("conv1", "neuron", (1, 4, 7, 5), "relu1", "conv1"),
    ("pool1", "pooling", (1, 4, 3, 2), "pool1", "pool1"),
    ("fc2", "weighted", (1, 5), "fc2", "fc2"),
    ("prob", "softmax", (1, 5), "prob", "prob"),
)


def named(a: list[Item], b: list[Item], **more) -> dict[str, str]:
    return {a[p.a].name: b[p.b].name for p in align(a, b, **more).pairs}


def test_examples_of_the_module() -> None:
    assert doctest.testmod(alignment).failed == 0 and doctest.testmod(alignment).attempted > 1


def test_itself() -> None:
    found = align(CHAIN, CHAIN)
    assert [(p.a, p.b, p.how) for p in found.pairs] == [(i, i, "name") for i in range(6)]
    assert found.only_a == found.only_b == found.unlike == ()


@pytest.mark.parametrize(
    "name",
    ["conv1", "/conv1/Conv_output_0", "conv1:0", "conv1_1", "conv1_Y", "Conv1/output_0",
     "conv1/BiasAdd:0", "features/conv1", "conv1_quantized", "conv1_output"],
)  # fmt: skip
def test_names_that_exporters_make(name: str) -> None:
    a = items(("x", "pooling", (1, 4, 7, 5)), ("conv1", "weighted", (1, 4, 7, 5)),
              ("conv9", "weighted", (1, 4, 7, 5)))  # fmt: skip
    b = items(("z", "pooling", (1, 4, 7, 5)), ("other", "weighted", (1, 4, 7, 5)),
              (name, "weighted", (1, 4, 7, 5)))  # fmt: skip
    found = align(a, b)
    pair = next(p for p in found.pairs if p.a == 1)
    expected = (
        ("order", 1) if "BiasAdd" in name else ("name" if name == "conv1" else "like name", 2)
    )
    assert (pair.how, pair.b) == expected


def test_in_place_relu_is_not_taken_for_the_convolution() -> None:
    b = items(
        ("data", "input", (1, 3, 9, 7)),
        ("conv1", "weighted", (1, 4, 7, 5), "conv1"),
        ("relu1_out", "neuron", (1, 4, 7, 5), "relu1"),
        ("pool1", "pooling", (1, 4, 3, 2)),
        ("flat", "form", (1, 24)),
        ("fc2", "weighted", (1, 5)),
        ("prob", "softmax", (1, 5)),
    )
    found = named(CHAIN, b)
    assert found["conv1@conv1"] == "conv1" and found["conv1"] == "relu1_out"
    assert len(found) == 6 and align(CHAIN, b).only_b == (4,)


def test_names_that_tell_nothing() -> None:
    b = [Item(f"{i + 40}", item.shape, item.family) for i, item in enumerate(CHAIN)]
    found = align(CHAIN, b)
    assert [(p.a, p.b, p.how) for p in found.pairs] == [(i, i, "order") for i in range(6)]


@pytest.mark.parametrize("left_out", range(6))
def test_layers_new_and_gone(left_out: int) -> None:
    less = [item for i, item in enumerate(CHAIN) if i != left_out]
    found = align(CHAIN, less)
    assert found.only_a == (left_out,) and found.only_b == () and len(found.pairs) == 5
    assert all(CHAIN[p.a] == less[p.b] for p in found.pairs)
    back = align(less, CHAIN)
    assert back.only_a == () and back.only_b == (left_out,)
    nameless = [Item(f"v{i}", item.shape, item.family) for i, item in enumerate(less)]
    assert align(CHAIN, nameless).only_a == (left_out,)


def test_vgg_names_are_not_numbered_copies() -> None:
    dims = (1, 4, 7, 5)
    a = items(("conv1_1", "weighted", dims), ("conv1_2", "weighted", dims))
    b = items(("conv1_2", "weighted", dims), ("conv1_1", "weighted", dims))
    assert named(a, b) == {"conv1_1": "conv1_1", "conv1_2": "conv1_2"}
    assert [p.how for p in align(a, items(("conv1", "weighted", dims))).pairs] == ["order"]


def test_the_longest_common_subsequence_against_all_subsequences() -> None:
    random = np.random.default_rng(6)
    for _ in range(60):
        a, b = (list(random.integers(0, 3, random.integers(0, 7))) for _ in range(2))
        found = alignment._common(a, b)
        assert found == sorted(found) and all(a[i] == b[j] for i, j in found)
        assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
        best = max(
            n
            for n in range(len(a) + 1)
            for pick in itertools.combinations(a, n)
            if any(pick == other for other in itertools.combinations(b, n))
        )
        assert len(found) == best


def test_branches_in_another_order_keep_their_names() -> None:
    a = items(*[(f"b{i}", "weighted", (1, 4, 5, 5)) for i in range(4)], ("x", "sum", (1, 4, 5, 5)))
    b = items(("b2", "weighted", (1, 4, 5, 5)), ("b0", "weighted", (1, 4, 5, 5)),
              ("b3", "weighted", (1, 4, 5, 5)), ("b1", "weighted", (1, 4, 5, 5)),
              ("y", "sum", (1, 4, 5, 5)))  # fmt: skip
    assert named(a, b) == {"b0": "b0", "b1": "b1", "b2": "b2", "b3": "b3", "x": "y"}


def test_given_names_come_first() -> None:
    assert named(CHAIN, CHAIN, given={"conv1": "conv1@conv1"})["conv1"] == "conv1@conv1"
    with pytest.raises(UnknownNameError, match=r'"conv2" is not in A \(6 names\); nearest: conv1'):
        align(CHAIN, CHAIN, {"conv2": "conv1"})
    with pytest.raises(UnknownNameError, match=r'"poll1" is not in B .* nearest: pool1'):
        align(CHAIN, CHAIN, {"pool1": "poll1"})
    with pytest.raises(UsageError, match=r"\(1, 5\) and \(1, 4, 3, 2\) cannot be held"):
        align(CHAIN, CHAIN, {"prob": "pool1"})
    with pytest.raises(UsageError, match="twice"):
        align(CHAIN, CHAIN, {"fc2": "prob", "prob": "prob"})


def test_one_name_and_two_shapes_is_said() -> None:
    other = [*CHAIN[:4], Item("fc2", (1, 6), "weighted"), Item("prob", (1, 6), "softmax")]
    found = align(CHAIN, other)
    assert found.unlike == ((4, 4), (5, 5)) and found.only_a == found.only_b == (4, 5)


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ((1, 4, 7, 5), (1, 7, 5, 4), (0, 3, 1, 2)),
        ((1, 7, 5, 4), (1, 4, 7, 5), (0, 2, 3, 1)),
        ((1, 5), (1, 5, 1, 1), (0, 1, 2, 3)),
        ((1, 4, 7, 5), (1, 4, 7, 5), (0, 1, 2, 3)),
        ((1, 4, 7, 5), (1, 140), (0, 1)),
        ((1, 4, 7, 5), (1, 5, 7, 4), None),
        ((1, 4, 7, 5), (1, 4, 7, 6), None),
        ((5, 140), (140, 5), (1, 0)),
    ],
)
def test_axes(a: tuple, b: tuple, wanted: tuple | None) -> None:
    assert axes(a, b) == wanted
    if wanted is not None and len(a) == len(b):
        assert np.zeros(b).transpose(wanted).shape == a


def test_plain_names() -> None:
    assert plain("/features/features.0/Conv_output_0") == "features_features_0"
    assert plain("conv2d/Relu:0") == plain("Conv2D_Relu") == "conv2d_relu"
    assert plain("123") == "123" and plain("/") == "/"


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda p: p.name)
def test_any_net_without_its_names(folder: Path) -> None:
    weights = folder / "net.caffemodel"
    net = ls.open(folder / "net.prototxt", weights if weights.exists() else None)
    known = blob_items(net)
    nameless = [Item(f"{i + 1000}", item.shape, item.family) for i, item in enumerate(known)]
    found = align(known, nameless)
    assert [(p.a, p.b) for p in found.pairs] == [(i, i) for i in range(len(known))]
    assert [p.how for p in found.pairs] == ["order"] * len(known)
