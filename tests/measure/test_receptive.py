"""What a unit sees: held against runs in which one input pixel after the other is changed."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope.errors import UnknownNameError, UsageError
from layerscope.measure.receptive import receptive_box
from layerscope.measure.strides import Extent, receptive_fields
from onelayer import net_of

GOLDEN = sorted(p.parent for p in (Path(__file__).parent.parent / "golden").glob("*/golden.npz"))
BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


def conv(name: str, bottom: str, settings: str, kind: str = "Convolution") -> str:
    return (
        f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{name}"'
        f" convolution_param {{ {settings} }} }}\n"
    )


def layer(name: str, kind: str, bottoms: str, settings: str = "") -> str:
    reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {reads} top: "{name}" {settings} }}\n'


def pool(name: str, bottom: str, settings: str) -> str:
    return layer(name, "Pooling", bottom, f"pooling_param {{ {settings} }}")


NETS = {
    "strides, ceil pool, dilation, groups": ((3, 13, 11), (
        conv("c1", "x", "num_output: 4 kernel_size: 5 stride: 2 pad: 1")
        + layer("r1", "ReLU", "c1")
        + pool("p1", "r1", "pool: MAX kernel_size: 3 stride: 2")
        + conv("c2", "p1", "num_output: 6 kernel_size: 3 pad: 2 dilation: 2 group: 2")
        + conv("c3", "c2", "num_output: 6 kernel_h: 2 kernel_w: 1 pad_h: 1 pad_w: 0 group: 3"))),
    "a stride that leaves rows unseen": ((2, 12, 14), (
        conv("c1", "x", "num_output: 2 kernel_size: 2 stride: 5")
        + conv("c2", "c1", "num_output: 2 kernel_size: 3 pad: 2")
        + conv("d1", "x", "num_output: 2 kernel_size: 3 dilation: 3 pad: 4"))),
    "ceil pools with pad and empty windows": ((2, 8, 9), (
        pool("p1", "x", "pool: AVE kernel_size: 3 stride: 2 pad: 1")
        + pool("p2", "x", "pool: MAX kernel_size: 1 stride: 3")
        + pool("p3", "p1", "pool: AVE kernel_size: 2 stride: 2")
        + pool("p4", "x", "pool: MAX kernel_size: 2 stride: 2 round_mode: FLOOR"))),
    "inception": ((2, 9, 8), (
        conv("a", "x", "num_output: 2 kernel_size: 1")
        + conv("b", "x", "num_output: 3 kernel_size: 3 pad: 1")
        + conv("c", "x", "num_output: 2 kernel_size: 5 pad: 2")
        + pool("d", "x", "pool: MAX kernel_size: 3 stride: 1 pad: 1")
        + layer("o", "Concat", "a b c d")
        + layer("n", "LRN", "o", "lrn_param { local_size: 3 alpha: 0.5 }")
        + conv("e", "n", "num_output: 3 kernel_size: 2 group: 3 stride: 2"))),
    "residual": ((2, 10, 7), (
        conv("a", "x", "num_output: 4 kernel_size: 1 stride: 2")
        + conv("b1", "x", "num_output: 3 kernel_size: 3 pad: 1 stride: 2")
        + conv("b2", "b1", "num_output: 4 kernel_size: 3 pad: 1")
        + layer("s", "Eltwise", "a b2")
        + layer("g", "Pooling", "s", "pooling_param { pool: AVE global_pooling: true }")
        + layer("fc", "InnerProduct", "g", "inner_product_param { num_output: 4 }")
        + layer("scaled", "Power", "fc", "power_param { scale: 0.001 }")
        + layer("prob", "Softmax", "scaled"))),
    "deconvolution and crop": ((2, 9, 10), (
        conv("c", "x", "num_output: 4 kernel_size: 3 stride: 2")
        + conv("u", "c", "num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 2", "Deconvolution")
        + conv("v", "u", "num_output: 2 kernel_size: 3 dilation: 2 pad: 1", "Deconvolution")
        + conv("w", "c", "num_output: 2 kernel_size: 2 stride: 3", "Deconvolution")
        + layer("k", "Crop", "w c", "crop_param { axis: 2 offset: 2 offset: 1 }")
        + conv("z", "k", "num_output: 2 kernel_size: 2"))),
    "rearranged": ((6, 5, 4), (
        layer("h", "ShuffleChannel", "x", "shuffle_channel_param { group: 3 }")
        + conv("g", "h", "num_output: 4 kernel_size: 2 group: 2")
        + layer("m", "Permute", "g", "permute_param { order: 0 order: 2 order: 3 order: 1 }")
        + layer("f", "Flatten", "m")
        + layer("r", "Reshape", "f", "reshape_param { shape { dim: 0 dim: 6 dim: -1 } }")
        + layer("i", "InnerProduct", "r", "inner_product_param { num_output: 3 axis: 2 }")
        + layer("t", "Tile", "i", "tile_param { axis: 1 tiles: 2 }"))),
    "cut and joined": ((4, 6, 7), (
        'layer { name: "cut" type: "Slice" bottom: "x" top: "s0" top: "s1"'
        " slice_param { slice_point: 1 } }\n"
        + conv("a", "s0", "num_output: 2 kernel_size: 3 pad: 1")
        + conv("b", "s1", "num_output: 3 kernel_size: 1")
        + layer("o", "Concat", "a b")
        + conv("c", "o", "num_output: 5 kernel_size: 1 group: 5")
        + layer("w", "Concat", "a s1", "concat_param { axis: 1 }")
        + layer("v", "MVN", "b"))),
    "pyramid and windows": ((2, 6, 8), (
        layer("s", "SPP", "x", "spp_param { pyramid_height: 2 pool: AVE }")
        + layer("l", "LRN", "x", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 1 }")
        + conv("m", "x", "kernel_size: 3 stride: 2 pad: 1", "Im2col"))),
    "resized": ((4, 5, 6), (
        layer("i", "Interp", "x", "interp_param { height: 9 width: 4 }")
        + layer("u", "Upsample", "x", "upsample_param { scale: 2 }")
        + conv("c", "u", "num_output: 2 kernel_size: 3 pad: 1")
        + layer("q", "Reorg", "u", "reorg_param { stride: 2 }"))),
    "three spatial axes": ((2, 5, 4, 6), (
        conv("c", "x", "num_output: 2 kernel_size: 3 kernel_size: 2 kernel_size: 3"
             " stride: 1 stride: 1 stride: 2 pad: 1 pad: 0 pad: 1"))),
    "one spatial axis": ((2, 12), conv("c", "x", "num_output: 3 kernel_size: 3 stride: 2 pad: 1")
        + conv("d", "c", "num_output: 2 kernel_size: 2 group: 1")),
}  # fmt: skip


def positive(folder: Path, dims: tuple[int, ...], text: str) -> ls.Net:
    """The net with positive weights: nothing cancels out, no ReLU is shut."""
    rng = np.random.default_rng(3)
    shapes = net_of(folder, dims, text).params
    arrays = {
        name: [rng.uniform(0.5, 1.5, param.shape).astype(np.float32) for param in params]
        for name, params in shapes.items()
    }
    return net_of(folder, dims, text, arrays or None)


@pytest.mark.parametrize("name", NETS)
def test_a_unit_changes_with_the_pixels_of_its_box_and_with_no_others(
    name: str, tmp_path: Path
) -> None:
    space, text = NETS[name]
    net = positive(tmp_path, (1, *space), text)
    rng = np.random.default_rng(8)
    image = rng.uniform(1, 2, space).astype(np.float32)
    count = image.size
    # These add up in another order with each image; all else stays the same to the last bit.
    rounding = {"LRN": 1e-3, "MVN": 1e-5, "Softmax": 1e-5}
    tolerance = max((size for kind, size in rounding.items() if kind in text), default=0.0)
    batch = np.repeat(image[None], count + 1, axis=0)
    batch[np.arange(count), *np.unravel_index(np.arange(count), space)] += (
        4 if tolerance else 400
    )  # one pixel in each
    runs = net.run(batch)
    for blob, array in runs.items():
        dims = array.shape[1:]
        changed = abs(array[:-1] - array[-1]) > tolerance * abs(array[-1])
        for _ in range(25):
            index = tuple(int(rng.integers(dim)) for dim in dims)
            seen = changed[(slice(None), *index)].reshape(space)
            found = receptive_box(net, blob, index).inputs["x"]
            where = f"{blob} {index}"
            if not seen.any():
                assert found.status == "none", where
                continue
            assert found.status == "exact", where
            places = [(int(axis.min()), int(axis.max())) for axis in np.nonzero(seen)]
            assert [(span.low, span.high) for span in found.axes[1:]] == places, where
            assert all(s.first <= s.low and s.last >= s.high for s in found.axes), where


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_nothing_outside_the_box_changes_a_unit(case: Path) -> None:
    """For every golden net, also those of which only an upper bound is known."""
    weights = case / "net.caffemodel"
    net = ls.open(case / "net.prototxt", weights if weights.exists() else None)
    with np.load(case / "golden.npz") as golden:
        fed = {name[3:]: golden[name] for name in golden.files if name.startswith("in/")}
    first = next(iter(net.inputs))
    if first not in fed or fed[first].size < 2:
        return
    before, rng = net.run(fed), np.random.default_rng(9)
    for _ in range(6):
        place = tuple(int(rng.integers(dim)) for dim in fed[first].shape)
        changed = fed[first].copy()
        changed[place] = rng.choice(fed[first].ravel())  # a value that the net takes
        after = net.run({**fed, first: changed})
        for name, array in after.items():
            if array.shape != net.blobs[name].shape or array.shape != before[name].shape:
                continue
            size = np.abs(before[name]).max(initial=0) * 1e-5
            moved = np.argwhere(np.abs(array - before[name]) > size)
            for index in moved[rng.permutation(len(moved))[:15]]:
                unit = [int(i) for i in index]
                seen = receptive_box(net, name, unit[1:], *unit[:1]).inputs[first]
                inside = zip(seen.axes, place, strict=True) if seen.axes else [(None, 0)]
                assert all(a and a.low <= i <= a.high for a, i in inside), (name, unit, place)


def test_the_table_agrees_with_the_units(tmp_path: Path) -> None:
    for name, (space, text) in NETS.items():
        net = net_of(tmp_path, (1, *space), text)
        for blob, field in receptive_fields(net).items():
            dims = net.blobs[blob].shape
            middle = [dim // 2 for dim in dims[1:]]
            for k, extent in enumerate(field.axes):
                if not isinstance(extent, Extent) or extent.stride is None:
                    continue
                sizes = set()
                for place in range(dims[2 + k]):
                    middle[1 + k] = place
                    ends = [
                        receptive_box(net, blob, [c, *middle[1:]]).inputs["x"]
                        for c in range(dims[1])
                    ]
                    spans = [reach.space[k] for reach in ends if reach.axes]
                    if not spans:  # a window in the padding
                        continue
                    first, last = min(s.first for s in spans), max(s.last for s in spans)
                    sizes.add(last - first + 1)
                    centre = extent.start + float(extent.stride) * place
                    assert abs((first + last) / 2 - centre) < 1, (name, blob, k, place)
                    if place == 0:
                        assert first == extent.first, (name, blob, k)
                middle[1 + k] = dims[2 + k] // 2
                assert max(sizes) == extent.size, (name, blob, k)


def test_all_is_said_only_where_nothing_is_left_out(tmp_path: Path) -> None:
    """Columns that a slice cuts off, or a stride steps over, are not seen by what sums the rest."""
    text = (
        'layer { name: "cut" type: "Slice" bottom: "x" top: "edge" top: "rest"'
        " slice_param { axis: 3 slice_point: 2 } }\n"
        + layer("sum", "Reduction", "rest", "reduction_param { axis: 2 }")
        + conv("thin", "x", "num_output: 2 kernel_size: 2 stride: 4")
        + layer("fc", "InnerProduct", "thin", "inner_product_param { num_output: 3 }")
        + layer("every", "InnerProduct", "x", "inner_product_param { num_output: 3 }")
    )
    table = receptive_fields(net_of(tmp_path, (1, 2, 6, 11), text))
    assert table["sum"].axes == ("all", Extent(9, None, 6.0, 2))  # columns 2..10 of 0..10
    assert table["fc"].axes == ("all", Extent(10, None, 4.5, 0))  # 0, 1, 4, 5, 8 and 9
    assert table["every"].axes == ("all", "all")


PUBLISHED = {  # Simonyan and Zisserman 2015; Araujo, Norris and Sim 2019; fields of AlexNet
    "caffenet": {
        "conv1": (11, 4), "pool1": (19, 8), "conv2": (51, 8), "pool2": (67, 16),
        "conv3": (99, 16), "conv4": (131, 16), "conv5": (163, 16), "pool5": (195, 32),
    },
    "vgg16": {"conv1_2": (5, 1), "pool3": (44, 8), "conv5_3": (196, 16), "pool5": (212, 32)},
    "googlenet": {"pool2/3x3_s2": (27, 8), "inception_3a/output": (59, 8),
                  "inception_3a/5x5": (59, 8), "inception_3a/1x1": (27, 8)},
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_fields(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import nets

    path = tmp_path / "net.prototxt"
    path.write_text(getattr(nets, name)())
    sys.modules.pop("nets")
    net = ls.open(path)
    table = receptive_fields(net)
    for blob, (size, stride) in PUBLISHED[name].items():
        dims = net.blobs[blob].shape
        centre = (0, dims[2] // 2, dims[3] // 2)
        for k, span in enumerate(receptive_box(net, blob, centre).inputs["data"].space):
            extent = table[blob].axes[k]
            assert isinstance(extent, Extent)
            assert (extent.size, extent.stride) == (size, Fraction(stride)), blob
            if name != "googlenet" or blob != "inception_3a/output":  # channel 0 sees less there
                assert span.last - span.first + 1 == size, blob
    assert table["prob"].axes == ("all", "all")


def test_what_is_not_known_in_detail_is_an_upper_bound(tmp_path: Path) -> None:
    text = layer("f", "Filter", "x y")
    net = net_of(tmp_path, (4, 3, 5), text, more={"y": (4,)})
    found = receptive_box(net, "f", (1, 2), image=3)
    assert found.status == "upper bound"
    assert all(span.whole for span in found.inputs["x"].axes)


def test_inputs_without_a_path_are_named(tmp_path: Path) -> None:
    net = net_of(tmp_path, (1, 3, 5, 5), layer("r", "ReLU", "x"), more={"y": (1, 2)})
    found = receptive_box(net, "r", (1, 2, 3))
    assert found.inputs["y"].status == "none"
    assert found.inputs["y"].axes == ()
    assert [(s.low, s.high) for s in found.inputs["x"].axes] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert found.status == "exact"


def test_a_unit_that_is_not_there_is_refused(tmp_path: Path) -> None:
    net = net_of(tmp_path, (1, 3, 5, 5), layer("r", "ReLU", "x"))
    with pytest.raises(UsageError, match=r'blob "r" \(1, 3, 5, 5\) has no unit \(3, 0, 0\)'):
        receptive_box(net, "r", (3, 0, 0))
    with pytest.raises(UsageError, match="has no unit"):
        receptive_box(net, "r", (1, 2))
    with pytest.raises(UsageError, match="in image 1"):
        receptive_box(net, "r", (1, 2, 2), image=1)
    with pytest.raises(UnknownNameError, match='blob "R" is not in net'):
        receptive_box(net, "R", (1, 2, 2))
