"""What is known of each op besides how to run it: its family, its settings in words, its params."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from onnx import NodeProto, defs

from layerscope.readers.onnx.attributes import attribute
from layerscope.readers.onnx.draft import OWN_DOMAINS
from layerscope.readers.onnx.shapes import element_name
from layerscope.text import count, plural, printable, times

# Caffe's layer families, which give the colours of the diagram.
_FAMILIES = {
    "vision": "Conv ConvTranspose ConvInteger QLinearConv DeformConv MaxPool AveragePool LpPool"
    " GlobalMaxPool GlobalAveragePool GlobalLpPool MaxUnpool MaxRoiPool RoiAlign Resize Upsample"
    " GridSample DepthToSpace SpaceToDepth Col2Im CenterCropPad AffineGrid FusedConv NhwcConv"
    " QLinearAveragePool QLinearGlobalAveragePool NhwcMaxPool NonMaxSuppression",
    "common": "Gemm MatMul MatMulInteger QLinearMatMul Dropout Einsum FusedGemm FusedMatMul QGemm"
    " Attention MultiHeadAttention MatMulNBits DynamicQuantizeMatMul MatMulIntegerToFloat Gather",
    "normalization": "BatchNormalization InstanceNormalization LayerNormalization"
    " GroupNormalization LRN LpNormalization MeanVarianceNormalization RMSNormalization"
    " SimplifiedLayerNormalization SkipLayerNormalization GroupNorm",
    "neuron": "Relu LeakyRelu PRelu Elu Selu Celu ThresholdedRelu Sigmoid HardSigmoid HardSwish"
    " Swish Mish Tanh Softplus Softsign Gelu FastGelu QuickGelu BiasGelu Clip Abs Exp Log Sqrt Neg"
    " Reciprocal Pow Sign Floor Ceil Round Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh"
    " Atanh Not IsNaN IsInf Shrink QLinearSigmoid QLinearLeakyRelu",
    "recurrent": "LSTM GRU RNN Loop Scan If SequenceMap DynamicQuantizeLSTM",
    "data": "Input Constant ConstantOfShape Range RandomNormal RandomUniform RandomNormalLike"
    " RandomUniformLike EyeLike Multinomial Bernoulli Shape Size",
    "loss": "SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss",
}
_FAMILY = {kind: family for family, kinds in _FAMILIES.items() for kind in kinds.split()}

# Inputs that say how, and are not weighed with: positions for each op; the rest may be params.
_SETTINGS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,), "Slice": (1, 2, 3, 4), "Pad": (1, 2, 3), "Clip": (1, 2),
    "Resize": (1, 2, 3), "Upsample": (1,), "Squeeze": (1,), "Unsqueeze": (1,), "Split": (1,),
    "Expand": (1,), "Tile": (1,), "TopK": (1,), "OneHot": (1, 2), "Dropout": (1, 2),
    "Gather": (1,), "GatherND": (1,), "GatherElements": (1,), "ScatterND": (1,),
    "ScatterElements": (1,), "ConstantOfShape": (0,), "Range": (0, 1, 2), "CumSum": (1,),
    "RoiAlign": (2,), "NonMaxSuppression": (2, 3, 4), "CenterCropPad": (1,), "Trilu": (1,),
    "Compress": (1,), "Where": (0,), "Loop": (0, 1), "MaxUnpool": (2,), "GridSample": (1,),
    "AffineGrid": (1,), "Col2Im": (1, 2), "Shape": (0,), "SplitToSequence": (1,),
    "CastLike": (1,),
}  # fmt: skip
_REDUCE = "Reduce"
# Ops whose weights are the fourth input, behind the scale and zero point of the first.
QUANTIZED = frozenset({"QLinearConv", "QLinearMatMul", "QGemm"})
# Ops that compute with two arrays: one number of theirs is a setting, more are weights.
_ARITHMETIC = frozenset(
    "Add Sub Mul Div Pow Max Min Sum Mean Mod And Or Xor Equal Greater Less GreaterOrEqual"
    " LessOrEqual Where Concat CastLike".split()
)
_TYPES = ("to", "dtype", "output_dtype")  # attributes that name an element type
_SIGNS = {"Add": "plus", "Sub": "minus", "Mul": "times", "Div": "divided by", "Pow": "to the power"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a summary may use: the arrays and shapes beside a node."""

    tensors: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    def numbers(self, node: NodeProto, index: int, most: int = 8) -> list[Any]:
        """The numbers of a small constant input; none where there is no such."""
        array = self.tensors.get(node.input[index]) if index < len(node.input) else None
        if array is None or array.size > most or array.dtype.kind not in "fiub":
            return []
        return [each.item() for each in array.ravel()]

    def dims(self, node: NodeProto, index: int) -> tuple[int, ...]:
        """The shape of an input; () where it is not known."""
        return self.shapes.get(node.input[index], ()) if index < len(node.input) else ()


