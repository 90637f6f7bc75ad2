"""Ops that are several plain ops: they are computed once more from those, whose rules do the rest.

The plain nodes stand in the backward graph, so that only what the gradient reads of them is run.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from layerscope.engine.gradient.folding import evaluated, sizes
from layerscope.engine.gradient.registry import STOPS, Node, rules
from layerscope.engine.gradient.tape import Tape
from layerscope.errors import UnsupportedError

MOST_FOLDED = 2**16  # numbers of an array that is computed while the graph is built
_FOLLOWED = 64  # numbers of an array that shapes are inferred from


class Parts:
    """Plain nodes that compute an op again.

    Args:
        tape: what they are written on.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._nodes: list[Node] = []
        self._opset = tape.graph.opset
        self._shapes: dict[Hashable, list[tuple[tuple[int, ...], int]]] = {}

    def op(self, kind: str, *inputs: str, **settings: Any) -> str:
        """Add a node with one output and give the output."""
        return self.ops(kind, 1, *inputs, **settings)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **settings: Any) -> list[str]:
        """Add a node with several outputs; one of fixed numbers is computed at once.

        Raises:
            UnsupportedError: what it gives has no shape that is fixed.
        """
        proto = helper.make_node(kind, list(inputs), [f"y{i}" for i in range(outputs)], **settings)
        fixed = self._folded(proto)
        if fixed is not None:
            return [self._tape.fixed(array) for array in fixed]
        made = self._inferred(proto)
        names = self._tape.ops(kind, outputs, *inputs, **settings)
        for name, (dims, element) in zip(names, made, strict=True):
            self._tape.know(name, dims, element)
        self._nodes.append(Node(kind, tuple(inputs), tuple(names), _plain(settings)))
        return names

    def number(self, number: float, like: str) -> str:
        """One number, in the type of a value."""
        return self._tape.constant(float(number), like)

    def index(self, number: int) -> str:
        """One whole number."""
        return self._tape.fixed(np.asarray(number, np.int64))

    def back(self, seeds: Mapping[str, str], wanted: Sequence[str]) -> dict[str, str]:
        """Value to gradient, of the wanted ones that the seeded ones are computed from."""
        tape, reached, live = self._tape, set(wanted), []
        for node in self._nodes:
            if node.op not in STOPS and not reached.isdisjoint(node.inputs):
                reached.update(value for value in node.outputs if tape.is_float(value))
                live.append(node)
        parts, order = {value: [dy] for value, dy in seeds.items()}, dict[str, str]()
        for node in reversed(live):
            dys = [tape.total(value, parts, order) for value in node.outputs]
            if not any(dys):
                continue
            if node.op not in rules():
                raise UnsupportedError(f"its part {node.op} has no rule")
            asked = frozenset(i for i, value in enumerate(node.inputs) if value in reached)
            given = rules()[node.op].derive(tape, replace(node, wanted=asked), *dys)
            for i, dx in ({0: given} if isinstance(given, str) else given).items():
                if i in asked and dx:
                    parts.setdefault(node.inputs[i], []).append(dx)
        found = {value: tape.total(value, parts, order) for value in wanted}
        return {value: gradient for value, gradient in found.items() if gradient}

    def _folded(self, proto: onnx.NodeProto) -> list[NDArray[Any]] | None:
        """What a node gives that reads fixed numbers or shapes only; None for any other."""
        tape = self._tape
        if proto.op_type == "Constant":
            return evaluated(proto, [], self._opset)
        if proto.op_type in ("Shape", "Size"):
            return [sizes(proto, tape.shape(proto.input[0]))]
        known = [tape.array(name) if name else None for name in proto.input]
        if any(a is None for a, name in zip(known, proto.input, strict=True) if name):
            return None
        given = [a for a in known if a is not None]
        if not given or sum(a.size for a in given) > MOST_FOLDED:
            return None
        return evaluated(proto, known, self._opset) or None

    def _inferred(self, proto: onnx.NodeProto) -> list[tuple[tuple[int, ...], int]]:
        tape = self._tape
        given = [name for name in proto.input if name]
        known = {n: helper.make_tensor_type_proto(tape.type(n), tape.shape(n)) for n in given}
        arrays = {n: tape.array(n) for n in given}
        data = {
            n: numpy_helper.from_array(a)
            for n, a in arrays.items()
            if a is not None and a.size <= _FOLLOWED
        }
        key = (
            proto.op_type,
            tuple((name and (tape.type(name), tape.shape(name))) for name in proto.input),
            tuple(attribute.SerializeToString() for attribute in proto.attribute),
            tuple(tensor.raw_data for tensor in data.values()),
        )
        if key in self._shapes:  # the steps of a recurrent layer are alike
            return self._shapes[key]
        found = shape_inference.infer_node_outputs(
            _schema(proto.op_type, self._opset), proto, known, data,
            opset_imports=[helper.make_opsetid("", self._opset)], ir_version=tape.graph.ir_version,
        )  # fmt: skip
        results = []
        for name in proto.output:
            tensor = found[name].tensor_type
            dims = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
            if min(dims, default=1) < 0:
                raise UnsupportedError(
                    f"the shape that its part {proto.op_type} gives is not fixed"
                )
            results.append((dims, tensor.elem_type))
        self._shapes[key] = results
        return results


