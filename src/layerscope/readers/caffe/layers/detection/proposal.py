"""The region proposal layer of Faster R-CNN."""

from __future__ import annotations

from math import floor, sqrt

import numpy as np
from numpy.typing import NDArray

from layerscope.readers.caffe.layers.detection.boxes import columns, joined, part, suppress, whole
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape

_OTHER_FORMS = ("anchor_base_size", "anchor_scale", "anchor_ratio", "max_rois", "iou_threshold")
_TOO_SMALL = -1.0  # in place of the score (a probability) of a box below min_size


@layer(
    "Proposal",
    bottoms=3,
    tops=(1, 2),
    param="proposal_param",
    source="Faster R-CNN (Ren et al. 2015), PVANet's caffe proposal_layer.cpp",
)
def proposal(
    g: GraphBuilder, layer: LayerSpec, scores: str, deltas: str, image: str
) -> tuple[str, ...]:
    """The best boxes of one image: (1, 2A, H, W), (1, 4A, H, W), (1, 3 or 4) -> (R, 5), and scores.

    Anchors at every cell are moved by the deltas and cut at the image's edges; those smaller than
    min_size (times the image's scale) are dropped, the best pre_nms_topn go through suppression,
    and at most post_nms_topn are left.  Boxes include their last pixel.
    """
    p = layer.param
    ratios, scales = _checked(layer, p)
    anchors = _anchors(p.base_size, ratios, scales)
    number = len(anchors)
    height, width = _fit(g, layer, number, scores, deltas, image)
    g.free_batch = False  # one image at a time
    layer.summary = (
        f"{number} anchors at each of {height}x{width} cells, best {p.pre_nms_topn}, overlap at"
        f" most {p.nms_thresh:g}, then at most {p.post_nms_topn}"
    )
    boxes = _moved(g, _all_anchors(anchors, height, width, p.feat_stride), deltas, number)
    info = g.reshape(image, [-1])
    sizes = g.op("Gather", info, whole(g, 1, 0, 1, 0))  # W, H, W, H
    edge = g.op("Sub", sizes, g.constant(1.0, "one"))
    boxes = g.op("Max", g.op("Min", boxes, edge), g.constant(0.0, "zero"))
    x0, y0, x1, y1 = columns(g, boxes)
    one = g.constant(1.0, "one")
    last = 3 if g.shape(info)[0] > 3 else 2  # scale of y, and of x where it is given
    scale = g.op("Gather", info, whole(g, last, 2))
    least = g.op("Mul", scale, g.constant(float(p.min_size), "min_size"))
    extent = joined(
        g, [g.op("Add", g.op("Sub", x1, x0), one), g.op("Add", g.op("Sub", y1, y0), one)]
    )
    fits = g.op("Cast", g.op("GreaterOrEqual", extent, least), to=1)
    fits = g.op("ReduceMin", fits, whole(g, 1), keepdims=0)
    front = g.op("Transpose", part(g, scores, 1, number, 2 * number), perm=[0, 2, 3, 1])
    front = g.reshape(front, [-1])
    front = g.op("Where", g.op("Cast", fits, to=9), front, g.constant(_TOO_SMALL, "too_small"))
    candidates = min(p.pre_nms_topn, number * height * width)
    best, index = g.ops("TopK", 2, front, whole(g, candidates), axis=0)
    boxes = g.op("Gather", boxes, index, axis=0)
    behind = g.constant(np.asarray([0, 0, 1, 1], np.float32), "behind")
    kept = suppress(
        g, g.reshape(g.op("Add", boxes, behind), [1, candidates, 4]),
        g.reshape(best, [1, 1, candidates]),
        most=min(p.post_nms_topn, candidates), overlap=float(p.nms_thresh),
        above=float(p.score_thresh) if p.has("score_thresh") else _TOO_SMALL / 2,
    )  # fmt: skip
    place = g.reshape(part(g, kept, 1, 2, 3), [-1])
    pads = whole(g, 0, 1, 0, 0)  # the image's number, which is 0
    rois = g.op("Pad", g.op("Gather", boxes, place, axis=0), pads)
    return (rois, g.op("Gather", best, place, axis=0))[: layer.tops]


