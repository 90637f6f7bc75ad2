"""`layerscope report`: every layer on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerscope.cli.options import (
    Progress,
    find_labels,
    input_options,
    net_options,
    output_options,
    preprocessing,
    print_json,
    say_notes,
    sources,
    split_files,
)
from layerscope.cli.outcome import outcome
from layerscope.errors import UsageError
from layerscope.files import format_of
from layerscope.measure.attribution import attributions
from layerscope.readers import open_net
from layerscope.readers.weights import WITHOUT_NET
from layerscope.text import printable

MISSING = "report needs an image: report NET WEIGHTS IMAGE -o page.html"


@click.command()
@click.argument("files", nargs=-1, metavar="NET [WEIGHTS] IMAGE")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page to write; IMAGE.html unless given.",
)
@click.option(
    "--attribute",
    "names",
    multiple=True,
    metavar="METHOD",
    help="Add what counts for a unit: gradcam, integrated ... (see attribute), or all; may be"
    " given again.",
)
@click.option(
    "--of",
    default="",
    metavar="UNIT",
    help="The unit that --attribute is about: prob:281, conv5:3,6,6; the likeliest class unless"
    " given.",
)
@net_options
@input_options
@output_options
def report(  # noqa: PLR0913 - one argument for each option of the command
    files: tuple[str, ...],
    output: Path | None,
    names: tuple[str, ...],
    of: str,
    opening: dict[str, Any],
    inputs: dict[str, str],
    labels: Path | None,
    allow_missing: bool,
    as_json: bool,
    debug: bool,
    **how: Any,
) -> None:
    """Write every layer of a net for one image onto one self-contained page."""
    from layerscope.engine import run
    from layerscope.show.report import report as write_report
    from layerscope.text import size

    net_file, weights, image = split_files(files, "report")
    net = preprocessing(open_net(net_file, weights, **opening), **how)
    if not net.blobs and all(WITHOUT_NET in layer.reason for layer in net.layers):
        raise UsageError(
            f"report draws blobs: {printable(Path(net_file).name)} holds weights without a net,"
            " which computes none; shapes lists its params, show --param draws one"
        )
    net = net.filled() if allow_missing else net
    fed = sources(net, image, inputs, MISSING)
    target = output or Path(Path(image or net_file).name).with_suffix(".html")
    format_of(target, ("html", "htm"))
    classes = find_labels(labels, net_file, net)
    blobs = run(net, fed, partly=True)
    chosen = [part for name in names for part in name.split(",") if part]
    if of and not chosen:
        raise UsageError("--of names a unit for --attribute: say which way, as --attribute gradcam")
    counts = (
        attributions(net, fed, of, chosen, labels=classes, progress=Progress("attribute"))
        if chosen
        else []
    )
    write_report(net, blobs, target, labels=classes, attribute=counts, progress=Progress("drawing"))
    written, told = target.stat().st_size, outcome(net, blobs, classes)
    if as_json:
        answer = {"written": str(target), "bytes": written, **told.as_json()}
        print_json({**answer, "notes": net.notes})
        return
    click.echo(f"{target}: {len(net.layers)} layers, {size(written)}\n{told.text()}")
    say_notes(net.notes)
