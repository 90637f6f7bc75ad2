"""The page of the viewer as one text, for where nothing can be asked for: the cell of a notebook.

The modules are those that the server gives, found by their imports and put one behind the other,
each as a function that gives what the module exports.  Names need not differ, as every module keeps
its own.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from layerscope.viewer.routes import STATIC, page_files

ENTRY = "/static/cell.js"
STYLES = ("/page/page.css", "/static/viewer.css")
_IMPORT = re.compile(r'^import \{ ([^}]*) \} from "(\.[a-z./]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
_ANY = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
_TYPES = re.compile(r"^ */\*\*.*?\*/\n", re.MULTILINE | re.DOTALL)
_HEAD = re.compile(r"<link rel=.*?>\n|<script .*?</script>\n")


@cache
def page() -> str:
    """The whole page; its policy allows this script, this style and no request."""
    words, style = script(ENTRY), "\n".join(map(_text, STYLES))
    policy = (
        f"default-src 'none'; script-src {_hash(words)}; style-src {_hash(style)};"
        " img-src data: blob:; media-src blob:; base-uri 'none'; form-action 'none';"
        " require-trusted-types-for 'script'"
    )
    inside = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    html = _HEAD.sub("", _text("/"))
    html = html.replace("</head>", f"{inside}<style>{style}</style>\n</head>")
    return html.replace("</body>", f"<script>{words}</script>\n</body>")


def cell() -> str:
    """What the notebook itself runs: the module that puts the page into a cell."""
    return (STATIC / "widget.js").read_text("utf-8")


def script(entry: str) -> str:
    """A module and all that it imports, as one classic script."""
    parts: dict[str, str] = {}
    _join(entry, parts, ())
    return '(() => {\n"use strict";\n' + "\n".join(parts.values()) + "})();\n"


def _join(path: str, parts: dict[str, str], above: tuple[str, ...]) -> None:
    """Put what a module imports before it."""
    assert path not in above, f"{path} imports itself by {above}"
    if path in parts:
        return
    source = _TYPES.sub("", _text(path))
    for _, there in _IMPORT.findall(source):
        _join(_beside(path, there), parts, (*above, path))

    def taken(line: re.Match[str]) -> str:
        return f"const {{ {line[1]} }} = {_name(_beside(path, line[2]))};\n"

    names = _EXPORT.findall(source)
    body = _EXPORT.sub("", _IMPORT.sub(taken, source))
    left = _ANY.search(body)
    assert left is None, f"{path}: {left and left[0]}"
    parts[path] = f"const {_name(path)} = (() => {{\n{body}return {{ {', '.join(names)} }};\n}})();"


def _beside(path: str, there: str) -> str:
    """The path of an import: "../page/keys.js" of "/static/viewer.js" is "/page/keys.js"."""
    folder = path.rpartition("/")[0]
    return there.replace("..", "", 1) if there.startswith("../") else folder + there[1:]


def _name(path: str) -> str:
    return path.strip("/").removesuffix(".js").replace("/", "_")


def _text(path: str) -> str:
    file: Path = page_files()[path]
    return file.read_text("utf-8")


def _hash(words: str) -> str:
    return f"'sha256-{b64encode(sha256(words.encode()).digest()).decode('ascii')}'"
