"""Which picture a blob or param gets, where a shape could be taken for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import layerscope as ls
from layerscope.readers.caffe.write import write_caffemodel
from layerscope.show.drawing import blob_picture, param_picture

DEFINITION = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 9 dim: 8 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1"
        convolution_param { num_output: 3 kernel_h: 4 kernel_w: 3 bias_term: false } }
layer { name: "c2" type: "Convolution" bottom: "c1" top: "c2"
        convolution_param { num_output: 4 kernel_size: 2 bias_term: false } }
layer { name: "c3" type: "Convolution" bottom: "c2" top: "c3"
        convolution_param { num_output: 5 kernel_h: 1 kernel_w: 3 bias_term: false } }
"""


def opened(folder: Path) -> ls.Net:
    random = np.random.default_rng(0)
    (folder / "n.prototxt").write_text(DEFINITION)
    shapes = {"c1": (3, 3, 4, 3), "c2": (4, 3, 2, 2), "c3": (5, 4, 1, 3)}
    layers = [(name, "", [random.normal(size=dims)]) for name, dims in shapes.items()]
    write_caffemodel(folder / "n.caffemodel", "", layers)
    return ls.open(folder / "n.prototxt", folder / "n.caffemodel")


def test_only_filters_that_read_an_image_are_in_colour(tmp_path: Path) -> None:
    net = opened(tmp_path)
    assert "3 of 3 filters shown, 4x3 each in colour (from BGR)" in param_picture(net, "c1").caption
    assert (
        "4 of 4 filters shown, all 3 input channels side by side, 2x2 each, scaled"
        in param_picture(net, "c2").caption
    )


def test_a_kernel_of_width_three_is_no_colour_picture(tmp_path: Path) -> None:
    net = opened(tmp_path)
    assert "5 of 5 filters shown, 4x3 each (channels x width)" in param_picture(net, "c3").caption


def test_a_blob_of_width_three_is_no_colour_picture(tmp_path: Path) -> None:
    net = opened(tmp_path)
    blobs = net.run(np.ones((3, 9, 8), np.float32))
    assert blobs["c3"].shape == (1, 5, 5, 3)
    assert "5 of 5 shown, 5x3 each, scaled" in blob_picture(net, blobs, "c3").caption


def test_each_image_of_a_batch_has_its_picture(tmp_path: Path) -> None:
    net = opened(tmp_path)
    images = np.random.default_rng(1).integers(0, 255, (2, 9, 8, 3), np.uint8)
    blobs = net.run(list(images))
    second = blob_picture(net, blobs, "data", image=1)
    np.testing.assert_array_equal(second.array, images[1])
    assert "image 1 of 2" in blob_picture(net, blobs, "c1", image=1).caption
