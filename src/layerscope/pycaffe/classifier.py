"""`caffe.Classifier`: a net that takes images and gives probabilities.

Behaviour: `python/caffe/classifier.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.pycaffe import io
from layerscope.pycaffe.mode import TEST
from layerscope.pycaffe.net import Net


def transformer(
    net: Net,
    mean: NDArray[Any] | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
) -> io.Transformer:
    """The transformer of a net's first input, for images (H, W, K)."""
    name = net.inputs[0]
    found = io.Transformer({name: net.blobs[name].data.shape})
    found.set_transpose(name, (2, 0, 1))
    if mean is not None:
        found.set_mean(name, mean)
    if input_scale is not None:
        found.set_input_scale(name, input_scale)
    if raw_scale is not None:
        found.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        found.set_channel_swap(name, channel_swap)
    return found


class Classifier(Net):
    """A net for classification, by the whole image or by ten crops of it.

    Args:
        model_file, pretrained_file: definition and weights.
        image_dims: (height, width) that images are resized to before cropping; the input's size
            when left out.
        mean, input_scale, raw_scale, channel_swap: see `caffe.io.Transformer`.
    """

    def __init__(
        self,
        model_file: str | PathLike[str],
        pretrained_file: str | PathLike[str],
        image_dims: Sequence[int] | None = None,
        mean: NDArray[Any] | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        self.image_dims: Sequence[int] | NDArray[Any] = (
            self.crop_dims if image_dims is None else image_dims
        )

    def predict(
        self, inputs: Sequence[NDArray[Any]], oversample: bool = True
    ) -> NDArray[np.float32]:
        """Classify images.

        Args:
            inputs: images (H, W, K).
            oversample: whether the corners, the centre and their mirrors are averaged; else the
                centre alone is taken.

        Returns:
            (N, classes).
        """
        images = np.stack([io.resize_image(each, self.image_dims) for each in inputs])
        if oversample:
            images = io.oversample(images, self.crop_dims)
        else:
            top, left = (
                int(size / 2 - crop / 2)
                for size, crop in zip(self.image_dims, self.crop_dims, strict=True)
            )
            height, width = self.crop_dims
            images = images[:, top : top + height, left : left + width]
        name = self.inputs[0]
        fed: Any = np.stack([self.transformer.preprocess(name, each) for each in images])
        found = self.forward_all(None, **{name: fed})[self.outputs[0]]
        return found.reshape(len(found) // 10, 10, -1).mean(1) if oversample else found
