"""Layer types of segmentation, mobile and YOLO forks, and NVIDIA's BatchNorm, by slow loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from small_nets import net_of, one_layer, run_one

import layerscope as ls
from closeness import assert_blob_close

RANDOM = np.random.default_rng(43)
F = np.float32


def normal(*dims: int) -> np.ndarray:
    return RANDOM.normal(size=dims).astype(F)


def places(dims):
    return itertools.product(*(range(d) for d in dims))


# --- functions of one value ---

CURVES = [
    ("ReLU6", "", lambda v: min(max(v, 0.0), 6.0)),
    ("Mish", "", lambda v: v * math.tanh(max(v, 0) + math.log1p(math.exp(-abs(v))))),
    ("HardSigmoid", "", lambda v: min(max(v + 3, 0.0), 6.0) / 6),
    ("HSigmoid", "", lambda v: min(max(v + 3, 0.0), 6.0) / 6),
    ("HardSigmoid", "hard_sigmoid_param { alpha: 0.2 }", lambda v: min(max(0.2 * v + 0.5, 0), 1)),
    ("HardSigmoid", "hardsigmoid_param { alpha: 0.3 beta: 0.4 }", lambda v: min(max(0.3 * v + 0.4, 0), 1)),
    ("HSwish", "", lambda v: v * min(max(v + 3, 0.0), 6.0) / 6),
    ("HardSwish", "hard_swish_param { engine: CAFFE }", lambda v: v * min(max(v + 3, 0.0), 6.0) / 6),
]  # fmt: skip


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize(("kind", "settings", "rule"), CURVES, ids=lambda v: str(v)[:20])
def test_curves(tmp_path, kind, settings, rule, batch):
    x = normal(2, 3, 4, 5) * F(6)
    x.flat[:5] = 0, -3, 3, 40, -40
    got = run_one(tmp_path, kind, {"x": x}, settings, batch=batch)["y"]
    want = np.asarray([rule(float(v)) for v in x.ravel()]).reshape(x.shape)
    assert_blob_close(got, want, "y")


def test_hard_sigmoid_says_that_forks_differ(tmp_path):
    net = net_of(tmp_path, {"x": (1, 2)}, one_layer("HardSigmoid", ["x"]))
    assert net.layer("l").summary == "x / 6 + 0.5, cut to 0 to 1"
    assert net.notes == (
        'layer "l": forks define HardSigmoid with slope 1/6 or 0.2; 1/6 is used'
        " (say hard_sigmoid_param { alpha: 0.2 } for the other)",
    )


# --- channels ---


def slow_depthwise(x, w, b, stride, pad):
    times = len(w) // x.shape[1]
    out = [(s + 2 * pad - k) // stride + 1 for s, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    y = np.zeros((len(x), len(w), *out))
    for n, o, i, j in places(y.shape):
        for u, v in places(w.shape[2:]):
            h, k = i * stride - pad + u, j * stride - pad + v
            if 0 <= h < x.shape[2] and 0 <= k < x.shape[3]:
                y[n, o, i, j] += float(x[n, o // times, h, k]) * float(w[o, 0, u, v])
        y[n, o, i, j] += b[o]
    return y


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize(("more", "outputs"), [("", 4), ("group: 4", 4), ("", 8)])
@pytest.mark.parametrize("kind", ["DepthwiseConvolution", "ConvolutionDepthwise"])
def test_depthwise_convolution(tmp_path, kind, more, outputs, batch):
    x, w, b = normal(2, 4, 6, 7), normal(outputs, 1, 3, 3), normal(outputs)
    settings = (
        f"convolution_param {{ num_output: {outputs} kernel_size: 3 stride: 2 pad: 1 {more} }}"
    )
    got = run_one(tmp_path, kind, {"x": x}, settings, [w, b], batch)["y"]
    assert_blob_close(got, slow_depthwise(x, w, b, 2, 1), "y")


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize("dims", [(2, 12, 4, 5), (3, 12), (2, 12, 3, 4, 5)])
@pytest.mark.parametrize("group", [1, 3, 4])
def test_shuffle_channel(tmp_path, group, dims, batch):
    x = normal(*dims)
    settings = f"shuffle_channel_param {{ group: {group} }}"
    got = run_one(tmp_path, "ShuffleChannel", {"x": x}, settings, batch=batch)["y"]
    each = 12 // group
    for c in range(12):
        np.testing.assert_array_equal(got[:, c % each * group + c // each], x[:, c])


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize("more", [(), (1, 1)])
def test_axpy(tmp_path, more, batch):
    a, x, y = normal(2, 3, *more), normal(2, 3, 4, 5), normal(2, 3, 4, 5)
    got = run_one(tmp_path, "Axpy", {"a": a, "x": x, "b": y}, batch=batch)["y"]
    want = np.zeros(x.shape)
    for n, c, h, w in places(x.shape):
        want[n, c, h, w] = a.reshape(2, 3)[n, c] * x[n, c, h, w] + y[n, c, h, w]
    assert_blob_close(got, want, "y")


def slow_reorg(x, s, reverse):
    """Darknet's walk over memory: place k, j, i of (C, H, W) meets place c, h, w of the other."""
    n, channels, height, width = x.shape
    few = channels // (s * s)
    small = (channels, height, width)
    large = (few, height * s, width * s)
    y = np.zeros(x.shape, F).reshape(n, -1)
    for k, j, i in places(small):
        phase = k // few
        other = (k % few, j * s + phase // s, i * s + phase % s)
        a = np.ravel_multi_index((k, j, i), small)
        b = np.ravel_multi_index(other, large)
        for image in range(n):
            source = x[image].ravel()
            if reverse:
                y[image, b] = source[a]
            else:
                y[image, a] = source[b]
    out = large if reverse else (channels * s * s, height // s, width // s)
    return y.reshape(n, *out)


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize(
    ("dims", "stride", "reverse"),
    [((2, 8, 4, 6), 2, False), ((1, 9, 3, 6), 3, False), ((2, 12, 3, 5), 2, True),
     ((1, 18, 2, 5), 3, True), ((2, 3, 4, 5), 1, False)],
)  # fmt: skip
def test_reorg(tmp_path, dims, stride, reverse, batch):
    x = normal(*dims)
    settings = f"reorg_param {{ stride: {stride} reverse: {str(reverse).lower()} }}"
    got = run_one(tmp_path, "Reorg", {"x": x}, settings, batch=batch)["y"]
    np.testing.assert_array_equal(got, slow_reorg(x, stride, reverse))


# --- Interp, Upsample, Unpooling ---


def slow_interp(x, size, before=0, behind=0):
    x = x[:, :, -before : x.shape[2] + behind, -before : x.shape[3] + behind].astype(np.float64)
    y = np.zeros((*x.shape[:2], *size))
    for i, j in places(size):
        near = []
        for at, have, want in ((i, x.shape[2], size[0]), (j, x.shape[3], size[1])):
            exact = at * (have - 1) / (want - 1) if want > 1 else 0.0
            low = min(int(exact + 1e-9), have - 1)
            near.append((low, min(low + 1, have - 1), exact - low))
        (h, h1, dh), (w, w1, dw) = near
        y[:, :, i, j] = (1 - dh) * ((1 - dw) * x[:, :, h, w] + dw * x[:, :, h, w1])
        y[:, :, i, j] += dh * ((1 - dw) * x[:, :, h1, w] + dw * x[:, :, h1, w1])
    return y


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize(
    ("settings", "size", "cut"),
    [
        ("zoom_factor: 3", (22, 13), (0, 0)),
        ("shrink_factor: 3", (3, 2), (0, 0)),
        ("shrink_factor: 2 zoom_factor: 3", (10, 7), (0, 0)),
        ("height: 11 width: 4", (11, 4), (0, 0)),
        ("height: 1 width: 6", (1, 6), (0, 0)),
        ("height: 11 width: 9 zoom_factor: 2", (15, 9), (0, 0)),
        ("height: 11 width: 9 pad_beg: -1 pad_end: -2", (11, 9), (-1, -2)),
        ("zoom_factor: 2 pad_end: -1", (13, 7), (0, -1)),
        ("zoom_factor: 1", (8, 5), (0, 0)),
    ],
)
def test_interp(tmp_path, settings, size, cut, batch):
    x = normal(2, 3, 8, 5)
    got = run_one(tmp_path, "Interp", {"x": x}, f"interp_param {{ {settings} }}", batch=batch)["y"]
    assert_blob_close(got, slow_interp(x, size, *cut), "y")


def masked(dims, size):
    """Values and places for them, all different within a plane."""
    x = normal(*dims)
    mask = np.zeros(dims, F)
    for n, c in places(dims[:2]):
        chosen = RANDOM.permutation(size[0] * size[1])[: dims[2] * dims[3]]
        mask[n, c] = chosen.reshape(dims[2:])
    return x, mask


def slow_by_mask(x, mask, size):
    y = np.zeros((*x.shape[:2], *size), F)
    for n, c, h, w in places(x.shape):
        at = int(mask[n, c, h, w])
        y[n, c, at // size[1], at % size[1]] = x[n, c, h, w]
    return y


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize(
    ("settings", "size"),
    [("", (8, 10)), ("scale: 3", (12, 15)), ("scale_h: 2 scale_w: 3", (8, 15)),
     ("scale: 2 pad_out_h: true", (7, 10)), ("pad_out_w: true", (8, 9)),
     ("scale: 2 upsample_h: 7 upsample_w: 11", (7, 11))],
)  # fmt: skip
def test_upsample_by_a_mask(tmp_path, settings, size, batch):
    x, mask = masked((2, 3, 4, 5), size)
    got = run_one(
        tmp_path,
        "Upsample",
        {"x": x, "mask": mask},
        f"upsample_param {{ {settings} }}",
        batch=batch,
    )["y"]
    np.testing.assert_array_equal(got, slow_by_mask(x, mask, size))


def test_upsample_undoes_pooling_with_its_mask(tmp_path):
    x = normal(2, 3, 6, 10)
    x[0, 0, 0, 0] = np.inf
    layers = (
        'layer { name: "p" type: "Pooling" bottom: "x" top: "p" top: "m"'
        " pooling_param { kernel_size: 2 stride: 2 } }\n"
    ) + one_layer("Upsample", ["p", "m"], "upsample_param { scale: 2 }")
    got = net_of(tmp_path, {"x": (1, 3, 6, 10)}, layers).run(x)["y"]
    want = np.zeros(x.shape, F)
    for n, c, h, w in places((2, 3, 3, 5)):
        window = x[n, c, 2 * h : 2 * h + 2, 2 * w : 2 * w + 2]
        i, j = np.unravel_index(window.argmax(), (2, 2))
        want[n, c, 2 * h + i, 2 * w + j] = window.max()
    np.testing.assert_array_equal(got, want)


def test_a_mask_beyond_the_output_stops_the_run(tmp_path):
    x, mask = masked((1, 2, 2, 2), (4, 4))
    mask[0, 0, 0, 0] = 16
    with pytest.raises(ls.errors.UnsupportedError, match="ONNX Runtime stopped"):
        run_one(tmp_path, "Upsample", {"x": x, "mask": mask}, "upsample_param { scale: 2 }")


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize(
    ("settings", "times", "factor"),
    [("scale: 2", 2, 1), ("scale: 3", 3, 1), ("", 1, 1), ("stride: 2 scale: 0.5", 2, 0.5), ("stride: 4", 4, 1)],
)  # fmt: skip
def test_upsample_by_repeating(tmp_path, settings, times, factor, batch):
    x = normal(2, 3, 4, 5)
    got = run_one(tmp_path, "Upsample", {"x": x}, f"upsample_param {{ {settings} }}", batch=batch)[
        "y"
    ]
    want = np.zeros((2, 3, 4 * times, 5 * times))
    for n, c, h, w in places(want.shape):
        want[n, c, h, w] = x[n, c, h // times, w // times] * factor
    assert_blob_close(got, want, "y")


def slow_unpool(x, method, kernel, stride, size):
    y = np.zeros((*x.shape[:2], *size))
    for n, c, h, w in places(x.shape):
        i, j = h * stride[0], w * stride[1]
        down, across = min(i + kernel[0], size[0]), min(j + kernel[1], size[1])
        value = float(x[n, c, h, w])
        if method == "MAX":
            y[n, c, i, j] = value
        elif method == "AVE":
            y[n, c, i:down, j:across] += value / ((down - i) * (across - j))
        else:
            y[n, c, i:down, j:across] += value
    return y


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize(
    ("settings", "kernel", "stride", "size"),
    [("kernel_size: 2 stride: 2", (2, 2), (2, 2), (9, 11)),
     ("kernel_size: 2 stride: 2 unpool_size: 10", (2, 2), (2, 2), (10, 10)),
     ("kernel_h: 3 kernel_w: 4 stride_h: 2 stride_w: 3", (3, 4), (2, 3), (9, 16)),
     ("kernel_size: 3 stride: 2 unpool_h: 8 unpool_w: 9", (3, 3), (2, 2), (8, 9)),
     ("kernel_size: 3", (3, 3), (1, 1), (6, 7))],
)  # fmt: skip
@pytest.mark.parametrize("method", ["MAX", "AVE", "TILE"])
def test_unpooling(tmp_path, method, settings, kernel, stride, size, batch):
    x = normal(2, 3, 4, 5)
    text = f"unpooling_param {{ unpool: {method} {settings} }}"
    got = run_one(tmp_path, "Unpooling", {"x": x}, text, batch=batch)["y"]
    assert_blob_close(got, slow_unpool(x, method, kernel, stride, size), "y")


@pytest.mark.parametrize("batch", [0, 5])
def test_unpooling_by_a_mask(tmp_path, batch):
    x, mask = masked((2, 3, 4, 5), (8, 9))
    settings = "unpooling_param { unpool: MAX kernel_size: 2 stride: 2 unpool_h: 8 unpool_w: 9 }"
    got = run_one(tmp_path, "Unpooling", {"x": x, "mask": mask}, settings, batch=batch)["y"]
    np.testing.assert_array_equal(got, slow_by_mask(x, mask, (8, 9)))


def test_unpooling_in_the_older_form(tmp_path):
    """DeconvNet's own definitions: `layers` with the enum name."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 5\n'
        'layers { name: "l" type: UNPOOLING bottom: "x" top: "y"'
        " unpooling_param { unpool: TILE kernel_size: 2 stride: 2 unpool_size: 10 } }"
    )
    x = normal(2, 3, 4, 5)
    net = ls.open(path)
    assert net.notes == ()
    assert_blob_close(net.run(x)["y"], slow_unpool(x, "TILE", (2, 2), (2, 2), (10, 10)), "y")


# --- BN, and NVIDIA's BatchNorm ---


def slow_standardize(x, mean, variance, eps):
    y = np.zeros(x.shape)
    for place in places(x.shape):
        c = place[1]
        y[place] = (x[place] - mean[c]) / math.sqrt(variance[c] + eps)
    return y


def statistics(x):
    over = tuple(i for i in range(x.ndim) if i != 1)
    wide = x.astype(np.float64)
    return wide.mean(axis=over), wide.var(axis=over)


def along(values, x):
    return values.astype(np.float64).reshape(-1, *[1] * (x.ndim - 2))


BN = [  # settings, blobs, what the statistics are, eps
    ("slope_filler { value: 1 } frozen: true momentum: 0.95", 4, "stored", 1e-5),
    ("eps: 0.25", 4, "stored", 0.25),
    (
        "scale_filler { value: 1 } shift_filler { value: 0 } var_eps: 0.5 decay: 0.9",
        4,
        "stored",
        0.5,
    ),
    ("moving_average: false var_eps: 0.125", 4, "batch", 0.125),
    ("bn_mode: INFERENCE scale_filler { value: 1 }", 2, "none", 0),
    ("bn_mode: LEARN", 2, "batch", 1e-9),
    ("scale_filler { value: 1 }", 2, "batch", 1e-9),
]


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize("dims", [(2, 3, 4, 5), (4, 3), (2, 3, 7)])
@pytest.mark.parametrize(("settings", "blobs", "kind", "eps"), BN, ids=range(len(BN)))
def test_bn(tmp_path, settings, blobs, kind, eps, dims, batch):
    x = normal(*dims) * F(2) + F(1)
    scale, shift, mean, variance = normal(3), normal(3), normal(3), RANDOM.random(3).astype(F)
    arrays = [scale, shift, mean, variance][:blobs]
    arrays = [each.reshape(1, 3, 1, 1) for each in arrays]  # as these forks store them
    got = run_one(tmp_path, "BN", {"x": x}, f"bn_param {{ {settings} }}", arrays, batch)["y"]
    if kind == "none":
        want = x.astype(np.float64)
    else:
        how = (mean, variance) if kind == "stored" else statistics(x)
        want = slow_standardize(x, *how, eps)
    assert_blob_close(got, want * along(scale, x) + along(shift, x), "y")


def test_bn_without_weights_begins_as_its_fillers_say(tmp_path):
    x = normal(1, 3, 4, 5)
    text = "bn_param { slope_filler { value: 2 } bias_filler { value: 0.5 } }"
    net = net_of(tmp_path, {"x": x.shape}, one_layer("BN", ["x"], text))
    assert [each.shape for each in net.params["l"]] == [(3,)] * 4
    got = net.run(x, allow_missing=True)["y"]
    assert_blob_close(got, x / math.sqrt(1 + 1e-5) * 2 + 0.5, "y")
    text = "bn_param { bn_mode: INFERENCE scale_filler { value: 3 } shift_filler { value: 1 } }"
    net = net_of(tmp_path, {"x": x.shape}, one_layer("BN", ["x"], text))
    assert_blob_close(net.run(x, allow_missing=True)["y"], x * 3 + 1, "y")


ORDERS = {
    "0.16": ("mean", "variance", "factor", "scale", "bias"),
    "0.15": ("scale", "bias", "mean", "variance", "factor"),
    "0.16 without factor": ("mean", "variance", "scale", "bias"),
    "0.15 without counter": ("scale", "bias", "mean", "variance"),
}


@pytest.mark.parametrize("batch", [0, 5])
@pytest.mark.parametrize("legacy", [False, True], ids=["(C)", "(1, C, 1, 1)"])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("settings", ["", "batch_norm_param { scale_bias: true eps: 1e-9 }",
                                      "batch_norm_param { eps: 0.25 bias_filler { value: 0 } }"])  # fmt: skip
def test_batch_norm_of_nvidia(tmp_path, settings, order, legacy, batch):
    x = normal(2, 3, 4, 5)
    known = {"mean": normal(3), "variance": RANDOM.random(3).astype(F), "factor": np.zeros(1, F),
             "scale": normal(3), "bias": np.asarray([-1.5, 2, -0.5], F)}  # fmt: skip
    known["scale"][0] = -abs(known["scale"][0])
    arrays = [known[name].reshape(1, -1, 1, 1) if legacy else known[name] for name in order]
    got = run_one(tmp_path, "BatchNorm", {"x": x}, settings, arrays, batch)["y"]
    eps = 0.25 if "0.25" in settings else 1e-5
    want = slow_standardize(x, known["mean"], known["variance"], eps)
    assert_blob_close(got, want * along(known["scale"], x) + along(known["bias"], x), "y")


def test_batch_norm_of_nvidia_without_weights(tmp_path):
    text = "batch_norm_param { scale_filler { value: 2 } bias_filler { value: 1 } }"
    net = net_of(tmp_path, {"x": (1, 3, 4, 5)}, one_layer("BatchNorm", ["x"], text))
    assert [each.shape for each in net.params["l"]] == [(3,), (3,), (1,), (3,), (3,)]
    x = normal(1, 3, 4, 5)
    assert_blob_close(net.run(x, allow_missing=True)["y"], x / math.sqrt(1 + 1e-5) * 2 + 1, "y")


def test_three_blobs_stay_as_in_bvlc(tmp_path):
    """A factor of 0 means what it means there, also when NVIDIA's Caffe wrote the file."""
    x, blobs = normal(2, 3, 4, 5), [normal(3), RANDOM.random(3).astype(F), np.zeros(1, F)]
    net = net_of(tmp_path, {"x": x.shape}, one_layer("BatchNorm", ["x"]), {"l": blobs})
    assert_blob_close(net.run(x)["y"], x / math.sqrt(1e-5), "y")
    assert any("is 0; mean and variance count as 0" in note for note in net.notes)


C, ONE = np.asarray([1, 2, 3], F), np.ones(1, F)
WRONG = [  # blobs, message
    ([C, C, C, C], "4 blobs of NVIDIA's BatchNorm, but which of them is the variance (never"
     " negative) cannot be told"),
    ([C, -C, ONE, C, C], "5 blobs of NVIDIA's BatchNorm, but which of them is the variance (never"
     " negative) cannot be told"),
    ([C] * 6, "BatchNorm with 6 blobs; 3, 4 and 5 are known"),
]  # fmt: skip


@pytest.mark.parametrize(("blobs", "message"), WRONG)
def test_blobs_that_cannot_be_told_apart(tmp_path, blobs, message):
    with pytest.raises(ls.errors.UnsupportedError) as caught:
        net_of(tmp_path, {"x": (1, 3, 4, 5)}, one_layer("BatchNorm", ["x"]), {"l": blobs}).run({})
    assert str(caught.value) == f'net.prototxt:2:7: layer "l": {message}'


@pytest.mark.parametrize(
    ("kind", "settings", "blobs", "message"),
    [
        ("BatchNorm", "", [C, C, C, C, C], 'layer "l": the definition says (1,), net.caffemodel has (3,)'),
        ("BatchNorm", "batch_norm_param { scale_bias: true }", [C, C, ONE],
         'net.prototxt:2:7: layer "l": takes 5 blobs of weights, net.caffemodel has 3'),
        ("BN", "", [C, C[:2], C, C], 'layer "l": the definition says (3,), net.caffemodel has (2,)'),
        ("Normalize", "norm_param { channel_shared: true }", [C],
         'layer "l": the definition says (), net.caffemodel has (3,)'),
        ("Normalize", "norm_param { channel_shared: false }", [ONE],
         'layer "l": the definition says (3,), net.caffemodel has (1,)'),
        ("DepthwiseConvolution", "convolution_param { num_output: 3 kernel_size: 1 }",
         [np.zeros((3, 3, 1, 1)), C], 'layer "l": the definition says (3, 1, 1, 1),'
         " net.caffemodel has (3, 3, 1, 1)"),
    ],
)  # fmt: skip
def test_counts_are_checked(tmp_path, kind, settings, blobs, message):
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, {"x": (1, 3, 4, 5)}, one_layer(kind, ["x"], settings), {"l": blobs})
    assert str(caught.value) == message


# --- what is refused ---

MAP, MASKED = {"x": (2, 3, 4, 5)}, {"x": (2, 3, 4, 5), "mask": (2, 3, 4, 5)}
FLAT = {"x": (2, 3)}
REFUSED = [
    ("DepthwiseConvolution", MAP, "convolution_param { num_output: 3 kernel_size: 1 group: 2 }",
     "group 2; a depthwise convolution has one for each of 3 channels"),
    ("ConvolutionDepthwise", MAP, "convolution_param { num_output: 4 kernel_size: 1 }",
     "3 channels in, 4 out cannot be split into 3 groups"),
    ("ConvolutionDepthwise", FLAT, "convolution_param { num_output: 3 kernel_size: 1 }",
     "takes (N, C, ...), the bottom is (2, 3)"),
    ("ShuffleChannel", MAP, "shuffle_channel_param { group: 2 }", "3 channels cannot be split into 2 groups"),
    ("ShuffleChannel", MAP, "shuffle_channel_param { group: 0 }", "3 channels cannot be split into 0 groups"),
    ("ShuffleChannel", {"x": (3,)}, "", "takes (N, C, ...), the bottom is (3,)"),
    ("Axpy", {"a": (2, 3), "x": (2, 3, 4, 5), "z": (2, 3, 5, 4)}, "",
     "x is (2, 3, 4, 5) and y (2, 3, 5, 4); they must be alike"),
    ("Axpy", {"a": (2, 4), "x": (2, 3, 4, 5), "z": (2, 3, 4, 5)}, "",
     "the scale is (2, 4); x of (2, 3, 4, 5) needs (N, C)"),
    ("Axpy", {"a": (2, 3, 4, 1), "x": (2, 3, 4, 5), "z": (2, 3, 4, 5)}, "",
     "the scale is (2, 3, 4, 1); x of (2, 3, 4, 5) needs (N, C)"),
    ("Reorg", MAP, "", "stride must be given, at least 1"),
    ("Reorg", MAP, "reorg_param { stride: 2 }", "3 channels cannot be split by stride 2 squared"),
    ("Reorg", {"x": (2, 4, 4, 5)}, "reorg_param { stride: 2 }", "stride 2 does not divide 4x5"),
    ("Reorg", FLAT, "reorg_param { stride: 2 }", "takes (N, C, H, W), the bottom is (2, 3)"),
    ("Interp", MAP, "", "zoom_factor, shrink_factor, or height and width must be given"),
    ("Interp", MAP, "interp_param { height: 3 }",
     "zoom_factor, shrink_factor, or height and width must be given"),
    ("Interp", MAP, "interp_param { zoom_factor: 2 pad_beg: 1 }",
     "pad_beg and pad_end may only cut (0 or less)"),
    ("Interp", MAP, "interp_param { zoom_factor: 2 pad_beg: -2 pad_end: -2 }",
     "pad_beg and pad_end leave 0x1 of 4x5"),
    ("Interp", MAP, "interp_param { zoom_factor: 0 }", "shrink_factor and zoom_factor must be at least 1"),
    ("Interp", MAP, "interp_param { height: 0 width: 3 }", "an output of 0 x 3"),
    ("Interp", FLAT, "interp_param { zoom_factor: 2 }", "takes (N, C, H, W), the bottom is (2, 3)"),
    ("Upsample", FLAT, "upsample_param { scale: 2 }", "takes (N, C, H, W), the bottom is (2, 3)"),
    ("Upsample", MAP, "upsample_param { scale: 1.5 }", "scale 1.5 must be a whole number, at least 1"),
    ("Upsample", MAP, "upsample_param { upsample_h: 8 upsample_w: 10 }",
     "upsample_h, scale_h ... need the pooling's mask as a second bottom"),
    ("Upsample", MASKED, "upsample_param { scale: 1 }", "scale must be a whole number greater than 1"),
    ("Upsample", MASKED, "upsample_param { scale_h: 2 }",
     "upsample_h and upsample_w, or scale, or scale_h and scale_w"),
    ("Upsample", MASKED, "upsample_param { scale: 3 pad_out_h: true }",
     "pad_out_h and pad_out_w go with a scale of 2"),
    ("Upsample", MASKED, "upsample_param { upsample_h: 1 upsample_w: 9 }",
     "upsample_h and upsample_w must be greater than 1"),
    ("Upsample", {"x": (2, 3, 4, 5), "mask": (2, 3, 5, 4)}, "upsample_param { scale: 2 }",
     "the mask is (2, 3, 5, 4), the bottom (2, 3, 4, 5); not alike"),
    ("Unpooling", MAP, "", "kernel_size is missing"),
    ("Unpooling", FLAT, "unpooling_param { kernel_size: 2 }", "takes (N, C, H, W), the bottom is (2, 3)"),
    ("Unpooling", MAP, "unpooling_param { kernel_size: 2 unpool: STOCHASTIC }",
     "unpool: STOCHASTIC is not known; MAX, AVE, TILE are"),
    ("Unpooling", MASKED, "unpooling_param { kernel_size: 2 unpool: AVE }",
     "a mask goes with MAX, not with AVE"),
    ("Unpooling", MAP, "unpooling_param { kernel_size: 2 pad: 1 }", "pad must be 0"),
    ("Unpooling", MAP, "unpooling_param { kernel_size: 2 stride: 0 }",
     "kernel_size and stride must be at least 1"),
    ("Unpooling", MAP, "unpooling_param { kernel_size: 2 kernel_h: 2 }",
     "kernel_size, or kernel_h and kernel_w; not a mix"),
    ("Unpooling", MAP, "unpooling_param { kernel_size: 2 unpool_h: 4 }",
     "unpool_size, or unpool_h and unpool_w; not a mix"),
    ("Unpooling", MAP, "unpooling_param { kernel_size: 2 stride: 2 unpool_size: 7 }",
     "an output of 7x7 has no place for the last window"),
    ("Unpooling", MAP, "unpooling_param { kernel_size: 2 unpool_size: 0 }", "unpool_size must be at least 1"),
    ("BN", {"x": (3,)}, "", "takes (N, C, ...), the bottom is (3,)"),
    ("BN", MAP, "bn_param { bn_mode: TRAIN }", "bn_mode: TRAIN is not known; LEARN, INFERENCE are"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "inputs", "settings", "message"), REFUSED)
def test_refused(tmp_path, kind, inputs, settings, message):
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, inputs, one_layer(kind, list(inputs), settings))
    assert str(caught.value).startswith(f"net.prototxt:{len(inputs) + 1}:")
    assert str(caught.value).endswith(f': layer "l": {message}')


def test_a_bn_of_three_blobs_is_not_known(tmp_path):
    with pytest.raises(ls.errors.UnsupportedError) as caught:
        net_of(tmp_path, {"x": (1, 3, 4, 5)}, one_layer("BN", ["x"]), {"l": [C, C, C]}).run({})
    assert str(caught.value) == (
        'net.prototxt:2:7: layer "l": BN with 3 blobs; 2 (SegNet) and 4 (PSPNet) are known'
    )


def test_summaries(tmp_path):
    for kind, inputs, settings, summary in [
        ("Interp", MAP, "interp_param { zoom_factor: 2 }", "4x5 to 7x9, bilinear, corner to corner"),
        ("Upsample", MAP, "upsample_param { scale: 2 }", "2 times, nearest"),
        ("Upsample", MASKED, "", "to 8x10, values back where the mask says"),
        ("Unpooling", MAP, "unpooling_param { kernel_size: 2 stride: 2 }", "max of 2x2, stride 2x2, to 9x11"),
        ("ShuffleChannel", MAP, "shuffle_channel_param { group: 3 }", "3 groups of 1"),
        ("Reorg", {"x": (1, 4, 4, 6)}, "reorg_param { stride: 2 }", "stride 2, darknet's order"),
        ("BN", MAP, "bn_param { bn_mode: INFERENCE }", "scale and shift, with the statistics folded in"),
        ("DepthwiseConvolution", MAP, "convolution_param { num_output: 3 kernel_size: 3 }",
         "3 filters 3x3, 3 groups"),
    ]:  # fmt: skip
        net = net_of(tmp_path, inputs, one_layer(kind, list(inputs), settings))
        assert net.layer("l").summary == summary
