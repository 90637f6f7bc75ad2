"""Cutting a blob to the size of another."""

from __future__ import annotations

import numpy as np

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural, shape


@layer(
    "Crop",
    bottoms=2,
    tops=1,
    param="crop_param",
    source="caffe/src/caffe/layers/crop_layer.cpp",
)
def crop(g: GraphBuilder, layer: LayerSpec, x: str, size: str) -> str:
    """Cut the axes from `axis` on to the size of the second bottom, beginning at `offset`."""
    p = layer.param
    dims, wanted = g.shape(x), g.shape(size)
    axis = layer.axis(p.axis, dims)
    axes = range(axis, len(dims))
    offsets = [int(o) for o in p.offset] or [0]
    if len(offsets) not in (1, len(axes)):
        raise layer.error(
            f"{plural(len(offsets), 'offset')}; 1 or {len(axes)} fit the axes from {axis} on of"
            f" {shape(dims)}",
            "offset",
        )
    if len(wanted) < len(dims):
        raise layer.error(f"a bottom {shape(dims)} cannot be cut to the size of {shape(wanted)}")
    offsets = offsets * len(axes) if len(offsets) == 1 else offsets
    ends = [wanted[i] + offset for i, offset in zip(axes, offsets, strict=True)]
    for i, offset, end in zip(axes, offsets, ends, strict=True):
        if end > dims[i]:
            raise layer.error(
                f"axis {i} has {dims[i]}; {wanted[i]} from {offset} on are more", "offset"
            )
    if axis == 0:
        g.free_batch = False  # so many images as the second bottom has
    layer.summary = f"to the size of the second bottom from axis {axis}"
    layer.summary += f", offset {', '.join(map(str, p.offset))}" if any(offsets) else ""
    bounds = (np.asarray(each, np.int64) for each in (offsets, ends, list(axes)))
    return g.op("Slice", x, *(g.constant(each, "bounds") for each in bounds))
