"""Scores against labels that are numbers of classes."""

from __future__ import annotations

from math import log, prod

import numpy as np

from layerscope.readers.caffe.layers.loss.labels import (
    MODES,
    check_batch,
    flat,
    masked,
    one_per_image,
    read_labels,
    scaled,
    total,
)
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import FLOAT, INT64, GraphBuilder
from layerscope.text import printable, shape

LOG_THRESHOLD = 1e-20  # Caffe's kLOG_THRESHOLD
_FLT_MIN = float(np.finfo(np.float32).tiny)


@layer(
    "Accuracy",
    v1="ACCURACY",
    bottoms=2,
    tops=(1, 2),
    param="accuracy_param",
    source="caffe/src/caffe/layers/accuracy_layer.cpp",
)
def accuracy(g: GraphBuilder, layer: LayerSpec, scores: str, label: str) -> tuple[str, ...]:
    """The share of labels that are among the `top_k` best classes; a second top, by class."""
    p = layer.param
    axis = layer.axis(p.axis, g.shape(scores))
    labels = read_labels(g, layer, scores, label, axis, p)
    if p.top_k > labels.classes:
        raise layer.error(f"top_k {p.top_k} of {labels.classes} classes", "top_k")
    layer.summary = f"among the {p.top_k} best" if p.top_k > 1 else "the best"
    # A class that scores the same counts as better, as in Caffe.
    better = g.op("GreaterOrEqual", scores, labels.pick(g, scores))
    over = g.constant(np.asarray([axis], np.int64), "classes")
    number = g.op("ReduceSum", g.op("Cast", better, to=INT64), over, keepdims=1)
    found = g.op("LessOrEqual", number, g.constant(np.asarray(p.top_k, np.int64), "top_k"))
    hits = masked(g, g.op("Cast", found, to=FLOAT), labels.valid)
    share = total(g, hits, "VALID", labels.valid, labels.inner)
    if layer.tops == 1:
        return (share,)
    numbers = np.arange(labels.classes).reshape([-1] + [1] * (len(g.shape(scores)) - axis - 1))
    mine = g.op("Equal", labels.index, g.constant(numbers, "numbers"))
    mask = masked(g, g.op("Cast", mine, to=FLOAT), labels.valid)
    others = g.constant([i for i in range(len(g.shape(scores))) if i != axis], "others")
    of_class = g.op("ReduceSum", mask, others, keepdims=0)
    hit = g.op("ReduceSum", g.op("Mul", mask, hits), others, keepdims=0)
    return share, g.op("Div", hit, g.op("Max", of_class, g.constant(1.0, "one")))


@layer(
    "SoftmaxWithLoss",
    v1="SOFTMAX_LOSS",
    bottoms=2,
    tops=(1, 2),
    param="softmax_param",
    source="caffe/src/caffe/layers/softmax_loss_layer.cpp",
)
def softmax_loss(g: GraphBuilder, layer: LayerSpec, scores: str, label: str) -> tuple[str, ...]:
    """The mean of -log of the probability of the right class; a second top, all probabilities."""
    check_batch(g, layer, (scores, label))
    axis = layer.axis(layer.param.axis, g.shape(scores))
    settings = layer.message.loss_param
    labels = read_labels(g, layer, scores, label, axis, settings)
    mode = settings.normalization
    if not settings.has("normalization") and settings.has("normalize"):
        mode = "VALID" if settings.normalize else "BATCH_SIZE"
    _check_mode(layer, mode)
    layer.summary = _words(mode, settings)
    picked = labels.pick(g, g.op("LogSoftmax", scores, axis=axis))
    losses = g.op("Neg", _at_least(g, picked, log(_FLT_MIN)))
    losses = masked(g, losses, labels.valid)
    loss = total(g, losses, mode, labels.valid, labels.inner)
    return (loss, g.op("Softmax", scores, axis=axis)) if layer.tops > 1 else (loss,)


