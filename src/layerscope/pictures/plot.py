"""Vectors as plots: values, their histogram, the probabilities of classes.

Drawn with matplotlib, without pyplot and without a change to anybody's settings.
"""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerscope import text
from layerscope.errors import UsageError
from layerscope.files import format_of, write_file
from layerscope.pictures.scale import real_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
_BLUE, _GRAY, _INK = "#2a6fbb", "#8a8f98", "#222222"
_RANKS = (
    *("#d1495b", "#e08e1a", "#3a8f5c", "#2a6fbb", "#7a4fa3"),
    *("#8c564b", "#e377c2", "#17a2b8", "#9aa522", "#555555"),
)
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": _INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GRAY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.01,
    "grid.color": "#e4e6ea",
    "grid.linewidth": 0.8,
    "xtick.color": _GRAY,
    "ytick.color": _GRAY,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "agg.path.chunksize": 20000,  # lines of a million points otherwise overflow the renderer
    "svg.hashsalt": "layerscope",  # the same file each time
}
_LARGEST = 1e300  # beyond it an axis cannot have margins
_LONGEST_LABEL = 36
_LIKE_BARS = 60  # up to so many classes are drawn as bars


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
        file = io.BytesIO()
        with _style():
            self.figure.savefig(file, format=kind, dpi=dpi, metadata=undated[kind])
        return file.getvalue()


def plot(values: npt.ArrayLike, title: str = "", ax: Axes | None = None) -> Plot:
    """Draw each value of a vector over its index.

    Args:
        values: real numbers of any shape, read in order; NaN and infinities are left out.
        title: what the vector is.
        ax: draw into these axes instead of a new figure.

    Raises:
        UsageError: no values, or not numbers.
    """
    numbers = _Numbers(values)
    with _style():
        figure, axes = _axes(ax, (9, 3.2))
        _draw_values(axes, numbers, title)
    return Plot(figure, [axes], text.printable(title))


def histogram(
    values: npt.ArrayLike,
    bins: int = 100,
    positive: bool = False,
    title: str = "",
    ax: Axes | None = None,
) -> Plot:
    """Draw how often which values occur.

    Args:
        values: real numbers of any shape; NaN and infinities are left out.
        bins: how many intervals of equal width.
        positive: count only the values above zero, and say how many of all these are.
        title: what the values are.
        ax: draw into these axes instead of a new figure.

    Raises:
        UsageError: no values, or not numbers; no bins.
    """
    numbers = _Numbers(values)
    if not 1 <= bins <= 100_000:
        raise UsageError(f"a histogram of {bins} bins is not possible; possible: 1 to 100000")
    with _style():
        figure, axes = _axes(ax, (9, 3.2))
        _draw_histogram(axes, numbers, bins, positive, title)
    return Plot(figure, [axes], text.printable(title))


def vector(values: npt.ArrayLike, title: str = "") -> Plot:
    """Draw a vector twice: its values above, the histogram of the positive ones below.

    Raises:
        UsageError: no values, or not numbers.
    """
    numbers = _Numbers(values)
    with _style():
        figure = _figure((9, 5.4))
        above, below = figure.subplots(2, 1)
        _draw_values(above, numbers, title)
        _draw_histogram(below, numbers, 100, True, "")
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
        ax: draw into these axes instead of a new figure; the list is to the right of
            them, for which their figure needs room (or layout="constrained").

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
    with _style():
        figure, axes = _axes(ax, (12, 3.4))
        _draw_classes(axes, numbers, title)
        _list_best(axes, numbers, labels, top)
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


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def _figure(inches: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=inches, layout="constrained")


def _axes(ax: Axes | None, inches: tuple[float, float]) -> tuple[Figure, Axes]:
    if ax is None:
        figure = _figure(inches)
        return figure, figure.subplots()
    owner: Any = ax.figure
    while owner is not getattr(owner, "figure", owner):
        owner = owner.figure  # axes of a subfigure
    return owner, ax


def _head(axes: Axes, title: str, note: str) -> None:
    """Write the title, if any, and below it what the numbers are; a "$" in a name is a "$"."""
    lines = textwrap.wrap(_drawable(title), 90) if title else []
    axes.set_title("\n".join([*lines, note]), parse_math=False, loc="left")


