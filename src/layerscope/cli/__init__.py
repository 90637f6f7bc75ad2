"""The command line: `layerscope COMMAND ...`, one command a file."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import click

from layerscope import __version__
from layerscope.cli.attribute import attribute
from layerscope.cli.compare import compare
from layerscope.cli.convert import convert
from layerscope.cli.demo import demo
from layerscope.cli.diagram import diagram
from layerscope.cli.dream import dream
from layerscope.cli.explain import explain
from layerscope.cli.layers import layers
from layerscope.cli.report import report
from layerscope.cli.shapes import shapes
from layerscope.cli.show import show
from layerscope.cli.view import view
from layerscope.errors import LayerscopeError
from layerscope.text import one_line

INTERRUPTED = 130
OUR_FAULT = 70


# \b on a line of its own keeps click from folding the lines that follow.
HELP = """An oscilloscope for convolutional nets: open a trained net and see every layer.

\b
layerscope                                          the demo net, live in the browser
layerscope view deploy.prototxt weights.caffemodel  a net of yours; `view` may be left out
layerscope demo                                     a first look, nothing needed
layerscope shapes deploy.prototxt weights.caffemodel
layerscope show   deploy.prototxt weights.caffemodel cat.jpg --blob conv1 -o conv1.png
layerscope explain deploy.prototxt weights.caffemodel cat.jpg --unit conv1:12,30,17
layerscope dream  deploy.prototxt weights.caffemodel --unit conv3:7 -o unit.png
layerscope attribute deploy.prototxt weights.caffemodel cat.jpg --of prob:top1 -o why.png
layerscope report deploy.prototxt weights.caffemodel cat.jpg -o cat.html
layerscope compare deploy.prototxt before.caffemodel after.caffemodel --input cat.jpg
layerscope diagram deploy.prototxt -o net.svg
"""


@click.group(
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="layerscope")
def cli() -> None:
    """The group of all commands."""


for command in (
    view,
    demo,
    shapes,
    show,
    explain,
    dream,
    attribute,
    report,
    compare,
    diagram,
    convert,
    layers,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the exit code of `errors.py`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code.

    Every fault of a user ends in one line on stderr; with --debug the traceback comes too.
    """
    debug = "--debug" in arguments
    try:
        code = cli.main(_with_command(arguments), prog_name="layerscope", standalone_mode=False)
    except LayerscopeError as error:
        if debug:
            raise
        return _say(str(error), error.exit_code)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as help_:
        click.echo(help_.format_message())
        return 0
    except click.UsageError as error:
        return _say(error.format_message(), 2)
    except click.ClickException as error:
        return _say(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    except (BrokenPipeError, SystemExit):  # click makes the second of the first
        # Whoever read our output has stopped reading; Python must not complain when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _say("not enough memory", 5)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {error}"
        return _say(f"a fault in layerscope itself ({what}); --debug shows where", OUR_FAULT)
    return code if isinstance(code, int) else 0  # click gives what ctx.exit was given


def _with_command(arguments: list[str]) -> list[str]:
    """The arguments with the command that is meant where files come first, or nothing: `view`."""
    first = arguments[0] if arguments else ""
    options = {each for option in cli.params for each in option.opts} | {"-h", "--help"}
    if first in cli.commands or first in options:
        return arguments
    known = first.startswith("-") or not first or Path(first).exists()
    return ["view", *arguments] if known or _looks_like_a_file(first) else arguments


def _looks_like_a_file(words: str) -> bool:
    """Whether it can only be a file, and so is told to be missing and not to be no command."""
    return any(mark in words for mark in (os.sep, "/", "."))


def _say(message: str, code: int) -> int:
    click.echo(one_line(f"error: {message}"), err=True)
    return code
