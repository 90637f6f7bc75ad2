"""Params come in parts: each holds so much, and all parts together are the whole."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerscope as ls
from layerscope.viewer import wire
from layerscope.viewer.gallery import given_images
from layerscope.viewer.scope import Scope
from layerscope.viewer.session import Session
from layerscope.viewer.study import answer

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 12 dim: 11 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {
    num_output: 90 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "d" type: "Convolution" bottom: "c" top: "d" convolution_param {
    num_output: 80 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "e" type: "Convolution" bottom: "x" top: "e" convolution_param {
    num_output: 210 kernel_size: 9 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "f" type: "InnerProduct" bottom: "x" top: "f" inner_product_param {
    num_output: 1000 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "g" type: "InnerProduct" bottom: "f" top: "g" inner_product_param {
    num_output: 70 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "h" type: "InnerProduct" bottom: "g" top: "h" inner_product_param {
    num_output: 17000 bias_filler { type: "gaussian" std: 1 } } }
"""
ROOM = 65_536  # bytes of a part


@pytest.fixture(scope="module")
def scope(tmp_path_factory: pytest.TempPathFactory) -> Scope:
    path: Path = tmp_path_factory.mktemp("net") / "net.prototxt"
    path.write_text(NET)
    return Scope(Session(ls.open(path).filled(), given_images([])))


def part(scope: Scope, layer: str, first: int, number: int = 0) -> dict[str, Any]:
    return answer(scope, {"ask": "param", "layer": layer, "number": number, "first": first})


def parts(scope: Scope, layer: str, number: int = 0) -> list[dict[str, Any]]:
    found = [part(scope, layer, 0, number)]
    while (first := found[-1]["first"] + found[-1]["count"]) < found[-1]["total"]:
        found.append(part(scope, layer, first, number))
        assert found[-1]["first"] == first
    return found


def decoded(found: dict[str, Any]) -> np.ndarray:
    """The numbers of a part, and how far they may be off."""
    tiles = found["panel"]["tiles"]
    raw = zlib.decompress(base64.b64decode(found["data"]))
    ends = 1 if tiles["shared"] else tiles["count"] * tiles["planes"]
    low, high = np.frombuffer(raw, "<f4", 2 * ends).reshape(2, ends, 1).astype(np.float64)
    codes = np.frombuffer(raw[8 * ends :], np.uint8).reshape(ends, -1)
    assert codes.size == tiles["count"] * tiles["planes"] * tiles["height"] * tiles["width"]
    return (low + (codes - 1.0) / 254 * (high - low)).reshape(-1)


@pytest.mark.parametrize(
    ("layer", "unit", "total", "most"),
    [("d", "kernel", 7200, 5400), ("e", "filter", 210, 184), ("g", "row", 70, 48)],
)
def test_all_parts_together_are_the_param(
    scope: Scope, layer: str, unit: str, total: int, most: int
) -> None:
    found = parts(scope, layer)
    assert [(each["total"], each["most"]) for each in found] == [(total, most)] * 2
    assert found[1]["panel"]["tiles"]["unit"] == ("matrix" if unit == "row" else unit)
    assert [each["count"] for each in found] == [most, total - most]
    true = np.asarray(scope.session.net.params[layer][0].data)
    values = np.concatenate([decoded(each) for each in found])
    np.testing.assert_allclose(values, true.reshape(-1), atol=np.ptp(true) / 508 * 1.01)
    for each in found:
        assert len(zlib.decompress(base64.b64decode(each["data"]))) <= ROOM
        assert each["panel"]["tiles"]["first"] == each["first"]
        assert each["channels"] == true.shape[0]
        assert each["statement"].startswith(f"{each['count']:,} of {total:,} {unit}s shown")
    assert f"from {most:,} on" in found[1]["statement"] and ", from " not in found[0]["statement"]
    spreads = [each["spread"] for each in found]
    assert spreads[0] == spreads[1] and spreads[0]["size"] == true.size


def test_a_vector_comes_in_parts_too(scope: Scope) -> None:
    found = parts(scope, "h", 1)
    assert [each["count"] for each in found] == [16_384, 616]
    values = b"".join(base64.b64decode(each["data"]) for each in found)
    true = scope.session.net.params["h"][1].data
    np.testing.assert_array_equal(np.frombuffer(values, "<f4"), true)


@pytest.mark.parametrize(("asked", "first"), [(1, 0), (5399, 0), (5401, 5400), (10**9, 5400)])
def test_a_part_begins_where_one_begins(scope: Scope, asked: int, first: int) -> None:
    """At a whole filter, and no part is behind the last one."""
    found = part(scope, "d", asked)
    assert found["first"] == first and found["first"] % 90 == 0


def test_what_is_not_drawn_has_one_part(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.show.sources.MOST_COLUMNS", 999)
    found = part(scope, "g", 3)
    assert (found["first"], found["count"], found["total"]) == (0, 0, 70_000)
    assert "too wide to be drawn" in found["statement"] and "kind" not in found["panel"]


def test_a_long_vector_of_a_run_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_VALUES", 40)
    array = np.random.default_rng(0).normal(size=(1, 100)).astype(np.float32)
    for asked, first, count in ((0, 0, 40), (41, 40, 40), (80, 80, 20), (1000, 80, 20)):
        message = wire.Message("frame")
        found, spread = wire.whole(message, array, asked)
        assert (found["first"], found["count"], found["most"]) == (first, count, 40)
        assert (found["total"], spread.size) == (100, 100)
        raw = message.bytes()
        values = np.frombuffer(raw, "<f4", count, len(raw) - 4 * count + found["values"])
        np.testing.assert_array_equal(values, array[0, first : first + count])
