"""`layerscope compare`: two nets, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from layerscope.cli.options import (
    Progress,
    find_labels,
    image_options,
    net_options,
    output_options,
    preprocessing,
    print_json,
)
from layerscope.cli.sides import NetFiles, said, sides
from layerscope.comparison import Comparison
from layerscope.comparison.feeding import FEEDS, Feed
from layerscope.errors import UsageError
from layerscope.files import format_of
from layerscope.measure.similarity import MEASURES, Measure
from layerscope.net import Net
from layerscope.text import printable

DIFFERS = 1


@click.command()
@click.argument("files", nargs=-1, metavar="NET [WEIGHTS] [NET [WEIGHTS]] [IMAGE...]")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="What to feed: an image, an array (.npy) or a folder of them; may be given again.  With"
    " NAME= it is for one of several inputs of a net.",
)
@click.option(
    "--input-b",
    "inputs_b",
    multiple=True,
    metavar="[NAME=]FILE",
    help="What to feed B, where it is to be something else.",
)
@click.option("--weights", is_flag=True, help="Compare the weights alone; nothing is run.")
@click.option(
    "--by",
    type=click.Choice(MEASURES),
    default="relative",
    show_default=True,
    help="The measure that decides: largest difference / largest value, largest"
    " difference, signal to noise in dB, or cosine similarity.",
)
@click.option(
    "--fail-above",
    "threshold",
    type=float,
    metavar="NUMBER",
    help="End with exit code 1 if any blob is beyond NUMBER (for snr and cosine, below"
    " it), or if two that belong together have other shapes.  Unless given, the exit"
    " code is 0 and 0.001 (snr 60, cosine 0.9999) decides what is marked.",
)
@click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="A=B",
    help="Blob A of A is blob B of B, where names and shapes do not tell; may be given again.",
)
@click.option(
    "--feed",
    type=click.Choice(FEEDS),
    help="own: each net prepares the image in its own way.  same: both get one array."
    "  Unless given: own, but same where they differ and a file does not say its way.",
)
@click.option(
    "--memory",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    metavar="MB",
    help="Blobs held at once; with less, the nets run several times.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a page (.html) with each blob of A, of B, and their difference.",
)
@net_options
@image_options
@output_options
def compare(  # noqa: PLR0913 - one argument for each option of the command
    files: tuple[str, ...],
    inputs: tuple[str, ...],
    inputs_b: tuple[str, ...],
    pairs: tuple[str, ...],
    threshold: float | None,
    memory: int,
    output: Path | None,
    opening: dict[str, Any],
    labels: Path | None,
    allow_missing: bool,
    as_json: bool,
    debug: bool,
    weights: bool,
    by: Measure,
    feed: Feed | None,
    **how: Any,
) -> None:
    """Compare two nets layer by layer, and say which blob differs first.

    \b
    compare a.prototxt a.caffemodel b.prototxt b.caffemodel --input cat.jpg
    compare deploy.prototxt before.caffemodel after.caffemodel --input photos/
    compare deploy.prototxt a.caffemodel --input cat.jpg --input-b dog.jpg

    What each file is, is told by what is in it; the output says what was taken as A and as B.
    Options on the input hold for both.  Exit code 1: compared, and they differ (--fail-above).
    """  # noqa: D301 - click's mark for lines that are not folded
    from layerscope.comparison import compare as compare_nets
    from layerscope.show.comparison import report as write_page

    one, other, positional = sides(files)
    if output is not None:
        format_of(output, ("html", "htm"))
    _check(other, [*inputs, *positional, *inputs_b], apart=bool(inputs_b), weights=weights)
    a = preprocessing(one.open(**opening), **how)
    b = None if other is None else preprocessing(other.open(**opening), **how)
    found = compare_nets(
        a,
        b,
        _sources([*inputs, *positional], a),
        inputs_b=_sources(inputs_b, b or a),
        threshold=threshold,
        match=_pairs(pairs, a, b or a),
        allow_missing=allow_missing,
        most_bytes=1_000_000 * memory,
        progress=Progress("comparing"),
        weights=weights,
        by=by,
        feed=feed,
    )
    names = said(one, other or one)
    found = replace(found, a=replace(found.a, files=names[0]), b=replace(found.b, files=names[1]))
    if output is not None:
        classes = find_labels(labels, one.net, a) or ()
        write_page(found, output, labels=classes, progress=Progress("drawing"))
    _say(found, output, as_json=as_json)
    if threshold is not None and found.differs:
        click.get_current_context().exit(DIFFERS)


def _say(found: Comparison, output: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json({**found.as_json(), "written": None if output is None else str(output)})
    else:
        click.echo(str(found) + ("" if output is None else f"\n{output}"))


def _check(other: NetFiles | None, given: Sequence[str], *, apart: bool, weights: bool) -> None:
    if other is None and (weights or not apart):
        raise UsageError(
            "one net is given; compare needs a second one, other weights, or"
            " --input-b with another input for the same net"
        )
    if weights and given:
        raise UsageError("--weights compares weights alone; an input has no meaning then")


def _sources(given: Sequence[str], net: Net) -> list[Any] | None:
    """Inputs as they were given; those with a name, `NAME=FILE`, are together one input."""
    named = {}
    plain: list[Any] = []
    for words in given:
        name, equals, file = words.partition("=")
        if equals and name in net.inputs:
            named[name] = file
        else:
            plain.append(words)
    return ([named] if named else []) + plain or None


def _pairs(given: Sequence[str], a: Net, b: Net) -> dict[str, str]:
    """`A=B` as a mapping; a name may hold "=" itself, if then both sides are known."""
    found = {}
    for words in given:
        cuts = [i for i, letter in enumerate(words) if letter == "="]
        if not cuts:
            raise UsageError(f"--map {printable(words)}: write it as NAME_IN_A=NAME_IN_B")
        known = [i for i in cuts if words[:i] in a.blobs and words[i + 1 :] in b.blobs]
        at = known[0] if known else cuts[0]
        found[words[:at]] = words[at + 1 :]
    return found
