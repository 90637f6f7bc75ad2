"""Arrays of blobs and params: written in place, held over runs, shared, reshaped."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
import layerscope.pycaffe as caffe
from closeness import assert_blob_close
from layerscope.pycaffe import mode, program
from pycaffe.nets import FED, NAMES, needs, written


@pytest.fixture
def net(tmp_path: Path) -> caffe.Net:
    found = caffe.Net(written(tmp_path, FED), caffe.TEST)
    found.blobs["data"].data[...] = np.random.default_rng(1).normal(size=(5, 2, 3, 4))
    return found


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every session that is made from here on."""
    made: list[object] = []
    real = program.Session

    def session(net: ls.Net, values: list[str]) -> object:
        made.append(values)
        return real(net, values)

    monkeypatch.setattr(program, "Session", session)
    return made


# --- blobs ---


def test_a_blob(net: caffe.Net) -> None:
    blob = net.blobs["data"]
    assert blob.shape == [5, 2, 3, 4] and blob.count == 120
    assert (blob.num, blob.channels, blob.height, blob.width) == (5, 2, 3, 4)
    assert (net.blobs["prob"].channels, net.blobs["prob"].height) == (13, 1)
    assert blob.data.dtype == blob.diff.dtype == np.float32
    assert blob.data.flags.writeable and not blob.diff.any()
    with pytest.raises(AttributeError):
        blob.data = 3  # type: ignore[misc]
    with pytest.raises(ls.errors.UsageError, match="cannot have the shape"):
        blob.reshape(-1, 2)
    blob.reshape(1, 2, 3, 2, 2)
    with pytest.raises(RuntimeError, match="use shape"):
        _ = blob.width


def test_numbers_stay_while_there_is_room_for_them(net: caffe.Net) -> None:
    blob = net.blobs["data"]
    before = blob.data.copy()
    blob.reshape(2, 2, 3, 4)
    np.testing.assert_array_equal(blob.data, before[:2])
    blob.reshape(5, 24)
    np.testing.assert_array_equal(blob.data, before.reshape(5, 24))
    blob.reshape(6, 24)
    assert not blob.data.any()
    blob.reshape()
    assert blob.data.shape == () and blob.count == 1


def test_before_the_first_run_blobs_are_zero(net: caffe.Net) -> None:
    assert not net.blobs["conv"].data.any() and net.blobs["conv"].data.shape == (5, 7, 5, 6)


def test_a_held_array_sees_the_next_run(net: caffe.Net) -> None:
    row = net.blobs["prob"].data[0]
    out = net.forward()["prob"]
    first = row.copy()
    assert abs(first.sum() - 1) < 1e-5
    net.blobs["data"].data[...] *= -1
    net.forward()
    assert (row != first).any()
    np.testing.assert_array_equal(out[0], row)
    np.testing.assert_array_equal(net.blobs["prob"].data[0], row)


def test_the_same_numbers_as_layerscope(small: tuple[Path, Path]) -> None:
    net = caffe.Net(str(small[0]), str(small[1]), caffe.TEST)
    image = np.random.default_rng(2).normal(size=(2, 3, 9, 7)).astype(np.float32)
    net.forward(data=image)
    blobs = ls.open(*small).run(image)
    for name in net.blobs:
        assert_blob_close(net.blobs[name].data, blobs[name], name, tolerance=2e-6)


def test_every_blob_has_numbers_of_its_own(tmp_path: Path) -> None:
    net = caffe.Net(written(tmp_path, NAMES), caffe.TEST)
    net.blobs["data"].data[...] = np.random.default_rng(6).normal(size=(2, 3, 5, 4))
    conv = net.forward(end="conv")["conv"].copy()
    assert conv.min() < 0
    net.forward(start="relu")
    relu = np.maximum(conv, 0)
    for name, times in {"conv": 1, "drop": 1, "left": 1, "right": 1, "sum": 2, "all": 4}.items():
        assert_blob_close(net.blobs[name].data, times * relu, name)
    net.blobs["left"].data[...] = 1
    net.blobs["drop"].data[...] = 10
    assert_blob_close(net.blobs["conv"].data, relu, "conv")
    net.forward(start="sum", end="all")
    assert_blob_close(net.blobs["sum"].data, 1 + relu, "sum")
    assert_blob_close(net.blobs["all"].data, 1 + relu + 10 + relu, "all")


