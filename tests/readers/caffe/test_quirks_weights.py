"""Caffe's quirks as they are met in the wild, one test each: weights, numbers, pictures.

The definitions are in test_quirks.py, which also counts that all forty are there.
"""

from __future__ import annotations

import errno
import subprocess
import sys

import numpy as np
import pytest
from quirks import (
    BLOBS,
    C,
    X,
    assert_computes,
    by_hand,
    fc,
    floats,
    layer,
    legacy,
    number,
    random,
    refusal,
    run,
    shaped,
    trained,
    varint,
    written,
)

import layerscope as ls
from closeness import assert_blob_close
from layerscope import pycaffe
from layerscope.cli import run as command
from layerscope.readers.caffe.wire import decode

W, B = BLOBS


def conv(weight: bytes, bias: bytes | None = None) -> bytes:
    """A caffemodel of layer "c" alone."""
    return layer("c", "Convolution", weight, shaped(2) + floats(B) if bias is None else bias)


# --- which blobs go where ---


def test_q12_layers_of_one_name(tmp_path):
    """The net's first layer of a name gets the file's last blobs; the second one gets none."""
    text = X + fc("same", "x", 7) + fc("same", "x", 7).replace('top: "same"', 'top: "y"')
    early, late = random(7, 60), random(7, 60)
    weights = b"".join(layer("same", "", shaped(7, 60) + floats(each)) for each in (early, late))
    net = ls.open(*written(tmp_path, text, weights))
    np.testing.assert_array_equal(net.layers[1].params[0], late)
    assert net.layers[2].params[0].array is None and net.missing == ("same",)
    assert net.notes == (
        'net.caffemodel: more than one layer is named "same"; the last one\'s weights are used, as Caffe does',
        'more than one layer of the net is named "same"; as in Caffe, the first takes the weights in'
        " net.caffemodel, the others have none",
        "1 of 2 layers have weights in net.caffemodel; missing: same",
    )
    unnamed = (X + fc("", "x", 7)).replace('top: ""', 'top: "y"')
    assert not ls.open(
        *written(tmp_path, unnamed, layer("", "", shaped(7, 60) + floats(late)))
    ).missing


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE"])
def test_q28_shared_params_that_differ(tmp_path, order, mode):
    """Each layer of the file copies its blobs into the one shared array: the last copy stays."""
    share = f'param {{ name: "w" share_mode: {mode} }}'
    text = X + fc("a", "x", 7, share) + fc("b", "x", 7, share)
    copies = {name: random(7, 60) for name in order}
    net = trained(tmp_path, text, **{name: [array] for name, array in copies.items()})
    first, last = order
    x = random(2, 3, 4, 5)
    blobs = net.run(x)
    for name in "ab":
        np.testing.assert_array_equal(net.params[name][0], copies[last])
        assert_blob_close(blobs[name], x.reshape(2, 60) @ copies[last].T, name)
    assert net.notes == (
        f'layer "{first}": its copy of the shared param "w" differs from that of layer "{last}"; that'
        " one is used, as the last in the file",
    )
    paths = [str(tmp_path / name) for name in ("net.prototxt", "net.caffemodel")]
    scripted = pycaffe.Net(paths[0], pycaffe.TEST)
    scripted.copy_from(paths[1])
    for each in (scripted, pycaffe.Net(*paths, pycaffe.TEST)):
        np.testing.assert_array_equal(each.params["a"][0].data, copies[last])
    same = trained(tmp_path, text, a=[copies["a"]], b=[copies["a"]])
    assert same.notes == ()
    only = trained(tmp_path, text, b=[copies["b"]])  # a copy of one layer is enough
    np.testing.assert_array_equal(only.params["a"][0], copies["b"])
    assert only.missing == () and only.notes == ()


# --- BatchNorm ---


