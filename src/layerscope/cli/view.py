"""`layerscope view`: the net in the browser, with images or a camera before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from layerscope.cli.options import (
    find_labels,
    input_options,
    is_input,
    net_options,
    preprocessing,
    say_notes,
)
from layerscope.errors import UsageError
from layerscope.readers import open_net


@click.command()
@click.argument("files", nargs=-1, metavar="[NET [WEIGHTS]] [IMAGE|FOLDER]...")
@click.option(
    "--port",
    type=int,
    metavar="NUMBER",
    help="Where to listen; 0 for any. Unless given 8710, or the next that is free.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Address to listen at. Only this machine reaches the viewer unless you give"
    " --open-to-network too.",
)
@click.option(
    "--open-to-network",
    is_flag=True,
    help="Allow a --host that other machines reach; they need the printed link.",
)
@click.option("--no-browser", is_flag=True, help="Print the link, and do not open it.")
@net_options
@input_options
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def view(
    files: tuple[str, ...],
    port: int | None,
    host: str,
    open_to_network: bool,
    no_browser: bool,
    **given: Any,
) -> None:
    """Open a net in the browser: every layer live, for images or a camera.

    Without files it opens the demo net.
    """
    from layerscope.viewer.guard import is_loopback
    from layerscope.viewer.server import Viewer

    if not is_loopback(host) and not open_to_network:
        raise UsageError(
            f"--host {host} lets other machines reach the viewer; add --open-to-network if you"
            " want that"
        )
    session = _session(files, **given)
    viewer = Viewer(session, host=host, port=port, browser=not no_browser)
    click.echo(f"{viewer.url}\nCtrl-C ends it")
    say_notes(session.net.notes)
    viewer.run()


def _session(
    files: Sequence[str],
    opening: dict[str, Any],
    inputs: dict[str, str],
    labels: Path | None,
    allow_missing: bool,
    debug: bool,
    **how: Any,
) -> Any:
    """The net of some files, with its images."""
    from layerscope.demo import DEFINITION, LABELS, WEIGHTS
    from layerscope.viewer.gallery import demo_images, image_files
    from layerscope.viewer.session import Session

    rest = [*files]
    images = [each for each in rest if Path(each).is_dir() or _is_picture(each)]
    nets = [each for each in rest if each not in images]
    if len(nets) > 2:
        raise UsageError(f"view takes NET [WEIGHTS] and images, {len(nets)} files are no images")
    if not nets:
        nets, labels = [str(DEFINITION), str(WEIGHTS)], labels or LABELS
    net = preprocessing(open_net(nets[0], *nets[1:], **opening), **how)
    net = net.filled() if allow_missing else net
    names = find_labels(labels, nets[0], net)
    if inputs and not images and set(inputs) >= set(net.inputs) - set(net.optional):
        images = [inputs.pop(next(iter(inputs)))]  # the one that others may be put in place of
    return Session(net, image_files(images) if images else demo_images(), names or (), inputs)


def _is_picture(path: str) -> bool:
    """Whether a file is an input; exported programs and .npz arrays are both zip files."""
    return is_input(path) and Path(path).suffix.lower() not in (".pt", ".pt2", ".pth")
