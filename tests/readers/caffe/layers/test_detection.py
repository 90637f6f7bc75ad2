"""SSD's and R-CNN's layer types against slow loops written from the papers' rules."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from small_nets import net_of, one_layer, run_one

import layerscope as ls
from closeness import assert_blob_close

RANDOM = np.random.default_rng(41)
F = np.float32


def normal(*dims: int) -> np.ndarray:
    return RANDOM.normal(size=dims).astype(F)


# --- Permute, Normalize ---


@pytest.mark.parametrize(
    ("order", "full"),
    [([0, 2, 3, 1], [0, 2, 3, 1]), ([0, 3], [0, 3, 1, 2]), ([], [0, 1, 2, 3]), ([2, 0], [2, 0, 1, 3])],
)  # fmt: skip
@pytest.mark.parametrize("batch", [0, 5])
def test_permute(tmp_path, order, full, batch):
    x = normal(2, 3, 4, 5)
    settings = f"permute_param {{ {' '.join(f'order: {o}' for o in order)} }}"
    got = run_one(tmp_path, "Permute", {"x": x}, settings, batch=batch)["y"]
    want = np.zeros([x.shape[axis] for axis in full], F)
    for place in itertools.product(*(range(d) for d in want.shape)):
        source = [0] * 4
        for axis, at in zip(full, place, strict=True):
            source[axis] = at
        want[place] = x[tuple(source)]
    np.testing.assert_array_equal(got, want)


def slow_normalize(x, factor, across, eps):
    y = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for h, w in itertools.product(range(x.shape[2]), range(x.shape[3])):
            values = x[n].ravel() if across else x[n, :, h, w]
            norm = math.sqrt(sum(float(v) ** 2 for v in values) + eps)
            for c in range(x.shape[1]):
                scale = factor[c] if factor.ndim else factor
                y[n, c, h, w] = x[n, c, h, w] / norm * scale
    return y


@pytest.mark.parametrize("batch", [0, 3])
@pytest.mark.parametrize("eps", [1e-10, 0.7])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("across", [False, True])
def test_normalize(tmp_path, across, shared, eps, batch):
    x, factor = normal(2, 3, 4, 5), normal() if shared else normal(3)
    factor = np.asarray(factor, F)
    settings = (
        f"norm_param {{ across_spatial: {str(across).lower()}"
        f" channel_shared: {str(shared).lower()} eps: {eps} }}"
    )
    got = run_one(tmp_path, "Normalize", {"x": x}, settings, [factor], batch)["y"]
    assert_blob_close(got, slow_normalize(x, factor, across, eps), "y")


def test_normalize_begins_with_the_stated_scale(tmp_path):
    layer = one_layer(
        "Normalize", ["x"],
        "norm_param { across_spatial: false channel_shared: false"
        ' scale_filler { type: "constant" value: 20 } }',
    )  # fmt: skip
    x = normal(1, 3, 4, 5)
    net = net_of(tmp_path, {"x": x.shape}, layer)
    got = net.run({"x": x}, allow_missing=True)["y"]
    assert_blob_close(got, slow_normalize(x, np.full(3, 20.0), False, 1e-10), "y")


# --- PriorBox ---


def slow_priors(cells, image, step, offset, least, most, ratios, flip, clip, variances):
    """Corners (fractions of the image) and variances, as lists."""
    shapes = [1.0]
    for ratio in ratios:
        if not any(abs(ratio - r) < 1e-6 for r in shapes):
            shapes.append(ratio)
            if flip:
                shapes.append(1 / ratio)
    corners = []
    for row, column in itertools.product(range(cells[0]), range(cells[1])):
        cx, cy = (column + offset) * step[1], (row + offset) * step[0]
        for i, side in enumerate(least):
            side = int(side)
            sizes = [(side, side)]
            if most:
                sizes.append((math.sqrt(side * int(most[i])),) * 2)
            rest = [math.sqrt(ratio) for ratio in shapes if abs(ratio - 1) >= 1e-6]
            sizes += [(side * root, side / root) for root in rest]
            for w, h in sizes:
                corners += [(cx - w / 2) / image[1], (cy - h / 2) / image[0]]
                corners += [(cx + w / 2) / image[1], (cy + h / 2) / image[0]]
    if clip:
        corners = [min(max(c, 0.0), 1.0) for c in corners]
    four = list(variances) if len(variances) == 4 else list(variances) * 4
    return np.asarray([[corners, four * (len(corners) // 4)]])


PRIORS = [
    ("min_size: 30", {"least": [30]}),
    ("min_size: 30 max_size: 61 aspect_ratio: 2 clip: true", {"least": [30], "most": [61], "ratios": [2], "clip": True}),
    ("min_size: 30.7 max_size: 60.2 aspect_ratio: 2 aspect_ratio: 3 aspect_ratio: 0.5 aspect_ratio: 1"
     " flip: false", {"least": [30.7], "most": [60.2], "ratios": [2, 3, 0.5, 1], "flip": False}),
    ("min_size: 10 min_size: 20 max_size: 15 max_size: 33 aspect_ratio: 3 variance: 0.1 variance: 0.2"
     " variance: 0.3 variance: 0.4",
     {"least": [10, 20], "most": [15, 33], "ratios": [3], "variances": [0.1, 0.2, 0.3, 0.4]}),
    ("min_size: 30 aspect_ratio: 2 aspect_ratio: 2 step: 8 offset: 0.25 img_size: 64 variance: 0.5",
     {"least": [30], "ratios": [2, 2], "step": (8, 8), "offset": 0.25, "image": (64, 64), "variances": [0.5]}),
    ("min_size: 30 img_h: 50 img_w: 70 step_h: 9 step_w: 11 clip: true",
     {"least": [30], "image": (50, 70), "step": (9, 11), "clip": True}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "how"), PRIORS, ids=range(len(PRIORS)))
def test_prior_box(tmp_path, settings, how):
    full = {"image": (45, 77), "offset": 0.5, "most": [], "ratios": [], "flip": True, "clip": False,
                "variances": [0.1]} | how  # fmt: skip
    full.setdefault("step", (full["image"][0] / 4, full["image"][1] / 7))
    inputs = {"x": normal(2, 3, 4, 7), "image": normal(2, 1, 45, 77)}
    got = run_one(tmp_path, "PriorBox", inputs, f"prior_box_param {{ {settings} }}", batch=1)["y"]
    assert_blob_close(got, slow_priors((4, 7), **full), "y")


# --- DetectionOutput ---


def overlap_of(a, b, pixel=0.0):
    """Intersection over union; nothing overlaps a box turned inside out."""

    def area(q):
        return 0.0 if q[2] < q[0] or q[3] < q[1] else (q[2] - q[0] + pixel) * (q[3] - q[1] + pixel)

    w = min(a[2], b[2]) - max(a[0], b[0]) + pixel
    h = min(a[3], b[3]) - max(a[1], b[1]) + pixel
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / (area(a) + area(b) - w * h)


def slow_decode(move, prior, variance, code, encoded):
    d = [float(m) * (1 if encoded else float(v)) for m, v in zip(move, variance, strict=True)]
    x0, y0, x1, y1 = map(float, prior)
    w, h = x1 - x0, y1 - y0
    if code == "CORNER":
        return [x0 + d[0], y0 + d[1], x1 + d[2], y1 + d[3]]
    if code == "CORNER_SIZE":
        return [x0 + d[0] * w, y0 + d[1] * h, x1 + d[2] * w, y1 + d[3] * h]
    cx, cy = d[0] * w + (x0 + x1) / 2, d[1] * h + (y0 + y1) / 2
    bw, bh = math.exp(d[2]) * w, math.exp(d[3]) * h
    return [cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2]


def greedy(candidates, boxes, limit):
    """Indices that stay, in the order given."""
    kept = []
    for i in candidates:
        if all(overlap_of(boxes[i], boxes[j]) <= limit for j in kept):
            kept.append(i)
    return kept


def slow_detections(loc, conf, prior, classes, *, share=True, background=0, code="CORNER",
                    encoded=False, limit=0.3, top_k=-1, keep=-1, above=-math.inf):  # fmt: skip
    images, number = loc.shape[0], prior.shape[2] // 4
    corners, variances = prior[0].reshape(2, number, 4)
    conf = conf.reshape(images, number, classes)
    loc = loc.reshape(images, number, 1 if share else classes, 4)
    rows = []
    for n in range(images):
        found = []
        for c in range(classes):
            if c == background:
                continue
            boxes = [
                slow_decode(loc[n, i, 0 if share else c], corners[i], variances[i], code, encoded)
                for i in range(number)
            ]
            order = sorted((i for i in range(number) if conf[n, i, c] > above),
                           key=lambda i: -conf[n, i, c])  # fmt: skip
            if top_k >= 0:
                order = order[:top_k]
            found += [(c, float(conf[n, i, c]), boxes[i]) for i in greedy(order, boxes, limit)]
        if keep >= 0 and len(found) > keep:
            found = sorted(found, key=lambda f: -f[1])[:keep]
        found.sort(key=lambda f: (f[0], -f[1]))
        rows += [[n, c, score, *box] for c, score, box in found]
    if not rows:
        rows = [[n] + [-1] * 6 for n in range(images)]
    return np.asarray(rows, np.float64)[None, None]


def heads(images, number, classes, share, spread=0.08):
    centre, half = RANDOM.random((number, 2)), RANDOM.random((number, 2)) * 0.2 + 0.1
    corners = np.concatenate([centre - half, centre + half], axis=1)
    variances = RANDOM.random((number, 4)) * 0.2 + 0.1
    prior = np.stack([corners.ravel(), variances.ravel()])[None].astype(F)
    loc = (RANDOM.normal(size=(images, number * (1 if share else classes) * 4)) * spread).astype(F)
    conf = RANDOM.random((images, number * classes)).astype(F)
    return loc, conf, prior


DETECTIONS = [
    ("", {}),
    ("code_type: CENTER_SIZE nms_param { nms_threshold: 0.45 top_k: 9 } keep_top_k: 7"
     " confidence_threshold: 0.3", {"code": "CENTER_SIZE", "limit": 0.45, "top_k": 9, "keep": 7, "above": 0.3}),
    ("share_location: false code_type: CORNER_SIZE variance_encoded_in_target: true keep_top_k: 11",
     {"share": False, "code": "CORNER_SIZE", "encoded": True, "keep": 11}),
    ("share_location: false background_label_id: 2 code_type: CENTER_SIZE nms_param { top_k: 5 }",
     {"share": False, "background": 2, "code": "CENTER_SIZE", "top_k": 5}),
    ("background_label_id: -1 variance_encoded_in_target: true nms_param { nms_threshold: 0 }"
     " confidence_threshold: 0.5", {"background": -1, "encoded": True, "limit": 0.0, "above": 0.5}),
    ("keep_top_k: 1000 nms_param { nms_threshold: 1.5 top_k: 400 }", {"limit": 1.5, "top_k": 400, "keep": 1000}),
    ("confidence_threshold: 2 keep_top_k: 5", {"above": 2.0, "keep": 5}),
    ("nms_param { nms_threshold: 0.5 eta: 0.9 }", {"limit": 0.5}),  # eta works above 0.5 only
]  # fmt: skip


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize(("settings", "how"), DETECTIONS, ids=range(len(DETECTIONS)))
def test_detection_output(tmp_path, settings, how, images):
    classes, number = 4, 23
    spread = 0.3 if how.get("encoded") and how.get("code") is None else 0.5  # some boxes inverted
    loc, conf, prior = heads(images, number, classes, how.get("share", True), spread)
    want = slow_detections(loc, conf, prior, classes, **how)
    layer = one_layer(
        "DetectionOutput", ["loc", "conf", "prior"],
        f"detection_output_param {{ num_classes: {classes} {settings} }}",
    )  # fmt: skip
    dims = {"loc": (2, *loc.shape[1:]), "conf": (2, *conf.shape[1:]), "prior": prior.shape}
    net = net_of(tmp_path, dims, layer)  # the definition says 2 images
    got = net.run({"loc": loc, "conf": conf, "prior": prior})["y"]
    assert_blob_close(got, want, "y")
    most = net.blobs["y"].shape
    assert most[2] >= want.shape[2] * 2 // max(images, 2) and most[3] == 7


def test_detection_output_of_boxes_without_area(tmp_path):
    """A box turned inside out overlaps nothing: it neither stays away nor drives away others."""
    prior = np.asarray([[[0.2, 0.2, 0.6, 0.6] * 4, [0.1] * 16]], F)
    loc = np.asarray([[0, 0, 0, 0, 6, 0, -6, 0, 6, 6, -6, -6, 0, 0, 0, 0.1]], F)
    conf = np.asarray([[0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6]], F)
    got = run_one(
        tmp_path, "DetectionOutput", {"loc": loc, "conf": conf, "prior": prior},
        "detection_output_param { num_classes: 2 }",
    )["y"]  # fmt: skip
    want = slow_detections(loc, conf, prior, 2)
    assert want.shape[2] == 3
    assert_blob_close(got, want, "y")


def test_detections_with_equal_scores(tmp_path):
    """Of equal scores the earlier default box wins, as in SSD's stable sort."""
    loc, conf, prior = heads(2, 17, 3, True)
    conf = np.round(conf * 2).astype(F) / 2
    got = run_one(
        tmp_path, "DetectionOutput", {"loc": loc, "conf": conf, "prior": prior},
        "detection_output_param { num_classes: 3 nms_param { top_k: 6 } }",
    )["y"]  # fmt: skip
    assert_blob_close(got, slow_detections(loc, conf, prior, 3, top_k=6), "y")


