"""What BVLC Caffe computed, case by case, and that no registered type goes without a case."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
from closeness import assert_blob_close
from conftest import GOLDEN
from layerscope.readers.caffe.registry import FAMILIES, layer_types, v1_names


def types_of(case: Path) -> set[str]:
    text = (case / "net.prototxt").read_text()
    without_fillers = re.sub(r"_filler\s*{[^}]*}", "", text)
    names = re.findall(r'type: *"?([A-Za-z0-9_]+)"?', without_fillers)
    return {v1_names().get(name, name) for name in names}


# How many images a Filter passes on is known after a run; before it Caffe states them all.
STATED = {"filter/out": (4, 3, 5)}
# Types that the golden cases do not hold, and the module that tests them instead.
WITHOUT_CASE = {
    "ContrastiveLoss": "test_loss.py",
    "Data": "test_data.py",
    "DummyData": "test_data.py",
    "HDF5Data": "test_data.py",
    "HDF5Output": "test_data.py",
    "Im2col": "test_vision.py",
    "ImageData": "test_data.py",
    "InfogainLoss": "test_loss.py",
    "LSTMUnit": "test_recurrent.py",
    "MemoryData": "test_data.py",
    "MultinomialLogisticLoss": "test_loss.py",
    "Parameter": "test_utility.py",
    "Python": "test_utility.py",
    "WindowData": "test_data.py",
    "DetectionOutput": "test_detection.py",
    "MultiBoxLoss": "test_detection.py",
    "Normalize": "test_detection.py",
    "PSROIPooling": "test_detection.py",
    "Permute": "test_detection.py",
    "PriorBox": "test_detection.py",
    "Proposal": "test_detection.py",
    "ROIPooling": "test_detection.py",
    "Axpy": "test_fork.py",
    "BN": "test_fork.py",
    "ConvolutionDepthwise": "test_fork.py",
    "DepthwiseConvolution": "test_fork.py",
    "HSigmoid": "test_fork.py",
    "HSwish": "test_fork.py",
    "HardSigmoid": "test_fork.py",
    "HardSwish": "test_fork.py",
    "Interp": "test_fork.py",
    "Mish": "test_fork.py",
    "ReLU6": "test_fork.py",
    "Reorg": "test_fork.py",
    "ShuffleChannel": "test_fork.py",
    "Unpooling": "test_fork.py",
    "Upsample": "test_fork.py",
}


def fed(case: Path) -> dict[str, np.ndarray]:
    with np.load(case / "golden.npz") as golden:
        return {name[3:]: golden[name] for name in golden.files if name.startswith("in/")}


def opened(case: Path) -> ls.Net:
    weights = case / "net.caffemodel"
    return ls.open(case / "net.prototxt", weights if weights.exists() else None)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
@pytest.mark.source("BVLC Caffe 1.0.0, CPU")
def test_equals_caffe(case: Path) -> None:
    net = opened(case)
    blobs = net.run(fed(case))
    compared = 0
    with np.load(case / "golden.npz") as golden:
        for name in golden.files:
            kind, _, rest = name.partition("/")
            if kind == "out":
                assert_blob_close(blobs[rest], golden[name], f"{case.name}/{rest}")
                assert net.blobs[rest].shape == STATED.get(
                    f"{case.name}/{rest}", golden[name].shape
                )
                compared += 1
            elif kind == "param":
                layer, _, index = rest.rpartition("/")
                np.testing.assert_array_equal(net.params[layer][int(index)].data, golden[name])
    assert compared


def test_a_type_that_is_not_known_says_so(tmp_path: Path) -> None:
    """The net opens, what comes before the layer runs, and what needs it says why it does not."""
    path = tmp_path / "net.prototxt"
    path.write_text("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "r" type: "ReLU" bottom: "x" top: "r" }
        layer { name: "norm1" type: "LRM" bottom: "r" top: "n" }
        layer { name: "s" type: "Softmax" bottom: "n" top: "s" }
        layer { name: "t" type: "TanH" bottom: "r" top: "t" }
    """)
    net = ls.open(path)
    assert [layer.name for layer in net.layers] == ["x", "r", "norm1", "s", "t"]
    assert list(net.blobs) == ["x", "r", "t"]
    reason = net.not_computed[0].reason
    assert re.match(
        r'net\.prototxt:4:36: layer "norm1" has type "LRM"; \d+ types are known; nearest: LRN',
        reason,
    )
    assert net.not_computed[1].reason.endswith(': layer "s" needs layer "norm1"')
    assert net.notes == (f"{reason}; it is not computed, nor is what needs it",)
    x = np.float32([[-1, 0, 1], [2, -3, 4]])
    assert_blob_close(net.run(x, ["t"])["t"], np.tanh(np.maximum(x, 0)), "t")
    with pytest.raises(ls.errors.UnsupportedError, match='"norm1" has type "LRM"'):
        net.run(x)
    with pytest.raises(ls.errors.UnsupportedError, match='layer "s" needs layer "norm1"'):
        net.run(x, ["s"])


def test_every_type_has_a_case() -> None:
    covered = set().union(*(types_of(case) for case in GOLDEN))
    assert set(layer_types()) - covered == set(WITHOUT_CASE)


@pytest.mark.parametrize(("kind", "module"), WITHOUT_CASE.items())
def test_a_type_without_a_case_has_a_test(kind: str, module: str) -> None:
    assert f'"{kind}"' in (Path(__file__).parent / module).read_text()


def test_every_type_is_of_a_family() -> None:
    assert {each.family for each in layer_types().values()} == set(FAMILIES)


def test_all_cases_are_here() -> None:
    assert len(GOLDEN) == 75
