"""Older definitions become current ones: V0 and V1 layers, and inputs written beside the layers.

Rules: `caffe/src/caffe/util/upgrade_proto.cpp` (UpgradeV1Net, UpgradeNetInput,
UpgradeNetDataTransformation).
"""

from __future__ import annotations

from layerscope.errors import ReadError
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer_types, v1_names
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.v0 import from_v0
from layerscope.text import plural

_TRANSFORMED = ("scale", "mean_file", "crop_size", "mirror")


def upgrade(net: Message) -> None:
    """Bring a NetParameter to the current form, in place.

    Raises:
        ReadError: it mixes old and current layers, or its inputs are incomplete.
    """
    old, new = list(net.layers), list(net.layer)
    if old and new:
        raise ReadError(
            f"{old[0].place()}: the net has both 'layer' and 'layers' entries"
            f" ({len(new)} and {len(old)}); Caffe refuses such a mix: use 'layer' for all"
        )
    first = [each for each in old if each.has("layer")]
    if first and len(first) != len(old):
        raise ReadError(
            f"{first[0].place()}: V0 layers (with an inner 'layer') and V1 layers stand side by"
            f" side ({len(first)} and {len(old) - len(first)}); use one form for all"
        )
    if old:
        new = [_from_v1(each) for each in (from_v0(old) if first else old)]
        net.drop("layers")
    for each in new:
        each.set("type", current_type(each.type))
        _transform(each)
    net.set("layer", [*_inputs(net), *new])


def current_type(name: str) -> str:
    """The type string for a name that may be one of the older enum names."""
    return name if name in layer_types() else v1_names().get(name, name)


def _from_v1(old: Message) -> Message:
    """One V1 layer as a current one; fields of the same name are the same messages."""
    kind = message_type("LayerParameter")
    new = Message(kind, old.origin, old.start)
    for field, value in old.given():
        same = kind.find(field.name)
        if same is not None and field.name != "param":
            new.put(same, value, old.offset_of(field.name))
    new.unknown = old.unknown
    if isinstance(old.blobs, list):
        new.set("blobs", old.blobs)
    specs = []
    spec_kind = message_type("ParamSpec")
    for i in range(max(len(old.param), len(old.blobs_lr), len(old.weight_decay))):
        spec = Message(spec_kind, old.origin, old.start)
        if i < len(old.param):
            spec.set("name", old.param[i])
        if i < len(old.blob_share_mode):
            spec.set("share_mode", old.blob_share_mode[i])
        if i < len(old.blobs_lr):
            spec.set("lr_mult", old.blobs_lr[i])
        if i < len(old.weight_decay):
            spec.set("decay_mult", old.weight_decay[i])
        specs.append(spec)
    new.set("param", specs)
    return new


def _transform(layer: Message) -> None:
    """Scale, mean and crop stood in the data layers once; now they are in transform_param."""
    for name in ("data_param", "image_data_param", "window_data_param"):
        if not layer.has(name):
            continue
        settings = getattr(layer, name)
        given = [each for each in _TRANSFORMED if settings.has(each)]
        if given and not layer.has("transform_param"):
            layer.set("transform_param", Message(message_type("TransformationParameter")))
        for each in given:
            layer.transform_param.set(each, getattr(settings, each))


def _inputs(net: Message) -> list[Message]:
    """Inputs written as `input:` with `input_shape` or `input_dim` become one Input layer."""
    names, shapes, dims = list(net.input), list(net.input_shape), list(net.input_dim)
    if not names:
        if dims or shapes:
            raise ReadError(
                f"{net.place('input_dim' if dims else 'input_shape')}:"
                ' the shape of an input without its name; add input: "data"'
            )
        return []
    kind = message_type("BlobShape")
    if shapes:
        if len(shapes) not in (1, len(names)):
            raise ReadError(
                f"{net.place('input_shape')}: {plural(len(names), 'input')} but"
                f" {plural(len(shapes), 'input_shape')}"
            )
    elif len(dims) == 4 * len(names):
        for i in range(len(names)):
            each = Message(kind, net.origin, net.start)
            each.set("dim", dims[4 * i : 4 * i + 4])
            shapes.append(each)
    else:
        raise ReadError(
            f"{net.place('input_dim')}: input_dim has {plural(len(dims), 'value')}; it takes 4 for"
            f" each of {plural(len(names), 'input')}"
        )
    layer = Message(message_type("LayerParameter"), net.origin, net.start)
    layer.set("name", "input")
    layer.set("type", "Input")
    layer.set("top", names)
    param = Message(message_type("InputParameter"), net.origin, net.start)
    param.set("shape", shapes)
    layer.set("input_param", param)
    return [layer]
