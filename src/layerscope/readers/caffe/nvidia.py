"""BatchNorm as NVIDIA's Caffe stores it: scale and bias in the same layer, in two orders.

Version 0.15 wrote scale, bias, mean, variance and a counter; from 0.16 on it is mean, variance, a
factor, scale, bias.  The one blob with a single number tells them apart; where it is missing, the
variance does, as it is never negative.  Neither version divides by that number.  Sources:
NVIDIA/caffe issues 276 and 436, opencv/opencv pull request 10746.
"""

from __future__ import annotations

from math import prod

import numpy as np

from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape

Order = tuple[str, ...]
_NEW: Order = ("mean", "variance", "factor", "scale", "bias")
_OLD: Order = ("scale", "bias", "mean", "variance", "factor")
_MIN_EPS = 1e-5


def has_scale_and_bias(layer: LayerSpec) -> bool:
    """Whether this BatchNorm holds scale and bias too, by its definition or by its weights."""
    p = layer.param
    stated = p.scale_bias or p.has("scale_filler") or p.has("bias_filler")
    return stated or len(layer.stored) > 3


def scaled_batch_norm(g: GraphBuilder, layer: LayerSpec, x: str) -> str:
    """Normalize each channel by stored statistics, then scale it and add a bias."""
    dims = g.shape(x)
    if len(dims) < 2:
        raise layer.unsupported(f"batch normalization of a bottom {shape(dims)}")
    channels = dims[1]
    orders = _orders(layer, channels)
    values = [layer.weight((1,) if n == "factor" else (channels,), _filler(layer, n))
              for n in orders[0]]  # fmt: skip
    fitting = [order for order in orders if _has_variance(layer, order)]
    if len(fitting) != 1:
        raise layer.unsupported(
            f"{len(values)} blobs of NVIDIA's BatchNorm, but which of them is the variance (never"
            " negative) cannot be told"
        )
    eps = max(float(layer.param.eps), _MIN_EPS)
    layer.summary = f"stored statistics, eps {eps:g}, scale and bias (NVIDIA's form)"
    named = dict(zip(fitting[0], values, strict=True))
    stored = [named[name] for name in ("scale", "bias", "mean", "variance")]
    return g.op("BatchNormalization", x, *stored, epsilon=eps)


def _orders(layer: LayerSpec, channels: int) -> list[Order]:
    """What the blobs may be, by their number and sizes."""
    sizes = [prod(each) for each in layer.stored]
    if len(sizes) == 4:
        return [_NEW[:2] + _NEW[3:], _OLD[:4]]
    if len(sizes) not in (0, 3, 5):
        raise layer.unsupported(f"BatchNorm with {len(sizes)} blobs; 3, 4 and 5 are known")
    if len(sizes) == 5 and channels == 1:
        return [_NEW, _OLD]
    old = len(sizes) == 5 and sizes[_OLD.index("factor")] == 1
    return [_OLD if old else _NEW]


def _has_variance(layer: LayerSpec, order: Order) -> bool:
    variance = layer.array(order.index("variance"))
    return variance is None or not bool(np.any(variance < 0))


def _filler(layer: LayerSpec, name: str) -> Message:
    if name in ("scale", "bias") and layer.param.has(f"{name}_filler"):
        found: Message = getattr(layer.param, f"{name}_filler")
        return found
    return _constant(0.0 if name in ("mean", "bias") else 1.0)


def _constant(value: float) -> Message:
    filler = Message(message_type("FillerParameter"))
    filler.set("type", "constant")
    filler.set("value", value)
    return filler
