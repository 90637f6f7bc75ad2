"""Image to input blob: size, channel order, mean, scale.  What was fed is always stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import UnsupportedError, UsageError
from layerscope.media import ARRAY_SUFFIXES, load_array, load_arrays, load_image, rgb
from layerscope.text import plural, printable, quoted, shape

if TYPE_CHECKING:
    from PIL import Image

Fit = Literal["stretch", "crop", "pad"]
Channels = Literal["BGR", "RGB", "gray"]
Layout = Literal["NCHW", "NHWC"]

METADATA_KEY = "layerscope.preprocessing"  # of an ONNX file that layerscope wrote


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes an input blob; every surface states it.

    Attributes:
        channels: the order of the blob's channels; "gray" for one channel.
        mean: one number a channel in that order (or one for all), or an array (C, H, W); taken
            off before scaling.
        scale: multiplies what is left; pixels are 0-255 before it.
        std: one number a channel to divide by, after scale.
        fit: "stretch" to the net's size, "crop" the middle, or "pad" with black.
        layout: the order of the blob's axes; "NHWC" is (N, H, W, C), as TensorFlow has it.
        source: where these settings come from, in words.
        stated: whether the net or the user says so; if not, it is what such nets usually want.
    """

    channels: Channels = "BGR"
    mean: tuple[float, ...] | NDArray[np.float32] = ()
    scale: float = 1.0
    std: tuple[float, ...] = ()
    fit: Fit = "stretch"
    source: str = "default"
    layout: Layout = "NCHW"
    stated: bool = True

    def __str__(self) -> str:
        parts = [f"{self.channels} 0-255"]
        if isinstance(self.mean, np.ndarray):
            parts.append(f"minus a mean image {shape(self.mean.shape)}")
        elif any(self.mean):
            parts.append(f"minus the mean ({', '.join(f'{m:g}' for m in self.mean)})")
        if self.scale != 1:
            whole = round(1 / self.scale) if abs(self.scale) < 1 else 0
            simple = whole >= 100 and abs(whole * self.scale - 1) < 1e-6
            parts.append(f"times 1/{whole}" if simple else f"times {self.scale:g}")
        if self.std:
            parts.append(f"divided by ({', '.join(f'{s:g}' for s in self.std)})")
        if self.layout == "NHWC":
            parts.append("channels last (N, H, W, C)")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Fed:
    """What went into one input.

    Attributes:
        array: the blob, (N, C, H, W) float32 unless the input takes another type.
        pictures: what the net saw, one (H, W, 3) or (H, W) uint8 for each image of the batch; empty
            when an array was given.
        statement: how the one became the other, in one line.
    """

    array: NDArray[Any]
    pictures: tuple[NDArray[np.uint8], ...]
    statement: str

    @property
    def picture(self) -> NDArray[np.uint8] | None:
        """The first of the pictures, if there are any."""
        return self.pictures[0] if self.pictures else None


Source = str | PathLike[str] | NDArray[Any] | Any


def prepare(
    source: Source,
    dims: Sequence[int],
    preprocessing: Preprocessing,
    name: str = "data",
    dtype: np.dtype[Any] = np.dtype(np.float32),  # noqa: B008 - a constant
) -> Fed:
    """Make the blob of one input.

    Args:
        source: an image file, a PIL image, a uint8 array (H, W), (H, W, 3) or (H, W, 4), an array
            of floats that already is the blob, or a `.npy` file with one.
        dims: the input's shape, (N, C, H, W) for an image; N is free.
        preprocessing: what to do to an image.
        name: the input's name, for messages.
        dtype: what the input takes.

    Raises:
        UsageError: the file is missing or the array has another size.
        UnsupportedError: the array has another number of axes.
        ReadError: the file is not an image.
        LimitError: the image has more than 50 million pixels.
    """
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return _given(load_array(path), dims, name, path.name, dtype)
        image = load_image(path)
        return _from_image(image, dims, preprocessing, name, printable(path.name), dtype)
    if isinstance(source, (np.ndarray, np.generic)):
        source = np.asarray(source)
        as_is = dtype == np.uint8 and source.shape in (tuple(dims), tuple(dims[1:]))
        if not _is_picture(source) or as_is:
            return _given(source, dims, name, "array", dtype)
        from PIL import Image

        if source.size == 0:
            raise UsageError(f"input {quoted(name)}: an empty image {shape(source.shape)}")
        return _from_image(rgb(Image.fromarray(source)), dims, preprocessing, name, "array", dtype)
    if hasattr(source, "convert") and hasattr(source, "size"):
        return _from_image(rgb(source), dims, preprocessing, name, "image", dtype)
    if isinstance(source, (list, tuple)) and any(_is_image(each) for each in source):
        return _batch([prepare(each, dims, preprocessing, name, dtype) for each in source])
    if isinstance(source, (list, tuple, float, int)):
        try:
            return _given(np.asarray(source, dtype), dims, name, "numbers", dtype)
        except (ValueError, TypeError, OverflowError):
            raise UsageError(
                f"input {quoted(name)}: a list of neither images nor numbers"
            ) from None
    raise UsageError(
        f"input {quoted(name)}: a {type(source).__name__} is neither an image nor an array"
    )


