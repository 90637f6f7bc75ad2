"""A drawing as a PDF of one page, with Helvetica, which every reader of PDF has."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from layerscope.pictures.lettering import drawable
from layerscope.pictures.ruler import Ruler, shortened
from layerscope.pictures.sheet import INKS, Area, Line, Mark, Sheet, Spot, Words

_LONGEST = 14_400  # points; readers refuse longer pages (PDF 32000-1, annex C.2)
_POINTS = 0.75  # of a pixel


def pdf(sheet: Sheet) -> bytes:
    """The drawing as a PDF file, the same bytes each time; a page that is too long is made smaller.

    Pixels are 1/96 inch, as on the web.
    """
    scale = min(_POINTS, _LONGEST / max(sheet.width, sheet.height))
    width, height = sheet.width * scale, sheet.height * scale
    lines = [f"{scale:.6f} 0 0 {-scale:.6f} 0 {height:.2f} cm 1 j"]
    for mark in sheet.marks():
        lines.extend(_operators(mark))
    content = zlib.compress("\n".join(lines).encode("cp1252", "replace"))
    title = _string(drawable(sheet.label)[:300]).encode("cp1252", "replace")
    return _file(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width:.2f} {height:.2f}]"
        "/Resources<</Font<</F 5 0 R>>>>/Contents 4 0 R>>".encode(),
        f"<</Length {len(content)}/Filter/FlateDecode>>stream\n".encode()
        + content
        + b"\nendstream",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Title" + title + b">>",
    )


def _file(*objects: bytes) -> bytes:
    """The objects, numbered from 1, with the table of where they are; the last one is the info."""
    found = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, each in enumerate(objects, start=1):
        places.append(len(found))
        found += b"%d 0 obj\n" % number + each + b"\nendobj\n"
    table = len(found)
    found += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    found += b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    found += b"trailer\n<</Size %d/Root 1 0 R/Info %d 0 R>>\n" % (size, len(objects))
    return bytes(found + b"startxref\n%d\n%%%%EOF\n" % table)


def _operators(mark: Mark) -> Iterator[str]:
    if isinstance(mark, Words):
        yield _written(mark)
    elif isinstance(mark, Line):
        yield f"{_rgb(mark.color)} RG 1.3 w {_dash(mark.dashed)}"
        yield f"{_spot(mark.start)} m"
        for step in mark.steps:
            yield " ".join(map(_spot, step)) + (" c" if len(step) == 3 else " l")
        yield "S"
    else:
        yield _area(mark)


def _area(area: Area) -> str:
    fill = f"{_rgb(area.fill)} rg " if area.fill else ""
    outline = f"{_rgb(area.outline)} RG {area.width:g} w " if area.outline else ""
    way = " l ".join(map(_spot, area.corners)).replace(" l ", " m ", 1) + " l h"
    paint = "B" if fill and outline else "f" if fill else "s" if outline else "n"
    return f"{fill}{outline}{_dash(area.dashed)} {way} {paint}"


def _written(mark: Words) -> str:
    ruler = Ruler(mark.size)
    words = shortened(drawable(mark.words), mark.room, ruler)
    x = mark.x - (ruler.getlength(words) / 2 if mark.middle else 0)
    place = f"1 0 0 -1 {_spot((x, mark.y))} Tm"  # the page is upside down, letters are not
    return f"BT {_rgb(mark.color)} rg /F {mark.size:g} Tf {place} {_string(words)} Tj ET"


def _string(words: str) -> str:
    for special in "\\()":
        words = words.replace(special, "\\" + special)
    return f"({words})"


def _dash(dashed: bool) -> str:
    return "[4 3] 0 d" if dashed else "[] 0 d"


def _spot(spot: Spot) -> str:
    return f"{spot[0]:.2f} {spot[1]:.2f}"


def _rgb(color: str) -> str:
    code = INKS.get(color, color)
    return " ".join(f"{int(code[at : at + 2], 16) / 255:.3f}" for at in (1, 3, 5))
