"""What the docs say is run: commands, Python, links, lists."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from layerscope import cli
from layerscope.conversion import convert
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images
from layerscope.readers import open_net

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README speaks of."""
    shutil.copy(DEFINITION, tmp_path / "deploy.prototxt")
    shutil.copy(WEIGHTS, tmp_path / "weights.caffemodel")
    shutil.copy(LABELS, tmp_path / "labels.txt")
    shutil.copy(images()["cat"], tmp_path / "cat.jpg")
    convert(open_net(DEFINITION, WEIGHTS), tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = [
    line.split("#")[0].strip() for line in README.splitlines() if line.startswith("layerscope ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme(here: Path, command: str) -> None:
    words = shlex.split(command)[1:]
    assert cli.run(words) == 0
    if "-o" in words:
        assert (here / words[words.index("-o") + 1]).stat().st_size > 1000


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 4
    for name in cli.cli.commands:
        said = f"`layerscope {name}" in README or f"`layerscope [{name}]" in README
        assert said, f"{name} is not in the README"


def test_python_of_the_readme(here: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (here / "filters.png").exists() and (here / "cat.html").exists()


def test_the_walkthrough_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every block, one after the other; each picture that the page shows is made by one of them."""
    page = ROOT / "docs" / "walkthrough.md"
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    assert len(blocks) >= 10
    for number, code in enumerate(blocks, 1):
        exec(compile(code, f"walkthrough, block {number}", "exec"), names)
    assert re.search(r"^cat 0\.\d+$", capsys.readouterr().out, re.M)
    for name in re.findall(r"\]\(pictures/([^)]+)\)", page.read_text()):
        with Image.open(here / name) as made, Image.open(page.parent / "pictures" / name) as kept:
            assert made.size == kept.size, f"{name} is out of date: make pictures"
    assert (here / "cat.html").stat().st_size > 10_000


ATTRIBUTION = ROOT / "docs" / "attribution.md"


def test_attribution_lists_every_method() -> None:
    from layerscope.measure.attribution import methods

    listed = ATTRIBUTION.read_text().split("<!-- methods:")[1].split("<!-- end of methods -->")[0]
    heads = re.findall(r"^\*\*`(.+?)`\*\* (.+)\n(.+)$", listed, re.M)
    assert heads == [
        (name, f"{each.title} ({each.paper}).", each.summary) for name, each in methods().items()
    ]


def test_attribution_runs(here: Path) -> None:
    """Every command but the long one, and the Python."""
    page = ATTRIBUTION.read_text()
    for block in re.findall(r"```sh\n(.*?)```", page, re.S):
        for line in block.splitlines():
            words = shlex.split(line)[1:]
            if "all" in words:
                words[words.index("--samples") + 1] = "2"
                words += ["--steps", "2", "--patch", "90"]
            assert cli.run(words) == 0, line
            if "-o" in words:
                assert (here / words[words.index("-o") + 1]).exists()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    names: dict[str, object] = {}
    exec(compile(code, "attribution.md", "exec"), names)
    assert names["found"].map.shape == (227, 227)  # type: ignore[attr-defined]
    assert (here / "gradcam.png").stat().st_size > 10_000


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        for target in re.findall(r"\bmake ([a-z]+)\b`", page.read_text()):
            assert target in targets, f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_exit_codes_of_the_readme() -> None:
    from layerscope import errors

    text = " ".join(README.split())
    assert "2 usage, 3 damaged file, 4 valid but not supported, 5 a limit" in text
    assert "0 ok, 1 compared and different" in text
    for number in (errors.UsageError, errors.ReadError, errors.UnsupportedError):
        assert f"{number.exit_code} " in text


def test_the_page_of_layer_types_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """Mend with: layerscope layers --markdown > docs/layers.md"""
    assert cli.run(["layers", "--markdown"]) == 0
    assert (ROOT / "docs" / "layers.md").read_text() == capsys.readouterr().out
