"""Layers that bring data in."""

from __future__ import annotations

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural


@layer(
    "Input",
    bottoms=0,
    tops=(1, None),
    param="input_param",
    source="caffe/src/caffe/layers/input_layer.cpp",
)
def input_(g: GraphBuilder, layer: LayerSpec) -> tuple[str, ...]:
    """Take what is fed; one shape for all tops, or one for each."""
    shapes = [tuple(each.dim) for each in layer.param.shape]
    if len(shapes) not in (1, layer.tops):
        raise layer.error(
            f"{plural(layer.tops, 'top')} need 1 or {layer.tops} shapes, {len(shapes)} are given",
            "shape",
        )
    names = list(layer.message.top)
    dims = shapes * len(names) if len(shapes) == 1 else shapes
    for each in dims:
        if any(d <= 0 for d in each):
            raise layer.error(f"an input of shape {each}; every number must be positive", "shape")
    return tuple(g.input(name, each) for name, each in zip(names, dims, strict=True))
