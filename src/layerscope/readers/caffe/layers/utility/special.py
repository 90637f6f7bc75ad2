"""Layers that compute nothing: a learned array as a blob, an end for blobs, and foreign code."""

from __future__ import annotations

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import quoted, shape


@layer(
    "Parameter",
    bottoms=0,
    tops=1,
    param="parameter_param",
    source="caffe/include/caffe/layers/parameter_layer.hpp",
)
def parameter(g: GraphBuilder, layer: LayerSpec) -> str:
    """Give a learned array as a blob."""
    dims = tuple(int(d) for d in layer.param.shape.dim)
    if any(d < 1 for d in dims):
        raise layer.error(f"shape {shape(dims)}; every number must be at least 1", "shape")
    layer.summary = f"learned {shape(dims)}"
    if dims:
        g.free_batch = False  # it does not grow with the batch: where both meet, sizes are checked
    return layer.weight(dims)


@layer(
    "Python",
    bottoms=(0, None),
    tops=(0, None),
    param="python_param",
    source="caffe/include/caffe/layers/python_layer.hpp",
)
def python(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Code that came with the net, in Python: known, but never imported or run."""
    p = layer.param
    tops = layer.message.top
    if tops and not bottoms:  # it brings data in: what it brings can be fed
        unknown = [top for top in tops if top not in g.asked]
        if not unknown:
            layer.summary = "fed, not run"
            return tuple(g.input(top, ()) for top in tops)
        raise layer.unsupported(
            f"module {quoted(p.module)}, layer {quoted(p.layer)} is Python code, which is not run;"
            f" to feed what it gives, say its shape: --input-shape {unknown[0]}=1,3,227,227",
            "module",
        )
    raise layer.unsupported(
        f"module {quoted(p.module)}, layer {quoted(p.layer)} is Python code, which is not run;"
        " take the layer out, or put layers in its place that do the same",
        "module",
    )


@layer(
    "Silence",
    v1="SILENCE",
    bottoms=(1, None),
    tops=0,
    source="caffe/src/caffe/layers/silence_layer.cpp",
)
def silence(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Read blobs, so that they do not count as outputs of the net."""
    return ()
