"""`layerscope attribute`: how much each place of an image counts for a unit."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
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
from layerscope.errors import UsageError
from layerscope.files import format_of
from layerscope.measure.attribution import attributions, methods
from layerscope.measure.attribution.baseline import BASELINES
from layerscope.pictures.plot import FORMATS
from layerscope.readers import open_net

_SETTINGS = ("steps", "samples", "noise", "patch", "stride", "cells", "keep", "baseline", "seed",
             "signed")  # fmt: skip


def _method_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The settings of the methods; the command gets those that were given as `settings`."""

    @wraps(command)
    def gathered(**given: Any) -> Any:
        asked = {name: given.pop(name) for name in _SETTINGS}
        settings = {name: v for name, v in asked.items() if v is not None and v is not False}
        return command(settings=settings, **given)

    options = [
        click.option("--steps", type=int, metavar="N",
                     help="integrated: places on the way from the baseline (50)."),
        click.option("--samples", type=int, metavar="N",
                     help="smoothgrad: noisy images (25); rise: masks (1000)."),
        click.option("--noise", type=float, metavar="SHARE",
                     help="smoothgrad: deviation of the noise, by the input's range (0.15)."),
        click.option("--patch", type=int, metavar="PIXELS",
                     help="occlusion: side of the patch (an eighth of the longer side)."),
        click.option("--stride", type=int, metavar="PIXELS",
                     help="occlusion: from one patch to the next (half a patch)."),
        click.option("--cells", type=int, metavar="N", help="rise: cells of a mask a side (7)."),
        click.option("--keep", type=float, metavar="SHARE",
                     help="rise: share of the cells that stay (0.5)."),
        click.option("--baseline", metavar="|".join(BASELINES),
                     help="integrated, occlusion, rise: what stands for nothing; zero is 0 as it"
                     " is fed."),
        click.option("--seed", type=int, metavar="N", help="smoothgrad, rise: of the noise (0)."),
        click.option("--signed", is_flag=True,
                     help="gradcam, gradcam++: what speaks against the unit too."),
    ]  # fmt: skip
    for option in reversed(options):
        gathered = option(gathered)
    return gathered


@click.command()
@click.argument("files", nargs=-1, metavar="NET [WEIGHTS] IMAGE")
@click.option(
    "--of",
    default="",
    metavar="UNIT",
    help="The unit: prob:281, conv5:3,6,6 (channel, y, x), prob:top2; unless given, the likeliest"
    " class.",
)
@click.option(
    "--method",
    "names",
    multiple=True,
    metavar="NAME",
    help=f"{', '.join(methods())}, or all; may be given again. gradcam unless given.",
)
@click.option(
    "--layer",
    default="",
    metavar="BLOB",
    help="gradcam, gradcam++, contribution: the blob to look at; the last map before the unit"
    " unless given.",
)
@click.option("--wrt", default="", metavar="BLOB", help="Explain by this input or blob.")
@click.option("--image-index", type=int, default=0, metavar="N", help="Which image of the batch.")
@_method_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a picture (.png, .svg, .pdf), or the numbers of one method (.npy).",
)
@net_options
@input_options
@output_options
def attribute(  # noqa: PLR0913 - one argument for each option of the command
    files: tuple[str, ...],
    of: str,
    names: tuple[str, ...],
    layer: str,
    wrt: str,
    image_index: int,
    settings: dict[str, Any],
    output: Path | None,
    opening: dict[str, Any],
    inputs: dict[str, str],
    labels: Path | None,
    allow_missing: bool,
    as_json: bool,
    debug: bool,
    **how: Any,
) -> None:
    """Show how much each place of an image counts for one unit of a net.

    Any unit of any layer, by gradients, by the maps of a layer, or by covering parts of the image;
    docs/attribution.md says what each method can tell.
    """
    from layerscope.show.attribution import attribution_text

    chosen = [part for name in names for part in name.split(",") if part] or ["gradcam"]
    net_file, weights, image = split_files(files, "attribute")
    missing = "attribute needs an image: attribute NET WEIGHTS IMAGE --of prob:top1"
    if image is None and not inputs:
        raise UsageError(missing)
    if output is not None:
        _check_output(output, chosen)
    net = preprocessing(open_net(net_file, weights, **opening), **how)
    net = net.filled() if allow_missing else net
    left_out: list[str] = []
    found = attributions(
        net, sources(net, image, inputs, missing), of, chosen, at=layer, wrt=wrt,
        image=image_index, labels=find_labels(labels, net_file, net),
        progress=Progress("attribute"), settings=settings, left_out=left_out.append,
    )  # fmt: skip
    if output is not None:
        _write(output, found)
    if as_json:
        written = str(output) if output is not None else None
        print_json(
            {
                "attributions": [each.as_json() for each in found],
                "written": written,
                "notes": [*left_out, *net.notes],
            }
        )
        return
    click.echo(attribution_text(found))
    if output is not None:
        click.echo(f"\n{output}: the {'numbers' if _is_array(output) else 'picture'}")
    say_notes([*left_out, *net.notes])


def _is_array(output: Path) -> bool:
    return output.suffix.lower() == ".npy"


def _check_output(output: Path, chosen: list[str]) -> None:
    """Refuse a file that cannot be written before anything is computed."""
    format_of(output, (*FORMATS, "npy"))
    if _is_array(output) and (len(set(chosen)) > 1 or "all" in chosen):
        raise UsageError(f"{output}: .npy holds the numbers of one method; several are asked for")


def _write(output: Path, found: list[Any]) -> None:
    if len(found) == 1:
        found[0].save(output)
        return
    from layerscope.show.attribution_picture import attribution_picture

    attribution_picture(found).save(output)
