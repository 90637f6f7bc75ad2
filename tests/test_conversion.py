"""A converted net runs by itself, in ONNX Runtime alone, to the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import layerscope as ls
from closeness import assert_blob_close
from conftest import GOLDEN
from layerscope.demo import DEFINITION, WEIGHTS, images
from readers.caffe.layers.test_golden import fed, opened


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_every_golden_net(tmp_path: Path, case: Path) -> None:
    net, inputs = opened(case), fed(case)
    if net.optional:  # the losses are wanted too, so all inputs are fed
        inputs = {name: inputs[name] for name in net.inputs}
    path = ls.convert(net, tmp_path / "net.onnx", blobs=list(net.blobs))
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {each.name: inputs[each.name] for each in session.get_inputs()}
    got = dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))
    want = net.run(inputs)
    assert len(got) == len(want)
    for name in want:
        found = got[name] if name in got else got[f"{name}:output"]
        assert_blob_close(found, want[name], f"{case.name}/{name}", tolerance=2e-6)


def test_the_demo_net(tmp_path: Path) -> None:
    net = ls.open(DEFINITION, WEIGHTS)
    path = ls.convert(net, tmp_path / "demo.onnx")
    model = onnx.load(path)
    assert [each.name for each in model.graph.input] == ["data"]
    assert [each.name for each in model.graph.output] == ["prob"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert {"conv1/0", "fc8/1"} <= {each.name for each in model.graph.initializer}
    assert (
        "BGR 0-255, minus the mean"
        in {p.key: p.value for p in model.metadata_props}["preprocessing"]
    )
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = net.run([images()["cat"], images()["rocket"]])
    (prob,) = session.run(None, {"data": batch["data"]})
    assert_blob_close(prob, batch["prob"], "prob", tolerance=1e-6)


def test_a_blob_under_a_second_name(tmp_path: Path) -> None:
    """Dropout adds no node; as an output its blob has its own name all the same."""
    path = tmp_path / "n.prototxt"
    path.write_text("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "r" type: "ReLU" bottom: "x" top: "r" }
        layer { name: "d" type: "Dropout" bottom: "r" top: "d" }
    """)
    target = ls.convert(ls.open(path), tmp_path / "n.onnx")
    session = ort.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["d"]
    x = np.float32([[-1, 2, -3]])
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], np.maximum(x, 0))


def test_refused(tmp_path: Path, small: tuple[Path, Path]) -> None:
    target = tmp_path / "n.onnx"
    with pytest.raises(ls.errors.UsageError, match="have no weights"):
        ls.convert(ls.open(small[0]), target)
    assert ls.convert(ls.open(small[0]), target, allow_missing=True) == target
    with pytest.raises(ls.errors.UnknownNameError, match='blob "fc9" is not in net'):
        ls.convert(ls.open(*small), target, blobs=["fc9"])
    path = tmp_path / "u.prototxt"
    path.write_text('layer { name: "y" type: "Foo" top: "y" }')
    with pytest.raises(ls.errors.UnsupportedError, match='"y" has type "Foo"'):
        ls.convert(ls.open(path), tmp_path / "u.onnx")
    assert not (tmp_path / "u.onnx").exists()


def test_more_than_a_file_can_hold(
    tmp_path: Path, small: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope import conversion

    monkeypatch.setattr(conversion, "MAX_BYTES", 1000)
    with pytest.raises(
        ls.errors.LimitError, match=r"3\.\d+ kB of weights; one ONNX file holds 2 GB"
    ):
        ls.convert(ls.open(*small), tmp_path / "n.onnx")
