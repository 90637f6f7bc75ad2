"""Layers of detection nets: SSD, Fast and Faster R-CNN, R-FCN."""

from __future__ import annotations

from layerscope.readers.caffe.layers.detection import head, output, prior, proposal, roi

__all__ = ["head", "output", "prior", "proposal", "roi"]
