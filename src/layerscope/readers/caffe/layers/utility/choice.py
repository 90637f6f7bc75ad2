"""What is largest, and which images go on: ArgMax, BatchReindex, Filter."""

from __future__ import annotations

from math import prod

import numpy as np

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import BOOL, FLOAT, INT64, GraphBuilder
from layerscope.text import plural, quoted, shape

_BEFORE_ALL = np.iinfo(np.int64).min


@layer(
    "ArgMax",
    v1="ARGMAX",
    bottoms=1,
    tops=1,
    param="argmax_param",
    source="caffe/src/caffe/layers/argmax_layer.cpp",
)
def argmax(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Where the largest values are, or along an axis what they are; of equal ones the last first.

    Without `axis`, over all numbers of an image: (N, ...) -> (N, 1, top_k, 1 ...) of indices, and
    with out_max_val (N, 2, top_k, 1 ...) with the values behind them.  With `axis`, that axis
    becomes top_k long: indices, or with out_max_val the values alone.
    """
    p = layer.param
    dims = g.shape(x)
    top = int(p.top_k)
    if not dims:
        raise layer.error("takes (N, ...), the bottom is one number")
    axis = layer.axis(p.axis, dims) if p.has("axis") else 1
    size = dims[axis] if p.has("axis") else prod(dims[1:])
    if not 1 <= top <= size:
        raise layer.error(f"top_k {top} of {plural(size, 'value')}", "top_k")
    layer.summary = f"the {top} largest" if top > 1 else "the largest"
    layer.summary += f" along axis {axis}" if p.has("axis") else " of an image"
    if p.has("axis"):
        if axis == 0:
            g.free_batch = False  # the images are what is compared
        values, indices = _largest(g, x, axis, size, top)
        return values if p.out_max_val else indices
    flat = x if len(dims) == 2 else g.op("Flatten", x, axis=1)
    values, indices = _largest(g, flat, 1, size, top)
    tail = [top, *[1] * (len(dims) - 3)]
    indices = g.reshape(indices, [0, 1, *tail])
    if not p.out_max_val:
        return indices
    return g.op("Concat", indices, g.reshape(values, [0, 1, *tail]), axis=1)


def _largest(g: GraphBuilder, x: str, axis: int, size: int, top: int) -> tuple[str, str]:
    """The `top` largest values along an axis and their indices, as floats.

    Caffe sorts (value, index) pairs downward, so of equal values the one with the larger index
    comes first; TopK does the opposite, hence on the axis turned round.
    """
    start, end, along, step = (
        g.constant(np.asarray([n], np.int64), name)
        for n, name in ((-1, "start"), (_BEFORE_ALL, "end"), (axis, "axis"), (-1, "step"))
    )
    turned = g.op("Slice", x, start, end, along, step)
    k = g.constant(np.asarray([top], np.int64), "top_k")
    values, places = g.ops("TopK", 2, turned, k, axis=axis)
    last = g.constant(np.asarray(size - 1, np.int64), "last")
    return values, g.op("Cast", g.op("Sub", last, places), to=FLOAT)


@layer(
    "BatchReindex",
    bottoms=2,
    tops=1,
    source="caffe/src/caffe/layers/batch_reindex_layer.cpp",
)
def batch_reindex(g: GraphBuilder, layer: LayerSpec, x: str, indices: str) -> str:
    """Take images of the first bottom by the indices in the second.  (N, ...), (M) -> (M, ...).

    An index outside the batch stops the run.
    """
    dims, given = g.shape(x), g.shape(indices)
    if not dims:
        raise layer.error("takes (N, ...), the first bottom is one number")
    if len(given) != 1:
        raise layer.error(f"its second bottom, the indices, is {shape(given)}; it must be (M)")
    layer.summary = f"{given[0]} of {plural(dims[0], 'image')}"
    # ONNX counts negative indices from the end; Caffe refuses them, so they become too large.
    zero, outside = g.constant(0.0, "zero"), g.constant(2.0**62, "outside")
    sound = g.op("Where", g.op("Less", indices, zero), outside, indices)
    return g.op("Gather", x, g.op("Cast", sound, to=INT64), axis=0)


@layer(
    "Filter",
    bottoms=(2, None),
    tops=(1, None),
    source="caffe/src/caffe/layers/filter_layer.cpp",
)
def filter_(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Pass on the images for which the last bottom, the selector, is not 0.

    (N, ...) ..., (N, 1, ...) -> (up to N, ...) ...  How many go on, only a run tells; the shape
    that the net states is that of all N, as in Caffe before its first run.  Where nothing is
    selected the tops have no image: (0, ...).
    """
    *given, selector = bottoms
    if layer.tops != len(given):
        raise layer.error(
            f"{plural(layer.tops, 'top')} for {plural(len(bottoms), 'bottom')}; there must be one"
            " for each bottom but the selector"
        )
    dims = g.shape(selector)
    if not dims or any(d != 1 for d in dims[1:]):
        raise layer.error(f"its last bottom, the selector, is {shape(dims)}; it must be (N, 1 ...)")
    for bottom in given:
        if g.shape(bottom)[:1] != dims[:1]:
            raise layer.error(
                f"a bottom {shape(g.shape(bottom))} and the selector {shape(dims)} must have as"
                " many images"
            )
    layer.summary = f"up to {plural(dims[0], 'image')}"
    layer.notes.append(
        f"layer {quoted(layer.name)}: how many images it passes on depends on their numbers; the"
        " shapes behind it are for all of them"
    )
    keep = g.op("Cast", g.reshape(selector, [-1]), to=BOOL)
    return tuple(g.selection("Compress", bottom, keep, axis=0) for bottom in given)
