"""Pooling against a slow loop written from Caffe's rules (pooling_layer.cpp:84-113, 140-225)."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from closeness import assert_blob_close

FLT_MAX = np.finfo(np.float32).max


def out_size(size: int, kernel: int, stride: int, pad: int, any_pad: bool, floor: bool) -> int:
    steps = (size + 2 * pad - kernel) / stride
    out = int(np.floor(steps) if floor else np.ceil(steps)) + 1
    if any_pad and (out - 1) * stride >= size + pad:
        out -= 1
    return out


def slow_pool(
    x: np.ndarray, method: str, kernel: tuple[int, int], stride: tuple[int, int],
    pad: tuple[int, int], floor: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Window by window; with the winner's index in its plane."""
    size = x.shape[2:]
    out = [out_size(size[i], kernel[i], stride[i], pad[i], any(pad), floor) for i in (0, 1)]
    result = np.zeros((*x.shape[:2], *out), np.float64)
    mask = np.full(result.shape, -1.0)
    for n, c, py, px in itertools.product(*(range(d) for d in result.shape)):
        y0, x0 = py * stride[0] - pad[0], px * stride[1] - pad[1]
        y1, x1 = min(y0 + kernel[0], size[0] + pad[0]), min(x0 + kernel[1], size[1] + pad[1])
        area = (y1 - y0) * (x1 - x0)  # before the window is clipped to the image itself
        y0, x0, y1, x1 = max(y0, 0), max(x0, 0), min(y1, size[0]), min(x1, size[1])
        if method == "MAX":
            best, where = -FLT_MAX, -1
            for y, w in itertools.product(range(y0, y1), range(x0, x1)):
                if x[n, c, y, w] > best:
                    best, where = x[n, c, y, w], y * size[1] + w
            result[n, c, py, px], mask[n, c, py, px] = best, where
        else:
            total = (
                float(x[n, c, y0:y1, x0:x1].sum(dtype=np.float64)) if y1 > y0 and x1 > x0 else 0.0
            )
            result[n, c, py, px] = total / area if area else np.nan
    return result, mask


SIZES = [(7, 5), (6, 9), (8, 8), (4, 11), (2, 3)]
KERNELS = [(3, 2), (2, 3), (1, 1), (4, 4), (3, 3)]
STRIDES = [(1, 1), (2, 3), (3, 2), (2, 2)]
PADS = [(0, 0), (1, 1), (0, 1), (2, 0)]


@pytest.mark.parametrize("floor", [False, True], ids=["ceil", "floor"])
@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("size", SIZES)
def test_every_geometry(tmp_path: Path, size: tuple[int, int], method: str, floor: bool) -> None:
    """All kernels, strides and pads at once, as many layers of one net."""
    x = np.random.default_rng(3).normal(size=(2, 3, *size)).astype(np.float32)
    text = [
        'layer { name: "x" type: "Input" top: "x" input_param { shape {'
        f" dim: 2 dim: 3 dim: {size[0]} dim: {size[1]} }} }} }}"
    ]
    wanted = {}
    for kernel, stride, pad in itertools.product(KERNELS, STRIDES, PADS):
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            continue
        outs = [
            out_size(*each, any(pad), floor) for each in zip(size, kernel, stride, pad, strict=True)
        ]
        if min(outs) < 1:
            continue
        name = f"k{kernel}s{stride}p{pad}".replace(" ", "")
        tops = f'top: "{name}"' + (f' top: "{name}i"' if method == "MAX" else "")
        text.append(
            f'layer {{ name: "{name}" type: "Pooling" bottom: "x" {tops} pooling_param {{'
            f" pool: {method} kernel_h: {kernel[0]} kernel_w: {kernel[1]}"
            f" stride_h: {stride[0]} stride_w: {stride[1]} pad_h: {pad[0]} pad_w: {pad[1]}"
            f" round_mode: {'FLOOR' if floor else 'CEIL'} }} }}"
        )
        wanted[name], wanted[f"{name}i"] = slow_pool(x, method, kernel, stride, pad, floor)
    path = tmp_path / "pool.prototxt"
    path.write_text("\n".join(text))
    net = ls.open(path)
    blobs = net.run(x)
    for name in blobs:
        if name != "x":
            assert_blob_close(blobs[name], wanted[name], name)
            assert net.blobs[name].shape == wanted[name].shape
    assert len(blobs) > 30


def test_a_window_outside_the_image() -> None:
    """1x1 windows with stride 2 on an even size: Caffe rounds up to one window behind the end."""
    values, mask = slow_pool(
        np.ones((1, 1, 4, 3), np.float32), "MAX", (1, 1), (2, 2), (0, 0), False
    )
    assert values.shape == (1, 1, 3, 2)
    assert values[0, 0, 2, 0] == -FLT_MAX and mask[0, 0, 2, 0] == -1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("pool: MAX", "kernel_size is missing"),
        ("kernel_size: 3 kernel_h: 2 kernel_w: 2", "kernel_size and kernel_h/kernel_w are both"),
        ("kernel_h: 2", "kernel_h and kernel_w must both be given"),
        ("kernel_size: 2 pad: 2", "pad 2x2 must be smaller than the kernel 2x2"),
        ("kernel_size: 9", "no window of 9x9 with stride 1x1 begins in the bottom 5x6"),
        ("kernel_size: 2 stride: 0", "stride 0x0; every number must be at least 1"),
        ("global_pooling: true kernel_size: 2", "global_pooling takes no kernel size"),
        ("global_pooling: true pad: 1", "global_pooling takes no pad"),
        ("kernel_size: 2 pool: MIN", "pool: MIN is not known"),
    ],
)
def test_refused(tmp_path: Path, settings: str, message: str) -> None:
    path = tmp_path / "bad.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 5 dim: 6 } } }\n'
        f'layer {{ name: "p" type: "Pooling" bottom: "x" top: "p" pooling_param {{ {settings} }} }}'
    )
    with pytest.raises(ls.errors.ReadError, match=message) as caught:
        ls.open(path)
    assert str(caught.value).startswith("bad.prototxt:2:") and 'layer "p"' in str(caught.value)