def _is_picture(array: NDArray[Any]) -> bool:
    """Whether an array holds pixels, (H, W), (H, W, 3) or (H, W, 4) uint8, and not a blob."""
    return array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] in ((3,), (4,)))


def _is_image(source: Any) -> bool:
    if isinstance(source, np.ndarray):
        return _is_picture(source)
    return isinstance(source, (str, PathLike)) or hasattr(source, "convert")


def _batch(fed: Sequence[Fed]) -> Fed:
    """Several images as one blob."""
    array = np.concatenate([each.array for each in fed])
    pictures = tuple(picture for each in fed for picture in each.pictures)
    return Fed(array, pictures, f"{plural(len(fed), 'image')}, first: {fed[0].statement}")


def _given(
    array: NDArray[Any], dims: Sequence[int], name: str, origin: str, dtype: np.dtype[Any]
) -> Fed:
    """An array that is fed as it is; a missing batch axis is added."""
    if array.dtype.type.__module__ == "ml_dtypes":  # bfloat16, float8, int4
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise UsageError(f"input {quoted(name)}: an array of {array.dtype} cannot be fed")
    blob = np.asarray(_cast(array, dtype, name), order="C")
    if blob.ndim == len(dims) - 1 and blob.shape == tuple(dims[1:]):
        blob = blob[None]
    wanted = ", ".join(["N", *map(str, dims[1:])]) if dims else "one number"
    takes = f"input {quoted(name)} takes ({wanted}), the array is {shape(array.shape)}"
    if array.ndim not in (len(dims), len(dims) - 1):
        raise UnsupportedError(f"{takes}, which has another number of axes")
    if blob.ndim != len(dims) or blob.shape[1:] != tuple(dims[1:]):
        raise UsageError(
            f"{takes}; for another size: --input-shape, net.reshaped({printable(name)}=...)"
        )
    if blob.ndim and blob.shape[0] == 0 and dims[0]:
        raise UsageError(f"input {quoted(name)}: a batch of 0")
    return Fed(blob, (), f"{origin} {shape(array.shape)}, fed as it is")


