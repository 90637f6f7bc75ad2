"""What losses share: labels as indices, labels that do not count, and what a sum is divided by.

Sums are divided without asking how large the batch is, so that a net works at any batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import FLOAT, INT64, GraphBuilder
from layerscope.text import plural, shape

MODES = ("FULL", "VALID", "BATCH_SIZE", "NONE")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a blob of scores.

    Attributes:
        axis: the axis of the classes.
        classes: how many there are.
        inner: how many labels one image has.
        index: the labels as whole numbers, in the shape of the scores with 1 class.
        valid: whether each label counts, or is ignore_label; "" when all count.
    """

    axis: int
    classes: int
    inner: int
    index: str
    valid: str

    def pick(self, g: GraphBuilder, scores: str) -> str:
        """The score of each label's class."""
        return g.op("GatherElements", scores, self.index, axis=self.axis)


def read_labels(
    g: GraphBuilder, layer: LayerSpec, scores: str, label: str, axis: int, ignore: Message
) -> Labels:
    """Labels for scores whose classes stand on `axis`.

    Args:
        g: the graph.
        layer: for messages.
        scores: (outer ..., classes, inner ...).
        label: as many numbers as outer times inner, in any shape.
        axis: of the classes.
        ignore: the settings that may have an ignore_label.

    Raises:
        ReadError: their number does not fit.
    """
    dims, given = g.shape(scores), g.shape(label)
    wanted = (*dims[:axis], 1, *dims[axis + 1 :])
    if prod(given) != prod(wanted):
        raise layer.error(
            f"{plural(prod(wanted), 'label')} must go with scores {shape(dims)} and classes on axis"
            f" {axis}; the labels are {shape(given)}"
        )
    free = axis > 0 and given[:1] == dims[:1]
    if not free:
        g.free_batch = False  # the batch is not the first axis of both
    whole = g.op("Cast", label, to=INT64)
    if given != wanted:
        whole = g.reshape(whole, [0, *wanted[1:]] if free else wanted)
    # ONNX counts -1 from the end; that label shall be refused like any other outside the classes.
    zero = g.constant(np.asarray(0, np.int64), "zero")
    outside = g.constant(np.asarray(dims[axis], np.int64), "outside")
    index = g.op("Where", g.op("Less", whole, zero), outside, whole)
    valid = counted(g, whole, ignore)
    if valid:
        index = g.op("Where", valid, index, zero)
    return Labels(axis, dims[axis], prod(dims[axis + 1 :]), index, valid)


def counted(g: GraphBuilder, whole: str, settings: Message) -> str:
    """Whether each label counts, or is ignore_label; "" when none is ignored."""
    if not settings.has("ignore_label"):
        return ""
    ignored = g.constant(np.asarray(settings.ignore_label, np.int64), "ignore_label")
    return g.op("Not", g.op("Equal", whole, ignored))


def check_batch(g: GraphBuilder, layer: LayerSpec, bottoms: Sequence[str]) -> None:
    """Every loss asks for as many labels as images (loss_layer.cpp).

    Raises:
        ReadError: they differ.
    """
    first, second = (g.shape(bottom) for bottom in bottoms[:2])
    if not first or not second or first[0] != second[0]:
        raise layer.error(
            f"its bottoms are {shape(first)} and {shape(second)}; the first number must be alike"
        )


def one_per_image(g: GraphBuilder, layer: LayerSpec, label: str) -> None:
    """Refuse labels with more than one number for each image."""
    if prod(g.shape(label)[1:]) != 1:
        raise layer.error(f"takes one label for each image, they are {shape(g.shape(label))}")


def flat(g: GraphBuilder, value: str) -> str:
    """(N, ...) as (N, all the rest)."""
    return value if len(g.shape(value)) == 2 else g.op("Flatten", value, axis=1)


def total(g: GraphBuilder, losses: str, mode: str, valid: str, inner: int) -> str:
    """The losses added up and divided as a normalization mode says; a blob of shape ().

    Args:
        g: the graph.
        losses: (N, ...), 0 where a label does not count.
        mode: FULL divides by their number, VALID by how many count, BATCH_SIZE by the number of
            images, NONE by 1.
        valid: whether each label counts, or "" when all do.
        inner: how many losses an image has.
    """
    if mode == "NONE":
        return g.op("ReduceSum", losses, keepdims=0)
    if mode == "VALID" and valid:
        one = g.constant(1.0, "one")
        number = g.op("Max", g.op("ReduceSum", g.op("Cast", valid, to=FLOAT), keepdims=0), one)
        return g.op("Div", g.op("ReduceSum", losses, keepdims=0), number)
    mean = g.op("ReduceMean", losses, keepdims=0)
    return mean if mode != "BATCH_SIZE" else scaled(g, mean, inner)


def scaled(g: GraphBuilder, value: str, factor: float) -> str:
    """A value multiplied by a number."""
    return g.op("Mul", value, g.constant(float(factor), "factor")) if factor != 1 else value


def masked(g: GraphBuilder, values: str, valid: str) -> str:
    """Values with 0 where a label does not count."""
    if not valid:
        return values
    return g.op("Where", valid, values, g.constant(0.0, "nothing"))
