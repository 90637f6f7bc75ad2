"""Caffe's quirks as they are met in the wild, one test each: the definitions (q1 to q14, q31 to q36).

Forks are in test_quirks_forks.py, weights, numbers and pictures in test_quirks_weights.py;
docs/caffe-quirks.md is the table of all forty.
"""

from __future__ import annotations

import re
from pathlib import Path

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
    stored,
    trained,
    written,
)

import layerscope as ls
from closeness import assert_blob_close
from layerscope.cli import run as command

ROOT = Path(__file__).parents[3]

# --- three generations of layers ---


def test_q01_v0_layers_with_padding(tmp_path, capsys):
    old = """input: "x" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 5
    layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "x" top: "padded" }
    layers { layer { name: "c" type: "conv" num_output: 2 kernelsize: 3 biasterm: false } bottom: "padded" top: "c" }
    """
    weights = random(2, 3, 3, 3)
    net = trained(tmp_path, old, c=[weights])
    assert [(each.name, each.type) for each in net.layers[1:]] == [("c", "Convolution")]
    x = random(2, 3, 4, 5)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    assert_blob_close(net.run(x)["c"], np.einsum("ncyxhw,ochw->noyx", windows, weights), "c")
    bad = 'layers { layer { name: "r" type: "relu" } bottom: "padded" top: "r" }'
    assert refusal(capsys, *written(tmp_path, old + bad)) == (
        3,
        'net.prototxt:4:12: layer "r" of type "relu" reads a padding layer; only a convolution or'
        " pooling with one bottom may",
    )


def test_q02_v1_layers(tmp_path):
    one = """layers {{ name: "{0}" type: INNER_PRODUCT bottom: "x" top: "{0}" blobs_lr: 1 weight_decay: 0
      param: "w" blob_share_mode: {1} inner_product_param {{ num_output: {2} bias_term: false }} }}\n"""
    text = 'input: "x" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 1\n'
    weights = random(5, 12)
    net = trained(
        tmp_path,
        text + one.format("a", "STRICT", 5) + one.format("b", "PERMISSIVE", 5),
        a=[weights],
    )
    assert [each.type for each in net.layers] == ["Input", "InnerProduct", "InnerProduct"]
    assert net.params["b"][0].shared_with == "a/0"
    x = random(2, 3, 4, 1)
    blobs = net.run(x)
    for name in "ab":
        assert_blob_close(blobs[name], x.reshape(2, 12) @ weights.T, name)


@pytest.mark.parametrize(
    ("word", "kind"),
    [("layers", '"Convolution"'), ("layer", "CONVOLUTION"), ("layers", "CONVOLUTION"), ("layer", '"CONVOLUTION"')],
)  # fmt: skip
def test_q03_the_other_generations_type(tmp_path, word, kind):
    text = 'input: "x" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 5\n' + C.replace(
        "layer {", word + " {"
    ).replace('"Convolution"', kind)
    net = trained(tmp_path, text, c=BLOBS)
    assert net.layer("c").type == "Convolution"
    assert_computes(net)


def test_q04_layer_and_layers_side_by_side(tmp_path, capsys):
    text = X + 'layers { name: "r" type: RELU bottom: "x" top: "r" }'
    assert refusal(capsys, *written(tmp_path, text)) == (
        3,
        "net.prototxt:2:8: the net has both 'layer' and 'layers' entries (1 and 1); Caffe refuses"
        " such a mix: use 'layer' for all",
    )


# --- inputs ---


def test_q05_every_way_to_write_an_input(tmp_path):
    ways = [
        X,
        'input: "x" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 5',
        'input: "x" input_shape { dim: 2 dim: 3 dim: 4 dim: 5 }',
        'input: "x" input_dim: [2, 3, 4, 5] ',
    ]
    for text in ways:
        net = trained(tmp_path, text + C, c=BLOBS)
        assert net.inputs == ("x",) and net.blobs["x"].shape == (2, 3, 4, 5)
        assert_computes(net)
    two = 'input: "x" input: "y" input_dim: [2, 3, 4, 5, 2, 7, 1, 1]' + C
    net = trained(tmp_path, two, c=BLOBS)
    assert (net.blobs["x"].shape, net.blobs["y"].shape) == ((2, 3, 4, 5), (2, 7, 1, 1))


