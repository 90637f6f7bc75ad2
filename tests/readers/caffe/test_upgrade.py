from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oracle import plain

import layerscope
from layerscope.errors import ReadError
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.prototxt import parse
from layerscope.readers.caffe.registry import layer_types
from layerscope.readers.caffe.schema import enum_type
from layerscope.readers.caffe.upgrade import upgrade

# UpgradeV1LayerType of upgrade_proto.cpp, for the types whose name changes by more than its case.
CAFFE_NAMES = {
    "ABSVAL": "AbsVal", "ARGMAX": "ArgMax", "BNLL": "BNLL", "CONCAT": "Concat",
    "CONVOLUTION": "Convolution", "DECONVOLUTION": "Deconvolution", "DROPOUT": "Dropout",
    "ELTWISE": "Eltwise", "EUCLIDEAN_LOSS": "EuclideanLoss", "FLATTEN": "Flatten",
    "HINGE_LOSS": "HingeLoss", "INNER_PRODUCT": "InnerProduct", "LRN": "LRN", "MVN": "MVN",
    "POOLING": "Pooling", "POWER": "Power", "RELU": "ReLU", "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss", "SILENCE": "Silence",
    "SLICE": "Slice", "SOFTMAX": "Softmax", "SOFTMAX_LOSS": "SoftmaxWithLoss", "SPLIT": "Split",
    "TANH": "TanH", "THRESHOLD": "Threshold", "ACCURACY": "Accuracy", "EXP": "Exp",
    "DATA": "Data", "DUMMY_DATA": "DummyData", "HDF5_DATA": "HDF5Data",
    "IMAGE_DATA": "ImageData", "MEMORY_DATA": "MemoryData",
}  # fmt: skip


def upgraded(text: str) -> Message:
    net = parse(text.encode(), "a.prototxt")
    upgrade(net)
    return net


def test_the_names_are_those_of_the_enum() -> None:
    assert CAFFE_NAMES.keys() <= enum_type("V1LayerType").numbers.keys()


@pytest.mark.parametrize(
    ("old", "new"), [(old, new) for old, new in CAFFE_NAMES.items() if new in layer_types()]
)
def test_types(old: str, new: str) -> None:
    assert upgraded(f"layers {{ type: {old} }}").layer[0].type == new


def test_a_type_that_is_not_known_stays_as_it_is() -> None:
    assert upgraded("layers { type: MULTI_STAGE_MEANFIELD }").layer[0].type == (
        "MULTI_STAGE_MEANFIELD"
    )
    assert upgraded('layers { type: "Pooling" }').layer[0].type == "Pooling"
    assert upgraded("layer { type: POOLING }").layer[0].type == "Pooling"


def test_a_v1_layer_keeps_its_fields() -> None:
    net = upgraded("""
        layers {
          name: "c" type: CONVOLUTION bottom: "a" bottom: "b" top: "c" loss_weight: 2
          convolution_param { num_output: 3 } include { phase: TEST } blobs { num: 1 }
        }""")
    assert not net.has("layers")
    assert plain(net.layer[0]) == plain(
        parse(
            b"""name: "c" type: "Convolution" bottom: "a" bottom: "b" top: "c" loss_weight: 2
            convolution_param { num_output: 3 } include { phase: TEST } blobs { num: 1 }""",
            "a",
            "LayerParameter",
        )
    )


def test_learning_rates_and_names_become_param_specs() -> None:
    net = upgraded("""
        layers {
          type: CONVOLUTION blobs_lr: 1 blobs_lr: 2 weight_decay: 0.5
          param: "w" param: "b" param: "" blob_share_mode: PERMISSIVE blob_share_mode: STRICT
        }""")
    assert [plain(spec) for spec in net.layer[0].param] == [
        plain(parse(text, "a", "ParamSpec"))
        for text in (
            b'name: "w" share_mode: PERMISSIVE lr_mult: 1 decay_mult: 0.5',
            b'name: "b" share_mode: STRICT lr_mult: 2',
            b'name: ""',
        )
    ]
    assert net.layer[0].param[2].lr_mult == 1


