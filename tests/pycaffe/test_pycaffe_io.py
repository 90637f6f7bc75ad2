"""caffe.io: messages to arrays and back, the Transformer, images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope as ls
import layerscope.pycaffe as caffe
from closeness import assert_blob_close
from layerscope.demo import images

RANDOM = np.random.default_rng(9)


# --- messages ---


def blob_of(values: np.ndarray) -> object:
    blob = caffe.proto.caffe_pb2.BlobProto()
    blob.data.extend(list(values.ravel()))
    return blob


def test_an_older_blob() -> None:
    blob = blob_of(np.arange(100))
    blob.num, blob.channels, blob.height, blob.width = 1, 1, 20, 5
    found = caffe.io.blobproto_to_array(blob)
    assert found.shape == (1, 1, 20, 5) and found[0, 0, 1, 2] == 7


def test_a_blob_with_a_shape() -> None:
    blob = blob_of(np.arange(60))
    blob.shape.dim.extend([3, 20])
    assert caffe.io.blobproto_to_array(blob).shape == (3, 20)


def test_a_blob_without_a_shape() -> None:
    with pytest.raises(ValueError, match="reshape"):
        caffe.io.blobproto_to_array(blob_of(np.zeros(100)))
    assert caffe.io.blobproto_to_array(blob_of(np.array([123.0]))) == 123


def test_blobs_and_back() -> None:
    values, diff = RANDOM.normal(size=(2, 3, 4)), RANDOM.normal(size=(2, 3, 4))
    blob = caffe.io.array_to_blobproto(values.astype(np.float32), diff.astype(np.float32))
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob), values.astype(np.float32))
    found = caffe.io.blobproto_to_array(blob, return_diff=True)
    np.testing.assert_array_equal(found, diff.astype(np.float32))
    text = caffe.io.arraylist_to_blobprotovector_str([np.ones((2, 3)), np.zeros(4)])
    ones, zeros = caffe.io.blobprotovector_str_to_arraylist(text)
    assert ones.shape == (2, 3) and ones.all() and zeros.shape == (4,) and not zeros.any()


def test_a_datum_without_a_label_is_smaller() -> None:
    array = np.ones((10, 11, 3))
    with_label = caffe.io.array_to_datum(array, label=1)
    without = caffe.io.array_to_datum(array)
    assert len(with_label.SerializeToString()) > len(without.SerializeToString())
    assert with_label.label == 1 and not without.HasField("label")


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_datum_and_back(kind: type) -> None:
    array = RANDOM.integers(0, 255, (3, 5, 4)).astype(kind)
    datum = caffe.io.array_to_datum(array, 7)
    assert (datum.channels, datum.height, datum.width) == (3, 5, 4)
    assert bool(datum.data) == (kind is np.uint8)
    np.testing.assert_array_equal(caffe.io.datum_to_array(datum), array)
    with pytest.raises(ValueError, match="a Datum takes"):
        caffe.io.array_to_datum(array[0])


# --- the Transformer ---


def test_preprocess_and_back() -> None:
    transformer = caffe.io.Transformer({"data": (1, 3, 6, 5)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 0, 1))
    transformer.set_raw_scale("data", 255)
    transformer.set_mean("data", np.array([10.0, 20.0, 30.0]))
    transformer.set_input_scale("data", 0.5)
    image = RANDOM.random((6, 5, 3)).astype(np.float32)
    before = image.copy()
    found = transformer.preprocess("data", image)
    np.testing.assert_array_equal(image, before)
    assert found.shape == (3, 6, 5) and found.dtype == np.float32
    for to, (of, mean) in enumerate(((2, 10), (0, 20), (1, 30))):
        assert_blob_close(found[to], (255 * image[:, :, of] - mean) * 0.5, f"channel {to}")
    assert_blob_close(transformer.deprocess("data", found[None]), image, "back")


def test_preprocess_resizes() -> None:
    transformer = caffe.io.Transformer({"data": (1, 3, 6, 5)})
    image = RANDOM.random((13, 11, 3))
    assert_blob_close(
        transformer.preprocess("data", image), caffe.io.resize_image(image, (6, 5)), "resized"
    )


def test_means() -> None:
    transformer = caffe.io.Transformer({"data": (1, 2, 4, 3)})
    image = np.zeros((4, 3, 2))
    transformer.set_transpose("data", (2, 0, 1))
    mean = RANDOM.random((2, 4, 3))
    transformer.set_mean("data", mean)
    assert_blob_close(transformer.preprocess("data", image), -mean, "mean image")
    one = caffe.io.Transformer({"data": (1, 1, 4, 3)})
    one.set_transpose("data", (2, 0, 1))
    one.set_mean("data", RANDOM.random((8, 6)))
    assert one.preprocess("data", image[:, :, :1]).shape == (1, 4, 3)
    three = caffe.io.Transformer({"data": (1, 3, 4, 3)})
    large = RANDOM.random((3, 8, 9))
    three.set_mean("data", large)
    smaller = caffe.io.resize_image(large.transpose(1, 2, 0), (4, 3)).transpose(2, 0, 1)
    assert_blob_close(three.mean["data"], smaller, "resized mean")


def test_what_the_transformer_refuses() -> None:
    transformer = caffe.io.Transformer({"data": (1, 3, 6, 5)})
    for call in (
        lambda: transformer.preprocess("label", np.zeros((6, 5, 3))),
        lambda: transformer.set_raw_scale("label", 2),
        lambda: transformer.set_transpose("data", (1, 0)),
        lambda: transformer.set_channel_swap("data", (1, 0)),
    ):
        with pytest.raises(Exception, match=r"not known here|an order of 2"):
            call()
    with pytest.raises(ValueError, match="a mean of 4 channels"):
        transformer.set_mean("data", np.zeros(4))
    with pytest.raises(ValueError, match=r"it is \(K,\)"):
        transformer.set_mean("data", np.zeros((1, 1, 3, 6, 5)))


# --- images ---


@pytest.mark.source("skimage.transform.resize(order=1, mode='constant'), scikit-image 0.26")
def test_resize() -> None:
    image = np.array([[0, 1, 0.5], [1, 0.25, 0]], np.float32)[:, :, None]
    wanted = [[0.1875, 0.46875], [0.390625, 0.484375], [0.671875, 0.203125], [0.609375, 0.046875]]
    assert_blob_close(caffe.io.resize_image(image, (4, 2))[:, :, 0], wanted, "resized")
    nearest = caffe.io.resize_image(image, (4, 6), interp_order=0)[:, :, 0]
    np.testing.assert_array_equal(nearest, image[:, :, 0].repeat(2, 0).repeat(2, 1))
    assert (caffe.io.resize_image(np.full((3, 4, 3), 7.0), (2, 5)) == 7).all()
    assert caffe.io.resize_image(image, (2, 3)) == pytest.approx(image)


@pytest.mark.source("scipy.ndimage.zoom(order=1), scipy 1.17")
def test_resize_with_other_numbers_of_channels() -> None:
    image = np.array([[0, 1, 0.5], [1, 0.25, 0]], np.float32)[:, :, None].repeat(2, 2)
    wanted = [
        [0.0, 0.5, 1.0, 0.75, 0.5],
        [0.5, 0.5625, 0.625, 0.4375, 0.25],
        [1.0, 0.625, 0.25, 0.125, 0.0],
    ]
    assert_blob_close(caffe.io.resize_image(image, (3, 5))[:, :, 1], wanted, "zoomed")
    with pytest.raises(ValueError, match="interp_order 3"):
        caffe.io.resize_image(image, (3, 5), interp_order=3)
    with pytest.raises(ValueError, match="takes an image"):
        caffe.io.resize_image(image[:, :, 0], (3, 5))


def test_oversample() -> None:
    image = np.arange(7 * 6 * 2).reshape(7, 6, 2).astype(float)
    found = caffe.io.oversample([image, -image], (4, 3))
    assert found.shape == (20, 4, 3, 2) and found.dtype == np.float32
    for i, (y, x) in enumerate(((0, 0), (0, 3), (3, 0), (3, 3), (1, 1))):
        np.testing.assert_array_equal(found[i], image[y : y + 4, x : x + 3])
        np.testing.assert_array_equal(found[5 + i], found[i][:, ::-1])
    np.testing.assert_array_equal(found[10:], -found[:10])
    with pytest.raises(ValueError, match="a crop of 8x3"):
        caffe.io.oversample([image], (8, 3))


def test_load_image(tmp_path: Path) -> None:
    from PIL import Image

    pixels = RANDOM.integers(0, 255, (5, 4, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = caffe.io.load_image(str(tmp_path / "a.png"))
    assert found.shape == (5, 4, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found, pixels[:, :, :3] / 255, rtol=1e-6)
    gray = caffe.io.load_image(str(tmp_path / "a.png"), color=False)
    luminance = (pixels[:, :, :3] / 255) @ [0.2125, 0.7154, 0.0721]
    np.testing.assert_allclose(gray, luminance[:, :, None], rtol=1e-6)
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "b.png")
    one = caffe.io.load_image(str(tmp_path / "b.png"), color=False)
    np.testing.assert_allclose(one, pixels[:, :, :1] / 255, rtol=1e-6)
    assert caffe.io.load_image(str(tmp_path / "b.png")).shape == (5, 4, 3)
    assert caffe.io.load_image(images()["cat"]).max() <= 1
    with pytest.raises(FileNotFoundError, match="no such file"):
        caffe.io.load_image(str(tmp_path / "c.png"))
    with pytest.raises(ls.errors.ReadError):
        (tmp_path / "d.png").write_text("no image")
        caffe.io.load_image(str(tmp_path / "d.png"))


def test_an_image_is_not_turned(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert caffe.io.load_image(tmp_path / "a.jpg").shape == (4, 8, 3)
