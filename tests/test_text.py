from __future__ import annotations

import doctest

import pytest

from layerscope import text


def test_doctests() -> None:
    found = doctest.testmod(text)
    assert found.attempted >= 7 and not found.failed


@pytest.mark.parametrize("foreign", ["\x1b[31mred", "a\nb", "‮cba", "x\x00y", "\ud800", "﻿"])
def test_what_does_not_print_is_escaped(foreign: str) -> None:
    assert text.printable(foreign).isprintable()
    assert text.one_line(f"error: {foreign}").isprintable()


def test_one_line_is_bounded() -> None:
    line = text.one_line("word " * 1000)
    assert len(line) == text.LINE_LIMIT and line.endswith("…")


def test_nearest_is_quick_on_a_hostile_name() -> None:
    assert text.nearest("x" * 1_000_000, [f"conv{i}" for i in range(50_000)]) == []


def test_nearest_ignores_case() -> None:
    assert text.nearest_hint("relu", ["ReLU", "Scale"]) == "; nearest: ReLU"
    assert text.nearest_hint("zzz", ["ReLU"]) == ""


@pytest.mark.parametrize(
    ("words", "encoding"),
    [("Kätzchen", "latin-1"), ("Hündin", "latin-1"), ("crème brûlée", "latin-1"),
     ("señor", "latin-1"), ("数据层", "gbk"), ("图像 分类，标签", "gbk"), ("猫 数据", "utf-8"), ("plain", "utf-8")],
)  # fmt: skip
def test_text_of_unknown_encoding(words: str, encoding: str) -> None:
    assert text.decoded(words.encode(encoding)) == (words, encoding)
