"""Pictures as they were when somebody looked at them and found them good.

A picture may differ from its golden one by the edge of a letter: at most 1 % of the pixels by more
than 24 of 255 levels, and 1.5 levels in the mean.  Sizes are equal.  After a change that is meant:

    pytest tests/show/test_golden_pictures.py --update-golden

then look at every picture in tests/show/golden that git shows as changed.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.measure.top import read_labels

FOLDER = Path(__file__).parent / "golden"
FEW, LARGE, MEAN = 0.01, 24, 1.5

Made = Callable[[ls.Net, ls.Blobs], bytes]


def readable(picture: ls.Picture) -> bytes:
    return picture.readable().png()


def unit(name: str) -> Made:
    return lambda net, blobs: ls.explain(net, blobs, name).picture().png()


PICTURES: dict[str, Made] = {
    "grid-all": lambda net, blobs: readable(ls.grid(blobs["pool1"][0])),
    "grid-tile": lambda net, blobs: readable(ls.grid(blobs["pool1"][0], scale="tile", limit=20)),
    "grid-signed": lambda net, blobs: readable(ls.grid(blobs["conv2@conv2"][0], scale="signed")),
    "filters-colour": lambda net, blobs: readable(
        ls.filters(net.params["conv1"][0], channels="BGR")
    ),
    "filters-deep": lambda net, blobs: readable(ls.filters(net.params["conv3"][0], limit=24)),
    "vector": lambda net, blobs: ls.vector(blobs["fc6"][0], "fc6").png(),
    "histogram": lambda net, blobs: ls.histogram(blobs["conv5@conv5"].ravel(), title="conv5").png(),
    "probabilities": lambda net, blobs: ls.probabilities(
        blobs["prob"][0], read_labels(LABELS)
    ).png(),
    "diagram": lambda net, blobs: ls.diagram(net).png(),
    "unit-conv": unit("conv1:12,30,17"),
    "unit-deep": unit("conv4:7,6,5"),
    "unit-pool": unit("pool1:3,10,12"),
    "unit-norm": unit("norm2:5,6,7"),
    "unit-dense": unit("fc7:20"),
    "unit-softmax": unit("prob:top1"),
}


@pytest.fixture(scope="module")
def run() -> tuple[ls.Net, ls.Blobs]:
    net = ls.open(DEFINITION, WEIGHTS)
    return net, net.run(images()["cat"])


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(np.int16)


def faults(made: np.ndarray, golden: np.ndarray) -> str:
    """What differs too much; "" where nothing does."""
    if made.shape != golden.shape:
        return f"size {made.shape} in place of {golden.shape}"
    apart = np.abs(made - golden)
    share, mean = float((apart.max(axis=2) > LARGE).mean()), float(apart.mean())
    return f"{share:.2%} of the pixels, mean {mean:.2f}" if share > FEW or mean > MEAN else ""


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_as_they_were(
    run: tuple[ls.Net, ls.Blobs], name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made, path = PICTURES[name](*run), FOLDER / f"{name}.png"
    if request.config.getoption("--update-golden"):
        with Image.open(io.BytesIO(made)) as picture:
            picture.convert("RGB").save(path, optimize=True)
        return
    fault = faults(pixels(made), pixels(path.read_bytes()))
    (tmp_path / f"{name}.png").write_bytes(made)
    assert not fault, f"{name}: {fault}; compare {tmp_path / name}.png with {path}"


def test_what_is_different_is_seen(run: tuple[ls.Net, ls.Blobs]) -> None:
    """A tile moved by one place, a wrong channel order, another scale: none passes."""
    net, blobs = run
    golden = {name: pixels((FOLDER / f"{name}.png").read_bytes()) for name in PICTURES}
    others = {
        "grid-all": readable(ls.grid(np.roll(blobs["pool1"][0], 1, axis=0))),
        "grid-tile": readable(ls.grid(blobs["pool1"][0], scale="all", limit=20)),
        "filters-colour": readable(ls.filters(net.params["conv1"][0], channels="RGB")),
        "unit-conv": ls.explain(net, blobs, "conv1:12,30,18").picture().png(),
    }
    for name, made in others.items():
        assert faults(pixels(made), golden[name]), name
