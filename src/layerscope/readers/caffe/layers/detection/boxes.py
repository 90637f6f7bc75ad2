"""Arithmetic of boxes in a graph, shared by the layers that keep the best of many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.readers.graph import GraphBuilder


def whole(g: GraphBuilder, *numbers: int) -> str:
    """A list of whole numbers as a value."""
    return g.constant(np.asarray(numbers, np.int64), "whole")


def part(g: GraphBuilder, x: str, axis: int, start: int, end: int) -> str:
    """Positions `start` to `end` of an axis."""
    return g.op("Slice", x, whole(g, start), whole(g, end), whole(g, axis))


def columns(g: GraphBuilder, boxes: str) -> list[str]:
    """The four numbers of boxes (..., 4), each (..., 1)."""
    return g.ops("Split", 4, boxes, axis=-1, num_outputs=4)


def joined(g: GraphBuilder, parts: Sequence[str]) -> str:
    """Columns (..., 1) side by side."""
    return g.op("Concat", *parts, axis=-1)


def suppress(
    g: GraphBuilder, boxes: str, scores: str, *, most: int, overlap: float, above: float
) -> str:
    """Greedy suppression: (images, boxes, 4) and (images, 1, boxes) -> rows (image, 0, box).

    Of each image the best box is kept, then the best of those that do not overlap a kept one by
    more than `overlap` (intersection over union), and so on.  Rows come image by image, best first.

    Args:
        g: the graph.
        boxes: corners; an empty or inverted box overlaps nothing.
        scores: with the boxes in the same order; of equal ones the earlier wins.
        most: how many are kept of an image.
        overlap: of two boxes that are both kept, at most.
        above: boxes that do not score more than this are left out.
    """
    x0, y0, x1, y1 = columns(g, boxes)
    # The runtime would swap the corners of an inverted box; without area it counts as nothing.
    upright = joined(g, [x0, y0, g.op("Max", x0, x1), g.op("Max", y0, y1)])
    images = g.shape(boxes)[0]
    return g.bounded(
        "NonMaxSuppression", (images * most, 3), upright, scores, whole(g, most),
        g.constant(np.asarray([min(overlap, 1.0)], np.float32), "overlap"),
        g.constant(np.asarray([above], np.float32), "above"),
    )  # fmt: skip
