"""The same numbers in another shape: Flatten, Reshape."""

from __future__ import annotations

from math import prod

from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape


@layer(
    "Flatten",
    v1="FLATTEN",
    bottoms=1,
    tops=1,
    param="flatten_param",
    source="caffe/src/caffe/layers/flatten_layer.cpp",
    sharing="always",
)
def flatten(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Make one axis of the axes from `axis` to `end_axis`."""
    p = layer.param
    dims = g.shape(x)
    first = layer.axis(p.axis, dims)
    last = layer.axis(p.end_axis, dims, "end_axis")
    if last < first:
        raise layer.error(f"end_axis {last} is before axis {first}", "end_axis")
    layer.summary = f"axes {first} to {last}"
    if first == last:
        return g.op("Identity", x)
    after = dims[last + 1 :]
    if first == 0 or not after:
        return g.reshape(x, [0] * first + [-1, *after])
    return g.reshape(x, [0] * first + [prod(dims[first : last + 1]), *after])


@layer(
    "Reshape",
    bottoms=1,
    tops=1,
    param="reshape_param",
    source="caffe/src/caffe/layers/reshape_layer.cpp",
    sharing="always",
)
def reshape(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Give some axes another shape: 0 keeps an axis, -1 takes what is left.

    `axis` and `num_axes` say which axes are replaced (all unless given); a 0 at place i of `shape`
    keeps axis `axis` + i of the bottom, also one behind those that are replaced.
    """
    p = layer.param
    layer.refuse_in_place()
    dims = g.shape(x)
    start, end = _replaced(layer, dims)
    wanted = [int(d) for d in p.shape.dim]
    top = [*dims[:start], *_resolved(layer, dims, start, end, wanted), *dims[end:]]
    layer.summary = f"{shape(dims)} to {shape(top)}"
    if start > 0 or wanted[:1] == [0]:
        return g.reshape(x, [0, *top[1:]])
    if start == end and not wanted:
        return g.op("Identity", x)
    g.free_batch = False  # the images are no longer counted by the first axis
    return g.reshape(x, top)


def _replaced(layer: LayerSpec, dims: tuple[int, ...]) -> tuple[int, int]:
    """The first axis that is replaced, and the one behind the last."""
    p = layer.param
    start = p.axis if p.axis >= 0 else len(dims) + p.axis + 1
    if not 0 <= start <= len(dims):
        raise layer.error(f"axis {p.axis} of a bottom of shape {shape(dims)}", "axis")
    end = len(dims) if p.num_axes == -1 else start + p.num_axes
    if p.num_axes < -1 or end > len(dims):
        raise layer.error(f"num_axes {p.num_axes} from axis {start} of {shape(dims)}", "num_axes")
    return start, end


def _resolved(
    layer: LayerSpec, dims: tuple[int, ...], start: int, end: int, wanted: list[int]
) -> list[int]:
    """The sizes that replace axes `start` to `end`, without 0 and -1."""
    if wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise layer.error(
            f"shape {shape(wanted)}; numbers are positive, 0 (keep), or once -1 (what is left)",
            "shape",
        )
    found = []
    for i, each in enumerate(wanted):
        if each == 0 and start + i >= len(dims):
            raise layer.error(
                f"shape {shape(wanted)} keeps axis {start + i}, which a bottom {shape(dims)} has"
                " not",
                "shape",
            )
        found.append(dims[start + i] if each == 0 else each)
    known = prod(d for d in found if d != -1) * prod(dims[:start]) * prod(dims[end:])
    fits = known == prod(dims)
    if -1 in found:
        fits = known > 0 and prod(dims) % known == 0
        found[found.index(-1)] = prod(dims) // max(known, 1)
    if not fits:
        raise layer.error(
            f"a bottom {shape(dims)} has {prod(dims)} numbers, which shape {shape(wanted)}"
            f" from axis {start} cannot hold",
            "shape",
        )
    return found