def _checked(layer: LayerSpec, p: Message) -> tuple[list[float], list[float]]:
    """Ratios and scales, after refusing what is of another form or wrong."""
    for name in _OTHER_FORMS:
        if p.has(name):
            raise layer.unsupported(
                f"proposal_param with {name} is of a form whose rules differ; known is that with"
                " base_size, ratio, scale, pre_nms_topn, post_nms_topn, nms_thresh",
                name,
            )
    if p.output_actual_rois_num:
        raise layer.unsupported("output_actual_rois_num", "output_actual_rois_num")
    ratios, scales = [float(v) for v in p.ratio], [float(v) for v in p.scale]
    if not ratios or not scales or min(ratios + scales) <= 0:
        raise layer.error("ratio and scale must be given, greater than 0")
    for name in ("feat_stride", "base_size", "pre_nms_topn", "post_nms_topn"):
        if getattr(p, name) < 1:
            raise layer.error(f"{name} must be at least 1", name)
    if p.nms_thresh < 0:
        raise layer.error("nms_thresh is at least 0", "nms_thresh")
    return ratios, scales


def _fit(
    g: GraphBuilder, layer: LayerSpec, number: int, scores: str, deltas: str, image: str
) -> tuple[int, int]:
    """Height and width of the map."""
    found, moves = g.shape(scores), g.shape(deltas)
    if len(found) != 4 or found[:2] != (1, 2 * number):
        raise layer.error(
            f"{number} anchors need scores (1, {2 * number}, H, W), the bottom is {shape(found)}"
        )
    if moves != (1, 4 * number, *found[2:]):
        raise layer.error(
            f"deltas should be {shape((1, 4 * number, *found[2:]))}, found {shape(moves)}"
        )
    if int(np.prod(g.shape(image))) < 3:
        raise layer.error(f"the image's height, width and scale: found {shape(g.shape(image))}")
    return found[2], found[3]


def _anchors(base: int, ratios: list[float], scales: list[float]) -> NDArray[np.float32]:
    """x1, y1, x2, y2 of the anchors of the first cell, ratios before scales."""
    centre = 0.5 * (base - 1)
    found = []
    for ratio in ratios:
        wide = floor(sqrt(base * base / ratio) + 0.5)
        tall = floor(wide * ratio + 0.5)
        for scale in scales:
            x, y = 0.5 * (wide * scale - 1), 0.5 * (tall * scale - 1)
            found.append((centre - x, centre - y, centre + x, centre + y))
    return np.asarray(found, np.float32)


def _all_anchors(
    anchors: NDArray[np.float32], height: int, width: int, stride: int
) -> NDArray[np.float32]:
    """The anchors of every cell: row by row, cell by cell."""
    y, x = np.mgrid[:height, :width] * float(stride)
    shift = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
    return (shift + anchors).reshape(-1, 4).astype(np.float32)


def _moved(g: GraphBuilder, anchors: NDArray[np.float32], deltas: str, number: int) -> str:
    """Anchors moved and resized: (cells * anchors, 4)."""
    height, width = g.shape(deltas)[2:]
    moves = g.reshape(deltas, [number, 4, height * width])
    moves = g.reshape(g.op("Transpose", moves, perm=[2, 0, 1]), [-1, 4])
    size = anchors[:, 2:] - anchors[:, :2] + np.float32(1)
    centre = anchors[:, :2] + np.float32(0.5) * size
    extent = g.constant(size, "size")
    shift = g.op("Mul", part(g, moves, 1, 0, 2), extent)
    middle = g.op("Add", shift, g.constant(centre, "centre"))
    reach = g.op("Mul", g.op("Exp", part(g, moves, 1, 2, 4)), extent)
    reach = g.op("Mul", reach, g.constant(0.5, "half"))
    return joined(g, [g.op("Sub", middle, reach), g.op("Add", middle, reach)])
