"""Scripts in the style of Caffe's notebooks (classification, net surgery), run from end to end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import layerscope.pycaffe as caffe
from closeness import assert_blob_close
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from pycaffe.nets import written

CLASSIFY = """
import numpy as np
import layerscope.pycaffe as caffe

caffe.set_mode_cpu()
net = caffe.Net('deploy.prototxt', 'weights.caffemodel', caffe.TEST)

mu = np.load('mean.npy').mean(1).mean(1)
transformer = caffe.io.Transformer({'data': net.blobs['data'].data.shape})
transformer.set_transpose('data', (2, 0, 1))
transformer.set_mean('data', mu)
transformer.set_raw_scale('data', 255)
transformer.set_channel_swap('data', (2, 1, 0))

net.blobs['data'].reshape(5, 3, 227, 227)
image = caffe.io.load_image('cat.jpg')
transformed_image = transformer.preprocess('data', image)
net.blobs['data'].data[...] = transformed_image
output = net.forward()
output_prob = output['prob'][0]
labels = np.loadtxt('labels.txt', str, delimiter='\\t')
top_inds = output_prob.argsort()[::-1][:5]
best = labels[output_prob.argmax()]
top = list(zip(output_prob[top_inds], labels[top_inds]))

activations = [(name, blob.data.shape) for name, blob in net.blobs.items()]
weights = [(name, param[0].data.shape, param[1].data.shape) for name, param in net.params.items()]
filters = net.params['conv1'][0].data.transpose(0, 2, 3, 1)
feat_conv = net.blobs['conv1'].data[0, :36]
feat_pool5 = net.blobs['pool5'].data[0]
feat_fc6 = net.blobs['fc6'].data[0]
shown = transformer.deprocess('data', net.blobs['data'].data[0])

# another image of one's own
net.blobs['data'].data[...] = transformer.preprocess('data', caffe.io.load_image('rocket.jpg'))
net.forward()
second = labels[net.blobs['prob'].data[0].flatten().argmax()]
"""


def test_classification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(DEFINITION, tmp_path / "deploy.prototxt")
    shutil.copy(WEIGHTS, tmp_path / "weights.caffemodel")
    shutil.copy(LABELS, tmp_path / "labels.txt")
    for name in ("cat", "rocket"):
        shutil.copy(images()[name], tmp_path / f"{name}.jpg")
    mean = np.array([91.305, 98.552, 122.685])
    np.save(tmp_path / "mean.npy", np.broadcast_to(mean[:, None, None], (3, 256, 256)))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(CLASSIFY, "classification.py", "exec"), names)
    assert (names["best"], names["second"]) == ("cat", "rocket")
    assert names["top"][0][1] == "cat" and len(names["top"]) == 5
    assert names["activations"][:3] == [
        ("data", (5, 3, 227, 227)), ("conv1", (5, 48, 55, 55)), ("pool1", (5, 48, 27, 27)),
    ]  # fmt: skip
    assert names["weights"][0] == ("conv1", (48, 3, 11, 11), (48,))
    assert names["feat_conv"].shape == (36, 55, 55) and names["feat_fc6"].min() >= 0
    picture = caffe.io.resize_image(names["image"], (227, 227))
    assert_blob_close(names["shown"], picture, "shown")


# --- net surgery ---

EDGES = """
name: "filters"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 20 dim: 16 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 3 kernel_size: 5
          weight_filler { type: "gaussian" std: 0.01 } bias_filler { type: "constant" value: 0 } } }
