"""The page of a report: its style, and its modules joined into one script.

The modules are plain ES modules, which the live viewer imports as they are.  A page that is opened
from disk may not import anything, so here they are put one behind the other, without their lines
of import and export.  `tests/show/test_page.py` holds them to what that needs: no name at the top
twice, and nothing imported from a module that comes later.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = (
    "inflate", "words", "tiles", "paint", "settings", "packed", "histogram", "bars", "grid", "zoom",
    "linked", "layers", "keys", "report",
)  # fmt: skip

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[a-z]+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
_TYPES = re.compile(r"^ */\*\*.*?\*/\n", re.MULTILINE | re.DOTALL)


@cache
def script() -> str:
    """All modules as one classic script."""
    parts = [_EXPORT.sub("", _TYPES.sub("", _IMPORT.sub("", source(name)))) for name in MODULES]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


@cache
def style() -> str:
    """The style sheet."""
    return (FOLDER / "page.css").read_text("utf-8")


def source(module: str) -> str:
    """A module as it is written."""
    return (FOLDER / f"{module}.js").read_text("utf-8")