def _draw_values(axes: Axes, numbers: _Numbers, title: str) -> None:
    count = len(numbers.all)
    marker = {"marker": ".", "markersize": 4} if count <= 256 or numbers.missing else {}
    axes.plot(numbers.all, color=_BLUE, linewidth=0.8, **marker)  # type: ignore[arg-type]
    _head(axes, title, f"{text.plural(count, 'value')}{_ends(numbers)}{numbers.note}")
    axes.set_xlabel("index")
    axes.set_ylabel("value")
    _count_along(axes)


def _count_along(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))


def _ends(numbers: _Numbers) -> str:
    if not len(numbers.finite):
        return ""
    return f", {numbers.finite.min():.4g} … {numbers.finite.max():.4g}"


def _draw_histogram(axes: Axes, numbers: _Numbers, bins: int, positive: bool, title: str) -> None:
    drawn = numbers.finite[numbers.finite > 0] if positive else numbers.finite
    if len(drawn):
        counts, edges = _counts(drawn, bins)
        axes.stairs(counts, edges, fill=True, color=_BLUE)
    total = text.plural(len(numbers.all), "value")
    note = f"{len(drawn):,} of {total} are positive" if positive else total
    _head(axes, title, note + numbers.note)
    axes.set_xlabel("positive value" if positive else "value")
    axes.set_ylabel("count")


def _counts(drawn: npt.NDArray[np.float64], bins: int) -> tuple[Any, Any]:
    try:
        return np.histogram(drawn, bins)
    except ValueError:  # values that differ by less than the bins can tell apart
        middle = float(drawn[0])
        reach = max(0.5, abs(middle) / 2)
        return np.histogram(drawn, bins, range=(middle - reach, middle + reach))


def _draw_classes(axes: Axes, numbers: _Numbers, title: str) -> None:
    heights = np.nan_to_num(numbers.all)
    where = np.arange(len(heights))
    if len(heights) <= _LIKE_BARS:
        axes.bar(where, heights, width=0.7, color=_GRAY)
    else:
        axes.vlines(where, 0, heights, color=_GRAY, linewidth=1)
    note = f"{len(heights):,} class{'es' if len(heights) > 1 else ''}{numbers.note}"
    _head(axes, title, note)
    axes.set_xlabel("class")
    axes.set_ylabel("probability" if _are_shares(numbers) else "score")
    _count_along(axes)
    if (heights >= 0).all():
        axes.set_ylim(bottom=0)


def _list_best(axes: Axes, numbers: _Numbers, labels: Sequence[str] | None, top: int) -> None:
    order = np.argsort(-numbers.all, kind="stable")  # NaN comes last
    order = order[: min(top, len(numbers.finite))]
    for rank, index in enumerate(int(i) for i in order):
        shade, value = _RANKS[rank], numbers.all[index]
        axes.plot([index], [value], "o", color=shade, markersize=6, clip_on=False)
        name = _label(labels[index]) if labels is not None else f"class {index}"
        number = f"{value:.1%}" if _are_shares(numbers) else f"{value:.4g}"
        high, reach = 0.95 - rank / max(top, 5), 60 if _are_shares(numbers) else 84
        for words, x, side in (
            ("●", 12, "left"),
            (number, reach, "right"),
            (name, reach + 8, "left"),
        ):
            axes.annotate(
                words,
                (1, high),
                (x, 0),
                xycoords="axes fraction",
                textcoords="offset points",
                ha=side,
                va="center",
                color=shade if words == "●" else _INK,
                parse_math=False,
            )


def _are_shares(numbers: _Numbers) -> bool:
    return bool(((numbers.finite >= 0) & (numbers.finite <= 1.0001)).all())


def _label(name: str) -> str:
    words = _drawable(name)
    return words if len(words) <= _LONGEST_LABEL else words[: _LONGEST_LABEL - 1] + "…"


def _drawable(foreign: str) -> str:
    """A printable text in which only letters remain that the font has."""
    from matplotlib import font_manager

    known = font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
    return "".join(
        c if ord(c) in known else c.encode("ascii", "backslashreplace").decode()
        for c in text.printable(foreign)
    )
