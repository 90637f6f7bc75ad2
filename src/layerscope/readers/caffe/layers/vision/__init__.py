"""Layers that look at images: convolution, pooling, cropping."""
