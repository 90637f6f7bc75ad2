"""The nets that the pycaffe tests run, and what may be missing for them."""

from __future__ import annotations

from pathlib import Path

import pytest

import layerscope.pycaffe as caffe

TRAINING = """
name: "training"
layer { type: "DummyData" name: "data" top: "data" top: "label"
        dummy_data_param {
          shape { dim: 5 dim: 2 dim: 3 dim: 4 }
          shape { dim: 5 }
          data_filler { type: "uniform" min: -2 max: 2 }
          data_filler { value: 0 } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
        convolution_param { num_output: 7 kernel_size: 3 pad: 2
          weight_filler { type: "msra" }
          bias_filler { value: 0.5 } }
        param { lr_mult: 1 } param { lr_mult: 2 } }
layer { type: "InnerProduct" name: "fc" bottom: "conv" top: "scores"
        inner_product_param { num_output: 13
          weight_filler { type: "xavier" }
          bias_filler { value: -0.25 } } }
layer { type: "SoftmaxWithLoss" name: "loss" bottom: "scores" bottom: "label" top: "loss" }
"""

FED = """
name: "fed"
layer { type: "Input" name: "data" top: "data"
        input_param { shape { dim: 5 dim: 2 dim: 3 dim: 4 } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
        convolution_param { num_output: 7 kernel_size: 3 pad: 2
          weight_filler { type: "msra" }
          bias_filler { value: 0.5 } } }
layer { type: "InnerProduct" name: "fc" bottom: "conv" top: "scores"
        inner_product_param { num_output: 13
          weight_filler { type: "xavier" }
          bias_filler { value: -0.25 } } }
layer { type: "Softmax" name: "prob" bottom: "scores" top: "prob" }
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
