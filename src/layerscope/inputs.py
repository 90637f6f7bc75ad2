"""Image to input blob: size, channel order, mean, scale.  What was fed is always stated."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LimitError, ReadError, SystemFaultError, UsageError
from layerscope.text import plural, printable, quoted, shape

if TYPE_CHECKING:
    from PIL import Image

Fit = Literal["stretch", "crop", "pad"]
Channels = Literal["BGR", "RGB", "gray"]

MAX_PIXELS = 50_000_000
MAX_FILE = 256_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM")
ARRAY_SUFFIXES = (".npy", ".npz")


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
        source: where these settings come from, in words.
    """

    channels: Channels = "BGR"
    mean: tuple[float, ...] | NDArray[np.float32] = ()
    scale: float = 1.0
    std: tuple[float, ...] = ()
    fit: Fit = "stretch"
    source: str = "default"

    def __str__(self) -> str:
        parts = [f"{self.channels} 0-255"]
        if isinstance(self.mean, np.ndarray):
            parts.append(f"minus a mean image {shape(self.mean.shape)}")
        elif any(self.mean):
            parts.append(f"minus the mean ({', '.join(f'{m:g}' for m in self.mean)})")
        if self.scale != 1:
            parts.append(f"times {self.scale:g}")
        if self.std:
            parts.append(f"divided by ({', '.join(f'{s:g}' for s in self.std)})")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Fed:
    """What went into one input.

    Attributes:
        array: the blob, (N, C, H, W) float32.
        pictures: what the net saw, one (H, W, 3) or (H, W) uint8 for each image of the batch; empty
            when an array was given.
        statement: how the one became the other, in one line.
    """

    array: NDArray[np.float32]
    pictures: tuple[NDArray[np.uint8], ...]
    statement: str

    @property
    def picture(self) -> NDArray[np.uint8] | None:
        """The first of the pictures, if there are any."""
        return self.pictures[0] if self.pictures else None


Source = str | PathLike[str] | NDArray[Any] | Any


def prepare(
    source: Source, dims: Sequence[int], preprocessing: Preprocessing, name: str = "data"
) -> Fed:
    """Make the blob of one input.

    Args:
        source: an image file, a PIL image, a uint8 array (H, W), (H, W, 3) or (H, W, 4), an array
            of floats that already is the blob, or a `.npy` file with one.
        dims: the input's shape, (N, C, H, W) for an image; N is free.
        preprocessing: what to do to an image.
        name: the input's name, for messages.

    Raises:
        UsageError: the file is missing or the array does not fit.
        ReadError: the file is not an image.
        LimitError: the image has more than 50 million pixels.
    """
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return _given(load_array(path), dims, name, path.name)
        image = load_image(path)
        return _from_image(image, dims, preprocessing, name, printable(path.name))
    if isinstance(source, np.ndarray):
        if not _is_picture(source):
            return _given(source, dims, name, "array")
        from PIL import Image

        if source.size == 0:
            raise UsageError(f"input {quoted(name)}: an empty image {shape(source.shape)}")
        return _from_image(_rgb(Image.fromarray(source)), dims, preprocessing, name, "array")
    if hasattr(source, "convert") and hasattr(source, "size"):
        return _from_image(_rgb(source), dims, preprocessing, name, "image")
    if isinstance(source, (list, tuple)) and any(_is_image(each) for each in source):
        return _batch([prepare(each, dims, preprocessing, name) for each in source])
    if isinstance(source, (list, tuple, float, int)):
        try:
            return _given(np.asarray(source, np.float32), dims, name, "numbers")
        except (ValueError, TypeError):
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


def _given(array: NDArray[Any], dims: Sequence[int], name: str, origin: str) -> Fed:
    """An array that is fed as it is; a missing batch axis is added."""
    if array.dtype.kind not in "fiub":
        raise UsageError(f"input {quoted(name)}: an array of {array.dtype} cannot be fed")
    blob = np.ascontiguousarray(array, np.float32)
    if blob.ndim == len(dims) - 1 and blob.shape == tuple(dims[1:]):
        blob = blob[None]
    if blob.ndim != len(dims) or blob.shape[1:] != tuple(dims[1:]):
        wanted = ", ".join(["N", *map(str, dims[1:])]) if dims else "one number"
        raise UsageError(
            f"input {quoted(name)} takes ({wanted}), the array is {shape(array.shape)};"
            f" for another size: net.reshaped({printable(name)}=...)"
        )
    if blob.ndim and blob.shape[0] == 0:
        raise UsageError(f"input {quoted(name)}: a batch of 0")
    return Fed(blob, (), f"{origin} {shape(array.shape)}, fed as it is")


