"""The ways through a net's graph, from any value back to the inputs."""

from __future__ import annotations

import heapq
from dataclasses import replace
from weakref import WeakKeyDictionary

import onnx

from layerscope.measure.boxes import Box, Part, add
from layerscope.measure.influence import NO_PATH, SAME_PLACE, Rule, rule_of
from layerscope.measure.influence.step import reads
from layerscope.measure.sizes import known_sizes
from layerscope.net import Net


class Paths:
    """The ways from each value of a net back to its inputs; rules are made when they are needed."""

    def __init__(self, net: Net) -> None:
        sizes = known_sizes(net.graph)
        self.graph = replace(net.graph, tensors={**net.graph.tensors, **sizes})
        self.alive = set(net.graph.inputs)
        self.producer: dict[str, tuple[int, int]] = {}
        self.same: dict[str, str] = {}  # a value, and the one whose box it shares
        for i, node in enumerate(net.graph.nodes):
            if node.op_type in NO_PATH:
                continue  # a size hangs on no number
            if any(name in self.alive for name in reads(node)):
                self.alive.update(name for name in node.output if name)
                self.producer.update({name: (i, k) for k, name in enumerate(node.output) if name})
            self._note_same(node)
        self._rules: dict[int, tuple[Rule, list[str]]] = {}

    def _note_same(self, node: onnx.NodeProto) -> None:
        """Remember that a node reads each place from the same place of one value.

        Half of a net's nodes are such (ReLU, BatchNorm, Scale), and are stepped over.
        """
        read = [name for name in node.input if name in self.alive]
        one = len(read) == len(node.output) == 1 and node.op_type in SAME_PLACE
        if one and self.graph.shapes[read[0]] == self.graph.shapes[node.output[0]]:
            self.same[node.output[0]] = self.same.get(read[0], read[0])

    def rule(self, number: int) -> tuple[Rule, list[str]]:
        """The rule of a node, and the names of its inputs."""
        found = self._rules.get(number)
        if found is None:
            node = self.graph.nodes[number]
            names = [self.same.get(name, name) for name in reads(node)]
            found = self._rules[number] = (rule_of(node, self.graph, self.alive), names)
        return found

    def trace(self, value: str, start: Box, *, clip: bool) -> dict[str, list[Part]]:
        """Follow a box of a value back to the inputs: input name to the boxes that are seen."""
        value = self.same.get(value, value)
        pending: dict[str, list[Part]] = {value: [(start, True)]}
        queue = [-self.producer[value][0]] if value in self.producer else []
        waiting: dict[int, list[str]] = {queue[0]: [value]} if queue else {}
        while queue:  # the last node first: then all that reads a value has been seen before it
            number = heapq.heappop(queue)
            read, names = self.rule(-number)
            for name in waiting.pop(number):
                output = self.producer[name][1]
                for box, sure in pending.pop(name):
                    for i, part, exact in read(box, clip, output):
                        source = names[i]
                        if source in pending:
                            add(pending[source], (part, sure and exact))
                            continue
                        pending[source] = [(part, sure and exact)]
                        if source in self.producer:
                            key = -self.producer[source][0]
                            if key in waiting:
                                waiting[key].append(source)
                            else:
                                waiting[key] = [source]
                                heapq.heappush(queue, key)
        return pending


_PATHS: WeakKeyDictionary[Net, Paths] = WeakKeyDictionary()


def paths_of(net: Net) -> Paths:
    """The paths of a net, kept as long as the net is."""
    found = _PATHS.get(net)
    if found is None:
        found = _PATHS[net] = Paths(net)
    return found