def family(kind: str) -> str:
    """The layer family of an op."""
    return _FAMILY.get(kind, "utility")


def param_inputs(node: NodeProto, facts: Facts) -> list[str]:
    """The inputs of a node that may be learned, by what the op does with them."""
    if node.op_type.startswith(_REDUCE):
        return []
    settings = _SETTINGS.get(node.op_type, ())
    if node.op_type in QUANTIZED:  # the weights first, then the scales and zero points
        order = (*range(3, len(node.input)), *range(3))
        return list(dict.fromkeys(node.input[i] for i in order if node.input[i:]))
    names = [name for i, name in enumerate(node.input) if name and i not in settings]
    if node.op_type in _ARITHMETIC:
        names = [n for n in names if facts.tensors.get(n) is None or facts.tensors[n].size > 1]
    return list(dict.fromkeys(names))


@cache
def _known_to_the_runtime() -> frozenset[tuple[str, str]]:
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    return frozenset((each.domain, each.name) for each in get_all_operator_schema())


_STILL_RUN = ("GroupNormalization",)  # deprecated in its first form, which the runtime has


def is_known(kind: str, domain: str, opset: int) -> bool:
    """Whether an op of that name exists."""
    if domain in OWN_DOMAINS:
        if not defs.has(kind, opset):
            return False
        return kind in _STILL_RUN or not defs.get_schema(kind, opset).deprecated
    return (domain, kind) in _known_to_the_runtime()


def known_ops(domain: str, opset: int) -> list[str]:
    """The names of all ops of a domain."""
    if domain in OWN_DOMAINS:
        return sorted({s.name for s in defs.get_all_schemas() if s.domain == ""})
    return sorted(kind for other, kind in _known_to_the_runtime() if other == domain)


# --- settings in words ---


def summary(node: NodeProto, facts: Facts) -> str:
    """What a node does, in one line with its settings; nothing where those make no sense."""
    try:
        return _summary(node, facts)
    except (TypeError, ValueError, IndexError):  # of an op whose attributes are not checked
        return ""


def _summary(node: NodeProto, facts: Facts) -> str:
    kind = node.op_type
    if kind in ("Conv", "ConvTranspose", "FusedConv", "QLinearConv", "ConvInteger"):
        return _convolution(node, facts)
    if kind in ("MaxPool", "AveragePool", "LpPool"):
        verb = {"MaxPool": "largest", "AveragePool": "mean"}.get(kind, "norm")
        return ", ".join(
            [f"{verb} of {times(attribute(node, 'kernel_shape', []))}", *_window(node)]
        )
    if kind in (
        "Gemm",
        "MatMul",
        "QLinearMatMul",
        "MatMulInteger",
        "QGemm",
        "FusedMatMul",
        "FusedGemm",
    ):
        return _product(node, facts)
    if kind in _SIGNS and len(node.input) == 2:
        return _arithmetic(node, facts)
    words = [_SETTING_WORDS[kind](node, facts)] if kind in _SETTING_WORDS else []
    return ", ".join(each for each in (*words, *_attributes(node)) if each)


