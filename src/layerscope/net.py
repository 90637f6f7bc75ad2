"""What a net is: layers, blobs, params and one ONNX graph.  Readers make it; nothing changes it.

The names are Caffe's (layer, blob, bottom, top, param); the graph inside is ONNX, so that whatever
measures, runs or explains a net does so for every file format at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, wraps
from math import prod
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReadError, UnknownNameError
from layerscope.text import nearest_hint, plural, quoted, shape

if TYPE_CHECKING:
    from os import PathLike

    import onnx

    from layerscope.blobs import Blobs
    from layerscope.inputs import Preprocessing

Keys = ParamSpec("Keys")
Made = TypeVar("Made")
OPSET = 18
IR_VERSION = 8


@dataclass(frozen=True, slots=True)
class Blob:
    """A named array that flows between layers.

    Attributes:
        name: the key in `net.blobs`; an in-place write that is written over later is kept as
            `blob@layer`.
        shape: at the batch size of the file; the first number is free at run time.
        value: the name of the ONNX value that holds it.
        layer: the name of the layer that writes it.
        base: the blob of the file that it is a value of; its name without `@layer`.
        replaced: whether a later layer writes over it in place.
    """

    name: str
    shape: tuple[int, ...]
    value: str
    layer: str
    base: str
    replaced: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Param:
    """A layer's learned array: its shape is always known, its numbers when weights were given.

    `numpy.asarray(param)` and `param.data` give the numbers, a read-only view on the file.  `bits`
    is what one number takes in the file: 8 for int8, 16 for bfloat16 though its array is float32.
    """

    name: str
    shape: tuple[int, ...]
    array: NDArray[Any] | None = field(repr=False, default=None)
    shared_with: str = ""
    bits: int = 32

    @property
    def data(self) -> NDArray[Any]:
        """The numbers.

        Raises:
            ReadError: the net was opened without weights for this param.
        """
        if self.array is None:
            raise ReadError(f"param {quoted(self.name)} {shape(self.shape)} has no weights")
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        data = self.data if dtype is None else self.data.astype(dtype, copy=False)
        return data.copy() if copy else data

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def bytes(self) -> int:
        """What its numbers take in the file."""
        return -(-self.size * self.bits // 8)


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of the net.

    Attributes:
        name, type: as in the file.
        family: one of Caffe's layer families, for example "vision" or "neuron".
        bottoms, tops: keys of `net.blobs`.
        params: its learned arrays, in the order of the file.
        nodes: the ONNX nodes that compute it, as positions in the graph; empty when it only
            passes its bottom on, as dropout does when testing.
        summary: what it does, in one line with its settings.
        reason: why it is not computed, in one line; "" when it is.
        needs: the layers it would read that are not computed; empty when it is computed.
        lost: the blobs it would write; empty when it is computed.
    """

    name: str
    type: str
    family: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: tuple[Param, ...] = ()
    nodes: range = range(0)
    summary: str = ""
    reason: str = ""
    needs: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX graph without its weights: nodes, shapes of every value, and the arrays beside it.

    Attributes:
        nodes: in an order in which they can run.
        shapes: value name to shape, at the batch size of the file.
        types: value name to ONNX element type.
        tensors: initializer name to array, or None where there are no weights.
        inputs: the values that are fed.
        free_batch: whether the first axis of the inputs may differ from the file's.
        opset: the version of ONNX's ops that the nodes are written in, 18 or later; the forms of
            the ops are those of 18 (docs/decisions/0007-onnx-opsets.md).
        ir_version: the version of ONNX's file format.
        domains: further sets of ops that the nodes use, name to version.
    """

    nodes: tuple[onnx.NodeProto, ...]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, int]
    tensors: Mapping[str, NDArray[Any] | None]
    inputs: tuple[str, ...]
    free_batch: bool = True
    opset: int = OPSET
    ir_version: int = IR_VERSION
    domains: Mapping[str, int] = field(default_factory=dict)

    def bytes(self, value: str) -> int:
        """What the numbers of a value take, at the batch size of the file."""
        return -(-prod(self.shapes[value]) * element_bits(self.types.get(value, 0)) // 8)


@cache
def element_bits(element: int) -> int:
    """What one number of an ONNX element type takes; 32 where that is not known."""
    from onnx import TensorProto, helper

    try:
        name = TensorProto.DataType.Name(element)
        if small := re.match(r"(?:U?INT|FLOAT)([24])(?:E|$)", name):
            return int(small[1])
        return 8 * max(1, int(helper.tensor_dtype_to_np_dtype(element).itemsize))
    except (KeyError, TypeError, ValueError):
        return 32


def values_read(node: onnx.NodeProto) -> list[str]:
    """The values that a node reads: its inputs, then what the graphs inside it take from outside.

    An If, a Loop or a Scan holds graphs, which see every value of the graph around them.
    """
    found = [name for name in node.input if name]
    for attribute in node.attribute:
        if not attribute.HasField("g") and not attribute.graphs:
            continue
        for graph in (attribute.g, *attribute.graphs):
            if not graph.node and not graph.output:
                continue
            own = {each.name for each in (*graph.input, *graph.initializer)}
            for inner in graph.node:
                found += [name for name in values_read(inner) if name not in own]
                own.update(inner.output)
            found += [each.name for each in graph.output if each.name not in own]
    return list(dict.fromkeys(found)) if len(found) != len(node.input) else found


def once(
    function: Callable[Concatenate[Net, Keys], Made],
) -> Callable[Concatenate[Net, Keys], Made]:
    """Keep what a function says of a net while the net lives; what else it takes is the key.

    What it gives may not hold the net, and nobody may change it.
    """
    kept: WeakKeyDictionary[Net, dict[Any, Made]] = WeakKeyDictionary()

    @wraps(function)
    def known(net: Net, /, *keys: Keys.args, **more: Keys.kwargs) -> Made:
        found = kept.setdefault(net, {})
        key = (keys, tuple(more.items()))
        if key not in found:
            found[key] = function(net, *keys, **more)
        return found[key]

    return known


class Named(Mapping[str, Any]):
    """A mapping by name, in the order of the net; its error for a wrong name says what is near."""

    def __init__(self, items: Mapping[str, Any], noun: str, where: str) -> None:
        self._items = dict(items)
        self._noun = noun
        self._where = where

    def __getitem__(self, name: str) -> Any:
        try:
            return self._items[name]
        except (KeyError, TypeError):
            pass
        raise UnknownNameError(
            f"{self._noun} {quoted(name)} is not in {self._where}"
            f" ({plural(len(self._items), self._noun)}){nearest_hint(str(name), self._items)}"
        )

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<{plural(len(self), self._noun)} of {self._where}: {', '.join(self)}>"


@dataclass(frozen=True, eq=False)
class Net:
    """A whole model, as `layerscope.open` gives it.  Immutable: a change makes another net.

    Attributes:
        name: the net's own name, or the file's.
        format: "caffe", "onnx" or "pytorch"; "safetensors" for weights alone.
        layers: in the order in which they run.
        blobs: name to `Blob`; in-place writes that were replaced are there as `blob@layer`.
        graph: the ONNX graph that computes it.
        outputs: the blobs that no layer reads.
        optional: the inputs that may be left out of a run: only losses read them, and then those
            losses are not computed.
        preprocessing: how an image becomes the input blob, unless options say otherwise.
        notes: what the reader wants the user to know, one line each.
        rebuild: makes the same net for other input shapes, with missing weights filled, and without
            some of the optional inputs.
    """

    name: str
    format: str
    layers: tuple[Layer, ...]
    blobs: Mapping[str, Blob]
    graph: Graph
    outputs: tuple[str, ...]
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    rebuild: Callable[[Mapping[str, Sequence[int]], bool, Sequence[str]], Net] | None = field(
        repr=False, default=None
    )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The blobs that are fed; those in `optional` may be left out."""
        return self.graph.inputs

    @property
    def params(self) -> Mapping[str, tuple[Param, ...]]:
        """Layer name to its params; layers without params are not there, as in pycaffe."""
        found: dict[str, tuple[Param, ...]] = {}
        for layer in self.layers:
            if layer.params:
                found.setdefault(layer.name, layer.params)
        return Named(found, "param layer", f"net {quoted(self.name)}")

    def layer(self, name: str) -> Layer:
        """The layer of that name.

        Raises:
            UnknownNameError: there is none; the message names the nearest.
        """
        where = f"net {quoted(self.name)}"
        found: Layer = Named({each.name: each for each in self.layers}, "layer", where)[name]
        return found

    @property
    def not_computed(self) -> tuple[Layer, ...]:
        """The layers that cannot be computed, each with its reason, and those that need them.

        Their blobs are not in `blobs`; a run that asks for all blobs stops with the first reason.
        """
        return tuple(each for each in self.layers if each.reason)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """The layers that have params but no weights for them."""
        return tuple(each.name for each in self.layers if any(p.array is None for p in each.params))

    def reshaped(self, **shapes: Sequence[int]) -> Net:
        """The same net for other input shapes: `net.reshaped(data=(1, 3, 500, 375))`.

        Raises:
            ReadError: a layer cannot work at that size.
            UnknownNameError: there is no such input.
        """
        inputs = Named(dict.fromkeys(self.inputs), "input", f"net {quoted(self.name)}")
        for name in shapes:
            inputs[name]
        if self.rebuild is None:
            raise ReadError(f"net {quoted(self.name)} is fixed to its input shapes")
        return replace(self.rebuild(shapes, False, ()), preprocessing=self.preprocessing)

    def without(self, *inputs: str) -> Net:
        """The same net without some optional inputs and without the losses that read them.

        Raises:
            UnknownNameError: there is no such optional input.
        """
        optional = Named(dict.fromkeys(self.optional), "optional input", f"net {quoted(self.name)}")
        for name in inputs:
            optional[name]
        if not inputs or self.rebuild is None:
            return self
        return replace(self.rebuild({}, False, inputs), preprocessing=self.preprocessing)

    def filled(self) -> Net:
        """The same net with missing weights filled as its definition says, from a fixed seed."""
        if not self.missing or self.rebuild is None:
            return self
        shapes = {name: self.graph.shapes[name] for name in self.inputs}
        return replace(self.rebuild(shapes, True, ()), preprocessing=self.preprocessing)

    # The object's face.  These import rightward, inside the call, so that `net.run` reads as it
    # should; tests/test_architecture.py names them as the only ones that may.

    def run(
        self,
        inputs: str | PathLike[str] | NDArray[Any] | Mapping[str, Any] | Any,
        blobs: Sequence[str] | None = None,
        *,
        allow_missing: bool = False,
    ) -> Blobs:
        """Feed an image or arrays and keep every blob.

        Args:
            inputs: an image (path, PIL image, uint8 array (H, W) or (H, W, 3)), or an array that is
                fed as it is ((N, C, H, W) or (C, H, W) float), or a mapping of input name to those.
                What is in `optional` may be left out, and the blobs that need it with it.
            blobs: keep just these; all of them when left out.
            allow_missing: run although some layers have no weights; those are filled as their
                definition says, from a fixed seed.

        Returns:
            Blobs: name to array; see `layerscope.blobs`.

        Raises:
            UsageError: the input does not fit, or weights are missing.
            UnsupportedError: the net holds something that cannot run.
            LimitError: the blobs would not fit into memory.
        """
        from layerscope.engine import run

        return run(self, inputs, blobs, allow_missing=allow_missing)

    def gradient(
        self,
        of: str | Mapping[str, Any],
        wrt: str | Sequence[str],
        inputs: str | PathLike[str] | NDArray[Any] | Mapping[str, Any] | Any,
        *,
        allow_missing: bool = False,
    ) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """How a unit, or blobs by what is put on them, change with inputs, blobs or params.

        No framework is needed: forward and backward are one ONNX graph, of which only what lies
        between `wrt` and `of` is run.  At corners (a rectifier at 0, equal values under a max pool)
        the gradient is Caffe's; see docs/gradient.md.

        Args:
            of: a unit, "prob:281" or "conv5:3,6,6" (the same of every image of the batch) or
                "prob:top1" (of each image its largest); a blob, for the sum of its numbers; or
                a mapping of blob to the gradient put on it, in the blob's shape.
            wrt: a blob, an input or a param ("conv1/0"), or several of them.
            inputs: as `run` takes them.
            allow_missing: fill missing weights, as `run` does.

        Returns:
            One array in the shape of what `wrt` names, or for several a mapping of name to array.

        Raises:
            UsageError: a name or an index is wrong, the input does not fit, or `of` does not depend
                on `wrt`.
            UnsupportedError: an op on the way has no gradient, or the gradient is not a number.
            LimitError: the blobs would not fit into memory.
        """
        from layerscope.engine import gradient

        return gradient(self, of, wrt, inputs, allow_missing=allow_missing)

    def widget(
        self, images: Any = None, *, labels: Sequence[str] | None = None, height: int = 720
    ) -> Any:
        """The live viewer in a cell of a notebook; it needs the extra `notebook`.

        Args:
            images: what to put before it: an image as `run` takes it, a list of them, or a mapping
                of name to image; those of the demo when left out.
            labels: names of the classes.
            height: of the cell, in pixels.

        Returns:
            Widget: shows itself where it is the last value of a cell; `close()` frees what it has.

        Raises:
            UsageError: the net has no weights, or the height is none.
            UnsupportedError: nothing of the net can be computed.
            SystemFaultError: anywidget is not installed.
        """
        from layerscope.viewer.notebook import widget

        return widget(self, images, labels=labels, height=height)

    def _repr_html_(self) -> str:
        from layerscope.show.notebook import net_html

        return net_html(self)

    def __repr__(self) -> str:
        weights = f", {plural(len(self.missing), 'layer')} without weights" if self.missing else ""
        return (
            f"<net {quoted(self.name)} ({self.format}): {plural(len(self.layers), 'layer')}, "
            f"{plural(len(self.blobs), 'blob')}{weights}>"
        )
