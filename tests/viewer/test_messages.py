"""What a page is sent: decoded here by the rules that the head of wire.py states."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from layerscope.viewer import wire
from layerscope.viewer.wire import Message, spread_json, thumb, to_json, whole


def parsed(message: Message) -> tuple[dict[str, Any], bytes]:
    raw = message.bytes()
    (length,) = struct.unpack_from("<I", raw)
    assert (4 + length) % 8 == 0, "arrays of floats begin at a multiple of their size"
    return json.loads(raw[4 : 4 + length]), raw[4 + length :]


def decoded(part: dict[str, Any], rest: bytes) -> np.ndarray:
    """The values of tiles, (count * planes, height, width), plane by plane."""
    tiles = part["count"] * part["planes"]
    low = np.frombuffer(rest, "<f4", tiles, part["low"])
    high = np.frombuffer(rest, "<f4", tiles, part["high"])
    area = part["height"] * part["width"]
    found = np.empty((tiles, area))
    for tile in range(tiles):
        codes = np.frombuffer(rest, np.uint8, area, part["codes"] + tile * area).astype(float)
        found[tile] = low[tile] + (codes - 1) / 254 * (float(high[tile]) - low[tile])
        found[tile][codes == 0] = np.nan
    return found.reshape(tiles, part["height"], part["width"])


def test_a_whole_blob_comes_back() -> None:
    array = np.random.default_rng(0).normal(size=(1, 5, 7, 6)).astype(np.float32)
    array[0, 2] = 3.5
    array[0, 4, 1, 2] = np.nan
    message = Message("frame")
    part, spread = whole(message, array, 0)
    message.head["blob"] = part
    head, rest = parsed(message)
    assert (head["kind"], part["count"], part["total"], part["missing"]) == ("frame", 5, 5, True)
    back = decoded(head["blob"], rest)
    for tile in range(5):
        span = np.nanmax(array[0, tile]) - np.nanmin(array[0, tile])
        np.testing.assert_allclose(
            back[tile], array[0, tile], atol=span / 508 + 1e-6, equal_nan=True
        )
    assert spread_json(spread)["not_finite"] == 1
    assert part["lowest"] == np.nanmin(array) and part["highest"] == np.nanmax(array)


def test_what_is_too_much_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_CODES", 100)
    array = np.arange(7 * 30, dtype=np.float32).reshape(1, 7, 5, 6)
    seen = []
    for first in (0, 3, 6, 99):
        message = Message("frame")
        part, _ = whole(message, array, first)
        message.head["blob"] = part
        head, rest = parsed(message)
        seen.append((part["first"], part["count"], part["total"]))
        wanted = array[0, part["first"] : part["first"] + part["count"]]
        np.testing.assert_allclose(decoded(head["blob"], rest), wanted, atol=30 / 254)
        assert part["lowest"] == 0 and part["highest"] == 209, "the scale is that of all tiles"
    assert seen == [(0, 3, 7), (3, 3, 7), (6, 1, 7), (6, 1, 7)]


def test_a_thumbnail_has_every_nth_value_of_a_few_tiles() -> None:
    array = np.random.default_rng(1).normal(size=(1, 11, 70, 33)).astype(np.float32)
    message = Message("frame")
    part = message.head["x"] = thumb(message, array)
    head, rest = parsed(message)
    assert (part["count"], part["total"], part["planes"]) == (8, 11, 1)
    wanted = array[0, :8, ::3, ::3]
    assert (part["height"], part["width"]) == wanted.shape[1:] == (24, 11)
    np.testing.assert_allclose(decoded(head["x"], rest), wanted, atol=0.02)


def test_an_image_is_one_tile_in_colour() -> None:
    array = np.random.default_rng(2).normal(size=(1, 3, 8, 9)).astype(np.float32)
    message = Message("frame")
    part = message.head["x"] = thumb(message, array, "BGR")
    assert (part["count"], part["planes"], part["order"]) == (1, 3, "BGR")
    np.testing.assert_allclose(decoded(part, parsed(message)[1]), array[0], atol=0.02)


def test_vectors() -> None:
    values = np.random.default_rng(3).normal(size=(1, 1000)).astype(np.float32)
    message = Message("frame")
    full, _ = whole(message, values, 0)
    small = thumb(message, values)
    _, rest = parsed(message)
    np.testing.assert_array_equal(np.frombuffer(rest, "<f4", 1000, full["values"]), values[0])
    thin = np.frombuffer(rest, "<f4", small["count"], small["values"])
    assert small["total"] == 1000 and len(thin) == 128
    assert thin[0] == max(values[0, :7], key=abs) and np.abs(thin).max() == np.abs(values).max()


def test_a_blob_that_is_all_nan_and_one_number() -> None:
    message = Message("frame")
    part, _ = whole(message, np.full((1, 2, 3, 3), np.nan, np.float32), 0)
    assert np.isnan(decoded(part, parsed(message)[1])).all() and part["missing"]
    one, _ = whole(Message("frame"), np.float32(4).reshape(()), 0)
    assert one["count"] == one["total"] == 1


def test_json_is_what_browsers_read() -> None:
    words = to_json({"a": [float("nan"), float("inf"), 1.5, np.float32(2)], "b": (None, "\u2028")})
    assert json.loads(words) == {"a": [None, None, 1.5, 2.0], "b": [None, "\u2028"]}
    assert words.isascii()
