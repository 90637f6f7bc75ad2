"""Caffe's quirks as they are met in the wild, one test each: what forks added (q15 to q19)."""

from __future__ import annotations

import numpy as np
import pytest
from quirks import (
    BLOBS,
    C,
    X,
    assert_computes,
    by_hand,
    layer,
    number,
    random,
    refusal,
    run,
    trained,
)

import layerscope as ls
from closeness import assert_blob_close


def test_q15_ssd(tmp_path):
    text = (
        X
        + """
    layer { name: "n" type: "Normalize" bottom: "x" top: "n" norm_param { across_spatial: false channel_shared: false } }
    layer { name: "p" type: "Permute" bottom: "n" top: "p" permute_param { order: 0 order: 2 order: 3 order: 1 } }
    layer { name: "b" type: "PriorBox" bottom: "p" bottom: "x" top: "b" prior_box_param { min_size: 2 } }
    """
    )
    scale = random(3)
    net = trained(tmp_path, text, n=[scale])
    x = random(2, 3, 4, 5)
    normal = x / np.sqrt((x**2).sum(1, keepdims=True)) * scale.reshape(3, 1, 1)
    blobs = net.run(x)
    assert_blob_close(blobs["p"], normal.transpose(0, 2, 3, 1), "p")
    assert blobs["b"].shape == (1, 2, 5 * 3 * 4) and net.notes == ()


def test_q16_segnet_and_its_numbers(tmp_path, capsys):
    """Its upsample_param has the number of BVLC's embed_param: known by name, never by number."""
    text = (
        X
        + 'layer { name: "p" type: "Pooling" bottom: "x" top: "p" top: "m" pooling_param { kernel_size: 2 stride: 2 } }\n'
    )
    up = 'layer { name: "u" type: "Upsample" bottom: "p" bottom: "m" top: "u" upsample_param { scale: 2 upsample_h: 4 upsample_w: 5 } }\n'
    bn = 'layer { name: "b" type: "BN" bottom: "u" top: "b" bn_param { bn_mode: INFERENCE } }'
    net = trained(tmp_path, text + up + bn, b=[np.full((1, 3, 1, 1), 2), np.full((1, 3, 1, 1), 1)])
    x = random(2, 3, 4, 5)
    want = np.zeros_like(x)
    for n, c, i, j in np.ndindex(2, 3, 2, 3):
        window = x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        di, dj = np.unravel_index(window.argmax(), window.shape)
        want[n, c, 2 * i + di, 2 * j + dj] = window.max()
    assert_blob_close(net.run(x)["b"], 2 * want + 1, "b")
    wire = layer("u", "Upsample", more=run(3, b"x") + run(4, b"u") + run(137, number(1, 2)))
    alone = tmp_path / "alone.caffemodel"
    alone.write_bytes(
        layer("x", "Input", more=run(4, b"x") + run(143, run(1, run(1, b"\1\3\4\5")))) + wire
    )
    assert ls.open(alone).layer("u").reason  # not an Embed, and not an Upsample at its defaults


@pytest.mark.parametrize("form", ["layer", "layers"])
def test_q17_crf_as_rnn(tmp_path, form):
    kind = '"MultiStageMeanfield"' if form == "layer" else "MULTI_STAGE_MEANFIELD"
    text = (X + C if form == "layer" else 'input: "x" input_dim: [2, 3, 4, 5]' + C.replace("layer {", "layers {")) + (
        f'{form} {{ name: "crf" type: {kind} bottom: "c" bottom: "x" top: "crf"'
        " multi_stage_meanfield_param { num_iterations: 10 spatial_filter_weight: 3 } }\n"
    )  # fmt: skip
    net = trained(tmp_path, text, c=BLOBS)
    assert [each.name for each in net.not_computed] == ["crf"]
    x = random(2, 3, 4, 5)
    assert_blob_close(net.run(x, ["c"])["c"], by_hand(x), "c")
    with pytest.raises(ls.errors.UnsupportedError, match='layer "crf" has type ') as caught:
        net.run(x)
    assert caught.value.exit_code == 4


def test_q18_engines_rounding_and_quantization(tmp_path):
    """Engines change no number; round_mode does, so it is honoured."""
    pool = 'layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 MODE } }\n'
    text = 'engine: "MKL2017"\n' + X + C.replace("kernel_size: 1", 'kernel_size: 1 engine: "MKL2017"').replace(
        "} }", "} quantization_param { bw_params: 8 precision: DYNAMIC_FIXED_POINT } }") + pool  # fmt: skip
    for mode, width in (("", 3), ("round_mode: FLOOR", 2), ("round_mode: CEIL", 3)):
        net = trained(tmp_path, text.replace("MODE", mode), c=BLOBS)
        assert net.blobs["p"].shape == (2, 2, 2, width)
        assert_computes(net)
        assert any('unknown field "quantization_param"' in note for note in net.notes)
        assert any("MKL2017" in note for note in net.notes)
        assert any('unknown field "engine" of NetParameter' in note for note in net.notes)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("Transpose", "transpose_param { dim: 1 dim: 0 }"),
        ("ROIAlign", "roi_alignment_param { pooled_h: 7 }"),
        ("Resize", "resize_param { factor: 2 }"),
        ("DenseBlock", "denseblock_param { numTransition: 12 }"),
        ("RandCatConv", "rand_cat_conv_param { num_output: 2 }"),
        ("HashData", 'hash_file: "a.txt"'),
    ],
)
def test_q19_other_forks(tmp_path, capsys, kind, settings):
    other = f'layer {{ name: "f" type: "{kind}" bottom: "c" top: "f" {settings} }}'
    net = trained(tmp_path, X + C + other, c=BLOBS)
    assert any(f'unknown field "{settings.split()[0].strip(":")}"' in note for note in net.notes)
    assert [each.name for each in net.layers] == ["x", "c", "f"] and net.layer("f").reason
    picture = tmp_path / "cat.png"
    ls.grid(random(3, 4, 5)).save(picture)
    paths = tmp_path / "net.prototxt", tmp_path / "net.caffemodel", picture
    code, line = refusal(capsys, *paths, "--blob", "f", command="show")
    assert code == 4 and line.startswith(f'net.prototxt:3:24: layer "f" has type "{kind}"; ')
