"""`layerscope demo`: the whole job on the net that comes with the package."""

from __future__ import annotations

from pathlib import Path

import click

from layerscope.blobs import Blobs
from layerscope.cli.options import Progress, output_options, print_json
from layerscope.cli.outcome import outcome
from layerscope.cli.show import save
from layerscope.errors import SystemFaultError
from layerscope.net import Net
from layerscope.readers import open_net

PICTURES = (
    ("conv1", "filters"),
    ("conv1", "maps"),
    ("pool5", "maps"),
    ("fc6", "values"),
    ("prob", "classes"),
)


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    default=Path("demo-out"),
    show_default=True,
    help="Where to write page and pictures.",
)
@click.option("--image", metavar="NAME|FILE", help="One of the demo images, or an image of yours.")
@output_options
def demo(output: Path, image: str | None, as_json: bool, debug: bool) -> None:
    """Classify an image with the demo net and draw every layer: a first look, nothing needed."""
    from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
    from layerscope.measure.top import read_labels
    from layerscope.show.table import tables
    from layerscope.show.terminal import tables_text

    net = open_net(DEFINITION, WEIGHTS)
    labels = read_labels(LABELS)
    choice = images()
    source = choice.get(image or "", Path(image) if image else next(iter(choice.values())))
    blobs = net.run(source)
    told = outcome(net, blobs, labels)
    written = _draw(net, blobs, labels, output)
    if as_json:
        print_json(
            {
                "tables": tables(net).as_json(),
                "image": str(source),
                **told.as_json(),
                "written": [str(path) for path in written],
            }
        )
        return
    click.echo(f"{tables_text(tables(net))}\n\n{told.text()}\n\nwritten")
    for path in written:
        click.echo(f"  {path}")
    click.echo(f"\nOpen {written[0]} in a browser. Other images: --image {' | '.join(choice)}")


def _draw(net: Net, blobs: Blobs, labels: list[str], output: Path) -> list[Path]:
    """Write the page and the classic pictures; the page comes first."""
    from layerscope.show.drawing import blob_picture, param_picture
    from layerscope.show.report import report

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemFaultError(f"{output}: cannot be made: {error.strerror}") from None
    written = [
        report(net, blobs, output / "report.html", labels=labels, progress=Progress("drawing"))
    ]
    for layer, what in PICTURES:
        filters = what == "filters"
        picture = (
            param_picture(net, layer) if filters else blob_picture(net, blobs, layer, labels=labels)
        )
        written.append(output / f"{layer}-{what}.png")
        save(picture, written[-1])
    return written
