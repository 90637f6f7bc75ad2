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
    split_files,
)
from layerscope.errors import UsageError
from layerscope.readers import open_net


@click.command()
@click.argument("files", nargs=-1, metavar="NET [WEIGHTS] IMAGE")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page to write; IMAGE.html unless given.",
)
@net_options
@input_options
@output_options
def report(
    files: tuple[str, ...],
    output: Path | None,
    input_shapes: dict[str, tuple[int, ...]],
    labels: Path | None,
    allow_missing: bool,
    as_json: bool,
    debug: bool,
    **how: Any,
) -> None:
    """Write every layer of a net for one image onto one self-contained page."""
    from layerscope.show.report import report as write_report
    from layerscope.text import size

    net_file, weights, image = split_files(files, "report")
    if image is None:
        raise UsageError("report needs an image: report NET WEIGHTS IMAGE -o page.html")
    net = preprocessing(open_net(net_file, weights, input_shapes=input_shapes), **how)
    net = net.filled() if allow_missing else net
    target = output or Path(Path(image).name).with_suffix(".html")
    write_report(
        net,
        image,
        target,
        labels=find_labels(labels, net_file),
        progress=Progress("drawing"),
    )
    written = target.stat().st_size
    if as_json:
        print_json({"written": str(target), "bytes": written, "notes": net.notes})
        return
    click.echo(f"{target}: {len(net.layers)} layers, {size(written)}")
    say_notes(net.notes)
