from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageFont

from layerscope.errors import SystemFaultError, UsageError
from layerscope.pictures import Picture, color, grid, lettering
from layerscope.pictures.image import FORMATS


def noise(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(8).integers(0, 256, shape, np.uint8)


PICTURES = {
    "gray": Picture(noise(5, 7), "gray"),
    "palette": Picture(noise(5, 7), "palette", color.palette("heat")),
    "rgb": Picture(noise(5, 7, 3), "rgb"),
}
each_kind = pytest.mark.parametrize("made", PICTURES.values(), ids=PICTURES.keys())


def read(content: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@each_kind
@pytest.mark.parametrize("compress", [0, 1, 6, 9])
def test_another_reader_finds_the_same_pixels_in_the_png(made: Picture, compress: int) -> None:
    np.testing.assert_array_equal(read(made.png(compress)), made.array)
    assert made.png(compress) == made.png(compress)


@pytest.mark.parametrize(("kind", "mode"), [("gray", "L"), ("palette", "P"), ("rgb", "RGB")])
def test_png_is_of_the_smallest_kind_and_states_what_it_shows(kind: str, mode: str) -> None:
    with Image.open(io.BytesIO(PICTURES[kind].png())) as image:
        assert image.mode == mode
        assert image.text["Description"] == kind  # type: ignore[attr-defined]


def test_array_is_rgb_and_read_only() -> None:
    gray = np.array([[1, 2, 3]], np.uint8)
    made = Picture(gray)
    assert made.array.tolist() == [[[1, 1, 1], [2, 2, 2], [3, 3, 3]]]
    for made in PICTURES.values():
        assert (made.array.shape, made.array.dtype) == ((5, 7, 3), np.uint8)
        assert (made.width, made.height) == (7, 5)
        with pytest.raises(ValueError, match="read-only"):
            made.array[0, 0] = 1
    gray[0, 0] = 9  # the caller's array stays the caller's


@pytest.mark.parametrize("shape", [(5,), (0, 7), (5, 7, 4), (5, 7, 3, 1)])
def test_other_pixels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="uint8 pixels of shape"):
        Picture(np.zeros(shape, np.uint8))
    with pytest.raises(UsageError, match="float64"):
        Picture(np.zeros((5, 7)))  # type: ignore[arg-type]


@each_kind
def test_data_uri_holds_the_png(made: Picture) -> None:
    head, _, body = made.data_uri().partition(",")
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(read(base64.b64decode(body)), made.array)


@each_kind
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_can_be_read_again(tmp_path: Path, made: Picture, kind: str) -> None:
    path = tmp_path / f"a.{kind.upper()}"
    made.save(path, raw=True)
    found = read(path.read_bytes())
    assert found.shape == (5, 7, 3)
    if kind not in ("jpg", "jpeg"):
        np.testing.assert_array_equal(found, made.array)


def test_jpeg_is_near(tmp_path: Path) -> None:
    ramp = np.arange(0, 250, 2, dtype=np.uint8)[None].repeat(40, axis=0)
    Picture(ramp).save(tmp_path / "a.jpg", raw=True)
    assert np.abs(read((tmp_path / "a.jpg").read_bytes())[:, :, 0] - ramp.astype(int)).max() < 6


def test_an_unknown_suffix_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"possible: \.png, \.jpg, \.jpeg, \.webp, \.bmp"):
        PICTURES["gray"].save(tmp_path / "a.xyz")
    with pytest.raises(SystemFaultError, match="there is no folder"):
        PICTURES["gray"].save(tmp_path / "none" / "a.png")
    with pytest.raises(UsageError, match=r"17000x1 pixels as \.webp .* possible: \.png"):
        Picture(np.zeros((1, 17000), np.uint8)).save(tmp_path / "a.webp", raw=True)
    assert list(tmp_path.iterdir()) == []


def test_enlarged_repeats_pixels() -> None:
    made = Picture(np.array([[1, 2], [3, 4]], np.uint8), "small").enlarged(2)
    assert made.pixels.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert made.caption == "small"
    colored = PICTURES["palette"].enlarged(3)
    np.testing.assert_array_equal(colored.array[::3, ::3], PICTURES["palette"].array)


@pytest.mark.parametrize("times", [0, -1, 10**6])
def test_enlarged_within_reason(times: int) -> None:
    with pytest.raises(UsageError, match="possible: 1 to 2769"):
        PICTURES["gray"].enlarged(times)


@each_kind
def test_titled_keeps_the_pixels_and_adds_dark_words_below(made: Picture) -> None:
    page = made.titled()
    np.testing.assert_array_equal(page.array[12:17, 12:19], made.array)
    assert (page.array[:12] == 255).all()
    assert (page.array[12:17, 19:] == 255).all()
    assert page.array[17:].min() < 60
    assert page.caption == made.caption


@pytest.mark.parametrize("words", ["word " * 60, "w" * 300, "a … b " * 50, "é中😀" * 40])
def test_no_word_reaches_the_margin(words: str) -> None:
    page = Picture(noise(5, 7), words).titled()
    ink = page.array[17:].min(axis=(0, 2))
    assert (ink[:11] == 255).all()
    assert (ink[-10:] == 255).all()
    assert (page.array[-10:] == 255).all()


def test_letters_that_the_font_lacks_are_escaped() -> None:
    assert lettering.drawable("conv1 … é中\n") == r"conv1 … \xe9\u4e2d\x0a"


