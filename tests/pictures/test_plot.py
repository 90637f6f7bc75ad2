from __future__ import annotations

import io
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


def listed(made: Plot) -> list[tuple[str, str]]:
    """The (number, name) rows of the list beside the probabilities."""
    texts = [text.get_text() for text in made.axes[0].texts]
    assert texts[::3] == ["●"] * (len(texts) // 3)
    return list(zip(texts[1::3], texts[2::3], strict=True))


def test_plot_draws_each_value_over_its_index() -> None:
    made = plot([[3.0, -1.0], [2.0, 0.5]], title="fc6")
    line = made.axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
    np.testing.assert_array_equal(line.get_ydata(), [3, -1, 2, 0.5])
    assert made.axes[0].get_title(loc="left") == "fc6\n4 values, -1 … 3"


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
    assert words(made)[0] == "2 of 5 values are positive; 1 value not finite"


def test_vector_has_values_above_and_positive_ones_below() -> None:
    made = vector(np.linspace(-1, 3, 4096, dtype=np.float32), title="fc6")
    above, below = made.axes
    assert len(above.lines[0].get_ydata()) == 4096  # type: ignore[arg-type]
    assert below.get_title(loc="left") == "3,072 of 4,096 values are positive"
    assert above.get_position().y0 > below.get_position().y1


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
    assert [bar.get_height() for bar in made.axes[0].patches] == values.tolist()  # type: ignore[attr-defined]


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
        assert len(name) == 36


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
        assert image.size == (450, 160)
    assert repr(made) == "<Plot 9x3.2 inches: untitled>"
    assert made._repr_png_() == made.png()


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
