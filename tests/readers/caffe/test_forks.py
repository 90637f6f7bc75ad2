"""Fields and layouts of Caffe's forks: by name in text, never by number, never misread."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from quirks import layer, number, run, shaped, varint

import layerscope as ls
from closeness import assert_blob_close
from layerscope.cli import main
from layerscope.readers.caffe.forks import FORK_ENUMS, FORK_FIELDS, FORK_MESSAGES
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.messages import ENUMS, MESSAGES
from layerscope.readers.caffe.prototxt import parse
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.wire import decode
from layerscope.readers.caffe.write import to_bytes, to_text

RANDOM = np.random.default_rng(47)


# --- the files ---

CONV = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 2 kernel_size: 1 } }
"""  # fmt: skip


def written(folder: Path, text: str, weights: bytes) -> tuple[Path, Path]:
    paths = folder / "net.prototxt", folder / "net.caffemodel"
    paths[0].write_text(text)
    paths[1].write_bytes(weights)
    return paths


# --- the table ---


def test_no_field_of_a_fork_has_a_number() -> None:
    for name in [*FORK_MESSAGES, *FORK_FIELDS]:
        kind = message_type(name)
        own = kind.fields if name in FORK_MESSAGES else kind.forks
        assert own and all(field.number == 0 for field in own.values())
        assert not set(own.values()) & set(kind.numbers.values())
        assert not set(kind.forks) & set(kind.fields)
        for field in own.values():  # every type that is named exists
            if field.kind == "message":
                message_type(field.type_name)
    assert not set(FORK_MESSAGES) & set(MESSAGES) and not set(FORK_ENUMS) & set(ENUMS)


def test_text_knows_forks_by_name_and_writes_them_back() -> None:
    text = (
        'layer {\n  name: "p"\n  type: "PriorBox"\n  prior_box_param {\n    min_size: 30.0\n'
        "    min_size: 61.5\n    flip: false\n  }\n}\n"
    )
    net = parse(text.encode(), "a.prototxt")
    assert net.origin is not None and net.origin.all_notes() == []
    assert list(net.layer[0].prior_box_param.min_size) == [30, 61.5]
    assert net.layer[0].prior_box_param.offset == 0.5
    assert to_text(net) == text
    with pytest.raises(ls.errors.UnsupportedError, match="prior_box_param is a fork's setting"):
        to_bytes(net)


def test_values_that_forks_add_to_enums_are_kept() -> None:
    net = parse(b'layer { bn_param { engine: "MKL2017" bn_mode: TRAIN } }', "a.prototxt")
    assert net.layer[0].bn_param.engine == "MKL2017" and net.layer[0].bn_param.bn_mode == "TRAIN"
    assert net.origin is not None and len(net.origin.all_notes()) == 2


# --- collisions ---


@pytest.mark.parametrize(
    ("kind", "name", "settings"),
    [
        # SegNet's upsample_param { scale: 2 } is embed_param { num_output: 2 } at BVLC
        ("Upsample", "upsample_param", run(137, number(1, 2))),
        # SSD's permute_param is a number that BVLC does not have
        ("Permute", "permute_param", run(202, number(1, 1))),
        # a field of BVLC's that some fork may have meant otherwise
        ("Interp", "interp_param", run(143, number(1, 20))),
    ],
)
def test_a_caffemodel_alone_does_not_tell_a_fork(tmp_path, kind, name, settings, capsys):
    bottom = run(3, b"x") + run(4, b"y")
    dims = run(1, run(1, b"".join(map(varint, (1, 3, 4, 5)))))
    source = layer("x", "Input", more=run(4, b"x") + run(143, dims))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(source + layer("l", kind, more=bottom + settings))
    with pytest.raises(ls.errors.UnsupportedError) as caught:
        ls.open(path).run({})
    place, _, message = str(caught.value).partition(": ")
    assert place.startswith("net.caffemodel @")
    assert message == (
        f'layer "l": the settings of type {kind} are a fork\'s ({name}), and a caffemodel alone does'
        " not tell forks apart; give the prototxt with it"
    )
    with pytest.raises(SystemExit) as ended:
        main(["shapes", str(path)])
    assert ended.value.code == 0  # the shapes are shown as far as they are known
    assert "give the prototxt with it" in capsys.readouterr().err


def test_a_caffemodel_alone_may_hold_forks_without_settings(tmp_path):
    bottom = run(3, b"x") + run(4, b"y")
    dims = run(1, run(1, b"".join(map(varint, (2, 3, 4, 5)))))
    source = layer("x", "Input", more=run(4, b"x") + run(143, dims))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(source + layer("l", "HardSwish", more=bottom))
    x = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert_blob_close(ls.open(path).run(x)["y"], x * np.clip(x + 3, 0, 6) / 6, "y")


