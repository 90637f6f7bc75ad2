"""Layers that work on channels one by one, or move them."""

from __future__ import annotations

from layerscope.readers.caffe.layers.vision.convolution import convolution
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape


@layer(
    "ConvolutionDepthwise",
    bottoms=1,
    tops=1,
    param="convolution_param",
    source="MobileNets (Howard et al. 2017), BVLC/caffe pull request 5665",
)
@layer(
    "DepthwiseConvolution",
    bottoms=1,
    tops=1,
    param="convolution_param",
    source="MobileNets (Howard et al. 2017), yonghenglh6/DepthwiseConvolution",
)
def depthwise(g: GraphBuilder, layer: LayerSpec, x: str) -> tuple[str, ...]:
    """A convolution with a group for each channel, whether `group` says so or not."""
    dims = g.shape(x)
    if len(dims) < 3:
        raise layer.error(f"takes (N, C, ...), the bottom is {shape(dims)}")
    p = layer.param.copy()
    if p.has("group") and p.group not in (1, dims[1]):
        raise layer.error(f"group {p.group}; a depthwise convolution has one for each of"
                          f" {dims[1]} channels", "group")  # fmt: skip
    p.set("group", dims[1])
    layer.param = p
    tops = convolution(g, layer, x)
    return (tops,) if isinstance(tops, str) else tops


@layer(
    "ShuffleChannel",
    bottoms=1,
    tops=1,
    param="shuffle_channel_param",
    source="ShuffleNet (Zhang et al. 2017), farmingyard/ShuffleNet",
)
def shuffle_channel(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Deal the channels out: the first of each group, then the second of each.  (N, C, ...)."""
    dims, group = g.shape(x), layer.param.group
    if len(dims) < 2:
        raise layer.error(f"takes (N, C, ...), the bottom is {shape(dims)}")
    if group < 1 or dims[1] % group:
        raise layer.error(f"{dims[1]} channels cannot be split into {group} groups", "group")
    layer.summary = f"{group} groups of {dims[1] // group}"
    grouped = g.reshape(x, [0, group, dims[1] // group, -1])
    return g.reshape(g.op("Transpose", grouped, perm=[0, 2, 1, 3]), [0, *dims[1:]])


@layer(
    "Axpy", bottoms=3, tops=1, source="Squeeze-and-excitation (Hu et al. 2018), hujie-frank/SENet"
)
def axpy(g: GraphBuilder, layer: LayerSpec, scale: str, x: str, y: str) -> str:
    """Add scale * x and y, one scale a channel.  (N, C) or (N, C, 1, 1), (N, C, ...) twice."""
    factor, dims, other = (g.shape(value) for value in (scale, x, y))
    if dims != other:
        raise layer.error(f"x is {shape(dims)} and y {shape(other)}; they must be alike")
    if len(dims) < 2 or factor[:2] != dims[:2] or any(d != 1 for d in factor[2:]):
        raise layer.error(f"the scale is {shape(factor)}; x of {shape(dims)} needs (N, C)")
    if len(factor) != len(dims):
        scale = g.reshape(scale, [0, dims[1], *[1] * (len(dims) - 2)])
    return g.op("Add", g.op("Mul", scale, x), y)


@layer(
    "Reorg",
    bottoms=1,
    tops=1,
    param="reorg_param",
    source="YOLO9000 (Redmon and Farhadi 2016), pjreddie/darknet reorg_cpu in src/blas.c",
)
def reorg(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Trade places for channels: (N, C, H, W) -> (N, C * s * s, H / s, W / s), or the reverse.

    Forward, darknet reads its input's memory as if it were (C / (s * s), H * s, W * s), moves every
    s x s block of places into channels there, block position first, and reads the result's memory
    as the output.  So an output channel does not hold one phase of an input channel; nets are
    trained with it that way.  Reverse is the plain depth-to-space, block position first.
    """
    p = layer.param
    dims, s = g.shape(x), p.stride
    if len(dims) != 4:
        raise layer.error(f"takes (N, C, H, W), the bottom is {shape(dims)}")
    if s < 1:
        raise layer.error("stride must be given, at least 1", "stride")
    _, channels, height, width = dims
    if channels % (s * s):
        raise layer.error(f"{channels} channels cannot be split by stride {s} squared", "stride")
    layer.summary = f"stride {s}{', reverse' if p.reverse else ''}, darknet's order"
    if p.reverse:
        return g.op("DepthToSpace", x, blocksize=s, mode="DCR")
    if height % s or width % s:
        raise layer.error(f"stride {s} does not divide {height}x{width}", "stride")
    seen = g.reshape(x, [0, channels // (s * s), height * s, width * s])
    moved = g.op("SpaceToDepth", seen, blocksize=s)
    return g.reshape(moved, [0, channels * s * s, height // s, width // s])
