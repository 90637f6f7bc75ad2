"""Pixels in a drawing's file: SVG and PDF that hold them without loss, a square for each.

The PDF follows ISO 32000-1 (image XObjects, 8.9; the file's structure, 7.5).
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from html import escape

import numpy as np
import numpy.typing as npt

_POINTS = 0.75  # of a pixel: 96 pixels are an inch, as in SVG and CSS


def svg(png: bytes, width: int, height: int, caption: str = "") -> bytes:
    """A drawing of `width` x `height` pixels that is one image; the caption is its title."""
    words = "".join(c for c in caption if c.isprintable() and not "\ud800" <= c <= "\udfff")
    title = f"<title>{escape(words)}</title>" if words else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}">{title}<image width="{width}" height="{height}"'
        ' style="image-rendering:pixelated" href="data:image/png;base64,'
        f'{b64encode(png).decode("ascii")}"/></svg>\n'
    ).encode()


def pdf(
    pixels: npt.NDArray[np.uint8],
    palette: npt.NDArray[np.uint8] | None = None,
    caption: str = "",
) -> bytes:
    """One page that is the picture, the same bytes each time; the caption is its title.

    Args:
        pixels: (H, W) gray, or indices when there is a palette; or (H, W, 3) RGB.
        palette: (256, 3), the colour of each index.
        caption: what a viewer shows as the title.
    """
    height, width = pixels.shape[:2]
    wide, high = f"{width * _POINTS:g}", f"{height * _POINTS:g}"
    space = "/DeviceGray" if pixels.ndim == 2 else "/DeviceRGB"
    if palette is not None:
        space = f"[/Indexed /DeviceRGB 255 <{palette.tobytes().hex()}>]"
    image = zlib.compress(np.ascontiguousarray(pixels).tobytes(), 6)
    draw = f"{wide} 0 0 {high} 0 0 cm /Im Do".encode()
    title = ("\ufeff" + caption).encode("utf-16-be", "replace").hex()
    return _file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            (
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {wide} {high}] /Contents 4 0 R"
                " /Resources << /XObject << /Im 5 0 R >> >> >>"
            ).encode(),
            _stream("", draw),
            _stream(
                f"/Type /XObject /Subtype /Image /Width {width} /Height {height}"
                f" /ColorSpace {space} /BitsPerComponent 8 /Interpolate false"
                " /Filter /FlateDecode",
                image,
            ),
            f"<< /Title <{title}> >>".encode(),
        ]
    )


def _stream(entries: str, content: bytes) -> bytes:
    head = f"<< {entries} /Length {len(content)} >>\nstream\n".encode()
    return head + content + b"\nendstream"


def _file(objects: list[bytes]) -> bytes:
    """The objects, numbered from 1, and the table of where each begins; the last is the title."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    starts = []
    for number, content in enumerate(objects, start=1):
        starts.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % start for start in starts)
    size, last = len(objects) + 1, len(objects)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\n" % (size, last)
    out += b"startxref\n%d\n%%%%EOF\n" % table
    return bytes(out)
