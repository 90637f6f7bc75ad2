"""The only place where numbers, shapes and foreign names become text for people."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Sequence

LINE_LIMIT = 300


def shape(dims: Sequence[int]) -> str:
    """A shape as Python writes it.

    >>> shape((50, 96, 55, 55)), shape((96,)), shape(())
    ('(50, 96, 55, 55)', '(96,)', '()')
    """
    return str(tuple(int(d) for d in dims))


def times(dims: Sequence[int]) -> str:
    """A shape as people say it.

    >>> times((96, 3, 11, 11))
    '96x3x11x11'
    """
    return "x".join(str(int(d)) for d in dims) or "scalar"


def count(number: float) -> str:
    """A large number with three significant digits and a unit (k, M, G, T).

    >>> count(999), count(1234), count(60965224), count(0)
    ('999', '1.23 k', '61 M', '0')
    """
    size = float(number)
    for unit in ("", " k", " M", " G"):
        if abs(size) < 999.5:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g} T"


def number(value: float, digits: int = 5) -> str:
    """A number as people read it: a few significant digits, never a long row of zeros.

    >>> number(41.367281), number(-0.0), number(3), number(1.5e-9), number(float("nan"))
    ('41.367', '0', '3', '1.5e-09', 'nan')
    """
    return f"{float(value) + 0.0:.{digits}g}"


def brief(value: float) -> str:
    """A number for a small place: two digits, and whole numbers up to six digits in full.

    >>> brief(0.1234), brief(172.4), brief(-100), brief(1.5e7)
    ('0.12', '172', '-100', '1.5e+07')
    """
    whole = 99.5 <= abs(value) < 999_999.5
    return f"{value:.0f}" if whole else number(value, 2)


def size(number: int) -> str:
    """Bytes in decimal units.

    >>> size(243862414), size(512)
    ('244 MB', '512 B')
    """
    return f"{count(number)}B" if number >= 1000 else f"{int(number)} B"


def plural(number: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "layer"), plural(3, "layer")
    ('1 layer', '3 layers')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(foreign: object, limit: int = 120) -> str:
    r"""A name from a file, made safe for a terminal: escapes for what does not print, and cut.

    Bidirectional marks, control characters and escape codes never reach the screen as they are.

    >>> printable("conv1\x1b[31m")
    'conv1\\x1b[31m'
    """
    words = str(foreign)
    if len(words) > limit:
        words = words[: limit - 1] + "…"
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() else _escape(c) for c in words)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def quoted(foreign: object) -> str:
    """A name from a file in double quotes, made safe for a terminal."""
    return f'"{printable(foreign)}"'


def one_line(message: str, limit: int = LINE_LIMIT) -> str:
    """A message folded to one printable line of at most `limit` characters."""
    line = printable(" ".join(message.split()), limit=10 * limit)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def wrapped_line(line: str, width: int) -> str:
    r"""A line broken at spaces so that no part is wider than `width`; the rest is indented.

    >>> wrapped_line("  one two three", 11)
    '  one two\n      three'
    """
    if len(line) <= width:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False)


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that are most like `name`, best first; none when nothing is near.

    >>> nearest("LRM", ["LRN", "ReLU", "Pooling"])
    ['LRN']
    """
    by_fold: dict[str, str] = {}
    for each in known:
        by_fold.setdefault(each.lower(), each)
    folds = difflib.get_close_matches(name[:200].lower(), list(by_fold)[:5000], n=most, cutoff=0.5)
    return [by_fold[f] for f in folds]


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """The tail of a message about a wrong name: "; nearest: conv5, conv1", or nothing."""
    found = nearest(name, known)
    return f"; nearest: {', '.join(printable(f) for f in found)}" if found else ""


def decoded(raw: bytes) -> tuple[str, str]:
    """Text of unknown encoding, and the encoding: UTF-8, or else GBK or Latin-1.

    GBK takes almost any bytes and makes rare characters of Western accents; so it counts only where
    four in five of its characters are of GB 2312's first level, the 3,755 most common ones, or
    where Latin-1 would give control characters.

    >>> decoded("K\u00e4tzchen".encode("latin-1")), decoded("\u6570\u636e".encode("gbk"))
    (('K\u00e4tzchen', 'latin-1'), ('\u6570\u636e', 'gbk'))
    """
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        western = raw.decode("latin-1")
    try:
        chinese = raw.decode("gbk")
    except UnicodeDecodeError:
        return western, "latin-1"
    pairs = [letter.encode("gbk") for letter in chinese if ord(letter) > 127]
    pairs = [pair for pair in pairs if not 0xA1 <= pair[0] <= 0xA9]  # marks say nothing
    common = sum(0xB0 <= lead <= 0xD7 and trail >= 0xA1 for lead, trail in pairs)
    controls = any("\x80" <= letter < "\xa0" for letter in western)
    if controls or (pairs and common >= 0.8 * len(pairs)):
        return chinese, "gbk"
    return western, "latin-1"
