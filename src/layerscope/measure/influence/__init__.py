"""What each ONNX op reads: from a box of its output back to boxes of its inputs.

A rule is made once for a node and then called with a box.  It gives (number of the input, box,
exact): `exact` is false where the op is not known here and the box is all that it could read.  With
`clip` false, windows reach over the edges of their input, as if there were more behind them; that
gives the receptive field as it is defined, the same for every unit.

Rules follow the ONNX operator reference, opset 18.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx

from layerscope.measure.boxes import whole
from layerscope.measure.influence import axes, quantized, rearrangement, windows
from layerscope.measure.influence.step import RULES, Rule, Step, pointwise
from layerscope.net import Graph

__all__ = ["Rule", "rule_of"]

_FAMILIES = (
    axes,
    quantized,
    rearrangement,
    windows,
)  # their rules are in the register once they are imported

NO_PATH = {"Shape", "Size", "Constant", "ConstantOfShape"}
POINTWISE = set(
    """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Cast CastLike Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Expand Floor Gelu Greater
    GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max
    Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin
    Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor
    BiasGelu FastGelu QuickGelu QLinearAdd QLinearLeakyRelu QLinearMul QLinearSigmoid
    """.split()
)

# Where one input depends on the net's inputs, these too.
SAME_PLACE = POINTWISE | {"BatchNormalization", "DequantizeLinear", "QuantizeLinear"}


def rule_of(node: onnx.NodeProto, graph: Graph, alive: Collection[str]) -> Rule:
    """The rule of a node; `alive` are the values that depend on an input of the net.

    An op without a rule reads all of its inputs, as an upper bound.
    """
    step = Step(node, graph, alive)
    if step.kind in NO_PATH:
        return lambda box, clip, output=0: ()
    made = pointwise(step) if step.kind in POINTWISE else None
    if step.kind in RULES:
        made = RULES[step.kind](step)
    return made or _anything(step)


def _anything(step: Step) -> Rule:
    found = [(i, whole(step.dims[i]), False) for i in step.alive]
    return lambda box, clip, output=0: found
