"""`layerscope show`: the picture of one blob or one param."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

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
from layerscope.net import Net
from layerscope.pictures import Picture, Plot
from layerscope.pictures.scale import Scale
from layerscope.readers import open_net
from layerscope.text import printable, quoted

# Names that end so are those of a file; a folder of --all has no such name.
NAMED = ("png", "jpg", "jpeg", "svg", "pdf", "gif", "bmp", "webp", "html", "htm")


@click.command()
@click.argument("files", nargs=-1, metavar="NET [WEIGHTS] [IMAGE]")
@click.option("--blob", metavar="NAME", help="The blob to draw; blob@layer for one in between.")
@click.option(
    "--param", metavar="LAYER", help="The layer whose weights to draw; LAYER:1 for the bias."
)
@click.option(
    "--all", "everything", is_flag=True, help="Draw every blob and every param into a folder."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="The picture to write, NAME.png unless given; with --all the folder, new or empty or"
    " written by --all before, IMAGE-layers unless given.",
)
@click.option(
    "--scale",
    type=click.Choice(get_args(Scale)),
    help="One range for all tiles, one for each, or around zero; maps are scaled over all unless"
    " given, filters each around zero.",
)
@click.option("--raw", is_flag=True, help="Only the pixels: not enlarged, without the caption.")
@net_options
@input_options
@output_options
def show(  # noqa: PLR0913 - one argument for each option of the command
    files: tuple[str, ...],
    blob: str | None,
    param: str | None,
    everything: bool,
    output: Path | None,
    scale: Scale | None,
    raw: bool,
    opening: dict[str, Any],
    inputs: dict[str, str],
    labels: Path | None,
    allow_missing: bool,
    as_json: bool,
    debug: bool,
    **how: Any,
) -> None:
    """Draw one blob (an activation) or one param (the filters) of a net, or all of them.

    Maps are scaled over all of them, filters each around zero, and the picture says so; a vector is
    drawn as values and histogram, probabilities with their labels.
    """
    from layerscope.show.drawing import blob_picture, param_picture

    if (blob is not None) + (param is not None) + everything != 1:
        raise UsageError("show needs --blob NAME, --param LAYER or --all, one of them")
    if everything:
        _check_folder(output)
    net_file, weights, image = split_files(files, "show")
    net = preprocessing(open_net(net_file, weights, **opening), **how)
    net = net.filled() if allow_missing else net
    if everything:
        missing = "show --all needs an image: show NET WEIGHTS IMAGE --all -o FOLDER"
        fed = sources(net, image, inputs, missing)
        names = find_labels(labels, net_file, net)
        target = output or Path(f"{Path(image or net_file).stem}-layers")
        _draw_all(net, fed, target, names, scale, raw=raw, as_json=as_json)
        return
    told = None
    if param is not None:
        layer, index = _layer_and_index(net.params, param)
        picture = param_picture(net, layer, index, scale=scale)
        name = f"{layer}-param{index}"
    else:
        missing = "show --blob needs an image: show NET WEIGHTS IMAGE --blob NAME"
        blobs = net.run(sources(net, image, inputs, missing), [blob or ""])
        names = find_labels(labels, net_file, net)
        name = next(iter(blobs))
        picture = blob_picture(net, blobs, name, scale=scale or "all", labels=names)
        told = outcome(net, blobs, names)
    target = output or Path(f"{_file_name(name)}.png")
    save(picture, target, raw=raw)
    caption = picture.caption if isinstance(picture, Picture) else picture.title
    if as_json:
        answer = told.as_json() if told else {}
        print_json({"written": str(target), "caption": caption, **answer, "notes": net.notes})
        return
    click.echo(f"{target}: {caption}")
    if told is not None:
        click.echo(told.text())
    say_notes(net.notes)


def _draw_all(
    net: Net, fed: Any, target: Path, labels: list[str] | None, scale: Scale | None, *,
    raw: bool, as_json: bool,
) -> None:  # fmt: skip
    """`show --all`: a folder with every picture and an index."""
    from layerscope.engine import run
    from layerscope.show.album import PAGE, album

    blobs = run(net, fed, partly=True)
    made = album(
        net, blobs, target, labels=labels, scale=scale, raw=raw, progress=Progress("drawing")
    )
    told = outcome(net, blobs, labels)
    if as_json:
        entries = [asdict(entry) for entry in made.entries]
        answer = {"written": str(target), "pictures": made.pictures, "entries": entries}
        print_json({**answer, **told.as_json(), "notes": net.notes})
        return
    click.echo(f"{target / PAGE}: {made.statement}\n{told.text()}")
    say_notes(net.notes)


def save(picture: Picture | Plot, target: Path, *, raw: bool = False) -> None:
    """Write a picture; pixels are enlarged and titled unless they are wanted raw."""
    if isinstance(picture, Picture):
        picture.save(target, raw=raw)
    else:
        picture.save(target)


def _check_folder(output: Path | None) -> None:
    """`--all -o x.png` is a slip; a folder of that name is made by nobody on purpose."""
    if output is not None and output.suffix.lower().lstrip(".") in NAMED and not output.is_dir():
        raise UsageError(
            f"show --all writes a folder, {quoted(output)} is the name of a file: give a folder"
            f" (-o {printable(output.stem)}), or --blob NAME for one picture"
        )


def _layer_and_index(params: Any, words: str) -> tuple[str, int]:
    """`conv1:1` or `conv1/1` is the second param of conv1, unless a layer has that very name."""
    for mark in ":/":
        name, _, number = words.rpartition(mark)
        if words not in params and name in params and re.fullmatch("[0-9]{1,9}", number):
            return name, int(number)
    return words, 0


def _file_name(name: str) -> str:
    """A file name for a blob's name: nothing in it can leave the folder."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return safe.strip(".")[:80] or "picture"
