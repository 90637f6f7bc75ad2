"""`layerscope diagram`: the architecture of a net as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from layerscope.cli.options import net_options, output_options, print_json, say_notes
from layerscope.readers import open_net


@click.command()
@click.argument("net", metavar="NET")
@click.argument("weights", metavar="[WEIGHTS]", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The picture to write (.svg, .png or .pdf); NET.svg unless given.",
)
@click.option(
    "--direction",
    type=click.Choice(["down", "right"]),
    default="down",
    help="Where the net flows to: down, as pages scroll, unless given.",
)
@net_options
@output_options
def diagram(
    net: str,
    weights: str | None,
    output: Path | None,
    direction: Literal["down", "right"],
    opening: dict[str, Any],
    as_json: bool,
    debug: bool,
) -> None:
    """Draw the layers of a net as blocks of their shapes, connected.

    NET is a prototxt; WEIGHTS, the caffemodel, is not needed.
    """
    from layerscope.files import format_of
    from layerscope.pictures.diagram import FORMATS
    from layerscope.show.architecture import net_diagram
    from layerscope.text import plural

    target = output or Path(Path(net).name).with_suffix(".svg")
    format_of(target, FORMATS)
    opened = open_net(net, weights, **opening)
    drawn = net_diagram(opened, direction=direction)
    drawn.save(target)
    if as_json:
        size = {"width": drawn.width, "height": drawn.height}
        found = {"blocks": drawn.blocks, "edges": drawn.edges, "notes": opened.notes}
        print_json({"written": str(target), **size, **found})
        return
    counts = f"{plural(drawn.blocks, 'block')}, {plural(drawn.edges, 'edge')}"
    click.echo(f"{target}: {counts}, {drawn.width} x {drawn.height} pixels")
    say_notes(opened.notes)
