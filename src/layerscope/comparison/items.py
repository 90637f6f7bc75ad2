"""The blobs and params of a net as items to align."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from layerscope.comparison.alignment import Item
from layerscope.comparison.quantized import codes_of, decoded_weights, settings_of_codes
from layerscope.net import Blob, Layer, Net

# ONNX ops that one net has where another has their like; an op that is not here is its own family.
_FAMILIES: dict[str, tuple[str, ...]] = {
    "weighted": ("Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "QLinearMatMul",
                 "QGemm", "FusedConv", "FusedGemm"),
    "products": ("ConvInteger", "MatMulInteger"),  # in codes: a scale makes them numbers
    "scales": ("DynamicQuantizeLinear",),
    "affine": ("BatchNormalization", "InstanceNormalization", "Mul", "Div"),
    "sum": ("Add", "Sub", "Sum", "QLinearAdd"),
    "neuron": ("Relu", "LeakyRelu", "QLinearLeakyRelu", "PRelu", "Clip", "Elu", "Selu", "Sigmoid",
               "QLinearSigmoid", "Tanh", "HardSigmoid", "HardSwish", "Softplus", "Softsign", "Gelu",
               "ThresholdedRelu"),
    "pooling": ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool",
                "QLinearAveragePool", "QLinearGlobalAveragePool", "ReduceMean", "ReduceMax"),
    "softmax": ("Softmax", "LogSoftmax", "QLinearSoftmax"),
    "concat": ("Concat", "QLinearConcat"),
    "form": ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout",
             "Cast", "QuantizeLinear", "DequantizeLinear"),
}  # fmt: skip
_OF_SCALES = ("Mul", "Reshape", "Squeeze", "Unsqueeze", "Cast")
_SIGNED = ("weighted", "affine", "sum")
FAMILY_OF: dict[str, str] = {op: name for name, ops in _FAMILIES.items() for op in ops}


@dataclass(frozen=True, slots=True)
class Weights:
    """One param of a net: the item, its layer, and its numbers where it has any.

    `by_inputs` is true for a matrix that has a row for each input of its layer, as MatMul reads it;
    others have one for each output.
    """

    item: Item
    layer: Layer
    array: NDArray[Any] | None
    by_inputs: bool = False


def blob_items(net: Net) -> list[Item]:
    """Every blob, in the order of the net, with its shape for a batch of one."""
    values, again = _families_of_values(net), other_names(net)
    batch, norms, coding = _batch(net), _norms(net, values), coding_values(net)
    return [
        Item(
            name=blob.name,
            shape=_for_one(blob.shape, batch),
            family="again" if blob.name in again else _family(blob, net, values),
            names=(blob.layer, blob.base),
            norm=norms.get(blob.name, ""),
            coding=blob.value in coding,
        )
        for blob in net.blobs.values()
    ]


def param_items(net: Net) -> list[Weights]:
    """Every param that has numbers of its own; shared ones count where they are first.

    Codes of a quantized net are given as the numbers that they mean; their scales and zero points
    are in that, and no params here.
    """
    found, decoded, settings = [], decoded_weights(net), settings_of_codes(net)
    by_inputs = _by_inputs(net)
    for layer in net.layers:
        learned = [param for param in layer.params if param.name not in settings]
        for number, param in enumerate(learned):
            if not param.shared_with:
                names = (f"{layer.name}/{number}",)
                item = Item(param.name, param.shape, f"param {number}", names)
                array = decoded.get(param.name, param.array)
                found.append(Weights(item, layer, array, param.name in by_inputs))
    return found


def _by_inputs(net: Net) -> frozenset[str]:
    """The matrices that a product reads with a row for each input."""
    decoded = {
        node.output[0]: node.input[0]
        for node in net.graph.nodes
        if node.op_type == "DequantizeLinear"
    }
    found = set()
    for node in net.graph.nodes:
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        if FAMILY_OF.get(node.op_type) in ("weighted", "products") and not turned:
            at = 3 if node.op_type.startswith("Q") else 1
            if "Conv" not in node.op_type and at < len(node.input):
                found.add(decoded.get(node.input[at], node.input[at]))
    return frozenset(found)


def _families_of_values(net: Net) -> Mapping[str, str]:
    """For each value the family of the op that writes it; a bias that is added is its weights'."""
    families: dict[str, str] = {}
    fixed, codes = set(net.graph.tensors), codes_of(net)
    for node in net.graph.nodes:
        family = FAMILY_OF.get(node.op_type, node.op_type)
        moving = [name for name in node.input if name and name not in fixed]
        if node.input and not moving:
            fixed.update(node.output)
        if node.op_type in ("Add", "Sub") and len(moving) == 1:
            added = families.get(moving[0], "affine")
            family = added if added in ("weighted", "affine") else "affine"
        before = [families.get(name, "") for name in moving]
        if "products" in before:
            family = "weighted" if node.op_type == "Mul" else "products"
        elif node.op_type in _OF_SCALES and before and set(before) == {"scales"}:
            family = "scales"
        if node.op_type == "DequantizeLinear" and moving and families.get(moving[0]) == "neuron":
            family = "neuron"
        for name in node.output:
            # Codes that begin at zero hold the ReLU that the quantizer took out of the net.
            known = codes.get(name)
            clipped = known is not None and known.clips
            coding = node.op_type == "QuantizeLinear" and moving
            written = families.get(moving[0], "") if coding else family
            families[name] = "neuron" if clipped and written in _SIGNED else family
    return families


