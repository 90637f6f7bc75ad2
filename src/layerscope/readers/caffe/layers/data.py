"""Layers that bring data in, or take it away.

What Caffe reads from databases and folders is fed here: such a layer becomes inputs, and no path in
a definition is ever opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from layerscope.errors import LimitError, UsageError
from layerscope.readers.caffe.fillers import filled
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import plural, quoted, shape

MAX_FILLED = 2**28  # numbers of a blob that is filled: 1 GB

Dims = tuple[int, ...] | None
_CROPPED = ("batch_size", "", "crop_size", "crop_size")


class MissingShapeError(UsageError):
    """The shape of an input is neither in the definition nor given.

    Attributes:
        fault: what is missing, without the way to give it.
    """

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(f"{fault}; {remedy}")
        self.fault = fault


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
    for name, each in zip(names, dims, strict=True):
        if any(d <= 0 for d in each) and name not in g.asked:
            raise layer.error(f"an input of shape {each}; every number must be positive", "shape")
    return tuple(g.input(name, each) for name, each in zip(names, dims, strict=True))


@layer(
    "Data",
    v1="DATA",
    bottoms=0,
    tops=(1, 2),
    param="data_param",
    source="caffe/src/caffe/layers/data_layer.cpp",
)
def data(g: GraphBuilder, layer: LayerSpec) -> tuple[str, ...]:
    """Take images (and labels) that Caffe reads from a database."""
    transform = layer.message.transform_param
    crop, batch = transform.crop_size, layer.param.batch_size
    channels = len(transform.mean_value) if len(transform.mean_value) > 1 else 3
    channels = 1 if transform.force_gray else channels
    stated = len(transform.mean_value) > 1 or transform.force_gray or transform.force_color
    name = layer.message.top[0]
    if crop and not stated and name not in g.asked:
        layer.notes.append(
            f"layer {quoted(layer.name)}: how many channels {quoted(name)} has stands in the"
            f" database; 3 are assumed (--input-shape {name}={batch},1,{crop},{crop} for one)"
        )
    return _images(g, layer, (batch, channels, crop, crop), _CROPPED)


@layer(
    "ImageData",
    v1="IMAGE_DATA",
    bottoms=0,
    tops=(1, 2),
    param="image_data_param",
    source="caffe/src/caffe/layers/image_data_layer.cpp",
)
def image_data(g: GraphBuilder, layer: LayerSpec) -> tuple[str, ...]:
    """Take images (and labels) that Caffe reads from a list of files."""
    p = layer.param
    crop = layer.message.transform_param.crop_size
    if (p.new_height == 0) != (p.new_width == 0):
        raise layer.error("new_height and new_width must both be given", "new_height")
    size = (crop, crop) if crop else (p.new_height, p.new_width)
    channels = 3 if p.is_color else 1
    names = ("batch_size", "", "new_height", "new_width")
    return _images(g, layer, (p.batch_size, channels, *size), names)


@layer(
    "WindowData",
    v1="WINDOW_DATA",
    bottoms=0,
    tops=(1, 2),
    param="window_data_param",
    source="caffe/src/caffe/layers/window_data_layer.cpp",
)
def window_data(g: GraphBuilder, layer: LayerSpec) -> tuple[str, ...]:
    """Take windows of images (and labels) that Caffe reads by a list of files and boxes."""
    crop = layer.message.transform_param.crop_size
    return _images(g, layer, (layer.param.batch_size, 3, crop, crop), _CROPPED)


@layer(
    "MemoryData",
    v1="MEMORY_DATA",
    bottoms=0,
    tops=(1, 2),
    param="memory_data_param",
    source="caffe/src/caffe/layers/memory_data_layer.cpp",
)
def memory_data(g: GraphBuilder, layer: LayerSpec) -> tuple[str, ...]:
    """Take images (and labels) that a program gives to Caffe."""
    p = layer.param
    dims = (p.batch_size, p.channels, p.height, p.width)
    return _images(g, layer, dims, ("batch_size", "channels", "height", "width"))


@layer(
    "HDF5Data",
    v1="HDF5_DATA",
    bottoms=0,
    tops=(1, None),
    param="hdf5_data_param",
    source="caffe/src/caffe/layers/hdf5_data_layer.cpp",
)
def hdf5_data(g: GraphBuilder, layer: LayerSpec) -> tuple[str, ...]:
    """Take blobs that Caffe reads from HDF5 files."""
    layer.summary = "fed, not read from the file"
    return _inputs(g, layer, [None] * layer.tops, "an HDF5 file has the shapes")


@layer(
    "DummyData",
    v1="DUMMY_DATA",
    bottoms=0,
    tops=(1, None),
    param="dummy_data_param",
    source="caffe/src/caffe/layers/dummy_data_layer.cpp",
)
def dummy_data(g: GraphBuilder, layer: LayerSpec) -> tuple[str, ...]:
    """Give blobs that are filled: with one number, or at random (always the same here)."""
    fillers = list(layer.param.data_filler)
    if len(fillers) not in (0, 1, layer.tops):
        raise layer.error(
            f"{plural(layer.tops, 'top')} need 0, 1 or {layer.tops} data_fillers,"
            f" {len(fillers)} are given",
            "data_filler",
        )
    fillers = fillers or [Message(message_type("FillerParameter"))]
    fillers = fillers * layer.tops if len(fillers) == 1 else fillers
    layer.summary = ", ".join(dict.fromkeys(each.type for each in fillers))
    g.free_batch = False  # so many images as the file says
    tops = []
    for name, dims, filler in zip(layer.message.top, _dummy_shapes(layer), fillers, strict=True):
        if any(d < 1 for d in dims):
            raise layer.error(f"shape {shape(dims)}; every number must be positive")
        if prod(dims) > MAX_FILLED:
            raise LimitError(f"{layer.where()}: {plural(prod(dims), 'number')} to fill")
        tops.append(g.constant(filled(filler, dims, f"{layer.name}/{name}"), name))
    return tuple(tops)


@layer(
    "HDF5Output",
    v1="HDF5_OUTPUT",
    bottoms=2,
    tops=0,
    param="hdf5_output_param",
    source="caffe/src/caffe/layers/hdf5_output_layer.cpp",
)
def hdf5_output(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> tuple[str, ...]:
    """Do nothing: what Caffe writes into an HDF5 file is in the blobs."""
    layer.summary = "nothing is written"
    layer.notes.append(f"layer {quoted(layer.name)}: no HDF5 file is written")
    return ()


def _images(
    g: GraphBuilder, layer: LayerSpec, dims: tuple[int, ...], names: tuple[str, ...]
) -> tuple[str, ...]:
    """Images and, with two tops, a label for each.

    Args:
        g: the graph.
        layer: the layer.
        dims: the shape of the images, with 0 where the file does not say.
        names: the setting that each of the numbers stands in.
    """
    layer.summary = "fed" if layer.type == "MemoryData" else "fed, not read from the source"
    lack = dict.fromkeys(name for name, d in zip(names, dims, strict=True) if d == 0)
    label = g.asked.get(layer.message.top[0], dims)[:1]
    return _inputs(
        g,
        layer,
        [None if lack else dims, label][: layer.tops],
        ", ".join(f"no {name}" for name in lack),
    )


def _inputs(g: GraphBuilder, layer: LayerSpec, known: Sequence[Dims], lack: str) -> tuple[str, ...]:
    """An input for each top.

    Raises:
        MissingShapeError: a shape is neither in the file nor given.
    """
    names = list(layer.message.top)
    unknown = [n for n, dims in zip(names, known, strict=True) if dims is None and n not in g.asked]
    if unknown:
        batch = layer.param.batch_size or 1
        rest = "3,227,227"
        raise MissingShapeError(
            f"{layer.where()} ({layer.type}): the shape of {', '.join(map(quoted, unknown))} is not"
            f" in the definition ({lack})",
            f"give it: --input-shape {unknown[0]}={batch},{rest}, in"
            f' Python input_shapes={{"{unknown[0]}": ({batch}, {rest.replace(",", ", ")})}}',
        )
    return tuple(g.input(name, dims or ()) for name, dims in zip(names, known, strict=True))


def _dummy_shapes(layer: LayerSpec) -> list[tuple[int, ...]]:
    """The shape of each top, from `shape` or from the older num, channels, height and width."""
    p, tops = layer.param, layer.tops
    older = ("num", "channels", "height", "width")
    if any(p.has(field) for field in older):
        if len(p.shape):
            raise layer.error(
                "shape and num/channels/height/width are both given; use shape", "shape"
            )
        columns = [_once_or_each(layer, field, list(getattr(p, field)), tops) for field in older]
        return [tuple(int(d) for d in dims) for dims in zip(*columns, strict=True)]
    shapes = _once_or_each(layer, "shape", [tuple(each.dim) for each in p.shape], tops)
    return [tuple(int(d) for d in dims) for dims in shapes]


def _once_or_each(layer: LayerSpec, field: str, values: list[Any], tops: int) -> list[Any]:
    if len(values) not in (1, tops):
        raise layer.error(
            f"{plural(tops, 'top')} need {field} once or {tops} times, it is given {len(values)}"
            " times",
            field,
        )
    return values * tops if len(values) == 1 else values
