"""Names of layers: the node's own, its module's in the exported program, or its output's."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Sequence

from onnx import NodeProto

SCOPES = "pkg.torch.onnx.name_scopes"
MAX_SCOPES = 10_000  # characters of such a note


def layer_names(nodes: Sequence[NodeProto], taken: Iterable[str] = ()) -> list[str]:
    """A name for each node, no two alike.

    PyTorch's exporter notes the modules around each node: `layer1.0.conv1` is then the layer's name
    where one node stands for the module, `layer1.0/relu` for one of several.
    """
    scopes = [_scope(node) for node in nodes]
    alone = Counter(module for module, _ in scopes if module)
    names = []
    for node, (module, step) in zip(nodes, scopes, strict=True):
        if module:
            names.append(module if alone[module] == 1 else f"{module}/{step or node.op_type}")
        else:
            output = next((name for name in node.output if name), node.op_type)
            names.append(node.name or output)
    return _unlike(names, taken)


def _scope(node: NodeProto) -> tuple[str, str]:
    """The module that a node belongs to and its step there; empty where nothing is noted."""
    words = next((each.value for each in node.metadata_props if each.key == SCOPES), "")
    if not words or not isinstance(words, str) or len(words) > MAX_SCOPES:
        return "", ""
    try:
        found = ast.literal_eval(words)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return "", ""
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return "", ""
    modules = [each for each in found[:-1] if each]
    return (modules[-1], found[-1]) if modules else ("", "")


def _unlike(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """The names, with `:2`, `:3` behind those that are there already."""
    used = set(taken)
    numbers: Counter[str] = Counter()
    found = []
    for name in names:
        unlike = name
        while unlike in used:
            numbers[name] += 1
            unlike = f"{name}:{numbers[name] + 1}"
        used.add(unlike)
        found.append(unlike)
    return found
