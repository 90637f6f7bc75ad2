from __future__ import annotations

import io
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from layerscope.errors import UsageError
from layerscope.pictures import Plot, histogram, plot, probabilities, vector

ODD = "$x^2_{$ \x1b[31m中😀 " + "long " * 60


def words(made: Plot) -> list[str]:
    """All texts of a plot, as they are drawn."""
    found = []
    for axes in made.axes:
        found += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        found += [text.get_text() for text in axes.texts]
    return found


def outside(made: Plot) -> list[str]:
    """The texts that reach over the edge of the figure."""
    made.png()
    edge = made.figure.bbox
    boxes = [
        (text.get_text(), text.get_window_extent())
        for axes in made.axes
        for text in [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]  # type: ignore[attr-defined]
        if text.get_text()
    ]
    return [
        name
        for name, box in boxes
        if box.x0 < edge.x0 or box.x1 > edge.x1 or box.y0 < edge.y0 or box.y1 > edge.y1
    ]


def heights(axes: Any) -> list[float]:
    """The heights of the bars, which are one shape that is at zero between them."""
    values, edges, _ = axes.patches[0].get_data()
    np.testing.assert_allclose((edges[::2] + edges[1::2]) / 2, np.arange(len(edges) // 2))
    assert (values[1::2] == 0).all()
    found: list[float] = values[::2].tolist()
    return found


def numbers_along(axis: Any) -> list[float]:
    """The places within the limits that have a number."""
    low, high = axis.get_view_interval()
    return [float(at) for at in axis.get_majorticklocs() if low <= at <= high]


def listed(made: Plot) -> list[tuple[str, str]]:
    """The (number, name) rows of the list beside the probabilities."""
    texts = [text.get_text() for text in made.axes[0].texts]
    assert texts[::3] == ["●"] * (len(texts) // 3)
    return list(zip(texts[1::3], texts[2::3], strict=True))


def test_plot_draws_each_value_over_its_index() -> None:
    made = plot(np.linspace(-1, 3, 65).reshape(5, 13), title="fc6")
    line = made.axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(65))
    np.testing.assert_array_equal(line.get_ydata(), np.linspace(-1, 3, 65))
    assert made.axes[0].get_title(loc="left") == "fc6\n65 values, -1 … 3"


@pytest.mark.parametrize("count", [1, 23, 64])
def test_few_values_are_bars_and_not_joined(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    for axes in (plot(values).axes[0], vector(values).axes[0]):
        assert heights(axes) == values.tolist()
        assert all(len(line.get_xdata()) == 2 for line in axes.lines)  # the line of zero
    assert plot(np.ones(65)).axes[0].lines


def test_few_bars_are_numbered_one_by_one() -> None:
    for function in (plot, probabilities):
        made = function(np.full(30, 0.1))
        assert numbers_along(made.axes[0].xaxis) == list(range(30))
        assert len(numbers_along(function(np.full(31, 0.1)).axes[0].xaxis)) < 12
        made.png()
        boxes = [label.get_window_extent() for label in made.axes[0].get_xticklabels()]
        assert all(one.x1 < two.x0 for one, two in itertools.pairwise(boxes))


def test_histogram_counts_every_value() -> None:
    made = histogram([0.0, 0.1, 1.0, 1.0, 4.0], bins=4)
    counts, edges, _ = made.axes[0].patches[0].get_data()  # type: ignore[attr-defined]
    assert counts.tolist() == [2, 2, 0, 1]
    assert edges.tolist() == [0, 1, 2, 3, 4]


def test_histogram_of_positive_values_says_how_many() -> None:
    made = histogram([-1.0, 0.0, 0.5, 2.5, np.nan], bins=2, positive=True)
    counts, edges, _ = made.axes[0].patches[0].get_data()  # type: ignore[attr-defined]
    assert counts.tolist() == [1, 1]
    assert edges.tolist() == [0.5, 1.5, 2.5]
    assert words(made)[0] == "values > 0: 2 of 5; 1 value not finite"


def test_vector_of_a_rectifier_has_the_histogram_of_what_is_above_zero() -> None:
    made = vector(np.maximum(np.linspace(-1, 3, 4096, dtype=np.float32), 0), title="fc6")
    above, below = made.axes
    assert len(above.lines[0].get_ydata()) == 4096  # type: ignore[arg-type]
    assert below.get_title(loc="left") == "values > 0: 3,072 of 4,096"
    assert below.patches[0].get_data()[0].sum() == 3072  # type: ignore[attr-defined]
    assert above.get_position().y0 > below.get_position().y1


def test_vector_with_negative_values_has_the_histogram_of_all() -> None:
    below = vector(np.linspace(-1, 3, 23), title="fc8").axes[1]
    assert below.get_title(loc="left") == "histogram of all 23 values"
    counts, edges, _ = below.patches[0].get_data()  # type: ignore[attr-defined]
    assert counts.sum() == 23
    assert (edges[0], edges[-1]) == (-1, 3)


def test_one_value_is_spoken_of_as_one() -> None:
    assert vector([2.0]).axes[1].get_title(loc="left") == "values > 0: 1 of 1"
    assert vector([-2.0]).axes[1].get_title(loc="left") == "histogram of 1 value"


@pytest.mark.parametrize(("count", "bins"), [(1, 5), (23, 10), (400, 40), (1_000_000, 100)])
def test_bins_fit_the_count(count: int, bins: int) -> None:
    counts, _, _ = histogram(np.arange(count)).axes[0].patches[0].get_data()  # type: ignore[attr-defined]
    assert len(counts) == bins


@pytest.mark.parametrize("count", [1, 3, 23, 1000])
def test_counts_are_whole_numbers(count: int) -> None:
    made = histogram(np.linspace(0, 1, count))
    marks = numbers_along(made.axes[0].yaxis)
    assert len(marks) >= 2
    assert all(mark == int(mark) for mark in marks)


def test_probabilities_list_the_best_by_name() -> None:
    values = np.array([0.05, 0.5, 0.02, 0.25, 0.1, 0.08])
    made = probabilities(values, ["a", "b", "c", "d", "e", "f"], title="cat.jpg")
    assert listed(made) == [
        ("50.0%", "b"),
        ("25.0%", "d"),
        ("10.0%", "e"),
        ("8.0%", "f"),
        ("5.0%", "a"),
    ]
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in made.axes[0].lines]  # type: ignore[index]
    assert marks == [(1, 0.5), (3, 0.25), (4, 0.1), (5, 0.08), (0, 0.05)]
    assert heights(made.axes[0]) == values.tolist()


def test_scores_are_not_called_percentages() -> None:
    made = probabilities([-4.0, 12.25, 3.0], top=2)
    assert listed(made) == [("12.25", "class 1"), ("3", "class 2")]
    assert made.axes[0].get_ylabel() == "score"


def test_equal_probabilities_are_listed_in_order() -> None:
    assert [name for _, name in listed(probabilities(np.full(7, 1 / 7), top=3))] == [
        "class 0",
        "class 1",
        "class 2",
    ]


@pytest.mark.parametrize("count", [1, 2, 10, 1000])
@pytest.mark.parametrize("top", [5, 10])
def test_hostile_labels_stay_inside_and_apart(count: int, top: int) -> None:
    values = np.random.default_rng(9).dirichlet(np.ones(count))
    made = probabilities(values, [ODD.replace("long", "WWWW")] * count, top, title=ODD)
    assert outside(made) == []
    assert len(listed(made)) == min(top, count)
    boxes = [text.get_window_extent() for text in made.axes[0].texts]
    for a, one in enumerate(boxes):
        for two in boxes[a + 1 :]:
            assert not (
                min(one.x1, two.x1) - max(one.x0, two.x0) > 0
                and min(one.y1, two.y1) - max(one.y0, two.y0) > 0
            )
    for _, name in listed(made):
        assert name.startswith("$x^2_{$ \\x1b[31m\\u4e2d")
        assert name.endswith("…")


@pytest.mark.parametrize("function", [plot, histogram, vector, probabilities])
@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [np.nan],
        [np.nan, np.inf, -np.inf, 1.0, 2.0],
        np.zeros(7),
        np.full(9, -3.0),
        [-1.7e308, 1.7e308],
        np.array([-3e38, 3e38], np.float32),
        [0.0, 5e-324],
        [1.0, 1.0 + 2**-52],
        [1e17, 1e17 + 16],
        [True, False, True],
        np.arange(5, dtype=np.float16),
        np.array([0, 2**63], np.uint64),
    ],
)
def test_odd_values_are_drawn_without_a_warning(function: Any, values: Any) -> None:
    assert function(values, title=ODD).png(dpi=40).startswith(b"\x89PNG")


