"""Make the pictures of README and docs again: run what docs/walkthrough.md says.

    python tools/make_pictures.py        (or: make pictures)

The pictures land in docs/pictures; those that no page shows are not kept.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
WALK = ROOT / "docs" / "walkthrough.md"
PICTURES = ROOT / "docs" / "pictures"


def blocks(page: Path) -> list[str]:
    """The Python of a page, block by block."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.S)


def shown() -> set[str]:
    """The names of the pictures that README and docs show."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    words = "".join(page.read_text() for page in pages)
    return set(re.findall(r"\]\((?:docs/)?(?:\.\./)?pictures/([^)]+)\)", words))


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        names: dict[str, object] = {}
        with contextlib.redirect_stdout(io.StringIO()):
            for number, code in enumerate(blocks(WALK), 1):
                exec(compile(code, f"{WALK.name}, block {number}", "exec"), names)
        for name in sorted(shown() & {path.name for path in Path().iterdir()}):
            (PICTURES / name).write_bytes(Path(name).read_bytes())
            print(f"docs/pictures/{name}: {(PICTURES / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
