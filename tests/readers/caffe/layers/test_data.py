"""Layers that bring data in: shapes from the file or from the caller; no path is ever opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from layerscope import cli
from onelayer import net_of

CONV = 'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 2 kernel_size: 3 } }'


def opened(folder: Path, text: str, **shapes: tuple[int, ...]) -> ls.Net:
    path = folder / "net.prototxt"
    path.write_text(text + "\n" + CONV)
    return ls.open(path, input_shapes=shapes or None)


def data_layer(kind: str, settings: str, transform: str = "", tops: str = "data label") -> str:
    param = {
        "Data": "data", "ImageData": "image_data", "WindowData": "window_data",
        "MemoryData": "memory_data", "HDF5Data": "hdf5_data", "DummyData": "dummy_data",
    }[kind]  # fmt: skip
    write = " ".join(f'top: "{top}"' for top in tops.split())
    return (
        f'layer {{ name: "d" type: "{kind}" {write} transform_param {{ {transform} }}'
        f" {param}_param {{ {settings} }} }}"
    )


KNOWN = [
    ("Data", "batch_size: 5", "crop_size: 7", (5, 3, 7, 7)),
    ("Data", "batch_size: 5", "crop_size: 7 force_gray: true", (5, 1, 7, 7)),
    ("Data", "batch_size: 5", "crop_size: 7 mean_value: 1 mean_value: 2 mean_value: 3 mean_value: 4",
     (5, 4, 7, 7)),
    ("Data", "batch_size: 5 crop_size: 9", "", (5, 3, 9, 9)),  # the older place
    ("ImageData", "batch_size: 4 new_height: 6 new_width: 8", "", (4, 3, 6, 8)),
    ("ImageData", "batch_size: 4 new_height: 6 new_width: 8 is_color: false", "crop_size: 5",
     (4, 1, 5, 5)),
    ("ImageData", "new_height: 6 new_width: 8", "", (1, 3, 6, 8)),
    ("WindowData", "batch_size: 3", "crop_size: 6", (3, 3, 6, 6)),
    ("MemoryData", "batch_size: 2 channels: 5 height: 6 width: 4", "", (2, 5, 6, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "settings", "transform", "shape"), KNOWN)
def test_a_shape_that_the_file_states(tmp_path, kind, settings, transform, shape):
    secret = tmp_path / "secret"
    secret.mkdir()  # to open a folder as a file would fail
    paths = "" if kind == "MemoryData" else f'source: "{secret}"'
    paths += f' root_folder: "{secret}"' if kind in ("ImageData", "WindowData") else ""
    net = opened(tmp_path, data_layer(kind, f"{settings} {paths}", transform))
    assert (net.blobs["data"].shape, net.blobs["label"].shape) == (shape, shape[:1])
    assert net.inputs == ("data", "label") and net.optional == ("label",)
    assert net.layers[0].family == "data" and net.layers[0].summary.startswith("fed")
    array = np.ones((2, *shape[1:]), np.float32)
    assert list(net.run(array, allow_missing=True)) == ["data", "c"]
    both = net.run({"data": array, "label": [1, 2]}, allow_missing=True)
    assert list(both) == ["data", "label", "c"]
    assumed = kind == "Data" and shape[1] == 3
    assert any("3 are assumed (--input-shape data=5,1," in note for note in net.notes) == assumed


@pytest.mark.parametrize(
    ("kind", "settings", "transform", "message"),
    [
        ("Data", "batch_size: 5", "", 'the shape of "data" is not in the definition (no crop_size);'
         " give it: --input-shape data=5,3,227,227, in Python"
         ' input_shapes={"data": (5, 3, 227, 227)}'),
        ("Data", "", "crop_size: 7", '"data" is not in the definition (no batch_size)'),
        ("ImageData", "", "", '"data" is not in the definition (no new_height, no new_width)'),
        ("WindowData", "", "", "(no batch_size, no crop_size)"),
        ("MemoryData", "batch_size: 1 width: 4", "", "(no channels, no height); give it"),
        ("HDF5Data", "batch_size: 8", "", '"data", "label" is not in the definition (an HDF5 file has'
         " the shapes); give it: --input-shape data=8,"),
    ],
)  # fmt: skip
def test_a_shape_that_the_file_does_not_state(tmp_path, kind, settings, transform, message):
    with pytest.raises(ls.errors.UsageError) as caught:
        opened(tmp_path, data_layer(kind, settings, transform))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f'net.prototxt:1:7: layer "d" ({kind}): ')
    assert len(str(caught.value)) < 300
    net = opened(tmp_path, data_layer(kind, settings, transform), data=(3, 2, 8, 9), label=(3, 4))
    assert (net.blobs["data"].shape, net.blobs["label"].shape) == ((3, 2, 8, 9), (3, 4))
    if kind != "HDF5Data":  # the labels follow the images
        net = opened(tmp_path, data_layer(kind, settings, transform), data=(3, 2, 8, 9))
        assert net.blobs["label"].shape == (3,)
        assert net.reshaped(data=(6, 2, 8, 9)).blobs["label"].shape == (6,)


def test_new_height_without_new_width(tmp_path):
    with pytest.raises(ls.errors.ReadError, match="new_height and new_width must both be given"):
        opened(tmp_path, data_layer("ImageData", "new_height: 4"))


def test_input_shapes_of_any_input(tmp_path):
    text = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 5 input_dim: 5'
    assert opened(tmp_path, text, data=(2, 4, 6, 7)).blobs["c"].shape == (2, 2, 4, 5)
    empty = text.replace("input_dim: 5", "input_dim: 0", 1)
    with pytest.raises(ls.errors.ReadError, match="every number must be positive"):
        opened(tmp_path, empty)
    assert opened(tmp_path, empty, data=(2, 4, 6, 7)).inputs == ("data",)
    with pytest.raises(
        ls.errors.UnknownNameError, match=r'input "dta" is not in net "net" .*: data'
    ):
        opened(tmp_path, text, dta=(1,))
    with pytest.raises(ls.errors.UsageError, match=r'input "data": shape \(2, 0\); every number'):
        opened(tmp_path, text, data=(2, 0))


def test_the_option_of_the_command_line(tmp_path, capsys):
    path = tmp_path / "net.prototxt"
    path.write_text(data_layer("Data", "batch_size: 5") + CONV)
    assert cli.run(["shapes", str(path)]) == 2
    assert "give it: --input-shape data=5,3,227,227" in capsys.readouterr().err
    assert cli.run(["shapes", str(path), "--input-shape", "data=1,3,20,21"]) == 0
    assert "(1, 2, 18, 19)" in capsys.readouterr().out
    for wrong in ("data", "data=", "=1,2", "data=1,x"):
        assert cli.run(["shapes", str(path), "--input-shape", wrong]) == 2
        assert f"--input-shape {wrong}: write it as data=1,3,227,227" in capsys.readouterr().err


def test_dummy_data(tmp_path):
    net = net_of(
        tmp_path, (2, 3),
        'layer { name: "d" type: "DummyData" top: "a" top: "b" dummy_data_param {'
        ' shape { dim: 2 dim: 3 } shape { dim: 40 dim: 30 } data_filler { value: 1.5 }'
        ' data_filler { type: "uniform" min: 2 max: 3 } } }'
        'layer { name: "e" type: "DummyData" top: "e" dummy_data_param { num: 1 channels: 2 height: 3 width: 4 } }'
        'layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "a" top: "sum" }',
    )  # fmt: skip
    blobs = net.run(np.zeros((2, 3), np.float32))
    np.testing.assert_array_equal(blobs["a"], np.full((2, 3), 1.5))
    np.testing.assert_array_equal(blobs["sum"], np.full((2, 3), 1.5))
    np.testing.assert_array_equal(blobs["e"], np.zeros((1, 2, 3, 4)))
    assert blobs["b"].shape == (40, 30) and 2 <= blobs["b"].min() < blobs["b"].max() <= 3
    again = net.reshaped(x=(2, 3)).run(np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(blobs["b"], again["b"])
    assert net.inputs == ("x",) and not net.graph.free_batch
    assert net.layer("d").summary == "constant, uniform"


def test_a_net_that_feeds_itself(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(
        data_layer("DummyData", "shape { dim: 1 dim: 3 dim: 5 dim: 6 }", "", "data") + CONV
    )
    net = ls.open(path).filled()
    assert net.inputs == () and net.run({})["c"].shape == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "2 tops need shape once or 2 times, it is given 0 times"),
        ("shape { dim: 1 } num: 1", "shape and num/channels/height/width are both given"),
        ("num: 1 channels: 1 height: 1", "need width once or 2 times"),
        (
            "shape { dim: 1 } data_filler { } data_filler { } data_filler { }",
            "2 tops need 0, 1 or 2",
        ),
        ("shape { dim: 0 }", r"shape \(0,\); every number must be positive"),
        ('shape { dim: 2 } data_filler { type: "zero" }', 'filler "zero"; known: constant'),
    ],
)
def test_dummy_data_refused(tmp_path, settings, message):
    with pytest.raises(ls.errors.ReadError, match=message):
        opened(tmp_path, data_layer("DummyData", settings))


def test_dummy_data_of_a_hostile_size(tmp_path):
    with pytest.raises(ls.errors.LimitError, match="1,000,000,000 numbers to fill"):
        opened(tmp_path, data_layer("DummyData", "shape { dim: 1000000 dim: 1000 }"))


def test_hdf5_output_writes_nothing(tmp_path):
    target = tmp_path / "out.h5"
    net = net_of(
        tmp_path, (2, 3),
        'layer { name: "o" type: "HDF5Output" bottom: "x" bottom: "y" hdf5_output_param {'
        f' file_name: "{target}" }} }}'
        'layer { name: "s" type: "Softmax" bottom: "x" top: "s" }',
        None, {"y": (2, 1)},
    )  # fmt: skip
    assert list(net.run({"x": np.ones((2, 3), np.float32), "y": [[1], [2]]})) == ["x", "y", "s"]
    assert not target.exists() and 'layer "o": no HDF5 file is written' in net.notes


def test_names_of_the_older_enum(tmp_path):
    path = tmp_path / "old.prototxt"
    path.write_text(
        'layers { name: "d" type: DATA top: "data" top: "label" data_param { batch_size: 2 crop_size: 4 } }\n'
        'layers { name: "p" type: INNER_PRODUCT bottom: "data" top: "p" inner_product_param { num_output: 3 } }\n'
        'layers { name: "l" type: SOFTMAX_LOSS bottom: "p" bottom: "label" top: "l" }\n'
        'layers { name: "a" type: ACCURACY bottom: "p" bottom: "label" top: "a" }\n'
    )
    net = ls.open(path)
    assert [each.type for each in net.layers] == [
        "Data",
        "InnerProduct",
        "SoftmaxWithLoss",
        "Accuracy",
    ]
    assert list(net.run(np.zeros((1, 3, 4, 4), np.float32), allow_missing=True)) == ["data", "p"]
