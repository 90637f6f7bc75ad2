"""`layerscope layers`: every layer type that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from layerscope.cli.options import output_options, print_json

if TYPE_CHECKING:
    from layerscope.readers.caffe.registry import LayerType


@click.command()
@click.option("--markdown", is_flag=True, help="Print the page docs/layers.md.")
@output_options
def layers(markdown: bool, as_json: bool, debug: bool) -> None:
    """List the layer types that layerscope knows, with their family and what they do."""
    from layerscope.readers.caffe.registry import layer_types
    from layerscope.show.terminal import aligned
    from layerscope.text import plural

    known = sorted(layer_types().values(), key=lambda each: (each.family, each.name))
    if as_json:
        print_json(
            [
                {"type": k.name, "family": k.family, "summary": k.summary, "source": k.source}
                for k in known
            ]
        )
    elif markdown:
        click.echo(_page(known), nl=False)
    else:
        click.echo(aligned([(k.family, k.name, k.summary) for k in known], indent=""))
        click.echo(plural(len(known), "type"))


def _page(known: Sequence[LayerType]) -> str:
    """The table of the docs, generated so that it cannot drift."""
    lines = [
        "# Layer types",
        "",
        "Made by `layerscope layers --markdown`; a test compares it with the registry.",
        "",
        "| type | family | what it does | source |",
        "|---|---|---|---|",
    ]
    lines += [f"| {k.name} | {k.family} | {k.summary} | {k.source} |" for k in known]
    return "\n".join(lines) + "\n"
