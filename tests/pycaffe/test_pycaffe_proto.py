"""caffe_pb2: real protobuf classes with Caffe's names, from our own schema table."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format

import layerscope.pycaffe as caffe
from layerscope.demo import DEFINITION, WEIGHTS
from layerscope.pycaffe.proto import caffe_pb2
from layerscope.readers.caffe.messages import ENUMS, MESSAGES
from layerscope.readers.caffe.schema import enum_type, message_type


def test_every_message_and_field_is_there() -> None:
    for name in MESSAGES:
        message = getattr(caffe_pb2, name)()
        assert message.DESCRIPTOR.full_name == f"caffe.{name}"
        assert {f.name: f.number for f in message.DESCRIPTOR.fields} == {
            f.name: f.number for f in message_type(name).fields.values()
        }


def test_defaults_are_those_of_the_table() -> None:
    for name in MESSAGES:
        message = getattr(caffe_pb2, name)()
        for field in message_type(name).fields.values():
            if field.repeated or field.kind == "message":
                continue
            wanted = field.enum.numbers[field.default] if field.kind == "enum" else field.default
            assert getattr(message, field.name) == pytest.approx(wanted), (name, field.name)


def test_enums_stand_where_caffe_has_them() -> None:
    assert (caffe_pb2.TRAIN, caffe_pb2.TEST) == (caffe.TRAIN, caffe.TEST) == (0, 1)
    assert caffe_pb2.Phase.Name(1) == "TEST"
    assert caffe_pb2.V1LayerParameter.CONVOLUTION == 4
    assert caffe_pb2.V1LayerParameter.LayerType.Name(18) == "RELU"
    assert caffe_pb2.PoolingParameter.MAX == 0 and caffe_pb2.PoolingParameter.AVE == 1
    assert caffe_pb2.EltwiseParameter.SUM == 1
    assert caffe_pb2.LRNParameter.WITHIN_CHANNEL == 1
    assert caffe_pb2.SolverParameter.GPU == 1 and caffe_pb2.SolverParameter.ADAM == 5
    assert caffe_pb2.ParamSpec.PERMISSIVE == caffe_pb2.V1LayerParameter.PERMISSIVE == 1
    assert caffe_pb2.DataParameter.LMDB == caffe_pb2.DataParameter.DB.Value("LMDB") == 1
    assert caffe_pb2.FillerParameter.AVERAGE == 2 and caffe_pb2.LossParameter.VALID == 1
    used = {
        f.type_name for name in MESSAGES for f in message_type(name).fields.values()
        if f.kind == "enum"
    }  # fmt: skip
    assert used == set(ENUMS) and all(enum_type(name).numbers for name in used)
    with pytest.raises(AttributeError, match="no message 'NetParam'"):
        _ = caffe_pb2.NetParam


def test_a_definition_is_read_changed_and_written() -> None:
    net = caffe_pb2.NetParameter()
    text_format.Merge(DEFINITION.read_text(), net)
    assert net.layer[0].input_param.shape[0].dim == [1, 3, 227, 227]
    conv = next(each for each in net.layer if each.type == "Convolution")
    assert conv.convolution_param.kernel_size == [11] and conv.convolution_param.group == 1
    conv.convolution_param.num_output = 7
    pool = next(each for each in net.layer if each.type == "Pooling")
    pool.pooling_param.pool = caffe_pb2.PoolingParameter.AVE
    again = text_format.Parse(text_format.MessageToString(net), caffe_pb2.NetParameter())
    assert again == net and "pool: AVE" in str(again)


def test_weights_are_read() -> None:
    stored = caffe_pb2.NetParameter()
    stored.ParseFromString(WEIGHTS.read_bytes())
    net = caffe.Net(str(DEFINITION), caffe.TEST, weights=str(WEIGHTS))
    layers = {each.name: each for each in stored.layer if each.blobs}
    assert set(layers) == set(net.params)
    for name, blobs in net.params.items():
        for blob, each in zip(blobs, layers[name].blobs, strict=True):
            np.testing.assert_array_equal(caffe.io.blobproto_to_array(each), blob.data)
