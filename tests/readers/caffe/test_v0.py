"""Caffe's first definitions, with their padding layers (upgrade_proto.cpp)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from closeness import assert_blob_close
from layerscope.readers.caffe.write import write_caffemodel

HEAD = 'name: "old" input: "data" input_dim: 2 input_dim: 4 input_dim: 7 input_dim: 9\n'
V0 = (
    HEAD
    + """
layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "data" top: "pad1" }
layers { layer { name: "conv1" type: "conv" num_output: 6 kernelsize: 5 group: 2 stride: 2
         weight_filler { type: "gaussian" std: 0.1 } blobs_lr: 1. blobs_lr: 2. weight_decay: 1. }
         bottom: "pad1" top: "conv1" }
layers { layer { name: "relu1" type: "relu" } bottom: "conv1" top: "conv1" }
layers { layer { name: "norm1" type: "lrn" local_size: 3 alpha: 0.5 beta: 0.75 } bottom: "conv1" top: "norm1" }
layers { layer { name: "pool1" type: "pool" pool: AVE kernelsize: 3 stride: 2 } bottom: "norm1" top: "pool1" }
layers { layer { name: "fc2" type: "innerproduct" num_output: 5 biasterm: false } bottom: "pool1" top: "fc2" }
layers { layer { name: "drop2" type: "dropout" dropout_ratio: 0.3 } bottom: "fc2" top: "fc2" }
layers { layer { name: "prob" type: "softmax" } bottom: "fc2" top: "prob" }
"""
)
V2 = (
    HEAD
    + """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 6 kernel_size: 5 group: 2 stride: 2 pad: 2 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "norm1" type: "LRN" bottom: "conv1" top: "norm1"
        lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 } }
layer { name: "pool1" type: "Pooling" bottom: "norm1" top: "pool1"
        pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
layer { name: "fc2" type: "InnerProduct" bottom: "pool1" top: "fc2"
        inner_product_param { num_output: 5 bias_term: false } }
layer { name: "drop2" type: "Dropout" bottom: "fc2" top: "fc2" }
layer { name: "prob" type: "Softmax" bottom: "fc2" top: "prob" }
"""
)


def net_of(folder: Path, name: str, text: str) -> ls.Net:
    random = np.random.default_rng(4)
    path, weights = folder / f"{name}.prototxt", folder / "w.caffemodel"
    path.write_text(text)
    write_caffemodel(
        weights, "",
        [("conv1", "", [random.normal(size=(6, 2, 5, 5)), random.normal(size=6)]),
         ("fc2", "", [random.normal(size=(5, 24))])],
    )  # fmt: skip
    return ls.open(path, weights)


def test_the_same_net_in_both_forms(tmp_path: Path) -> None:
    old, new = net_of(tmp_path, "old", V0), net_of(tmp_path, "new", V2)
    assert [each.type for each in old.layers] == [each.type for each in new.layers]
    assert [each.summary for each in old.layers][:6] == [each.summary for each in new.layers][:6]
    x = np.random.default_rng(5).normal(size=(2, 4, 7, 9)).astype(np.float32)
    got, want = old.run(x), new.run(x)
    assert list(got) == list(want)
    for name in want:
        assert_blob_close(got[name], want[name], name, tolerance=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layers { layer { name: "p" type: "padding" pad: 1 } bottom: "data" top: "p" }'
         ' layers { layer { name: "r" type: "relu" } bottom: "p" top: "r" }',
         'layer "r" of type "relu" reads a padding layer; only a convolution or pooling'),
        ('layers { layer { name: "c" type: "convolve" } bottom: "data" top: "c" }',
         'layer "c" has the V0 type "convolve", which Caffe never had; nearest: conv'),
        ('layers { layer { name: "r" type: "relu" } bottom: "data" top: "r" }'
         ' layers { name: "s" type: SOFTMAX bottom: "r" top: "s" }',
         r"V0 layers \(with an inner 'layer'\) and V1 layers stand side by side \(1 and 1\)"),
        ('layers { layer { name: "p" type: "padding" pad: 1 } top: "p" }',
         "a padding layer needs one bottom and one top"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "n.prototxt"
    path.write_text(HEAD + text)
    with pytest.raises(ls.errors.ReadError, match=message) as caught:
        ls.open(path)
    assert str(caught.value).startswith("n.prototxt:2:")


def test_weights_in_the_first_form(tmp_path: Path) -> None:
    """A V0 caffemodel keeps names and blobs in the inner message."""
    from layerscope.readers.caffe.message import Message
    from layerscope.readers.caffe.schema import message_type
    from layerscope.readers.caffe.write import blob_message, to_bytes

    kernel = np.random.default_rng(6).normal(size=(3, 4, 2, 2)).astype(np.float32)
    inner, outer = (
        Message(message_type("V0LayerParameter")),
        Message(message_type("V1LayerParameter")),
    )
    inner.set("name", "c")
    inner.set("type", "conv")
    inner.set("blobs", [blob_message(kernel)])
    outer.set("layer", inner)
    net = Message(message_type("NetParameter"))
    net.set("layers", [outer])
    (tmp_path / "w.caffemodel").write_bytes(to_bytes(net))
    (tmp_path / "n.prototxt").write_text(
        HEAD
        + 'layers { layer { name: "c" type: "conv" num_output: 3 kernelsize: 2 biasterm: false }'
        ' bottom: "data" top: "c" }'
    )
    opened = ls.open(tmp_path / "n.prototxt", tmp_path / "w.caffemodel")
    np.testing.assert_array_equal(opened.params["c"][0].data, kernel)
