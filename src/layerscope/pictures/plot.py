"""Vectors as plots: values, their histogram, the probabilities of classes.

Drawn with matplotlib, without pyplot and without a change to anybody's settings.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerscope import text
from layerscope.errors import UsageError
from layerscope.files import format_of, write_file
from layerscope.pictures import frame
from layerscope.pictures.frame import BLUE, GRAY, INK, LINE, Panel
from layerscope.pictures.scale import real_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
_RANKS = (
    *("#d1495b", "#e08e1a", "#3a8f5c", "#2a6fbb", "#7a4fa3"),
    *("#8c564b", "#e377c2", "#17a2b8", "#9aa522", "#555555"),
)
_LARGEST = 1e300  # beyond it an axis cannot have margins
_LIKE_BARS = 64  # up to so many values are drawn as bars: neighbours have nothing to do with it
_LIKE_MANY = 6  # fewer bars are not made wider
_EACH_NUMBERED = 30  # up to so many bars have their number below
_MOST_BINS = 100


class Plot:
    """A drawn plot, which shows itself in a notebook and saves itself.

    Attributes:
        figure: the matplotlib figure; the one of `ax` when one was given.
        axes: what was drawn into, from top to bottom.
        title: one printable line.
    """

    def __init__(self, figure: Figure, axes: Sequence[Axes], title: str) -> None:
        self.figure = figure
        self.axes = tuple(axes)
        self.title = title

    def __repr__(self) -> str:
        width, height = self.figure.get_size_inches()
        return f"<Plot {width:g}x{height:g} inches: {self.title or 'untitled'}>"

    def _repr_png_(self) -> bytes:
        return self.png()

    def png(self, dpi: float = 100) -> bytes:
        """The plot as a PNG file; `dpi` are pixels per inch."""
        return self._encoded("png", dpi)

    def save(self, path: str | os.PathLike[str], dpi: float = 150) -> None:
        """Write the plot as .png, .svg or .pdf, as the name asks for.

        Raises:
            UsageError: another suffix, or `path` is a folder.
            SystemFaultError: the system refused; an existing file is untouched.
        """
        target = Path(path)
        write_file(target, self._encoded(format_of(target, FORMATS), dpi))

    def _encoded(self, kind: str, dpi: float) -> bytes:
        undated: dict[str, dict[str, Any]] = {
            "png": {"Software": None},
            "svg": {"Date": None},
            "pdf": {"CreationDate": None},
        }
        quick: dict[str, Any] = {"pil_kwargs": {"compress_level": 3}} if kind == "png" else {}
        file = io.BytesIO()
        with frame.style():
            self.figure.savefig(file, format=kind, dpi=dpi, metadata=undated[kind], **quick)
        return file.getvalue()


def plot(values: npt.ArrayLike, title: str = "", ax: Axes | None = None) -> Plot:
    """Draw each value of a vector over its index: as bars up to 64 values, else as a line.

    Args:
        values: real numbers of any shape, read in order; NaN and infinities are left out.
        title: what the vector is.
        ax: draw into these axes instead of a new figure.

    Raises:
        UsageError: no values, or not numbers.
    """
    numbers = _Numbers(values)
    with frame.style():
        axes = ax or frame.figure().subplots()
        note = _draw_values(axes, numbers)
        return _finished(axes, title, note, ax is None)


def histogram(
    values: npt.ArrayLike,
    bins: int | None = None,
    positive: bool = False,
    title: str = "",
    ax: Axes | None = None,
) -> Plot:
    """Draw how often which values occur.

    Args:
        values: real numbers of any shape; NaN and infinities are left out.
        bins: how many intervals of equal width; by default 5 to 100, as fits the count.
        positive: count only the values above zero, and say how many of all these are.
        title: what the values are.
        ax: draw into these axes instead of a new figure.

    Raises:
        UsageError: no values, or not numbers; no bins.
    """
    numbers = _Numbers(values)
    if bins is not None and not 1 <= bins <= 100_000:
        raise UsageError(f"a histogram of {bins} bins is not possible; possible: 1 to 100000")
    with frame.style():
        axes = ax or frame.figure().subplots()
        note = _draw_histogram(axes, numbers, bins, positive)
        return _finished(axes, title, note, ax is None)


def vector(values: npt.ArrayLike, title: str = "") -> Plot:
    """Draw a vector twice: its values above, their histogram below.

    Where no value is negative, as behind a ReLU, the histogram is that of the values above zero.

    Raises:
        UsageError: no values, or not numbers.
    """
    numbers = _Numbers(values)
    rectified = len(numbers.finite) > 0 and bool((numbers.finite >= 0).all())
    with frame.style():
        figure = frame.figure()
        above, below = figure.subplots(2, 1)
        notes = _draw_values(above, numbers), _draw_histogram(below, numbers, None, rectified)
        frame.fit(figure, [Panel(above, title, notes[0]), Panel(below, "", notes[1])])
    return Plot(figure, [above, below], text.printable(title))


def probabilities(
    values: npt.ArrayLike,
    labels: Sequence[str] | None = None,
    top: int = 5,
    title: str = "",
    ax: Axes | None = None,
) -> Plot:
    """Draw the output of a classifier, with the highest classes marked and listed by name.

    Values within 0..1 are listed as percentages, others (scores before the softmax) as they are.

    Args:
        values: one real number for each class, of any shape, read in order.
        labels: the name of each class; without it they are called by their index.
        top: how many classes to list, 0 to 10.
        title: what was classified.
        ax: draw into these axes instead of a new figure; the list is below them, for which their
            figure needs room (or layout="constrained").

    Raises:
        UsageError: no values, not numbers, more or fewer labels than values, or another `top`.
    """
    numbers = _Numbers(values)
    if labels is not None and len(labels) != len(numbers.all):
        raise UsageError(
            f"cannot name the classes: {text.plural(len(numbers.all), 'value')}, "
            f"but {text.plural(len(labels), 'label')}"
        )
    if not 0 <= top <= 10:
        raise UsageError(f"the top {top} cannot be listed; possible: 0 to 10")
    with frame.style():
        axes = ax or frame.figure(frame.WIDE).subplots()
        note = _draw_classes(axes, numbers)
        below = LINE * min(top, len(numbers.finite))
        made = _finished(axes, title, note, ax is None, below)
        _list_best(axes, numbers, labels, top)
    return made


def _finished(axes: Axes, title: str, note: str, ours: bool, below: float = 0.0) -> Plot:
    figure = frame.owner(axes)
    if ours:
        frame.fit(figure, [Panel(axes, title, note, height=150, below=below)])
    else:
        frame.head(axes, title, note)
    return Plot(figure, [axes], text.printable(title))


class _Numbers:
    """A vector, and which of its values can be drawn."""

    def __init__(self, values: npt.ArrayLike) -> None:
        array = real_numbers(values)
        if array.size == 0:
            raise UsageError(
                f"nothing to plot: the array of shape {text.shape(array.shape)} is empty"
            )
        self.all = array.reshape(-1).astype(np.float64)
        finite = np.isfinite(self.all)
        self.missing = int(self.all.size - np.count_nonzero(finite))
        np.clip(self.all, -_LARGEST, _LARGEST, out=self.all)
        self.all[~finite] = np.nan
        self.finite = self.all[finite]

    @property
    def note(self) -> str:
        return f"; {text.plural(self.missing, 'value')} not finite" if self.missing else ""


def _draw_values(axes: Axes, numbers: _Numbers) -> str:
    count = len(numbers.all)
    if count <= _LIKE_BARS:
        _draw_bars(axes, numbers.all, BLUE)
    else:
        marker = {"marker": ".", "markersize": 4} if count <= 256 or numbers.missing else {}
        axes.plot(numbers.all, color=BLUE, linewidth=0.8, **marker)  # type: ignore[arg-type]
        _number_along(axes, count)
    axes.set_xlabel("index")
    axes.set_ylabel("value")
    _number_up(axes)
    ends = ""
    if len(numbers.finite):
        ends = f", {numbers.finite.min():.4g} … {numbers.finite.max():.4g}"
    return f"{text.plural(count, 'value')}{ends}{numbers.note}"


def _draw_bars(axes: Axes, values: npt.NDArray[np.float64], color: str) -> None:
    """A bar for each value, and the line of zero where some are negative."""
    heights = np.nan_to_num(values)
    sides = np.arange(len(heights))[:, None] + (-0.35, 0.35)
    steps = np.stack([heights, np.zeros(len(heights))], axis=1).ravel()[:-1]
    axes.stairs(steps, sides.ravel(), fill=True, color=color)  # one shape: quicker than many bars
    if (heights < 0).any():
        axes.axhline(0, color=GRAY, linewidth=0.8)
    middle, reach = (len(heights) - 1) / 2, max(len(heights), _LIKE_MANY) / 2
    axes.set_xlim(middle - reach - 0.2, middle + reach + 0.2)
    _number_along(axes, len(heights))


def _number_along(axes: Axes, count: int) -> None:
    """Whole numbers along the lower axis; all of them where they are few."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    if count <= _EACH_NUMBERED:
        axes.xaxis.set_tick_params(labelsize=8.5 if count > 20 else frame.NUMBER, gridOn=False)
        axes.xaxis.set_major_locator(FixedLocator(range(count)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))