def test_numbers_of_forks_in_the_weights_change_nothing(tmp_path):
    """With a prototxt the settings are its own, whatever the caffemodel has under those numbers."""
    text = CONV + (
        'layer { name: "u" type: "Upsample" bottom: "c" top: "u" upsample_param { scale: 3 } }'
    )
    w = RANDOM.normal(size=(2, 3)).astype("<f4")
    blobs = shaped(2, 3, 1, 1) + run(5, w.tobytes()), shaped(2) + run(5, bytes(8))
    weights = layer("c", "Convolution", *blobs)
    weights += layer("u", "Upsample", more=run(137, number(1, 2)) + run(138, run(1, b"/path")))
    net = ls.open(*written(tmp_path, text, weights))
    assert net.blobs["u"].shape == (2, 2, 12, 15)
    assert net.params["c"][0].data.sum() == w.sum()


# --- NVIDIA's raw_data ---


@pytest.mark.parametrize(
    ("kind", "code", "tolerance"),
    [(0, "<f8", 1e-7), (None, "<f8", 1e-7), (1, "<f4", 0.0), (2, "<f2", 1e-3)],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_raw_data(tmp_path, kind, code, tolerance, legacy):
    w, b = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=2)
    blobs = []
    for array, dims in ((w, (2, 3, 1, 1)), (b, (1, 1, 1, 2) if legacy else (2,))):
        where = b"".join(number(i + 1, d) for i, d in enumerate(dims)) if legacy else shaped(*dims)
        raw = b"" if kind is None else number(10, kind)
        blobs.append(where + raw + run(12, array.astype(code).tobytes()))
    net = ls.open(*written(tmp_path, CONV, layer("c", "Convolution", *blobs)))
    assert np.abs(net.params["c"][0].data.reshape(2, 3) - w).max() <= max(tolerance, 1e-7)
    x = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    want = np.einsum("oc,nchw->nohw", w.astype(code), x) + b.astype(code)[:, None, None]
    assert_blob_close(net.run(x)["c"], want, "c")


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (number(10, 1) + run(12, bytes(20)), ls.errors.ReadError,
         'net.caffemodel: layer "c", blob 0: its shape (2, 3, 1, 1) needs 6 numbers, 5 are there'),
        (number(10, 1) + run(12, bytes(23)), ls.errors.ReadError,
         'net.caffemodel: layer "c", blob 0: raw_data has 23 bytes, which is no whole number of FLOATs'),
        (number(10, 3) + run(12, bytes(24)), ls.errors.UnsupportedError,
         'net.caffemodel: layer "c", blob 0: raw_data of type INT; known: DOUBLE, FLOAT, FLOAT16'),
        (number(10, 9) + run(12, bytes(24)), ls.errors.UnsupportedError,
         'net.caffemodel: layer "c", blob 0: raw_data of type 9; known: DOUBLE, FLOAT, FLOAT16'),
    ],
)  # fmt: skip
def test_raw_data_refused(tmp_path, raw, error, message):
    blob = shaped(2, 3, 1, 1) + raw
    with pytest.raises(error) as caught:
        ls.open(*written(tmp_path, CONV, layer("c", "Convolution", blob, blob)))
    assert str(caught.value) == message


# --- C3D's five sizes ---


def c3d_blob(array: np.ndarray, diff: bool) -> bytes:
    """num, channels, length, height, width, data, diff: the numbers of an older BlobProto."""
    sizes = b"".join(number(i + 1, d) for i, d in enumerate(array.shape))
    raw = array.astype("<f4").tobytes()
    return sizes + run(6, raw) + (run(7, raw) if diff else b"")


@pytest.mark.parametrize("diff", [False, True])
def test_the_layout_of_c3d_is_refused(tmp_path, diff, capsys):
    blob = c3d_blob(RANDOM.normal(size=(2, 3, 1, 1, 1)), diff)
    paths = written(tmp_path, CONV, layer("c", "Convolution", blob, blob))
    with pytest.raises(ls.errors.UnsupportedError) as caught:
        ls.open(*paths)
    assert str(caught.value) == (
        f"net.caffemodel @{30 if diff else 29}: the weights use the C3D layout (five sizes a blob), which is not read;"
        " convert them with a Caffe that has N-dimensional blobs"
    )
    with pytest.raises(SystemExit) as ended:
        main(["shapes", *map(str, paths)])
    assert ended.value.code == 4
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1


def test_legacy_sizes_are_no_c3d(tmp_path):
    w, b = RANDOM.normal(size=6).astype("<f4"), bytes(8)
    blobs = [
        b"".join(number(i + 1, d) for i, d in enumerate(dims)) + run(5, raw)
        for dims, raw in (((2, 3, 1, 1), w.tobytes()), ((1, 1, 1, 2), b))
    ]
    net = ls.open(*written(tmp_path, CONV, layer("c", "Convolution", *blobs)))
    np.testing.assert_array_equal(net.params["c"][0].data.ravel(), w)


def test_one_number_in_a_blob_without_packing_is_no_c3d():
    blob = shaped(1) + varint(5 << 3 | 5) + struct.pack("<f", 2.5)
    found: Message = decode(memoryview(blob), "a", "BlobProto")
    assert list(found.data) == [2.5]
