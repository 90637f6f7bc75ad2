"""LSTM, GRU and RNN: their steps written one after another in plain ops, which have rules.

The order of the gates and what each computes are ONNX's (docs/Operators.md).  A sequence that is
shorter than the others keeps its state in the steps behind its end, and gives 0 there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerscope.engine.gradient.composite import Parts, through
from layerscope.engine.gradient.registry import Node, rule
from layerscope.engine.gradient.tape import Tape
from layerscope.errors import UnsupportedError

MOST_STEPS = 2000  # of all directions: each is a dozen nodes forward and two dozen back
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_PLAIN = {name.lower(): name for name in ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign")}
State = tuple[str, ...]
"""The hidden state (N, H), and of an LSTM the cell state (N, H)."""


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """One direction of a recurrent node.

    Attributes:
        p: takes the plain ops.
        node: the node.
        steps: what each step adds to the gates from its input, (N, gates * H), in their order.
        recurrent: the weights of the state, turned: (H, gates * H), or of a GRU (H, H) each.
        biases: what is added to the state's part, (gates * H,) or (H,) each; "" for nothing.
        peepholes: of an LSTM three values (H,), for i, o, f; () for none.
        activations: ONNX ops.
    """

    p: Parts
    node: Node
    steps: list[str]
    recurrent: tuple[str, ...]
    biases: tuple[str, ...]
    peepholes: tuple[str, ...]
    activations: tuple[str, ...]

    def from_state(self, hidden: str, which: int = 0) -> str:
        """What the state adds to all gates, or to one of a GRU's."""
        found = self.p.op("MatMul", hidden, self.recurrent[which])
        return self.p.op("Add", found, self.biases[which]) if self.biases[which] else found

    def bent(self, gate: str, which: int) -> str:
        """A gate cut at `clip` and passed through an activation."""
        clip = float(self.node.get("clip", 0.0) or 0.0)
        if clip:
            gate = self.p.op("Clip", gate, *(self.p.number(n, gate) for n in (-clip, clip)))
        return self.p.op(self.activations[which], gate)


@rule("LSTM")
def lstm(t: Tape, node: Node, *dys: str) -> dict[int, str]:
    """Back through its steps, of both directions, to input, weights, biases, states, peepholes."""
    return _unrolled(t, node, dys, _lstm_step)


@rule("GRU")
def gru(t: Tape, node: Node, *dys: str) -> dict[int, str]:
    """Back through its steps, of both directions, to input, weights, biases and first state."""
    return _unrolled(t, node, dys, _gru_step)


@rule("RNN")
def rnn(t: Tape, node: Node, *dys: str) -> dict[int, str]:
    """Back through its steps, of both directions, to input, weights, biases and first state."""
    return _unrolled(t, node, dys, _rnn_step)


def _lstm_step(d: Direction, step: int, state: State) -> State:
    p, (hidden, cell) = d.p, state
    i, o, f, c = p.ops(
        "Split", 4, p.op("Add", d.steps[step], d.from_state(hidden)), axis=1, num_outputs=4
    )
    if d.peepholes:
        i = p.op("Add", i, p.op("Mul", d.peepholes[0], cell))
        f = p.op("Add", f, p.op("Mul", d.peepholes[2], cell))
    i = d.bent(i, 0)
    coupled = bool(d.node.get("input_forget", 0))
    f = p.op("Sub", p.number(1, i), i) if coupled else d.bent(f, 0)
    cell = p.op("Add", p.op("Mul", f, cell), p.op("Mul", i, d.bent(c, 1)))
    if d.peepholes:
        o = p.op("Add", o, p.op("Mul", d.peepholes[1], cell))
    return p.op("Mul", d.bent(o, 0), p.op(d.activations[2], cell)), cell


def _gru_step(d: Direction, step: int, state: State) -> State:
    p, (hidden,) = d.p, state
    z, r, h = p.ops("Split", 3, d.steps[step], axis=1, num_outputs=3)
    z = d.bent(p.op("Add", z, d.from_state(hidden, 0)), 0)
    r = d.bent(p.op("Add", r, d.from_state(hidden, 1)), 0)
    if d.node.get("linear_before_reset", 0):
        old = p.op("Mul", r, d.from_state(hidden, 2))
    else:
        old = d.from_state(p.op("Mul", r, hidden), 2)
    h = d.bent(p.op("Add", h, old), 1)
    return (p.op("Add", h, p.op("Mul", z, p.op("Sub", hidden, h))),)


def _rnn_step(d: Direction, step: int, state: State) -> State:
    return (d.bent(d.p.op("Add", d.steps[step], d.from_state(state[0])), 0),)


