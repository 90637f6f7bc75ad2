"""`caffe.Net`: a net whose blobs and params are arrays that scripts read and write.

Behaviour: `python/caffe/pycaffe.py`, `python/caffe/_caffe.cpp` and `src/caffe/net.cpp`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import UnknownNameError
from layerscope.pycaffe import mode, storage
from layerscope.pycaffe.blob import Array, Blob
from layerscope.pycaffe.definition import open_file, read
from layerscope.pycaffe.errors import CaffeError, CaffeValueError
from layerscope.pycaffe.outline import Layer, Outline
from layerscope.pycaffe.params import Params
from layerscope.pycaffe.program import Program
from layerscope.pycaffe.propagation import flows
from layerscope.pycaffe.reverse import Reverse
from layerscope.pycaffe.sources import Sources, constant
from layerscope.readers.caffe.build import NetBuilder
from layerscope.readers.caffe.fillers import filled
from layerscope.readers.caffe.layers.data import MissingShapeError
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.weights import Weights
from layerscope.text import nearest_hint, printable, quoted, shape

KEPT_PROGRAMS = 4  # parts and shapes of one net that can run without building them again

Path = str | PathLike[str]
Arrays = dict[str, Array]


class Net(Outline):
    """A net, as pycaffe's.

        Net("deploy.prototxt", "weights.caffemodel", caffe.TEST)
        Net("deploy.prototxt", caffe.TEST, weights="weights.caffemodel", level=0, stages=["deploy"])

    Params without weights are filled as the definition says, as Caffe does.

    Raises:
        CaffeError: a file is not there (also a RuntimeError, as in pycaffe).
        ReadError: a file is damaged, or the weights do not fit.
        UnsupportedError: the net holds a layer that is not known.
    """

    def __init__(
        self,
        network_file: Path,
        *given: Any,
        phase: int | None = None,
        level: int = 0,
        stages: Sequence[str] | None = None,
        weights: Path | None = None,
    ) -> None:
        rest = list(given)
        if rest and isinstance(rest[0], (str, PathLike)):  # the older order of arguments
            weights = rest.pop(0)
        named = dict(zip(("phase", "level", "stages", "weights"), rest, strict=False))
        phase, level = named.get("phase", phase), named.get("level", level)
        stages, weights = named.get("stages", stages), named.get("weights", weights)
        if phase is None or len(rest) > 4:
            raise CaffeValueError(
                'say caffe.TEST or caffe.TRAIN: Net("net.prototxt", caffe.TEST,'
                ' weights="net.caffemodel")'
            )
        self._definition = read(network_file, phase, int(level), list(stages or ()))
        file = None if weights is None else open_file(weights)
        binary = file is not None and file.kind != "hdf5"
        self._build(storage.trained(file) if file and binary else None)
        if file is not None and not binary:
            storage.load_hdf5(self._params, file)

    def _build(self, trained: Weights | None) -> None:
        """Shapes of all blobs, and params with trained or filled numbers."""
        builder = NetBuilder(self._definition.layers, trained, fill=_as_caffe)
        try:
            builder.build()
        except MissingShapeError as error:
            raise CaffeError(
                f"{error.fault}, and the data is not read here; put an Input layer with the shape"
                " of a batch in its place"
            ) from None
        shapes: dict[str, tuple[int, ...]] = {}
        messages = iter(self._definition.layers)
        for layer in builder.layers:
            message = next(each for each in messages if each.name == layer.name)
            for top, key in zip(message.top, layer.tops, strict=False):
                shapes.setdefault(top, builder.blobs[key].shape)
        self._params = Params(builder.layers)
        for message in self._definition.layers:
            # Caffe begins with statistics of zero; the builder with such as keep values alive.
            if message.type == "BatchNorm" and (trained is None or message.name not in trained):
                for blob in self._params.layers.get(message.name, ()):
                    blob.memory.write(np.zeros(blob.count, np.float32))
        names = self._definition.blob_names
        self._blobs = OrderedDict((name, Blob(shapes.get(name, (0,)))) for name in names)
        self._sources = Sources(self._definition.layers, self._blobs)
        for name, weight in self.blob_loss_weights.items():
            if weight:  # a loss begins with its weight as its gradient (layer.hpp)
                self._blobs[name].put_diff(np.full(self._blobs[name].shape, weight, np.float32))
        self._programs: list[tuple[int, int, Program]] = []
        self._reverses: list[tuple[int, int, Reverse]] = []
        self._layers = [
            Layer(each.type, self._params.layers.get(each.name, []))
            for each in self._definition.layers
        ]

    # --- running ---

    def forward(
        self,
        blobs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: NDArray[Any],
    ) -> Arrays:
        """Run the layers from `start` to `end`, both included, on what the blobs hold now.

        Args:
            blobs: blobs to return beside the outputs (or beside the tops of `end`).
            start: the first layer to run; the net's first when left out.
            end: the last layer to run; the net's last when left out.
            kwargs: input name to array, in the input's shape.

        Returns:
            Name to array; the arrays are the blobs' own, and the next run writes into them.

        Raises:
            CaffeValueError: a layer is not known, or the inputs do not fit.
            UnknownNameError: a blob is not known.
        """
        first = 0 if start is None else self._definition.index(start)
        last = len(self._layers) - 1 if end is None else self._definition.index(end)
        wanted = [*(self.outputs if end is None else self.top_names[end]), *(blobs or ())]
        self._check_blobs(wanted)
        if kwargs:
            self._feed(kwargs)
        self._forward(first, last)
        return {name: self._blobs[name].data for name in dict.fromkeys(wanted)}

    def _check_blobs(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self._blobs]
        if unknown:
            hint = nearest_hint(str(unknown[0]), self._blobs)
            raise UnknownNameError(
                f"blob {quoted(unknown[0])} is not in net {quoted(self.name)}{hint}"
            )

    def _feed(self, arrays: dict[str, NDArray[Any]]) -> None:
        if set(arrays) != set(self.inputs):
            raise CaffeValueError(
                f"arrays for {', '.join(map(printable, arrays))}; the net's inputs are"
                f" {', '.join(map(printable, self.inputs)) or 'none'}, and each needs one"
            )
        for name, array in arrays.items():
            blob = self._blobs[name]
            if np.ndim(array) == 0 or len(array) != blob.shape[0]:
                raise CaffeValueError(
                    f"input {quoted(name)}: {shape(np.shape(array))} for a blob of"
                    f" {shape(blob.shape)}; for another batch, reshape the blob first"
                )
            blob.data[...] = array

    def _forward(self, start: int, end: int) -> float:
        """Run the layers at the positions `start` to `end`; gives the loss."""
        if end < start:
            return 0.0
        self._sources.bring(start, end)
        program = self._program(start, end)
        feeds = {name: self._blobs[name].numbers() for name in program.fed}
        for name, array in program.run(feeds).items():
            self._blobs[name].put(array)
        weights = self.blob_loss_weights
        return sum(
            weights[top] * float(self._blobs[top].numbers().sum())
            for each in self._definition.layers[start : end + 1]
            for top in each.top
            if weights[top]
        )

    def _program(self, first: int, last: int) -> Program:
        """What runs these layers for the present shapes and params; the last ones are kept."""
        self._forget_if_changed()
        shapes = {name: tuple(blob.shape) for name, blob in self._blobs.items()}
        for i, (*part, program) in enumerate(self._programs):
            if part == [first, last] and program.fits(shapes):
                self._programs.append(self._programs.pop(i))
                return program
        program = Program(self._definition, first, last, shapes, self._params.weights(self.name))
        self._programs = [*self._programs[1 - KEPT_PROGRAMS :], (first, last, program)]
        return program

    def _forget_if_changed(self) -> None:
        if self._params.changed():
            self._programs.clear()
            self._reverses.clear()

    def reshape(self) -> None:
        """Give every blob the shape that follows from the shapes of the inputs.

        Raises:
            ReadError: a layer cannot work at that size.
        """
        program = self._program(0, len(self._layers) - 1)
        shapes = {name: tuple(blob.shape) for name, blob in self._blobs.items()}
        if any(shapes[name] != dims for name, dims in program.fed.items()):
            weights = self._params.weights(self.name)
            program = Program(self._definition, 0, len(self._layers) - 1, shapes, weights)
        for name, dims in program.shapes.items():
            self._blobs[name].fit(dims)

    def forward_all(self, blobs: Sequence[str] | None = None, **kwargs: Any) -> Arrays:
        """Run any number of images through the net, a batch at a time.

        Args:
            blobs: blobs to return beside the outputs.
            kwargs: input name to array; all of one length, which need not be the batch size.

        Returns:
            Name to array, one entry for each that was given.
        """
        found: dict[str, list[Array]] = {n: [] for n in [*self.outputs, *(blobs or ())]}
        for batch in self._batch(kwargs):
            for name, array in self.forward(blobs=blobs, **batch).items():
                found[name].extend(array.copy())
        arrays = {name: np.asarray(each) for name, each in found.items()}
        padding = len(next(iter(arrays.values()))) - len(next(iter(kwargs.values())))
        return {name: a[:-padding] if padding else a for name, a in arrays.items()}

    def _batch(self, blobs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Batches of the net's size; the last one is filled up with zeros."""
        if not blobs:
            raise CaffeValueError("forward_all takes an array for each input of the net")
        number = len(next(iter(blobs.values())))
        size = next(iter(self._blobs.values())).shape[0]
        for at in range(0, number, size):
            batch = {name: np.asarray(each[at : at + size]) for name, each in blobs.items()}
            missing = size - min(size, number - at)
            if missing:
                for name, each in batch.items():
                    zeros = np.zeros((missing, *each.shape[1:]), each.dtype)
                    batch[name] = np.concatenate([each, zeros])
            yield batch

    def set_input_arrays(self, data: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        """Give a MemoryData layer its data, (N, C, H, W) and (N,), both float32.

        Raises:
            CaffeError: the first layer is no MemoryData, or an array does not fit.
        """
        self._sources.set_arrays(data, labels)

    # --- gradients ---

    def backward(
        self,
        diffs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: NDArray[Any],
    ) -> Arrays:
        """Run the layers from `start` back to `end`, both included, on data and diffs as they are.

        The diffs of blobs are overwritten, those of params added to.  As in Caffe, gradients go
        only where something is learned under a loss, unless the definition says
        `force_backward: true`.

        Args:
            diffs: blobs whose diffs to return beside the inputs' (or beside the bottoms' of `end`).
            start: the layer to begin with, the last one when left out; the diffs of its tops are
                read.
            end: the layer to stop at; the first one when left out.
            kwargs: output name to diff, one for each output of the net.

        Returns:
            Name to diff; the arrays are the blobs' own, and the next run writes into them.

        Raises:
            CaffeValueError: a layer is not known, or the diffs do not fit.
            UnknownNameError: a blob is not known.
            UnsupportedError: a layer has no gradient.
        """
        last = len(self._layers) - 1 if start is None else self._definition.index(start)
        first = 0 if end is None else self._definition.index(end)
        wanted = [*(self.inputs if end is None else self.bottom_names[end]), *(diffs or ())]
        self._check_blobs(wanted)
        if kwargs:
            self._seed(kwargs)
        self._backward(last, first)
        return {name: self._blobs[name].diff for name in dict.fromkeys(wanted)}

    def _seed(self, arrays: dict[str, NDArray[Any]]) -> None:
        if set(arrays) != set(self.outputs):
            raise CaffeValueError(
                f"diffs for {', '.join(map(printable, arrays))}; the net's outputs are"
                f" {', '.join(map(printable, self.outputs)) or 'none'}, and each needs one"
            )
        for name, array in arrays.items():
            blob = self._blobs[name]
            if np.ndim(array) != len(blob.shape) or (blob.shape and len(array) != blob.shape[0]):
                raise CaffeValueError(
                    f"diff of {quoted(name)}: {shape(np.shape(array))} for a blob of"
                    f" {shape(blob.shape)}"
                )
            blob.diff[...] = array

    def _backward(self, start: int, end: int) -> None:
        """Run the layers at the positions `start` down to `end` backward."""
        if start < end:
            return
        reverse = self._reverse(end, start)
        data = {name: blob.numbers() for name, blob in self._blobs.items()}
        seeds = {name: self._blobs[name].gradient for name in reverse.seeded}
        blobs, params = reverse.run(data, seeds)
        for name, array in blobs.items():
            self._blobs[name].put_diff(array)
        for (layer, index), array in params.items():
            blob = self._params.layers[layer][index]
            blob.put_diff(blob.gradient + array.reshape(blob.shape))

    def _reverse(self, first: int, last: int) -> Reverse:
        """What runs these layers backward for the present shapes and params."""
        self._forget_if_changed()
        shapes = {name: tuple(blob.shape) for name, blob in self._blobs.items()}
        for *part, reverse in self._reverses:
            if part == [first, last] and all(shapes[n] == d for n, d in reverse.fed.items()):
                return reverse
        weights = self._params.weights(self.name)
        program = Program(self._definition, first, last, shapes, weights)
        counts = {name: len(blobs) for name, blobs in self._params.layers.items()}
        reverse = Reverse(
            program,
            self._definition.layers[first : last + 1],
            flows(self._definition, counts)[first : last + 1],
        )
        self._reverses = [*self._reverses[1 - KEPT_PROGRAMS :], (first, last, reverse)]
        return reverse

    def forward_backward_all(
        self,
        blobs: Sequence[str] | None = None,
        diffs: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> tuple[Arrays, Arrays]:
        """Run any number of images forward and backward, a batch at a time.

        Args:
            blobs: blobs to return beside the outputs.
            diffs: blobs whose diffs to return beside the inputs'.
            kwargs: input name to array, and output name to diff; all of one length.

        Returns:
            Name to array, and name to diff, one entry for each that was given.
        """
        arrays: dict[str, list[Array]] = {n: [] for n in [*self.outputs, *(blobs or ())]}
        slopes: dict[str, list[Array]] = {n: [] for n in [*self.inputs, *(diffs or ())]}
        tops = {n: kwargs[n] for n in self.outputs if n in kwargs}
        forth = self._batch({n: kwargs[n] for n in self.inputs if n in kwargs})
        for fed, put in zip_longest(forth, self._batch(tops) if tops else (), fillvalue=None):
            for name, array in self.forward(blobs=blobs, **(fed or {})).items():
                arrays[name].extend(array.copy())
            for name, array in self.backward(diffs=diffs, **(put or {})).items():
                slopes[name].extend(array.copy())
        number = len(next(iter(kwargs.values())))
        return (
            {name: np.asarray(each[:number]) for name, each in arrays.items()},
            {name: np.asarray(each[:number]) for name, each in slopes.items()},
        )

    def clear_param_diffs(self) -> None:
        """Set the gradients of all params to zero."""
        for blobs in self._params.layers.values():
            for blob in blobs:
                blob.clear_diff()

    # --- weights ---

    def copy_from(self, filename: Path) -> None:
        """Take the weights of a caffemodel (or `.caffemodel.h5`) for layers of the same names.

        Raises:
            CaffeError: there is no such file, or a layer's params are of another number or size.
            ReadError: the file is damaged.
        """
        storage.copy_from(self._params, open_file(filename))

    def share_with(self, other: Net) -> None:
        """Use the other net's arrays for the params of layers of the same names.

        Raises:
            CaffeError: a shape differs.
        """
        self._params.share(other._params)

    def save(self, filename: Path) -> None:
        """Write definition and weights as a caffemodel.

        Raises:
            SystemFaultError: the system refused; an existing file is untouched.
        """
        storage.save(self._definition, self._params, filename)

    def save_hdf5(self, filename: Path, write_diff: bool = False) -> None:
        """Write the weights as HDF5; needs h5py (`pip install "layerscope[hdf5]"`).

        Raises:
            SystemFaultError: h5py is not installed.
        """
        storage.save_hdf5(self._definition, self._params, filename, write_diff)

    def load_hdf5(self, filename: Path) -> None:
        """Take the weights of an HDF5 file; needs h5py (`pip install "layerscope[hdf5]"`).

        Raises:
            SystemFaultError: h5py is not installed.
            CaffeError: there is no such file, or a layer's params are of another number or size.
        """
        storage.load_hdf5(self._params, open_file(filename))


def _as_caffe(filler: Message | None, dims: tuple[int, ...], seed: str) -> Array:
    """What Caffe puts into a param without weights: zeros where no filler is stated."""
    return filled(filler or constant(), dims, f"{mode.next_seed()}/{seed}")