def _convolution(node: NodeProto, facts: Facts) -> str:
    index = 3 if node.op_type in QUANTIZED else 1
    dims = facts.dims(node, index)
    group = int(attribute(node, "group", 1))
    parts = []
    if len(dims) > 2:
        filters = dims[1] * group if node.op_type == "ConvTranspose" else dims[0]
        parts.append(f"{filters} filters {times(dims[2:])}")
    parts += _window(node)
    if group > 1:
        parts.append(f"{group} groups")
    activation = attribute(node, "activation")
    return ", ".join([*parts, *([printable(activation, 40)] if activation else [])])


def _window(node: NodeProto) -> list[str]:
    """Stride, padding and dilation, where they are not the usual."""
    parts = []
    for name, word in (("strides", "stride"), ("dilations", "dilation")):
        values = attribute(node, name, [])
        if any(v != 1 for v in values):
            parts.append(f"{word} {times(values)}")
    pads = attribute(node, "pads", [])
    if any(pads):
        half = len(pads) // 2
        begin, end = pads[:half], pads[half:]
        parts.append(f"pad {times(begin)}" + ("" if begin == end else f" and {times(end)}"))
    automatic = attribute(node, "auto_pad", "NOTSET")
    if automatic not in ("NOTSET", "VALID"):
        parts.append(f"pad {printable(automatic, 20).lower().replace('_', ' ')}")
    if attribute(node, "ceil_mode", 0):
        parts.append("rounded up")
    return parts


def _product(node: NodeProto, facts: Facts) -> str:
    second = facts.dims(node, 3 if node.op_type in QUANTIZED else 1)
    if len(second) != 2:
        return ""
    rows, columns = reversed(second) if attribute(node, "transB", 0) else second
    return f"{plural(columns, 'output')} from {count(rows)} inputs"


def _arithmetic(node: NodeProto, facts: Facts) -> str:
    for index in (1, 0):
        numbers = facts.numbers(node, index, most=1)
        if numbers and index:
            return f"{_SIGNS[node.op_type]} {numbers[0]:g}"
        if numbers:
            return f"{numbers[0]:g} {_SIGNS[node.op_type]} it"
    return ""


def _listed(word: str, index: int) -> Any:
    def words(node: NodeProto, facts: Facts) -> str:
        numbers = facts.numbers(node, index)
        return f"{word} {', '.join(f'{n:g}' for n in numbers)}" if numbers else ""

    return words


def _clip(node: NodeProto, facts: Facts) -> str:
    low, high = facts.numbers(node, 1, most=1), facts.numbers(node, 2, most=1)
    parts = [f"from {low[0]:g}"] if low else []
    return " ".join([*parts, *([f"to {high[0]:g}"] if high else [])])


_SETTING_WORDS: dict[str, Any] = {
    "Clip": _clip,
    "Reshape": _listed("to", 1),
    "Squeeze": _listed("axes", 1),
    "Unsqueeze": _listed("axes", 1),
    "Pad": _listed("pad", 1),
    "Resize": lambda node, facts: _listed("by", 2)(node, facts) or _listed("to", 3)(node, facts),
    "Split": _listed("parts of", 1),
    "Expand": _listed("to", 1),
    "Tile": _listed("times", 1),
    "Gather": _listed("index", 1),
    **{f"Reduce{name}": _listed("axes", 1) for name in (
        "Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")},
}  # fmt: skip


def _attributes(node: NodeProto) -> list[str]:
    """The other settings as they stand in the file, the first few."""
    parts = []
    for each in node.attribute:
        if each.name == "stash_type":
            continue  # in which type a norm adds up: nothing to see
        if each.HasField("g") or each.graphs:
            inner = len(each.g.node) or sum(len(g.node) for g in each.graphs)
            parts.append(f"{printable(each.name, 30)} of {plural(inner, 'node')}")
        elif not (each.HasField("t") or each.tensors or each.HasField("sparse_tensor")):
            value = attribute(node, each.name)
            words = element_name(value) if each.name in _TYPES else _value(value)
            parts.append(f"{printable(each.name, 30)} {words}")
    return parts[:6]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return times(value[:8]) if value and isinstance(value[0], int) else printable(value, 40)
    return f"{value:g}" if isinstance(value, float) else printable(value, 40)
