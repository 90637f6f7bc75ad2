"""Classifier and Detector: images to probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
import layerscope.pycaffe as caffe
from closeness import assert_blob_close
from pycaffe.nets import written

NET = """
name: "windows"
layer { type: "Input" name: "in" top: "data" input_param { shape { dim: 3 dim: 3 dim: 8 dim: 8 } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" } } }
layer { type: "InnerProduct" name: "fc" bottom: "conv" top: "fc"
        inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.1 } } }
layer { type: "Softmax" name: "prob" bottom: "fc" top: "prob" }
"""
RANDOM = np.random.default_rng(12)
MEAN = np.array([0.1, 0.2, 0.3])


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    definition, weights = written(tmp_path, NET), str(tmp_path / "net.caffemodel")
    caffe.Net(definition, caffe.TEST).save(weights)
    return definition, weights


def one_by_one(files: tuple[str, str], crops: list[np.ndarray]) -> np.ndarray:
    """The probabilities of crops (8, 8, 3), a picture at a time, with numpy's own steps."""
    net = ls.open(*files)
    fed = [2 * ((crop.transpose(2, 0, 1)[::-1]) * 255 - MEAN[:, None, None]) for crop in crops]
    return np.concatenate([net.run(each.astype(np.float32), ["prob"])["prob"] for each in fed])


def how() -> dict[str, object]:
    return {"mean": MEAN, "raw_scale": 255, "input_scale": 2, "channel_swap": (2, 1, 0)}


def test_predict_the_centre(files: tuple[str, str]) -> None:
    net = caffe.Classifier(*files, image_dims=(12, 11), **how())
    pictures = [RANDOM.random((12, 11, 3)).astype(np.float32) for _ in range(4)]
    found = net.predict(pictures, oversample=False)
    assert found.shape == (4, 5)
    assert_blob_close(found, one_by_one(files, [p[2:10, 1:9] for p in pictures]), "prob", 1e-4)


def test_predict_ten_crops(files: tuple[str, str]) -> None:
    net = caffe.Classifier(*files, image_dims=(12, 11), **how())
    pictures = [RANDOM.random((20, 15, 3)).astype(np.float32) for _ in range(2)]
    found = net.predict(pictures)
    for picture, prediction in zip(pictures, found, strict=True):
        small = caffe.io.resize_image(picture, (12, 11))
        places = [(0, 0), (0, 3), (4, 0), (4, 3), (2, 1)]
        crops = [small[y : y + 8, x : x + 8] for y, x in places]
        crops += [crop[:, ::-1] for crop in crops]
        assert_blob_close(prediction, one_by_one(files, crops).mean(0), "prob", 1e-4)


def test_predict_whole_images(files: tuple[str, str]) -> None:
    net = caffe.Classifier(*files, **how())
    picture = RANDOM.random((8, 8, 3)).astype(np.float32)
    assert_blob_close(net.predict([picture], False), one_by_one(files, [picture]), "prob", 1e-4)


@pytest.fixture
def picture(tmp_path: Path) -> str:
    from PIL import Image

    pixels = RANDOM.integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return str(tmp_path / "picture.png")


def test_detect_windows(files: tuple[str, str], picture: str) -> None:
    net = caffe.Detector(*files, **how())
    windows = [(0, 0, 16, 20), (5, 6, 13, 14), (10, 12, 30, 40), (1, 2, 9, 10)]
    found = net.detect_windows([(picture, windows)])
    assert [each["window"] for each in found] == windows
    assert {each["filename"] for each in found} == {picture}
    image = caffe.io.load_image(picture)
    crops = [caffe.io.resize_image(image[a:c, b:d], (8, 8)) for a, b, c, d in windows]
    assert_blob_close(
        [each["prediction"] for each in found], one_by_one(files, crops), "prob", 1e-4
    )
    assert net.detect_windows([]) == []
    with pytest.raises(NotImplementedError, match="MATLAB"):
        net.detect_selective_search([picture])


def test_context_of_a_window(files: tuple[str, str]) -> None:
    net = caffe.Detector(*files, **how(), context_pad=2)
    image = RANDOM.random((40, 50, 3)).astype(np.float32)
    # 8 pixels of which 2 on each side are context: a window of 10 is seen in a box of 20.
    inside = net.crop(image, (15, 20, 24, 29))
    assert inside.shape == (8, 8, 3)
    assert_blob_close(inside, caffe.io.resize_image(image[10:30, 15:35], (8, 8)), "crop")
    corner = net.crop(image, (0, 0, 9, 9))
    mean = MEAN[::-1] / 255  # as the picture has it: RGB, 0-1
    assert_blob_close(corner[:2], np.broadcast_to(mean, (2, 8, 3)), "above")
    assert_blob_close(corner[:, :2], np.broadcast_to(mean, (8, 2, 3)), "left")
    assert abs(corner[2:, 2:] - mean).min() > 1e-6
    plain = caffe.Detector(*files, context_pad=2)
    assert not plain.crop(image, (0, 0, 9, 9))[:2].any()
