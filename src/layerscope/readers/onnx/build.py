"""A draft whose shapes are known to a net: one layer for each node, with the params it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from layerscope.errors import ReadError
from layerscope.net import Blob, Graph, Layer, Net, Param, element_bits, values_read
from layerscope.readers.onnx.attributes import attribute
from layerscope.readers.onnx.catalogue import (
    Facts,
    family,
    is_known,
    known_ops,
    param_inputs,
    summary,
)
from layerscope.readers.onnx.draft import OWN_DOMAINS, Draft
from layerscope.readers.onnx.scopes import layer_names
from layerscope.readers.onnx.shapes import Known, element_name
from layerscope.readers.onnx.wiring import label
from layerscope.text import nearest_hint, plural, printable, quoted

RANDOM = frozenset(
    "RandomNormal RandomUniform RandomNormalLike RandomUniformLike Multinomial Bernoulli".split()
)
MOST_OF_ONE_NUMBER = 2**28  # of an array that repeats one number, made here
MOST_NAMES = 4  # in a note


def fold_repeated(draft: Draft, known: Known) -> None:
    """Weights that a file only describes ("so many times this number") become arrays.

    They cost no memory: the array is one number with a stride of 0.
    """
    kept = []
    for node in draft.nodes:
        dims = known.shapes.get(node.output[0]) if node.output else None
        if (
            node.op_type != "ConstantOfShape"
            or node.domain not in OWN_DOMAINS
            or node.input[0] not in draft.tensors
            or dims is None
            or prod(dims) > MOST_OF_ONE_NUMBER
            or node.output[0] in draft.outputs
        ):
            kept.append(node)
            continue
        tensor = attribute(node, "value")
        value = np.zeros((), np.float32)
        if tensor is not None:
            from onnx import numpy_helper

            value = np.asarray(numpy_helper.to_array(tensor)).reshape(-1)[:1].reshape(())
        name = node.output[0]
        draft.tensors[name] = np.broadcast_to(value, dims)
        draft.elements[name] = known.types[name] = helper.np_dtype_to_tensor_dtype(value.dtype)
    draft.nodes = kept


class NetBuilder:
    """Makes the layers of a net.

    Attributes:
        layers, blobs, nodes: what a net holds; nodes in the order of their layers.
        uncaptured: value to why it is no blob.
    """

    def __init__(self, draft: Draft, known: Known) -> None:
        self._draft, self._known = draft, known
        self._facts = Facts(draft.tensors, known.shapes)
        self._reads = {id(node): values_read(node) for node in draft.nodes}
        self._constant = self._constant_nodes()
        self._inner = {
            name: node for node in draft.nodes for name in node.output if name in draft.inner
        }
        self._owners: dict[str, str] = {}
        self._emitted: set[int] = set()
        self._broken: dict[str, str] = {}
        self.layers: list[Layer] = []
        self.blobs: dict[str, Blob] = {}
        self.nodes: list[NodeProto] = []
        self.uncaptured: dict[str, str] = {}

    def build(self) -> None:
        """Make all layers."""
        for each in self._draft.inputs:
            self._add_input(each.name)
        main = [
            node
            for node in self._draft.nodes
            if not all(
                name in self._constant or name in self._inner for name in node.output if name
            )
        ]
        for node, name in zip(main, layer_names(main, list(self.blobs)), strict=True):
            self._add(node, name)
        for name in self._draft.outputs:
            if name in self._draft.tensors and name not in self.blobs:
                self._add_constant(name)

    def _constant_nodes(self) -> dict[str, NodeProto]:
        """The values that nodes compute from weights alone, each with its node."""
        found: dict[str, NodeProto] = {}
        outputs = set(self._draft.outputs)
        for node in self._draft.nodes:
            reads = self._reads[id(node)]
            inner = any(a.HasField("g") or a.graphs for a in node.attribute)
            if not reads or inner or node.op_type in RANDOM or outputs.intersection(node.output):
                continue
            if self._unknown(node):
                continue
            if all(name in self._draft.tensors or name in found for name in reads):
                found.update({name: node for name in node.output if name})
        return found

    def _unknown(self, node: NodeProto) -> str:
        """Why a node cannot be computed; "" when it can."""
        version = self._draft.opset
        if is_known(node.op_type, node.domain, version):
            return ""
        near = nearest_hint(node.op_type, known_ops(node.domain, version))
        if node.domain in OWN_DOMAINS:
            return f"{label(node)}: ONNX has no such op in opset {version}{near}"
        return (
            f"{label(node)}: the ops of domain {quoted(node.domain)} are not known here"
            if not near
            else f"{label(node)}: ONNX Runtime has no such op{near}"
        )

    # --- layers ---

    def _add_input(self, name: str) -> None:
        self._blob(name, name)
        element = self._known.types[name]
        words = "" if element == TensorProto.FLOAT else element_name(element)
        self.layers.append(Layer(name, "Input", "data", (), (name,), summary=words))

    def _add_constant(self, name: str) -> None:
        self._blob(name, name)
        self.layers.append(Layer(name, "Constant", "data", (), (name,)))

    def _parts(self, node: NodeProto) -> list[NodeProto]:
        """The nodes of one layer, the one that writes its tops last."""
        within = [self._inner[name] for name in self._reads[id(node)] if name in self._inner]
        return [*(each for part in within for each in self._parts(part)), node]

    def _add(self, node: NodeProto, name: str) -> None:
        parts = self._parts(node)
        reads = [
            each for part in parts for each in self._reads[id(part)] if each not in self._inner
        ]
        reason = self._unknown(node) or next(
            (
                f"layer {quoted(name)} needs {quoted(each)}, which is not computed: "
                f"{self._broken[each]}"
                for each in reads
                if each in self._broken
            ),
            "",
        )
        bottoms = tuple(each for each in reads if each in self.blobs)
        params = tuple(each for part in parts for each in self._params(part, name))
        first = parts[0]
        layer = Layer(
            name, first.op_type, family(first.op_type), bottoms, (), params,
            summary=summary(first, self._facts),
        )  # fmt: skip
        if reason:
            why = self._unknown(node) or next(self._broken[e] for e in reads if e in self._broken)
            lost = tuple(each for each in node.output if each)
            self._broken.update(dict.fromkeys(lost, why))
            self.layers.append(replace(layer, reason=reason, lost=lost))
            return
        start = len(self.nodes)
        for part in parts:
            for each in self._reads[id(part)]:
                self._emit(each)
            self.nodes.append(_named(part, name if part is node else part.name))
        tops = []
        for each in filter(None, node.output):
            if self._captured(each):
                self._blob(each, name)
                tops.append(each)
        self.layers.append(replace(layer, tops=tuple(tops), nodes=range(start, len(self.nodes))))

    def _emit(self, value: str) -> None:
        """Put the nodes that compute a value from weights before the first node that reads it."""
        waiting = [(value, False)]
        while waiting:
            name, ready = waiting.pop()
            node = self._constant.get(name)
            if node is None or id(node) in self._emitted:
                continue
            if ready:
                self._emitted.add(id(node))
                self.nodes.append(_named(node, f"{name}:weights"))
            else:
                waiting.append((name, True))
                waiting += [(each, False) for each in self._reads[id(node)]]

    def _captured(self, value: str) -> bool:
        element = self._known.types.get(value, 0)
        if value in self._known.other:
            self.uncaptured[value] = f"a {self._known.other[value]}"
        elif element == TensorProto.STRING:
            self.uncaptured[value] = "text"
        elif value not in self._known.shapes:
            self.uncaptured[value] = "of unknown shape"
        elif "COMPLEX" in TensorProto.DataType.Name(element):
            self.uncaptured[value] = "complex numbers"
        return value not in self.uncaptured

    def _blob(self, value: str, layer: str) -> None:
        self.blobs[value] = Blob(value, self._known.shapes[value], value, layer, value)

    # --- params ---

    def _params(self, node: NodeProto, layer: str) -> tuple[Param, ...]:
        """The weights that a node reads, also through nodes that change their form or type."""
        found: dict[str, Param] = {}
        for value in param_inputs(node, self._facts):
            for name in self._roots(value):
                array = self._draft.tensors[name]
                if array.dtype.kind in "OSUc" or name in found:
                    continue
                owner = self._owners.setdefault(name, layer)
                shared = "" if owner == layer else owner
                bits = element_bits(self._draft.elements[name])
                found[name] = Param(name, array.shape, _plain(array), shared, bits)
        return tuple(found.values())

    def _roots(self, value: str) -> list[str]:
        """The tensors that a value is computed from; none unless it is computed from weights."""
        found: dict[str, None] = {}
        waiting, seen = [value], {value}
        while waiting:
            name = waiting.pop(0)
            if name in self._draft.tensors:
                found[name] = None
            elif name in self._constant:
                more = [n for n in param_inputs(self._constant[name], self._facts) if n not in seen]
                seen.update(more)
                waiting += more
        return list(found)


def _named(node: NodeProto, name: str) -> NodeProto:
    """The node under a name that no other has: the runtime refuses two of one name."""
    if node.name == name:
        return node
    made = NodeProto()
    made.CopyFrom(node)
    made.name = name
    return made


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """An array of a type that NumPy has itself: bfloat16 and its like become float32."""
    if array.dtype.type.__module__ == "numpy":
        return array
    plain: NDArray[Any] = array.astype(np.float32)
    return plain


def to_net(draft: Draft, known: Known, free_batch: bool, **more: Any) -> Net:
    """The net of a draft.

    Raises:
        ReadError: it computes nothing.
    """
    builder = NetBuilder(draft, known)
    builder.build()
    if not builder.blobs:
        raise ReadError(f"net {quoted(draft.name)}: nothing in it that could be shown")
    graph = Graph(
        nodes=tuple(builder.nodes),
        shapes=known.shapes,
        types=known.types,
        tensors=_read_tensors(draft, builder.nodes),
        inputs=tuple(each.name for each in draft.inputs),
        free_batch=free_batch,
        opset=draft.opset,
        ir_version=draft.ir_version,
        domains=draft.domains,
    )
    notes = (*draft.notes, *_uncaptured(builder.uncaptured))
    return Net(
        name=draft.name,
        format="onnx",
        layers=tuple(builder.layers),
        blobs=builder.blobs,
        graph=graph,
        outputs=tuple(name for name in dict.fromkeys(draft.outputs) if name in builder.blobs),
        notes=notes,
        **more,
    )


def _read_tensors(draft: Draft, nodes: list[NodeProto]) -> dict[str, NDArray[Any] | None]:
    """The tensors that the graph reads or gives."""
    read = {name for node in nodes for name in values_read(node)} | set(draft.outputs)
    return {name: array for name, array in draft.tensors.items() if name in read}


def _uncaptured(reasons: Mapping[str, str]) -> list[str]:
    """One note on what is computed and not kept."""
    if not reasons:
        return []
    shown = [f"{printable(n, 40)} ({r})" for n, r in list(reasons.items())[:MOST_NAMES]]
    more = f" and {len(reasons) - MOST_NAMES} more" if len(reasons) > MOST_NAMES else ""
    return [f"{plural(len(reasons), 'value')} cannot be kept as a blob: {', '.join(shown)}{more}"]