def _from_image(
    image: Image.Image, dims: Sequence[int], how: Preprocessing, name: str, origin: str
) -> Fed:
    if len(dims) != 4 or dims[1] not in (1, 3):
        raise UsageError(
            f"input {quoted(name)} takes {shape(dims)}, which an image cannot fill;"
            " give an array (.npy)"
        )
    _, channels, height, width = dims
    how = _for_channels(how, channels, name)
    before = f"{image.width}x{image.height}"
    image = image.convert("L" if channels == 1 else "RGB")
    picture = np.asarray(fitted(image, (height, width), how.fit))
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    if how.channels == "BGR":
        planes = planes[::-1]
    blob = planes.astype(np.float32)
    if isinstance(how.mean, np.ndarray) and how.mean.shape != blob.shape:
        # A mean of another size: the mean of each channel, as the classic notebook takes it.
        how = replace(how, mean=tuple(float(m) for m in how.mean.mean(axis=(1, 2))))
    blob -= _per_channel(how.mean, blob.shape, name, "mean")
    if how.scale != 1:
        blob *= np.float32(how.scale)
    if how.std:
        blob /= _per_channel(how.std, blob.shape, name, "deviation")
    verb = {"stretch": "stretched", "crop": "cropped from the middle", "pad": "padded"}[how.fit]
    statement = f"{origin} {before}, {verb} to {width}x{height}; {how} ({how.source})"
    return Fed(np.ascontiguousarray(blob[None]), (picture,), statement)


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


def load_image(path: Path, *, upright: bool = True) -> Image.Image:
    """Open an image file, turned upright, as RGB (transparency is dropped, as Caffe does).

    Args:
        path: the file.
        upright: whether to turn it as the camera noted (EXIF).

    Raises:
        UsageError: there is no such file.
        ReadError: it is no image, or damaged.
        LimitError: it has more than 50 million pixels.
    """
    return decode_image(read_bytes(path, "image", MAX_FILE), printable(path.name), upright=upright)


def decode_image(content: bytes, shown: str, *, upright: bool = True) -> Image.Image:
    """An image from the bytes of a file; `shown` is what messages call it.  See `load_image`."""
    import io

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own advice on large and odd images
            image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise LimitError(
                    f"{shown}: {image.width}x{image.height} is {pixels / 1e6:.0f} million pixels;"
                    f" the limit is {MAX_PIXELS // 10**6} million: make it smaller first"
                )
            image.load()
            return _rgb(image, upright=upright)
    except LimitError:
        raise
    except Image.DecompressionBombError as error:
        raise LimitError(f"{shown}: {error}; make it smaller first") from None
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise ReadError(f"{shown}: not an image that is read here ({known})") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise ReadError(f"{shown}: the image is damaged: {error}") from None


def _rgb(image: Image.Image, *, upright: bool = True) -> Image.Image:
    """An image upright and as RGB, whether it came from a file or from the caller."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image) if upright else image
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip, not scale
        values = np.asarray(image, np.float32) * (255 / 65535)
        image = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def load_array(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file, or the only one of a `.npz`.

    Raises:
        UsageError: there is no such file, or it holds several arrays.
        ReadError: it is damaged, or holds Python objects.
    """
    import io

    content = read_bytes(path, "array", None)

    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as file:
            if len(file.files) == 1:
                only: NDArray[Any] = file[file.files[0]]
                return only
            names = ", ".join(printable(n) for n in file.files[:8])
    except (ValueError, OSError, EOFError) as error:
        raise ReadError(f"{printable(path.name)}: no array of numbers: {error}") from None
    raise UsageError(f"{printable(path.name)} holds several arrays ({names}); give one as .npy")


def read_bytes(path: Path, what: str, limit: int | None) -> bytes:
    """The content of a regular file.

    Raises:
        UsageError: there is no such file.
        SystemFaultError: it is a folder or a device, or cannot be read.
        LimitError: it is larger than `limit` bytes.
    """
    shown = printable(path)
    try:
        if not path.is_file():
            if path.exists():
                raise SystemFaultError(f"{shown}: not a regular file; the {what} must be one")
            raise UsageError(f"{shown}: no such file (the {what})")
        if limit is not None and path.stat().st_size > limit:
            raise LimitError(f"{shown}: larger than {limit // 10**6} MB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SystemFaultError(f"{shown}: cannot be read: {reason}") from None


def prepare_all(
    inputs: Source | Mapping[str, Source],
    shapes: Mapping[str, tuple[int, ...]],
    preprocessing: Preprocessing,
    optional: Sequence[str] = (),
) -> dict[str, Fed]:
    """Make the blobs of all inputs that are given.

    Args:
        inputs: one source for a net that needs one input, or a mapping of input name to source.
        shapes: input name to shape.
        preprocessing: for those that are images.
        optional: the inputs that may be left out.

    Raises:
        UsageError: an input is missing, unknown, or does not fit.
    """
    if not isinstance(inputs, Mapping):
        needed = [name for name in shapes if name not in optional]
        if len(needed) != 1:
            names = ", ".join(printable(n) for n in needed) or "none"
            raise UsageError(f"the net has {plural(len(needed), 'input')} ({names}); name them")
        inputs = {needed[0]: inputs}
    given = {printable(n) for n in inputs} - {printable(n) for n in shapes}
    missing = [printable(n) for n in shapes if n not in inputs and n not in optional]
    if given or missing:
        raise UsageError(
            f"the net's inputs are {', '.join(printable(n) for n in shapes) or 'none'};"
            + (f" missing: {', '.join(missing)};" if missing else "")
            + (f" unknown: {', '.join(sorted(given))}" if given else "")
        )
    return {
        name: prepare(inputs[name], dims, preprocessing, name)
        for name, dims in shapes.items()
        if name in inputs
    }
