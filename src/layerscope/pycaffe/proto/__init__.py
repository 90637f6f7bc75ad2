"""Caffe's messages as classes of google.protobuf."""

from __future__ import annotations

from layerscope.pycaffe.proto import caffe_pb2

__all__ = ["caffe_pb2"]