@pytest.mark.parametrize("function", [plot, histogram, vector, probabilities])
def test_a_title_is_literal_and_not_cut_off(function: Any) -> None:
    made = function(np.linspace(0, 1, 11), title=ODD)
    assert words(made)[0].startswith("$x^2_{$ \\x1b[31m\\u4e2d")
    assert outside(made) == []


@pytest.mark.parametrize("function", [plot, histogram, probabilities])
def test_draws_into_the_axes_it_is_given(function: Any) -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    made = function(np.linspace(0, 1, 11), ax=right)
    assert made.axes == (right,)
    assert made.figure is figure
    assert right.has_data()
    assert not any(text.get_parse_math() for text in [right._left_title, *right.texts])  # type: ignore[attr-defined]
    assert not left.has_data()
    part = Figure().subfigures(1, 2)[1].subplots()
    assert isinstance(function([1.0, 2.0], ax=part).figure, Figure)


@pytest.mark.parametrize("function", [plot, histogram, vector, probabilities])
@pytest.mark.parametrize("values", [[], np.zeros((3, 0)), ["a"], [1j]])
def test_what_cannot_be_plotted(function: Any, values: Any) -> None:
    with pytest.raises(UsageError, match=r"empty|real numbers"):
        function(values)


def test_options_that_are_not_possible() -> None:
    with pytest.raises(UsageError, match="3 values, but 2 labels"):
        probabilities([0.1, 0.2, 0.7], ["a", "b"])
    with pytest.raises(UsageError, match="possible: 0 to 10"):
        probabilities([0.1, 0.9], top=11)
    with pytest.raises(UsageError, match="possible: 1 to 100000"):
        histogram([0.1, 0.9], bins=0)


