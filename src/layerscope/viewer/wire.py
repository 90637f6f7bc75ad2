"""What is on the screen as bytes: one byte a value, the ends of each tile beside it.

A message is the length of its head (uint32, little-endian), the head as JSON, and the arrays that
the head points into by offset (from the end of the head, which is padded to 8 bytes).  Codes are
those of `pictures/packed.py`, not deflated: it would cost more than the way through the machine.
"""

from __future__ import annotations

import json
import math
import struct
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.distribution import Distribution, distribution
from layerscope.pictures.packed import codes
from layerscope.show.drawing import planes

MOST_CODES = 4_000_000
MOST_VALUES = 65_536
THUMB_TILES, THUMB_SIDE, THUMB_COLUMNS = 8, 32, 128
_ALIGN = 8


class Message:
    """A head, and arrays behind it."""

    def __init__(self, kind: str) -> None:
        self.head: dict[str, Any] = {"kind": kind}
        self._arrays: list[bytes] = []
        self._size = 0

    def add(self, array: NDArray[Any]) -> int:
        """Append an array; gives where it begins."""
        raw = np.ascontiguousarray(array).tobytes()
        at = self._size
        padded = raw + b"\0" * (-len(raw) % _ALIGN)
        self._arrays.append(padded)
        self._size += len(padded)
        return at

    def bytes(self) -> bytes:
        """The whole message."""
        head = to_json(self.head).encode()
        head += b" " * (-(len(head) + 4) % _ALIGN)
        return b"".join([struct.pack("<I", len(head)), head, *self._arrays])


def to_json(content: Any) -> str:
    """As JSON that every browser reads: NaN and infinities become null."""
    try:
        return json.dumps(content, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError):  # a number of NumPy's, or one that JSON does not have
        return json.dumps(_finite(content), ensure_ascii=True, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _finite(each) for key, each in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(each) for each in content]
    if isinstance(content, np.generic):
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content


def base64_of(array: NDArray[Any]) -> str:
    """The bytes of an array as words, for an answer."""
    return b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def is_maps(dims: Sequence[int]) -> bool:
    """Whether an image's share (C, ...) of a blob has planes, and is no vector."""
    return math.prod(dims[1:]) > 1


def thumb(message: Message, array: NDArray[Any], order: str = "") -> dict[str, Any]:
    """A small picture of a blob (N, C, ...): a few tiles with every n-th value, or a vector's ends.

    Args:
        message: what gets its bytes.
        array: the blob.
        order: of the three colours of an image: its channels are one tile then.
    """
    one = _first(array)
    if not is_maps(one.shape):
        return _thin(message, one.reshape(-1))
    tiles = planes(one)
    total = len(tiles)
    step = max(1, math.ceil(max(tiles.shape[-2:]) / (2 * THUMB_SIDE if order else THUMB_SIDE)))
    few = np.ascontiguousarray(tiles[:THUMB_TILES, ::step, ::step])
    count, height, width = few.shape
    lows, highs = _ends(few.reshape(count, -1))
    found = _coded(message, few.reshape(count, -1), lows, highs)
    shape = (1, 3) if order and count == 3 else (count, 1)
    return {
        **found, "count": shape[0], "planes": shape[1], "height": height, "width": width,
        "total": total, "order": order or "RGB",
    }  # fmt: skip


def whole(message: Message, array: NDArray[Any], first: int) -> tuple[dict[str, Any], Distribution]:
    """A blob (N, C, ...) tile by tile from `first` on, as many as a message holds; or its values.

    Gives with it how the numbers of the whole blob are spread.
    """
    one = _first(array)
    if not is_maps(one.shape):
        values = one.reshape(-1)
        first = min(first, max(0, values.size - 1)) // MOST_VALUES * MOST_VALUES
        shown = values[first : first + MOST_VALUES].astype("<f4")
        return {
            "values": message.add(shown), "count": len(shown), "first": first,
            "most": MOST_VALUES, "total": values.size, "rows": _rows(array),
        }, distribution(values)  # fmt: skip
    tiles = planes(one)
    spread = distribution(tiles)
    total, area = len(tiles), int(np.prod(tiles.shape[-2:]))
    most = max(1, MOST_CODES // area)
    first = min(first, (total - 1) // most * most)
    part = slice(first, min(total, first + most))
    rows = tiles[part].reshape(-1, area)
    found = _coded(message, rows, spread.lows[part], spread.highs[part])
    return {
        **found, "count": len(rows), "planes": 1, "height": tiles.shape[-2],
        "width": tiles.shape[-1], "first": first, "most": most, "total": total, "order": "RGB",
        "lowest": spread.low, "highest": spread.high, "missing": spread.not_finite > 0,
        "rows": _rows(array),
    }, spread  # fmt: skip


def spread_json(spread: Distribution) -> dict[str, Any]:
    """A distribution for the page."""
    return {
        "size": spread.size, "low": spread.low, "mean": spread.mean, "high": spread.high,
        "zeros": spread.zeros, "not_finite": spread.not_finite, "dead": spread.dead,
        "channels": spread.channels, "counts": spread.counts.tolist(),
    }  # fmt: skip


def _first(array: NDArray[Any]) -> NDArray[Any]:
    one: NDArray[Any] = array[0] if array.ndim > 1 else np.atleast_1d(array)
    return one


def _rows(array: NDArray[Any]) -> int:
    """How many there are along the first axis, of which the first one is shown."""
    return len(array) if array.ndim > 1 else 1


def _coded(
    message: Message, rows: NDArray[Any], lows: NDArray[Any], highs: NDArray[Any]
) -> dict[str, Any]:
    """Codes and ends of rows (n, k), and the ends of all of them."""
    with np.errstate(over="ignore"):
        low, high = lows.astype("<f4"), highs.astype("<f4")
    known = low <= high
    lowest = float(low[known].min()) if known.any() else 0.0
    highest = float(high[known].max()) if known.any() else 0.0
    low[~known] = high[~known] = 0
    coded = codes(rows, low, high)
    return {
        "low": message.add(low), "high": message.add(high), "codes": message.add(coded),
        "lowest": lowest, "highest": highest, "missing": not coded.all(),
    }  # fmt: skip


def _ends(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lowest and highest finite value of each row; inf and -inf where there is none."""
    finite = np.isfinite(rows)
    if finite.all():
        return rows.min(axis=1), rows.max(axis=1)
    return (
        rows.min(axis=1, where=finite, initial=np.inf),
        rows.max(axis=1, where=finite, initial=-np.inf),
    )


def _thin(message: Message, values: NDArray[Any]) -> dict[str, Any]:
    """A vector as at most so many columns: of each the value that is farthest from zero."""
    total = values.size
    if total > THUMB_COLUMNS:
        starts = np.linspace(0, total, THUMB_COLUMNS, endpoint=False).astype(np.intp)
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        values = np.where(-low > high, low, high)
    shown = values.astype("<f4")
    return {"values": message.add(shown), "count": len(shown), "total": total}