@pytest.mark.parametrize(
    "order", ["scale bias mean variance factor", "mean variance factor scale bias"]
)
@pytest.mark.parametrize("old", [False, True])
def test_q20_batch_norm_of_nvidia(tmp_path, order, old):
    text = (
        X
        + 'layer { name: "n" type: "BatchNorm" bottom: "x" top: "n" batch_norm_param { eps: 0.001 } }'
    )
    mean, variance, scale, bias = random(3), np.abs(random(3)) + 1, random(3), random(3)
    known = {
        "mean": mean,
        "variance": variance,
        "scale": scale,
        "bias": bias,
        "factor": np.zeros(1),
    }
    blobs = [
        (legacy(1, len(a), 1, 1) if old else shaped(*((1, 3, 1, 1) if len(a) == 3 else (1,))))
        + floats(a)
        for a in (known[word] for word in order.split())
    ]
    net = ls.open(*written(tmp_path, text, layer("n", "BatchNorm", *blobs)))
    x = random(2, 3, 4, 5)
    turned = np.moveaxis(x, 1, -1)
    want = (turned - mean) / np.sqrt(variance + 0.001) * scale + bias
    assert_blob_close(net.run(x)["n"], np.moveaxis(want, -1, 1), "n")


def test_q21_a_batch_norm_factor_of_zero(tmp_path):
    """Caffe takes 0 for the reciprocal of 0: mean and variance are 0, nothing is divided by 0."""
    text = (
        X
        + 'layer { name: "n" type: "BatchNorm" bottom: "x" top: "n" batch_norm_param { eps: 0.25 } }'
    )
    net = trained(tmp_path, text, n=[random(3), np.abs(random(3)), np.zeros(1)])
    x = random(2, 3, 4, 5)
    assert_blob_close(net.run(x)["n"], x / 0.5, "n")
    assert net.notes == (
        'layer "n": its third blob, which the statistics are divided by, is 0; mean and variance count'
        " as 0, as in Caffe",
    )


# --- how numbers are stored ---


@pytest.mark.parametrize(("kind", "dtype"), [(0, "<f8"), (1, "<f4"), (2, "<f2")])
def test_q22_raw_data_of_nvidia(tmp_path, kind, dtype):
    raw = [number(10, kind) + run(12, each.astype(dtype).tobytes()) for each in (W, B)]
    net = ls.open(*written(tmp_path, X + C, conv(shaped(2, 3, 1, 1) + raw[0], shaped(2) + raw[1])))
    np.testing.assert_array_equal(net.params["c"][0], W.astype(dtype).astype("f4"))
    np.testing.assert_array_equal(net.params["c"][1], B.astype(dtype).astype("f4"))


def test_q23_doubles_single_numbers_and_diffs(tmp_path):
    dims, doubles = shaped(2, 3, 1, 1), run(8, W.astype("<f8").tobytes())
    one_by_one = b"".join(varint(5 << 3 | 5) + each.tobytes() for each in W.astype("<f4").ravel())
    for weight in (
        dims + doubles,
        dims + floats(np.zeros(6)) + doubles,  # both: the doubles count
        dims + one_by_one,
        dims + floats(W.ravel()[:2]) + floats(W.ravel()[2:]),
        dims + floats(W) + floats(random(6), 6),
        floats(random(6), 6) + floats(W) + dims,
    ):
        assert_computes(ls.open(*written(tmp_path, X + C, conv(weight))))
    raw = conv(dims + floats(W) + floats(random(6), 6))
    diff = decode(memoryview(raw), "net.caffemodel").layer[0].blobs[0].diff
    assert not diff.flags.owndata  # a view: gradients cost no memory


def test_q24_floats_of_a_broken_length(tmp_path, capsys):
    paths = written(tmp_path, X + C, conv(shaped(2, 3, 1, 1) + run(5, bytes(23))))
    assert refusal(capsys, *paths) == (
        3,
        'net.caffemodel @31: layer "c": data: 23 bytes are no whole number of floats',
    )


