"""`layerscope dream`: the image that a unit wants to see."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from layerscope.cli.options import (
    Progress,
    find_labels,
    image_options,
    net_options,
    output_options,
    preprocessing,
    print_json,
    say_notes,
)
from layerscope.cli.show import NAMED
from layerscope.dreams.settings import MOST_STEPS, RATE, STEPS, Settings
from layerscope.errors import SystemFaultError, UsageError
from layerscope.files import file_name, format_of
from layerscope.net import Net
from layerscope.readers import open_net
from layerscope.text import one_line, plural, printable, quoted

INTERRUPTED = 130
_PATIENCE, _PAUSE = 1.0, 0.1  # seconds until progress is shown, and between two lines of it


@click.command()
@click.argument("files", nargs=-1, metavar="NET [WEIGHTS]")
@click.option(
    "--unit", "units", multiple=True, metavar="BLOB:C[,Y,X]",
    help="The unit: conv3:7 (a channel), conv3:7,6,6 (one place of it: y, x), prob:3 (a class);"
    " several make one sheet.",
)  # fmt: skip
@click.option(
    "--layer", metavar="BLOB",
    help="Every channel of a blob, each as a file in a folder, and a sheet; run again, it goes on"
    " where it was stopped.",
)  # fmt: skip
@click.option("--first", type=click.IntRange(1), metavar="N", help="With --layer: the first N.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE|FOLDER",
    help="The picture to write; with --layer the folder.  Named after the unit unless given.",
)  # fmt: skip
@click.option("--raw", is_flag=True, help="Only the pixels: not enlarged, without the caption.")
@click.option("--steps", type=click.IntRange(1, MOST_STEPS), default=STEPS, show_default=True,
              metavar="N", help="Steps of the ascent.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              metavar="N", help="Seed of the noise that it starts from.")  # fmt: skip
@click.option("--size", type=click.IntRange(1, 8192), metavar="PIXELS",
              help="Side of the image, where the net takes other sizes than its own.")  # fmt: skip
@click.option("--negative", is_flag=True, help="Draw what the unit wants least.")
@click.option("--learning-rate", type=float, default=RATE, show_default=True, metavar="NUMBER",
              help="How far a step goes.")  # fmt: skip
@click.option("--no-transforms", is_flag=True,
              help="Do not move the image at each step; mostly gives fine noise.")  # fmt: skip
@click.option("--probability", is_flag=True,
              help="Climb a probability, not the score in front of its softmax.")  # fmt: skip
@net_options
@image_options
@output_options
def dream(  # noqa: PLR0913 - one argument for each option of the command
    files: tuple[str, ...],
    units: tuple[str, ...],
    layer: str | None,
    first: int | None,
    output: Path | None,
    raw: bool,
    size: int | None,
    opening: dict[str, Any],
    as_json: bool,
    debug: bool,
    labels: Path | None,
    allow_missing: bool,
    steps: int,
    seed: int,
    negative: bool,
    learning_rate: float,
    no_transforms: bool,
    probability: bool,
    **how: Any,
) -> int | None:
    """Draw the image that a unit wants to see most, by gradient ascent from noise.

    The same command gives the same pixels.  Ctrl-C stops it; with --layer what is finished stays.
    """
    _check(files, units, layer, first, output)
    if raw and len(units) > 1:
        raise UsageError(
            "--raw is for one picture, and several units make a sheet: give one --unit"
        )
    settings = Settings(steps, seed, negative, learning_rate, not no_transforms, probability)
    net = preprocessing(open_net(*files, **opening), **how)
    net = net.filled() if allow_missing else net
    names = find_labels(labels, files[0], net)
    if layer is not None:
        given = {"first": first, "size": size, "labels": names}
        return _layer(net, layer, output, settings, given, as_json=as_json)
    given = {"size": size, "labels": names}
    return _units(net, units, output, settings, given, raw=raw, as_json=as_json)


def _check(
    files: Sequence[str], units: Sequence[str], layer: str | None, first: int | None,
    output: Path | None,
) -> None:  # fmt: skip
    """Raise UsageError for what cannot be meant."""
    if not 1 <= len(files) <= 2:
        raise UsageError(f"dream takes NET [WEIGHTS], {len(files)} files are given")
    if bool(units) == (layer is not None):
        raise UsageError("dream needs --unit conv3:7 (several may be given) or --layer conv3")
    if first is not None and layer is None:
        raise UsageError("--first N is for --layer: the first N of its channels")
    if layer is not None and output is not None and not output.is_dir():
        if output.suffix.lower().lstrip(".") in NAMED:
            raise UsageError(
                f"dream --layer writes a folder, {quoted(output)} is the name of a file: give a"
                f" folder (-o {printable(output.stem)}), or --unit for one picture"
            )


def _units(
    net: Net, units: Sequence[str], output: Path | None, settings: Settings,
    given: dict[str, Any], *, raw: bool, as_json: bool,
) -> int | None:  # fmt: skip
    """One picture of one unit, or a sheet of several."""
    from layerscope.dreams.folder import check_writable
    from layerscope.dreams.request import dream_with
    from layerscope.pictures.image import DOCUMENTS, FORMATS

    target = output or Path(f"dream-{file_name('_'.join(units)) or 'unit'}.png")
    format_of(target, (*FORMATS, *DOCUMENTS))
    if not target.parent.is_dir():  # told before the work and not after it
        raise SystemFaultError(
            f"cannot write {quoted(target)}: there is no folder {quoted(target.parent)}"
        )
    check_writable(target.parent)
    say = Patient("dreaming")
    try:
        found = dream_with(net, units, settings, progress=say, **given)
    except KeyboardInterrupt:
        say.close()
        return _stopped(f"stopped after {say.said}; nothing was written: the same command begins"
                        " again, --steps N makes it shorter")  # fmt: skip
    say.close()
    if len(found) == 1:
        found[0].save(target, raw=raw)
    else:
        found.save(target)
    if as_json:
        print_json({"written": str(target), "dreams": [each.as_json() for each in found],
                    "notes": net.notes})  # fmt: skip
        return None
    for each in found:
        click.echo(each.statement)
    click.echo(f"{target}: {found[0].how if len(found) == 1 else found.statement}")
    say_notes(net.notes)
    return None


def _layer(
    net: Net, layer: str, output: Path | None, settings: Settings, given: dict[str, Any], *,
    as_json: bool,
) -> int | None:  # fmt: skip
    """A folder with a picture of each channel."""
    from layerscope.dreams.request import layer_folder

    path = output or Path(f"dream-{file_name(layer) or 'layer'}")
    folder = layer_folder(net, layer, path, settings, **given)
    wanted = len(folder.targets)
    say = Patient("dreaming")
    try:
        dreams = folder.fill(say)
    except KeyboardInterrupt:
        say.close()
        return _stopped(f"stopped: {len(folder.finished)} of {plural(wanted, 'channel')} finished"
                        f" in {printable(path)}; the same command goes on from there")  # fmt: skip
    say.close()
    before = f", {folder.found} of them were there" if folder.found else ""
    if as_json:
        print_json({"written": str(path), "sheet": str(folder.sheet), "found": folder.found,
                    "channels": folder.total, "dreams": [each.as_json() for each in dreams],
                    "notes": net.notes})  # fmt: skip
        return None
    click.echo(f"{folder.sheet}: {wanted} of {plural(folder.total, 'channel')}{before}")
    for each in dreams:
        if each.dead:
            click.echo(each.statement)
    if dreams[0].note:
        click.echo(dreams[0].note)
    say_notes(net.notes)
    return None


def _stopped(words: str) -> int:
    click.echo(one_line(words), err=True)
    return INTERRUPTED


@dataclass
class Patient:
    """Progress that is silent for the first second, and then says something ten times a second.

    Attributes:
        what: what is done.
        done, total: what was said last.
    """

    what: str
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self._line, self._open = Progress(self.what), False
        self._next = time.monotonic() + _PATIENCE

    @property
    def said(self) -> str:
        """How far it is."""
        return f"{self.done:,} of {plural(self.total, 'step')}"

    def __call__(self, done: int, total: int, name: str) -> None:
        """Say that `done` of `total` steps are done; `name` is what is worked on."""
        self.done, self.total = done, total
        now = time.monotonic()
        if now < self._next and not (self._open and done == total):
            return
        self._next = now + _PAUSE
        self._line(done, total, name)
        self._open = self._line.shown and done != total

    def close(self) -> None:
        """End a line that is not ended, so that the next words have their own."""
        if self._open:
            click.echo(err=True)
        self._open = False
