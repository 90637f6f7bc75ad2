"""Functions of one value that small nets and YOLO use."""

from __future__ import annotations

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import quoted

_MOBILE = "MobileNetV3 (Howard et al. 2019)"
_SPELLINGS = ("hard_sigmoid_param", "hardsigmoid_param", "hardsigmoid_parm")


@layer(
    "ReLU6",
    bottoms=1,
    tops=1,
    param="relu6_param",
    source="Convolutional deep belief networks on CIFAR-10 (Krizhevsky 2010)",
)
def relu6(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Cut to the range 0 to 6."""
    return g.op("Clip", x, g.constant(0.0, "least"), g.constant(6.0, "most"))


@layer("Mish", bottoms=1, tops=1, param="mish_param", source="Mish (Misra 2019)")
def mish(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Multiply by tanh(log(1 + exp(x))): negative values fade out softly."""
    return g.op("Mul", x, g.op("Tanh", g.op("Softplus", x)))


@layer("HSigmoid", bottoms=1, tops=1, param="hard_sigmoid_param", source=_MOBILE)
@layer("HardSigmoid", bottoms=1, tops=1, param="hard_sigmoid_param", source=_MOBILE)
def hard_sigmoid(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Cut alpha * x + beta to the range 0 to 1; alpha is 1/6 and beta 0.5 unless given.

    Forks disagree: that is MobileNetV3's relu6(x + 3) / 6, others have a slope of 0.2.
    """
    p: Message = layer.param
    for name in _SPELLINGS:
        if layer.message.has(name):
            p = getattr(layer.message, name)
    if p.has("alpha"):
        layer.summary = f"{p.alpha:g} x + {p.beta:g}, cut to 0 to 1"
        return g.op("HardSigmoid", x, alpha=float(p.alpha), beta=float(p.beta))
    layer.summary = f"x / 6 + {p.beta:g}, cut to 0 to 1"
    layer.notes.append(
        f"layer {quoted(layer.name)}: forks define {layer.type} with slope 1/6 or 0.2; 1/6 is used"
        " (say hard_sigmoid_param { alpha: 0.2 } for the other)"
    )
    return g.op("HardSigmoid", x, alpha=1 / 6, beta=float(p.beta))


@layer("HSwish", bottoms=1, tops=1, param="hard_swish_param", source=_MOBILE)
@layer("HardSwish", bottoms=1, tops=1, param="hard_swish_param", source=_MOBILE)
def hard_swish(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Multiply by relu6(x + 3) / 6."""
    return g.op("HardSwish", x)
