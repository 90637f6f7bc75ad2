"""The classes that a net finds most likely, and their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from layerscope.errors import ReadError
from layerscope.media import read_bytes
from layerscope.net import Net
from layerscope.text import decoded, plural, printable

MAX_LABELS = 1_000_000
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
MAX_LABELS_FILE = 64_000_000


@dataclass(frozen=True, slots=True)
class Guess:
    """One class: its number, its probability, and its name where labels were given."""

    index: int
    value: float
    label: str


def top(values: NDArray[Any], labels: list[str] | None = None, count: int = 5) -> list[Guess]:
    """The `count` largest of a vector, largest first; equal ones in their own order."""
    flat = np.nan_to_num(np.asarray(values, np.float64).ravel(), nan=-np.inf)
    order = np.argsort(-flat, kind="stable")[:count]
    names = labels or []
    return [
        Guess(int(i), float(values.ravel()[i]), names[i] if i < len(names) else "") for i in order
    ]


def probability_blob(net: Net) -> str | None:
    """The net's last softmax over a vector for each image, if it has one."""
    found = [
        top_name
        for layer in net.layers
        if layer.nodes and net.graph.nodes[layer.nodes[-1]].op_type == "Softmax"
        for top_name in layer.tops
        if _over_classes(net.graph.nodes[layer.nodes[-1]], net.blobs[top_name].shape)
    ]
    return found[-1] if found else None


def _over_classes(node: NodeProto, dims: tuple[int, ...]) -> bool:
    """Whether a softmax goes over axis 1, and each image has one vector."""
    axis = next((a.i for a in node.attribute if a.name == "axis"), -1)
    return len(dims) > 1 and axis % len(dims) == 1 and all(d == 1 for d in dims[2:])


# What may stand between the last weights of a net and its output without changing what it means.
_SCORE_OPS = frozenset("Gemm MatMul Add Conv LogSoftmax Sigmoid Flatten Reshape Squeeze".split())

_ROUNDING = ("QuantizeLinear", "DequantizeLinear")


def score_blob(net: Net) -> str | None:
    """The net's only output if it is one number for each class, but no probabilities.

    Without a softmax, as many nets are exported, the largest number still tells the class.
    """
    if probability_blob(net) is not None or len(net.outputs) != 1:
        return None
    (name,) = net.outputs
    writer = next((each for each in net.layers if name in each.tops), None)
    dims = net.blobs[name].shape
    if writer is None or not writer.nodes or len(dims) < 2 or dims[1] < 2:
        return None
    scores = _before_rounding(net, writer.nodes[-1]) in _SCORE_OPS
    floats = net.graph.types.get(net.blobs[name].value) in _FLOATS
    return name if scores and floats and np.prod(dims[2:], dtype=np.int64) == 1 else None


def _before_rounding(net: Net, place: int) -> str:
    """The op that gives what a node gives, without the rounding of a quantized net behind it."""
    writers = {value: node for node in net.graph.nodes for value in node.output}
    node = net.graph.nodes[place]
    while node.op_type in _ROUNDING and node.input[0] in writers:
        node = writers[node.input[0]]
    return node.op_type


def read_labels(path: Path) -> list[str]:
    """Class names, one a line; a leading WordNet id (n01440764) is cut off.

    Raises:
        ReadError: the file is not text.
        UsageError: there is no such file.
        LimitError: it is larger than 64 MB.
    """
    content = read_bytes(path, "labels", MAX_LABELS_FILE)
    if b"\0" in content[:4096]:
        raise ReadError(f"{printable(path.name)}: not a text file; labels are names, one a line")
    lines = decoded(content)[0].splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) > MAX_LABELS:
        raise ReadError(f"{printable(path.name)}: {plural(len(lines), 'line')}; no list of labels")
    return [_label(line) for line in lines]


def _label(line: str) -> str:
    first, _, rest = line.strip().partition(" ")
    wordnet = len(first) == 9 and first[0] == "n" and first[1:].isdigit()
    return rest.strip() if wordnet and rest else line.strip()
