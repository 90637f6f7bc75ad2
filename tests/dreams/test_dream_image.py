"""The spectrum as an image: transposed exactly, colours as measured, gradients as moved numbers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from layerscope.demo import images
from layerscope.dreams.image import COLORS, Canvas, colored, levels, quick_size

SIZES = [(7, 9), (12, 10), (17, 8), (1, 5), (227, 31)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_way_back_is_the_transpose(size: tuple[int, int], channels: int) -> None:
    random = np.random.default_rng(3)
    canvas = Canvas(size, channels)
    spectra = random.normal(size=(2, *canvas.shape))
    gradients = random.normal(size=(2, channels, *size))
    there = (canvas.planes(spectra) * gradients).sum()
    back = (spectra * canvas.back_planes(gradients)).sum()
    assert canvas.planes(spectra).shape == gradients.shape
    assert there == pytest.approx(back, rel=1e-10, abs=1e-10) and abs(there) > 1e-3


def test_one_number_of_the_spectrum_is_one_wave() -> None:
    """Against the sum that defines the transform, written as a loop."""
    canvas = Canvas((6, 8), 1)  # both quick, so nothing is cut off
    spectrum = np.zeros((1, *canvas.shape))
    spectrum[0, 0, 2, 1, 1] = 1  # the imaginary part of 2 waves down, 1 to the right
    plane = canvas.planes(spectrum)[0, 0]
    want = np.array(
        [[-np.sin(2 * np.pi * (2 * y / 6 + x / 8)) for x in range(8)] for y in range(6)]
    )
    want *= plane.std() / want.std()
    np.testing.assert_allclose(plane, want, atol=1e-12)


def test_amplitudes_fall_with_the_frequency() -> None:
    canvas = Canvas((32, 32), 1)

    def strength(down: int, right: int) -> float:
        spectrum = np.zeros((1, *canvas.shape))
        spectrum[0, 0, down, right, 0] = 1
        return float(canvas.planes(spectrum).std())

    assert strength(1, 2) / strength(2, 4) == pytest.approx(2, rel=1e-5)
    assert strength(3, 3) / strength(12, 12) == pytest.approx(4, rel=1e-5)


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    canvas = Canvas((60, 54), 1)
    random = np.random.default_rng(0)
    found = [canvas.planes(canvas.start(random, 0.5)[None]) for _ in range(60)]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(0.5, rel=0.1)


def test_images_are_a_sigmoid_and_its_slope() -> None:
    random = np.random.default_rng(4)
    canvas = Canvas((5, 6), 3)
    spectra = random.normal(size=(1, *canvas.shape))
    weights = random.normal(size=(1, 3, 5, 6))
    drawn = canvas.drawn(spectra)
    np.testing.assert_allclose(np.log(drawn / (1 - drawn)), canvas.planes(spectra), atol=1e-9)
    gradient = canvas.back(drawn, weights)
    for place in [(0, 0, 0, 0, 0), (0, 1, 2, 1, 1), (0, 2, 4, 3, 0)]:
        moved = [spectra.copy(), spectra.copy()]
        moved[0][place] += 1e-5
        moved[1][place] -= 1e-5
        up, down = ((canvas.drawn(each) * weights).sum() for each in moved)
        assert gradient[place] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-8)


def test_colours_are_those_of_the_demo_images() -> None:
    found = []
    for path in images().values():
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((128, 128)), float).reshape(-1, 3)
        found.append(pixels - pixels.mean(axis=0))
    covariance = np.cov(np.concatenate(found).T)
    covariance /= np.trace(covariance) / 3
    np.testing.assert_allclose(COLORS @ COLORS.T, covariance, atol=2e-3)
    axes = COLORS.T @ COLORS  # no axis goes together with another
    assert np.abs(axes - np.diag(np.diag(axes))).max() < 1e-3


def test_colours_are_mixed_by_the_matrix() -> None:
    matrix = np.arange(9.0).reshape(3, 3)
    planes = np.random.default_rng(1).normal(size=(2, 3, 4, 5))
    want = np.einsum("ij,njhw->nihw", matrix, planes)
    found = colored(matrix, planes, np.empty((2, 3, 4, 5)), np.empty((2, 4, 5)))
    np.testing.assert_allclose(found, want)


def test_what_was_drawn_stays_when_more_is_drawn() -> None:
    """Buffers are used again, results are not; a result may go into an array that is given."""
    random = np.random.default_rng(9)
    canvas = Canvas((9, 14), 3)
    one, two = (canvas.start(random, 1.0)[None] for _ in range(2))
    first = canvas.drawn(one)
    kept, slope = first.copy(), canvas.back(first, first)
    slope_kept = slope.copy()
    second = canvas.drawn(two)
    canvas.back(second, second)
    assert (first == kept).all() and (slope == slope_kept).all() and (first != second).any()
    assert canvas.drawn(two, out=first) is first and (first == second).all()
    assert canvas.back(first, kept, out=slope) is slope
    assert np.isfinite(canvas.drawn(two * np.float32(1e6))).all()  # exp overflows: black


def test_quick_sizes() -> None:
    assert [quick_size(n) for n in (1, 7, 8, 11, 227, 256, 299)] == [1, 8, 8, 12, 240, 256, 300]


def test_levels_are_pixels() -> None:
    gray = np.array([[[[0, 1], [0.5, 0.25]]]], np.float32)
    pixels = levels(gray)
    assert pixels.shape == (1, 2, 2, 3) and pixels.dtype == np.uint8
    assert pixels[0, :, :, 0].tolist() == [[0, 255], [128, 64]]
    assert (pixels == pixels[..., :1]).all()