def test_q06_too_few_input_dims(tmp_path, capsys):
    assert refusal(capsys, *written(tmp_path, 'input: "x" input_dim: 2 input_dim: 3\n' + C)) == (
        3,
        "net.prototxt:1:21: input_dim has 2 values; it takes 4 for each of 1 input",
    )


@pytest.mark.parametrize(
    ("kind", "settings", "lack"),
    [
        ("Data", "data_param { batch_size: 2 source: 'db' }", "no crop_size"),
        ("ImageData", "image_data_param { batch_size: 2 source: 'list' }", "no"),
        ("HDF5Data", "hdf5_data_param { batch_size: 2 source: 'list' }", ""),
        ("MemoryData", "memory_data_param { batch_size: 2 }", "no"),
        ("WindowData", "window_data_param { batch_size: 2 source: 'list' }", "no crop_size"),
        ("Python", "python_param { module: 'reader' layer: 'Reader' }", ""),
    ],
)
def test_q07_a_data_layer_whose_shape_is_unknown(tmp_path, capsys, kind, settings, lack):
    label = ' top: "label"' if kind in ("MemoryData", "WindowData") else ""
    text = f'layer {{ name: "d" type: "{kind}" top: "x"{label} {settings} }}\n' + C
    trained_paths = written(tmp_path, text, layer("c", "Convolution", *map(stored, BLOBS)))
    if kind == "Python":  # opens: only a run needs what it gives
        net = ls.open(*trained_paths)
        with pytest.raises(ls.errors.UnsupportedError, match=r"--input-shape x=1,3,227,227$"):
            net.run(random(2, 3, 4, 5))
    else:
        code, line = refusal(capsys, *trained_paths)
        assert code == 2
        assert line.startswith(f'net.prototxt:1:7: layer "d" ({kind}): the shape of "x" is not in')
        assert lack in line and "; give it: --input-shape x=2,3,227,227, in Python" in line
    assert command(["shapes", *map(str, trained_paths), "--input-shape", "x=2,3,4,5"]) == 0
    assert "(2, 2, 4, 5)" in capsys.readouterr().out
    net = ls.open(*trained_paths, input_shapes={"x": (2, 3, 4, 5)})
    assert net.inputs[0] == "x" and not net.not_computed
    x = random(2, 3, 4, 5)
    feeds = {"x": x, "label": [0.0, 1.0]} if label else x
    assert_blob_close(net.run(feeds)["c"], by_hand(x), "c")


# --- what stays from training ---


def test_q08_a_caffemodel_of_training(tmp_path):
    """Data layers, phases, losses, another order: only names and blobs count."""
    training = number(10, 0)  # phase: TRAIN
    weights = (
        layer("loss", "SoftmaxWithLoss", more=training)
        + layer("c", "Convolution", *map(stored, BLOBS), more=number(10, 1))
        + layer("only in training", "InnerProduct", stored(random(7, 5)), more=training)
        + layer("x", "HDF5Data", more=training)
    )
    net = ls.open(*written(tmp_path, X + C, weights))
    assert net.missing == () and net.notes == ()
    assert_computes(net)


def test_q09_phases_and_stages(tmp_path, capsys):
    def conv(rule: str, outs: int) -> str:
        settings = f"convolution_param {{ num_output: {outs} kernel_size: 1 }}"
        return f'layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" {settings} {rule} }}\n'

    text = (
        X + conv("include { phase: TRAIN }", 7) + conv("exclude { phase: TRAIN } exclude { stage: 'big' }", 2)
        + conv("include { phase: TEST stage: 'big' min_level: 1 }", 9)
    )  # fmt: skip
    (path,) = written(tmp_path, text)

    def outs(**state: object) -> int:
        net = ls.open(path, **state)
        assert len(net.layers) == 2
        return net.blobs["c"].shape[1]

    assert (outs(), outs(phase="TRAIN"), outs(stages=["big"], level=1)) == (2, 7, 9)
    assert command(["shapes", str(path), "--phase", "TRAIN"]) == 0
    assert "(2, 7, 4, 5)" in capsys.readouterr().out


