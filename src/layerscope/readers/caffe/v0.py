"""Caffe's first definitions (V0, `layers { layer { type: "conv" ... } }`) become V1 ones.

A V0 layer has all settings of all types in one message, and padding as a layer of its own.
Rules: `caffe/src/caffe/util/upgrade_proto.cpp` (UpgradeV0PaddingLayers, UpgradeV0LayerParameter).
"""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.errors import ReadError
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.schema import message_type
from layerscope.text import nearest_hint, quoted

# V0 type: V1 type, and the message that its settings go to.
TYPES: dict[str, tuple[str, str]] = {
    "accuracy": ("ACCURACY", ""),
    "bnll": ("BNLL", ""),
    "concat": ("CONCAT", "concat_param"),
    "conv": ("CONVOLUTION", "convolution_param"),
    "data": ("DATA", "data_param"),
    "dropout": ("DROPOUT", "dropout_param"),
    "euclidean_loss": ("EUCLIDEAN_LOSS", ""),
    "flatten": ("FLATTEN", ""),
    "hdf5_data": ("HDF5_DATA", "hdf5_data_param"),
    "hdf5_output": ("HDF5_OUTPUT", "hdf5_output_param"),
    "im2col": ("IM2COL", "convolution_param"),
    "images": ("IMAGE_DATA", "image_data_param"),
    "infogain_loss": ("INFOGAIN_LOSS", "infogain_loss_param"),
    "innerproduct": ("INNER_PRODUCT", "inner_product_param"),
    "lrn": ("LRN", "lrn_param"),
    "multinomial_logistic_loss": ("MULTINOMIAL_LOGISTIC_LOSS", ""),
    "pool": ("POOLING", "pooling_param"),
    "relu": ("RELU", ""),
    "sigmoid": ("SIGMOID", ""),
    "softmax": ("SOFTMAX", ""),
    "softmax_loss": ("SOFTMAX_LOSS", ""),
    "split": ("SPLIT", ""),
    "tanh": ("TANH", ""),
    "window_data": ("WINDOW_DATA", "window_data_param"),
}
# V0 names that have another name in the message they go to.
_RENAMED = {
    "biasterm": "bias_term",
    "kernelsize": "kernel_size",
    "batchsize": "batch_size",
    "shuffle_images": "shuffle",
    "det_fg_threshold": "fg_threshold",
    "det_bg_threshold": "bg_threshold",
    "det_fg_fraction": "fg_fraction",
    "det_context_pad": "context_pad",
    "det_crop_mode": "crop_mode",
}
_TRANSFORM = {
    "scale": "scale",
    "meanfile": "mean_file",
    "cropsize": "crop_size",
    "mirror": "mirror",
}
_KEPT = ("blobs", "blobs_lr", "weight_decay", "hdf5_output_param")


def from_v0(layers: Sequence[Message]) -> list[Message]:
    """V1 layers for V0 ones; padding layers go into the layers behind them.

    Raises:
        ReadError: a type is unknown, or a padding layer feeds what cannot pad.
    """
    return [_upgraded(layer) for layer in _without_padding(layers)]


def _without_padding(layers: Sequence[Message]) -> list[Message]:
    """Merge each padding layer into the one convolution or pooling that reads it."""
    writers: dict[str, Message] = {}
    kept = []
    for layer in layers:
        inner = layer.layer
        if inner.type == "padding":
            if len(layer.bottom) != 1 or len(layer.top) != 1:
                raise ReadError(f"{layer.place()}: a padding layer needs one bottom and one top")
        else:
            kept.append(_padded(layer, writers))
        writers.update(dict.fromkeys(layer.top, layer))
    return kept


def _padded(layer: Message, writers: dict[str, Message]) -> Message:
    inner = layer.layer
    bottoms = list(layer.bottom)
    found = [writers[b] for b in bottoms if b in writers and writers[b].layer.type == "padding"]
    if not found:
        return layer
    if inner.type not in ("conv", "pool") or len(bottoms) != 1:
        raise ReadError(
            f"{layer.place()}: layer {quoted(inner.name)} of type {quoted(inner.type)} reads a"
            " padding layer; only a convolution or pooling with one bottom may"
        )
    copy, settings = layer.copy(), inner.copy()
    settings.set("pad", found[0].layer.pad)
    copy.set("layer", settings)
    copy.set("bottom", list(found[0].bottom))
    return copy


def _upgraded(layer: Message) -> Message:
    inner = layer.layer
    if inner.type not in TYPES:
        hint = nearest_hint(inner.type, TYPES)
        raise ReadError(
            f"{inner.place('type')}: layer {quoted(inner.name)} has the V0 type"
            f" {quoted(inner.type)}, which Caffe never had{hint}"
        )
    name, param = TYPES[inner.type]
    new = Message(message_type("V1LayerParameter"), layer.origin, layer.start)
    for field, value in layer.given():
        if field.name != "layer":
            new.set(field.name, value)
    new.set("name", inner.name)
    new.set("type", name)
    for each in _KEPT:
        if inner.has(each):
            new.set(each, getattr(inner, each))
    _settings(new, inner, param)
    return new


def _settings(new: Message, inner: Message, param: str) -> None:
    """Move the settings to the message of the type; Caffe drops those that do not belong to it."""
    kind = new.kind.fields
    settings = Message(kind[param].message, inner.origin, inner.start) if param else None
    transform = Message(message_type("TransformationParameter"), inner.origin, inner.start)
    for field, value in inner.given():
        target = _RENAMED.get(field.name, field.name)
        if field.name in _TRANSFORM:
            transform.set(_TRANSFORM[field.name], value)
        elif settings is not None and target in settings.kind.fields and target != "name":
            repeated = settings.kind.fields[target].repeated
            settings.set(target, [value] if repeated else value)
    if settings is not None and not new.has(param):
        new.set(param, settings)
    if any(True for _ in transform.given()):
        new.set("transform_param", transform)
