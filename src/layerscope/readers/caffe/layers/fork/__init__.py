"""Layers of other forks: segmentation, small nets, YOLO."""

from __future__ import annotations

from layerscope.readers.caffe.layers.fork import activation, channel, normalization, resize, unpool

__all__ = ["activation", "channel", "normalization", "resize", "unpool"]
