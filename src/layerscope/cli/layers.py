"""`layerscope layers`: every layer type that is known."""

from __future__ import annotations

import click

from layerscope.cli.options import output_options, print_json


@click.command()
@output_options
def layers(as_json: bool, debug: bool) -> None:
    """List the layer types that layerscope knows."""
    from layerscope.readers.caffe.registry import layer_types
    from layerscope.show.terminal import aligned
    from layerscope.text import plural

    known = layer_types().values()
    if as_json:
        print_json(
            [
                {"type": k.name, "family": k.family, "summary": k.summary, "source": k.source}
                for k in known
            ]
        )
        return
    click.echo(aligned([(k.name, k.family, k.summary) for k in known], indent=""))
    click.echo(f"{plural(len(known), 'type')} of Caffe")
