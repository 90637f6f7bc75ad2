"""`layerscope shapes`: the two shape tables."""

from __future__ import annotations

from typing import Any

import click

from layerscope.cli.options import net_options, output_options, print_json, say_notes
from layerscope.readers import open_net


@click.command()
@click.argument("net", metavar="NET")
@click.argument("weights", metavar="[WEIGHTS]", required=False)
@net_options
@output_options
def shapes(
    net: str,
    weights: str | None,
    opening: dict[str, Any],
    as_json: bool,
    debug: bool,
) -> None:
    """Print the shapes of every blob and every param, and what each layer costs.

    NET is an ONNX file or a prototxt; WEIGHTS, the caffemodel, is not needed.
    """
    from layerscope.show.table import tables
    from layerscope.show.terminal import tables_text

    opened = open_net(net, weights, **opening)
    found = tables(opened)
    if as_json:
        print_json(found.as_json())
        return
    click.echo(tables_text(found))
    say_notes(opened.notes)
