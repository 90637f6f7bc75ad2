"""The page of the viewer as one text: every module is in it, once, and it can ask for nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from layerscope.viewer import bundle
from layerscope.viewer.routes import STATIC, page_files

NODE = shutil.which("node")
WEB_ONLY = {"web.js", "http.js", "address.js", "widget.js"}


def test_every_module_is_in_it_once() -> None:
    words = bundle.script(bundle.ENTRY)
    modules = {path.name for path in STATIC.glob("*.js")} - WEB_ONLY
    for name in modules:
        assert words.count(f"const static_{name.removesuffix('.js')} = (() => {{") == 1, name
    assert words.count("const page_tiles = ") == 1, "and those of the report"


def test_it_asks_for_nothing() -> None:
    page = bundle.page()
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                      "new Function", "fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon",
                      "localStorage", "history.", "location.", "<link"):  # fmt: skip
        assert forbidden not in page
    assert not re.search(r'\b(?:src|href)="', page) and "url(" not in page


def test_its_policy_has_the_hashes_of_what_is_in_it() -> None:
    page = bundle.page()
    (policy,) = re.findall('Content-Security-Policy" content="(.*?)"', page)
    for tag, name in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = b64encode(sha256(inside.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "connect-src" not in policy
    assert page.count("</script>") == page.count("</style>") == 1
    assert page.index("Content-Security-Policy") < page.index("<script>")


def test_the_script_is_one_that_can_be_read(tmp_path: Path) -> None:
    if NODE is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node is not installed")
        pytest.skip("node is not installed")
    path = tmp_path / "page.cjs"
    path.write_text(bundle.script(bundle.ENTRY))
    done = subprocess.run([NODE, "--check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_import_of_itself_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = 1;\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = 1;\n')
    files = {f"/static/{name}.js": tmp_path / f"{name}.js" for name in "ab"}
    monkeypatch.setattr(bundle, "page_files", lambda: files)
    with pytest.raises(AssertionError, match="imports itself"):
        bundle.script("/static/a.js")


def test_names_of_modules_do_not_meet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two modules with a name of their own each, as node runs it."""
    if NODE is None:
        pytest.skip("node is not installed")
    (tmp_path / "a.js").write_text(
        "const OWN = 2;\nexport async function a() {\n  return OWN;\n}\nexport class A {}\n"
    )
    (tmp_path / "b.js").write_text(
        'import { A, a } from "../static/a.js";\n/** @type {number} */\nconst OWN = 3;\n'
        "a().then((two) => console.log(two + OWN, new A() instanceof A));\n"
    )
    files = {"/static/a.js": tmp_path / "a.js", "/page/b.js": tmp_path / "b.js"}
    monkeypatch.setattr(bundle, "page_files", lambda: files)
    program = bundle.script("/page/b.js")
    done = subprocess.run([NODE, "-e", program], capture_output=True, text=True, check=True)
    assert done.stdout == "5 true\n"


def test_the_files_of_the_server_are_those() -> None:
    assert {f"/static/{name}" for name in WEB_ONLY} <= set(page_files())
