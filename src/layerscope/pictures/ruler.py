"""How wide words are, without a font at hand: the advance widths of Helvetica.

Arial, Liberation Sans and most system fonts have the same or smaller ones; what is not ASCII counts
as a full square, so it always fits.
"""

from __future__ import annotations

from layerscope.pictures.lettering import Ruler as Font

_SLACK = 1.08  # of fonts that run a little wider
_SQUARE = 1000

# Adobe's metrics of Helvetica, in thousandths of the size, from the space to the tilde.
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip


class Ruler:
    """Measures words of one size in pixels."""

    def __init__(self, size: float) -> None:
        self.size = size

    def getlength(self, words: str, /) -> float:
        """The width of the words in pixels, rather too much than too little."""
        thousandths = sum(
            _WIDTHS[ord(letter) - 32] if " " <= letter <= "~" else _SQUARE for letter in words
        )
        return thousandths / 1000 * self.size * _SLACK


def shortened(words: str, room: float, font: Font) -> str:
    """The words, or as much of both ends of them as fits with an ellipsis between.

    >>> shortened("inception_3a/3x3_reduce", 90, Ruler(10))
    'inception…_reduce'
    """
    if font.getlength(words) <= room:
        return words
    least, most = 0, len(words) - 1
    while least < most:
        kept = (least + most + 1) // 2
        if font.getlength(_cut(words, kept)) <= room:
            least = kept
        else:
            most = kept - 1
    return _cut(words, least)


def _cut(words: str, kept: int) -> str:
    end = kept // 2
    return words[: kept - end] + "…" + (words[-end:] if end else "")
