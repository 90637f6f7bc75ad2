"""Files of images and arrays, read within limits: what a run is fed with."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LimitError, ReadError, SystemFaultError, UsageError
from layerscope.text import printable

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 50_000_000
MAX_FILE = 256_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM")
ARRAY_SUFFIXES = (".npy", ".npz")


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
            return rgb(image, upright=upright)
    except LimitError:
        raise
    except Image.DecompressionBombError as error:
        raise LimitError(f"{shown}: {error}; make it smaller first") from None
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise ReadError(f"{shown}: not an image that is read here ({known})") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise ReadError(f"{shown}: the image is damaged: {error}") from None


def rgb(image: Image.Image, *, upright: bool = True) -> Image.Image:
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
    loaded = _loaded(path)
    if not isinstance(loaded, dict):
        return loaded
    if len(loaded) == 1:
        return next(iter(loaded.values()))
    names = ", ".join(printable(n) for n in list(loaded)[:8])
    raise UsageError(f"{printable(path.name)} holds several arrays ({names}); give one as .npy")


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a `.npz` file by their names.

    Raises:
        UsageError: there is no such file, or it is no `.npz`.
        ReadError: it is damaged, or holds Python objects.
    """
    loaded = _loaded(path)
    if not isinstance(loaded, dict):
        raise UsageError(f"{printable(path.name)} holds one array; several in a .npz have names")
    return loaded


def _loaded(path: Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    import io

    content = read_bytes(path, "array", None)

    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError) as error:
        raise ReadError(f"{printable(path.name)}: no array of numbers: {error}") from None


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
