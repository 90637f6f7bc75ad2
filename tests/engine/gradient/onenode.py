"""Nets of one ONNX node, and what a second opinion says about their gradients.

The second opinion is ONNX's reference evaluator in float64, moved a little in every number: nothing
of the rules, of the runtime or of float32 is in it.  Its forward is first held against the
runtime's, so that where it is wrong itself the test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from layerscope.inputs import Preprocessing
from layerscope.net import IR_VERSION, OPSET, Blob, Layer, Net
from layerscope.readers.graph import GraphBuilder

STEP = 1e-5
WITHOUT_INFERENCE = {
    "GroupNormalization", "MeanVarianceNormalization", "SimplifiedLayerNormalization",
}  # fmt: skip
Forward = Callable[..., Any]


@dataclass
class Case:
    """One node.

    Attributes:
        op: the ONNX op.
        inputs: arrays; floats get a gradient, the others and None do not.
        settings: attributes.
        outputs: how many.
        fixed: positions of floats that are stored in the graph and get no gradient.
        forward: what computes it in float64, where ONNX's reference is wrong.
        label: tells cases of one op apart.
        opset: the version of ONNX that has the op in this form.
    """

    op: str
    inputs: Sequence[Any]
    settings: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    fixed: tuple[int, ...] = ()
    forward: Forward | None = None
    label: str = ""
    opset: int = OPSET

    def __str__(self) -> str:
        return f"{self.op} {self.label}".strip()

    @property
    def free(self) -> list[int]:
        """The positions of the inputs that get a gradient."""
        return [
            i
            for i, array in enumerate(self.inputs)
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and i not in self.fixed
        ]

    def net(self) -> Net:
        """The net: a blob x0, x1 ... for each free input and y0, y1 ... for each output."""
        g = GraphBuilder()
        names = []
        for i, array in enumerate(self.inputs):
            if array is None:
                names.append("")
            elif i in self.free:
                names.append(g.input(f"x{i}", array.shape))
            else:
                names.append(g.constant(array, f"fixed{i}"))
        if self.op in WITHOUT_INFERENCE or self.opset != OPSET:
            made = self.stated(g, names)
        elif self.op == "Compress":  # its size depends on the numbers
            made = [g.selection(self.op, *names, **self.settings)]
        else:
            made = g.ops(self.op, self.outputs, *names, **self.settings)
        blobs = {name: Blob(name, g.shape(name), name, "input", name) for name in g.inputs}
        for i, value in enumerate(made):
            blobs[f"y{i}"] = Blob(f"y{i}", g.shape(value), value, "layer", f"y{i}")
        layer = Layer("layer", self.op, "", tuple(g.inputs), tuple(blobs), nodes=range(1))
        graph = replace(g.finish(), opset=self.opset)
        return Net("one", "test", (layer,), blobs, graph, ("y0",), Preprocessing())

    def stated(self, g: GraphBuilder, names: list[str]) -> list[str]:
        """The node added to a graph, with the shapes that the second opinion has."""
        made = [f"made{i}" for i in range(self.outputs)]
        arrays = self.exact()(*(np.asarray(self.inputs[i], np.float64) for i in self.free))
        for name, array in zip(made, arrays, strict=True):
            g.shapes[name] = np.shape(array)
            whole = np.asarray(array).dtype.kind != "f"
            g.types[name] = onnx.TensorProto.INT64 if whole else onnx.TensorProto.FLOAT
        node = helper.make_node(self.op, names, made, name="layer", **self.settings)
        g.nodes.append(node)
        return made

    def feeds(self) -> dict[str, np.ndarray]:
        """What the free inputs hold."""
        return {f"x{i}": self.inputs[i].astype(np.float32) for i in self.free}

    def exact(self) -> Forward:
        """The forward in float64: free arrays in, list of outputs out."""
        if self.forward is not None:
            given = self.forward
            if self.outputs > 1:
                return given
            return lambda *arrays: [given(*arrays)]
        names = [f"x{i}" if a is not None else "" for i, a in enumerate(self.inputs)]
        outputs = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(self.op, names, outputs, **self.settings)
        initializers = [
            numpy_helper.from_array(_double(array), f"x{i}")
            for i, array in enumerate(self.inputs)
            if array is not None and i not in self.free
        ]
        graph = helper.make_graph(
            [node],
            "one",
            [helper.make_tensor_value_info(f"x{i}", onnx.TensorProto.DOUBLE, None)
             for i in self.free],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            initializers,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", self.opset)]
        evaluator = ReferenceEvaluator(
            helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        )
        return lambda *arrays: evaluator.run(
            None, {f"x{i}": array for i, array in zip(self.free, arrays, strict=True)}
        )


def _double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def differences(
    forward: Forward, arrays: Sequence[np.ndarray], seeds: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """The gradient of the seeded sum of the outputs, by moving each number up and down."""
    arrays = [np.array(array, np.float64) for array in arrays]

    def total() -> float:
        made = forward(*arrays)
        return sum(float((np.asarray(y, np.float64) * s).sum())
                   for y, s in zip(made, seeds, strict=False) if s is not None)  # fmt: skip

    found = []
    for array in arrays:
        slope = np.zeros_like(array)
        for at in np.ndindex(array.shape):
            kept = array[at]
            array[at] = kept + STEP
            above = total()
            array[at] = kept - STEP
            slope[at] = (above - total()) / (2 * STEP)
            array[at] = kept
        found.append(slope)
    return found