def test_an_in_place_layer_over_an_input_writes_the_input(tmp_path: Path) -> None:
    text = """
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }
        layer { name: "double" type: "Scale" bottom: "x" top: "x" scale_param { axis: 0 num_axes: 0 filler { value: 2 } } }
        layer { name: "pass" type: "Dropout" bottom: "x" top: "y" }
    """
    net = caffe.Net(written(tmp_path, text), caffe.TEST)
    net.blobs["x"].data[...] = [[1, -2, 3, 4]]
    for times in (2, 4):
        net.forward()
        np.testing.assert_array_equal(net.blobs["y"].data, times * np.array([[1, -2, 3, 4]]))
        np.testing.assert_array_equal(net.blobs["x"].data, net.blobs["y"].data)


# --- params ---


def test_a_changed_weight_counts_at_the_next_run(net: caffe.Net, built: list[object]) -> None:
    net.forward()
    before = net.blobs["conv"].data.copy()
    weights, bias = (blob.data for blob in net.params["conv"])
    bias[3] += 5
    net.forward()
    after = net.blobs["conv"].data
    assert_blob_close(after[:, 3], before[:, 3] + 5, "conv")
    weights[...] = weights[:, ::-1]  # the same numbers in another order
    net.forward()
    assert abs(net.blobs["conv"].data[:, 0] - before[:, 0]).max() > 0.1
    net.blobs["data"].data[...] = net.blobs["data"].data[:, ::-1].copy()
    net.forward()
    assert_blob_close(net.blobs["conv"].data[:, 0], before[:, 0], "conv")
    assert len(built) == 3  # the first run and two changes


def test_nothing_is_built_again_while_nothing_changes(net: caffe.Net, built: list[object]) -> None:
    net.forward()
    held = net.params["conv"][0].data
    net.params["fc"][0].data[...] = net.params["fc"][0].data.copy()
    for _ in range(3):
        net.forward()
    assert len(built) == 1
    held[0, 0, 0, 0] = np.nan
    net.forward()
    net.forward()  # not-a-number equals itself here
    assert len(built) == 2
    assert np.isnan(net.blobs["conv"].data[:, 0]).any()


def test_only_what_may_have_changed_is_compared(
    net: caffe.Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.pycaffe import params

    compared = []
    real = params.same_bits
    monkeypatch.setattr(params, "same_bits", lambda a, b: compared.append(a.size) or real(a, b))
    net.forward()
    assert [net.params[name][0].data.shape for name in net.params]  # handed out and let go
    net.forward()
    assert len(compared) == 2
    net.forward()
    assert len(compared) == 2
    row = net.params["fc"][0].data[2]  # held by a part of it
    gc.collect()
    net.forward()
    net.forward()
    assert len(compared) == 4
    row[:] = 0
    net.forward()
    np.testing.assert_array_equal(net.blobs["scores"].data[:, 2], net.params["fc"][1].data[2])


def test_statistics_of_batch_normalization_are_weights_too(tmp_path: Path) -> None:
    text = """
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
        layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y" batch_norm_param { eps: 0.25 } }
    """
    x = np.random.default_rng(7).normal(size=(2, 3, 4, 5)).astype(np.float32)
    net = caffe.Net(written(tmp_path, text), caffe.TEST)
    assert not any(blob.data.any() for blob in net.params["bn"])  # as Caffe begins
    assert_blob_close(net.forward(x=x)["y"], x / 0.5, "y")
    for blob, values in zip(net.params["bn"], ([2, 4, 6], [4, 8, 16], [2]), strict=True):
        blob.data[...] = values
    mean, variance = np.array([1, 2, 3]), np.array([2, 4, 8])
    wanted = (x - mean[:, None, None]) / np.sqrt(variance + 0.25)[:, None, None]
    assert_blob_close(net.forward()["y"], wanted, "y")
    trained = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    own = (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 0.25)
    assert_blob_close(trained.forward(x=x)["y"], own, "y")


def test_layers_that_share_a_param_share_its_array(tmp_path: Path) -> None:
    layer = """layer {{ name: "{0}" type: "InnerProduct" bottom: "{1}" top: "{0}" param {{ name: "w" }}
               inner_product_param {{ num_output: 4 bias_term: false weight_filler {{ type: "xavier" }} }} }}"""
    text = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }'
    text += layer.format("one", "x") + layer.format("two", "one")
    net = caffe.Net(written(tmp_path, text), caffe.TEST)
    net.params["two"][0].data[...] = 2 * np.eye(4)
    np.testing.assert_array_equal(net.params["one"][0].data, 2 * np.eye(4))
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(net.forward(x=x)["two"], 4 * x)
    np.testing.assert_array_equal(net.forward(start="two")["two"], 4 * x)


