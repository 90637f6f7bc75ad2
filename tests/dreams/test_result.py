"""What a dream says of itself, in a notebook, as JSON, as files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.dreams.settings import Settings
from layerscope.errors import UsageError


def made(**changes: object) -> ls.Dream:
    picture = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    whole = ls.Dream(
        "conv1:4",
        "a net",
        picture,
        0.25,
        12.345,
        (0.25, 12.345),
        (0.3, 9.0),
        Settings(steps=2),
        1.5,
    )
    return replace(whole, **changes)


def test_statements() -> None:
    assert made().statement == "conv1:4: 0.25 -> 12.3"
    assert made().caption == 'conv1:4: 0.25 -> 12.3; net "a net", 2 steps, seed 0'
    assert made(label="cat").statement == "conv1:4 (cat): 0.25 -> 12.3"
    noted = made(note="by fc8, the score in front of the softmax", asked=(0.1, 0.9))
    assert noted.statement == (
        "conv1:4: 0.1 -> 0.9 (by fc8, the score in front of the softmax: 0.25 -> 12.3)"
    )
    still = made(settings=Settings(2, 7, negative=True, transforms=False))
    assert still.how == 'net "a net", what it wants least, 2 steps, seed 7, image not moved'


def test_a_sheet_says_what_its_numbers_are() -> None:
    note = "by fc8, the score in front of the softmax"
    plain, noted = made(), made(unit="prob:1", note=note)
    assert note not in ls.Dreams([plain]).statement
    assert ls.Dreams([noted, noted]).statement.endswith(f"; {note}")
    assert ls.Dreams([plain, noted]).statement.endswith(f"; prob:1 {note}")
    assert ls.Dreams([plain], 96).statement.startswith('1 of 96 units of net "a net", blob "conv1"')
    assert ls.Dreams([plain, noted]).statement.startswith('2 of 2 units of net "a net": the image')
    assert ls.Dreams([made(dead=True)]).statement.endswith("1 unit marked DEAD: nothing moves it")


def test_json_is_json() -> None:
    answer = json.loads(json.dumps(made().as_json()))
    assert (answer["unit"], answer["after"], answer["steps"]) == ("conv1:4", 12.345, 2)


def test_in_a_notebook_names_are_text(tmp_path: Path) -> None:
    page = made(unit="<script>:1", net='"><img src=x onerror=y>')._repr_html_()
    assert "<script" not in page and page.count("<img") == 1 and "&lt;script&gt;:1" in page
    assert re.search(r'width="384"', page)
    assert made().__repr__().startswith("<dream conv1:4: 0.25 -> 12.3; ")
    assert ls.Dreams([made()])._repr_png_().startswith(b"\x89PNG")


def test_files(tmp_path: Path) -> None:
    made().save(tmp_path / "raw.png", raw=True)
    with Image.open(tmp_path / "raw.png") as image:
        assert (np.asarray(image) == made().picture).all()
    gray = made(picture=np.repeat(made().picture[..., :1], 3, axis=2))
    gray.save(tmp_path / "gray.png", raw=True)
    with Image.open(tmp_path / "gray.png") as image:
        assert image.mode == "L"
    with pytest.raises(UsageError, match=r"possible: \.png"):
        made().save(tmp_path / "x.txt")
    assert not (tmp_path / "x.txt").exists()
