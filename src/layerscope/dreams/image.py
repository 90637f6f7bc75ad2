"""The image that is dreamt: a spectrum with decorrelated colours, and the way back to it.

Steps on single pixels end in fine noise that drives a unit but shows nothing.  Steps on the
spectrum, with each frequency weighted as natural images have it, and on colour axes that do not
go together, reach pictures that people can read (C. Olah, A. Mordvintsev and L. Schubert,
"Feature Visualization", Distill 2017).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from layerscope.dreams.scratch import Scratch

Floats: TypeAlias = NDArray[Any]  # float32 as it runs; float64 goes through too
DECAY = 1.0
"""Amplitudes of natural images fall with the frequency to this power."""

COLORS = np.array(
    [
        [0.9188, -0.3564, 0.0590],
        [0.9927, 0.0086, -0.1180],
        [0.9538, 0.3343, 0.0659],
    ],
    np.float32,
)
"""Independent colour axes (columns: brightness, blue against red, the rest) to red, green, blue.

COLORS times its transpose is the covariance of the colours of the four demo images, at 128 x 128
pixels and each around its own mean, divided by the mean of its diagonal.
"""
_MEAN_LEVEL = np.float32(0.5)


class Canvas:
    """Spectra (N, C, H', F, 2) to images (N, C, H, W) of levels 0 to 1, and gradients back.

    The last axis are real and imaginary parts.  H' and the width that F stands for are the next
    larger sizes whose only factors are 2, 3 and 5, for which the transform is quick; the image is
    cut out, so its opposite edges need not fit together.

    Args:
        size: (H, W) of the image.
        channels: 3 for red, green, blue; 1 for gray.
    """

    def __init__(self, size: tuple[int, int], channels: int) -> None:
        self.size, self.channels = size, channels
        self._full = (quick_size(size[0]), quick_size(size[1]))
        rows = np.fft.fftfreq(self._full[0])[:, None]
        columns = np.fft.rfftfreq(self._full[1])[None]
        frequency = np.maximum(np.hypot(rows, columns), 1 / max(self._full))
        weights = frequency**-DECAY
        # Each column stands for its mirrored one too, but for the first and, of an even width, the
        # last: so often it counts in the sum that a pixel is.
        counts = np.full(columns.shape, 2.0)
        counts[0, 0] = 1
        if self._full[1] % 2 == 0:
            counts[0, -1] = 1
        weights /= np.sqrt((weights**2 * 2 * counts).sum() / np.prod(self._full))
        # Once for the real and once for the imaginary part: one product of two flat arrays.
        self._weights = np.stack([weights] * 2, axis=-1).astype(np.float32)
        self._back_weights = np.stack([weights * counts] * 2, axis=-1).astype(np.float32)
        self._scratch = Scratch()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the spectrum of one image."""
        return (self.channels, *self._weights.shape)

    def start(self, generator: np.random.Generator, deviation: float) -> Floats:
        """A spectrum of one image that is noise around gray, as natural images are rough."""
        return (deviation * generator.standard_normal(self.shape)).astype(np.float32)

    def drawn(self, spectra: Floats, out: Floats | None = None) -> Floats:
        """The images of spectra, levels 0 to 1: a sigmoid of `planes`; in `out` where given."""
        found = self.planes(spectra, out)
        np.negative(found, out=found)
        with np.errstate(over="ignore"):  # 1 / inf is the black that it stands for
            np.exp(found, out=found)
        found += 1
        return np.reciprocal(found, out=found)

    def back(self, images: Floats, gradients: Floats, out: Floats | None = None) -> Floats:
        """The gradients by spectra, from those by images that are the drawn ones."""
        kind = np.result_type(images, gradients)
        slopes = self._scratch.array("slopes", images.shape, kind)
        np.subtract(1, images, out=slopes)
        slopes *= images
        slopes *= gradients
        return self.back_planes(slopes, out)

    def planes(self, spectra: Floats, out: Floats | None = None) -> Floats:
        """The linear part: the spectrum weighted, transformed, cut out, and put into colours."""
        kind, (height, width) = spectra.dtype, self.size
        weighted = self._scratch.array("weighted", spectra.shape, kind)
        np.multiply(spectra, self._weights, out=weighted)
        waves = _complex(weighted)
        columns = self._scratch.array("columns", waves.shape, waves.dtype)
        np.fft.ifft(waves, axis=-2, norm="ortho", out=columns)
        full = self._scratch.array("full", (*waves.shape[:2], height, self._full[1]), kind)
        np.fft.irfft(columns[..., :height, :], self._full[1], norm="ortho", out=full)
        found = np.empty((*full.shape[:-1], width), kind) if out is None else out
        if self.channels == 1:
            found[:] = full[..., :width]
            return found
        part = self._scratch.array("part", found[:, 0].shape, kind)
        return colored(COLORS, full[..., :width], found, part)

    def back_planes(self, gradients: Floats, out: Floats | None = None) -> Floats:
        """What `planes` does, transposed."""
        kind, height = gradients.dtype, self.size[0]
        if self.channels == 3:
            mixed = self._scratch.array("mixed", gradients.shape, kind)
            part = self._scratch.array("part", gradients[:, 0].shape, kind)
            gradients = colored(COLORS.T, gradients, mixed, part)
        weighted = self._scratch.array("weighted", (len(gradients), *self.shape), kind)
        rows = _complex(weighted)
        np.fft.rfft(gradients, self._full[1], norm="ortho", out=rows[..., :height, :])
        rows[..., height:, :] = 0
        found = np.empty(weighted.shape, kind) if out is None else out
        np.fft.fft(rows, axis=-2, norm="ortho", out=_complex(found))
        found *= self._back_weights
        return found


def _complex(pairs: Floats) -> Floats:
    """Real and imaginary parts, which the last axis has, as complex numbers in the same memory."""
    return pairs.view(np.result_type(pairs.dtype, np.complex64))[..., 0]


def colored(matrix: Floats, planes: Floats, found: Floats, part: Floats) -> Floats:
    """A 3x3 matrix on the channels of (N, 3, H, W); einsum would call BLAS on tiny rows.

    Args:
        matrix: (3, 3).
        planes: (N, 3, H, W).
        found: the same shape, the result.
        part: (N, H, W), overwritten.
    """
    for row, weights in enumerate(matrix):
        np.multiply(planes[:, 0], weights[0], out=found[:, row])
        for column in (1, 2):
            np.multiply(planes[:, column], weights[column], out=part)
            found[:, row] += part
    return found


def quick_size(least: int) -> int:
    """The next number, at least so large, whose only prime factors are 2, 3 and 5.

    >>> quick_size(227), quick_size(224), quick_size(1)
    (240, 225, 1)
    """
    number = least
    while True:
        rest = number
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return number
        number += 1


def levels(images: Floats) -> NDArray[np.uint8]:
    """Images (N, C, H, W) of 0 to 1 as pixels (N, H, W, 3) uint8; gray has three equal levels."""
    pixels = (images * 255 + _MEAN_LEVEL).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))