@pytest.mark.parametrize(
    ("weight", "bias"),
    [
        (legacy(2, 3, 1, 1), legacy(1, 1, 1, 2)),
        (legacy(2, 3, 1, 1) + shaped(3, 2), legacy(1, 1, 1, 2) + shaped(9)),  # the old form counts
        (shaped(2, 3, 1, 1), shaped(1, 1, 1, 2)),
    ],
)
def test_q25_legacy_shapes(tmp_path, weight, bias):
    paths = written(tmp_path, X + C, conv(weight + floats(W), bias + floats(B)))
    net = ls.open(*paths)
    assert net.notes == ()
    assert [param.shape for param in net.params["c"]] == [(2, 3, 1, 1), (2,)]
    assert_computes(net)
    matrix = random(7, 60)
    full = ls.open(
        *written(
            tmp_path, X + fc("f", "x", 7), layer("f", "", legacy(1, 1, 7, 60) + floats(matrix))
        )
    )
    np.testing.assert_array_equal(full.params["f"][0], matrix)
    assert full.notes == ()


def test_q26_the_same_numbers_in_another_shape(tmp_path):
    """A fully connected layer made a convolution: read in order, and said."""
    text = X + C.replace("kernel_size: 1", "kernel_h: 4 kernel_w: 5 bias_term: false")
    matrix = random(2, 60)
    net = trained(tmp_path, text, c=[matrix])
    assert net.notes == (
        'layer "c": blob 0 is (2, 60) in net.caffemodel, read as (2, 3, 4, 5) (the same 120 numbers)',
    )
    x = random(2, 3, 4, 5)
    assert_blob_close(net.run(x)["c"].reshape(2, 2), x.reshape(2, 60) @ matrix.T, "c")


def test_q27_another_number_of_classes(tmp_path, capsys):
    weights = layer("f", "", shaped(84, 60) + floats(np.zeros((84, 60))))
    assert refusal(capsys, *written(tmp_path, X + fc("f", "x", 36), weights)) == (
        3,
        'layer "f": the definition says (36, 60), net.caffemodel has (84, 60)',
    )


def test_q29_older_layouts_of_a_blob(tmp_path, capsys):
    sizes = b"".join(number(i + 1, d) for i, d in enumerate((2, 3, 1, 1, 1)))
    paths = written(tmp_path, X + C, conv(sizes + floats(W, 6)))
    code, line = refusal(capsys, *paths)
    assert (
        code == 4
        and line.startswith("net.caffemodel @")
        and "the weights use the C3D layout" in line
    )
    assert refusal(capsys, *written(tmp_path, X + C, conv(legacy(2, 3, 1, 1) + floats(W, 6)))) == (
        3,
        "net.caffemodel: layer \"c\", blob 0: no numbers under 'data', but others beside it: written by"
        " a fork of Caffe with another layout?",
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, np.float32(3.4e38), np.float32(1e-45)])
def test_q30_weights_that_are_no_numbers(tmp_path, capsys, bad):
    weights = W.copy()
    weights[1, 2] = bad
    net = trained(tmp_path, X + C, c=[weights, B])
    blobs = net.run(random(2, 3, 4, 5))
    assert np.isfinite(blobs["c"][:, 0]).all()
    paths = [str(tmp_path / name) for name in ("net.prototxt", "net.caffemodel")]
    picture = str(tmp_path / "c.png")
    assert command(["show", *paths, "--param", "c", "-o", picture]) == 0
    assert ("1 value not finite" in capsys.readouterr().out) == (not np.isfinite(bad))
    ls.report(net, random(2, 3, 4, 5), tmp_path / "page.html")
    (tmp_path / "net.prototxt").write_text(
        X
        + 'layer { name: "p" type: "Power" bottom: "x" top: "p" power_param { shift: nan scale: 1e400 } }'
    )
    assert np.isnan(ls.open(paths[0]).run(random(2, 3, 4, 5))["p"]).all()


# --- large files, other files ---

HUGE = """
import sys
from pathlib import Path
import layerscope as ls
net = ls.open(*sys.argv[1:])
(param,) = net.params["f"]
assert param.shape == (11, 50_000_000), param.shape
assert not param.data.flags.owndata and param.data[10, -1] == 1.5 and param.data[5, 5] == 0
status = Path("/proc/self/status")  # getrusage would tell the largest size of the parent, too
peak = status.read_text().split("VmHWM:")[1].split()[0] if status.exists() else 0
print(net.layer("f").type, peak)
"""