def test_a_whole_ssd_head(tmp_path):
    """Permute, Flatten and PriorBox of two maps, joined, as a deploy definition has them."""
    maps = {"a": (2, 12, 4, 5), "b": (2, 12, 2, 3)}
    layers, joins = "", {"loc": [], "conf": [], "prior": []}
    for name in maps:
        for kind in ("loc", "conf"):
            layers += (
                f'layer {{ name: "{name}{kind}p" type: "Permute" bottom: "{name}" top: "{name}{kind}p"'
                " permute_param { order: 0 order: 2 order: 3 order: 1 } }"
                f'layer {{ name: "{name}{kind}" type: "Flatten" bottom: "{name}{kind}p"'
                f' top: "{name}{kind}" }}\n'
            )
        layers += (
            f'layer {{ name: "{name}prior" type: "PriorBox" bottom: "{name}" bottom: "image"'
            f' top: "{name}prior" prior_box_param {{ min_size: 9 max_size: 16 aspect_ratio: 2'
            " flip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }\n"
        )
        for kind, names in joins.items():
            names.append(f"{name}{kind}")
    for kind, names in joins.items():
        bottoms = " ".join(f'bottom: "{n}"' for n in names)
        layers += (
            f'layer {{ name: "{kind}" type: "Concat" {bottoms} top: "{kind}"'
            f" concat_param {{ axis: {2 if kind == 'prior' else 1} }} }}\n"
        )
    layers += one_layer(
        "DetectionOutput", ["loc", "conf", "prior"],
        "detection_output_param { num_classes: 4 code_type: CENTER_SIZE keep_top_k: 20"
        " nms_param { nms_threshold: 0.4 top_k: 15 } }",
    )  # fmt: skip
    net = net_of(tmp_path, {**maps, "image": (2, 3, 24, 40)}, layers)
    fed = {name: normal(*dims) * F(0.5) for name, dims in maps.items()}
    blobs = net.run({**fed, "image": normal(2, 3, 24, 40)})
    assert blobs["loc"].shape == (2, 26 * 12) and blobs["prior"].shape == (1, 2, 26 * 12)
    want = slow_detections(
        blobs["loc"], blobs["conf"], blobs["prior"], 4, code="CENTER_SIZE", limit=0.4, top_k=15,
        keep=20,
    )  # fmt: skip
    assert_blob_close(blobs["y"], want, "y")


