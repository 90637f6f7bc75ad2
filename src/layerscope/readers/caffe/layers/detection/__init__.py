"""Layers of detection nets: SSD, Fast and Faster R-CNN, R-FCN."""
