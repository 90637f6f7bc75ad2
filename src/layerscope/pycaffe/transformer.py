"""`caffe.io.Transformer`: image to input blob and back, step by step.

Behaviour: `python/caffe/io.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.pycaffe.errors import CaffeValueError
from layerscope.pycaffe.resize import resize_image
from layerscope.text import printable, quoted, shape


class Transformer:
    """How an image becomes an input: resize, transpose, swap channels, scale, mean, scale.

    Args:
        inputs: input name to its shape (N, K, H, W), for example
            `{"data": net.blobs["data"].data.shape}`.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, NDArray[Any]] = {}
        self.input_scale: dict[str, float] = {}

    def preprocess(self, in_: str, data: NDArray[Any]) -> NDArray[np.float32]:
        """Make an input of an image; the array given is not changed.

        Args:
            in_: the input's name.
            data: (H, W, K).

        Returns:
            (K, H, W) float32, after the steps that were set.
        """
        self._check(in_)
        found = np.array(data, np.float32)
        size = tuple(self.inputs[in_][2:])
        if found.shape[:2] != size:
            found = resize_image(found, size)
        if (order := self.transpose.get(in_)) is not None:
            found = found.transpose(order)
        if (swap := self.channel_swap.get(in_)) is not None:
            found = found[list(swap), :, :]
        if (scale := self.raw_scale.get(in_)) is not None:
            found *= scale
        if (mean := self.mean.get(in_)) is not None:
            found -= mean
        if (scale := self.input_scale.get(in_)) is not None:
            found *= scale
        return found

    def deprocess(self, in_: str, data: NDArray[Any]) -> NDArray[Any]:
        """Make an image of an input: the steps backwards.

        Args:
            in_: the input's name.
            data: (K, H, W), or (1, K, H, W).

        Returns:
            (H, W, K).
        """
        self._check(in_)
        found = data.copy().squeeze()
        if (scale := self.input_scale.get(in_)) is not None:
            found /= scale
        if (mean := self.mean.get(in_)) is not None:
            found += mean
        if (scale := self.raw_scale.get(in_)) is not None:
            found /= scale
        if (swap := self.channel_swap.get(in_)) is not None:
            found = found[np.argsort(swap), :, :]
        if (order := self.transpose.get(in_)) is not None:
            found = found.transpose(np.argsort(order))
        return found

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of the axes, (2, 0, 1) to make K x H x W of H x W x K.

        Raises:
            CaffeValueError: not as many axes as the input has behind the batch.
        """
        self._check(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise CaffeValueError(
                f"an order of {len(order)} axes; the input has {len(self.inputs[in_]) - 1} behind"
                " the batch"
            )
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of the channels, (2, 1, 0) to make BGR of RGB; they come first by then.

        Raises:
            CaffeValueError: not as many as the input has channels.
        """
        self._check(in_)
        if len(order) != self.inputs[in_][1]:
            raise CaffeValueError(
                f"an order of {len(order)} channels; the input has {self.inputs[in_][1]}"
            )
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Set the factor before the mean: 255 where images are 0-1 and the net wants 0-255."""
        self._check(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: NDArray[Any]) -> None:
        """Set the mean: one number a channel, (H, W), or (K, H, W), resized where it must be.

        Raises:
            CaffeValueError: it has another number of channels or axes.
        """
        self._check(in_)
        mean = np.asarray(mean)
        dims = tuple(self.inputs[in_][1:])
        if mean.ndim == 1:
            if len(mean) != dims[0]:
                raise CaffeValueError(f"a mean of {len(mean)} channels; the input has {dims[0]}")
            mean = mean[:, None, None]
        else:
            planes = mean[None] if mean.ndim == 2 else mean
            if planes.ndim != 3:
                raise CaffeValueError(
                    f"a mean {shape(mean.shape)}; it is (K,), (H, W) or (K, H, W)"
                )
            if planes.shape != dims:
                mean = resize_image(planes.transpose(1, 2, 0), dims[1:]).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Set the factor after the mean."""
        self._check(in_)
        self.input_scale[in_] = scale

    def _check(self, in_: str) -> None:
        if in_ not in self.inputs:
            raise CaffeValueError(
                f"input {quoted(in_)} is not known here;"
                f" known: {', '.join(map(printable, self.inputs))}"
            )