# --- ROIPooling, PSROIPooling ---


def away(x: float) -> int:
    """C's round."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def slow_roi_pool(x, rois, pooled, scale):
    y = np.zeros((len(rois), x.shape[1], *pooled))
    for r, (n, *corners) in enumerate(rois):
        x0, y0, x1, y1 = (away(float(F(c) * F(scale))) for c in corners)
        size = max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1)
        for c, i, j in itertools.product(range(x.shape[1]), range(pooled[0]), range(pooled[1])):
            edges = []
            for at, start, length, bins, most in (
                (i, y0, size[0], pooled[0], x.shape[2]), (j, x0, size[1], pooled[1], x.shape[3])
            ):  # fmt: skip
                step = F(length) / F(bins)
                low, high = math.floor(F(at) * step) + start, math.ceil(F(at + 1) * step) + start
                edges += [min(max(low, 0), most), min(max(high, 0), most)]
            cells = x[int(n), c, edges[0] : edges[1], edges[2] : edges[3]]
            y[r, c, i, j] = cells.max() if cells.size else 0
    return y


def regions(images, number, width, height):
    """Regions of all sorts: small, large, outside, with halves, turned inside out."""
    rois = np.zeros((number, 5), F)
    rois[:, 0] = RANDOM.integers(0, images, number)
    for r in range(number):
        x, y = sorted(RANDOM.uniform(-9, width + 9, 2)), sorted(RANDOM.uniform(-9, height + 9, 2))
        rois[r, 1:] = x[0], y[0], x[1], y[1]
    rois[::3, 1:] = np.round(rois[::3, 1:] * 2) / 2
    rois[1::7, 1:] = rois[1::7, [3, 4, 1, 2]]
    rois[0, 1:] = 0, 0, width - 1, height - 1
    return rois


@pytest.mark.parametrize(("pooled", "scale"), [((3, 2), 1.0), ((4, 5), 0.5), ((7, 6), 0.0625)])
def test_roi_pooling(tmp_path, pooled, scale):
    x = normal(3, 2, 9, 11)
    rois = regions(3, 60, 11 / scale, 9 / scale)
    settings = f"roi_pooling_param {{ pooled_h: {pooled[0]} pooled_w: {pooled[1]} spatial_scale: {scale} }}"
    got = run_one(tmp_path, "ROIPooling", {"x": x, "rois": rois}, settings, batch=1)["y"]
    assert_blob_close(got, slow_roi_pool(x, rois, pooled, scale), "y")


def test_roi_pooling_of_regions_with_four_axes(tmp_path):
    x, rois = normal(1, 2, 9, 11), regions(1, 8, 11, 9).reshape(8, 5, 1, 1)
    settings = "roi_pooling_param { pooled_h: 2 pooled_w: 3 }"
    got = run_one(tmp_path, "ROIPooling", {"x": x, "rois": rois}, settings)["y"]
    assert_blob_close(got, slow_roi_pool(x, rois.reshape(8, 5), (2, 3), 1.0), "y")


def slow_psroi_pool(x, rois, depth, group, scale):
    y = np.zeros((len(rois), depth, group, group))
    for r, (n, *corners) in enumerate(rois):
        x0, y0 = (F(away(float(c))) * F(scale) for c in corners[:2])
        x1, y1 = (F(away(float(c)) + 1) * F(scale) for c in corners[2:])
        steps = [max(F(b - a), F(0.1)) / F(group) for a, b in ((y0, y1), (x0, x1))]
        for d, i, j in itertools.product(range(depth), range(group), range(group)):
            edges = []
            for at, step, start, most in zip((i, j), steps, (y0, x0), x.shape[2:], strict=True):
                low = math.floor(F(F(at) * step) + start)
                high = math.ceil(F(F(at + 1) * step) + start)
                edges += [min(max(low, 0), most), min(max(high, 0), most)]
            cells = x[int(n), (d * group + i) * group + j, edges[0] : edges[1], edges[2] : edges[3]]
            y[r, d, i, j] = cells.mean(dtype=np.float64) if cells.size else 0
    return y


@pytest.mark.parametrize(("depth", "group", "scale"), [(2, 3, 1.0), (5, 2, 0.5), (1, 7, 0.0625)])
def test_psroi_pooling(tmp_path, depth, group, scale):
    x = normal(3, depth * group * group, 9, 11) * F(50)
    rois = regions(3, 50, 11 / scale, 9 / scale)
    settings = (
        f"psroi_pooling_param {{ output_dim: {depth} group_size: {group} spatial_scale: {scale} }}"
    )
    got = run_one(tmp_path, "PSROIPooling", {"x": x, "rois": rois}, settings, batch=1)["y"]
    assert_blob_close(got, slow_psroi_pool(x, rois, depth, group, scale), "y", 1e-6)


# --- Proposal ---


def slow_proposals(scores, deltas, info, *, ratios, scales, stride=16, base=16, least=16,
                   before=6000, after=300, limit=0.7):  # fmt: skip
    anchors = []
    for ratio in ratios:
        w = int(math.sqrt(base * base / ratio) + 0.5)
        h = int(w * ratio + 0.5)
        for scale in scales:
            half = 0.5 * (w * scale - 1), 0.5 * (h * scale - 1)
            middle = 0.5 * (base - 1)
            anchors.append((middle - half[0], middle - half[1], middle + half[0], middle + half[1]))
    number, (rows, columns) = len(anchors), scores.shape[2:]
    info = info.ravel()
    found = []
    for h, w, k in itertools.product(range(rows), range(columns), range(number)):
        x0, y0, x1, y1 = (
            a + s for a, s in zip(anchors[k], (w * stride, h * stride) * 2, strict=True)
        )
        wide, tall = x1 - x0 + 1, y1 - y0 + 1
        dx, dy, dw, dh = (float(deltas[0, 4 * k + i, h, w]) for i in range(4))
        cx, cy = dx * wide + x0 + 0.5 * wide, dy * tall + y0 + 0.5 * tall
        bw, bh = math.exp(dw) * wide, math.exp(dh) * tall
        box = [cx - 0.5 * bw, cy - 0.5 * bh, cx + 0.5 * bw, cy + 0.5 * bh]
        box = [max(0.0, min(b, info[1 - i % 2] - 1)) for i, b in enumerate(box)]
        small = least * info[2], least * info[3 if len(info) > 3 else 2]
        if box[3] - box[1] + 1 >= small[0] and box[2] - box[0] + 1 >= small[1]:
            found.append((float(scores[0, number + k, h, w]), box))
    found.sort(key=lambda f: -f[0])
    kept = []
    for score, box in found[:before]:
        if all(overlap_of(box, other, pixel=1.0) <= limit for _, other in kept):
            kept.append((score, box))
    kept = kept[:after]
    return np.asarray([[0, *box] for _, box in kept]), np.asarray([s for s, _ in kept])


PROPOSALS = [
    ("ratio: 0.5 ratio: 1 ratio: 2 scale: 1 scale: 2.5", {"ratios": [0.5, 1, 2], "scales": [1, 2.5]},
     [70, 110, 1.5]),
    ("ratio: 0.667 scale: 3 feat_stride: 8 base_size: 12 min_size: 9 pre_nms_topn: 25"
     " post_nms_topn: 6 nms_thresh: 0.4",
     {"ratios": [0.667], "scales": [3], "stride": 8, "base": 12, "least": 9, "before": 25, "after": 6, "limit": 0.4},
     [48, 71, 1, 1.2]),
    ("ratio: 1 scale: 2 min_size: 400", {"ratios": [1], "scales": [2], "least": 400}, [70, 110, 1.5]),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "how", "info"), PROPOSALS, ids=range(len(PROPOSALS)))
@pytest.mark.parametrize("tops", [1, 2])
def test_proposal(tmp_path, settings, how, info, tops):
    number = len(how["ratios"]) * len(how["scales"])
    scores = RANDOM.random((1, 2 * number, 5, 7)).astype(F)
    deltas = normal(1, 4 * number, 5, 7) * F(0.3)
    info = np.asarray([info], F)
    rois, best = slow_proposals(scores, deltas, info, **how)
    inputs = {"scores": scores, "deltas": deltas, "info": info}
    blobs = run_one(tmp_path, "Proposal", inputs, f"proposal_param {{ {settings} }}", tops=tops)
    assert_blob_close(blobs["y"], rois.reshape(-1, 5), "y")
    if tops == 2:
        assert_blob_close(blobs["y1"], best, "y1")


def test_a_whole_rcnn_head(tmp_path):
    """Proposals go into both poolings and on into an inner product, whatever their number is."""
    layers = one_layer("Proposal", ["scores", "deltas", "info"],
                       "proposal_param { ratio: 1 scale: 2 feat_stride: 8 min_size: 4 }")  # fmt: skip
    layers += (
        'layer { name: "p" type: "ROIPooling" bottom: "x" bottom: "y" top: "p"'
        " roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.125 } }\n"
        'layer { name: "q" type: "PSROIPooling" bottom: "x" bottom: "y" top: "q"'
        " psroi_pooling_param { output_dim: 2 group_size: 2 spatial_scale: 0.125 } }\n"
        'layer { name: "f" type: "InnerProduct" bottom: "p" top: "f"'
        " inner_product_param { num_output: 4 } }\n"
        'layer { name: "s" type: "Softmax" bottom: "f" top: "s" }\n'
    )
    dims = {"x": (1, 8, 5, 7), "scores": (1, 2, 5, 7), "deltas": (1, 4, 5, 7), "info": (1, 3)}
    w, b = normal(4, 48), normal(4)
    net = net_of(tmp_path, dims, layers, {"f": [w, b]})
    fed = {"x": normal(*dims["x"]), "scores": RANDOM.random(dims["scores"]).astype(F),
           "deltas": normal(*dims["deltas"]) * F(0.2), "info": np.asarray([[40, 56, 1]], F)}  # fmt: skip
    blobs = net.run(fed)
    rois = blobs["y"]
    assert 1 < len(rois) < net.blobs["y"].shape[0]
    pooled = slow_roi_pool(fed["x"], rois, (3, 2), 0.125)
    assert_blob_close(blobs["p"], pooled, "p")
    assert_blob_close(blobs["q"], slow_psroi_pool(fed["x"], rois, 2, 2, 0.125), "q")
    assert_blob_close(blobs["f"], pooled.reshape(len(rois), -1) @ w.T.astype(float) + b, "f")


# --- what is refused ---

LOC, CONF, PRIOR = "loc", "conf", "prior"
DETECT = ("DetectionOutput", {LOC: (2, 12), CONF: (2, 9), PRIOR: (1, 2, 12)})
PROPOSE = ("Proposal", {"s": (1, 4, 5, 7), "d": (1, 8, 5, 7), "i": (1, 3)})
MAP = {"x": (2, 3, 4, 5)}
TWO = {"x": (2, 3, 4, 5), "image": (2, 3, 40, 50)}
ROIS = {"x": (2, 8, 4, 5), "rois": (6, 5)}
REFUSED = [
    ("Permute", MAP, "permute_param { order: 0 order: 4 }",
     "order [0, 4]: axes of a bottom (2, 3, 4, 5) are 0 to 3, each once"),
    ("Permute", MAP, "permute_param { order: 1 order: 1 }",
     "order [1, 1]: axes of a bottom (2, 3, 4, 5) are 0 to 3, each once"),
    ("Normalize", {"x": (3,)}, "", "takes (N, C, ...), the bottom is (3,)"),
    ("PriorBox", TWO, "", "min_size must be given, greater than 0"),
    ("PriorBox", TWO, "prior_box_param { min_size: 0 }", "min_size must be given, greater than 0"),
    ("PriorBox", TWO, "prior_box_param { min_size: 5 max_size: 5 }",
     "every max_size must be greater than its min_size"),
    ("PriorBox", TWO, "prior_box_param { min_size: 5 max_size: 6 max_size: 7 }",
     "2 max_sizes for 1 min_size; one for each"),
    ("PriorBox", TWO, "prior_box_param { min_size: 5 aspect_ratio: -1 }",
     "every aspect_ratio must be greater than 0"),
    ("PriorBox", TWO, "prior_box_param { min_size: 5 variance: 0.1 variance: 0.2 }",
     "2 variances; 1 or 4 are taken, all greater than 0"),
    ("PriorBox", TWO, "prior_box_param { min_size: 5 img_size: 9 img_h: 9 }",
     "img_size and img_h/img_w are both given; use one"),
    ("PriorBox", TWO, "prior_box_param { min_size: 5 step: 9 step_w: 9 }",
     "step and step_h/step_w are both given; use one"),
    ("PriorBox", TWO, "prior_box_param { min_size: 5 img_h: 9 }", "img_h and img_w must be greater than 0"),
    ("PriorBox", TWO, "prior_box_param { min_size: 5 step: 0 }", "step must be greater than 0"),
    ("PriorBox", {"x": (2, 3), "image": (2, 3, 4, 5)}, "prior_box_param { min_size: 5 }",
     "takes two bottoms (N, C, H, W), one is (2, 3)"),
    (*DETECT, "", "num_classes must be given"),
    (*DETECT, "detection_output_param { num_classes: 3 code_type: MIDDLE }",
     "code_type: MIDDLE is not known; CORNER, CENTER_SIZE, CORNER_SIZE are"),
    (*DETECT, "detection_output_param { num_classes: 3 nms_param { nms_threshold: -1 } }",
     "nms_param: nms_threshold is at least 0, eta in (0, 1]"),
    (*DETECT, "detection_output_param { num_classes: 3 keep_top_k: 0 }",
     "top_k and keep_top_k are at least 1, or -1 for all"),
    (*DETECT, "detection_output_param { num_classes: 1 }", "num_classes 1 is the background alone"),
    (*DETECT, "detection_output_param { num_classes: 4 }",
     "the confidences are (2, 9); 3 default boxes need 12 an image"),
    (*DETECT, "detection_output_param { num_classes: 3 share_location: false }",
     "the locations are (2, 12); 3 default boxes need 36 an image"),
    ("DetectionOutput", {LOC: (2, 12), CONF: (2, 9), PRIOR: (1, 12)},
     "detection_output_param { num_classes: 3 }",
     "the default boxes are (1, 2, boxes * 4), the bottom is (1, 12)"),
    ("ROIPooling", ROIS, "roi_pooling_param { pooled_h: 2 }", "pooled_h and pooled_w must be at least 1"),
    ("ROIPooling", {"x": (2, 8, 4, 5), "rois": (6, 4)}, "roi_pooling_param { pooled_h: 2 pooled_w: 2 }",
     "regions are (R, 5), the second bottom is (6, 4)"),
    ("ROIPooling", {"x": (2, 8), "rois": (6, 5)}, "roi_pooling_param { pooled_h: 2 pooled_w: 2 }",
     "takes (N, C, H, W), the bottom is (2, 8)"),
    ("PSROIPooling", ROIS, "psroi_pooling_param { output_dim: 2 group_size: 2 }",
     "output_dim, group_size and spatial_scale must be given"),
    ("PSROIPooling", ROIS, "psroi_pooling_param { output_dim: 2 group_size: 3 spatial_scale: 1 }",
     "8 channels; output_dim 2 and group_size 3 need 18"),
    (*PROPOSE, "", "ratio and scale must be given, greater than 0"),
    (*PROPOSE, "proposal_param { ratio: 1 scale: 8 scale: 0 }", "ratio and scale must be given, greater than 0"),
    (*PROPOSE, "proposal_param { ratio: 1 scale: 8 scale: 9 post_nms_topn: 0 }",
     "post_nms_topn must be at least 1"),
    (*PROPOSE, "proposal_param { ratio: 1 scale: 8 }",
     "1 anchors need scores (1, 2, H, W), the bottom is (1, 4, 5, 7)"),
    ("Proposal", {"s": (2, 2, 5, 7), "d": (2, 4, 5, 7), "i": (1, 3)}, "proposal_param { ratio: 1 scale: 8 }",
     "1 anchors need scores (1, 2, H, W), the bottom is (2, 2, 5, 7)"),
    ("Proposal", {"s": (1, 2, 5, 7), "d": (1, 4, 7, 5), "i": (1, 3)}, "proposal_param { ratio: 1 scale: 8 }",
     "deltas should be (1, 4, 5, 7), found (1, 4, 7, 5)"),
    ("Proposal", {"s": (1, 2, 5, 7), "d": (1, 4, 5, 7), "i": (1, 2)}, "proposal_param { ratio: 1 scale: 8 }",
     "the image's height, width and scale: found (1, 2)"),
    (*PROPOSE, "proposal_param { ratio: 1 scale: 8 nms_thresh: -1 }", "nms_thresh is at least 0"),
]  # fmt: skip
UNSUPPORTED = [
    (*DETECT, "detection_output_param { num_classes: 3 nms_param { nms_threshold: 0.6 eta: 0.9 } }",
     "nms_param: eta 0.9; only 1 is known"),
    (*DETECT, "detection_output_param { num_classes: 3 normalized_bbox: false }",
     "boxes in pixels (normalized_bbox: false)"),
    ("DetectionOutput", {**DETECT[1], "arm": (2, 9)}, "detection_output_param { num_classes: 3 }",
     "4 bottoms (RefineDet's form); three are known"),
    (*PROPOSE, "proposal_param { anchor_scale: 3 max_rois: 300 }",
     "proposal_param with anchor_scale is of a form whose rules differ; known is that with base_size,"
     " ratio, scale, pre_nms_topn, post_nms_topn, nms_thresh"),
    ("MultiBoxLoss", {**DETECT[1], "label": (1, 1, 3, 8)}, "",
     "MultiBoxLoss is for training only; open the deploy definition, which ends in DetectionOutput"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "inputs", "settings", "message"), REFUSED)
def test_refused(tmp_path, kind, inputs, settings, message):
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, inputs, one_layer(kind, list(inputs), settings))
    line = len(inputs) + 1
    assert str(caught.value).startswith(f"net.prototxt:{line}:")
    assert str(caught.value).endswith(f': layer "l": {message}')


@pytest.mark.parametrize(("kind", "inputs", "settings", "message"), UNSUPPORTED)
def test_unsupported(tmp_path, kind, inputs, settings, message):
    with pytest.raises(ls.errors.UnsupportedError) as caught:
        net_of(tmp_path, inputs, one_layer(kind, list(inputs), settings)).run({})
    assert str(caught.value).startswith(f"net.prototxt:{len(inputs) + 1}:")
    assert str(caught.value).endswith(f': layer "l": {message}')


def test_another_number_of_images_than_one_has_no_proposals(tmp_path):
    inputs = {"s": (1, 2, 5, 7), "d": (1, 4, 5, 7), "i": (1, 3)}
    net = net_of(
        tmp_path,
        inputs,
        one_layer("Proposal", list(inputs), "proposal_param { ratio: 1 scale: 2 }"),
    )
    with pytest.raises(ls.errors.ReadError, match="1 anchors need scores"):
        net.run({"s": normal(2, 2, 5, 7), "d": normal(2, 4, 5, 7), "i": normal(1, 3)})


def test_summaries(tmp_path):
    layers = one_layer(
        "PriorBox", ["x", "image"], "prior_box_param { min_size: 9 aspect_ratio: 2 }"
    )
    net = net_of(tmp_path, TWO, layers)
    assert net.layer("l").summary == "3 boxes at each of 4x5 cells, steps of 10x10 pixels"
    kind, inputs = DETECT
    settings = "detection_output_param { num_classes: 3 keep_top_k: 5 confidence_threshold: 0.01 }"
    net = net_of(tmp_path, inputs, one_layer(kind, list(inputs), settings))
    assert net.layer("l").summary == (
        "2 classes at 3 boxes, overlap at most 0.3, score above 0.01, at most 5 an image"
    )