def test_copy_from_and_share_with(tmp_path: Path, net: caffe.Net) -> None:
    path = str(tmp_path / "net.prototxt")
    other, third = caffe.Net(path, caffe.TEST), caffe.Net(path, caffe.TEST)
    net.save(str(tmp_path / "a.caffemodel"))
    held = other.params["conv"][0].data
    other.forward(data=net.blobs["data"].data)
    other.copy_from(str(tmp_path / "a.caffemodel"))
    np.testing.assert_array_equal(held, net.params["conv"][0].data)
    assert_blob_close(other.forward()["prob"], net.forward()["prob"], "prob")
    third.share_with(net)
    third.forward(data=net.blobs["data"].data)
    net.params["fc"][1].data[...] = np.arange(13)
    assert_blob_close(third.forward()["prob"], net.forward()["prob"], "prob")
    wider = caffe.Net(written(tmp_path, FED.replace("13", "14"), "w.prototxt"), caffe.TEST)
    before = wider.params["conv"][0].data.copy()
    with pytest.raises(ls.LayerscopeError, match=r'"fc".*\(14, 210\).*\(13, 210\)'):
        wider.copy_from(str(tmp_path / "a.caffemodel"))
    with pytest.raises(RuntimeError, match="cannot share"):
        wider.share_with(net)
    np.testing.assert_array_equal(wider.params["conv"][0].data, before)


# --- shapes ---


def test_reshape(net: caffe.Net, built: list[object]) -> None:
    net.forward()
    net.blobs["data"].reshape(2, 2, 3, 4)
    assert net.blobs["conv"].shape == [5, 7, 5, 6]
    net.reshape()
    assert net.blobs["conv"].shape == [2, 7, 5, 6] and net.blobs["prob"].shape == [2, 13]
    two = net.forward()["prob"].copy()
    assert len(built) == 1  # another batch size needs no other session
    net.blobs["data"].reshape(5, 2, 3, 4)
    assert_blob_close(net.forward()["prob"][:2], two, "prob")
    net.blobs["data"].reshape(1, 2, 9, 9)
    with pytest.raises(ls.LayerscopeError, match='"fc"'):  # its weights are for 5x6 positions
        net.reshape()


def test_forward_all_pads_the_last_batch(net: caffe.Net) -> None:
    images = np.random.default_rng(8).normal(size=(12, 2, 3, 4))
    found = net.forward_all(blobs=["conv"], data=images)
    assert set(found) == {"prob", "conv"}
    assert found["prob"].shape == (12, 13) and found["conv"].shape == (12, 7, 5, 6)
    for i in (0, 4, 7, 11):
        net.blobs["data"].data[...] = images[i]
        assert_blob_close(net.forward()["prob"][0], found["prob"][i], f"image {i}")
    assert net.forward_all(data=images[:5])["prob"].shape == (5, 13)


# --- what may go wrong ---


def test_wrong_inputs(net: caffe.Net) -> None:
    with pytest.raises(Exception, match="the net's inputs are data"):
        net.forward(image=np.zeros((5, 2, 3, 4)))
    with pytest.raises(Exception, match="reshape the blob first"):
        net.forward(data=np.zeros((4, 2, 3, 4)))
    with pytest.raises(ValueError, match="broadcast"):
        net.forward(data=np.zeros((5, 3, 3, 4)))
    with pytest.raises(ValueError, match=r'"fcc" is not in net.*nearest: fc'):
        net.forward(start="fcc")
    with pytest.raises(KeyError, match='"con" is not in net "fed"; nearest: conv'):
        net.forward(blobs=["con"])
    with pytest.raises(ls.LayerscopeError, match="an array for each input"):
        net.forward_all()
    assert net._forward(2, 1) == 0


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such file"):
        caffe.Net(str(tmp_path / "no.prototxt"), caffe.TEST)
    path = written(tmp_path, FED)
    with pytest.raises(RuntimeError, match="no such file"):
        caffe.Net(path, str(tmp_path / "no.caffemodel"), caffe.TEST)
    with pytest.raises(ValueError, match="phase 2"):
        caffe.Net(path, 2)
    with pytest.raises(ls.errors.UsageError, match=r"say caffe\.TEST"):
        caffe.Net(path)
    with pytest.raises(ls.errors.ReadError, match="the weights should stand here"):
        caffe.Net(path, path, caffe.TEST)


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode._State, "said", False)
    caffe.set_mode_cpu()
    with pytest.warns(UserWarning, match="runs on the CPU") as said:
        caffe.set_device(0)
        caffe.set_mode_gpu()
        caffe.set_device(1)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert (caffe.TRAIN, caffe.TEST) == (0, 1)
    assert "Convolution" in caffe.layer_type_list()
    with pytest.raises(AttributeError, match="training is not part"):
        _ = caffe.SGDSolver


def test_random_numbers_are_the_same_from_the_same_seed(tmp_path: Path) -> None:
    path = written(tmp_path, FED)
    found = []
    for seed in (1, 2, 1):
        caffe.set_random_seed(seed)
        found.append(caffe.Net(path, caffe.TEST).params["conv"][0].data.copy())
    np.testing.assert_array_equal(found[0], found[2])
    assert (found[0] != found[1]).all()


