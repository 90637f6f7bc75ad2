"""Layers that join, split, reshape, choose from and compare blobs."""