def test_v1_layers_share_weights_by_name(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
        input: "data" input_dim: 1 input_dim: 3 input_dim: 1 input_dim: 1
        layers { name: "a" type: INNER_PRODUCT bottom: "data" top: "a" param: "w" param: "b"
                 inner_product_param { num_output: 3 } }
        layers { name: "c" type: INNER_PRODUCT bottom: "a" top: "c" param: "w" param: "d"
                 inner_product_param { num_output: 3 } }""")
    net = layerscope.open(path)
    first, second = net.params["a"], net.params["c"]
    assert second[0].shared_with == first[0].name
    assert second[1].shared_with != first[1].name


def test_old_and_current_layers_together_are_refused() -> None:
    with pytest.raises(ReadError) as caught:
        upgraded('layer { name: "a" }\nlayer { name: "b" }\nlayers { name: "c" }')
    assert str(caught.value) == (
        "a.prototxt:3:8: the net has both 'layer' and 'layers' entries (2 and 1); Caffe refuses"
        " such a mix: use 'layer' for all"
    )


@pytest.mark.parametrize(
    ("text", "tops", "shapes"),
    [
        ('input: "a" input_dim: [1, 2, 3, 4]', ["a"], [[1, 2, 3, 4]]),
        (
            'input: "a" input: "b" input_dim: [1, 2, 3, 4, 5, 6, 7, 8]',
            ["a", "b"],
            [[1, 2, 3, 4], [5, 6, 7, 8]],
        ),
        ('input: "a" input_shape { dim: [9, 8] }', ["a"], [[9, 8]]),
        (
            'input: "a" input: "b" input_shape { dim: 1 } input_shape { dim: [2, 3] }',
            ["a", "b"],
            [[1], [2, 3]],
        ),
        ('input: "a" input: "b" input_shape { dim: 1 }', ["a", "b"], [[1]]),
    ],
)
def test_inputs_become_a_layer(text: str, tops: list[str], shapes: list[list[int]]) -> None:
    net = upgraded(text + ' layer { name: "x" type: "ReLU" }')
    layer, after = net.layer
    assert (layer.name, layer.type, layer.top) == ("input", "Input", tops)
    assert [list(each.dim) for each in layer.input_param.shape] == shapes
    assert after.name == "x"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            'input: "a" input_dim: 1\ninput_dim: 3',
            "1:21",
            "input_dim has 2 values; it takes 4 for each of 1 input",
        ),
        (
            'input: "a" input: "b" input_dim: [1, 2, 3, 4, 5]',
            "1:32",
            "input_dim has 5 values; it takes 4 for each of 2 inputs",
        ),
        (
            'input: "a"',
            "1:1",
            "input_dim has 0 values; it takes 4 for each of 1 input",
        ),
        (
            'input: ["a", "b", "c"] input_shape { dim: 1 } input_shape { dim: 2 }',
            "1:36",
            "3 inputs but 2 input_shapes",
        ),
        (
            "input_dim: [1, 2, 3, 4]",
            "1:10",
            'the shape of an input without its name; add input: "data"',
        ),
    ],
)
def test_incomplete_inputs_are_refused(text: str, place: str, message: str) -> None:
    with pytest.raises(ReadError) as caught:
        upgraded(text)
    assert str(caught.value).startswith(f"a.prototxt:{place}: ")
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("name", ["data_param", "image_data_param", "window_data_param"])
def test_transformations_move_out_of_the_data_layers(name: str) -> None:
    net = upgraded(
        f'layer {{ type: "Data" {name} {{ scale: 0.5 mirror: true crop_size: 227'
        ' mean_file: "m" } }'
    )
    given = net.layer[0].transform_param
    assert (given.scale, given.mirror, given.crop_size, given.mean_file) == (0.5, True, 227, "m")


def test_what_transform_param_has_besides_stays() -> None:
    net = upgraded(
        'layer { type: "Data" data_param { scale: 0.5 } transform_param { mean_value: [1, 2] } }'
    )
    given = net.layer[0].transform_param
    np.testing.assert_array_equal(given.mean_value, [1, 2])
    assert given.scale == 0.5
