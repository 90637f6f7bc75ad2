"""Layers of other forks: segmentation, small nets, YOLO."""
