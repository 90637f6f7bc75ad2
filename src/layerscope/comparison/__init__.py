"""Two nets held against each other, blob for blob or weight for weight.

`alignment` says which blob is which, `feeding` what goes in, `runs` gives the arrays two at a time,
and `layerscope.measure.similarity` the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from layerscope.comparison.blobs import compare_blobs
from layerscope.comparison.feeding import Feed
from layerscope.comparison.result import Comparison, Rule
from layerscope.comparison.runs import GROUP_BYTES
from layerscope.comparison.weights import compare_weights
from layerscope.errors import UsageError
from layerscope.measure.similarity import MEASURES, Measure
from layerscope.net import Net
from layerscope.text import quoted

__all__ = ["THRESHOLDS", "Comparison", "compare"]

# Beyond these two blobs count as different.  One computation done by two programs in float32 stays
# below a relative difference of 1e-5 in nets of common depth; float16 gives about 1e-3.
THRESHOLDS: dict[Measure, float] = {
    "relative": 1e-3,
    "absolute": 1e-3,
    "snr": 60.0,
    "cosine": 0.9999,
}


def compare(  # noqa: PLR0913 - independent choices, all but the first three by name
    a: Net,
    b: Net | None = None,
    inputs: Any = None,
    *,
    inputs_b: Any = None,
    weights: bool = False,
    by: Measure = "relative",
    threshold: float | None = None,
    match: Mapping[str, str] | None = None,
    feed: Feed | None = None,
    allow_missing: bool = False,
    most_bytes: int = GROUP_BYTES,
    progress: Callable[[int, int, str], None] | None = None,
) -> Comparison:
    """Hold two nets against each other, or one net on two inputs.

    Args:
        a: the one net, whose order the rows have.
        b: the other one; a itself when left out.
        inputs: what to feed, as `Net.run` takes it; a list is several inputs, fed one by one, and
            a folder stands for the images and arrays in it.
        inputs_b: the same for B, where it is to be fed something else.
        weights: hold params against params; nothing is run.
        by: the measure that decides: "relative", "absolute", "snr" (dB) or "cosine".
        threshold: beyond which two differ; `THRESHOLDS` has the usual ones.  For "snr" and
            "cosine" beyond is below.
        match: names in A to names in B that belong together, where alignment does not find that.
        feed: "own" lets each net prepare the image in its own way, "same" feeds both one array.
            When left out it is "own", unless the ways differ and one of the two is only what
            such nets usually want, not what the file says: then both get the array of the net
            that says it (of A if none does).  A note tells when the ways differ.  An input that is
            given as an array is fed as it is, turned for a net that wants channels last.
        allow_missing: fill missing weights, from a fixed seed.
        most_bytes: of blobs of both nets that are held at once (256 MB); where the blobs of one
            input are more, the nets run several times, each time for a part of them.
        progress: called as progress(done, total, blob name).

    Returns:
        Comparison: a row for each aligned pair.

    Raises:
        UsageError: the inputs do not fit, nothing can be aligned, or weights are missing.
        UnknownNameError: a name in `match` does not exist.
        LayerscopeError: what `Net.run` raises.
    """
    rule = _rule(by, threshold)
    second = a if b is None else b
    if allow_missing:
        a, second = a.filled(), (a if second is a else second).filled()
    if weights:
        return compare_weights(a, second, rule, match)
    if inputs is None:
        raise UsageError("compare needs an input (--input), or --weights to compare weights alone")
    _check_runs(a, second)
    return compare_blobs(
        a, second, rule, match,
        inputs=inputs, inputs_b=inputs_b, feed=feed, most_bytes=most_bytes, progress=progress,
    )  # fmt: skip


def _check_runs(a: Net, b: Net) -> None:
    for name, net in (("A", a), ("B", b)):
        if not net.blobs:
            raise UsageError(
                f"{name}, {quoted(net.name)}, is weights without a net, which cannot run:"
                " --weights (weights=True) compares weights"
            )


def _rule(by: Measure, threshold: float | None) -> Rule:
    if by not in MEASURES:
        raise UsageError(f"measure {quoted(by)} is unknown; possible: {', '.join(MEASURES)}")
    level = THRESHOLDS[by] if threshold is None else float(threshold)
    if not isfinite(level):
        raise UsageError(f"threshold {level}: a finite number is needed")
    return Rule(by, level)