@layer(
    "InfogainLoss",
    v1="INFOGAIN_LOSS",
    bottoms=(2, 3),
    tops=(1, 2),
    param="infogain_loss_param",
    source="caffe/src/caffe/layers/infogain_loss_layer.cpp",
)
def infogain_loss(
    g: GraphBuilder, layer: LayerSpec, scores: str, label: str, matrix: str = ""
) -> tuple[str, ...]:
    """SoftmaxWithLoss that weighs every class by a matrix H, the third bottom."""
    if not matrix:
        source = printable(layer.param.source, 60)
        raise layer.unsupported(
            f"its matrix H stands in a file ({source}), which is not opened; give H as a third"
            " bottom",
            "source",
        )
    check_batch(g, layer, (scores, label))
    dims = g.shape(scores)
    axis = layer.axis(layer.param.axis, dims)
    classes, settings = dims[axis], layer.message.loss_param
    if settings.has("normalize"):
        raise layer.error("normalize is not for InfogainLoss; use normalization")
    if prod(g.shape(matrix)) != classes**2:
        raise layer.error(
            f"{classes} classes need a matrix of {classes}x{classes}, the third bottom is"
            f" {shape(g.shape(matrix))}"
        )
    _check_mode(layer, settings.normalization)
    labels = read_labels(g, layer, scores, label, axis, settings)
    layer.summary = _words(settings.normalization, settings)
    logs = _at_least(g, g.op("LogSoftmax", scores, axis=axis), log(LOG_THRESHOLD))
    order = [i for i in range(len(dims)) if i != axis] + [axis]
    rows = g.op("Transpose", logs, perm=order) if order != sorted(order) else logs
    rows = g.reshape(rows, [-1, classes])
    index = g.reshape(labels.index, [-1])
    weights = g.op("Gather", g.reshape(matrix, [classes, classes]), index, axis=0)
    last = g.constant(np.asarray([1], np.int64), "classes")
    losses = g.op("Neg", g.op("ReduceSum", g.op("Mul", weights, rows), last, keepdims=0))
    valid = g.reshape(labels.valid, [-1]) if labels.valid else ""
    loss = total(g, masked(g, losses, valid), settings.normalization, valid, labels.inner)
    return (loss, g.op("Softmax", scores, axis=axis)) if layer.tops > 1 else (loss,)


@layer(
    "MultinomialLogisticLoss",
    v1="MULTINOMIAL_LOGISTIC_LOSS",
    bottoms=2,
    tops=1,
    source="caffe/src/caffe/layers/multinomial_logistic_loss_layer.cpp",
)
def multinomial_loss(g: GraphBuilder, layer: LayerSpec, probabilities: str, label: str) -> str:
    """The mean of -log of the right class's probability, where the bottom has probabilities."""
    check_batch(g, layer, (probabilities, label))
    one_per_image(g, layer, label)
    scores = flat(g, probabilities)
    labels = read_labels(g, layer, scores, label, 1, _no_ignore())
    layer.summary = f"{labels.classes} classes"
    picked = _at_least(g, labels.pick(g, scores), LOG_THRESHOLD)
    return g.op("Neg", g.op("ReduceMean", g.op("Log", picked), keepdims=0))


@layer(
    "HingeLoss",
    v1="HINGE_LOSS",
    bottoms=2,
    tops=1,
    param="hinge_loss_param",
    source="caffe/src/caffe/layers/hinge_loss_layer.cpp",
)
def hinge_loss(g: GraphBuilder, layer: LayerSpec, scores: str, label: str) -> str:
    """How far the right class is below 1 and the others are above -1 (L1, or its square: L2)."""
    norm = layer.param.norm
    if norm not in ("L1", "L2"):
        raise layer.error(f"norm: {norm} is not known; L1 and L2 are", "norm")
    check_batch(g, layer, (scores, label))
    one_per_image(g, layer, label)
    layer.summary = norm
    scores = flat(g, scores)
    labels = read_labels(g, layer, scores, label, 1, _no_ignore())
    right = g.op("Neg", labels.pick(g, scores))
    signed = g.op("ScatterElements", scores, labels.index, right, axis=1)
    short = g.op("Relu", g.op("Add", signed, g.constant(1.0, "margin")))
    short = g.op("Mul", short, short) if norm == "L2" else short
    return scaled(g, g.op("ReduceMean", short, keepdims=0), labels.classes)


def _at_least(g: GraphBuilder, value: str, least: float) -> str:
    """The value, but not below `least`; Caffe's backward goes on as if nothing had been cut."""
    return g.remark(g.op("Max", value, g.constant(least, "least")), "gradient: passes")


def _check_mode(layer: LayerSpec, mode: str) -> None:
    if mode not in MODES:
        raise layer.error(f"normalization: {mode} is not known; {', '.join(MODES)} are")


def _words(mode: str, settings: Message) -> str:
    """A summary of the normalization."""
    words = f"normalization {mode.lower().replace('_', ' ')}"
    return words + (
        f", without label {settings.ignore_label}" if settings.has("ignore_label") else ""
    )


def _no_ignore() -> Message:
    return Message(message_type("LossParameter"))
