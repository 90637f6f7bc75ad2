"""The wheel, installed in an empty environment, holds the demo net and does the main job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from layerscope.show.page import MODULES

ROOT = Path(__file__).parent.parent


def call(*words: object, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(w) for w in words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    call(*build, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"layerscope/demo/demo.prototxt", "layerscope/demo/demo.caffemodel"} <= set(names)
    assert "layerscope/demo/labels.txt" in names and "layerscope/demo/ORIGIN.md" in names
    page = {f"layerscope/show/page/{name}.js" for name in MODULES}
    assert {*page, "layerscope/show/page/page.css"} <= set(names)
    assert "layerscope/viewer/static/widget.js" in names
    assert all(name.startswith("layerscope") for name in names)
    assert wheel.stat().st_size < 3_000_000

    python = tmp_path / "empty" / "bin" / "python"
    call(sys.executable, "-m", "venv", tmp_path / "empty", cwd=tmp_path)
    call(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    found = json.loads(call(python.with_name("layerscope"), "demo", "--json", cwd=tmp_path))
    assert found["top"][0]["value"] > 0.5
    assert (tmp_path / "demo-out" / "report.html").stat().st_size > 100_000
    where = call(python, "-c", "import layerscope; print(layerscope.__file__)", cwd=tmp_path)
    assert str(tmp_path / "empty") in where
