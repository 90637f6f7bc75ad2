"""Caffe's messages as real protobuf classes, with the names that protoc would give them.

    net = caffe_pb2.NetParameter()
    text_format.Merge(open("deploy.prototxt").read(), net)

`caffe_pb2.TRAIN` and `TEST` are numbers; other enums stand in their messages, as in
`caffe.proto`: `caffe_pb2.PoolingParameter.MAX`, `caffe_pb2.V1LayerParameter.CONVOLUTION`.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.internal import enum_type_wrapper

from layerscope.pycaffe.proto.descriptors import PACKAGE, message_class, pool
from layerscope.readers.caffe.messages import MESSAGES

DESCRIPTOR = pool().FindFileByName("caffe.proto")
Phase = enum_type_wrapper.EnumTypeWrapper(pool().FindEnumTypeByName(f"{PACKAGE}.Phase"))
TRAIN, TEST = Phase.Value("TRAIN"), Phase.Value("TEST")

globals().update({name: message_class(name) for name in MESSAGES})


def __getattr__(name: str) -> Any:
    raise AttributeError(f"caffe_pb2 has no message {name!r}")
