"""Make the pictures of README and docs again: run what docs/walkthrough.md and attribution.md say.

    python tools/make_pictures.py        (or: make pictures)

The pictures land in docs/pictures; those that no page shows are not kept.  The report and the
viewer are taken in Chromium, where that is installed.  What the channels of conv3 want to see takes
some minutes.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from layerscope import cli
from layerscope.demo import DEFINITION, LABELS, WEIGHTS, images

ROOT = Path(__file__).parent.parent
WALK = ROOT / "docs" / "walkthrough.md"
WHY = ROOT / "docs" / "attribution.md"
PICTURES = ROOT / "docs" / "pictures"
VIEWS = {  # width, height, dark, and what the link of the viewer says
    "viewer": (1440, 900, False, "blob=conv1&tile=2&y=14&x=31"),
    "viewer-dark": (1440, 900, True, "blob=conv3&tile=48&y=3&x=6&layers=diagram"),
    "viewer-tablet": (820, 1100, False, "blob=conv2&tile=22&y=4&x=22"),
    "viewer-tablet-dark": (820, 1100, True, "blob=prob&tile=2"),
    "viewer-phone": (390, 844, False, "blob=conv1&tile=2&y=14&x=31"),
    "viewer-phone-dark": (390, 844, True, "blob=pool2&scale=tile&color=heat"),
}


def blocks(page: Path) -> list[str]:
    """The Python of a page, block by block."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.S)


def commands(page: Path) -> list[list[str]]:
    """The commands of a page, without the program's name."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def shown() -> set[str]:
    """The names of the pictures that README and docs show."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    words = "".join(page.read_text() for page in pages)
    return set(re.findall(r"(?:docs/)?pictures/([\w-]+\.png)", words))


def photograph(page: Path, target: Path) -> None:
    """The upper part of a page, as a browser shows it."""
    browser = shutil.which("chromium")
    if browser is None:
        print(f"{target.name}: left as it is, chromium is not installed")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        view = launched.new_page(viewport={"width": 1280, "height": 1000})
        view.goto(page.resolve().as_uri())
        view.wait_for_function("document.querySelectorAll('canvas').length > 2")
        view.get_by_role("heading", name="conv1").first.evaluate("it => it.scrollIntoView()")
        view.wait_for_timeout(1000)
        view.screenshot(path=target)
        launched.close()
    with Image.open(target) as taken:
        taken.convert("RGB").save(target, optimize=True)


def viewed() -> None:
    """The viewer of the demo net, on screens of several sizes; a tablet's in three quarters."""
    browser = shutil.which("chromium")
    if browser is None:
        print("the viewer: left as it is, chromium is not installed")
        return
    from playwright.sync_api import sync_playwright

    import layerscope as ls
    from layerscope.measure.top import read_labels

    net, labels = ls.open(DEFINITION, WEIGHTS), read_labels(LABELS)
    with sync_playwright() as playwright, ls.view(net, labels=labels, port=0, browser=False) as it:
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for name, (width, height, dark, place) in VIEWS.items():
            page = launched.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
            )
            page.goto(f"{it.url}&{place}&image=cat")
            page.wait_for_selector("#stage canvas")
            page.wait_for_timeout(2500)
            target = PICTURES / f"{name}.png"
            page.screenshot(path=target)
            page.close()
            with Image.open(target) as taken:
                small = taken.convert("RGB")
            if width == 820:
                small = small.resize((615, 825), Image.Resampling.LANCZOS)
            few = small.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=3)
            small.quantize(palette=few, dither=Image.Dither.NONE).save(target, optimize=True)
            print(f"docs/pictures/{target.name}: {target.stat().st_size:,} bytes")
        launched.close()


def dreamt(folder: Path) -> None:
    """What each channel of the demo net's conv3 wants to see, in 256 colours: a third as large."""
    from layerscope.demo import DEFINITION, WEIGHTS
    from layerscope.dreams.request import layer_folder
    from layerscope.dreams.settings import Settings
    from layerscope.readers import open_net

    target = PICTURES / "dream-conv3.png"
    dreams = layer_folder(open_net(DEFINITION, WEIGHTS), "conv3", folder, Settings()).fill()
    page = Image.fromarray(dreams.sheet(side=100).pixels)
    page.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"docs/pictures/{target.name}: {target.stat().st_size:,} bytes")


def reduce(picture: Path) -> None:
    """Smaller and of fewer colors, where photographs make a file large."""
    with Image.open(picture) as full:
        size = (full.width * 3 // 5, full.height * 3 // 5)
        small = full.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    few = small.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=3)
    small.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG).save(picture, optimize=True)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        names: dict[str, object] = {}
        with contextlib.redirect_stdout(io.StringIO()):
            for number, code in enumerate(blocks(WALK), 1):
                exec(compile(code, f"{WALK.name}, block {number}", "exec"), names)
            for file, name in ((DEFINITION, "deploy.prototxt"), (WEIGHTS, "weights.caffemodel"),
                               (LABELS, "labels.txt"), (images()["cat"], "cat.jpg")):  # fmt: skip
                Path(name).write_bytes(file.read_bytes())
            for words in commands(WHY):
                cli.run(words)
            reduce(Path("attribution.png"))
        photograph(Path("cat.html"), Path("report.png"))
        for name in sorted(shown() & {path.name for path in Path().iterdir()}):
            (PICTURES / name).write_bytes(Path(name).read_bytes())
            print(f"docs/pictures/{name}: {(PICTURES / name).stat().st_size:,} bytes")
        viewed()
        dreamt(Path("conv3"))


if __name__ == "__main__":
    main()
