"""What every self-contained page has: its policy, style and script, and the numbers behind it.

The policy allows that script and that style by their hashes and nothing else; every text from a
file goes through `text`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from layerscope.measure.distribution import Distribution
from layerscope.pictures import Picture
from layerscope.pictures.color import COLORS, palette
from layerscope.show.notebook import escaped
from layerscope.show.page import script
from layerscope.text import printable

FIRST = 'document.documentElement.classList.add("js");'
FIRST += 'addEventListener("load",()=>document.documentElement.classList.add("ready"));'
WITHOUT_SCRIPT = (
    "<noscript><p>The pictures of this page are drawn by its own script, which is"
    " switched off; words, tables and numbers are all here.</p></noscript>"
)


class Shell:
    """What the script draws is put in one by one; `page` puts everything around the body."""

    def __init__(self, style: str) -> None:
        self._style = style
        self._panels: list[dict[str, Any]] = []
        self._spreads: list[dict[str, Any]] = []
        self._data: list[str] = []

    def panel(self, panel: dict[str, Any]) -> int:
        """The number of something to draw, for `data-panel`."""
        self._panels.append(panel)
        return len(self._panels) - 1

    def spread(self, spread: Distribution) -> int:
        """The number of a histogram to draw, for `data-spread`."""
        counts = [int(each) for each in spread.counts]
        self._spreads.append({"low": spread.low, "high": spread.high, "counts": counts})
        return len(self._spreads) - 1

    def data(self, packed: str) -> str:
        """The id of the element that will hold packed numbers."""
        self._data.append(packed)
        return f"data{len(self._data) - 1}"

    def page(self, title: str, body: Iterable[str]) -> Iterator[str]:
        """The whole page; a style inside a drawing of the body is allowed as well."""
        inside = list(body)
        yield (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{self._policy(inside)}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>{title}</title><style>{self._style}</style>"
            f"<script>{FIRST}</script></head><body>"
        )
        yield from inside
        yield '<footer class="dim">layerscope</footer>'
        yield island("index", self._index())
        yield f"<script>{script()}</script>"
        for number, data in enumerate(self._data):
            yield f'<script type="application/base64" id="data{number}">{data}</script>'
        yield "</body></html>"

    def _policy(self, body: Iterable[str]) -> str:
        drawn = re.findall("<style>(.*?)</style>", "".join(body), re.DOTALL)
        styles = " ".join(map(_hash, dict.fromkeys([self._style, *drawn])))
        scripts = " ".join(map(_hash, [FIRST, script()]))
        return (
            f"default-src 'none'; img-src data:; style-src {styles}; script-src {scripts};"
            " base-uri 'none'; form-action 'none'"
        )

    def _index(self) -> dict[str, Any]:
        palettes = {name: b64encode(palette(name).tobytes()).decode("ascii") for name in COLORS}
        return {"palettes": palettes, "panels": self._panels, "spreads": self._spreads}


def fed_picture(name: str, pixels: Any, statement: str) -> str:
    """The picture as the net saw it, enlarged by a whole number where it is small."""
    picture = Picture(pixels, printable(name))
    by = max(1, min(8, 256 // max(picture.width, picture.height)))
    words = text(f"{printable(name)}: {statement}")
    return (
        f'<figure class="input"><img class="pixels" src="{picture.data_uri()}" alt="{words}"'
        f' width="{by * picture.width}" height="{by * picture.height}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def notes_html(notes: Iterable[str]) -> Iterator[str]:
    """Notes as a list; nothing where there are none."""
    found = "".join(f"<li>{text(note)}</li>" for note in notes)
    if found:
        yield f'<ul class="notes">{found}</ul>'


def island(name: str, content: Any) -> str:
    """Data for the script; no character in it can end the element."""
    words = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        words = words.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{words}</script>'


def text(foreign: object) -> str:
    """Text of the page: escaped, nothing invisible, nothing reordered."""
    return escaped(foreign, 2000)


def _hash(words: str) -> str:
    return f"'sha256-{b64encode(sha256(words.encode()).digest()).decode('ascii')}'"
