"""`caffe.Detector`: a net that classifies windows of images.

Behaviour: `python/caffe/detector.py`; cropping with context after Girshick et al., "Rich feature
hierarchies for accurate object detection and semantic segmentation" (2014).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from layerscope.pycaffe import io
from layerscope.pycaffe.classifier import transformer
from layerscope.pycaffe.errors import NotYetError
from layerscope.pycaffe.mode import TEST
from layerscope.pycaffe.net import Net

Window = Sequence[float]


class Detector(Net):
    """A net for detection by windows, each warped to the input's size.

    Args:
        model_file, pretrained_file: definition and weights.
        mean, input_scale, raw_scale, channel_swap: see `caffe.io.Transformer`.
        context_pad: how many pixels around the window show what is around it.
    """

    def __init__(
        self,
        model_file: str | PathLike[str],
        pretrained_file: str | PathLike[str],
        mean: NDArray[Any] | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(
        self, images_windows: Iterable[tuple[str, Iterable[Window]]]
    ) -> list[dict[str, Any]]:
        """Classify windows of images.

        Args:
            images_windows: (image file, windows); a window is (ymin, xmin, ymax, xmax).

        Returns:
            A dict with "window", "prediction" and "filename" for each.
        """
        places, fed = [], []
        name = self.inputs[0]
        for filename, windows in images_windows:
            image = io.load_image(filename)
            for window in windows:
                places.append((window, filename))
                fed.append(self.transformer.preprocess(name, self.crop(image, window)))
        if not fed:
            return []
        found = self.forward_all(None, **{name: np.stack(fed)})[self.outputs[0]]
        return [
            {"window": window, "prediction": each, "filename": filename}
            for (window, filename), each in zip(places, found, strict=True)
        ]

    def detect_selective_search(self, image_fnames: Sequence[str]) -> NoReturn:
        """Not there: it needs a MATLAB program.

        Raises:
            NotYetError: always.
        """
        raise NotYetError(
            "detect_selective_search needs the MATLAB program selective_search; find windows in"
            " another way and give them to detect_windows"
        )

    def crop(self, im: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        """Cut a window out of an image, with context if that was configured.

        Args:
            im: (H, W, K).
            window: (ymin, xmin, ymax, xmax).

        Returns:
            The window as it is, or with context at the input's size, (H, W, K).
        """
        box = np.asarray(window, np.float64)
        y0, x0, y1, x1 = box.astype(int)
        if not self.context_pad:
            return im[y0:y1, x0:x1]
        size = self.blobs[self.inputs[0]].width
        half = (box[2:] - box[:2] + 1) / 2
        reach = half * (size / (size - 2.0 * self.context_pad))
        box = np.round(np.concatenate([box[:2] + half - reach, box[:2] + half + reach]))
        scale = size / (box[2:] - box[:2] + 1)
        pad = np.round(np.maximum(0, -box[:2]) * scale).astype(int)
        box = np.clip(box, 0, [*im.shape[:2], *im.shape[:2]])
        dims = np.minimum(np.round((box[2:] - box[:2] + 1) * scale).astype(int), size - pad)
        y0, x0, y1, x1 = box.astype(int)
        found = np.ones(tuple(self.crop_dims), np.float32) * self.crop_mean
        inside = io.resize_image(im[y0:y1, x0:x1], dims)
        found[pad[0] : pad[0] + dims[0], pad[1] : pad[1] + dims[1]] = inside
        return np.asarray(found, np.float32)

    def configure_crop(self, context_pad: int | None) -> None:
        """Set the context of `crop`; what lies outside the image becomes the mean.

        Args:
            context_pad: in pixels of the input; None for none.
        """
        name = self.inputs[0]
        _, channels, height, width = self.blobs[name].shape
        self.crop_dims = np.array([height, width, channels])
        self.context_pad = context_pad
        self.crop_mean: NDArray[Any] = np.zeros(tuple(self.crop_dims), np.float32)
        mean = self.transformer.mean.get(name)
        if not context_pad or mean is None:
            return
        found = mean.transpose(np.argsort(self.transformer.transpose[name]))
        swap = self.transformer.channel_swap.get(name)
        if swap is not None:
            found = found[:, :, np.argsort(swap)]
        self.crop_mean = found / self.transformer.raw_scale.get(name, 1)
