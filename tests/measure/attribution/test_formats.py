"""The same net from Caffe and from ONNX has the same maps: nothing knows the file format."""

from __future__ import annotations

import numpy as np
import pytest

import layerscope as ls
from layerscope.conversion import convert
from layerscope.demo import DEFINITION, WEIGHTS, images

SETTINGS = {"integrated": {"steps": 4}, "occlusion": {"patch": 60}, "rise": {"samples": 8}}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[ls.Net, ls.Net]:
    path = tmp_path_factory.mktemp("onnx") / "demo.onnx"
    caffe = ls.open(DEFINITION, WEIGHTS)
    convert(caffe, path)
    return caffe, ls.open(path)


@pytest.mark.parametrize(
    "method", ["gradient", "integrated", "guided", "deconvolution", "occlusion", "rise"]
)
def test_as_onnx(both: tuple[ls.Net, ls.Net], method: str) -> None:
    more = SETTINGS.get(method, {})
    caffe, onnx = (
        ls.attribute(net, str(images()["rocket"]), "prob:3", method, **more) for net in both
    )
    most = np.abs(caffe.values).max()
    np.testing.assert_allclose(onnx.values, caffe.values, rtol=1e-3, atol=1e-4 * most)
    assert onnx.value == pytest.approx(caffe.value, rel=1e-5)


def test_the_layer_of_an_onnx_file(both: tuple[ls.Net, ls.Net]) -> None:
    """Its last map is the same one, under the name that the file has for it."""
    caffe, onnx = (ls.attribute(net, str(images()["rocket"]), "prob:3") for net in both)
    assert caffe.at == "conv5"
    np.testing.assert_allclose(onnx.map, caffe.map, rtol=1e-3, atol=1e-4 * caffe.map.max())