def test_q10_losses_in_a_deploy_file(tmp_path):
    losses = "".join(
        f'layer {{ name: "{kind}" type: "{kind}" bottom: "c" bottom: "label" top: "{kind}" }}\n'
        for kind in ("Accuracy", "SoftmaxWithLoss")
    )
    net = trained(tmp_path, X + C + losses, c=BLOBS)
    assert net.notes == ('nothing gives blob "label"; left out: Accuracy, SoftmaxWithLoss',)
    assert net.outputs == ("c",)
    assert_computes(net)


# --- names ---


def test_q11_in_place_chains_and_branches(tmp_path):
    text = X + C + "".join(
        f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {settings} }}\n'
        for name, kind, bottom, top, settings in [
            ("before", "Power", "c", "before", "power_param { shift: 1 }"),
            ("half", "Power", "c", "c", "power_param { scale: 0.5 }"),
            ("r", "ReLU", "c", "c", ""),
            ("after", "Power", "c", "after", "power_param { shift: 1 }"),
        ]
    )  # fmt: skip
    net = trained(tmp_path, text, c=BLOBS)
    x = random(2, 3, 4, 5)
    blobs, c = net.run(x), by_hand(x)
    want = {"c@c": c, "before": c + 1, "c@half": c / 2, "c": np.maximum(c / 2, 0)}
    for name, array in {**want, "after": want["c"] + 1}.items():
        assert_blob_close(blobs[name], array, name)
    assert [each.tops for each in net.layers[1:]] == [
        ("c@c",),
        ("before",),
        ("c@half",),
        ("c",),
        ("after",),
    ]


def test_q13_one_top_from_two_layers(tmp_path, capsys):
    other = C.replace('name: "c"', 'name: "other"')
    assert refusal(capsys, *written(tmp_path, X + C + other)) == (
        3,
        'net.prototxt:3:58: layer "other" writes blob "c", which layer "c" wrote; only a layer that'
        " reads it in place may",
    )


@pytest.mark.parametrize(
    "name", ["conv1/7x7_s2", "../../up", "a b", "Фильтр 层", "n" * 300, "CON", ".."]
)
def test_q14_names_that_are_no_file_names(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    net = trained(tmp_path, X + C.replace('"c"', f'"{name}"'), **{name: BLOBS})
    assert_computes(net, blob=name)
    before = set(tmp_path.iterdir())
    paths = [tmp_path / "net.prototxt", tmp_path / "net.caffemodel"]
    assert command(["show", *map(str, paths), "--param", name]) == 0
    (made,) = set(tmp_path.iterdir()) - before
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,80}\.png", made.name) and made.stem.strip(".")


# --- the text ---


def test_q31_a_byte_order_mark(tmp_path):
    assert_computes(trained(tmp_path, b"\xef\xbb\xbf" + (X + C).encode(), c=BLOBS))


def test_q32_other_encodings_and_escapes(tmp_path, capsys):
    comment = "# 卷积网络\n".encode("gbk") + "# caf\xe9\n".encode("latin-1")
    assert_computes(trained(tmp_path, comment + (X + C).encode(), c=BLOBS))
    named = trained(tmp_path, f'name: "卷积"\n{X}{C}'.encode("gbk"), c=BLOBS)
    assert named.name == "卷积" and "is not UTF-8, read as gbk" in named.notes[0]
    path = 'layer { name: "d" type: "Data" top: "d" data_param { source: "C:\\Users\\db" } }'
    assert refusal(capsys, *written(tmp_path, path)) == (
        3,
        "net.prototxt:1:65: \\U needs 8 hexadecimal digits; write \\\\ for a backslash",
    )