def _unrolled(
    t: Tape, node: Node, dys: Sequence[str], step: Callable[[Direction, int, State], State]
) -> dict[int, str]:
    length, images, _ = t.shape(node.x)
    count = t.shape(node.inputs[1])[0]
    if node.get("layout", 0):
        raise UnsupportedError("layout 1 (the batch in front) has no gradient here")
    if length * count > MOST_STEPS:
        raise UnsupportedError(f"{length * count} steps; {MOST_STEPS} are the most")
    p = Parts(t)
    kept = [_kept(t, p, node, i) for i in range(length)]
    rows, last = [], []
    for d in range(count):
        backwards = node.get("direction", "forward") == "reverse" or d == 1
        made, state = _run(t, p, node, d, kept, step, backwards=backwards)
        rows.append(made)
        last.append(state)
    seeds = {}
    hidden = t.shape(node.inputs[2])[2]
    if dys[0]:  # (T, D, N, H)
        shape = t.fixed(np.asarray([1, 1, images, hidden], np.int64))
        steps = [
            p.op("Concat", *(p.op("Reshape", row[i], shape) for row in rows), axis=1)
            for i in range(length)
        ]
        seeds[p.op("Concat", *steps, axis=0)] = dys[0]
    for position, dy in enumerate(dys[1:]):  # (D, N, H)
        if dy:
            shape = t.fixed(np.asarray([1, images, hidden], np.int64))
            ends = [p.op("Reshape", state[position], shape) for state in last]
            seeds[p.op("Concat", *ends, axis=0)] = dy
    return through(t, node, p, seeds)


def _run(
    t: Tape, p: Parts, node: Node, d: int, kept: Sequence[str],
    step: Callable[[Direction, int, State], State], *, backwards: bool,
) -> tuple[list[str], State]:  # fmt: skip
    """What one direction gives in each step, in the order of time, and its last state."""
    direction = _direction(t, p, node, d)
    hidden, images = t.shape(node.inputs[2])[2], t.shape(node.x)[1]
    nothing = t.constant(np.zeros((images, hidden)), node.x)
    state: State = tuple(
        _of(p, node.inputs[place], d) if node.has(place) else nothing
        for place in ((5, 6) if node.op == "LSTM" else (5,))
    )
    length = len(kept)
    made = [""] * length
    for i in reversed(range(length)) if backwards else range(length):
        new = step(direction, i, state)
        if kept[i]:
            new = tuple(p.op("Where", kept[i], n, o) for n, o in zip(new, state, strict=True))
            made[i] = p.op("Where", kept[i], new[0], nothing)
        else:
            made[i] = new[0]
        state = new
    return made, state


def _direction(t: Tape, p: Parts, node: Node, d: int) -> Direction:
    hidden, (length, images, _) = t.shape(node.inputs[2])[2], t.shape(node.x)
    wide = _GATES[node.op] * hidden
    turned = [p.op("Transpose", _of(p, node.inputs[i], d), perm=[1, 0]) for i in (1, 2)]
    gates = p.op("MatMul", node.x, turned[0])  # (T, N, gates * H)
    recurrent: tuple[str, ...] = (turned[1],)
    biases: tuple[str, ...] = ("",)
    if node.has(3):
        first, bias = p.ops("Split", 2, _of(p, node.inputs[3], d), axis=0, num_outputs=2)
        gates, biases = p.op("Add", gates, first), (bias,)
    if node.op == "GRU":  # its last gate may be reset before or behind the product
        recurrent = tuple(p.ops("Split", 3, turned[1], axis=1, num_outputs=3))
        has = node.has(3)
        biases = tuple(p.ops("Split", 3, biases[0], axis=0, num_outputs=3)) if has else ("",) * 3
    shape = t.fixed(np.asarray([images, wide], np.int64))
    parts = p.ops("Split", length, gates, axis=0, num_outputs=length) if length > 1 else [gates]
    steps = [p.op("Reshape", part, shape) for part in parts]
    peepholes: tuple[str, ...] = ()
    if node.op == "LSTM" and node.has(7):
        three = p.ops("Split", 3, _of(p, node.inputs[7], d), axis=0, num_outputs=3)
        peepholes = tuple(three)
    return Direction(p, node, steps, recurrent, biases, peepholes, _activations(node, d))


def _of(p: Parts, value: str, d: int) -> str:
    """What a value (D, ...) holds for one direction."""
    return p.op("Gather", value, p.index(d), axis=0)


def _kept(t: Tape, p: Parts, node: Node, step: int) -> str:
    """(N, 1): which sequences are as long as that; "" where all are."""
    if not node.has(4):
        return ""
    lengths = t.ints(node.inputs[4])
    if lengths is not None and min(lengths, default=0) > step:
        return ""
    limit = p.op("Cast", node.inputs[4], to=7)
    reached = p.op("Greater", limit, p.index(step))
    return p.op("Unsqueeze", reached, t.fixed(np.asarray([1], np.int64)))


def _activations(node: Node, d: int) -> tuple[str, ...]:
    """The ops of one direction.

    Raises:
        UnsupportedError: one has numbers of its own, or is none of the plain ones.
    """
    defaults = _DEFAULTS[node.op]
    given: Sequence[Any] = node.get("activations", None) or []
    names = [each.decode() if isinstance(each, bytes) else str(each) for each in given]
    names = names[d * len(defaults) : (d + 1) * len(defaults)] or list(defaults)
    for name in names:
        if name.lower() not in _PLAIN:
            raise UnsupportedError(
                f"activation {name}; {', '.join(_PLAIN.values())} have a gradient here"
            )
    return tuple(_PLAIN[name.lower()] for name in names)
