"""Texts that a PNG file keeps beside its pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from layerscope.pictures import png


def test_texts_are_read_again_by_us_and_by_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    kept = {"layerscope dream": '{"a": "é\\u0000"}', "Other": ""}
    content = png.encode(pixels, caption="words …", texts=kept)
    assert png.texts(content) == {"Description": "words …", **kept}
    with Image.open(io.BytesIO(content)) as image:
        assert image.text == {"Description": "words …", **kept}
        assert (np.asarray(image) == pixels).all()


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG", b"GIF89a" * 9, b"\x89PNG\r\n\x1a\n" + b"\xff" * 40]
)
def test_what_is_no_png_has_no_texts(content: bytes) -> None:
    assert png.texts(content) == {}


def test_damage_is_no_text() -> None:
    content = bytearray(png.encode(np.zeros((2, 2), np.uint8), texts={"key": "value"}))
    place = content.index(b"value")
    assert png.texts(bytes(content[: place + 3])) == {}
    content[place] ^= 1
    assert png.texts(bytes(content)) == {}
