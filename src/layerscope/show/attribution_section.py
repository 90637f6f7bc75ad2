"""What counts for a unit, as a section of the report: each map over the image, and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from layerscope.measure.attribution import Attribution
from layerscope.pictures import Picture
from layerscope.show.attribution import shares_words, where_words
from layerscope.show.attribution_picture import Ramp, overlay, ramp_of, reading
from layerscope.show.figures import Figure, Source, figure
from layerscope.show.shell import notes_html, text
from layerscope.text import printable

ANCHOR = "counts"
CHANNELS = 8
_SIGNED = {"scale": "signed", "color": "diverging"}
_UNSIGNED = {"scale": "all", "color": "heat"}
_HIGH = 10  # pixels of the bar of colors
_WIDE = 400  # pixels of a picture, about: small ones are enlarged by a whole number


def attribution_html(
    found: Sequence[Attribution], figure_html: Callable[[Figure], str]
) -> Iterator[str]:
    """The section: one part for each way, with the picture for readers without the script too.

    Args:
        found: of one unit.
        figure_html: caption, view and distribution of an array, as the page has it for blobs.
    """
    first = found[0]
    title = first.heading.removesuffix(f", {first.way}")
    yield f'<section class="counts" id="{ANCHOR}" tabindex="-1">'
    yield f"<h2>What counts for {text(title)}</h2>"
    yield f'<p class="summary">Each way has a scale of its own. {text(first.input)}: '
    yield f"{text(first.fed)}</p>" if first.fed else "</p>"
    for each in found:
        yield from _way(each, figure_html)
    yield "</section>"


def _way(found: Attribution, figure_html: Callable[[Figure], str]) -> Iterator[str]:
    yield f"<h3>{text(found.way)} <small>{text(found.paper)}</small></h3>"
    yield '<div class="fed">'
    if found.map.ndim == 2:
        yield _overlay(found, ramp_of(found))
    yield f"<div><p>{text(where_words(found))}</p>"
    shares = shares_words(found, CHANNELS)
    yield f"<p>{text(shares)}</p>" if shares else ""
    yield from notes_html(found.notes)
    yield "</div></div>"
    if found.map.ndim in (1, 2):
        yield figure_html(_numbers(found))


def _overlay(found: Attribution, ramp: Ramp) -> str:
    """The map over the image, and below it what the colors stand for."""
    picture = Picture(overlay(found, ramp), printable(found.way))
    by = max(1, round(_WIDE / max(picture.width, picture.height)))
    wide, high = by * picture.width, by * picture.height
    low, end = ramp.ends()
    scale = f"{low} to {end}; {reading(found)}" + (f"; {ramp.over}" if ramp.over else "")
    bar = Picture(np.repeat(ramp.bar(), _HIGH, axis=0), "scale").data_uri()
    return (
        f'<figure class="input"><img class="pixels" src="{picture.data_uri()}"'
        f' alt="{text(found.heading)}, over the image" width="{wide}" height="{high}">'
        f'<img class="pixels ramp" src="{bar}" alt="" width="{wide}" height="{_HIGH}">'
        f"<figcaption>{text(scale)}</figcaption></figure>"
    )


def _numbers(found: Attribution) -> Figure:
    """The map itself, for the page's own views: each number is told where it is pointed at."""
    values = np.nan_to_num(found.map, posinf=0, neginf=0).astype(np.float32)
    source = Source(f"{found.way}, the map", values, values.shape, "value")
    if values.ndim == 2:
        source.tiles, source.unit = values[None], "map"
    source.shown = source.total
    drawn = figure(source)
    drawn.panel["fixed"] = _SIGNED if found.signed else _UNSIGNED
    return drawn