def through(t: Tape, node: Node, parts: Parts, seeds: Mapping[str, str]) -> dict[int, str]:
    """What a rule gives back whose node was computed again as `parts`.

    `seeds` is value of the parts to the gradient of the output that it is.
    """
    values = [node.inputs[i] for i in sorted(node.wanted)]
    found = parts.back(seeds, values)
    # A value that is read at several places has its whole gradient at the first of them.
    return {node.inputs.index(value): gradient for value, gradient in found.items()}


def by_definition(t: Tape, node: Node, *dys: str) -> dict[int, str]:
    """Through the plain ops that ONNX itself defines an op by."""
    body = _body(t, node)
    parts, names = Parts(t), dict(zip(body.input, node.inputs, strict=False))
    names.update(dict.fromkeys(list(body.input)[len(node.inputs) :], ""), **{"": ""})
    for each in body.node:
        settings = {a.name: _setting(a) for a in each.attribute}
        made = parts.ops(
            each.op_type, len(each.output), *(names[n] for n in each.input), **settings
        )
        names.update(zip(each.output, made, strict=True))
    seeds = {names[y]: dy for y, dy in zip(body.output, dys, strict=False) if dy}
    return through(t, node, parts, seeds)


def _setting(attribute: onnx.AttributeProto) -> Any:
    if attribute.type == onnx.AttributeProto.GRAPH:
        raise UnsupportedError("this form of it has no gradient here")
    return helper.get_attribute_value(attribute)


def _body(t: Tape, node: Node) -> onnx.FunctionProto:
    """The function that ONNX defines a node by, its settings put in."""
    schema, opset = _schema(node.op, t.graph.opset), t.graph.opset
    settings = {k: v for k, v in node.settings.items() if v is not None}
    inputs = [f"input {i}" if value else "" for i, value in enumerate(node.inputs)]
    outputs = [f"output {i}" if value else "" for i, value in enumerate(node.outputs)]
    proto = helper.make_node(node.op, inputs, outputs, **settings)
    body = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        types = [
            helper.make_tensor_type_proto(t.type(v), t.shape(v)) if v else onnx.TypeProto()
            for v in node.inputs
        ]
        versions = schema.context_dependent_function_opset_versions
        version = max(v for v in versions if v <= opset)
        written = schema.get_context_dependent_function_with_opset_version(
            version, proto.SerializeToString(), [each.SerializeToString() for each in types]
        )
        body.ParseFromString(written)
    else:
        body.CopyFrom(schema.function_body)
    defaults = {n: a.default_value for n, a in schema.attributes.items() if a.default_value.name}
    for each in body.node:
        stated = [_put_in(attribute, settings, defaults) for attribute in each.attribute]
        del each.attribute[:]
        each.attribute.extend(attribute for attribute in stated if attribute is not None)
    return body


def _put_in(
    attribute: onnx.AttributeProto,
    settings: Mapping[str, Any],
    defaults: Mapping[str, onnx.AttributeProto],
) -> onnx.AttributeProto | None:
    """A setting of the node in place of a reference to it; None where it has none."""
    reference = attribute.ref_attr_name
    if not reference:
        return attribute
    if reference not in settings and reference not in defaults:
        return None
    value = settings.get(reference)
    if value is None:
        value = helper.get_attribute_value(defaults[reference])
    return helper.make_attribute(attribute.name, value)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in settings.items()}


@cache
def _schema(kind: str, opset: int) -> Any:
    return onnx.defs.get_schema(kind, opset)
