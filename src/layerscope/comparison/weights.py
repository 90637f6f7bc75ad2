"""Params held against params, without a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from layerscope.comparison.alignment import Pair, align
from layerscope.comparison.items import Weights, param_items
from layerscope.comparison.result import (
    Arrays,
    Comparison,
    Row,
    Rule,
    alone,
    checked,
    side,
    turned_words,
)
from layerscope.comparison.runs import turned
from layerscope.errors import UsageError
from layerscope.measure.similarity import similarity
from layerscope.net import Net
from layerscope.text import plural, printable, shape


def compare_weights(
    a: Net, b: Net, rule: Rule, match: Mapping[str, str] | None = None
) -> Comparison:
    """Hold the params of two nets against each other.

    Raises:
        UsageError: none can be aligned, or one net has no weights at all.
    """
    of_a, of_b = param_items(a), param_items(b)
    for name, net, params in (("A", a, of_a), ("B", b, of_b)):
        if params and all(each.array is None for each in params):
            raise UsageError(f"{name}, net {printable(net.name)}, was opened without weights")
    items_a, items_b = [each.item for each in of_a], [each.item for each in of_b]
    found = checked(align(items_a, items_b, match, names_tell=True), items_a, items_b, "params")
    lacking = [p for p in found.pairs if of_a[p.a].array is None or of_b[p.b].array is None]
    rows = {p: _row(of_a[p.a], of_b[p.b], p, rule) for p in found.pairs if p not in lacking}

    def arrays(_input: int) -> Iterator[tuple[Row, Arrays]]:
        for pair, row in rows.items():
            yield row, _arrays(of_a[pair.a], of_b[pair.b])

    return Comparison(
        kind="weights",
        a=side(a),
        b=side(b),
        rows=tuple(rows.values()),
        **alone(found, items_a, items_b),
        not_held=tuple(
            f"{printable(of_a[p.a].item.name)}: no numbers in"
            f" {'A' if of_a[p.a].array is None else 'B'}"
            for p in lacking
        ),
        by=rule.by,
        threshold=rule.threshold,
        inputs=(),
        feed="",
        notes=_notes(a, b),
        arrays=arrays,
        pictures=lambda _input: (None, None),
    )


def _notes(a: Net, b: Net) -> tuple[str, ...]:
    """Norms that only one side has may be in the weights of the other."""
    if not a.graph.nodes or not b.graph.nodes:
        return ()  # weights without a net
    norms = [sum(n.op_type == "BatchNormalization" for n in net.graph.nodes) for net in (a, b)]
    if all(norms) or not any(norms):
        return ()
    one, other = ("A", "B") if norms[0] else ("B", "A")
    return (
        f"{one} has {plural(max(norms), 'batch norm')}, {other} has none: exporters multiply norms"
        " into the weights before them, which then differ; with --input values after the norms are"
        " held against each other",
    )


def _arrays(one: Weights, other: Weights) -> Arrays:
    assert one.array is not None and other.array is not None
    if _square_and_turned(one, other):
        return one.array, other.array.T
    return one.array, turned(other.array, one.array.shape)


def _square_and_turned(one: Weights, other: Weights) -> bool:
    """Whether two matrices have rows for unlike things, which a square shape does not tell."""
    same = one.item.shape == other.item.shape and len(set(one.item.shape)) == 1
    return same and len(one.item.shape) == 2 and one.by_inputs != other.by_inputs


def _row(one: Weights, other: Weights, pair: Pair, rule: Rule) -> Row:
    measures = similarity(*_arrays(one, other))
    return Row(
        a=one.item.name,
        b=other.item.name,
        shape_a=one.item.shape,
        shape_b=other.item.shape,
        layer_a=one.layer.name,
        layer_b=other.layer.name,
        type_a=one.layer.type,
        type_b=other.layer.type,
        how=pair.how,
        turned=f"B {shape(other.item.shape)} transposed"
        if _square_and_turned(one, other)
        else turned_words(one.item.shape, other.item.shape),
        worst=measures,
        overall=measures,
        input=0,
        beyond=measures.beyond(rule.threshold, rule.by),
    )
