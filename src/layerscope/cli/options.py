"""Options that several commands share, declared once."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import click

from layerscope.errors import UsageError
from layerscope.inputs import Preprocessing
from layerscope.net import Net
from layerscope.text import one_line, plural, printable

Command = TypeVar("Command", bound=Callable[..., Any])

_LABEL_FILES = ("labels.txt", "synset_words.txt", "synsets.txt")


def _together(options: Sequence[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def output_options(command: Command) -> Command:
    """--json and --debug."""
    return _together(
        [
            click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text."),
            click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        ]
    )(command)


def net_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a definition may leave open: shapes of inputs, and the state that its rules ask for.

    The command gets all of it as `opening`, the keywords of `layerscope.open`.
    """

    @wraps(command)
    def gathered(**given: Any) -> Any:
        names = ("input_shapes", "phase", "level", "stages")
        return command(opening={name: given.pop(name) for name in names}, **given)

    return _together(
        [
            click.option(
                "--input-shape", "input_shapes", multiple=True, metavar="NAME=NUMBERS",
                callback=lambda _context, _option, given: parse_shapes(given),
                help="Shape of an input (data=1,3,227,227), where the net does not state it or"
                " states another; once for each input.",
            ),
            click.option("--phase", type=click.Choice(["TEST", "TRAIN"]), default="TEST",
                         help="Whose layers: those for testing unless given."),
            click.option("--level", type=int, default=0, metavar="NUMBER",
                         help="Level that the layers' rules ask for; 0 unless given."),
            click.option("--stage", "stages", multiple=True, metavar="NAME",
                         help="Stage that the layers' rules ask for; may be given again."),
        ]
    )(gathered)  # fmt: skip


