"""Names of layers: the module's path; for what no module stands for, the path and the function.

`layer1.0.conv1` is a module, `layer1.0.add` what its block's `forward` does itself.  A module that
is called again gives `layer1.0.relu:2`.  The blob that a layer writes has the layer's name.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCOPES = "pkg.torch.onnx.name_scopes"
_NOWHERE = "_empty_nn_module_stack"  # what torch.export notes for sizes of the input


@dataclass(frozen=True)
class Origin:
    """Where a node comes from.

    Attributes:
        path: of the innermost module; "" for the module itself.
        call: that module and which call of it.
        step: which call of a function, in that module.
        function: what that function is called.
    """

    path: str
    call: str
    step: str
    function: str


class Origins:
    """Where the nodes of an exported model come from, as the exporter noted it.

    Args:
        program: the exported program that the model was made from.
    """

    def __init__(self, program: Any) -> None:
        self._steps = {node.name: node.meta for node in program.graph.nodes}

    def of(self, node: Any) -> Origin:
        """Where a node comes from; an origin of empty names where nothing is noted."""
        return _origin(node, self._steps)


def rename(model: Any, origins: Origins, leaves: Container[str], taken: Iterable[str]) -> None:
    """Name the nodes of an exported model, and their outputs, after the modules.

    Args:
        model: the exporter's model, changed in place.
        origins: where each node comes from.
        leaves: the paths of the modules that hold no other ones.
        taken: names that are in use: inputs and weights.
    """
    nodes = list(model.graph)
    names = _names(nodes, [origins.of(node) for node in nodes], leaves)
    used, numbers = set(taken), Counter[str]()
    # A function must not take the name of a module that comes later.
    for node, (name, _) in sorted(zip(nodes, names, strict=True), key=lambda each: not each[1][1]):
        unlike = name
        while unlike in used:
            numbers[name] += 1
            unlike = f"{name}:{numbers[name] + 1}"
        used.add(unlike)
        node.name = unlike
        node.metadata_props.clear()
        for position, value in enumerate(node.outputs):
            value.name = f"{unlike}/{position}" if position else unlike
            used.add(value.name)


def _origin(node: Any, steps: Mapping[str, Mapping[str, Any]]) -> Origin:
    words = node.metadata_props.get(SCOPES, "")
    scopes = ast.literal_eval(words) if words else []
    meta = steps.get(scopes[-1] if scopes else "", {})
    stack = list((meta.get("nn_module_stack") or {}).items())
    call, (path, _) = stack[-1] if stack else ("", ("", ""))
    if path.startswith(_NOWHERE):
        call = path = ""
    step, function = meta.get("torch_fn") or ("", "")
    # Of a function's name, "function.relu" or "method_descriptor.add", the last word.
    return Origin(path, call, step, function.rpartition(".")[2].strip("_"))


def _names(
    nodes: Sequence[Any], places: Sequence[Origin], leaves: Container[str]
) -> list[tuple[str, bool]]:
    """A name for each node, maybe the same for several, and whether it is a module's."""
    last_of_call = _last(nodes, [each.call for each in places])
    last_of_step = _last(nodes, [f"{each.call} {each.step}" for each in places])
    found: list[tuple[str, bool]] = []
    for i, (node, origin) in enumerate(zip(nodes, places, strict=True)):
        if origin.path and origin.path in leaves and i in last_of_call:
            found.append((origin.path, True))
            continue
        ends = i in last_of_step and origin.function.isidentifier()
        word = origin.function if ends else node.op_type.lower()
        found.append((f"{origin.path}.{word}" if origin.path else word, False))
    return found


def _last(nodes: Sequence[Any], groups: Sequence[str]) -> set[int]:
    """Of each group of nodes the last one that is read from outside."""
    group_of = {id(node): group for node, group in zip(nodes, groups, strict=True)}
    found: dict[str, int] = {}
    for i, (node, group) in enumerate(zip(nodes, groups, strict=True)):
        readers = [use.node for value in node.outputs for use in value.uses()]
        outside = any(group_of.get(id(reader)) != group for reader in readers)
        if outside or any(value.is_graph_output() for value in node.outputs):
            found[group] = i
    return set(found.values())
