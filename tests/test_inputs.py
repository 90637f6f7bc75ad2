"""Images and arrays become input blobs, and what was fed is stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.inputs import Preprocessing, linear, prepare, prepare_all, settled
from layerscope.media import MAX_PIXELS, load_image

DIMS = (1, 3, 6, 8)
PLAIN = Preprocessing(channels="RGB")


def picture(height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_rgb_image_is_fed_as_it_is() -> None:
    image = picture()
    fed = prepare(image, DIMS, PLAIN)
    np.testing.assert_array_equal(fed.array[0], image.transpose(2, 0, 1))
    np.testing.assert_array_equal(fed.picture, image)
    assert fed.array.dtype == np.float32 and fed.array.flags.c_contiguous


def test_order_mean_scale_and_deviation() -> None:
    image = picture()
    how = Preprocessing(channels="BGR", mean=(10, 20, 30), scale=0.5, std=(1, 2, 4))
    fed = prepare(image, DIMS, how)
    want = (image[:, :, ::-1].astype(np.float64) - (10, 20, 30)) * 0.5 / (1, 2, 4)
    np.testing.assert_allclose(fed.array[0], want.transpose(2, 0, 1), rtol=1e-6)
    assert fed.statement == (
        "array 8x6, stretched to 8x6; BGR 0-255, minus the mean (10, 20, 30), times 0.5,"
        " divided by (1, 2, 4) (default)"
    )


def test_mean_image_of_the_same_size_is_taken_pixel_by_pixel() -> None:
    mean = np.random.default_rng(1).random((3, 6, 8)).astype(np.float32)
    fed = prepare(picture(), DIMS, Preprocessing(channels="RGB", mean=mean))
    np.testing.assert_allclose(fed.array[0], picture().transpose(2, 0, 1) - mean, rtol=1e-6)


def test_mean_image_of_another_size_is_averaged() -> None:
    mean = np.random.default_rng(1).random((3, 9, 9)).astype(np.float32)
    fed = prepare(picture(), DIMS, Preprocessing(channels="RGB", mean=mean))
    want = picture().transpose(2, 0, 1) - mean.mean((1, 2))[:, None, None]
    np.testing.assert_allclose(fed.array[0], want, rtol=1e-5)


@pytest.mark.parametrize(("mean", "off"), [((), 0), ((33,), 33), (np.full((1, 2, 2), 7.0), 7)])
def test_gray_net(mean: object, off: float) -> None:
    image = picture()
    fed = prepare(image, (1, 1, 6, 8), Preprocessing(mean=mean, scale=0.5))
    luma = np.asarray(Image.fromarray(image).convert("L"), np.float64)
    np.testing.assert_allclose(fed.array[0, 0], (luma - off) * 0.5)
    assert fed.statement.startswith("array 8x6, stretched to 8x6; gray 0-255")
    assert f"minus the mean ({off})" in fed.statement or not off


def test_mean_of_a_gray_net_comes_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "n.prototxt"
    text = """layer { name: "data" type: "Input" top: "data" %s
        input_param { shape { dim: 1 dim: 1 dim: 6 dim: 8 } } }"""
    path.write_text(text % "transform_param { mean_value: 33 scale: 0.00390625 }")
    how = ls.open(path).preprocessing
    assert (how.channels, how.mean, how.scale) == ("gray", (33.0,), 0.00390625)
    path.write_text(text % "")
    assert ls.open(path).preprocessing.mean == ()


@pytest.mark.parametrize("mean", [(1, 2, 3), (1, 2)])
def test_a_mean_for_another_number_of_channels(mean: tuple[int, ...]) -> None:
    with pytest.raises(ls.errors.UsageError, match=r"1 channel; the mean has \d values"):
        prepare(picture(), (1, 1, 6, 8), Preprocessing(mean=mean))


def test_several_images_are_a_batch(tmp_path: Path) -> None:
    first, second = picture(), picture()[::-1]
    Image.fromarray(second).save(tmp_path / "b.png")
    fed = prepare([first, tmp_path / "b.png", Image.fromarray(first)], DIMS, PLAIN)
    want = np.stack([first, second, first]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(fed.array, want)
    np.testing.assert_array_equal(fed.pictures[1], second)
    assert fed.statement.startswith("3 images, first: array 8x6")
    with pytest.raises(ls.errors.UsageError, match="neither images nor numbers"):
        prepare([[1, 2], [3]], DIMS, PLAIN)


@pytest.mark.parametrize("kind", ["exif", "16 bits"])
def test_an_image_is_the_same_by_path_and_as_an_object(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.png"
    if kind == "exif":
        exif = Image.Exif()
        exif[274] = 3  # upside down
        Image.fromarray(picture()).save(path, exif=exif)
    else:
        Image.fromarray((np.arange(48).reshape(6, 8) * 1300).astype(np.uint16)).save(path)
    with Image.open(path) as image:
        by_object = prepare(image, DIMS, PLAIN)
    np.testing.assert_array_equal(by_object.array, prepare(path, DIMS, PLAIN).array)


@pytest.mark.parametrize(
    ("fit", "columns"), [("stretch", [0, 1, 2, 3]), ("crop", [1, 1, 2, 2]), ("pad", [0, 1, 2, 3])]
)
def test_fit(fit: str, columns: list[int]) -> None:
    """Four columns of colour, twice as wide as high, into a square."""
    image = np.repeat(np.uint8([[0, 80, 160, 240]]), 20, 1).repeat(40, 0)[:, :, None].repeat(3, 2)
    fed = prepare(image, (1, 3, 40, 40), Preprocessing(channels="RGB", fit=fit))
    middle = fed.array[0, 0, 20]
    assert [int(middle[i]) // 80 for i in (3, 13, 26, 36)] == columns
    assert (fed.array[0, 0, 0, 20] == 0) == (fit == "pad")


def test_arrays_are_fed_as_they_are() -> None:
    blob = np.random.default_rng(2).normal(size=(4, 3, 6, 8))
    np.testing.assert_array_equal(prepare(blob, DIMS, PLAIN).array, blob.astype(np.float32))
    assert prepare(blob[0], DIMS, PLAIN).array.shape == (1, 3, 6, 8)
    assert prepare(blob[0], DIMS, PLAIN).statement == "array (3, 6, 8), fed as it is"
    assert prepare(blob, DIMS, PLAIN).picture is None


@pytest.mark.parametrize(
    ("source", "dims", "message"),
    [
        (np.zeros((3, 6, 9), np.float32), DIMS, r"takes \(N, 3, 6, 8\), the array is \(3, 6, 9\)"),
        (np.zeros((0, 3, 6, 8), np.float32), DIMS, "a batch of 0"),
        (np.array(["a"]), DIMS, "an array of <U1 cannot be fed"),
        (picture(), (1, 4, 6, 8), "which an image cannot fill"),
        (picture(), (1, 10), "which an image cannot fill"),
        (object(), DIMS, "a object is neither an image nor an array"),
        (np.zeros((0, 5, 3), np.uint8), DIMS, "an empty image"),
    ],
)
def test_what_does_not_fit(source: object, dims: tuple[int, ...], message: str) -> None:
    with pytest.raises(ls.errors.UsageError, match=message):
        prepare(source, dims, PLAIN)


@pytest.mark.parametrize("dims", [(8,), (6, 8), (1, 1, 3, 6, 8)])
def test_another_number_of_axes(dims: tuple[int, ...]) -> None:
    with pytest.raises(ls.errors.UnsupportedError, match="which has another number of axes"):
        prepare(np.zeros(dims, np.float32), DIMS, PLAIN)


def test_wrong_number_of_mean_values() -> None:
    with pytest.raises(ls.errors.UsageError, match="3 channels; the mean has 2 values"):
        prepare(picture(), DIMS, Preprocessing(channels="RGB", mean=(1, 2)))


def test_names_of_inputs() -> None:
    shapes = {"a": (1, 2), "b": (1, 3)}
    with pytest.raises(ls.errors.UsageError, match=r"2 inputs \(a, b\); name them"):
        prepare_all(np.zeros(2), shapes, PLAIN)
    with pytest.raises(ls.errors.UsageError, match="missing: b; unknown: c"):
        prepare_all({"a": np.zeros(2), "c": np.zeros(3)}, shapes, PLAIN)
    assert list(prepare_all({"b": np.zeros(3), "a": np.zeros(2)}, shapes, PLAIN)) == ["a", "b"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
def test_every_mode_of_image(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    if mode == "I;16":
        Image.fromarray((np.arange(48).reshape(6, 8) * 1300).astype(np.uint16)).save(path)
    else:
        Image.fromarray(picture()).convert(mode).save(path)
    image = load_image(path)
    assert image.mode == "RGB" and image.size == (8, 6)
    assert np.asarray(image).std() > 10


def test_camera_orientation(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[274] = 6  # turn right to view
    Image.fromarray(picture(6, 8)).save(path, exif=exif)
    assert load_image(path).size == (6, 8)


def test_bad_images(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    Image.fromarray(picture(60, 80)).save(good)
    content = good.read_bytes()
    for name, damaged, message in (
        ("text.jpg", b"not an image", "text.jpg: not an image that is read here"),
        ("cut.png", content[: len(content) // 2], "cut.png: the image is damaged"),
        ("vector.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image that"),
        ("empty.png", b"", "empty.png: not an image that"),
    ):
        path = tmp_path / name
        path.write_bytes(damaged)
        with pytest.raises(ls.errors.ReadError, match=message):
            load_image(path)
    with pytest.raises(ls.errors.UsageError, match="no such file"):
        load_image(tmp_path / "none.png")
    with pytest.raises(ls.errors.SystemFaultError, match="not a regular file"):
        load_image(tmp_path)


def test_image_of_a_hundred_megapixels(tmp_path: Path) -> None:
    """The size is known from the header: nothing is decoded."""
    path = tmp_path / "huge.png"
    Image.new("1", (10_000, 10_000)).save(path)
    assert 10_000 * 10_000 > MAX_PIXELS
    with pytest.raises(ls.errors.LimitError, match="10000x10000 is 100 million pixels; the limit"):
        load_image(path)


def test_array_files(tmp_path: Path) -> None:
    blob = np.random.default_rng(3).normal(size=(2, 3, 6, 8)).astype(np.float32)
    np.save(tmp_path / "a.npy", blob)
    np.savez(tmp_path / "one.npz", x=blob)
    np.savez(tmp_path / "two.npz", x=blob, y=blob)
    for name in ("a.npy", "one.npz"):
        np.testing.assert_array_equal(prepare(tmp_path / name, DIMS, PLAIN).array, blob)
    with pytest.raises(ls.errors.UsageError, match=r"holds several arrays \(x, y\)"):
        prepare(tmp_path / "two.npz", DIMS, PLAIN)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ls.errors.ReadError, match="no array of numbers"):
        prepare(tmp_path / "objects.npy", DIMS, PLAIN)


@pytest.mark.parametrize(
    "how",
    [
        Preprocessing("RGB", (10.0, 20.0, 30.0), 0.5, (2.0, 3.0, 4.0)),
        Preprocessing("BGR", (7.0,)),
        Preprocessing("BGR", np.arange(3 * 5 * 4, dtype=np.float32).reshape(3, 5, 4), 1 / 255),
        Preprocessing("BGR", np.arange(3 * 2 * 2, dtype=np.float32).reshape(3, 2, 2)),
        Preprocessing("gray", (), 0.25, (2.0,)),
    ],
)
def test_the_linear_form_is_what_an_image_goes_through(how: Preprocessing) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (5, 4, 3), np.uint8)
    channels = 1 if how.channels == "gray" else 3
    dims = (channels, 5, 4)
    fed = prepare(pixels, (1, *dims), how)
    assert fed.picture is not None
    planes = fed.picture.reshape(5, 4, channels).transpose(2, 0, 1).astype(np.float32)
    mean, factor = linear(settled(how, dims, "data"), dims, "data")
    if how.channels == "BGR":
        planes = planes[::-1]
    np.testing.assert_allclose((planes - mean) * factor, fed.array[0], rtol=1e-5, atol=1e-5)