def parse_shapes(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`data=1,3,227,227`, once for each input, as a mapping.

    Raises:
        UsageError: not of that form.
    """
    found = {}
    for words in given:
        name, _, numbers = words.rpartition("=")
        try:
            found[name] = tuple(int(number) for number in numbers.split(","))
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--input-shape {printable(words)}: write it as data=1,3,227,227")
    return found


def input_options(command: Command) -> Command:
    """What goes in, how an image becomes the input, and what the classes are called."""
    return _together(
        [
            click.option("--input", "inputs", multiple=True, metavar="NAME=FILE",
                         callback=lambda _context, _option, given: parse_inputs(given),
                         help="Image or array (.npy) for one of several inputs; once for each."),
            image_options,
        ]
    )(command)  # fmt: skip


def image_options(command: Command) -> Command:
    """How an image becomes the input, and what the classes are called."""
    return _together(
        [
            click.option(
                "--mean", metavar="NUMBERS|FILE",
                help="Mean to take off: one number a channel in the order of --channels"
                " (104,117,123), or a .binaryproto or .npy file; 0 for none.",
            ),
            click.option("--scale-input", type=float, metavar="FACTOR",
                         help="Factor after the mean is taken off (pixels are 0-255)."),
            click.option("--std", metavar="NUMBERS",
                         help="Deviation to divide by after the factor, one number a channel; 1 for"
                         " none."),
            click.option("--channels", type=click.Choice(["BGR", "RGB", "gray"]),
                         help="Channel order that the net wants; BGR for Caffe nets unless given."),
            click.option("--fit", type=click.Choice(["stretch", "crop", "pad"]),
                         help="How the image gets the net's size; stretch unless given."),
            click.option("--labels", type=click.Path(path_type=Path), metavar="FILE",
                         help="Class names, one a line; labels.txt or synset_words.txt beside the"
                         " net is found by itself."),
            click.option("--allow-missing", is_flag=True,
                         help="Run although layers have no weights; those are filled at random."),
        ]
    )(command)  # fmt: skip


def preprocessing(
    net: Net,
    mean: str | None,
    scale_input: float | None,
    channels: str | None,
    fit: str | None,
    std: str | None = None,
) -> Net:
    """The net with the preprocessing that the options ask for."""
    how: Preprocessing = net.preprocessing
    changes: dict[str, Any] = {}
    if mean is not None:
        changes["mean"] = parse_mean(mean)
    elif channels is not None and channels != how.channels and isinstance(how.mean, tuple):
        changes["mean"] = how.mean[::-1]  # the same colours in the other order
    if std is not None:
        changes["std"] = parse_std(std)
    elif channels is not None and channels != how.channels:
        changes["std"] = how.std[::-1]
    if scale_input is not None:
        if not isfinite(scale_input) or scale_input == 0:
            raise UsageError(f"--scale-input {scale_input:g}: a factor other than 0 is needed")
        changes["scale"] = scale_input
    if channels is not None:
        changes["channels"] = channels
    if fit is not None:
        changes["fit"] = fit
    if not changes:
        return net
    changes |= {"source": "as the options say", "stated": True}
    return replace(net, preprocessing=replace(how, **changes))


def parse_std(words: str) -> tuple[float, ...]:
    """Numbers above 0, separated by commas; 1 alone is no deviation at all.

    Raises:
        UsageError: not of that form.
    """
    try:
        numbers = tuple(float(word) for word in words.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(isfinite(n) and n > 0 for n in numbers):
        raise UsageError(f"--std {printable(words)}: numbers above 0, as 0.229,0.224,0.225")
    return () if numbers == (1.0,) else numbers


def parse_inputs(given: Sequence[str]) -> dict[str, str]:
    """`name=file`, once for each input, as a mapping.

    Raises:
        UsageError: not of that form, or the same input twice.
    """
    found: dict[str, str] = {}
    for words in given:
        name, _, file = words.partition("=")
        if not (name and file):
            raise UsageError(
                f"--input {printable(words)}: write it as NAME=FILE; an image, or an .npz with an"
                " array for each input, stands behind the net without --input"
            )
        if name in found:
            raise UsageError(f"--input {printable(name)} is given twice")
        found[name] = file
    return found


def sources(net: Net, image: str | None, inputs: Mapping[str, str], what: str) -> Any:
    """What to feed: the image, or what --input names, or both where one input is left over.

    Raises:
        UsageError: nothing is given (`what` says so), or an image for which no input is left.
    """
    if image is None and not inputs:
        raise UsageError(f"{what}; a net with several inputs takes --input NAME=FILE for each")
    if image is None or not inputs:
        return image if image is not None else inputs
    left = [name for name in net.inputs if name not in inputs and name not in net.optional]
    if len(left) != 1:
        raise UsageError(
            f"{printable(image)}: {plural(len(left), 'input')} left for it beside --input"
        )
    return {**inputs, left[0]: image}


def parse_mean(words: str) -> Any:
    """Numbers separated by commas, or a file.

    Raises:
        UsageError: neither.
    """
    try:
        numbers = tuple(float(word) for word in words.split(","))
        if not all(map(isfinite, numbers)):
            raise UsageError(f"--mean {printable(words)}: every number must be finite")
        return numbers
    except ValueError:
        pass
    path = Path(words)
    if not path.exists():
        raise UsageError(f"--mean {printable(words)}: neither numbers (104,117,123) nor a file")
    from layerscope.readers.caffe.mean import read_mean

    return read_mean(path)


def find_labels(given: Path | None, net_file: str, net: Net) -> list[str] | None:
    """The labels that were asked for, or those beside the net when they are as many as its classes.

    Raises:
        UsageError: the labels that were asked for are not as many as the classes.
    """
    from layerscope.measure.top import probability_blob, read_labels, score_blob

    last = probability_blob(net) or score_blob(net)
    classes = net.blobs[last].shape[1] if last and len(net.blobs[last].shape) > 1 else 0
    if given is not None:
        labels = read_labels(given)
        if classes and len(labels) != classes:
            raise UsageError(f"{_unlike(given, labels, classes)}; give the net's own labels")
        return labels
    for name in _LABEL_FILES:
        beside = Path(net_file).parent / name
        if beside.is_file() and net.blobs:
            labels = read_labels(beside)
            if len(labels) == classes:
                return labels
            say_notes([f"{_unlike(beside, labels, classes)}: not used"])
    return None


def _unlike(path: Path, labels: Sequence[str], classes: int) -> str:
    return f"{printable(path.name)} has {plural(len(labels), 'name')}, the net {classes:,} classes"


def split_files(files: Sequence[str], what: str) -> tuple[str, str | None, str | None]:
    """The files of a command as (net, weights, image); the last of two may be either.

    Raises:
        UsageError: too many or too few.
    """
    if not 1 <= len(files) <= 3:
        raise UsageError(f"{what} takes NET [WEIGHTS] [IMAGE], {len(files)} files are given")
    net, *rest = files
    if len(rest) == 2:
        return net, rest[0], rest[1]
    if not rest:
        return net, None, None
    return (net, None, rest[0]) if is_input(rest[0]) else (net, rest[0], None)


_INPUT_HEADS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"P5", b"P6", b"\x93NUMPY",
                b"PK\x03\x04")  # fmt: skip


def is_input(path: str) -> bool:
    """Whether a file is an image or an array, by its first bytes."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(8)
            return head.startswith(_INPUT_HEADS) and not _is_other_zip(Path(path), head)
    except OSError:
        return Path(path).suffix.lower() in (
            ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".npy", ".npz",
        )  # fmt: skip


def _is_other_zip(path: Path, head: bytes) -> bool:
    """Whether a file is an archive, but not of arrays: PyTorch's files are zips as `.npz` is."""
    if not head.startswith(b"PK") or path.suffix.lower() == ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return not all(name.endswith(".npy") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, EOFError):
        return True


def say_notes(notes: Sequence[str]) -> None:
    """What the reader wants the user to know, on stderr."""
    for note in notes:
        click.echo(one_line(f"note: {note}"), err=True)


def print_json(content: Any) -> None:
    """JSON on stdout; numbers that JSON does not know (NaN) become null."""
    click.echo(json.dumps(_plain(content), indent=1, ensure_ascii=True))


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(k): _plain(v) for k, v in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(v) for v in content]
    if isinstance(content, float) and (content != content or abs(content) == float("inf")):
        return None
    return content


class Progress:
    """One line on stderr that says how far a long job is; silent when stderr is not a terminal."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.shown = sys.stderr.isatty()

    def __call__(self, done: int, total: int, name: str) -> None:
        """Say that `done` of `total` steps are done; `name` is the next."""
        if not self.shown:
            return
        end = "\n" if done == total else ""
        line = f"\r{self.what}: {done} of {total}  {printable(name, 40):40}"
        click.echo(line + end, nl=False, err=True)