def test_q37_a_caffemodel_of_more_than_2_gib(tmp_path):
    """Mapped and viewed: a file with a hole in it costs no disk, and reading it no memory."""
    text = 'input: "x" input_shape { dim: 1 dim: 50000000 }' + fc("f", "x", 11)
    numbers = 11 * 50_000_000
    inside = shaped(11, 50_000_000) + varint(5 << 3 | 2) + varint(4 * numbers)
    head = run(1, b"f") + varint(7 << 3 | 2) + varint(len(inside) + 4 * numbers) + inside
    content = varint(100 << 3 | 2) + varint(len(head) + 4 * numbers) + head
    paths = written(tmp_path, text, content)
    try:
        with paths[1].open("r+b") as file:
            file.seek(len(content) + 4 * numbers - 4)
            file.write(np.float32(1.5).tobytes())
    except OSError as error:
        assert error.errno in (errno.EFBIG, errno.ENOSPC, errno.EINVAL)
        pytest.skip("this file system has no room for a file of 2.2 GB with a hole in it")
    status = paths[1].stat()
    if status.st_blocks * 512 > 1e8:
        pytest.skip("this file system stores the hole of a sparse file")
    assert status.st_size > 2**31
    found = subprocess.run(
        [sys.executable, "-c", HUGE, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    kind, peak = found.stdout.split()
    assert kind == "InnerProduct" and int(peak) < 200_000  # kB


def test_q38_hdf5_weights(tmp_path, capsys, monkeypatch):
    h5py = pytest.importorskip("h5py")
    share = 'param { name: "w" }'
    text = X + C.replace('"c"', '"block/c"') + fc("a", "x", 7, share) + fc("b", "x", 7, share)
    (net_file,) = written(tmp_path, text)
    weights, matrix = tmp_path / "net.caffemodel.h5", random(7, 60)

    def write(**arrays: np.ndarray) -> None:
        with h5py.File(weights, "w") as file:
            file.create_group("data/b")  # what it shares with "a" is not there again
            for name, array in arrays.items():
                file[f"data/{name.replace('__', '/')}"] = array

    write(block__c__0=W, block__c__1=B, a__0=matrix)
    for each in (ls.open(net_file, weights), ls.open(weights, net_file)):
        assert each.missing == ()
        x = random(2, 3, 4, 5)
        blobs = each.run(x)
        assert_blob_close(blobs["block/c"], by_hand(x), "c")
        assert_blob_close(blobs["b"], x.reshape(2, 60) @ matrix.T, "b")
    assert command(["shapes", str(net_file), str(weights)]) == 0
    assert (
        command(
            ["show", str(net_file), str(weights), "--param", "a", "-o", str(tmp_path / "a.png")]
        )
        == 0
    )
    scripted = pycaffe.Net(str(net_file), str(weights), pycaffe.TEST)
    np.testing.assert_array_equal(scripted.params["b"][0].data, matrix)
    capsys.readouterr()

    write(block__c__1=B, a__0=matrix)
    code, line = refusal(capsys, net_file, weights)
    assert code == 3 and line.endswith(
        'layer "block/c": takes 2 blobs of weights, net.caffemodel.h5 has 1'
    )
    write(block__c__0=W, block__c__1=B, a__0=matrix[:, :59])
    assert refusal(capsys, net_file, weights) == (
        3,
        'layer "a": the definition says (7, 60), net.caffemodel.h5 has (7, 59)',
    )
    assert refusal(capsys, weights) == (
        3,
        "net.caffemodel.h5: weights without their definition; give the prototxt too: NET WEIGHTS",
    )
    with h5py.File(weights, "w") as file:
        file.create_dataset("data/a/0", (1 << 20, 1 << 10), "f4", chunks=(1, 1))
    code, line = refusal(capsys, net_file, weights)
    assert code == 3 and "is announced, 0 B are stored" in line
    weights.write_bytes(weights.read_bytes()[:99])
    code, line = refusal(capsys, net_file, weights)
    assert code == 3 and line.startswith("net.caffemodel.h5: not a readable HDF5 file")

    monkeypatch.setitem(sys.modules, "h5py", None)
    assert refusal(capsys, net_file, weights) == (
        6,
        'net.caffemodel.h5: an HDF5 file needs the package h5py: pip install "layerscope[hdf5]"',
    )


# --- numbers and pictures ---


def test_q39_corners_of_the_numbers(tmp_path):
    """Ceil, the clipped last window, the divisor of averages, dilation, groups, slices, crops."""

    def one(kind: str, name: str, settings: str, bottom: str = "x", more: str = "") -> str:
        return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{name}" {more} {settings} }}\n'

    text = X + "".join([
        one("Pooling", "ceil", "pooling_param { kernel_size: 2 stride: 2 }"),
        one("Pooling", "clip", "pooling_param { kernel_size: 3 stride: 3 pad: 1 }"),
        one("Pooling", "mean", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"),
        one("Reshape", "flat", "reshape_param { shape { dim: 0 dim: -1 } }"),
        one("Slice", "s1", "slice_param { axis: -3 slice_point: 1 }", more='top: "s2"'),
        one("Eltwise", "diff", "eltwise_param { coeff: 1 coeff: -1 }", more='bottom: "x"'),
        one("Crop", "crop", "crop_param { axis: 2 offset: 1 offset: 2 }", more='bottom: "ceil"'),
        one("Convolution", "thin", "convolution_param { num_output: 6 kernel_size: 2 dilation: 2 group: 3 bias_term: false }"),
    ])  # fmt: skip
    kernel = random(6, 1, 2, 2)
    net = trained(tmp_path, text, thin=[kernel])
    x = random(2, 3, 4, 5)
    blobs = net.run(x)
    assert blobs["ceil"].shape == (2, 3, 2, 3)  # the last window hangs over
    assert_blob_close(blobs["ceil"][..., 2], np.maximum(x[:, :, ::2, 4], x[:, :, 1::2, 4]), "ceil")
    assert blobs["clip"].shape == (2, 3, 2, 2)
    assert_blob_close(blobs["clip"][:, :, 0, 0], x[:, :, :2, :2].max((2, 3)), "clip")
    assert blobs["mean"].shape == (2, 3, 3, 3)
    # The corner: four numbers, but nine places of the window lie within the padding.
    assert_blob_close(blobs["mean"][:, :, 0, 0], x[:, :, :2, :2].sum((2, 3)) / 9, "mean")
    # The last window begins in row 3 and ends with the padding: six places, not nine.
    assert_blob_close(blobs["mean"][:, :, 2, 0], x[:, :, 3:, :2].sum((2, 3)) / 6, "mean")
    assert_blob_close(blobs["flat"], x.reshape(2, 60), "flat")
    assert_blob_close(blobs["s1"], x[:, :1], "s1")
    assert_blob_close(blobs["s2"], x[:, 1:], "s2")
    assert_blob_close(blobs["diff"], x - x, "diff")
    assert_blob_close(blobs["crop"], x[:, :, 1:3, 2:5], "crop")
    want = sum(
        np.repeat(x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 3], 2, 1) * kernel[:, 0, i, j].reshape(6, 1, 1)
        for i in range(2) for j in range(2)
    )  # fmt: skip
    assert_blob_close(blobs["thin"], want, "thin")


def test_q40_blobs_that_are_not_of_four_axes(tmp_path):
    """Every one of them is drawn by the report, vectors and tables as well as volumes."""
    dims = {
        "one": (6,),
        "two": (2, 7),
        "three": (2, 3, 5),
        "five": (2, 3, 2, 4, 5),
        "found": (1, 1, 3, 7),
    }
    shapes = "".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {d}" for d in each)} }}\n'
        for name, each in dims.items()
    )
    layers = "".join(
        f'layer {{ name: "{name}+1" type: "Power" bottom: "{name}" top: "{name}+1" power_param {{ shift: 1 }} }}\n'
        for name in dims
    )
    net = ls.open(*written(tmp_path, "".join(sorted(shapes.splitlines(True))) + layers))
    blobs = net.run({name: random(*each) for name, each in dims.items()})
    page = ls.report(net, blobs, tmp_path / "page.html").read_text()
    assert page.count('data-panel="') == 2 * len(dims)
    for name, each in dims.items():
        assert f"{name}+1 {each}" in page and blobs[f"{name}+1"].shape == each
