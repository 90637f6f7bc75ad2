"""`layerscope explain`: the arithmetic behind one number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerscope.cli.options import (
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
from layerscope.errors import UsageError
from layerscope.files import format_of
from layerscope.pictures.plot import FORMATS
from layerscope.readers import open_net

DEEPEST = 1000


@click.command()
@click.argument("files", nargs=-1, metavar="NET [WEIGHTS] IMAGE")
@click.option(
    "--unit",
    required=True,
    metavar="BLOB:C,Y,X",
    help="The unit: conv1:12,30,17 (channel, y, x), fc6:100, prob:top1 for the largest.",
)
@click.option("--image-index", type=int, default=0, metavar="N", help="Which image of the batch.")
@click.option(
    "--depth",
    type=click.IntRange(1, DEEPEST),
    default=1,
    metavar="N",
    help="Follow the strongest contribution N units back, to the pixels at most.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a picture too: .png, .svg or .pdf.",
)
@net_options
@input_options
@output_options
def explain(  # noqa: PLR0913 - one argument for each option of the command
    files: tuple[str, ...],
    unit: str,
    image_index: int,
    depth: int,
    output: Path | None,
    opening: dict[str, Any],
    inputs: dict[str, str],
    labels: Path | None,
    allow_missing: bool,
    as_json: bool,
    debug: bool,
    **how: Any,
) -> None:
    """Show the arithmetic that made one number of a net.

    The numbers of the layer's inputs, what each is multiplied by, the sum: recomputed in double
    precision and held against what the engine found.  Works for any layer.
    """
    from layerscope.show.explanation import explain as explained

    net_file, weights, image = split_files(files, "explain")
    missing = "explain needs an image: explain NET WEIGHTS IMAGE --unit conv1:12,30,17"
    if image is None and not inputs:
        raise UsageError(missing)
    if output is not None:
        format_of(output, FORMATS)
    net = preprocessing(open_net(net_file, weights, **opening), **how)
    net = net.filled() if allow_missing else net
    found = explained(
        net, sources(net, image, inputs, missing), unit, image=image_index, depth=depth
    )
    names = find_labels(labels, net_file, net)
    if output is not None:
        found.save(output)
    if as_json:
        written = str(output) if output is not None else None
        print_json({**found.as_json(), "written": written, "notes": net.notes})
        return
    click.echo(found.text(names))
    if output is not None:
        click.echo(f"\n{output}: the picture")
    say_notes(net.notes)
