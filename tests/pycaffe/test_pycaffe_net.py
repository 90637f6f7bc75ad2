"""Net: the behaviour that pycaffe's own public tests ask for."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
import layerscope.pycaffe as caffe
from closeness import assert_blob_close
from pycaffe.nets import FED, NAMES, TRAINING, needs, written


def make(folder: Path, which: str, weights: str | None = None) -> caffe.Net:
    if which == "fed":
        net = caffe.Net(written(folder, FED), caffe.TEST, weights=weights)
        net.blobs["data"].data[...] = np.random.default_rng(3).normal(size=(5, 2, 3, 4))
        return net
    needs("DummyData", "SoftmaxWithLoss")
    net = caffe.Net(written(folder, TRAINING), caffe.TRAIN, weights=weights)
    label = net.blobs["label"]
    label.data[...] = np.random.default_rng(4).integers(13, size=label.data.shape)
    return net


@pytest.fixture(params=["fed", "training"])
def which(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def net(which: str, tmp_path: Path) -> caffe.Net:
    return make(tmp_path, which)


def test_memory_outlives_the_net(net: caffe.Net) -> None:
    params = [blob for blobs in net.params.values() for blob in blobs]
    blobs = list(net.blobs.values())
    net.forward()
    del net
    assert sum(float(abs(b.data).sum()) + float(b.diff.sum()) for b in params + blobs) > 0


def test_layer_dict(net: caffe.Net) -> None:
    assert list(net.layer_dict) == list(net._layer_names)
    for i, name in enumerate(net._layer_names):
        assert net.layer_dict[name].type == net.layers[i].type
    assert [len(layer.blobs) for layer in net.layers] == [0, 2, 2, 0]
    assert net.layer_dict["conv"].blobs[1] is net.params["conv"][1]


def test_forward_and_backward(net: caffe.Net) -> None:
    (out,) = net.forward().values()
    assert np.isfinite(out).all() and out.sum() > 0
    net.backward()
    assert all(np.isfinite(blob.diff).all() for blob in net.blobs.values())


def test_forward_from_start_to_end(net: caffe.Net) -> None:
    conv, fc = net.blobs["conv"], net.blobs["scores"]
    values = np.random.default_rng(5).uniform(size=conv.data.shape).astype(np.float32)
    conv.data[:] = values
    found = net.forward(start="fc", end="fc")
    assert list(found) == ["scores"]
    weights, bias = (blob.data for blob in net.params["fc"])
    wanted = values.reshape(len(values), -1) @ weights.T + bias
    assert_blob_close(fc.data, wanted, "fc", tolerance=2e-6)
    np.testing.assert_array_equal(conv.data, values)
    np.testing.assert_array_equal(found["scores"], fc.data)


def test_clear_param_diffs(net: caffe.Net) -> None:
    diff = net.params["conv"][0].diff
    diff[...] = 7
    assert net.params["conv"][0].diff.max() == 7
    net.clear_param_diffs()
    assert (diff == 0).all() and diff.shape == (7, 2, 3, 3)


def test_inputs_and_outputs(net: caffe.Net, which: str) -> None:
    assert net.inputs == (["data"] if which == "fed" else [])
    assert net.outputs == (["prob"] if which == "fed" else ["loss"])


def test_names_of_tops_and_bottoms(net: caffe.Net, which: str) -> None:
    last = "prob" if which == "fed" else "loss"
    data = ["data"] if which == "fed" else ["data", "label"]
    assert net.top_names == OrderedDict(
        [("data", data), ("conv", ["conv"]), ("fc", ["scores"]), (last, [last])]
    )
    assert net.bottom_names == OrderedDict(
        [("data", []), ("conv", ["data"]), ("fc", ["conv"]), (last, ["scores", *data[1:]])]
    )
    assert list(net._blob_names) == list(net.blobs) == [*data, "conv", "scores", last]
    assert net.blob_loss_weights[last] == (0 if which == "fed" else 1)


def test_save_and_read(net: caffe.Net, which: str, tmp_path: Path) -> None:
    file = str(tmp_path / "saved.caffemodel")
    net.save(file)
    again = make(tmp_path, which, file)
    older = caffe.Net(str(tmp_path / "net.prototxt"), file, caffe.TRAIN)
    for name in net.params:
        for i, blob in enumerate(net.params[name]):
            np.testing.assert_array_equal(blob.data, again.params[name][i].data)
            np.testing.assert_array_equal(blob.data, older.params[name][i].data)
    opened = ls.open(file)  # definition and weights in one
    assert [each.name for each in opened.layers] == list(net._layer_names)
    np.testing.assert_array_equal(opened.params["fc"][0], net.params["fc"][0].data)


def test_save_hdf5(net: caffe.Net, which: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    file = str(tmp_path / "saved.caffemodel.h5")
    net.params["conv"][1].diff[...] = 3
    net.save_hdf5(file, write_diff=True)
    with h5py.File(file) as content:
        assert set(content) == {"data", "diff"}
        assert set(content["data"]["conv"]) == {"0", "1"}
        assert (content["diff"]["conv"]["1"][...] == 3).all()
    again = make(tmp_path, which)
    assert (again.params["fc"][0].data != net.params["fc"][0].data).any()
    again.load_hdf5(file)
    other = make(tmp_path, which, file)
    for name in net.params:
        for i, blob in enumerate(net.params[name]):
            np.testing.assert_array_equal(blob.data, again.params[name][i].data)
            np.testing.assert_array_equal(blob.data, other.params[name][i].data)
    with pytest.raises(ls.errors.ReadError, match="no group"):
        with h5py.File(file, "w") as content:
            content["a"] = 1
        again.load_hdf5(file)


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = make(tmp_path, "fed")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ls.errors.SystemFaultError, match=r"pip install .layerscope\[hdf5\]"):
        net.save_hdf5(str(tmp_path / "saved.h5"))


INNER = "inner_product_param { num_output: 1 }"
DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 10 } } }'
LEVELS = f"""{DATA}
layer {{ name: "low" type: "InnerProduct" bottom: "data" top: "low" include {{ max_level: 1 }} {INNER} }}
layer {{ name: "mid" type: "InnerProduct" bottom: "data" top: "mid" include {{ min_level: 1 max_level: 2 }} {INNER} }}
layer {{ name: "high" type: "InnerProduct" bottom: "data" top: "high" include {{ min_level: 2 }} {INNER} }}
layer {{ name: "always" type: "InnerProduct" bottom: "data" top: "always" {INNER} }}
"""
STAGES = f"""{DATA}
layer {{ name: "a" type: "InnerProduct" bottom: "data" top: "a" include {{ stage: "A" }} {INNER} }}
layer {{ name: "b" type: "InnerProduct" bottom: "data" top: "b" include {{ stage: "B" }} {INNER} }}
layer {{ name: "either" type: "InnerProduct" bottom: "data" top: "either" include {{ stage: "A" }} include {{ stage: "B" }} {INNER} }}
layer {{ name: "both" type: "InnerProduct" bottom: "data" top: "both" include {{ stage: "A" stage: "B" }} {INNER} }}
layer {{ name: "not_b" type: "InnerProduct" bottom: "data" top: "not_b" exclude {{ stage: "B" }} {INNER} }}
"""


@pytest.mark.parametrize(
    ("level", "there"), [(None, "low"), (0, "low"), (1, "low mid"), (2, "mid high"), (3, "high")]
)
def test_levels(tmp_path: Path, level: int | None, there: str) -> None:
    more = {} if level is None else {"level": level}
    net = caffe.Net(written(tmp_path, LEVELS), caffe.TEST, **more)
    assert list(net.blobs) == ["data", *there.split(), "always"]


@pytest.mark.parametrize(
    ("stages", "there"),
    [
        (None, "not_b"),
        (["A"], "a either not_b"),
        (["B"], "b either"),
        (["A", "B"], "a b either both"),
    ],
)
def test_stages(tmp_path: Path, stages: list[str] | None, there: str) -> None:
    net = caffe.Net(written(tmp_path, STAGES), caffe.TEST, stages=stages)
    assert list(net.blobs) == ["data", *there.split()]
    by_name = ls.open(tmp_path / "net.prototxt", stages=stages or ())
    assert list(by_name.blobs) == list(net.blobs)


def test_stages_of_the_file_count_too(tmp_path: Path) -> None:
    net = caffe.Net(written(tmp_path, 'state { stage: "A" }' + STAGES), caffe.TEST, stages=["B"])
    assert list(net.blobs) == ["data", "a", "b", "either", "both"]


DUMMY = "dummy_data_param { shape { dim: 4 dim: 6 } shape { dim: 4 } }"
SCORES = "inner_product_param { num_output: 2 }"
ALL_IN_ONE = f"""
layer {{ name: "fitting" type: "DummyData" top: "x" top: "truth" {DUMMY}
        include {{ phase: TRAIN stage: "fit" }} }}