# --- layers with data of their own ---


def test_dummy_data(tmp_path: Path) -> None:
    needs("DummyData")
    text = """layer { name: "data" type: "DummyData" top: "noise" top: "one"
        dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "gaussian" } data_filler { value: 1 } } }
        layer { name: "sum" type: "Eltwise" bottom: "noise" bottom: "one" top: "sum" }"""
    net = caffe.Net(written(tmp_path, text), caffe.TRAIN)
    assert (net.blobs["one"].data == 1).all() and net.blobs["noise"].data.any()
    net.blobs["one"].data[...] = 100
    first = net.forward()["sum"].copy()
    assert first.min() > 90  # a constant is filled once, and may be written over
    assert (net.forward()["sum"] != first).all()  # the rest is filled in every run
    assert_blob_close(net.blobs["sum"].data, net.blobs["noise"].data + 100, "sum")


def test_memory_data(tmp_path: Path) -> None:
    needs("MemoryData")
    text = """layer { name: "data" type: "MemoryData" top: "data" top: "label"
        memory_data_param { batch_size: 2 channels: 1 height: 3 width: 4 } }
        layer { name: "pass" type: "Flatten" bottom: "data" top: "flat" }"""
    net = caffe.Net(written(tmp_path, text), caffe.TEST)
    with pytest.raises(RuntimeError, match="call set_input_arrays"):
        net.forward()
    data = np.arange(48, dtype=np.float32).reshape(4, 1, 3, 4)
    label = np.arange(4, dtype=np.float32)
    net.set_input_arrays(data, label)
    for at in (0, 2, 0):
        np.testing.assert_array_equal(net.forward()["flat"], data[at : at + 2].reshape(2, 12))
        np.testing.assert_array_equal(net.blobs["label"].data, label[at : at + 2])
    for wrong, labels, what in (
        (data.astype(float), label, "float32 is wanted"),
        (data[:, :, ::2], label, "ascontiguousarray"),
        (data[:3], label[:3], "3 images do not make whole batches of 2"),
        (data, label[:2], "4 images but 2 labels"),
        (data.reshape(4, 3, 1, 4), label, "channels 3, the layer takes 1"),
    ):
        with pytest.raises(RuntimeError, match=what):
            net.set_input_arrays(wrong, labels)


def test_memory_data_only(net: caffe.Net) -> None:
    with pytest.raises(RuntimeError, match="first layer is a MemoryData; this one's is Input"):
        net.set_input_arrays(np.zeros((5, 2, 3, 4), np.float32), np.zeros(5, np.float32))


def test_data_from_files_is_not_read(tmp_path: Path) -> None:
    needs("ImageData")
    text = """layer { name: "images" type: "ImageData" top: "data" top: "label"
        image_data_param { source: "/etc/hostname" batch_size: 2 new_height: 4 new_width: 5 } }
        layer { name: "pass" type: "Flatten" bottom: "data" top: "flat" }"""
    net = caffe.Net(written(tmp_path, text), caffe.TEST)
    net.blobs["data"].data[...] = 3
    with pytest.warns(UserWarning, match='"images".*not read here') as said:
        assert (net.forward()["flat"] == 3).all()
        net.forward()
    assert len(said) == 1
    assert said[0].filename == __file__  # the line of the script, not one of ours


def test_data_of_an_unknown_shape(tmp_path: Path) -> None:
    needs("Data")
    text = """layer { name: "digits" type: "Data" top: "data" top: "label"
        data_param { source: "digits_lmdb" batch_size: 64 } }
        layer { name: "pass" type: "Flatten" bottom: "data" top: "flat" }"""
    with pytest.raises(RuntimeError, match=r'"digits".*put an Input layer') as error:
        caffe.Net(written(tmp_path, text), caffe.TRAIN)
    assert "--input-shape" not in str(error.value)


def test_the_loss_of_a_run(tmp_path: Path) -> None:
    needs("DummyData", "EuclideanLoss")
    text = """layer { name: "data" type: "DummyData" top: "a" top: "b"
        dummy_data_param { shape { dim: 4 dim: 3 } data_filler { value: 1 } data_filler { value: 4 } } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "loss" loss_weight: 10 }"""
    net = caffe.Net(written(tmp_path, text), caffe.TRAIN)
    assert net.blob_loss_weights["loss"] == 10
    assert net._forward(0, 1) == pytest.approx(10 * 9 * 3 / 2)
    assert net.blobs["loss"].shape == [] and net.blobs["loss"].data == pytest.approx(13.5)
