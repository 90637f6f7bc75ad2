"""A mean image: `.binaryproto` as Caffe's compute_image_mean writes it, or `.npy`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReadError
from layerscope.media import load_array
from layerscope.readers.caffe.weights import blob_shape, blob_values
from layerscope.readers.caffe.wire import decode
from layerscope.readers.file import InputFile
from layerscope.text import shape


def read_mean(path: Path) -> NDArray[np.float32]:
    """The mean of each pixel, (C, H, W) in the channel order of the file (BGR for Caffe's own).

    Raises:
        UsageError: there is no such file.
        ReadError: it is no mean image.
    """
    if path.suffix.lower() in (".npy", ".npz"):
        mean, name = np.asarray(load_array(path), np.float32), path.name
    else:
        file = InputFile(path)
        name = file.name
        blob = decode(file.view, name, "BlobProto")
        dims = blob_shape(blob, name)
        values = blob_values(blob, name)
        if values.size == 0 or values.size != np.prod(dims):
            raise ReadError(f"{name}: {values.size:,} numbers for the shape {shape(dims)}: no mean")
        mean = values.reshape(dims)
    while mean.ndim > 3 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim == 1:
        mean = mean[:, None, None]
    if mean.ndim != 3:
        raise ReadError(f"{name}: {shape(mean.shape)}; a mean image is (C, H, W)")
    return mean
