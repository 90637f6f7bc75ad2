"""The picture of an attribution: colors, scale, and what cannot be drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.errors import UsageError
from layerscope.measure.attribution import Attribution, attributions
from layerscope.show.attribution import attribution_text
from layerscope.show.attribution_picture import attribution_picture, overlay, ramp_of
from layerscope.units import Unit


def made(values: np.ndarray, **changes: object) -> Attribution:
    """An attribution of one map."""
    plain = Attribution(
        "occlusion", "Occlusion", "a paper", Unit("prob", (0, 3)), 0.5, "", "data", "",
        np.asarray(values, np.float32),
    )  # fmt: skip
    return replace(plain, **changes)


def words(found: list[Attribution]) -> list[str]:
    """All that is written on the page."""
    figure = attribution_picture(found).figure
    return [text.get_text() for text in figure.texts]


def test_zero_shows_the_image_and_the_largest_number_its_color() -> None:
    values = np.array([[0, 1], [2, 4]])
    picture = np.full((2, 2), 100, np.uint8)
    found = made(values, picture=picture)
    ramp = ramp_of(found)
    assert (ramp.low, ramp.high, ramp.color) == (0, 4, "heat")
    pixels = overlay(found, ramp)
    np.testing.assert_array_equal(pixels[0, 0], [120, 120, 120])  # the gray image, 40 + 0.8 gray
    light = pixels.astype(int) @ [0.299, 0.587, 0.114]
    assert light[1, 1] == light.max()
    away = np.abs(pixels.astype(int) - 120).sum(axis=2)
    assert away[0, 0] < away[0, 1] < away[1, 1]


def test_signs_have_two_hues_around_the_image() -> None:
    found = made(np.array([[-3, -0.1], [0, 2]]), picture=np.full((2, 2, 3), 100, np.uint8))
    ramp = ramp_of(found)
    assert (ramp.low, ramp.high, ramp.color) == (-3, 3, "diverging")
    pixels = overlay(found, ramp).astype(int)
    np.testing.assert_array_equal(pixels[1, 0], [120, 120, 120])
    assert pixels[0, 0, 2] > pixels[0, 0, 0] and pixels[0, 1, 2] > pixels[0, 1, 0]  # blue
    assert pixels[1, 1, 0] > pixels[1, 1, 2]  # red
    bar = ramp.bar().astype(int)[0]
    assert bar[0, 2] > bar[0, 0] and bar[-1, 0] > bar[-1, 2]
    assert np.ptp(bar[len(bar) // 2]) < 3  # gray in the middle


def test_maps_of_pixels_end_at_a_percentile_and_say_so() -> None:
    values = np.linspace(0, 1, 1000).reshape(1, 25, 40)
    values[0, 0, 0] = 50
    found = made(values, reduction="largest", channel_axis=0)
    ramp = ramp_of(found)
    assert ramp.high == pytest.approx(np.percentile(values, 99))
    assert ramp.over == "colors end at 99 % of the places; largest 50"
    assert ramp.ends() == ("0", "≥ 0.99")
    assert ramp_of(replace(found, at="conv5")).high == 50


def test_the_scale_and_the_unit_are_written() -> None:
    found = made(np.array([[0, 1.5], [2, 4]]), label="tabby cat", fed="cat.jpg, as it is")
    written = words([found])
    assert "prob:3 (tabby cat) = 0.5, Occlusion" in written
    assert "0" in written and "4" in written and "data: cat.jpg, as it is" in written


def test_a_sheet_has_a_heading_for_each(tmp_path: Path) -> None:
    net = ls.open(DEFINITION, WEIGHTS)
    names = ["gradient", "gradcam", "contribution"]
    found = attributions(net, str(images()["cat"]), "", names)
    written = words(found)
    for each in found:
        assert each.title in written
    assert "at conv5" in written and "As it was fed" in written
    attribution_picture(found).save(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 20_000


def test_nothing_is_cut_off() -> None:
    """Every text lies on the page, also where names are long."""
    found = made(
        np.random.default_rng(0).standard_normal((64, 40)), label="a very long name of a class " * 3,
        at="inception_5b/a_very_long_name_of_a_layer/output", notes=("a note " * 40,),
        shares=np.linspace(-1, 1, 12), unit=Unit("loss3/a_long_name_of_a_classifier", (0, 3)),
        picture=np.zeros((64, 40, 3), np.uint8),
    )  # fmt: skip
    for several in ([found], [found] * 5):
        figure = attribution_picture(several).figure
        figure.canvas.draw()
        width, height = figure.bbox.width, figure.bbox.height
        for text in [*figure.texts, *(t for axes in figure.axes for t in axes.get_xticklabels())]:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0, text.get_text()
            assert box.x1 <= width and box.y1 <= height, text.get_text()


def test_hostile_names_are_text() -> None:
    found = made(np.eye(3), label="$x^2$ \x1b[31m", unit=Unit("$a_b$", (0, 3)))
    assert any("$a_b$:3 ($x^2$ \\x1b[31m)" in line for line in words([found]))
    attribution_picture([found]).png()


def test_vectors_are_bars_and_volumes_are_refused() -> None:
    assert any("16 of 20 numbers shown" in line for line in words([made(np.arange(20))]))
    with pytest.raises(UsageError, match=r"is \(2, 3, 4\), which is no picture; save it as .npy"):
        attribution_picture([made(np.zeros((2, 3, 4)))])
    with pytest.raises(UsageError, match="no attribution is given"):
        attribution_picture([])


def test_where_a_scale_begins() -> None:
    assert ramp_of(made(np.array([[0.1, 1]]))).low == 0
    assert ramp_of(made(np.array([[0.4, 1]]))).low == pytest.approx(0.4)
    few = made(np.array([[[1.0, 2], [3, 90]]]), reduction="largest", channel_axis=0)
    assert ramp_of(few).high == 90 and not ramp_of(few).over


def test_a_map_of_zeros_has_no_scale() -> None:
    found = made(np.zeros((4, 5)), picture=np.zeros((4, 5), np.uint8))
    for several in ([found], [found, found]):
        assert "0 everywhere" in words(several) and "1" not in words(several)


@pytest.mark.parametrize("dims", [(300, 20), (20, 300), (1, 90), (90, 1)])
def test_shapes_that_are_far_from_square(dims: tuple[int, int]) -> None:
    found = made(np.random.default_rng(0).random(dims), picture=np.zeros(dims, np.uint8))
    for several in ([found], [found] * 3):
        figure = attribution_picture(several).figure
        figure.canvas.draw()
        for text in figure.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
        assert figure.bbox.height < 1.2 * figure.bbox.width


def test_text_of_odd_maps() -> None:
    assert "no place speaks for the unit" in attribution_text([made(-np.eye(2))])
    assert "from one number" not in attribution_text([made(np.zeros((2, 3, 4)))])


def test_values_of_the_unit_speak_neither_for_nor_against() -> None:
    """RISE on a score below 0: from the lowest to the largest, not all of it blue."""
    found = made(np.array([[-4, -3], [-2, -1]]), method="rise", picture=np.zeros((2, 2), np.uint8))
    ramp = ramp_of(found)
    assert (ramp.low, ramp.high, ramp.color, ramp.over) == (-4, -1, "heat", "")
    assert ramp.ends() == ("-4", "-1")
    light = overlay(found, ramp).astype(int).sum(axis=2)
    assert light[0, 0] < light[0, 1] < light[1, 0] < light[1, 1]
    text = attribution_text([found])
    assert "no place" not in text and "positive sum" not in text and "differences" in text
    assert not any("against" in each for each in words([found]))


def test_numbers_at_the_scale_are_written_out() -> None:
    assert ramp_of(made(np.array([[100, 172.3]]))).ends() == ("100", "172")
    assert "lies on 100 % of" in attribution_text([made(np.ones((1, 1)))])