"""


def test_filters_are_edited(tmp_path: Path) -> None:
    net = caffe.Net(written(tmp_path, EDGES), caffe.TEST)
    assert [(k, v[0].data.shape, v[1].data.shape) for k, v in net.params.items()] == [
        ("conv", (3, 1, 5, 5), (3,))
    ]
    image = np.random.default_rng(13).random((20, 16)).astype(np.float32)
    im_input = image[np.newaxis, np.newaxis, :, :]
    net.blobs["data"].reshape(*im_input.shape)
    net.blobs["data"].data[...] = im_input
    net.forward()
    before = net.blobs["conv"].data[0].copy()
    conv0 = net.blobs["conv"].data[0, 0]
    net.params["conv"][1].data[0] = 1.0
    net.forward()
    assert_blob_close(conv0, before[0] + 1, "one more")
    assert_blob_close(net.blobs["conv"].data[0, 1:], before[1:], "the others")
    x = np.arange(-2, 3)
    gaussian = np.exp(-(x[:, None] ** 2 + x**2) / 2) / (2 * np.pi)
    net.params["conv"][0].data[0] = gaussian
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    net.params["conv"][0].data[1:] = 0
    net.params["conv"][0].data[1, 0, 1:-1, 1:-1] = sobel
    net.params["conv"][0].data[2, 0, 1:-1, 1:-1] = sobel.T
    net.params["conv"][1].data[...] = 0
    found = net.forward()["conv"][0]
    windows = np.lib.stride_tricks.sliding_window_view(image, (5, 5))
    assert_blob_close(found[0], (windows * gaussian).sum((2, 3)), "smooth")
    inner = windows[:, :, 1:-1, 1:-1]
    assert_blob_close(found[1], (inner * sobel).sum((2, 3)), "edges across")
    assert_blob_close(found[2], (inner * sobel.T).sum((2, 3)), "edges along")


HEAD = """
name: "{name}"
layer {{ name: "in" type: "Input" top: "data" input_param {{ shape {{ dim: 1 dim: 3 dim: {size} dim: {size} }} }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param {{ num_output: 6 kernel_size: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
        pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
"""
FC = """
layer { name: "fc6" type: "InnerProduct" bottom: "pool1" top: "fc6"
        inner_product_param { num_output: 10 weight_filler { type: "xavier" } bias_filler { value: 0.1 } } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "fc7" type: "InnerProduct" bottom: "fc6" top: "fc7"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc7" top: "prob" }
"""
CONV = """
layer { name: "fc6-conv" type: "Convolution" bottom: "pool1" top: "fc6-conv"
        convolution_param { num_output: 10 kernel_size: 5 } }
layer { name: "relu6" type: "ReLU" bottom: "fc6-conv" top: "fc6-conv" }
layer { name: "fc7-conv" type: "Convolution" bottom: "fc6-conv" top: "fc7-conv"
        convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: "prob" type: "Softmax" bottom: "fc7-conv" top: "prob" }
"""


def test_a_classifier_becomes_fully_convolutional(tmp_path: Path) -> None:
    written(tmp_path, HEAD.format(name="fc", size=12) + FC, "fc.prototxt")
    written(tmp_path, HEAD.format(name="conv", size=20) + CONV, "conv.prototxt")
    net = caffe.Net(str(tmp_path / "fc.prototxt"), caffe.TEST)
    net.save(str(tmp_path / "fc.caffemodel"))

    # load the original net and extract the params of its fully connected layers
    params = ["fc6", "fc7"]
    fc_params = {pr: (net.params[pr][0].data, net.params[pr][1].data) for pr in params}
    net_full_conv = caffe.Net(
        str(tmp_path / "conv.prototxt"), str(tmp_path / "fc.caffemodel"), caffe.TEST
    )
    params_full_conv = ["fc6-conv", "fc7-conv"]
    conv_params = {
        pr: (net_full_conv.params[pr][0].data, net_full_conv.params[pr][1].data)
        for pr in params_full_conv
    }
    assert not any(array.any() for pair in conv_params.values() for array in pair)
    for pr, pr_conv in zip(params, params_full_conv, strict=True):
        conv_params[pr_conv][0].flat = fc_params[pr][0].flat  # flat unrolls the arrays
        conv_params[pr_conv][1][...] = fc_params[pr][1]
    net_full_conv.save(str(tmp_path / "conv.caffemodel"))

    again = caffe.Net(
        str(tmp_path / "conv.prototxt"), str(tmp_path / "conv.caffemodel"), caffe.TEST
    )
    image = np.random.default_rng(14).normal(size=(1, 3, 20, 20)).astype(np.float32)
    for each in (net_full_conv, again):
        maps = each.forward_all(data=image)["prob"]
        assert maps.shape == (1, 4, 5, 5)
        for y in range(5):
            for x in range(5):
                part = image[:, :, 2 * y : 2 * y + 12, 2 * x : 2 * x + 12]
                assert_blob_close(maps[0, :, y, x], net.forward(data=part)["prob"][0], f"{y}, {x}")


DREAMING = """
import numpy as np
from google.protobuf import text_format

import caffe
from caffe.proto import caffe_pb2
from caffe.io import Transformer

model = caffe.io.caffe_pb2.NetParameter()
text_format.Merge(open('deploy.prototxt').read(), model)
model.force_backward = True
open('forced.prototxt', 'w').write(str(model))
net = caffe.Classifier('forced.prototxt', 'weights.caffemodel',
                       mean=np.float32([91.0, 98.0, 122.0]), channel_swap=(2, 1, 0))
image = np.random.default_rng(15).integers(0, 256, (240, 300, 3)).astype(np.float32)
blob = net.blobs['data']
blob.reshape(1, 3, 240, 300)
blob.data[0] = np.rollaxis(image, 2)[::-1] - net.transformer.mean['data']
net.forward(end='conv4')  # the layers behind it would not take this size
large = net.blobs['conv4'].data.shape
blob.reshape(1, 3, 227, 227)
small = net.forward()['prob'].shape
same = caffe_pb2.NetParameter is caffe.io.caffe_pb2.NetParameter and Transformer
"""


def test_a_script_that_imports_caffe(tmp_path: Path) -> None:
    shutil.copy(DEFINITION, tmp_path / "deploy.prototxt")
    shutil.copy(WEIGHTS, tmp_path / "weights.caffemodel")
    (tmp_path / "dreaming.py").write_text(DREAMING)
    start = """import runpy, sys, layerscope.pycaffe
sys.modules["caffe"] = layerscope.pycaffe
names = runpy.run_path("dreaming.py")
print(names["large"], names["small"], names["same"].__name__)
"""
    found = subprocess.run(
        [sys.executable, "-c", start],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(caffe.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip() == "(1, 96, 14, 18) (1, 12) Transformer", found.stderr


BATCH_NORM = """
layer {{ name: "in" type: "Input" top: "data" input_param {{ shape {{ dim: 2 dim: 3 dim: 6 dim: 7 }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param {{ num_output: 4 kernel_size: 3 bias_term: {bias} weight_filler {{ type: "xavier" }} }} }}
{middle}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
"""
STATISTICS = """
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { use_global_stats: true } }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
"""


def test_batch_norm_is_folded_into_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(16)
    full = BATCH_NORM.format(bias="false", middle=STATISTICS)
    folded = BATCH_NORM.format(bias="true", middle="")
    net = caffe.Net(written(tmp_path, full, "full.prototxt"), caffe.TEST)
    small = caffe.Net(written(tmp_path, folded, "folded.prototxt"), caffe.TEST)
    for blob, low in ((net.params["bn"][0], -1), (net.params["bn"][1], 1)):
        blob.data[:] = rng.uniform(low, low + 2, 4)
    net.params["bn"][2].data[:] = 2  # Caffe divides both by this factor
    for blob in net.params["scale"]:
        blob.data[:] = rng.uniform(0.5, 2, 4)
    factor = net.params["bn"][2].data
    mean, variance = (net.params["bn"][i].data / factor for i in (0, 1))
    alpha = net.params["scale"][0].data / np.sqrt(variance + 1e-5)
    small.params["conv"][1].data[...] = net.params["scale"][1].data - mean * alpha
    for i in range(len(alpha)):
        small.params["conv"][0].data[i] = net.params["conv"][0].data[i] * alpha[i]
    image = rng.random((2, 3, 6, 7))
    assert_blob_close(small.forward(data=image)["conv"], net.forward(data=image)["conv"], "folded")


def test_the_page_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    shutil.copy(DEFINITION, tmp_path / "deploy.prototxt")
    shutil.copy(WEIGHTS, tmp_path / "weights.caffemodel")
    page = (Path(__file__).parents[2] / "docs" / "pycaffe.md").read_text()
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    names: dict[str, object] = {}
    exec(compile(code, "docs/pycaffe.md", "exec"), names)
    for name in re.findall(r"`((?:io|proto|Detector)\.\w+|set_\w+|layer_\w+_list)`", page):
        if name not in ("set_input_arrays",):
            value: object = caffe
            for part in name.split("."):
                value = getattr(value, part)
    for name in re.findall(r"`(\w+)`", page.split("| running |")[1].split("| `Blob` |")[0]):
        assert name in ("blobs", "start", "end") or hasattr(caffe.Net, name)
