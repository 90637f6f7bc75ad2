"""`layerscope convert`: a net as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerscope.cli.options import net_options, output_options, print_json, say_notes
from layerscope.errors import UsageError
from layerscope.readers import open_net


@click.command()
@click.argument("net", metavar="NET")
@click.argument("weights", metavar="WEIGHTS", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The ONNX file to write; NET.onnx unless given.",
)
@click.option("--all-blobs", is_flag=True, help="Make every blob an output, not just the last.")
@click.option("--allow-missing", is_flag=True, help="Fill weights that are missing at random.")
@net_options
@output_options
def convert(  # noqa: PLR0913 - one argument for each option of the command
    net: str,
    weights: str | None,
    output: Path | None,
    all_blobs: bool,
    allow_missing: bool,
    opening: dict[str, Any],
    as_json: bool,
    debug: bool,
) -> None:
    """Write a net as a standard ONNX file, names kept; it gives the same numbers by itself."""
    from layerscope.conversion import convert as write_onnx
    from layerscope.files import format_of
    from layerscope.text import plural, printable, size

    opened = open_net(net, weights, **opening)
    target = output or Path(Path(net).name).with_suffix(".onnx")
    format_of(target, ("onnx",))
    if target.exists() and target.samefile(net):
        raise UsageError(f"{printable(target)} is the net itself; name another file with -o")
    outputs = list(opened.blobs) if all_blobs else list(opened.outputs)
    write_onnx(opened, target, blobs=outputs, allow_missing=allow_missing)
    written = target.stat().st_size
    if as_json:
        names = {"inputs": list(opened.inputs), "outputs": outputs}
        print_json({"written": str(target), "bytes": written, **names, "notes": opened.notes})
        return
    click.echo(f"{target}: {plural(len(outputs), 'output')}, {size(written)}")
    click.echo(f"feed it {opened.preprocessing}")
    say_notes(opened.notes)
