"""`layerscope shapes`: the two shape tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from layerscope.cli.options import net_options, output_options, print_json, say_notes
from layerscope.measure.soundness import check_weights
from layerscope.net import Net
from layerscope.readers import open_net
from layerscope.text import plural


@click.command()
@click.argument("net", metavar="NET")
@click.argument("weights", metavar="[WEIGHTS]", required=False)
@click.option(
    "--check",
    is_flag=True,
    help="Look at every weight, and say how many are NaN or infinite; this reads the whole file.",
)
@net_options
@output_options
def shapes(
    net: str,
    weights: str | None,
    opening: dict[str, Any],
    check: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Print the shapes of every blob and every param, and what each layer costs.

    NET is an ONNX file or a prototxt; WEIGHTS, the caffemodel, is not needed.

    field, stride and start are those of the receptive field: how many pixels of the image a unit
    sees, how far apart the fields of two neighbours are, and where the middle of the first one is.
    """
    from layerscope.show.table import tables
    from layerscope.show.terminal import tables_text

    opened = open_net(net, weights, **opening)
    found = tables(opened)
    if as_json:
        checked = {"check": [asdict(each) for each in check_weights(opened)]} if check else {}
        print_json({**found.as_json(), **checked})
        return
    click.echo(tables_text(found))
    say_notes([*opened.notes, *(_checked(opened) if check else ())])


def _checked(net: Net) -> list[str]:
    """What the weights are like: each param that is not sound, and how many were looked at."""
    found = check_weights(net)
    total = plural(sum(each.weights for each in found), "weight")
    faults = [each.statement for each in found if each.statement]
    where = f"in {len(faults)} of {plural(len(found), 'param')}" if faults else "none"
    missing = f"; {plural(len(net.missing), 'layer')} without weights" if net.missing else ""
    return [*faults, f"{total} checked, NaN or infinite: {where}{missing}"]