layer {{ name: "checking" type: "DummyData" top: "x" top: "truth" {DUMMY}
        include {{ phase: TEST stage: "check" }} }}
layer {{ name: "using" type: "Input" top: "x" input_param {{ shape {{ dim: 1 dim: 6 }} }}
        include {{ phase: TEST stage: "use" }} }}
layer {{ name: "scores" type: "InnerProduct" bottom: "x" top: "scores" {SCORES} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "truth" top: "loss"
        exclude {{ stage: "use" }} }}
layer {{ name: "prob" type: "Softmax" bottom: "scores" top: "prob" include {{ stage: "use" }} }}
"""


@pytest.mark.parametrize(
    ("phase", "stage", "outputs"),
    [(0, "fit", ["loss"]), (1, "check", ["loss"]), (1, "use", ["prob"])],
)
def test_all_in_one(tmp_path: Path, phase: int, stage: str, outputs: list[str]) -> None:
    if stage != "use":
        needs("DummyData", "SoftmaxWithLoss")
    net = caffe.Net(written(tmp_path, ALL_IN_ONE), phase, stages=[stage])
    assert net.outputs == outputs
    assert list(net.forward()) == outputs
    if stage == "use":  # weights are zeros where no filler is stated
        np.testing.assert_array_equal(net.blobs["prob"].data, [[0.5, 0.5]])
    else:
        assert_blob_close(net.blobs["loss"].data, np.log(2), "loss")


def test_numbers_of_blobs(net: caffe.Net) -> None:
    names = list(net._blob_names)
    assert [names[i] for i in net._inputs] == net.inputs
    assert [names[i] for i in net._outputs] == net.outputs
    for i, layer in enumerate(net._layer_names):
        assert [names[j] for j in net._bottom_ids(i)] == net.bottom_names[layer]
        assert [names[j] for j in net._top_ids(i)] == net.top_names[layer]
    assert dict(zip(names, net._blob_loss_weights, strict=True)) == net.blob_loss_weights


def test_numbers_of_blobs_in_place(tmp_path: Path) -> None:
    net = caffe.Net(written(tmp_path, NAMES), caffe.TEST)
    at = list(net._layer_names).index("relu")
    assert net._bottom_ids(at) == net._top_ids(at) == [1]


def test_a_log_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    caffe.init_log()
    caffe.log("epoch 1")
    assert "epoch 1" in capsys.readouterr().err
