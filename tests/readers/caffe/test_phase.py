from __future__ import annotations

import pytest

from layerscope.errors import ReadError
from layerscope.readers.caffe.phase import State, kept
from layerscope.readers.caffe.prototxt import parse

TRAIN = State(phase="TRAIN")


def stays(rules: str, state: State = State()) -> bool:  # noqa: B008 - it is frozen
    net = parse(f'layer {{ name: "a" {rules} }}'.encode(), "a.prototxt")
    return bool(kept(net.layer, state))


@pytest.mark.parametrize(
    ("rule", "state", "meets"),
    [
        ("", State(), True),
        ("phase: TEST", State(), True),
        ("phase: TRAIN", State(), False),
        ("phase: TRAIN", TRAIN, True),
        ("phase: TEST", TRAIN, False),
        ("min_level: 2", State(level=1), False),
        ("min_level: 2", State(level=2), True),
        ("min_level: 0", State(), True),
        ("max_level: 2", State(level=2), True),
        ("max_level: 2", State(level=3), False),
        ("min_level: 1 max_level: 2", State(level=0), False),
        ("min_level: -1 max_level: -1", State(level=-1), True),
        ('stage: "a"', State(), False),
        ('stage: "a"', State(stages=("a", "b")), True),
        ('stage: "a" stage: "b"', State(stages=("a",)), False),
        ('stage: "a" stage: "b"', State(stages=("b", "a")), True),
        ('not_stage: "a"', State(), True),
        ('not_stage: "a"', State(stages=("b",)), True),
        ('not_stage: "a" not_stage: "b"', State(stages=("b",)), False),
        ('stage: "a" not_stage: "b"', State(stages=("a",)), True),
        ('stage: "a" not_stage: "b"', State(stages=("a", "b")), False),
        ('phase: TEST min_level: 1 stage: "a"', State(level=1, stages=("a",)), True),
        ('phase: TEST min_level: 1 stage: "a"', State("TRAIN", level=1, stages=("a",)), False),
    ],
)
def test_a_rule_includes_or_excludes(rule: str, state: State, meets: bool) -> None:
    assert stays(f"include {{ {rule} }}", state) is meets
    assert stays(f"exclude {{ {rule} }}", state) is not meets


def test_a_layer_without_rules_is_in_every_phase() -> None:
    assert stays("")
    assert stays("", TRAIN)


def test_one_of_several_rules_is_enough() -> None:
    assert stays("include { phase: TRAIN } include { max_level: 0 }")
    assert not stays("include { phase: TRAIN } include { min_level: 1 }")
    assert not stays("exclude { phase: TRAIN } exclude { max_level: 0 }")
    assert stays("exclude { phase: TRAIN } exclude { min_level: 1 }")


def test_the_order_stays() -> None:
    text = b"""
        layer { name: "a" } layer { name: "b" include { phase: TRAIN } }
        layer { name: "b" include { phase: TEST } } layer { name: "c" exclude { phase: TRAIN } }
    """
    assert [each.name for each in kept(parse(text, "a").layer, State())] == ["a", "b", "c"]
    assert [each.name for each in kept(parse(text, "a").layer, TRAIN)] == ["a", "b"]


def test_both_kinds_of_rule_are_refused() -> None:
    with pytest.raises(ReadError) as caught:
        stays("include { phase: TEST }\n exclude { phase: TRAIN }")
    assert str(caught.value) == (
        'a.prototxt:2:10: layer "a" has include and exclude rules; it may have one kind'
    )
