"""`caffe.io`: images, and arrays to and from Caffe's messages.

Behaviour: `python/caffe/io.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope import media
from layerscope.pycaffe.definition import missing_file
from layerscope.pycaffe.errors import CaffeValueError
from layerscope.pycaffe.proto import caffe_pb2
from layerscope.pycaffe.resize import resize_image
from layerscope.pycaffe.transformer import Transformer
from layerscope.text import shape

__all__ = [
    "Transformer",
    "array_to_blobproto",
    "array_to_datum",
    "arraylist_to_blobprotovector_str",
    "blobproto_to_array",
    "blobprotovector_str_to_arraylist",
    "caffe_pb2",
    "datum_to_array",
    "load_image",
    "oversample",
    "resize_image",
]

_LUMINANCE = np.array([0.2125, 0.7154, 0.0721])  # of skimage.color.rgb2gray


# --- messages ---


def blobproto_to_array(blob: Any, return_diff: bool = False) -> NDArray[np.float64]:
    """The numbers of a BlobProto in its shape; (num, channels, height, width) for an older one.

    Raises:
        ValueError: the numbers do not fit the shape.
    """
    values = np.array(blob.diff if return_diff else blob.data)
    if any(blob.HasField(name) for name in ("num", "channels", "height", "width")):
        return values.reshape(blob.num, blob.channels, blob.height, blob.width)
    return values.reshape(tuple(blob.shape.dim))


def array_to_blobproto(arr: NDArray[Any], diff: NDArray[Any] | None = None) -> Any:
    """A BlobProto of an array of any shape, and of a gradient of the same shape."""
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(arr.astype(float).flat)
    if diff is not None:
        blob.diff.extend(diff.astype(float).flat)
    return blob


def arraylist_to_blobprotovector_str(arraylist: Iterable[NDArray[Any]]) -> bytes:
    """A serialized BlobProtoVector of arrays."""
    vector = caffe_pb2.BlobProtoVector()
    vector.blobs.extend([array_to_blobproto(each) for each in arraylist])
    found: bytes = vector.SerializeToString()
    return found


def blobprotovector_str_to_arraylist(str: bytes) -> list[NDArray[np.float64]]:
    """The arrays of a serialized BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector()
    vector.ParseFromString(str)
    return [blobproto_to_array(each) for each in vector.blobs]


def array_to_datum(arr: NDArray[Any], label: int | None = None) -> Any:
    """A Datum of an array (K, H, W): bytes for uint8, else floats.

    Raises:
        ValueError: the array has not three axes.
    """
    if arr.ndim != 3:
        raise CaffeValueError(f"an array {shape(arr.shape)}; a Datum takes (K, H, W)")
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).flat)
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: Any) -> NDArray[Any]:
    """The array of a Datum, (K, H, W): uint8 for bytes, else floats."""
    dims = datum.channels, datum.height, datum.width
    if len(datum.data):
        return np.frombuffer(datum.data, np.uint8).reshape(dims).copy()
    return np.array(datum.float_data).astype(float).reshape(dims)


# --- images ---


def load_image(filename: str | PathLike[str], color: bool = True) -> NDArray[np.float32]:
    """Read an image file; it is not turned, transparency is dropped.

    Args:
        filename: the file.
        color: whether it is read in color, or as brightness.

    Returns:
        float32 in 0..1, (H, W, 3) in RGB or (H, W, 1).

    Raises:
        CaffeFileError: there is no such file (also a FileNotFoundError).
        ReadError: it is no image, or damaged.
    """
    path = Path(filename)
    if not path.exists():
        raise missing_file(path)
    pixels = np.asarray(media.load_image(path, upright=False)) / 255.0
    if not color:
        gray = (pixels == pixels[..., :1]).all()
        pixels = pixels[..., :1] if gray else (pixels @ _LUMINANCE)[..., None]
    return pixels.astype(np.float32)


def oversample(
    images: Sequence[NDArray[Any]] | NDArray[Any], crop_dims: Iterable[int]
) -> NDArray[np.float32]:
    """Cut out four corners and the centre of each image, and mirror those.

    Args:
        images: N images (H, W, K) of one size.
        crop_dims: (height, width) of what is cut out.

    Returns:
        (10 N, height, width, K): upper left, upper right, lower left, lower right, centre; then
        the five mirrored.

    Raises:
        CaffeValueError: the crop is larger than the images.
    """
    height, width = (int(d) for d in crop_dims)
    rows, columns, channels = images[0].shape
    if height > rows or width > columns:
        raise CaffeValueError(f"a crop of {height}x{width} out of images of {rows}x{columns}")
    corners = [(y, x) for y in (0, rows - height) for x in (0, columns - width)]
    corners.append((int(rows / 2 - height / 2), int(columns / 2 - width / 2)))
    found = np.empty((10 * len(images), height, width, channels), np.float32)
    for i, image in enumerate(images):
        for j, (y, x) in enumerate(corners):
            crop = np.asarray(image)[y : y + height, x : x + width]
            found[10 * i + j] = crop
            found[10 * i + 5 + j] = crop[:, ::-1]
    return found
