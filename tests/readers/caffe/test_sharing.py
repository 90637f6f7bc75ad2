"""A write in place changes every blob that has the same memory in Caffe.

The second opinion is NumPy's own: views share memory as Caffe's blobs do, and `out=` writes in
place.  What reads a blob earlier keeps what it has read.
"""

from __future__ import annotations

import numpy as np
import pytest

from closeness import assert_blob_close
from layerscope.errors import LimitError
from onelayer import net_of

DIMS = (2, 3, 4, 5)


def layer(name: str, kind: str, bottoms: str, tops: str, settings: str = "") -> str:
    words = "".join(f'bottom: "{b}" ' for b in bottoms.split())
    words += "".join(f'top: "{t}" ' for t in tops.split())
    return f'layer {{ name: "{name}" type: "{kind}" {words} {settings} }}\n'


def numbers(*dims: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(dims).astype(np.float32)


SHIFT = "power_param { shift: -0.5 }"


@pytest.mark.parametrize(
    ("sharer", "settings", "dims"),
    [
        ("Flatten", "", (2, 60)),
        ("Flatten", "flatten_param { axis: 0 end_axis: 2 }", (24, 5)),
        ("Reshape", "reshape_param { shape { dim: 0 dim: 12 dim: -1 } }", (2, 12, 5)),
        ("Reshape", "reshape_param { shape { dim: -1 dim: 6 } }", (20, 6)),
        ("Concat", "", DIMS),
        ("Slice", "", DIMS),
        ("Split", "", DIMS),
    ],
)
def test_a_view_written_in_place_changes_what_it_is_a_view_of(tmp_path, sharer, settings, dims):
    net = net_of(tmp_path, DIMS, "".join([
        layer("p", "Power", "x", "p", SHIFT),
        layer("view", sharer, "p", "view", settings),
        layer("before", "Power", "p", "before"),
        layer("relu", "ReLU", "view", "view"),
        layer("after", "Power", "p", "after", "power_param { scale: 2 }"),
    ]))  # fmt: skip
    x = numbers(*DIMS)
    p = x - np.float32(0.5)
    first = p.copy()
    view = p.reshape(dims)
    np.maximum(view, 0, out=view)
    blobs = net.run(x)
    for name, want in {
        "p@p": first, "view@view": first.reshape(dims), "before": first,
        "view": view, "p": p, "after": 2 * p,
    }.items():  # fmt: skip
        assert_blob_close(blobs[name], want, name)
    assert net.blobs["p"].layer == "relu" and net.blobs["p@p"].replaced
    assert net.notes == (
        'layer "relu" writes over "view", which has its numbers in common with "p": as in Caffe,'
        " they change too",
    )


def test_chains_of_views_change_together(tmp_path):
    net = net_of(tmp_path, DIMS, "".join([
        layer("p", "Power", "x", "p", SHIFT),
        layer("split", "Split", "p", "a b"),
        layer("flat", "Flatten", "b", "flat"),
        layer("shift", "Power", "a", "a", "power_param { shift: 3 }"),
        layer("half", "Power", "flat", "flat", "power_param { scale: 0.5 }"),
        layer("end", "Eltwise", "b p", "end"),
    ]))  # fmt: skip
    x = numbers(*DIMS)
    p = x - np.float32(0.5)
    a, b = p, p
    flat = b.reshape(2, -1)
    a += 3
    flat *= 0.5
    blobs = net.run(x)
    for name, want in {"p": p, "a": a, "b": b, "flat": flat, "end": b + p}.items():
        assert_blob_close(blobs[name], want, name)
    assert len(net.notes) == 2


@pytest.mark.parametrize(
    "sharer",
    [
        layer("copy", "Power", "p", "copy"),
        layer("copy", "Dropout", "p", "copy"),
        layer("copy", "Concat", "p x", "copy", "concat_param { axis: 1 }"),
        layer("copy", "Slice", "p", "copy rest", "slice_param { slice_point: 1 }"),
    ],
)
def test_copies_change_alone(tmp_path, sharer):
    net = net_of(
        tmp_path, DIMS, layer("p", "Power", "x", "p", SHIFT) + sharer
        + layer("relu", "ReLU", "copy", "copy"),
    )  # fmt: skip
    x = numbers(*DIMS)
    assert_blob_close(net.run(x)["p"], x - np.float32(0.5), "p")
    assert not net.notes and "p@p" not in net.blobs


def test_passing_on_in_place_changes_nothing(tmp_path):
    net = net_of(tmp_path, DIMS, "".join([
        layer("flat", "Flatten", "x", "flat"), layer("drop", "Dropout", "flat", "flat"),
    ]))  # fmt: skip
    assert not net.notes and list(net.blobs) == ["x", "flat@flat", "flat"]


def test_a_branch_that_read_before_keeps_what_it_read(tmp_path):
    """Caffe refuses it: both readers of p have their own names for it."""
    net = net_of(tmp_path, DIMS, "".join([
        layer("p", "Power", "x", "p", SHIFT), layer("flat", "Flatten", "p", "flat"),
        layer("relu", "ReLU", "p", "p"), layer("end", "Power", "flat", "end"),
    ]))  # fmt: skip
    x = numbers(*DIMS)
    assert_blob_close(net.run(x)["end"], (x - np.float32(0.5)).reshape(2, -1), "end")


def test_batch_size_stays_free_where_the_images_are_counted(tmp_path):
    net = net_of(tmp_path, DIMS, "".join([
        layer("p", "Power", "x", "p", SHIFT), layer("flat", "Flatten", "p", "flat"),
        layer("relu", "ReLU", "flat", "flat"),
    ]))  # fmt: skip
    x = numbers(5, *DIMS[1:])
    assert_blob_close(net.run(x)["p"], np.maximum(x - np.float32(0.5), 0), "p")


def test_a_layer_that_is_not_computed_takes_the_shared_blobs_with_it(tmp_path):
    net = net_of(tmp_path, DIMS, "".join([
        layer("p", "Power", "x", "p", SHIFT), layer("flat", "Flatten", "p", "flat"),
        layer("odd", "Python", "flat", "flat"), layer("end", "Power", "p", "end"),
    ]))  # fmt: skip
    assert [each.name for each in net.not_computed] == ["odd", "end"]
    assert_blob_close(net.run(numbers(*DIMS), ["p@p"])["p@p"], numbers(*DIMS) - 0.5, "p@p")


def test_sum_over_its_first_bottom_loses_it_as_in_caffe(tmp_path):
    """`caffe_set(count, 0, top_data)`, then `caffe_axpy` of every bottom (eltwise_layer.cpp)."""
    net = net_of(tmp_path, DIMS, "".join([
        layer("p", "Power", "x", "p", SHIFT), layer("q", "Power", "x", "q", "power_param { power: 2 }"),
        layer("sum", "Eltwise", "p q x", "p", "eltwise_param { coeff: 3 coeff: 2 coeff: 1 }"),
    ]))  # fmt: skip
    x = numbers(*DIMS)
    p = x - np.float32(0.5)
    q = x * x
    p[...] = 0
    for factor, bottom in zip((3, 2, 1), (p, q, x), strict=True):
        p += np.float32(factor) * bottom
    assert_blob_close(net.run(x)["p"], p, "p")
    assert "is not in the sum" in net.notes[0]


def test_products_and_maxima_in_place_are_what_they_say(tmp_path):
    for operation, want in (("PROD", np.multiply), ("MAX", np.maximum)):
        net = net_of(tmp_path, DIMS, "".join([
            layer("p", "Power", "x", "p", SHIFT),
            layer("e", "Eltwise", "p x", "p", f"eltwise_param {{ operation: {operation} }}"),
        ]))  # fmt: skip
        x = numbers(*DIMS)
        assert_blob_close(net.run(x)["p"], want(x - np.float32(0.5), x), "p")


def test_lrn_in_place_squares_its_factor_as_in_caffe(tmp_path):
    """`caffe_powx(scale, -beta, top)`, then `caffe_mul(top, bottom, top)` with top = bottom."""
    net = net_of(
        tmp_path, (2, 7, 3, 4),
        layer("lrn", "LRN", "x", "x", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 k: 2 }"),
    )  # fmt: skip
    x = numbers(2, 7, 3, 4)
    scale = np.full(x.shape, 2.0)
    for c in range(7):
        for near in range(max(0, c - 1), min(7, c + 2)):
            scale[:, c] += 0.5 / 3 * x[:, near].astype(np.float64) ** 2
    top = scale**-0.75
    np.multiply(top, top, out=top)
    assert_blob_close(net.run(x)["x"], top, "x")
    assert "square of its factor" in net.notes[0]


def test_batch_norm_of_one_axis_is_one_channel(tmp_path):
    """batch_norm_layer.cpp: `if (bottom[0]->num_axes() == 1) channels_ = 1`."""
    mean, variance, factor = (np.array([v], np.float32) for v in (3.0, 8.0, 2.0))
    net = net_of(
        tmp_path, (6, 4), layer("r", "Reduction", "x", "r", "reduction_param { axis: 1 }")
        + layer("bn", "BatchNorm", "r", "bn"), {"bn": [mean, variance, factor]},
    )  # fmt: skip
    x = numbers(6, 4)
    want = (x.sum(1) - 1.5) / np.sqrt(4 + 1e-5)
    assert_blob_close(net.run(x)["bn"], want, "bn")


def test_a_flood_of_shared_names_is_refused(tmp_path):
    names = " ".join(f"s{i}" for i in range(200))
    writes = "".join(layer(f"w{i}", "Power", f"s{i}", f"s{i}") for i in range(200))
    with pytest.raises(LimitError, match="10,000 blobs change"):
        net_of(tmp_path, DIMS, layer("split", "Split", "x", names) + writes)
