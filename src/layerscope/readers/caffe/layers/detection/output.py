"""The last layer of SSD: from predictions at every default box to a list of detections."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from layerscope.readers.caffe.layers.detection.boxes import columns, joined, part, suppress, whole
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.registry import layer
from layerscope.readers.caffe.spec import LayerSpec
from layerscope.readers.graph import GraphBuilder
from layerscope.text import shape

_LOWEST = float(np.finfo(np.float32).min)
_CODES = ("CORNER", "CENTER_SIZE", "CORNER_SIZE")


@layer(
    "DetectionOutput",
    bottoms=(3, 5),
    tops=1,
    param="detection_output_param",
    source="SSD (Liu et al. 2016), weiliu89/caffe detection_output_layer.cpp, bbox_util.cpp",
)
def detection_output(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> str:
    """Decode boxes, drop overlapping ones of each class, keep the best.  -> (1, 1, n, 7).

    Rows are image, class, score, xmin, ymin, xmax, ymax, by image, then class, then falling score.
    An image batch without any detection gives one row of (image, -1, ...) for each image.
    """
    p = layer.param
    locations, confidences, priors, *more = bottoms
    if more:
        raise layer.unsupported(f"{len(bottoms)} bottoms (RefineDet's form); three are known")
    boxes = _checked(g, layer, p, locations, confidences, priors)
    images = g.shape(locations)[0]
    classes = [c for c in range(p.num_classes) if c != p.background_label_id]
    top_k = p.nms_param.top_k if p.nms_param.has("top_k") else -1
    candidates = boxes if top_k < 0 else min(top_k, boxes)
    layer.summary = _summary(p, boxes, len(classes), top_k)

    scores = g.op("Transpose", g.reshape(confidences, [0, boxes, p.num_classes]), perm=[0, 2, 1])
    scores = g.op("Gather", scores, whole(g, *classes), axis=1)
    # The candidates of each class, best first; of equal scores the earlier box, as in SSD.
    scores, index = g.ops("TopK", 2, scores, whole(g, candidates), axis=2)
    corners = _decoded(g, p, locations, priors, boxes)
    if p.share_location:
        flat = g.reshape(index, [0, -1, 1])
        corners = g.op("GatherND", corners, flat, batch_dims=1)
        corners = g.reshape(corners, [0, len(classes), candidates, 4])
    else:
        corners = g.op("Gather", corners, whole(g, *classes), axis=1)
        corners = g.op("GatherND", corners, g.reshape(index, [0, 0, 0, 1]), batch_dims=2)
    kept = suppress(
        g, g.reshape(corners, [-1, candidates, 4]), g.reshape(scores, [-1, 1, candidates]),
        most=candidates, overlap=float(p.nms_param.nms_threshold),
        above=float(p.confidence_threshold) if p.has("confidence_threshold") else _LOWEST,
    )  # fmt: skip
    marked = _marked(g, scores, kept, candidates)
    most = len(classes) * candidates
    if p.keep_top_k >= 0:
        most = min(p.keep_top_k, most)
        marked = _best(g, marked, most, len(classes), candidates)
    return _rows(g, marked, corners, classes, images * most)


def _checked(
    g: GraphBuilder, layer: LayerSpec, p: Message, locations: str, confidences: str, priors: str
) -> int:
    """Refuse what does not fit; the number of default boxes."""
    if p.num_classes < 1:
        raise layer.error("num_classes must be given")
    if p.code_type not in _CODES:
        raise layer.error(f"code_type: {p.code_type} is not known; {', '.join(_CODES)} are")
    if not p.normalized_bbox:
        raise layer.unsupported("boxes in pixels (normalized_bbox: false)", "normalized_bbox")
    nms = p.nms_param
    if nms.nms_threshold < 0 or not 0 < nms.eta <= 1:
        raise layer.error("nms_param: nms_threshold is at least 0, eta in (0, 1]", "nms_param")
    if nms.eta < 1 and nms.nms_threshold > 0.5:  # SSD lowers the threshold only while above 0.5
        raise layer.unsupported(f"nms_param: eta {nms.eta:g}; only 1 is known", "nms_param")
    if (nms.has("top_k") and nms.top_k == 0) or p.keep_top_k == 0:
        raise layer.error("top_k and keep_top_k are at least 1, or -1 for all")
    if p.num_classes == 1 and p.background_label_id == 0:
        raise layer.error("num_classes 1 is the background alone", "num_classes")
    dims = g.shape(priors)
    if len(dims) != 3 or dims[1] != 2 or dims[2] % 4 or not dims[2]:
        raise layer.error(f"the default boxes are (1, 2, boxes * 4), the bottom is {shape(dims)}")
    boxes = dims[2] // 4
    sets = 1 if p.share_location else p.num_classes
    for noun, value, wanted in (
        ("locations", locations, boxes * sets * 4),
        ("confidences", confidences, boxes * p.num_classes),
    ):
        found = g.shape(value)
        if len(found) < 2 or int(np.prod(found[1:])) != wanted:
            raise layer.error(
                f"the {noun} are {shape(found)}; {boxes} default boxes need {wanted} an image"
            )
    return boxes


def _summary(p: Message, boxes: int, classes: int, top_k: int) -> str:
    text = f"{classes} classes at {boxes} boxes, overlap at most {p.nms_param.nms_threshold:g}"
    text += f", {top_k} candidates a class" if top_k >= 0 else ""
    if p.has("confidence_threshold"):
        text += f", score above {p.confidence_threshold:g}"
    return text + (f", at most {p.keep_top_k} an image" if p.keep_top_k >= 0 else "")


def _decoded(g: GraphBuilder, p: Message, locations: str, priors: str, boxes: int) -> str:
    """Corners of the predicted boxes: (N, boxes, 4), or (N, classes, boxes, 4)."""
    if p.share_location:
        predicted = g.reshape(locations, [0, boxes, 4])
    else:
        predicted = g.reshape(locations, [0, boxes, p.num_classes, 4])
        predicted = g.op("Transpose", predicted, perm=[0, 2, 1, 3])
    prior = g.reshape(part(g, priors, 1, 0, 1), [boxes, 4])
    if not p.variance_encoded_in_target:
        predicted = g.op("Mul", predicted, g.reshape(part(g, priors, 1, 1, 2), [boxes, 4]))
    if p.code_type == "CORNER":
        return g.op("Add", prior, predicted)
    x0, y0, x1, y1 = columns(g, prior)
    width, height = g.op("Sub", x1, x0), g.op("Sub", y1, y0)
    if p.code_type == "CORNER_SIZE":
        return g.op("Add", prior, g.op("Mul", predicted, joined(g, [width, height, width, height])))
    half = g.constant(0.5, "half")
    sides = []
    for low, high, size, shift, growth in zip(
        (x0, y0), (x1, y1), (width, height), *_halves(g, predicted), strict=True
    ):
        middle = g.op("Mul", g.op("Add", low, high), half)
        middle = g.op("Add", g.op("Mul", shift, size), middle)
        reach = g.op("Mul", g.op("Mul", g.op("Exp", growth), size), half)
        sides.append((g.op("Sub", middle, reach), g.op("Add", middle, reach)))
    (left, right), (upper, lower) = sides
    return joined(g, [left, upper, right, lower])


def _halves(g: GraphBuilder, predicted: str) -> tuple[list[str], list[str]]:
    """What moves the middle, and what changes the size, in x and y."""
    moves = columns(g, predicted)
    return moves[:2], moves[2:]


def _marked(g: GraphBuilder, scores: str, kept: str, candidates: int) -> str:
    """The scores of the kept boxes, and the lowest number elsewhere: (N, classes, candidates)."""
    image, _, box = g.ops("Split", 3, kept, axis=1, num_outputs=3)
    place = g.op("Add", g.op("Mul", image, whole(g, candidates)), box)
    flat = g.reshape(scores, [-1])
    lowest = _lowest(g, flat)
    marked = g.op("ScatterND", lowest, place, g.op("GatherND", flat, place))
    return g.reshape(marked, [-1, *g.shape(scores)[1:]])


def _best(g: GraphBuilder, marked: str, most: int, classes: int, candidates: int) -> str:
    """The marks of the best of each image, over all classes."""
    flat = g.reshape(marked, [0, classes * candidates])
    values, index = g.ops("TopK", 2, flat, whole(g, most), axis=1)
    lowest = _lowest(g, flat)
    best = g.op("ScatterElements", lowest, index, values, axis=1)
    return g.reshape(best, [0, classes, candidates])


def _lowest(g: GraphBuilder, like: str) -> str:
    """The lowest number everywhere."""
    shape_of = g.op("Shape", like)
    return g.bounded("Expand", g.shape(like), g.constant(_LOWEST, "lowest"), shape_of)


def _rows(g: GraphBuilder, marked: str, corners: str, classes: list[int], most: int) -> str:
    """One row for each mark; where there is none, one for each image that says so."""
    found = g.op("Cast", g.op("Greater", marked, g.constant(_LOWEST, "lowest")), to=1)
    place = g.op("Transpose", g.bounded("NonZero", (3, most), found), perm=[1, 0])
    image, kind, _ = g.ops("Split", 3, place, axis=1, num_outputs=3)
    label = g.op("Gather", g.constant(np.asarray(classes, np.float32), "labels"), kind)
    score = g.op("Unsqueeze", g.op("GatherND", marked, place), whole(g, 1))
    rows = joined(g, [g.op("Cast", image, to=1), label, score, g.op("GatherND", corners, place)])
    images = g.op("Shape", marked, start=0, end=1)
    number = g.op("Shape", rows, start=0, end=1)
    count = g.op("Squeeze", images)
    numbers = g.bounded("Range", (g.shape(marked)[0],), _number(g, 0), count, _number(g, 1))
    first = g.op("Unsqueeze", g.op("Cast", numbers, to=1), whole(g, 1))
    pads = whole(g, 0, 0, 0, 6)
    nothing = g.op("Pad", first, pads, g.constant(np.float32(-1), "none"))
    end = g.op("Where", g.op("Equal", number, whole(g, 0)), images, number)
    both = g.op("Concat", rows, nothing, axis=0)
    most = max(most, g.shape(marked)[0])
    found = g.bounded("Slice", (most, 7), both, whole(g, 0), end, whole(g, 0))
    return g.reshape(found, [1, 1, -1, 7])


def _number(g: GraphBuilder, number: int) -> str:
    """A whole number without axes."""
    return g.constant(np.asarray(number, np.int64), "number")


@layer(
    "MultiBoxLoss",
    bottoms=(4, None),
    tops=(1, None),
    source="SSD (Liu et al. 2016), weiliu89/caffe multibox_loss_layer.cpp",
)
def multi_box_loss(g: GraphBuilder, layer: LayerSpec, *bottoms: str) -> NoReturn:
    """Compare predictions with true boxes: for training only, not computed."""
    raise layer.unsupported(
        "MultiBoxLoss is for training only; open the deploy definition, which ends in"
        " DetectionOutput"
    )