@pytest.mark.parametrize(
    ("kind", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_saved_files_are_the_same_each_time(tmp_path: Path, kind: str, head: bytes) -> None:
    path = tmp_path / f"a.{kind}"
    vector([1.0, 2.0, 3.0], "fc6").save(path)
    first = path.read_bytes()
    vector([1.0, 2.0, 3.0], "fc6").save(path)
    assert first.startswith(head)
    assert path.read_bytes() == first
    assert b"CreationDate" not in first
    assert b"dc:date" not in first


def test_an_unknown_suffix_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"possible: \.png, \.svg, \.pdf"):
        plot([1.0]).save(tmp_path / "a.jpg")


def test_resolution() -> None:
    made = plot([1.0, 2.0])
    with Image.open(io.BytesIO(made.png(dpi=50))) as image:
        assert image.size == (320, made.figure.get_size_inches()[1] * 50 // 1)
    assert re.fullmatch(r"<Plot 6\.4x\d\.\d+ inches: untitled>", repr(made))
    assert made._repr_png_() == made.png()


def overlapping(made: Plot) -> list[tuple[str, str]]:
    """Pairs of texts that are drawn over each other, the numbers along the axes among them."""
    made.png()
    texts: list[Any] = []
    for axes in made.axes:
        texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]  # type: ignore[attr-defined]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
            texts.append(axis.offsetText)
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text()]
    return [
        (a, b)
        for (a, one), (b, two) in itertools.combinations(boxes, 2)
        if min(one.x1, two.x1) > max(one.x0, two.x0) and min(one.y1, two.y1) > max(one.y0, two.y0)
    ]


@pytest.mark.parametrize("function", [plot, histogram, vector, probabilities])
@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        np.linspace(-1, 1, 30) * 1e-7,
        np.linspace(-1, 1, 1000) * 123456,
        [1e17, 1e17 + 16, 1e17 + 48],
        np.linspace(0, 1, 12) / 12,
        [-1.7e308, 1.7e308],
    ],
    ids=["one", "tiny", "large", "far", "shares", "ends"],
)
@pytest.mark.parametrize("title", ["", "fc6 (1, 4096)", ODD], ids=["none", "usual", "odd"])
def test_texts_stay_inside_and_apart(function: Any, values: Any, title: str) -> None:
    made = function(values, title=title)
    assert outside(made) == []
    assert overlapping(made) == []


def test_a_plot_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout engine of matplotlib would draw it twice, to find the margins."""
    drawn = []
    draw = Figure.draw

    def counted(self: Figure, renderer: Any) -> None:
        drawn.append(self)
        draw(self, renderer)

    monkeypatch.setattr(Figure, "draw", counted)
    made = vector(np.linspace(-1, 1, 100))
    assert drawn == []
    made.png()
    assert drawn == [made.figure]
    assert made.figure.get_layout_engine() is None


def test_a_plot_has_letters_for_a_small_screen() -> None:
    """The classes of a net are many: their plot is wide, and scrolls in a page that is not."""
    narrow, wide = (plot([1.0]), vector([1.0]), histogram([1.0])), (probabilities([1.0]),)
    for made in narrow + wide:
        width, height = made.figure.get_size_inches()
        assert width == (10.0 if made in wide else 6.4)
        assert height > 2.8
        assert made.axes[0].xaxis.label.get_size() >= 12


def test_nobodys_settings_are_changed() -> None:
    with matplotlib.rc_context({"font.size": 17.5, "axes.grid": False}):
        vector([1.0, 2.0]).png()
        probabilities([0.5, 0.5]).png()
        assert matplotlib.rcParams["font.size"] == 17.5
        assert not matplotlib.rcParams["axes.grid"]


def test_pyplot_is_never_loaded() -> None:
    code = (
        "import sys, layerscope.pictures as p\n"
        "p.vector([1.0, 2.0]).png(); p.probabilities([0.5, 0.5]).png()\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
