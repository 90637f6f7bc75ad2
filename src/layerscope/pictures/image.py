"""A picture: pixels with a caption, which shows itself in a notebook and saves itself."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from layerscope import text
from layerscope.errors import UsageError
from layerscope.files import format_of, write_file
from layerscope.pictures import document, lettering, png

FORMATS = ("png", "jpg", "jpeg", "webp", "bmp")
DOCUMENTS = ("svg", "pdf")  # the pixels in a drawing's file, for papers and pages
READABLE = 512
_MOST_PIXELS = 1 << 28


class Picture:
    """Pixels and what they show.

    Attributes:
        caption: one printable line.
        pixels: (H, W) uint8 gray, or indices into `palette`, or (H, W, 3) uint8 RGB; read-only.
        palette: (256, 3) uint8, the colour of each index, or None.

    Raises:
        UsageError: `pixels` have another shape or type, or there are none.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.uint8],
        caption: str = "",
        palette: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        if pixels.dtype != np.uint8 or not _is_plane(pixels.shape, palette is not None):
            raise UsageError(
                "a picture needs uint8 pixels of shape (H, W) or (H, W, 3); "
                f"found {text.printable(pixels.dtype)} {text.shape(pixels.shape)}"
            )
        self.pixels = pixels.view()
        self.pixels.flags.writeable = False
        self.palette = palette
        self.caption = text.printable(caption, limit=1000)

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.pixels.shape[0])

    @property
    def array(self) -> npt.NDArray[np.uint8]:
        """The colours, (H, W, 3) uint8 RGB, read-only."""
        if self.pixels.ndim == 3:
            return self.pixels
        if self.palette is None:
            return np.broadcast_to(self.pixels[:, :, None], (*self.pixels.shape, 3))
        colors: npt.NDArray[np.uint8] = self.palette[self.pixels]
        colors.flags.writeable = False
        return colors

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.width}x{self.height}: {self.caption or 'untitled'}>"

    def _repr_png_(self) -> bytes:
        return self.readable().png()

    def png(self, compress: int = 1) -> bytes:
        """The PNG file of exactly these pixels; the caption is its description.

        Args:
            compress: 0 stores; 1 is fast; 6 to 9 are slow, and smaller only for enlarged pictures.
        """
        return png.encode(self.pixels, self.palette, compress=compress, caption=self.caption)

    def data_uri(self, compress: int = 1) -> str:
        """The PNG as the address of an image, for a page that holds everything in itself."""
        return "data:image/png;base64," + base64.b64encode(self.png(compress)).decode("ascii")

    def save(self, path: str | os.PathLike[str], *, raw: bool = False) -> None:
        """Write the picture in the format that the name asks for.

        Possible are .png, .jpg (which loses a little), .webp, .bmp, and .svg and .pdf, which hold
        the pixels without loss and stay sharp when they are enlarged.

        Args:
            path: the file.
            raw: one pixel for each value and no words; enlarged and with its caption otherwise.

        Raises:
            UsageError: no such format, `path` is a folder, or the picture is too large for the
                format.
            SystemFaultError: the system refused; an existing file is untouched.
        """
        target = Path(path)
        kind = format_of(target, (*FORMATS, *DOCUMENTS))
        shown = self if raw else self.readable()
        write_file(target, shown._encoded(kind, compress=1 if raw else 6))

    def enlarged(self, times: int) -> Picture:
        """Each pixel drawn as `times` x `times` pixels.

        Raises:
            UsageError: `times` is below one, or the picture would pass 2^28 pixels.
        """
        if times < 1 or self.width * self.height * times**2 > _MOST_PIXELS:
            raise UsageError(
                f"cannot enlarge {self.width}x{self.height} pixels {times} times; "
                f"possible: 1 to {int((_MOST_PIXELS / self.width / self.height) ** 0.5)}"
            )
        pixels = self.pixels.repeat(times, axis=1).repeat(times, axis=0)
        return Picture(pixels, self.caption, self.palette)

    def titled(self) -> Picture:
        """A white page with the picture and, under it, its caption, wrapped and never cut off."""
        pixels = self.array if self.palette is not None else self.pixels
        return Picture(lettering.page(pixels, [self.caption] if self.caption else []), self.caption)

    def readable(self, side: int = READABLE) -> Picture:
        """Enlarged a whole number of times, up to `side` pixels, and titled.

        This is what a notebook shows: the tiles of a first layer have eleven pixels.
        """
        times = max(1, side // max(self.width, self.height))
        return self.enlarged(times).titled()

    def _encoded(self, kind: str, compress: int) -> bytes:
        if kind == "png":
            return self.png(compress)
        if kind == "svg":
            return document.svg(self.png(6), self.width, self.height, self.caption)
        if kind == "pdf":
            return document.pdf(self.pixels, self.palette, self.caption)
        from PIL import Image

        file = io.BytesIO()
        pixels = self.array if self.palette is not None else self.pixels
        options = {"quality": 95, "subsampling": 0} if kind in ("jpg", "jpeg") else {}
        if kind == "webp":
            options = {"lossless": True}
        try:
            Image.fromarray(pixels).save(file, "jpeg" if kind == "jpg" else kind, **options)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(
                f"cannot save {self.width}x{self.height} pixels as .{kind} "
                f"({text.printable(error, 60)}); possible: .png"
            ) from error
        return file.getvalue()


def _is_plane(shape: tuple[int, ...], indexed: bool) -> bool:
    colors = shape[2:] == (3,) and not indexed
    return 0 not in shape and (len(shape) == 2 or (len(shape) == 3 and colors))
