from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls


def test_layers_params_and_blobs(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    assert [layer.name for layer in net.layers] == ["data", "conv1", "relu1", "fc2", "prob"]
    conv = net.layer("conv1")
    assert (conv.type, conv.family, conv.bottoms, conv.tops) == (
        "Convolution", "vision", ("data",), ("conv1@conv1",),
    )  # fmt: skip
    assert conv.summary == "4 filters 3x3"
    assert list(net.params) == ["conv1", "fc2"]
    assert net.params["conv1"][0].shape == (4, 3, 3, 3)
    assert np.asarray(net.params["fc2"][1]).shape == (5,)
    assert net.inputs == ("data",) and net.outputs == ("prob",) and net.missing == ()
    assert [net.graph.nodes[i].op_type for i in net.layer("fc2").nodes] == ["Flatten", "Gemm"]
    assert repr(net) == '<net "small" (caffe): 5 layers, 5 blobs>'


def test_weights_are_views_that_cannot_be_written(small: tuple[Path, Path]) -> None:
    data = ls.open(*small).params["fc2"][0].data
    assert not data.flags.owndata and not data.flags.writeable


def test_wrong_names(small: tuple[Path, Path]) -> None:
    net = ls.open(small[0])
    for ask, message in (
        (lambda: net.params["conv2"], 'param layer "conv2" is not in net "small" .*: conv1'),
        (lambda: net.layer("conv"), r'layer "conv" is not in net "small" \(5 layers\); .* conv1'),
        (lambda: net.reshaped(image=(1,)), 'input "image" is not in net "small"'),
    ):
        with pytest.raises(ls.errors.UnknownNameError, match=message):
            ask()
        with pytest.raises(KeyError):
            ask()
    with pytest.raises(ls.errors.ReadError, match=r'param "conv1/0" \(4, 3, 3, 3\) has no weights'):
        assert net.params["conv1"][0].data is None


def test_reshaped(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    wide = net.reshaped(data=(6, 3, 9, 7))
    assert wide.blobs["conv1"].shape == (6, 4, 7, 5)
    with pytest.raises(ls.errors.ReadError, match=r'layer "fc2": the definition says \(5, 168\)'):
        net.reshaped(data=(1, 3, 9, 8))
    assert net.blobs["conv1"].shape == (2, 4, 7, 5)


def test_a_batch_that_the_graph_has_baked_in(tmp_path: Path) -> None:
    """A scale over the batch axis needs another graph for another batch; the net makes it."""
    path = tmp_path / "n.prototxt"
    path.write_text("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "f" type: "Flatten" bottom: "x" top: "f" flatten_param { axis: 0 } }
        layer { name: "i" type: "InnerProduct" bottom: "x" top: "i"
                inner_product_param { num_output: 4 axis: 0 } }
    """)
    net = ls.open(path)
    assert not net.graph.free_batch
    x = np.ones((5, 3), np.float32)
    assert net.run(x, allow_missing=True)["f"].shape == (15,)
    assert net.run(x, allow_missing=True)["i"].shape == (4,)


def test_net_shows_itself_in_a_notebook(small: tuple[Path, Path]) -> None:
    html = ls.open(*small)._repr_html_()
    assert "(4, 3, 3, 3) (4,)" in html and "conv1" in html and "<table" in html


def test_blobs_are_saved_and_loaded(small: tuple[Path, Path], tmp_path: Path) -> None:
    blobs = ls.open(*small).run(np.ones((3, 9, 7), np.float32))
    blobs.save(tmp_path / "run.npz")
    again = ls.Blobs.load(tmp_path / "run.npz")
    assert list(again) == list(blobs)
    for name in blobs:
        np.testing.assert_array_equal(again[name], blobs[name])
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    with pytest.raises(ls.errors.ReadError, match=r"bad.npz: not blobs saved by layerscope"):
        ls.Blobs.load(tmp_path / "bad.npz")
    assert blobs.nbytes == sum(a.nbytes for a in blobs.values())


def test_preprocessing_of_the_net_itself(tmp_path: Path) -> None:
    text = """layer { name: "data" type: "Input" top: "data" %s
        input_param { shape { dim: 1 dim: 3 dim: 4 dim: 5 } } }"""
    path = tmp_path / "n.prototxt"
    path.write_text(text % "")
    assert ls.open(path).preprocessing.mean == (104, 117, 123)
    path.write_text(
        text % "transform_param { mean_value: 1 mean_value: 2 mean_value: 3 scale: 0.5 }"
    )
    how = ls.open(path).preprocessing
    assert (how.mean, how.scale, how.channels) == ((1, 2, 3), 0.5, "BGR")
    path.write_text(text % "transform_param { scale: 0.5 }")
    assert ls.open(path).preprocessing.mean == ()
    path.write_text(text % 'transform_param { mean_file: "/etc/passwd" }')
    how = ls.open(path).preprocessing
    assert how.mean == (104, 117, 123) and "mean file /etc/passwd not read" in how.source


def test_shared_params(tmp_path: Path) -> None:
    path = tmp_path / "n.prototxt"
    layer = """layer { name: "%s" type: "InnerProduct" bottom: "x" top: "%s"
        param { name: "w" } inner_product_param { num_output: %d bias_term: false } }"""
    head = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
    path.write_text(head + layer % ("a", "a", 4) + layer % ("b", "b", 4))
    net = ls.open(path)
    assert net.params["b"][0].shared_with == "a/0"
    blobs = net.run(np.ones((2, 3), np.float32), allow_missing=True)
    np.testing.assert_array_equal(blobs["a"], blobs["b"])
    assert sum(1 for array in net.graph.tensors if array == "a/0") == 1
    from layerscope.measure.cost import layer_costs

    assert [cost.weights for cost in layer_costs(net)] == [0, 12, 0]
    path.write_text(head + layer % ("a", "a", 4) + layer % ("b", "b", 5))
    with pytest.raises(ls.errors.ReadError, match=r"shared params must be alike"):
        ls.open(path)
