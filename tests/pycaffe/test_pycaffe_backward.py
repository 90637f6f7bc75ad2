"""`backward`: what BVLC's own tests of it say, Caffe's golden diffs, and the rules of net.cpp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope.pycaffe as caffe
from closeness import assert_blob_close
from conftest import GOLDEN

WITH_DIFFS = [case for case in GOLDEN if "seed/" in " ".join(np.load(case / "golden.npz").files)]

# The net of the meaning of BVLC's python/caffe/test/test_net.py: data that the net fills itself, a
# convolution, an inner product, a loss.
NET = """
name: "small"
{force}
layer {{ name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {{
  num: 5 channels: 2 height: 3 width: 4 num: 5 channels: 1 height: 1 width: 1
  data_filler {{ type: "gaussian" std: 1 }} data_filler {{ type: "constant" }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv" {conv}
  convolution_param {{ num_output: 11 kernel_size: 2 pad: 3
    weight_filler {{ type: "gaussian" std: 1 }} bias_filler {{ type: "constant" value: 2 }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "conv" top: "ip_blob"
  inner_product_param {{ num_output: 13 weight_filler {{ type: "gaussian" std: 0.3 }}
    bias_filler {{ type: "constant" value: -3 }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip_blob" bottom: "label" top: "loss" {loss} }}
"""


def made(
    folder: Path, force: str = "force_backward: true", conv: str = "", loss: str = ""
) -> caffe.Net:
    path = folder / "net.prototxt"
    path.write_text(NET.format(force=force, conv=conv, loss=loss))
    net = caffe.Net(str(path), caffe.TRAIN)
    net.blobs["label"].data[...] = np.random.default_rng(1).integers(13, size=(5, 1, 1, 1))
    return net


@pytest.mark.parametrize("case", WITH_DIFFS, ids=lambda case: case.name)
def test_equals_caffe(case: Path, tmp_path: Path) -> None:
    definition = tmp_path / "net.prototxt"
    definition.write_text("force_backward: true\n" + (case / "net.prototxt").read_text())
    weights = case / "net.caffemodel"
    given = (str(weights),) if weights.exists() else ()
    net = caffe.Net(str(definition), *given, caffe.TEST)
    with np.load(case / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden.files}
    net.forward(**{name[3:]: array for name, array in arrays.items() if name.startswith("in/")})
    seeds = {name[5:]: array for name, array in arrays.items() if name.startswith("seed/")}
    net.backward(**{name: seeds.get(name, np.zeros(net.blobs[name].shape)) for name in net.outputs})
    for name, want in arrays.items():
        if name.startswith("diff/"):
            assert_blob_close(net.blobs[name[5:]].diff, want, f"{case.name}/{name}", 1e-4)


def test_memory(tmp_path: Path) -> None:
    """Arrays outlive the net that they came from."""
    net = made(tmp_path)
    net.forward()
    net.backward()
    arrays = [blob.data for blobs in net.params.values() for blob in blobs]
    arrays += [blob.diff for blobs in net.params.values() for blob in blobs]
    arrays += [blob.data for blob in net.blobs.values()] + [b.diff for b in net.blobs.values()]
    total = sum(float(array.sum()) for array in arrays)
    del net
    assert sum(float(array.sum()) for array in arrays) == total


def test_forward_backward(tmp_path: Path) -> None:
    """Against the formulas: softmax minus the right class by the batch, and products of matrices."""
    net = made(tmp_path)
    net.forward()
    found = net.backward(diffs=["conv", "ip_blob"])
    assert set(found) == {"conv", "ip_blob"}
    scores = net.blobs["ip_blob"].data.astype(np.float64)
    share = np.exp(scores - scores.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    share[np.arange(5), net.blobs["label"].data.astype(int).ravel()] -= 1
    share /= 5
    flat = net.blobs["conv"].data.reshape(5, -1)
    assert_blob_close(found["ip_blob"], share, "ip_blob", 1e-5)
    assert_blob_close(net.params["ip"][0].diff, share.T @ flat, "weights", 1e-5)
    assert_blob_close(net.params["ip"][1].diff, share.sum(0), "bias", 1e-5)
    conv = (share @ net.params["ip"][0].data).reshape(net.blobs["conv"].data.shape)
    assert_blob_close(found["conv"], conv, "conv", 1e-5)
    assert_blob_close(net.params["conv"][1].diff, conv.sum((0, 2, 3)), "conv bias", 1e-5)
    assert net.blobs["data"].diff.any() and not net.blobs["label"].diff.any()
    assert net.blobs["loss"].diff == 1


def test_backward_start_end(tmp_path: Path) -> None:
    net = made(tmp_path)
    random = np.random.default_rng(2)
    net.blobs["conv"].data[...] = random.normal(size=net.blobs["conv"].data.shape)
    seed = random.normal(size=(5, 13)).astype(np.float32)
    net.forward(start="ip", end="ip")
    net.blobs["ip_blob"].diff[...] = seed
    found = net.backward(start="ip", end="ip")
    assert list(found) == ["conv"]
    want = np.stack([(row @ net.params["ip"][0].data) for row in seed])
    assert_blob_close(found["conv"].reshape(5, -1), want, "conv")
    assert not net.params["conv"][0].diff.any() and not net.blobs["data"].diff.any()
    with pytest.raises(ValueError, match='layer "ipp" is not in net "small"; nearest: ip'):
        net.backward(start="ipp")


def test_param_diffs_add_up_until_they_are_cleared(tmp_path: Path) -> None:
    net = made(tmp_path)
    net.forward()
    net.backward()
    held = net.params["conv"][0].diff
    once = held.copy()
    assert np.abs(once).max() > 0
    blob = net.blobs["conv"].diff.copy()
    net.backward()
    assert_blob_close(held, 2 * once, "twice")
    np.testing.assert_array_equal(net.blobs["conv"].diff, blob)
    net.clear_param_diffs()
    assert not held.any()


def test_blobs_are_read_and_not_computed_again(tmp_path: Path) -> None:
    """As in Caffe, what a script writes between forward and backward counts."""
    net = made(tmp_path)
    net.forward()
    net.blobs["conv"].data[...] = 2
    net.backward()
    share = net.blobs["ip_blob"].diff
    want = np.outer(share.sum(0), np.full(net.params["ip"][0].shape[1], 2))
    assert_blob_close(net.params["ip"][0].diff, want, "weights", 1e-5)


def test_without_force_the_data_gets_nothing(tmp_path: Path) -> None:
    net = made(tmp_path, force="")
    net.forward()
    net.backward()
    assert not net.blobs["data"].diff.any() and net.params["conv"][0].diff.any()


def test_a_rate_of_zero_stops_the_way_back(tmp_path: Path) -> None:
    net = made(tmp_path, force="", conv="param { lr_mult: 0 } param { lr_mult: 0 }")
    net.forward()
    net.backward()
    assert not net.params["conv"][0].diff.any() and not net.blobs["conv"].diff.any()
    assert net.params["ip"][0].diff.any()


def test_propagate_down(tmp_path: Path) -> None:
    net = made(tmp_path, force="", loss="propagate_down: false propagate_down: false")
    net.forward()
    net.backward()
    assert not net.blobs["ip_blob"].diff.any() and not net.params["ip"][0].diff.any()


def test_loss_weight(tmp_path: Path) -> None:
    plain, heavy = made(tmp_path), made(tmp_path, loss="loss_weight: 3")
    for net in (plain, heavy):
        net.forward()
    heavy.share_with(plain)
    heavy.blobs["data"].data[...] = plain.blobs["data"].data
    heavy.forward(start="conv")
    for net in (plain, heavy):
        net.backward()
    assert_blob_close(heavy.blobs["conv"].diff, 3 * plain.blobs["conv"].diff, "conv")


def test_nothing_goes_back_without_a_loss(tmp_path: Path) -> None:
    """As in Caffe: a deploy file needs `force_backward: true`."""
    path = tmp_path / "net.prototxt"
    text = """{}
    layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
    layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "y"
            inner_product_param {{ num_output: 4 weight_filler {{ type: "gaussian" std: 1 }} }} }}
    """
    for force, some in (("", False), ("force_backward: true", True)):
        path.write_text(text.format(force))
        net = caffe.Net(str(path), caffe.TEST)
        net.forward(x=np.ones((2, 3)))
        found = net.backward(y=np.ones((2, 4)))
        assert bool(found["x"].any()) is some is bool(net.params["ip"][0].diff.any())
    with pytest.raises(ValueError, match="diffs for z; the net's outputs are y"):
        net.backward(z=np.ones((2, 4)))
    with pytest.raises(ValueError, match=r'diff of "y": \(3, 4\) for a blob of \(2, 4\)'):
        net.backward(y=np.ones((3, 4)))


def test_in_place_and_beside_it(tmp_path: Path) -> None:
    """The diff of a blob written in place is that of its first write; branches add up."""
    path = tmp_path / "net.prototxt"
    path.write_text("""force_backward: true
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }
    layer { name: "p" type: "Power" bottom: "x" top: "y" power_param { scale: 2 } }
    layer { name: "r" type: "ReLU" bottom: "y" top: "y" }
    layer { name: "a" type: "Power" bottom: "y" top: "a" power_param { scale: 3 } }
    layer { name: "b" type: "Power" bottom: "y" top: "b" power_param { scale: 5 } }
    """)
    net = caffe.Net(str(path), caffe.TEST)
    net.forward(x=np.float32([[-1, 0, 1, 2]]))
    net.backward(a=np.float32([[1, 1, 1, 10]]), b=np.ones((1, 4)))
    np.testing.assert_array_equal(net.blobs["y"].diff, [[0, 0, 8, 35]])
    np.testing.assert_array_equal(net.blobs["x"].diff, [[0, 0, 16, 70]])
    net.blobs["b"].diff[...] = 0
    net.backward(start="b", end="r")
    np.testing.assert_array_equal(net.blobs["y"].diff, [[0, 0, 3, 30]])


def test_deep_dream(tmp_path: Path) -> None:
    """The pattern of the public script: climb what a layer shows, by its own activations."""
    path = tmp_path / "net.prototxt"
    path.write_text("""force_backward: true
    layer { name: "data" type: "Input" top: "data"
            input_param { shape { dim: 1 dim: 3 dim: 20 dim: 24 } } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
            convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
    layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
            pooling_param { kernel_size: 3 stride: 2 } }
    layer { name: "more" type: "Convolution" bottom: "pool" top: "more"
            convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
    layer { name: "prob" type: "Softmax" bottom: "more" top: "prob" }
    """)
    net = caffe.Net(str(path), caffe.TEST)
    src, end = net.blobs["data"], "pool"
    for size in ((20, 24), (28, 33)):
        src.reshape(1, 3, *size)
        src.data[0] = np.random.default_rng(4).normal(size=(3, *size))
        before = None
        for _ in range(4):
            net.forward(end=end)
            height = float((net.blobs[end].data ** 2).sum())
            assert before is None or height > before
            before = height
            net.blobs[end].diff[:] = net.blobs[end].data
            net.backward(start=end)
            g = src.diff[0]
            assert g.shape == (3, *size)
            src.data[:] += 0.5 / np.abs(g).mean() * g * 0.01


def test_forward_backward_all(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""force_backward: true
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "s" type: "Sigmoid" bottom: "x" top: "s" }
    layer { name: "t" type: "TanH" bottom: "s" top: "t" }
    """)
    net = caffe.Net(str(path), caffe.TEST)
    x = np.random.default_rng(3).normal(size=(5, 3)).astype(np.float32)
    seed = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)
    arrays, slopes = net.forward_backward_all(blobs=["s"], diffs=["s"], x=x, t=seed)
    s = 1 / (1 + np.exp(-x.astype(np.float64)))
    assert_blob_close(arrays["t"], np.tanh(s), "t")
    inner = seed * (1 - np.tanh(s) ** 2)
    assert_blob_close(slopes["s"], inner, "s")
    assert_blob_close(slopes["x"], inner * s * (1 - s), "x")
