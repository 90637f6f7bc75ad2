"""Where gradients go: which layers run backward, and to which of their bottoms and params.

Rules: `caffe/src/caffe/net.cpp` (Init), `AllowForceBackward` of the layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.pycaffe.definition import Definition
from layerscope.readers.caffe.message import Message

# The bottom that is a label or a mark, which force_backward leaves out.
_NEVER = {
    "SoftmaxWithLoss": 1,
    "MultinomialLogisticLoss": 1,
    "InfogainLoss": 1,
    "HingeLoss": 1,
    "SigmoidCrossEntropyLoss": 1,
    "ContrastiveLoss": 2,
    "RNN": 1,
    "LSTM": 1,
}
_STEPS = {"Accuracy", "ArgMax", "Threshold"}  # Caffe ends the process here; nothing goes through
_NO_PARAMS = {"BatchNorm"}  # its params are statistics, with a rate of 0 whatever is stated


@dataclass(slots=True)
class Flow:
    """Where the gradient goes in one layer.

    Attributes:
        runs: whether it runs backward at all.
        bottoms: for each bottom whether it gets a gradient.
        learns: whether params without settings of their own get one.
        rates: for each param that states a rate whether it gets one.
    """

    runs: bool
    bottoms: list[bool]
    learns: bool
    rates: list[bool]

    def param(self, index: int) -> bool:
        """Whether that param gets a gradient."""
        return self.runs and (self.rates[index] if index < len(self.rates) else self.learns)


def flows(definition: Definition, params: dict[str, int]) -> list[Flow]:
    """The flow in every layer.

    Args:
        definition: the net.
        params: layer name to how many params it has.
    """
    needs: dict[str, bool] = {}  # blob -> whether what it is now needs a gradient
    found = [_forward(each, needs, params.get(each.name, 0)) for each in definition.layers]
    _under_losses(definition, found)
    if definition.force_backward:
        for layer, flow in zip(definition.layers, found, strict=True):
            never = _NEVER.get(layer.type, -1)
            flow.bottoms = [b or i != never for i, b in enumerate(flow.bottoms)]
            flow.runs = True
            if layer.type not in _NO_PARAMS:
                flow.learns, flow.rates = True, [True] * len(flow.rates)
    for layer, flow in zip(definition.layers, found, strict=True):
        if layer.type in _STEPS:
            flow.bottoms = [False] * len(flow.bottoms)
    return found


def _forward(layer: Message, needs: dict[str, bool], params: int) -> Flow:
    """What is learned before a layer or in it makes it need a gradient."""
    bottoms = [needs.get(name, False) for name in layer.bottom]
    learns = layer.type not in _NO_PARAMS
    rates = [learns and spec.lr_mult != 0 for spec in layer.param]
    flow = Flow(True, list(bottoms), learns, rates)
    flow.runs = any(bottoms) or any(flow.param(i) for i in range(params))
    needs.update(dict.fromkeys(layer.top, flow.runs))
    for i, stated in enumerate(layer.propagate_down):
        if i < len(bottoms):
            flow.bottoms[i] = bool(stated)
    return flow


def _under_losses(definition: Definition, found: list[Flow]) -> None:
    """Switch off what no loss depends on, and what nothing above hands a gradient to."""
    weights = definition.loss_weights
    under: dict[str, bool] = {}  # blob -> whether a loss is computed from it
    skipped: dict[str, bool] = {}  # blob -> whether all that read it give no gradient
    for layer, flow in zip(reversed(definition.layers), reversed(found), strict=True):
        loss = any(weights[top] or under.get(top, False) for top in layer.top)
        if layer.top and all(skipped.get(top, False) for top in layer.top):
            flow.runs, flow.bottoms = False, [False] * len(flow.bottoms)
        if not loss:
            flow.runs, flow.bottoms = False, [False] * len(flow.bottoms)
        for top in layer.top:
            under.pop(top, None)
            skipped.pop(top, None)
        for name, down in zip(layer.bottom, flow.bottoms, strict=True):
            under[name] = under.get(name, False) or loss
            skipped[name] = skipped.get(name, True) and not down
