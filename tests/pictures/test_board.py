"""The page that grows downwards: nothing overlaps, nothing is cut, colours are those of a grid."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from layerscope.pictures import color as colors
from layerscope.pictures import frame, grid
from layerscope.pictures.board import Board, scale_of, tinted


def pixels_of(board: Board) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(board.plot("a").png(72))).convert("RGB"))


def test_a_tile_lies_where_it_was_put() -> None:
    board = Board(200)
    plane = np.zeros((2, 2, 3), np.uint8)
    plane[0, 1] = (255, 0, 0)
    assert board.tile((20, 30, 40, 60), plane) == 90
    page = pixels_of(board)
    assert page.shape == (102, 200, 3)
    assert page[45, 30].tolist() == [0, 0, 0] and page[45, 50].tolist() == [255, 0, 0]
    assert page[75, 50].tolist() == [0, 0, 0]
    assert (page[:28] == 255).all() and (page[:, :18] == 255).all() and (page[93:] == 255).all()


def test_the_mark_is_around_its_cell() -> None:
    board = Board(200)
    board.tile((50, 50, 90, 90), np.full((3, 3, 3), 128, np.uint8), mark=(2, 0))
    red = (pixels_of(board) == (0xD1, 0x49, 0x5B)).all(axis=2)
    rows, columns = np.nonzero(red)
    assert abs(rows.min() - 110) <= 2 and abs(rows.max() - 140) <= 2
    assert abs(columns.min() - 50) <= 2 and abs(columns.max() - 80) <= 2


def test_text_is_wrapped_and_the_page_is_as_high_as_it() -> None:
    words = "convolution " * 30
    low, high = Board(400), Board(400)
    one, many = low.text(10, 10, "convolution", room=380), high.text(10, 10, words, room=380)
    lines = round((many - 10) / (one - 10))
    assert lines == -(-30 // int((380 + frame.width(" ")) / frame.width("convolution ")))
    page = pixels_of(high)
    assert page.shape[0] == round(many + 12)
    assert (page[:, :9] == 255).all() and (page[:, 392:] == 255).all()
    assert (page[-10:] == 255).all() and (page[-40:-10] < 100).any()


def test_a_long_text_is_not_cut() -> None:
    board = Board(300)
    assert board.text(0, 0, " ".join(["word"] * 100), room=300) > 10 * 1.35 * frame.LETTER


def test_bars_point_their_way() -> None:
    board = Board(300)
    assert board.bars((0, 0, 300), [("a", "", 2.0), ("b", "", -1.0), ("c", "", float("nan"))]) == 45
    page = pixels_of(board)
    blue = (page == (0x2A, 0x6F, 0xBB)).all(axis=2)
    red = (page == (0xD1, 0x49, 0x5B)).all(axis=2)
    assert np.nonzero(red)[1].max() <= np.nonzero(blue)[1].min()
    assert blue[:15].any() and not blue[15:].any() and red[15:30].any() and not red[30:].any()
    assert abs(blue.any(axis=0).sum() - 2 * red.any(axis=0).sum()) <= 2


def test_long_names_leave_room_for_the_bars() -> None:
    board = Board(300)
    board.bars((10, 0, 280), [("W" * 90, "1.234 × 5.678", 1.0), ("b", "", -1.0)])
    page = pixels_of(board)
    assert (page[:, 291:] == 255).all()
    for color in ((0x2A, 0x6F, 0xBB), (0xD1, 0x49, 0x5B)):
        assert (page == color).all(axis=2).any(axis=0).sum() >= 18


def test_colours_are_those_of_a_grid() -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    drawn = grid(values, "signed", gap=0, columns=3).array
    for i in range(3):
        mine = tinted(values[i], "diverging", scale_of(values, signed=True))
        assert np.array_equal(mine, drawn[:, 5 * i : 5 * i + 5])


def test_cells_that_are_not_there_are_gray_and_not_finite_ones_magenta() -> None:
    values = np.array([[1.0, np.nan], [2.0, 3.0]])
    inside = np.array([[True, True], [True, False]])
    found = tinted(values, "gray", scale_of(values[None], signed=False), inside)
    assert found[0, 1].tolist() == list(colors.NOT_A_NUMBER)
    assert found[1, 1].tolist() == [226, 228, 232]
    assert found[0, 0].tolist() == [0, 0, 0]