def _number_up(axes: Axes) -> None:
    """Numbers along the left axis, few of them, the same ones whatever the height is."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def _draw_histogram(axes: Axes, numbers: _Numbers, bins: int | None, positive: bool) -> str:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    drawn = numbers.finite[numbers.finite > 0] if positive else numbers.finite
    if len(drawn):
        counts, edges = _counts(drawn, bins or _fitting_bins(len(drawn)))
        axes.stairs(counts, edges, fill=True, color=BLUE)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("value above zero" if positive else "value")
    axes.set_ylabel("count")
    count = len(numbers.all)
    if positive:
        return f"values > 0: {len(drawn):,} of {count:,}{numbers.note}"
    return f"histogram of {f'all {count:,} values' if count > 1 else '1 value'}{numbers.note}"


def _fitting_bins(count: int) -> int:
    """Enough values in a bin to compare it with its neighbours."""
    return min(_MOST_BINS, max(5, round(2 * math.sqrt(count))))


def _counts(drawn: npt.NDArray[np.float64], bins: int) -> tuple[Any, Any]:
    try:
        return np.histogram(drawn, bins)
    except ValueError:  # values that differ by less than the bins can tell apart
        middle = float(drawn[0])
        reach = max(0.5, abs(middle) / 2)
        return np.histogram(drawn, bins, range=(middle - reach, middle + reach))


def _draw_classes(axes: Axes, numbers: _Numbers) -> str:
    heights = np.nan_to_num(numbers.all)
    if len(heights) <= _LIKE_BARS:
        _draw_bars(axes, heights, GRAY)
    else:
        axes.vlines(np.arange(len(heights)), 0, heights, color=GRAY, linewidth=1)
        _number_along(axes, len(heights))
    axes.set_xlabel("class")
    axes.set_ylabel("probability" if _are_shares(numbers) else "score")
    _number_up(axes)
    if (heights >= 0).all():
        axes.set_ylim(bottom=0)
    return f"{len(heights):,} class{'es' if len(heights) > 1 else ''}{numbers.note}"


def _list_best(axes: Axes, numbers: _Numbers, labels: Sequence[str] | None, top: int) -> None:
    """Mark the highest classes and list them below the axes: number, name."""
    order = np.argsort(-numbers.all, kind="stable")  # NaN comes last
    order = order[: min(top, len(numbers.finite))]
    reach = 72 if _are_shares(numbers) else 96
    inside = max(frame.room(axes) - reach, 8 * LINE)
    for rank, index in enumerate(int(i) for i in order):
        shade, value = _RANKS[rank], numbers.all[index]
        axes.plot([index], [value], "o", color=shade, markersize=6, clip_on=False)
        name = frame.drawable(labels[index]) if labels is not None else f"class {index}"
        number = f"{value:.1%}" if _are_shares(numbers) else f"{value:.4g}"
        for words, x, side in (
            ("●", 0, "left"),
            (number, reach - 8, "right"),
            (frame.shortened(name, inside), reach, "left"),
        ):
            axes.annotate(
                words,
                (0, 0),
                (x, -frame.BELOW - LINE * (rank + 0.5)),
                xycoords="axes fraction",
                textcoords="offset points",
                ha=side,
                va="center",
                color=shade if words == "●" else INK,
                parse_math=False,
            )


def _are_shares(numbers: _Numbers) -> bool:
    return bool(((numbers.finite >= 0) & (numbers.finite <= 1.0001)).all())
