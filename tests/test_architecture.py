"""The folder listing is the architecture: imports point one way, files and functions stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "layerscope"
FILES = sorted(PACKAGE.rglob("*.py"))

# A module may import from its own rank's package and from lower ranks only.
RANKS = {
    "errors": 0, "text": 0, "files": 1, "media": 1, "stopping": 1,
    "inputs": 2, "net": 2, "blobs": 2, "units": 2,
    "readers": 3, "engine": 3, "demo": 3,
    "measure": 4, "pictures": 4, "conversion": 4, "comparison": 4,
    "dreams": 5,
    "show": 6,
    "pycaffe": 7, "viewer": 7,
    "cli": 8, "__main__": 9,
}  # fmt: skip
SAME_RANK_MAY_MEET = {("blobs", "net"), ("net", "blobs"), ("net", "inputs"), ("blobs", "inputs"),
                      ("comparison", "measure"), ("units", "net"),
                      ("units", "blobs")}  # fmt: skip
# The object's face: these reach rightward inside a call, so that `net.run(image)` reads well.
FACES = {("net", "engine"), ("net", "show"), ("net", "viewer"), ("comparison", "show"),
         ("measure", "show")}  # fmt: skip
# Never at import time:
OPTIONAL = {"torch", "anywidget", "ipywidgets", "traitlets", "h5py", "matplotlib", "PIL"}
LINES, FUNCTION_LINES = 450, 60
DATA_TABLES = {"messages.py"}  # a table, not code


def room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> list[tuple[str, bool]]:
    """(module, at import time) of every import that runs."""
    found = []
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import, line {node.lineno}"
            names = [node.module or ""]
            if node.module == "layerscope":
                names = [f"layerscope.{alias.name}" for alias in node.names]
        found += [(name, id(node) not in inside) for name in names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_left(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    assert here in RANKS, f"{here} has no place in the order"
    for name, at_import in imports(ast.parse(path.read_text())):
        if at_import:
            assert name.split(".")[0] not in OPTIONAL, f"{path.name} imports {name} at the top"
        if not name.startswith("layerscope."):
            continue
        there = name.split(".")[1]
        if there in (here, "__version__") or ((here, there) in FACES and not at_import):
            continue
        allowed = RANKS[there] < RANKS[here] or (here, there) in SAME_RANK_MAY_MEET
        assert allowed, f"{path.name} ({here}) imports {name}"


def test_pictures_know_no_nets() -> None:
    known = {"errors", "text", "files", "pictures"}
    for path in (PACKAGE / "pictures").glob("*.py"):
        for name, _ in imports(ast.parse(path.read_text())):
            if name.startswith("layerscope."):
                assert name.split(".")[1] in known, f"{path.name} imports {name}"


def test_nothing_right_of_the_readers_knows_a_file_format() -> None:
    for folder in ("engine", "measure", "comparison", "pictures", "dreams", "show"):
        for path in (PACKAGE / folder).rglob("*.py"):
            for name, _ in imports(ast.parse(path.read_text())):
                assert not name.startswith("layerscope.readers"), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_sizes(path: Path) -> None:
    source = path.read_text()
    if path.name not in DATA_TABLES:
        assert source.count("\n") <= LINES, f"{path.name} is long: look for the missing noun"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = (node.end_lineno or 0) - node.lineno + 1
            assert size <= FUNCTION_LINES, f"{path.name}:{node.lineno} {node.name}: {size} lines"


def test_names_of_files_are_nouns() -> None:
    bad = {"utils", "util", "misc", "helpers", "helper", "core", "base", "manager"}
    assert not bad & {path.stem for path in FILES}
