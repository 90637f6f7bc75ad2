"""A net seen from its image: levels 0 to 1 in, the number of a unit and its gradient out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from layerscope.dreams.target import Target
from layerscope.engine.gradient.run import Program
from layerscope.engine.gradient.tape import FLOATS
from layerscope.engine.onnxruntime import fed_and_fitting, run
from layerscope.errors import ReadError, UnsupportedError, UsageError
from layerscope.inputs import linear, settled
from layerscope.net import Net, values_read
from layerscope.text import plural, printable, quoted, times

Floats = NDArray[Any]
_MEMORY = 256_000_000  # bytes of blobs, forward and backward, of one batch
MOST_IMAGES = 8  # more at a time are hardly faster, and more is lost when it is stopped


def image_input(net: Net) -> str:
    """The one input of a net that is an image.

    Raises:
        UsageError: the net needs several inputs, or its input is none.
    """
    needed = [name for name in net.inputs if name not in net.optional]
    if len(needed) != 1:
        names = ", ".join(printable(name, 40) for name in needed[:4]) or "none"
        raise UsageError(
            f"dreaming draws one image; net {quoted(net.name)} needs"
            f" {plural(len(needed), 'input')} ({names})"
        )
    name = needed[0]
    dims = net.graph.shapes[name]
    channels = dims[3 if net.preprocessing.layout == "NHWC" else 1] if len(dims) == 4 else 0
    if channels not in (1, 3):
        raise UsageError(
            f"input {quoted(name)} takes {times(dims)}, which is no image: dreaming needs"
            " N x C x H x W with 1 or 3 channels"
        )
    if net.graph.types.get(name, TensorProto.FLOAT) not in FLOATS:
        raise UnsupportedError(
            f"input {quoted(name)} takes whole numbers, so the image cannot be changed"
            " little by little"
        )
    return name


def sized(net: Net, side: int | None) -> Net:
    """The net for square images of another side; as it is for None.

    Raises:
        ReadError: a layer cannot work at that size.
        UsageError: a side below 1.
    """
    if side is None:
        return net
    if not 1 <= side <= 8192:
        raise UsageError(f"size {side} is not possible; possible: 1 to 8192 pixels")
    name = image_input(net)
    dims = net.graph.shapes[name]
    last = net.preprocessing.layout == "NHWC"
    new = (dims[0], side, side, dims[3]) if last else (*dims[:2], side, side)
    if new == dims:
        return net
    fitting = net.reshaped(**{name: new})
    for key, blob in fitting.blobs.items():
        if min(blob.shape, default=1) < 1:  # ONNX's inference counts on, below nothing
            raise ReadError(
                f"size {side} is too small: layer {quoted(blob.layer)} has"
                f" {times(blob.shape)} left for blob {quoted(key)}"
            )
    return fitting


def batch_of(net: Net) -> int:
    """How many images at a time are quick, by what the blobs of one take."""
    first = max(net.graph.shapes[image_input(net)][0], 1)
    one = 4 * sum(prod(dims) for name, dims in net.graph.shapes.items()
                  if name not in net.graph.tensors) / first  # fmt: skip
    return int(np.clip(_MEMORY // (2 * max(one, 1)), 1, MOST_IMAGES))


class Objective:
    """The net of some targets, which are channels or places of one blob, one for each image.

    Args:
        net: any net with one image as its input.
        targets: of one blob, as many as images.
        negative: whether the numbers are to go down.

    Attributes:
        size: (H, W) of an image.
        channels: 3 for red, green, blue; 1 for gray.
        net_name: of the net.
        asleep: which units had no gradient when it was last looked at.
        early: climb in front of the rectifier, where every place of a channel has a gradient; so no
            part of the image is left as it began because nothing answered there at first.

    Raises:
        UsageError: weights are missing, or the input is no image.
        UnsupportedError: an op on the way has no gradient.
        LimitError: the blobs would not fit into memory.
    """

    def __init__(self, net: Net, targets: Sequence[Target], *, negative: bool = False) -> None:
        self.targets, self._sign = targets, -1 if negative else 1
        self._input, self._net = image_input(net), net
        dims = net.graph.shapes[self._input]
        self._last = net.preprocessing.layout == "NHWC"
        height, width, self.channels = (dims[i] for i in ((1, 2, 3) if self._last else (2, 3, 1)))
        self.size = (height, width)
        how = settled(net.preprocessing, (self.channels, height, width), self._input)
        self._mean, self._factor = linear(how, (self.channels, height, width), self._input)
        self._turned = how.channels == "BGR"
        first = targets[0]
        self._climbed, self._behind, self._blob = first.climbed, first.behind, first.blob
        self._fitting, self._program = self._made(net, len(targets), dims)
        self._fed = self._fitting.graph.shapes[self._input][0]
        self.net_name, self.early = net.name, False
        self.turn_to(targets)

    def turn_to(self, targets: Sequence[Target]) -> None:
        """Take other channels or places of the same blob, as many as before."""
        self.targets = targets
        self.asleep = [False] * len(targets)
        self._still = [0.0] * len(targets)

    def _made(self, net: Net, images: int, dims: tuple[int, ...]) -> tuple[Net, Program]:
        """The program for that many images; for the file's own batch where it has to be that."""
        blob = self.targets[0].blob
        last: ReadError | None = None
        for batch in dict.fromkeys((images, dims[0])):
            if batch < images:
                break
            given = {self._input: np.zeros((batch, *dims[1:]), np.float32)}
            try:
                _, fitting = fed_and_fitting(net, given, [blob], allow_missing=False)
            except ReadError as error:
                last = error
                continue
            values = [self._climbed, self._behind] if self._behind else [self._climbed]
            also = [self._climbed, fitting.blobs[blob].value]
            # Threads that spin between two runs would take the processor from the image's own work.
            return fitting, Program(fitting, values, [self._input], also=also, spins=False)
        raise last or ReadError(f"net {quoted(net.name)} takes {dims[0]} images at a time")

    def value_and_gradient(self, images: Floats) -> tuple[Floats, Floats, Floats]:
        """The climbed numbers, those of the asked blob, and the gradients by the images.

        Args:
            images: (N, C, H, W) float32, levels 0 to 1, red first.

        Raises:
            UnsupportedError: something is not a number (NaN); names the layer.
        """
        feeds, seeds = {self._input: self.prepared(images)}, self._seeds()
        found = self._program.run(feeds, seeds)
        count = len(self.targets)
        if self._input not in found:
            raise UsageError(
                f"the gradient of blob {quoted(self._blob)} with respect to the image is zero"
                " everywhere: something on the way gives indices or steps; take a blob before it"
            )
        gradient = found[self._input]
        climbed = self._numbers(found[self._climbed])
        asked = self._numbers(found[self._fitting.blobs[self._blob].value])
        if not (np.isfinite(climbed).all() and np.isfinite(gradient[:count]).all()):
            raise self._not_a_number(feeds, seeds)
        back = self._back(gradient[:count])
        self._look(climbed, back)
        return climbed, asked, back

    def net_alone(self, prepared: Floats) -> None:
        """Run the net and its gradient and nothing else: what a step costs at least."""
        self._program.run({self._input: prepared}, self._seeds())

    def prepared(self, images: Floats) -> Floats:
        """Images as the net wants them; those that only fill the batch are 0."""
        blob = images * np.float32(255)
        if self._turned:
            blob = blob[:, ::-1]
        blob = (blob - self._mean) * self._factor
        if self._last:
            blob = blob.transpose(0, 2, 3, 1)
        whole = np.zeros((self._fed, *blob.shape[1:]), np.float32)
        whole[: len(blob)] = blob
        return whole

    def _back(self, gradient: Floats) -> Floats:
        """What `prepared` does, transposed."""
        if self._last:
            gradient = gradient.transpose(0, 3, 1, 2)
        gradient = gradient * (self._factor * np.float32(255))
        return gradient[:, ::-1] if self._turned else gradient

    def _seeds(self) -> dict[str, Floats]:
        """Ones on places, parts of one on channels; behind the rectifier while it gives nothing."""
        values = dict.fromkeys(value for value in (self._climbed, self._behind) if value)
        seeds = {v: np.zeros(self._fitting.graph.shapes[v], np.float32) for v in values}
        for image, target in enumerate(self.targets):
            deeper = self._behind and (self.early or self.asleep[image])
            value = self._behind if deeper else self._climbed
            place = seeds[value][(image, *target.index)]
            seeds[value][(image, *target.index)] = self._sign / max(np.size(place), 1)
        return seeds

    def _numbers(self, blob: Floats) -> Floats:
        """The number of each image: the mean of its channel, or the one at its place."""
        return np.array(
            [blob[(i, *t.index)].mean(dtype=np.float64) for i, t in enumerate(self.targets)]
        )

    def _look(self, values: Floats, gradients: Floats) -> None:
        """Whether each unit has a gradient; one without is woken from in front of its rectifier."""
        for image, gradient in enumerate(gradients):
            if self.asleep[image]:
                self.asleep[image] = bool(values[image] == self._still[image])
            elif not gradient.any():
                self.asleep[image], self._still[image] = True, float(values[image])

    def _not_a_number(self, feeds: dict[str, Floats], seeds: dict[str, Floats]) -> UnsupportedError:
        """The error that names the layer: forward the first, or walking back."""
        blobs = run(self._fitting, feeds, partly=True)
        bad = [name for name in blobs if not np.isfinite(blobs[name]).all()]
        layer = self._fitting.blobs[bad[0]].layer if bad else self._program.nan_at(feeds, seeds)
        way = "gives" if bad else "gives back"
        return UnsupportedError(
            f"dreaming of {printable(self._blob)}: layer {quoted(layer)} {way} what is not a"
            " finite number (NaN), and nothing can be climbed from there"
        )


def fingerprint(net: Net, target: Target) -> str:
    """A mark of all that a target is computed by: nodes, weights, size of the image."""
    found = hashlib.sha256()
    needed = {net.blobs[target.blob].value}
    for node in reversed(net.graph.nodes):
        if not needed.isdisjoint(node.output):
            needed.update(values_read(node))
            found.update(node.SerializeToString(deterministic=True))
    for name in sorted(needed & net.graph.tensors.keys()):
        array = net.graph.tensors[name]
        found.update(f"{name} {None if array is None else array.shape}".encode())
        if array is not None:
            found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    name = image_input(net)
    found.update(f"{net.graph.shapes[name][1:]} {net.preprocessing}".encode())
    if isinstance(net.preprocessing.mean, np.ndarray):
        found.update(net.preprocessing.mean.tobytes())
    return found.hexdigest()[:32]