def test_q33_what_protobuf_accepts(tmp_path, capsys):
    text = (X + C).replace("\n", " ")
    accepted = [
        text.replace("} ", "}\r\n"), text.replace("} ", "}\r"), text.replace(" ", "\t"), text.replace(" ", "\xa0"),
        text.rstrip(), text.replace('"c" ', '"c"; ').replace('"x" ', '"x", '), text.replace('"', "'"),
        text.replace('"Convolution"', '"Convo" \'lution\''), text.replace("kernel_size: 1", "kernel_size: 0x1"),
        text.replace("kernel_size: 1", "kernel_size: 1 weight_filler { std: 0.1f } bias_term: True"),
        text.replace("kernel_size: 1", "kernel_size: 1 bias_term: t").replace("shape {", "shape: <").replace("5 }", "5 >"),
    ]  # fmt: skip
    for each in accepted:
        assert_computes(trained(tmp_path, each, c=BLOBS))
    refused = {
        "bias_term: TRUE": '1:12: bias_term needs true or false, found "TRUE"',
        "num_output: 3.0": '1:13: num_output needs a whole number, found "3.0"',
        "// comment": '1:1: a field name or "}" should stand here, found "//"; comments begin with #',
        "num_output: “3”": '1:13: num_output needs a whole number here, found "“"; a typographic quote'
        ' stands where " must',
    }
    head = "layer { convolution_param {\n"
    for each, message in refused.items():
        code, line = refusal(capsys, *written(tmp_path, head + each + "\n} }"))
        assert (code, line) == (3, "net.prototxt:2" + message.removeprefix("1"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("$OUT", 'num_output needs a whole number here, found "$"; this is a template: fill in its $ names first'),
        ("${OUT}", 'num_output needs a whole number here, found "$"; this is a template: fill in its $ names first'),
        ("cls6", 'num_output needs a whole number, found "cls6"; is this a template? fill in its names first'),
    ],
)  # fmt: skip
def test_q34_templates(tmp_path, capsys, setting, message):
    text = X + C.replace("num_output: 2", f"num_output: {setting}")
    assert refusal(capsys, *written(tmp_path, text)) == (3, f"net.prototxt:2:92: {message}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("num_output: 2 num_output: 3", "2:94: num_output stands twice; it may be given once"),
        ("num_output: 2 kernel_size: 3 kernel_h: 3 kernel_w: 3", ""),
        ("num_output: 2 kernel_size: 3 pad: 1 pad_h: 1", ""),
        ("num_output: 2 kernel_size: 3 stride: 1 stride_w: 2", ""),
    ],
)
def test_q35_settings_that_contradict(tmp_path, capsys, settings, message):
    text = X + C.replace("num_output: 2 kernel_size: 1", settings)
    code, line = refusal(capsys, *written(tmp_path, text))
    assert code == 3 and re.match(r"net\.prototxt:2:\d+: ", line)
    assert line.endswith(message)
    if not message:
        short = re.search(r"(\w+)_[hw]: ", settings)
        assert short is not None and short[1] in line


@pytest.mark.parametrize("ending", ["pt", "pbtxt", "txt", "prototxt.txt", "caffemodel", ""])
def test_q36_solvers_and_endings(tmp_path, capsys, ending):
    settings = 'base_lr: 0.01\nlr_policy: "step"\nmax_iter: 9\n'
    (plain,) = written(tmp_path, settings + 'net: "train.prototxt"\n')
    assert refusal(capsys, plain) == (
        3,
        "net.prototxt: a solver's settings (base_lr, lr_policy, max_iter), not a net; open the file"
        " that its 'net' or 'train_net' names",
    )
    weights = tmp_path / "weights.prototxt"
    weights.write_bytes(layer("c", "Convolution", *map(stored, BLOBS)))
    path = tmp_path / ("net." + ending).rstrip(".")
    path.write_text(X + C)
    assert_computes(ls.open(path, weights))
    for field in ("net_param", "test_net_param", "train_net_param"):
        path.write_text(f'{settings}{field} {{ name: "inside" {X}{C} }}\nsolver_mode: CPU\n')
        net = ls.open(path, weights)
        assert net.name == "inside"
        assert net.notes == (f"{path.name}: a solver's settings; the net in its {field} is opened",)
        assert_computes(net)


# --- all of them ---

ROWS = re.findall(r"^\| q(\d+) \| (.+) \| (.+) \| `(test_q\d+_\w+)` \|$",
                  (ROOT / "docs" / "caffe-quirks.md").read_text(), re.M)  # fmt: skip


def test_all_forty_are_here_and_in_the_table() -> None:
    here = Path(__file__).parent
    tests = sorted(
        name
        for path in here.glob("test_quirks*.py")
        for name in re.findall(r"^def (test_q\d+_\w+)\(", path.read_text(), re.M)
    )
    assert [name[5:8] for name in tests] == [f"q{i:02}" for i in range(1, 41)]
    assert [name for *_, name in ROWS] == tests
    assert [int(number) for number, *_ in ROWS] == list(range(1, 41))
    assert (ROOT / "docs" / "caffe-quirks.md").read_text().startswith("40 of 40")
