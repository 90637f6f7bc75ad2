"""Nets as diagrams: every layer is there, in-place ones with their blob, edges as in the file."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import layerscope as ls
from conftest import GOLDEN
from layerscope.demo import DEFINITION
from layerscope.net import Layer
from layerscope.pictures.sheet import Area, Group
from layerscope.show.architecture import FAMILIES, family_of, net_diagram

SVG = "{http://www.w3.org/2000/svg}"
INPUT = 'layer { name: "%s" type: "Input" top: "%s" input_param { shape { %s } } }\n'


def opened(tmp_path: Path, *layers: str) -> ls.Net:
    path = tmp_path / "net.prototxt"
    shape = "dim: 2 dim: 3 dim: 9 dim: 7"
    path.write_text(INPUT % ("data", "data", shape) + "\n".join(layers))
    return ls.open(path)


def conv(name: str, bottom: str) -> str:
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"'
        " convolution_param { num_output: 3 kernel_size: 3 pad: 1 } }"
    )


def layer(name: str, kind: str, bottoms: str, tops: str) -> str:
    read = " ".join(f'bottom: "{each}"' for each in bottoms.split())
    write = " ".join(f'top: "{each}"' for each in tops.split())
    return f'layer {{ name: "{name}" type: "{kind}" {read} {write} }}'


def blocks(net: ls.Net, **how: object) -> dict[str, Group]:
    found = net_diagram(net, **how)  # type: ignore[arg-type]
    return {part.key: part for part in found.sheet.parts if isinstance(part, Group)}


def edge_count(net: ls.Net) -> int:
    """Pairs of blobs of the file of which one is made of the other, and reads without a result."""
    base = {name: blob.base for name, blob in net.blobs.items()}
    pairs = {
        (base[bottom], base[top])
        for each in net.layers
        for bottom in each.bottoms
        for top in each.tops
        if base[bottom] != base[top]
    }
    quiet = [
        (base[b], n) for n, each in enumerate(net.layers) if not each.tops for b in each.bottoms
    ]
    return len(pairs) + len(quiet)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_nothing_of_a_net_is_lost(case: Path) -> None:
    net = ls.open(case / "net.prototxt")
    found = blocks(net)
    said = "\n".join(group.title for group in found.values())
    for each in net.layers:
        assert each.name in said and each.type in said
    last = {name for name, blob in net.blobs.items() if not blob.replaced}
    quiet = [each for each in net.layers if not each.tops]
    assert last <= set(found) and len(found) == len(last) + len(quiet)
    picture = net_diagram(net)
    assert picture.edges == edge_count(net) and picture.blocks == len(found)
    ElementTree.fromstring(picture.svg)


def test_in_place_layers_are_slices_of_their_blob(small: tuple[Path, Path]) -> None:
    found = blocks(ls.open(small[0]))
    assert list(found) == ["data", "conv1", "fc2", "prob"]
    title = found["conv1"].title
    assert title.startswith("conv1 (2, 4, 7, 5): Convolution, 4 filters 3x3")
    assert title.endswith("; then in place ReLU (relu1)")
    fills = {mark.fill for mark in found["conv1"].marks if isinstance(mark, Area)}
    assert {FAMILIES["convolution"], FAMILIES["activation"]} <= fills
    assert found["data"].title == "data (2, 3, 9, 7): Input; input of the net"
    assert found["prob"].title.endswith("; output of the net")


def test_a_value_that_is_read_before_it_is_written_over_is_a_block(tmp_path: Path) -> None:
    net = opened(
        tmp_path,
        conv("a", "data"),
        layer("early", "Sigmoid", "a", "early"),
        layer("relu", "ReLU", "a", "a"),
        layer("tanh", "TanH", "a", "a"),
    )
    assert list(blocks(net)) == ["data", "a@a", "early", "a"]
    assert net_diagram(net).edges == 3


def test_an_in_place_sum_makes_no_circle(tmp_path: Path) -> None:
    net = opened(tmp_path, conv("a", "data"), conv("b", "a"), layer("sum", "Eltwise", "a b", "a"))
    assert list(blocks(net)) == ["data", "a@a", "b", "a"]
    assert net_diagram(net).edges == 4


def test_layers_without_a_blob_and_layers_that_are_not_computed(tmp_path: Path) -> None:
    net = opened(
        tmp_path,
        layer("quiet", "Silence", "data", ""),
        conv("a", "data"),
        layer("odd", "Mystery", "a", "odd"),
        layer("after", "Eltwise", "odd a", "after"),
    )
    found = blocks(net)
    assert list(found) == ["data", "quiet (layer)", "a", "odd (layer)", "after (layer)"]
    assert [each.needs for each in net.layers] == [(), (), (), (), ("odd",)]
    root = ElementTree.fromstring(net_diagram(net).svg)
    dashed = [each for each in root.iter(f"{SVG}path") if each.get("stroke-dasharray")]
    assert len(dashed) == 3  # a to odd, odd to after, a to after
    words = {
        group.get("data-key"): [each.text for each in group.iter(f"{SVG}text")]
        for group in root.iter(f"{SVG}g")
    }
    assert words["odd (layer)"] == ["?", "odd"] and words["quiet (layer)"] == ["quiet"]
    assert "not computed: " in found["odd (layer)"].title
    assert 'needs layer "odd"' in found["after (layer)"].title


def test_names_of_layers_and_blobs_do_not_meet(tmp_path: Path) -> None:
    net = opened(
        tmp_path,
        layer("one", "Split", "data", "x y"),
        layer("silent", "Silence", "x", ""),
        layer("silent", "Silence", "y", ""),
        conv("silent (layer)", "data"),
    )
    assert list(blocks(net))[-3:] == ["silent (layer)'", "silent (layer)''", "silent (layer)"]


def test_links_lead_to_the_blobs_of_a_page(small: tuple[Path, Path]) -> None:
    net = ls.open(small[0])
    svg = net_diagram(net, links={"conv1": "blob conv1", "prob": "p", "nothing": "x"}).svg
    links = {
        each[0].get("data-key"): each.get("href")
        for each in ElementTree.fromstring(svg).iter(f"{SVG}a")
    }
    assert links == {"conv1": "#blob%20conv1", "prob": "#p"}


def test_right_is_wider_and_down_taller() -> None:
    net = ls.open(DEFINITION)
    down, right = net_diagram(net), net_diagram(net, direction="right")
    assert down.height > down.width and right.width > right.height
    assert down.edges == right.edges == 14 and down.caption == right.caption
    with pytest.raises(ls.errors.UsageError, match="possible: down, right"):
        net_diagram(net, direction="up")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "ops", "params", "expected"),
    [
        ("vision", ["Conv"], 1, "convolution"),
        ("fork", ["ConvTranspose", "Slice"], 1, "convolution"),
        ("vision", ["Pad", "AveragePool"], 0, "pooling"),
        ("vision", ["Conv"], 0, "other"),  # a fixed kernel moves values about
        ("common", ["Flatten", "Gemm"], 1, "fully connected"),
        ("common", [], 0, "other"),
        ("neuron", ["Reshape", "Mul", "Add"], 1, "normalization"),
        ("neuron", ["PRelu"], 1, "activation"),
        ("fork", ["InstanceNormalization"], 1, "normalization"),
        ("utility", ["Softmax"], 0, "activation"),
        ("utility", ["Reshape"], 0, "other"),
        ("detection", ["MaxRoiPool"], 0, "detection"),
        ("recurrent", ["Gemm"], 1, "recurrent"),
        ("data", [], 0, "input"),
        ("loss", ["Softmax"], 0, "loss"),
    ],
)
def test_families(family: str, ops: list[str], params: int, expected: str) -> None:
    param = ls.Param("w", (1,))
    assert family_of(Layer("x", "X", family, ("a",), ("b",), (param,) * params), ops) == expected
    joined = Layer("x", "X", "utility", ("a", "b"), ("c",))
    assert family_of(joined, ["Concat"]) == "join, split"
    assert family_of(Layer("x", "X", family, (), (), reason="no"), ops) == "not computed"


# Machado, Oliveira and Fernandes, 2009: how those see who lack one kind of cones; linear RGB.
SIGHT = {
    "all": np.eye(3),
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
# Ottosson's two matrices, from linear RGB to cones and from their roots to Oklab.
TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_can_be_told_apart(sight: str) -> None:
    def lab(color: str) -> np.ndarray:
        screen = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        light = np.where(screen <= 0.04045, screen / 12.92, ((screen + 0.055) / 1.055) ** 2.4)
        cones = np.array(TO_CONES) @ np.clip(np.array(SIGHT[sight]) @ light, 0, 1)
        return np.array(TO_LAB) @ np.cbrt(cones)

    colors = {family: lab(code) for family, code in FAMILIES.items() if family != "not computed"}
    for one, other in combinations(colors, 2):
        apart = np.linalg.norm(colors[one] - colors[other])
        assert apart >= 0.07, (one, other, apart)