def test_wrapping_keeps_every_letter() -> None:
    font = ImageFont.load_default(14)
    line = "conv1: scaled over all: -3.21 … 12.1 " + "x" * 90
    parts = lettering.wrapped(line, 200, font)
    assert "".join(parts).replace(" ", "") == line.replace(" ", "")
    assert all(font.getlength(part) <= 200 for part in parts)
    assert sum("-3.21 … 12.1" in part for part in parts) == 1


def test_more_lines_make_a_higher_page() -> None:
    made = PICTURES["gray"]
    one, three = (len(lettering.page(made.pixels, lines)) for lines in (["a"], ["a", "b", "c"]))
    assert three == one + 2 * 19
    assert Picture(made.pixels).titled().height == 5 + 24


def test_a_notebook_shows_a_readable_page() -> None:
    shown = read(grid(noise(4, 11, 12), title="conv1")._repr_png_())
    assert shown.shape[1] == 25 * (512 // 25) + 24
    assert shown.shape[0] > 23 * (512 // 25) + 24
    large = Picture(noise(600, 700)).readable()
    assert (large.width, large.height) == (724, 624)


def test_repr_is_one_line() -> None:
    assert repr(PICTURES["gray"]) == "<Picture 7x5: gray>"
    assert repr(grid(np.zeros((2, 3, 5)), title="a\nb")).startswith(r"<Grid 11x3: a\x0ab: 2 of 2")


def test_importing_loads_neither_pillow_nor_matplotlib() -> None:
    code = (
        "import sys, numpy, layerscope.pictures as p\n"
        "p.grid(numpy.zeros((4, 5, 7))).png()\n"
        "print([m for m in ('PIL', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def pdf_objects(content: bytes) -> dict[int, bytes]:
    """The objects of a PDF by the table at its end, as another reader finds them."""
    start = int(content.rsplit(b"startxref\n", 1)[1].split()[0])
    lines = content[start:].split(b"\n")
    assert lines[0] == b"xref"
    count = int(lines[1].split()[1])
    found = {}
    for number in range(1, count):
        place = int(lines[2 + number].split()[0])
        head = b"%d 0 obj\n" % number
        assert content[place : place + len(head)] == head
        found[number] = content[place + len(head) :].split(b"\nendobj", 1)[0]
    return found


def hexadecimal(content: bytes) -> bytes:
    """The bytes of the string <...> in an object."""
    (found,) = re.findall(rb"<([0-9a-f]+)>", content)
    return bytes.fromhex(found.decode())


@each_kind
def test_a_pdf_holds_every_pixel(made: Picture, tmp_path: Path) -> None:
    made.save(tmp_path / "p.pdf", raw=True)
    content = (tmp_path / "p.pdf").read_bytes()
    made.save(tmp_path / "p.pdf", raw=True)
    assert (tmp_path / "p.pdf").read_bytes() == content
    objects = pdf_objects(content)
    assert b"/MediaBox [0 0 5.25 3.75]" in objects[3]  # 7 x 5 pixels at 96 to an inch
    head, body = objects[5].split(b"\nstream\n", 1)
    length = int(head.split(b"/Length ")[1].split()[0])
    raw = np.frombuffer(zlib.decompress(body[:length]), np.uint8)
    assert body[length:] == b"\nendstream"
    assert b"/Width 7 /Height 5" in head
    if b"/Indexed" in head:
        table = hexadecimal(head)
        raw = np.frombuffer(table, np.uint8).reshape(256, 3)[raw]
        np.testing.assert_array_equal(raw.reshape(5, 7, 3), made.array)
    else:
        np.testing.assert_array_equal(raw.reshape(made.pixels.shape), made.pixels)
    title = hexadecimal(objects[6])
    assert title.decode("utf-16") == made.caption


@each_kind
def test_an_svg_holds_every_pixel(made: Picture, tmp_path: Path) -> None:
    made.save(tmp_path / "p.svg", raw=True)
    root = ElementTree.fromstring((tmp_path / "p.svg").read_text())
    title, image = list(root)
    assert title.text == made.caption
    assert (root.attrib["width"], root.attrib["viewBox"]) == ("7", "0 0 7 5")
    head, _, data = image.attrib["href"].partition(",")
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(read(base64.b64decode(data)), made.array)


def test_a_hostile_caption_stays_text(tmp_path: Path) -> None:
    words = '</title><script>alert(1)</script>&"\\x00 (a) > <'
    made = Picture(noise(2, 3), words)
    made.save(tmp_path / "p.svg", raw=True)
    root = ElementTree.fromstring((tmp_path / "p.svg").read_text())
    assert root[0].text == made.caption and len(root) == 2
    made.save(tmp_path / "p.pdf", raw=True)
    title = hexadecimal(pdf_objects((tmp_path / "p.pdf").read_bytes())[6])
    assert title.decode("utf-16") == made.caption


def test_saved_pictures_are_for_readers_unless_raw(tmp_path: Path) -> None:
    """Eleven pixels are nothing to look at: a file has them enlarged, with the caption below."""
    made = Picture(np.arange(121, dtype=np.uint8).reshape(11, 11), "eleven, 0 ... 120")
    made.save(tmp_path / "read.png")
    made.save(tmp_path / "raw.png", raw=True)
    read, raw = (
        np.asarray(Image.open(tmp_path / f"{n}.png").convert("RGB")) for n in ("read", "raw")
    )
    assert raw.shape == (11, 11, 3) and (raw[..., 0] == made.pixels).all()
    assert read.shape[1] >= 506 and read.shape[0] > 506  # a strip for the caption
    assert (read == made.readable().array).all()
