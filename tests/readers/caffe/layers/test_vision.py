"""Deconvolution, Im2col, Crop, SPP, stochastic pooling, and convolution over other axes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from closeness import assert_blob_close
from onelayer import net_of

RANDOM = np.random.default_rng(21)
FLT_MIN = float(np.finfo(np.float32).tiny)


def random(*dims: int) -> np.ndarray:
    return RANDOM.normal(size=dims).astype(np.float32)


def layer_of(kind: str, settings: str = "", more: str = "", bottoms: str = 'bottom: "x"') -> str:
    param = {"Crop": "crop_param", "SPP": "spp_param", "Pooling": "pooling_param"}
    name = param.get(kind, "convolution_param")
    return f'layer {{ name: "l" type: "{kind}" {bottoms} top: "y" {more} {name} {{ {settings} }} }}'


def slow_deconv(x, w, b, stride, pad, dilation, group):
    """Each input value is added to the places that its filter reaches."""
    images, channels, *size = x.shape
    per_group, kernel = w.shape[1], w.shape[2:]
    out = [
        st * (s - 1) + d * (k - 1) + 1 - 2 * p
        for s, st, d, k, p in zip(size, stride, dilation, kernel, pad, strict=True)
    ]
    y = np.zeros((images, per_group * group, *out)) + b.reshape(-1, *[1] * len(out))
    for n, c, o in itertools.product(range(images), range(channels), range(per_group)):
        top = c // (channels // group) * per_group + o
        for at in itertools.product(*map(range, size)):
            for tap in itertools.product(*map(range, kernel)):
                place = tuple(
                    a * st + t * d - p
                    for a, st, t, d, p in zip(at, stride, tap, dilation, pad, strict=True)
                )
                if all(0 <= q < s for q, s in zip(place, out, strict=True)):
                    y[(n, top, *place)] += float(x[(n, c, *at)]) * float(w[(c, o, *tap)])
    return y


@pytest.mark.parametrize(
    ("dims", "outs", "settings", "kernel", "stride", "pad", "dilation", "group"),
    [
        ((2, 4, 3, 5), 6, "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0",
         (3, 2), (2, 3), (1, 0), (1, 1), 2),
        ((1, 3, 5, 4), 3, "kernel_size: 3 dilation: 2 dilation: 1 pad: 2 pad: 1 group: 3",
         (3, 3), (1, 1), (2, 1), (2, 1), 3),
        ((2, 3, 7), 2, "kernel_size: 4 stride: 3", (4,), (3,), (0,), (1,), 1),
        ((1, 2, 3, 4, 5), 3, "kernel_size: 2 kernel_size: 3 kernel_size: 1 stride: 2",
         (2, 3, 1), (2, 2, 2), (0, 0, 0), (1, 1, 1), 1),
    ],
)  # fmt: skip
def test_deconvolution(tmp_path, dims, outs, settings, kernel, stride, pad, dilation, group):
    w, b, x = random(dims[1], outs // group, *kernel), random(outs), random(*dims)
    if group == 2:
        settings += " group: 2"
    net = net_of(
        tmp_path, dims, layer_of("Deconvolution", f"num_output: {outs} {settings}"), {"l": [w, b]}
    )
    want = slow_deconv(x, w, b, stride, pad, dilation, group)
    assert net.blobs["y"].shape == want.shape
    assert_blob_close(net.run(x)["y"], want, "y")
    more = random(3, *dims[1:])
    assert_blob_close(
        net.run(more)["y"], slow_deconv(more, w, b, stride, pad, dilation, group), "y"
    )
    from layerscope.measure.cost import layer_costs

    assert layer_costs(net)[1].multiply_adds == x.size * outs // group * np.prod(kernel)


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2])
def test_other_channel_axes(tmp_path, kind, axis):
    """Axes before the channels are independent; behind the last axis there is no space at all."""
    dims, outs, first = (2, 4, 6, 5), 2, axis % 4
    space = dims[first + 1 :]
    kernel = (2, 3, 1)[: len(space)]
    ends = (outs, dims[first]) if kind == "Convolution" else (dims[first], outs)
    w, b, x = random(*ends, *kernel), random(outs), random(*dims)
    sizes = " ".join(f"kernel_size: {k}" for k in kernel)
    layer = layer_of(kind, f"num_output: {outs} axis: {axis} {sizes}")
    net = net_of(tmp_path, dims, layer, {"l": [w, b]})
    lead = dims[:first]
    images = x.reshape(-1, dims[first], *space, 1)
    if kind == "Convolution":
        out = [s - k + 1 for s, k in zip(space, kernel, strict=True)]
        want = np.zeros((len(images), outs, *out))
        for n, o, *at in itertools.product(range(len(images)), range(outs), *map(range, out)):
            window = images[
                (n, slice(None), *(slice(a, a + k) for a, k in zip(at, kernel, strict=True)))
            ]
            want[(n, o, *at)] = (window[..., 0].astype(np.float64) * w[o]).sum() + b[o]
    else:
        one = [1] * (len(kernel) + 1)
        want = slow_deconv(images, w[..., None], b, one, [0] * len(one), one, 1)[..., 0]
    got = net.run(x)["y"]
    assert_blob_close(got, want.reshape(*lead, *want.shape[1:]), "y")
    assert net.blobs["y"].shape == got.shape
    assert net.graph.free_batch == (first > 0)
    if first:
        np.testing.assert_allclose(net.run(x[:1])["y"], got[:1], rtol=1e-5, atol=1e-6)


def test_convolution_without_space_in_groups(tmp_path):
    w, b, x = random(6, 2), random(6), random(3, 4)
    net = net_of(tmp_path, (3, 4), layer_of("Convolution", "num_output: 6 group: 2"), {"l": [w, b]})
    want = np.concatenate([x[:, :2] @ w[:3].T, x[:, 2:] @ w[3:].T], axis=1) + b
    assert_blob_close(net.run(x)["y"], want, "y")


@pytest.mark.parametrize(
    ("kind", "settings", "more", "message"),
    [
        ("Deconvolution", "kernel_size: 3", "", "num_output must be at least 1"),
        ("Deconvolution", "num_output: 3 group: 2 kernel_size: 3", "", "4 channels in, 3 out cannot"),
        ("Deconvolution", "num_output: 3 kernel_size: 2 pad: 4", "",
         r"a bottom \(2, 4, 5, 6\) becomes -2x-1 with pad 4x4"),
        ("Deconvolution", "num_output: 3 kernel_size: 2", 'top: "z"', "Deconvolution with 1 bottom makes 1 top, 2 are"),
        ("Im2col", "kernel_size: 7", "", "a kernel of 7x7 does not fit into a bottom"),
        ("Im2col", "kernel_size: 2 axis: 3", "", "axis 3 of a bottom .* has none behind it"),
        ("Im2col", "", "", "kernel_size is missing"),
        ("SPP", "", "", "pyramid_height must be at least 1"),
        ("SPP", "pyramid_height: 4", "", "pad 2x1 must be smaller than the kernel 2x2"),
        ("SPP", "pyramid_height: 3 pool: STOCHASTIC", "", "stochastic pooling takes none"),
        ("SPP", "pyramid_height: 2 pool: LAST", "", "pool: LAST is not known; MAX, AVE and"),
        ("Pooling", "pool: STOCHASTIC kernel_size: 2 pad: 1", "", "pad 1x1; stochastic pooling takes"),
        ("Pooling", "pool: STOCHASTIC kernel_size: 2", 'top: "z"', "a second top .* needs MAX"),
    ],
)  # fmt: skip
def test_refused(tmp_path, kind, settings, more, message):
    with pytest.raises(ls.errors.ReadError, match=message) as caught:
        net_of(tmp_path, (2, 4, 5, 6), layer_of(kind, settings, more))
    assert str(caught.value).startswith("net.prototxt:2:") and 'layer "l"' in str(caught.value)


def slow_im2col(x, kernel, stride, pad, dilation):
    """Channel c * kernel + tap of the output is tap of channel c, shifted."""
    images, channels, *size = x.shape
    out = [
        (s + 2 * p - d * (k - 1) - 1) // st + 1
        for s, p, d, k, st in zip(size, pad, dilation, kernel, stride, strict=True)
    ]
    y = np.zeros((images, channels * int(np.prod(kernel)), *out), np.float32)
    taps = list(itertools.product(*map(range, kernel)))
    for n, c, (t, tap) in itertools.product(range(images), range(channels), enumerate(taps)):
        for at in itertools.product(*map(range, out)):
            place = tuple(
                a * st - p + k * d
                for a, st, p, k, d in zip(at, stride, pad, tap, dilation, strict=True)
            )
            if all(0 <= q < s for q, s in zip(place, size, strict=True)):
                y[(n, c * len(taps) + t, *at)] = x[(n, c, *place)]
    return y


@pytest.mark.parametrize(
    ("dims", "settings", "kernel", "stride", "pad", "dilation"),
    [
        ((2, 3, 5, 7), "kernel_size: 3", (3, 3), (1, 1), (0, 0), (1, 1)),
        ((1, 2, 6, 9), "kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 2 dilation: 2",
         (2, 3), (2, 1), (0, 2), (2, 2)),
        ((2, 3, 8), "kernel_size: 3 stride: 2 pad: 1", (3,), (2,), (1,), (1,)),
    ],
)  # fmt: skip
def test_im2col(tmp_path, dims, settings, kernel, stride, pad, dilation):
    x = random(*dims)
    x.flat[3] = np.nan  # a copy: what is not a number stays where it is
    net = net_of(tmp_path, dims, layer_of("Im2col", settings))
    np.testing.assert_array_equal(net.run(x)["y"], slow_im2col(x, kernel, stride, pad, dilation))
    more = random(5, *dims[1:])
    np.testing.assert_array_equal(
        net.run(more)["y"], slow_im2col(more, kernel, stride, pad, dilation)
    )


def test_im2col_of_another_axis(tmp_path):
    x = random(2, 3, 4, 7)
    net = net_of(tmp_path, x.shape, layer_of("Im2col", "kernel_size: 2 axis: 2"))
    want = slow_im2col(x.reshape(6, 4, 7), (2,), (1,), (0,), (1,)).reshape(2, 3, 8, 6)
    np.testing.assert_array_equal(net.run(x)["y"], want)


@pytest.mark.parametrize(
    ("settings", "first", "begin"),
    [
        ("", 2, (0, 0)),
        ("offset: 2", 2, (2, 2)),
        ("offset: 1 offset: 3", 2, (1, 3)),
        ("axis: 3 offset: 4", 3, (4,)),
        ("axis: -1 offset: 1", 3, (1,)),
        ("axis: 1 offset: 1 offset: 0 offset: 2", 1, (1, 0, 2)),
    ],
)
def test_crop(tmp_path, settings, first, begin):
    x, size = random(2, 5, 6, 9), (2, 3, 4, 5)
    bottoms = 'bottom: "x" bottom: "size"'
    net = net_of(
        tmp_path, x.shape, layer_of("Crop", settings, bottoms=bottoms), None, {"size": size}
    )
    want = x[
        tuple(
            [slice(None)] * first
            + [slice(o, o + s) for o, s in zip(begin, size[first:], strict=True)]
        )
    ]
    assert net.blobs["y"].shape == want.shape and net.graph.free_batch
    np.testing.assert_array_equal(net.run({"x": x, "size": np.zeros(size)})["y"], want)
    blobs = net.run({"x": x[:1], "size": np.zeros((1, *size[1:]))})
    np.testing.assert_array_equal(blobs["y"], want[:1])


def test_crop_of_the_batch(tmp_path):
    x, size = random(4, 3, 2, 5), (2, 3, 2, 5)
    layer = layer_of(
        "Crop",
        "axis: 0 offset: 1 offset: 0 offset: 0 offset: 0",
        bottoms='bottom: "x" bottom: "size"',
    )
    net = net_of(tmp_path, x.shape, layer, None, {"size": size})
    np.testing.assert_array_equal(net.run({"x": x, "size": np.zeros(size)})["y"], x[1:3])
    assert not net.graph.free_batch


@pytest.mark.parametrize(
    ("settings", "size", "message"),
    [
        ("axis: 1 offset: 1 offset: 2", (2, 3, 4, 5), r"2 offsets; 1 or 3 fit the axes from 1 on"),
        ("offset: 3", (2, 3, 4, 5), "axis 2 has 6; 4 from 3 on are more"),
        ("axis: 4", (2, 3, 4, 5), r"axis 4 of a bottom of shape \(2, 5, 6, 9\)"),
        ("", (2, 3, 4), r"a bottom \(2, 5, 6, 9\) cannot be cut to the size of \(2, 3, 4\)"),
    ],
)
def test_crop_refused(tmp_path, settings, size, message):
    layer = layer_of("Crop", settings, bottoms='bottom: "x" bottom: "size"')
    with pytest.raises(ls.errors.ReadError, match=message):
        net_of(tmp_path, (2, 5, 6, 9), layer, None, {"size": size})


def slow_window(x, kernel, stride, pad, reduce):
    """Caffe's windows over (H, W): rounded up, the last one dropped when it begins in the padding."""
    out = []
    for i in (0, 1):
        number = -(-(x.shape[2 + i] + 2 * pad[i] - kernel[i]) // stride[i]) + 1
        if any(pad) and (number - 1) * stride[i] >= x.shape[2 + i] + pad[i]:
            number -= 1
        out.append(number)
    y = np.zeros((*x.shape[:2], *out))
    for n, c, *at in itertools.product(*map(range, y.shape)):
        begin = [a * s - p for a, s, p in zip(at, stride, pad, strict=True)]
        ends = [
            min(b + k, s + p) for b, k, s, p in zip(begin, kernel, x.shape[2:], pad, strict=True)
        ]
        area = (ends[0] - begin[0]) * (ends[1] - begin[1])
        inside = tuple(slice(max(b, 0), e) for b, e in zip(begin, ends, strict=True))
        y[(n, c, *at)] = reduce(x[(n, c, *inside)].astype(np.float64), area)
    return y


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
@pytest.mark.parametrize(("size", "height"), [((9, 7), 3), ((5, 6), 2), ((15, 16), 4), ((4, 3), 1)])
def test_spp(tmp_path, pool, size, height):
    x = random(2, 3, *size)
    net = net_of(tmp_path, x.shape, layer_of("SPP", f"pyramid_height: {height} pool: {pool}"))
    levels = []
    for bins in (2**level for level in range(height)):
        kernel = [int(np.ceil(s / bins)) for s in size]
        pad = [(k * bins - s + 1) // 2 for k, s in zip(kernel, size, strict=True)]
        reduce = (lambda w, _: w.max()) if pool == "MAX" else (lambda w, area: w.sum() / area)
        levels.append(slow_window(x, kernel, kernel, pad, reduce))
    # With one level Caffe pools in place of the whole pyramid: nothing is flattened.
    want = levels[0] if height == 1 else np.concatenate([v.reshape(2, -1) for v in levels], 1)
    assert_blob_close(net.run(x)["y"], want, "y")
    assert_blob_close(net.run(x[:1])["y"], want[:1], "y")


def test_spp_weighted_needs_sizes_without_padding(tmp_path):
    x = np.abs(random(1, 2, 4, 8))
    net = net_of(tmp_path, x.shape, layer_of("SPP", "pyramid_height: 2 pool: STOCHASTIC"))
    whole = (x**2).sum((2, 3)) / x.sum((2, 3))
    assert_blob_close(net.run(x)["y"][:, :2], whole, "y")


@pytest.mark.parametrize(
    ("size", "kernel", "stride"),
    [((6, 5), (3, 2), (2, 3)), ((7, 8), (2, 2), (2, 2)), ((4, 4), (1, 1), (2, 2))],
)
def test_stochastic_pooling_when_testing(tmp_path, size, kernel, stride):
    """What StoPoolForwardTest of pooling_layer.cu computes; ReLU leaves windows of zeros."""
    x = np.maximum(random(2, 3, *size), 0)
    x[0, 0, :3, :3] = 0
    settings = f"pool: STOCHASTIC kernel_h: {kernel[0]} kernel_w: {kernel[1]} stride_h: {stride[0]} stride_w: {stride[1]}"
    net = net_of(tmp_path, x.shape, layer_of("Pooling", settings))
    want = slow_window(x, kernel, stride, (0, 0), lambda w, _: (w * w).sum() / (FLT_MIN + w.sum()))
    assert_blob_close(net.run(x)["y"], want, "y")
    assert net.layers[1].summary.startswith("mean weighted by itself of ")


def test_every_name_of_the_older_enum(tmp_path: Path):
    """DECONVOLUTION and IM2COL of V1 are the same layers."""
    path = tmp_path / "old.prototxt"
    path.write_text(
        'input: "x" input_dim: 1 input_dim: 2 input_dim: 4 input_dim: 5\n'
        'layers { name: "d" type: DECONVOLUTION bottom: "x" top: "d" convolution_param'
        " { num_output: 3 kernel_size: 2 stride: 2 } }\n"
        'layers { name: "i" type: IM2COL bottom: "x" top: "i" convolution_param { kernel_size: 2 } }'
    )
    net = ls.open(path)
    assert [each.type for each in net.layers] == ["Input", "Deconvolution", "Im2col"]
    assert (net.blobs["d"].shape, net.blobs["i"].shape) == ((1, 3, 8, 10), (1, 8, 3, 4))