def _cast(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """The array in the type of the input; whole numbers must stay what they are."""
    if dtype.kind == "f":
        return array.astype(dtype, copy=False)
    with np.errstate(invalid="ignore"):
        blob = array.astype(dtype, copy=False)
    if not np.array_equal(blob, array):
        raise UsageError(f"input {quoted(name)} takes {dtype}; the array has other numbers")
    return blob


def _from_image(
    image: Image.Image,
    dims: Sequence[int],
    how: Preprocessing,
    name: str,
    origin: str,
    dtype: np.dtype[Any],
) -> Fed:
    last = how.layout == "NHWC"
    if len(dims) != 4 or dims[3 if last else 1] not in (1, 3):
        raise UsageError(
            f"input {quoted(name)} takes {shape(dims)}, which an image cannot fill;"
            " give an array (.npy)"
        )
    _, channels, height, width = (dims[i] for i in ((0, 3, 1, 2) if last else range(4)))
    how = settled(how, (channels, height, width), name)
    before = f"{image.width}x{image.height}"
    image = image.convert("L" if channels == 1 else "RGB")
    picture = np.asarray(fitted(image, (height, width), how.fit))
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    blob = _normalized(planes, how, name)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        blob = blob.round().clip(float(limits.min), float(limits.max))
    if last:
        blob = blob.transpose(1, 2, 0)
    verb = {"stretch": "stretched", "crop": "cropped from the middle", "pad": "padded"}[how.fit]
    statement = f"{origin} {before}, {verb} to {width}x{height}; {how} ({how.source})"
    return Fed(np.ascontiguousarray(blob[None], dtype), (picture,), statement)


def _normalized(planes: NDArray[np.uint8], how: Preprocessing, name: str) -> NDArray[np.float32]:
    """Pixels (C, H, W) in the order and range that the net wants."""
    blob = (planes[::-1] if how.channels == "BGR" else planes).astype(np.float32)
    blob -= _per_channel(how.mean, blob.shape, name, "mean")
    if how.scale != 1:
        blob *= np.float32(how.scale)
    if how.std:
        blob /= _per_channel(how.std, blob.shape, name, "deviation")
    return blob


def settled(how: Preprocessing, dims: tuple[int, int, int], name: str) -> Preprocessing:
    """The preprocessing for an input of just these (C, H, W).

    A mean image of another size becomes the mean of each channel, as the classic notebook takes it.

    Raises:
        UsageError: it is for another number of channels.
    """
    how = _for_channels(how, dims[0], name)
    if isinstance(how.mean, np.ndarray) and how.mean.shape != dims:
        how = replace(how, mean=tuple(float(m) for m in how.mean.mean(axis=(1, 2))))
    return how


def linear(
    how: Preprocessing, dims: tuple[int, int, int], name: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a settled preprocessing does to pixels in its own order: (pixels - mean) * factor.

    Args:
        how: as `settled` gives it.
        dims: (C, H, W) of the input.
        name: the input's name, for messages.

    Returns:
        Mean and factor, both such that they broadcast over (C, H, W).
    """
    factor = np.full((1, 1, 1), how.scale, np.float32)
    if how.std:
        factor = factor / _per_channel(how.std, dims, name, "deviation")
    return _per_channel(how.mean, dims, name, "mean"), factor


def _for_channels(how: Preprocessing, channels: int, name: str) -> Preprocessing:
    """The preprocessing for an input with that many channels."""
    if channels == 1:
        return replace(how, channels="gray")
    if how.channels == "gray":
        raise UsageError(
            f"input {quoted(name)} takes {channels} channels; their order is BGR or RGB, not gray"
        )
    return how


def _per_channel(
    values: tuple[float, ...] | NDArray[np.float32], dims: tuple[int, ...], name: str, what: str
) -> NDArray[np.float32]:
    """Numbers that broadcast over (C, H, W)."""
    if isinstance(values, np.ndarray):
        return values
    if len(values) not in (0, 1, dims[0]):
        raise UsageError(
            f"input {quoted(name)} has {plural(dims[0], 'channel')};"
            f" the {what} has {plural(len(values), 'value')}"
        )
    return np.asarray(values or (0.0,), np.float32)[:, None, None]


def fitted(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """The image at (height, width), resized with antialiased bilinear interpolation."""
    from PIL import Image, ImageOps

    target = (size[1], size[0])
    if fit == "crop":
        return ImageOps.fit(image, target, Image.Resampling.BILINEAR)
    if fit == "pad":
        return ImageOps.pad(image, target, Image.Resampling.BILINEAR)
    if image.size == target:
        return image
    return image.resize(target, Image.Resampling.BILINEAR)


def prepare_all(
    inputs: Source | Mapping[str, Source],
    shapes: Mapping[str, tuple[int, ...]],
    preprocessing: Preprocessing,
    optional: Sequence[str] = (),
    dtypes: Mapping[str, np.dtype[Any]] | None = None,
) -> dict[str, Fed]:
    """Make the blobs of all inputs that are given.

    Args:
        inputs: one source for a net that needs one input, or a mapping of input name to source, or
            a `.npz` file with an array for each of several inputs.
        shapes: input name to shape.
        preprocessing: for those that are images.
        optional: the inputs that may be left out.
        dtypes: input name to what it takes; float32 for those that are not there.

    Raises:
        UsageError: an input is missing, unknown, or does not fit.
        UnsupportedError: an array has another number of axes than its input.
    """
    if not isinstance(inputs, Mapping):
        inputs = _by_name(inputs, [name for name in shapes if name not in optional])
    given = {printable(n) for n in inputs} - {printable(n) for n in shapes}
    missing = [printable(n) for n in shapes if n not in inputs and n not in optional]
    if given or missing:
        wrong = [f"missing: {', '.join(missing)}"] if missing else []
        wrong += [f"unknown: {', '.join(sorted(given))}"] if given else []
        names = ", ".join(printable(n) for n in shapes) or "none"
        raise UsageError("; ".join([f"the net's inputs are {names}", *wrong]))
    plain = np.dtype(np.float32)
    return {
        name: prepare(inputs[name], dims, preprocessing, name, (dtypes or {}).get(name, plain))
        for name, dims in shapes.items()
        if name in inputs
    }


def _by_name(source: Source, needed: Sequence[str]) -> dict[str, Source]:
    """One source as that of the only input, or a `.npz` as those of all."""
    if len(needed) == 1:
        return {needed[0]: source}
    if isinstance(source, (str, PathLike)) and Path(source).suffix.lower() == ".npz":
        return dict(load_arrays(Path(source)))
    names = ", ".join(printable(n) for n in needed) or "none"
    raise UsageError(f"the net has {plural(len(needed), 'input')} ({names}); name them")
