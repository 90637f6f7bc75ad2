"""How units are written, and what is said of those that do not exist."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.units import Unit, parse_unit
from onelayer import net_of


@pytest.fixture
def run(small: tuple[Path, Path]) -> tuple[ls.Net, ls.Blobs]:
    net = ls.open(*small)
    return net, net.run(np.random.default_rng(0).normal(size=(2, 3, 9, 7)).astype(np.float32))


@pytest.mark.parametrize(
    ("words", "image", "index"),
    [
        ("conv1:3,6,4", 0, (0, 3, 6, 4)),
        ("conv1: 3, 6, 4", 1, (1, 3, 6, 4)),
        ("conv1:1,3,6,4", 0, (1, 3, 6, 4)),
        ("fc2:4", 1, (1, 4)),
        ("fc2:1,4", 0, (1, 4)),
    ],
)
def test_indices(run, words: str, image: int, index: tuple[int, ...]) -> None:
    net, blobs = run
    unit = parse_unit(words, net, blobs, image)
    assert unit == Unit(words.split(":")[0], index, image)
    again = parse_unit(str(unit), net, blobs, image)
    assert again == unit


def test_every_write_has_a_name(run) -> None:
    net, blobs = run
    assert parse_unit("conv1@conv1:0,0,0", net, blobs).blob == "conv1@conv1"
    assert parse_unit("conv1@relu1:0,0,0", net, blobs).blob == "conv1"


def test_the_largest(run) -> None:
    net, blobs = run
    order = np.argsort(-blobs["prob"][1])
    for rank in (1, 2, 5):
        assert parse_unit(f"prob:top{rank}", net, blobs, 1).index == (1, order[rank - 1])
    place = np.unravel_index(blobs["conv1"][0].argmax(), blobs["conv1"].shape[1:])
    assert parse_unit("conv1:top1", net, blobs).index == (0, *place)


def test_axes_of_size_one_may_be_left_out(tmp_path: Path) -> None:
    layer = """layer { name: "p" type: "Pooling" bottom: "x" top: "p"
        pooling_param { pool: MAX global_pooling: true } }
        layer { name: "r" type: "Reduction" bottom: "x" top: "all" }"""
    net = net_of(tmp_path, (1, 4, 3, 5), layer)
    blobs = net.run(np.arange(60, dtype=np.float32).reshape(1, 4, 3, 5))
    assert parse_unit("p:2", net, blobs).index == (0, 2, 0, 0)
    assert parse_unit("p:2,0", net, blobs).index == (0, 2, 0, 0)
    assert parse_unit("all", net, blobs) == Unit("all", ())
    assert str(Unit("all", ())) == "all"
    assert ls.explain(net, blobs, "all").value == 1770


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("conv2:1,2,3", 'blob "conv2" is not in net "small".*nearest: conv1'),
        ("conv1:4,0,0", 'channel 4; "conv1" has 4 channels, 0 to 3'),
        ("conv1:0,7,0", 'y 7; "conv1" has 7 rows, 0 to 6'),
        ("conv1:0,-1,0", "y -1"),
        ("conv1:0,0", r"takes 3 \(channel 0 to 3, y 0 to 6, x 0 to 4\)"),
        ("conv1", "0 numbers are given"),
        ("conv1:1,2,3,4,5", "5 numbers are given"),
        ("conv1:a,0,0", '"a" is no whole number'),
        ("conv1:0,,0", '"" is no whole number'),
        ("conv1:1.5,0,0", '"1.5" is no whole number'),
        ("prob:tip1", "nearest: top1"),
        ("prob:top0", "has 5 numbers, top1 to top5"),
        ("prob:top6", "has 5 numbers, top1 to top5"),
        ("relu1:1", '"relu1" is a layer; it writes conv1'),
        ("", 'blob "" is not in net'),
    ],
)
def test_what_does_not_exist(run, words: str, message: str) -> None:
    net, blobs = run
    with pytest.raises(ls.errors.UsageError, match=message):
        parse_unit(words, net, blobs)


@pytest.mark.parametrize("words", ["fc2:\u0663", "fc2:top\u0661", "fc2:\uff11", "fc2:\u00b2"])
def test_digits_of_other_scripts(run, words: str) -> None:
    """Arabic, fullwidth and raised ones: what looks like another place is not guessed at."""
    with pytest.raises(ls.errors.UsageError, match="is no whole number"):
        parse_unit(words, *run)


def test_an_image_that_is_not_there(run) -> None:
    with pytest.raises(ls.errors.UsageError, match="image 2: the batch has 2 images, from 0 on"):
        parse_unit("fc2:1", *run, 2)
