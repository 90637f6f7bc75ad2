"""The command line: `layerscope COMMAND ...`, one command a file."""

from __future__ import annotations

import os
import sys

import click

from layerscope import __version__
from layerscope.cli.demo import demo
from layerscope.cli.layers import layers
from layerscope.cli.report import report
from layerscope.cli.shapes import shapes
from layerscope.cli.show import show
from layerscope.errors import LayerscopeError
from layerscope.text import one_line

INTERRUPTED = 130
OUR_FAULT = 70


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="layerscope")
def cli() -> None:
    r"""An oscilloscope for convolutional nets: open a trained net and see every layer.

    \b
    layerscope demo                                     a first look, nothing needed
    layerscope shapes deploy.prototxt weights.caffemodel
    layerscope show   deploy.prototxt weights.caffemodel cat.jpg --blob conv1 -o conv1.png
    layerscope report deploy.prototxt weights.caffemodel cat.jpg -o cat.html
    """


for command in (demo, shapes, show, report, layers):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the exit code of `errors.py`."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code.

    Every fault of a user ends in one line on stderr; with --debug the traceback comes too.
    """
    debug = "--debug" in arguments
    try:
        cli.main(arguments, prog_name="layerscope", standalone_mode=False)
    except LayerscopeError as error:
        if debug:
            raise
        return _say(str(error), error.exit_code)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return _say(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
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
    return 0


def _say(message: str, code: int) -> int:
    click.echo(one_line(f"error: {message}"), err=True)
    return code
