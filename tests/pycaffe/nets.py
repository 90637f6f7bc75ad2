"""The nets that the pycaffe tests run, and what may be missing for them."""

from __future__ import annotations

from pathlib import Path

import pytest

import layerscope.pycaffe as caffe

TRAINING = """
name: "training"
force_backward: true
layer { type: "DummyData" name: "data" top: "data" top: "label"
        dummy_data_param {
          num: 5 channels: 2 height: 3 width: 4
          num: 5 channels: 1 height: 1 width: 1
          data_filler { type: "gaussian" std: 1 }
          data_filler { type: "constant" } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
        convolution_param { num_output: 11 kernel_size: 2 pad: 3
          weight_filler { type: "gaussian" std: 1 }
          bias_filler { type: "constant" value: 2 } }
        param { decay_mult: 1 } param { decay_mult: 0 } }
layer { type: "InnerProduct" name: "ip" bottom: "conv" top: "ip_blob"
        inner_product_param { num_output: 13
          weight_filler { type: "gaussian" std: 2.5 }
          bias_filler { type: "constant" value: -3 } } }
layer { type: "SoftmaxWithLoss" name: "loss" bottom: "ip_blob" bottom: "label" top: "loss" }
"""

FED = """
name: "fed"
layer { type: "Input" name: "data" top: "data"
        input_param { shape { dim: 5 dim: 2 dim: 3 dim: 4 } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
        convolution_param { num_output: 11 kernel_size: 2 pad: 3
          weight_filler { type: "gaussian" std: 1 }
          bias_filler { type: "constant" value: 2 } } }
layer { type: "InnerProduct" name: "ip" bottom: "conv" top: "ip_blob"
        inner_product_param { num_output: 13
          weight_filler { type: "gaussian" std: 2.5 }
          bias_filler { type: "constant" value: -3 } } }
layer { type: "Softmax" name: "prob" bottom: "ip_blob" top: "prob" }
"""

# Every way in which a value has two names: in place, passed on, given to several layers.
NAMES = """
name: "names"
layer { type: "Input" name: "in" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 5 dim: 4 } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3
          weight_filler { type: "gaussian" std: 1 } bias_filler { value: -0.5 } } }
layer { type: "ReLU" name: "relu" bottom: "conv" top: "conv" }
layer { type: "Dropout" name: "drop" bottom: "conv" top: "drop" }
layer { type: "Split" name: "split" bottom: "drop" top: "left" top: "right" }
layer { type: "Eltwise" name: "sum" bottom: "left" bottom: "right" top: "sum" }
layer { type: "Eltwise" name: "all" bottom: "sum" bottom: "drop" bottom: "conv" top: "all" }
"""


def needs(*types: str) -> None:
    """Skip while a layer type is not known; as soon as it is, the test runs."""
    missing = [each for each in types if each not in caffe.layer_type_list()]
    if missing:
        pytest.skip(f"layer types that are not known yet: {', '.join(missing)}")


def written(folder: Path, text: str, name: str = "net.prototxt") -> str:
    """The text as a file."""
    (folder / name).write_text(text)
    return str(folder / name)
