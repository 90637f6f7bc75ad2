"""Tiles as a few bytes, for a page that draws them itself: one byte a value, deflated.

A page asks no network for anything, so all it draws is inside it.  A byte for each value is what a
screen can show, and says the value to 1/508 of the span of its tile.

The bytes, before they are deflated: the low end of each tile (float32, little-endian), the high end
of each, then the codes.  Code 0 is a value that is NaN or infinite; code c is the value
low + (c - 1) / 254 * (high - low).
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

STEPS = 254
_PIECE = 1 << 16

Floats: TypeAlias = npt.NDArray[np.float32]


def pack(tiles: npt.NDArray[Any], lows: npt.NDArray[Any], highs: npt.NDArray[Any]) -> str:
    """Tiles as base64 of a zlib stream.

    Args:
        tiles: (n, ...) real numbers.
        lows: the low end of each tile, (n,).
        highs: the high end of each; below the low one where nothing is finite.
    """
    with np.errstate(over="ignore"):  # an infinite end has no finite code
        low, high = lows.astype("<f4"), highs.astype("<f4")
    nothing = ~(low <= high)
    low[nothing] = high[nothing] = 0
    deflate = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
    parts = [deflate.compress(low.tobytes() + high.tobytes())]
    rows = tiles.reshape(len(low), -1) if tiles.size else tiles.reshape(len(low), 0)
    step = max(1, _PIECE // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        piece = slice(start, start + step)
        parts.append(deflate.compress(codes(rows[piece], low[piece], high[piece]).data))
    return b64encode(b"".join([*parts, deflate.flush()])).decode("ascii")


def codes(rows: npt.NDArray[Any], low: Floats, high: Floats) -> npt.NDArray[np.uint8]:
    """The codes of (n, k) values between the ends (n,) of their rows."""
    exact = np.float32 if rows.dtype == np.float32 else np.float64
    span = high.astype(np.float64) - low
    if exact is np.float32 and not ((span == 0) | (span > 1e-30) & (span < 1e30)).all():
        exact = np.float64
    factor = np.divide(STEPS, span, out=np.zeros_like(span), where=span > 0)
    with np.errstate(all="ignore"):
        places = np.subtract(rows, low[:, None].astype(exact), dtype=exact)
        places *= factor[:, None].astype(exact)
        finite = None if np.isfinite(places.sum()) else np.isfinite(rows)
        places += exact(1.5)  # the cast cuts, so a half rounds
        np.clip(places, 1, STEPS + 1, out=places)
        found: npt.NDArray[np.uint8] = places.astype(np.uint8)
    if finite is not None:
        found[~finite] = 0
    return found
