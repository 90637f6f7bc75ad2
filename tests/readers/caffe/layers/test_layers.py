"""Settings that the golden cases leave out, against slow loops or matrices written by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import layerscope as ls
from closeness import assert_blob_close
from onelayer import net_of

RANDOM = np.random.default_rng(11)


def slow_conv(x, w, b, stride, pad, dilation, group):
    n, _, *size = x.shape
    outs, per_group, *kernel = w.shape
    out = [
        (s + 2 * p - (d * (k - 1) + 1)) // st + 1
        for s, p, d, k, st in zip(size, pad, dilation, kernel, stride, strict=True)
    ]
    y = np.zeros((n, outs, *out))
    for i, o in itertools.product(range(n), range(outs)):
        first = (o // (outs // group)) * per_group
        for at in itertools.product(*(range(k) for k in out)):
            total = float(b[o])
            for ch in range(per_group):
                for tap in itertools.product(*(range(k) for k in kernel)):
                    place = [
                        a * st - p + t * d
                        for a, st, p, t, d in zip(at, stride, pad, tap, dilation, strict=True)
                    ]
                    if all(0 <= q < s for q, s in zip(place, size, strict=True)):
                        total += float(x[(i, first + ch, *place)]) * float(w[(o, ch, *tap)])
            y[(i, o, *at)] = total
    return y


@pytest.mark.parametrize(
    ("dims", "settings", "kernel", "stride", "pad", "dilation", "group"),
    [
        ((2, 4, 7, 9), "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0",
         (3, 2), (2, 1), (1, 0), (1, 1), 2),
        ((1, 6, 9, 8), "kernel_size: 3 dilation: 2 dilation: 1 pad: 2 pad: 1",
         (3, 3), (1, 1), (2, 1), (2, 1), 3),
        ((2, 3, 11), "kernel_size: 4 stride: 3 pad: 2", (4,), (3,), (2,), (1,), 1),
        ((1, 2, 4, 5, 3), "kernel_size: 2 kernel_size: 3 kernel_size: 1", (2, 3, 1), (1, 1, 1),
         (0, 0, 0), (1, 1, 1), 1),
        ((1, 6, 5, 4), "kernel_size: 3 pad: 1", (3, 3), (1, 1), (1, 1), (1, 1), 6),
    ],
)  # fmt: skip
def test_convolution(tmp_path, dims, settings, kernel, stride, pad, dilation, group):
    outs = 6
    w = RANDOM.normal(size=(outs, dims[1] // group, *kernel)).astype(np.float32)
    b = RANDOM.normal(size=outs).astype(np.float32)
    x = RANDOM.normal(size=dims).astype(np.float32)
    net = net_of(
        tmp_path, dims,
        'layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {'
        f" num_output: {outs} group: {group} {settings} }} }}",
        {"c": [w, b]},
    )  # fmt: skip
    got = net.run(x)["c"]
    assert_blob_close(got, slow_conv(x, w, b, stride, pad, dilation, group), "c")
    from layerscope.measure.cost import layer_costs

    assert layer_costs(net)[1].multiply_adds == got.size * dims[1] // group * np.prod(kernel)


def test_convolution_of_several_bottoms_shares_its_weights(tmp_path):
    w = RANDOM.normal(size=(3, 2, 2, 2)).astype(np.float32)
    x, y = RANDOM.normal(size=(2, 1, 2, 4, 5)).astype(np.float32)
    net = net_of(
        tmp_path, (1, 2, 4, 5),
        'layer { name: "c" type: "Convolution" bottom: "x" bottom: "y" top: "a" top: "b"'
        " convolution_param { num_output: 3 kernel_size: 2 bias_term: false } }",
        {"c": [w]}, {"y": (1, 2, 4, 5)},
    )  # fmt: skip
    blobs = net.run({"x": x, "y": y})
    zero = np.zeros(3)
    for name, given in (("a", x), ("b", y)):
        want = slow_conv(given, w, zero, (1, 1), (0, 0), (1, 1), 1)
        assert_blob_close(blobs[name], want, name)
    assert len(net.params["c"]) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("kernel_size: 3", "num_output must be at least 1"),
        ("num_output: 4", "kernel_size is missing"),
        ("num_output: 4 kernel_size: 3 group: 3", "4 channels in, 4 out cannot be split into 3"),
        (
            "num_output: 4 kernel_size: 9",
            r"a kernel of 9x9 does not fit into a bottom \(1, 4, 5, 6\)",
        ),
        ("num_output: 4 kernel_size: 1 kernel_size: 2 kernel_size: 3", "kernel_size has 3 values"),
        ("num_output: 4 kernel_h: 2", "kernel_h and kernel_w must both be given"),
        ("num_output: 4 kernel_size: 2 kernel_h: 2 kernel_w: 2", "are both given; use one"),
        ("num_output: 4 kernel_size: 0", "every number must be at least 1"),
        ("num_output: 4 kernel_size: 2 dilation: 0", "dilation 0x0"),
    ],
)
def test_convolution_refused(tmp_path, settings, message):
    layer = f'layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{ {settings} }} }}'
    with pytest.raises(ls.errors.ReadError, match=message):
        net_of(tmp_path, (1, 4, 5, 6), layer)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_inner_product(tmp_path, axis, transpose):
    dims, outs = (2, 3, 4, 5), 6
    first = axis % 4
    inputs = int(np.prod(dims[first:]))
    w = RANDOM.normal(size=(outs, inputs)).astype(np.float32)
    b = RANDOM.normal(size=outs).astype(np.float32)
    x = RANDOM.normal(size=dims).astype(np.float32)
    net = net_of(
        tmp_path, dims,
        'layer { name: "f" type: "InnerProduct" bottom: "x" top: "f" inner_product_param {'
        f" num_output: {outs} axis: {axis} transpose: {'true' if transpose else 'false'} }} }}",
        {"f": [np.ascontiguousarray(w.T) if transpose else w, b]},
    )  # fmt: skip
    want = x.astype(np.float64).reshape(*dims[:first], inputs) @ w.T.astype(np.float64) + b
    assert net.blobs["f"].shape == want.shape
    assert_blob_close(net.run(x)["f"], want, "f")
    from layerscope.measure.cost import layer_costs

    assert layer_costs(net)[1].multiply_adds == x.size * outs


def test_lrn_by_a_slow_loop(tmp_path):
    x = RANDOM.normal(size=(2, 7, 3, 4)).astype(np.float32) * 3
    net = net_of(
        tmp_path, x.shape,
        'layer { name: "n" type: "LRN" bottom: "x" top: "n"'
        " lrn_param { local_size: 3 alpha: 0.7 beta: 0.6 k: 2 } }",
    )  # fmt: skip
    want = np.zeros(x.shape)
    for n, c, h, w in itertools.product(*(range(d) for d in x.shape)):
        energy = sum(float(x[n, i, h, w]) ** 2 for i in range(max(0, c - 1), min(7, c + 2)))
        want[n, c, h, w] = x[n, c, h, w] / (2 + 0.7 / 3 * energy) ** 0.6
    assert_blob_close(net.run(x)["n"], want, "n")


def test_lrn_of_even_size_is_refused(tmp_path):
    layer = 'layer { name: "n" type: "LRN" bottom: "x" top: "n" lrn_param { local_size: 4 } }'
    with pytest.raises(ls.errors.ReadError, match="local_size 4 must be odd"):
        net_of(tmp_path, (1, 2, 3, 4), layer)


@pytest.mark.parametrize("factor", [0.0, 4.0])
def test_batch_norm_factor(tmp_path, factor):
    mean = RANDOM.normal(size=3).astype(np.float32)
    variance = RANDOM.random(size=3).astype(np.float32)
    x = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    layer = (
        'layer { name: "b" type: "BatchNorm" bottom: "x" top: "b" batch_norm_param { eps: 0.01 } }'
    )
    net = net_of(tmp_path, x.shape, layer, {"b": [mean, variance, np.float32([factor])]})
    inverse = 1 / factor if factor else 0
    m, v = (mean * inverse)[:, None, None], (variance * inverse)[:, None, None]
    assert_blob_close(net.run(x)["b"], (x - m) / np.sqrt(v + 0.01), "b")
    assert any("is 0; mean and variance count as 0" in note for note in net.notes) == (factor == 0)


@pytest.mark.parametrize(
    ("axis", "num_axes", "shape"),
    [(1, 1, (3,)), (0, 1, (2,)), (1, 2, (3, 4)), (2, -1, (4, 5)), (0, -1, (2, 3, 4, 5)),
     (-1, 1, (5,)), (1, 0, ())],
)  # fmt: skip
@pytest.mark.parametrize("bias", [False, True])
def test_scale_axes(tmp_path, axis, num_axes, shape, bias):
    x = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    w, b = (RANDOM.normal(size=shape).astype(np.float32) for _ in range(2))
    net = net_of(
        tmp_path, x.shape,
        'layer { name: "s" type: "Scale" bottom: "x" top: "s" scale_param {'
        f" axis: {axis} num_axes: {num_axes} bias_term: {str(bias).lower()} }} }}",
        {"s": [w, b] if bias else [w]},
    )  # fmt: skip
    first = 0 if num_axes == 0 else axis % 4
    behind = (1,) * (4 - first - len(shape)) if shape else ()
    want = x * w.reshape(shape + behind) + (b.reshape(shape + behind) if bias else 0)
    assert_blob_close(net.run(x)["s"], want, "s")


def test_scale_by_a_second_bottom_with_bias(tmp_path):
    x = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    factor = RANDOM.normal(size=(2, 3)).astype(np.float32)
    b = RANDOM.normal(size=(2, 3)).astype(np.float32)
    net = net_of(
        tmp_path, x.shape,
        'layer { name: "s" type: "Scale" bottom: "x" bottom: "y" top: "s"'
        " scale_param { axis: 0 bias_term: true } }",
        {"s": [b]}, {"y": (2, 3)},
    )  # fmt: skip
    want = x * factor[:, :, None, None] + b[:, :, None, None]
    assert_blob_close(net.run({"x": x, "y": factor})["s"], want, "s")


@pytest.mark.parametrize(
    ("axis", "end", "want"),
    [(1, -1, (2, 60)), (0, -1, (120,)), (2, 3, (2, 3, 20)), (1, 2, (2, 12, 5)), (0, 1, (6, 4, 5)),
     (3, 3, (2, 3, 4, 5)), (-2, -1, (2, 3, 20))],
)  # fmt: skip
def test_flatten(tmp_path, axis, end, want):
    x = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    net = net_of(
        tmp_path, x.shape,
        'layer { name: "f" type: "Flatten" bottom: "x" top: "f"'
        f" flatten_param {{ axis: {axis} end_axis: {end} }} }}",
    )  # fmt: skip
    np.testing.assert_array_equal(net.run(x)["f"], x.reshape(want))


def test_eltwise_of_three_bottoms(tmp_path):
    x, y, z = RANDOM.normal(size=(3, 2, 3, 4, 5)).astype(np.float32)
    layers = "".join(
        f'layer {{ name: "{op}" type: "Eltwise" bottom: "x" bottom: "y" bottom: "z" top: "{op}"'
        f" eltwise_param {{ operation: {op} {'coeff: 1 coeff: -2 coeff: 0.5' if op == 'SUM' else ''} }} }}"
        for op in ("SUM", "PROD", "MAX")
    )
    net = net_of(tmp_path, x.shape, layers, None, {"y": x.shape, "z": x.shape})
    blobs = net.run({"x": x, "y": y, "z": z})
    assert_blob_close(blobs["SUM"], x - 2 * y + 0.5 * z, "SUM")
    assert_blob_close(blobs["PROD"], x * y * z, "PROD")
    assert_blob_close(blobs["MAX"], np.maximum(np.maximum(x, y), z), "MAX")


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concat_and_softmax_axes(tmp_path, axis):
    x, y = RANDOM.normal(size=(2, 2, 3, 4, 5)).astype(np.float32)
    net = net_of(
        tmp_path, x.shape,
        f'layer {{ name: "c" type: "Concat" bottom: "x" bottom: "y" top: "c" concat_param {{ axis: {axis} }} }}'
        f'layer {{ name: "s" type: "Softmax" bottom: "x" top: "s" softmax_param {{ axis: {axis} }} }}',
        None, {"y": x.shape},
    )  # fmt: skip
    blobs = net.run({"x": x, "y": y})
    np.testing.assert_array_equal(blobs["c"], np.concatenate([x, y], axis))
    e = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
    assert_blob_close(blobs["s"], e / e.sum(axis=axis, keepdims=True), "s")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('type: "ReLU" bottom: "y" top: "r"', 'reads blob "y", which no layer before it writes'),
        ('type: "ReLU" bottom: "x" top: "x" top: "z"', "ReLU takes 1 top, 2 are given"),
        ('type: "ReLU" top: "r"', "ReLU takes 1 bottom, 0 are given"),
        (
            'type: "Eltwise" bottom: "x" top: "r"',
            "Eltwise takes 2 to any number bottoms, 1 are given",
        ),
        ('bottom: "x" top: "r"', 'layer "l" has no type'),
        ('type: "Softmax" bottom: "x" top: "r" softmax_param { axis: 4 }', "axis 4 of a bottom"),
        ('type: "Concat" bottom: "x" bottom: "w" top: "r"', "differ outside axis 1"),
        ('type: "Eltwise" bottom: "x" bottom: "w" top: "r"', "they must be alike"),
        ('type: "Split" bottom: "x" top: "w"', 'writes blob "w", which layer "w" wrote'),
        ('type: "Flatten" bottom: "x" top: "r" flatten_param { axis: 2 end_axis: 1 }', "is before"),
    ],
)
def test_wrong_layers_are_refused(tmp_path, layer, message):
    with pytest.raises(ls.errors.ReadError, match=message) as caught:
        net_of(tmp_path, (2, 3, 4, 5), f'layer {{ name: "l" {layer} }}', None, {"w": (2, 3, 4, 6)})
    assert str(caught.value).startswith("net.prototxt:3:")


def test_a_layer_that_makes_another_number_of_blobs(tmp_path):
    layer = """layer { name: "c" type: "Convolution" bottom: "x" bottom: "x" top: "c"
        convolution_param { num_output: 2 kernel_size: 2 } }"""
    with pytest.raises(ls.errors.ReadError, match="Convolution with 2 bottoms makes 2 tops, 1 are"):
        net_of(tmp_path, (1, 3, 4, 5), layer)


def test_thousands_of_in_place_layers_of_one_name(tmp_path):
    """Names stay unique, and the time stays proportional."""
    many = 3000
    layer = 'layer { name: "r" type: "ReLU" bottom: "x" top: "x" }\n'
    net = net_of(tmp_path, (1, 2, 3, 4), layer * many)
    assert len(net.blobs) == many + 1
    assert list(net.blobs)[:3] == ["x@x", "x@r", "x@r:2"]
