"""A net's graph in PyTorch, step by step, for its gradient; it knows the ops of these nets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import layerscope as ls
from benchmarks.nets import Floats

Step = Callable[[dict[str, Any]], Any]


def both_ways(net: ls.Net, array: Floats, blob: str, unit: int) -> Callable[[], Floats]:
    """Work that gives the gradient of a unit of a blob, of every image, by the input.

    Args:
        net: with weights; one input.
        array: what is fed, (N, C, H, W).
        blob: its key in `net.blobs`; only what it is computed by is run.
        unit: its place along the channels.
    """
    params = {n: _tensor(a) for n, a in net.graph.tensors.items() if a is not None}
    steps = [(node.output[0], _step(node, params)) for node in net.graph.nodes]
    steps = steps[: 1 + [name for name, _ in steps].index(net.blobs[blob].value)]
    data, last = net.inputs[0], net.blobs[blob].value

    def run() -> Floats:
        x = torch.from_numpy(array).requires_grad_()
        values: dict[str, Any] = {data: x}
        for name, step in steps:
            values[name] = step(values)
        values[last][:, unit].sum().backward()
        return np.asarray(x.grad)

    return run


def _tensor(array: Any) -> Any:
    return torch.from_numpy(np.array(array))  # a copy: what comes from a file is read-only


def _step(node: Any, params: Mapping[str, Any]) -> Step:
    """A function of the values so far; params are looked up once, and get no gradient."""
    import onnx

    settings = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type not in _STEPS:
        raise AssertionError(f"{node.op_type} is not among the ops that the comparison knows")
    apply = _STEPS[node.op_type]

    def run(values: dict[str, Any]) -> Any:
        return apply(settings, *(params[n] if n in params else values[n] for n in node.input if n))

    return run


def _conv(s: Mapping[str, Any], x: Any, filters: Any, bias: Any = None) -> Any:
    above, left, below, right = s.get("pads", (0, 0, 0, 0))
    if (above, left) != (below, right):
        raise AssertionError("only convolutions with the same pads on both sides are known")
    return F.conv2d(x, filters, bias, tuple(s.get("strides", (1, 1))), (above, left),
                    groups=s.get("group", 1))  # fmt: skip


def _max_pool(s: Mapping[str, Any], x: Any) -> Any:
    """Its windows may reach behind the last place, by ceil_mode or by larger pads there."""
    above, left, below, right = s.get("pads", (0, 0, 0, 0))
    if (above, left) != (below, right):
        x = F.pad(x, (left, right, above, below), value=-torch.inf)
        above = left = 0
    return F.max_pool2d(x, tuple(s["kernel_shape"]), tuple(s["strides"]), (above, left),
                        ceil_mode=bool(s.get("ceil_mode", 0)))  # fmt: skip


def _average_pool(s: Mapping[str, Any], x: Any) -> Any:
    if any(s.get("pads", ())):
        raise AssertionError("only average pooling without pads is known")
    return F.avg_pool2d(x, tuple(s["kernel_shape"]), tuple(s["strides"]))


def _lrn(s: Mapping[str, Any], x: Any) -> Any:
    return F.local_response_norm(x, s["size"], s["alpha"], s["beta"], s.get("bias", 1.0))


def _gemm(s: Mapping[str, Any], a: Any, b: Any, c: Any) -> Any:
    return F.linear(a, b if s.get("transB", 0) else b.T, c)


_STEPS: dict[str, Callable[..., Any]] = {
    "Conv": _conv,
    "Relu": lambda s, x: F.relu(x),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "LRN": _lrn,
    "Gemm": _gemm,
    "Softmax": lambda s, x: F.softmax(x, s.get("axis", -1)),
    "Concat": lambda s, *parts: torch.cat(parts, s["axis"]),
    "Flatten": lambda s, x: torch.flatten(x, s.get("axis", 1)),
    "Reshape": lambda s, x, dims: x.reshape([int(d) for d in dims]),
    "Identity": lambda s, x: x,
    "Dropout": lambda s, x: x,
}