def coding_values(net: Net) -> frozenset[str]:
    """The values that a quantizer put in between: codes, their scales, sums of codes."""
    families = _families_of_values(net)
    found: set[str] = set()
    for node in net.graph.nodes:
        between = {families.get(name) for name in node.output} & {"products", "scales"}
        scaled = node.op_type == "Mul" and any(families.get(i) == "products" for i in node.input)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") or between or scaled:
            found.update(node.output)
    return frozenset(found)


def _norms(net: Net, families: Mapping[str, str]) -> dict[str, str]:
    """Blob to the blob that an op makes of it alone, by constants of each channel."""
    tensors, readers = net.graph.tensors, Counter(v for n in net.graph.nodes for v in n.input)
    after: dict[str, str] = {}
    for node in net.graph.nodes:
        moving = [name for name in node.input if name and name not in tensors]
        folds = families.get(node.output[0]) == "affine" and node.op_type != "InstanceNormalization"
        if folds and len(moving) == 1 and readers[moving[0]] == 1:
            after[moving[0]] = node.output[0]
    blobs = {blob.value: name for name, blob in net.blobs.items()}
    found: dict[str, str] = {}
    for name, blob in net.blobs.items():
        value = after.get(blob.value, "")
        while value and value not in blobs:
            value = after.get(value, "")
        if value and name not in net.outputs:
            found[name] = blobs[value]
    return found


def other_names(net: Net) -> frozenset[str]:
    """The blobs that are others under another name: passed on as they are, or still in codes."""
    first: dict[str, str] = {}
    for blob in net.blobs.values():
        first.setdefault(blob.value, blob.name)
    decoded = {
        node.input[0]
        for node in net.graph.nodes
        if node.op_type == "DequantizeLinear" and node.input
    }
    return frozenset(
        blob.name
        for blob in net.blobs.values()
        if first[blob.value] != blob.name
        or (blob.value in decoded and blob.value not in net.inputs)
    )


def _family(blob: Blob, net: Net, values: Mapping[str, str]) -> str:
    """What writes a blob."""
    return "input" if blob.name in net.inputs else values.get(blob.value, "form")


def _batch(net: Net) -> int:
    first = net.graph.shapes[net.inputs[0]] if net.inputs else ()
    return first[0] if first else 1


def _for_one(dims: tuple[int, ...], batch: int) -> tuple[int, ...]:
    if dims and batch and dims[0] % batch == 0:
        return (dims[0] // batch, *dims[1:])
    return dims
