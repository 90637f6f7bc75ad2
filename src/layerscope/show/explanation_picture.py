"""The arithmetic of one unit as a picture for a slide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measure.explain import Derivation, Explainer, Step, Window
from layerscope.measure.explain.derivation import CONSTANT
from layerscope.pictures import Plot
from layerscope.pictures.board import SMALL, Board, scale_of, tinted
from layerscope.pictures.color import Color
from layerscope.pictures.frame import width
from layerscope.show.explanation import (
    equation,
    layer_label,
    outside_words,
    pixel_words,
    place,
    role_heading,
    spans,
    step_label,
    unit_label,
)
from layerscope.show.sight import Sight, sight_of
from layerscope.text import number, printable

WIDTH = 760.0
PLANES, BARS, STEPS = 3, 8, 6
_EDGE, _GAP = 16.0, 14.0
_LEFT = 190.0  # the column of the image
_TILE = 118.0
_SIGN = 24.0
_ROOMY, _MOST_NUMBERED = 29.0, 64
_SOFT = "#555b66"


def explanation_picture(explainer: Explainer, found: Derivation) -> Plot:
    """Draw an explanation: the image with what the unit sees, then each step in computing order.

    Args:
        explainer: of the run, for the image that was fed.
        found: what to draw.
    """
    board = Board(WIDTH)
    sight = sight_of(explainer, found)
    title = f"{unit_label(found)} = {number(found.value, 6)}"
    y = board.text(_EDGE, 10, title, size=18, bold=True, room=WIDTH - 2 * _EDGE)
    layers = ", then ".join(map(layer_label, found.layers))
    y = board.text(_EDGE, y + 2, layers, color=_SOFT, room=WIDTH - 2 * _EDGE)
    if sight.words:
        y = board.text(_EDGE, y, sight.words, color=_SOFT, room=WIDTH - 2 * _EDGE)
    y = board.rule(_EDGE, y + 2, WIDTH - 2 * _EDGE)
    left = _EDGE
    if sight.picture is not None:
        _draw_sight(board, sight, y)
        left += _LEFT + 2 * _GAP
    room = WIDTH - _EDGE - left
    steps = found.steps[:STEPS]
    for position, step in enumerate(reversed(steps)):
        if position:
            y = board.rule(left, y, room)
        y = _draw_step(board, step, (left, y, room))
    if len(found.steps) + found.more > len(steps):
        total = len(found.steps) + found.more
        y = board.text(left, y, f"last {len(steps)} of {total} steps shown", color=_SOFT)
    _draw_end(board, found, (left, y, room))
    return board.plot(title)


def _draw_sight(board: Board, sight: Sight, y: float) -> float:
    """The image with a frame around what the unit sees, and that part enlarged."""
    picture = sight.picture
    assert picture is not None
    left, wide = _EDGE + 16, _LEFT - 16
    rows, columns = picture.shape[:2]
    high = min(wide * rows / columns, 300.0)
    y = board.text(_EDGE, y, f"{printable(sight.input, 24)}, as it was fed", size=SMALL)
    y = board.image((left, y + 2, wide, high), picture, _frame(sight.box)) + 5
    if sight.box is None:
        return y
    x0, y0, x1, y1 = sight.box
    cut = picture[y0 : y1 + 1, x0 : x1 + 1]
    if max(cut.shape[:2]) <= 1 or cut.shape[:2] == picture.shape[:2]:
        return y
    high = min(wide * cut.shape[0] / cut.shape[1], 300.0)
    y = board.text(_EDGE, y, f"what it sees, {cut.shape[1]}x{cut.shape[0]} pixels", size=SMALL)
    return board.image((left, y + 2, wide, high), cut, corner=(x0, y0))


def _frame(box: tuple[int, int, int, int] | None) -> tuple[float, float, float, float] | None:
    if box is None:
        return None
    x0, y0, x1, y1 = box
    return x0 - 0.5, y0 - 0.5, x1 - x0 + 1, y1 - y0 + 1


def _draw_step(board: Board, step: Step, box: tuple[float, float, float]) -> float:
    x, y, room = box
    y = board.text(x, y, step_label(step), bold=True, room=room) + 2
    if step.window is not None and step.window.weights is not None:
        y = _draw_products(board, step, step.window, (x, y, room))
    elif step.window is not None:
        y = _draw_window(board, step, step.window, (x, y))
    else:
        y = _draw_operands(board, step, (x, y, room))
    return board.text(x, y + 2, f"= {equation(step, 6)}", room=room) + 2


def _draw_operands(board: Board, step: Step, box: tuple[float, float, float]) -> float:
    """A line for a single number, bars for many."""
    x, y, room = box
    for role in dict.fromkeys(operand.role for operand in step.operands):
        operands = step.operands_of(role)
        if step.counts[role] == 1:
            at = place(operands[0].source, operands[0].index)
            if operands[0].source == CONSTANT:
                continue
            taken = step.kind == "copy" and role == "x"
            words = f"taken from {at}" if taken else f"{role} = {at} = {number(operands[0].value)}"
            y = board.text(x, y, words, size=SMALL, color=_SOFT, room=room)
            continue
        y = board.text(x, y, role_heading(step, role, BARS), size=SMALL, color=_SOFT, room=room)
        rows = []
        for operand in operands[:BARS]:
            weighed = operand.weight is not None
            note = f"{number(operand.value, 4)}"
            note += f" × {number(operand.weight or 0.0, 4)}" if weighed else ""
            note += f" → {number(operand.part, 4)}" if operand.part != operand.value else ""
            rows.append((place(operand.source, operand.index), note, operand.part))
        mine = [o.index == _own(step) for o in operands[:BARS]]
        y = board.bars((x, y + 2, room), rows, mine.index(True) if True in mine else None) + 3
    return y


def _own(step: Step) -> tuple[int, ...]:
    """The place of the unit itself among those that it is compared with."""
    return step.index if step.kind in ("norm", "softmax") else ()


def _draw_window(board: Board, step: Step, window: Window, box: tuple[float, float]) -> float:
    """The window of a pooling; the winner has a frame."""
    x, y = box
    plane = window.winner[0] if window.winner else 0
    y = board.text(x, y, _where(step, window), size=SMALL, color=_SOFT)
    if step.outside:
        y = board.text(x, y, _outside(step), size=SMALL, color=_SOFT)
    inside = window.inside[plane]
    values = window.values[plane]
    wide, high = _sides(values.shape, 1.6 * _TILE)
    pixels = _tint(values, window.values[window.inside], "gray", inside)
    mark = window.winner[1:] if window.winner else None
    return (
        board.tile(
            (x, y + 3, wide, high),
            pixels,
            _words(values, inside, _decimals(values, wide / values.shape[1])),
            mark,
        )
        + 4
    )


def _draw_products(
    board: Board, step: Step, window: Window, box: tuple[float, float, float]
) -> float:
    """Patch, kernel and product of the channels that add most, one row each."""
    x, y, room = box
    assert window.weights is not None
    shown = window.order[:PLANES].tolist()
    y = board.text(x, y, _where(step, window), size=SMALL, color=_SOFT, room=room)
    if step.outside:
        y = board.text(x, y, _outside(step), size=SMALL, color=_SOFT)
    there = window.inside[shown]
    kinds: list[tuple[str, NDArray[Any], Color]] = [
        ("patch", window.values, "gray"),
        ("kernel", window.weights, "diverging"),
        ("product", window.parts, "diverging"),
    ]
    told = {
        name: array[shown] if name == "kernel" else array[shown][there] for name, array, _ in kinds
    }
    for column, name in enumerate(told):
        board.text(x + column * (_TILE + _SIGN), y + 2, _heading(name, told[name]), size=SMALL)
    y += 17
    side = _sides(window.values.shape[1:], _TILE)[0] / window.values.shape[2]
    digits = {name: _decimals(numbers, side) for name, numbers in told.items()}
    widest = dict.fromkeys(told, "")
    if window.values[0].size <= _MOST_NUMBERED:
        widest = {name: _widest(numbers, digits[name]) for name, numbers in told.items()}
    for plane in shown:
        wide, high = _sides(window.values.shape[1:], _TILE)
        y = board.text(x, y, f"{window.labels[plane]}", size=SMALL, color=_SOFT)
        for column, (name, array, color) in enumerate(kinds):
            inside = None if name == "kernel" else window.inside[plane]
            known = array[shown] if name == "kernel" else array[shown][there]
            pixels = _tint(array[plane], known, color, inside)
            left = x + column * (_TILE + _SIGN)
            words = _words(array[plane], inside, digits[name])
            board.tile((left, y, wide, high), pixels, words, widest=widest[name])
            if column:
                sign = "×" if column == 1 else "="
                middle = left - (_TILE + _SIGN - wide) / 2
                board.text(middle, y + high / 2 - 10, sign, size=15, align="center")
        left = x + 3 * _TILE + 2 * _SIGN + 10 - (_TILE - wide)
        board.text(left, y + high / 2 - 16, "sum", size=SMALL, color=_SOFT)
        board.text(left, y + high / 2 - 2, number(float(window.sums[plane]), 4))
        y += high + 6
    return _draw_rest(board, step, window, (x, y))


def _draw_rest(board: Board, step: Step, window: Window, box: tuple[float, float]) -> float:
    """What the channels that are not shown add."""
    x, y = box
    total, shown = len(window.values), min(PLANES, len(window.values))
    if total == 1:
        return y
    words = f"{shown} of {total} channels shown, largest sums first"
    if total > shown:
        rest = float(window.sums[window.order[shown:]].sum())
        others = "the other one adds" if total - shown == 1 else f"the other {total - shown} add"
        words += f"; {others} {number(rest)}"
    return board.text(x, y, words, size=SMALL, color=_SOFT)


def _draw_end(board: Board, found: Derivation, box: tuple[float, float, float]) -> float:
    """How far the engine agrees, or why there is no arithmetic, or how an input was fed."""
    x, y, room = box
    y = board.rule(x, y, room)
    lines: Sequence[str]
    if found.reason:
        shapes = (f"{printable(name, 40)} {tuple(dims)}" for name, dims in found.bottoms)
        lines = [found.reason, *shapes]
    elif not found.steps:
        lines = [found.statement]
        if found.pixel:
            lines = [*lines, pixel_words(found)]
    else:
        lines = [
            f"engine (float32) {number(found.value, 8)}, recomputed (float64)"
            f" {number(found.recomputed or 0.0, 8)}, difference"
            f" {number(found.difference or 0.0, 2)}"
        ]
        if found.strongest:
            lines = [*lines, f"owes most to {printable(found.strongest)}"]
    for line in lines:
        y = board.text(x, y, line, size=SMALL, color=_SOFT, room=room)
    return y


def _where(step: Step, window: Window) -> str:
    source = printable(step.operands[0].source if step.operands else step.terms[0].source, 40)
    rows, columns = spans(window)
    if not rows:
        return f"reads nothing of {source}"
    whose = f"{window.labels[0]} of " if window.weights is None else ""
    return f"{whose}{source}, y {rows}, x {columns}"


def _outside(step: Step) -> str:
    return f"{outside_words(step)}, in gray"


def _sides(dims: Sequence[int], most: float) -> tuple[float, float]:
    """Width and height of a tile with square cells."""
    rows, columns = dims[-2:]
    cell = min(most / columns, most / rows, 48.0)
    return columns * cell, max(rows * cell, 14.0)


def _tint(
    plane: NDArray[Any], known: NDArray[Any], color: Color, inside: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    numbers = known if known.size else np.zeros(1)
    return tinted(plane, color, scale_of(numbers[None], signed=color == "diverging"), inside)


def _words(plane: NDArray[Any], inside: NDArray[np.bool_] | None, decimals: int) -> list[list[str]]:
    return [
        [
            "" if inside is not None and not inside[y, x] else _cell(v, decimals)
            for x, v in enumerate(row)
        ]
        for y, row in enumerate(plane)
    ]


def _cell(value: float, decimals: int) -> str:
    """A number that is to stand in a cell; all cells of a kind have as many decimals."""
    if not np.isfinite(value) or decimals < 0 or decimals > 5:
        return number(float(value), 2)
    words = f"{float(value):.{decimals}f}"
    if float(words):
        return words
    return number(float(value), 1)  # a small one beside large ones is not nothing


def _decimals(numbers: NDArray[Any], side: float) -> int:
    """So many that the largest has three digits, two in a small cell; -1 for a power of ten."""
    most = float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0))
    if most == 0 or most >= 1e5:
        return 0 if most == 0 else -1
    return max(0, (2 if side >= _ROOMY else 1) - math.floor(math.log10(most)))


def _widest(numbers: NDArray[Any], decimals: int) -> str:
    """The longest text of the cells, by which the letters of all tiles are sized."""
    return max((_cell(v, decimals) for v in numbers.ravel()), key=len, default="")


def _heading(name: str, numbers: NDArray[Any]) -> str:
    """What a column shows and from where to where, as exactly as there is room for."""
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return f"{name}, not finite" if numbers.size else f"{name}, empty"
    for digits in (3, 2, 1):
        low, high = (number(float(end), digits) for end in (finite.min(), finite.max()))
        words = f"{name}, {low} … {high}"
        if width(words, SMALL) < _TILE + _SIGN - 8:
            return words
    return name
