"""The modules of the page: joined they mean the same, and they compute what Python computes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from layerscope.pictures import grid
from layerscope.pictures.color import palette
from layerscope.pictures.packed import pack
from layerscope.pictures.scale import SCALES
from layerscope.show.page import FOLDER, MODULES, script, source

NODE = shutil.which("node")
TOP_LEVEL = re.compile(r"^(?:export )?(?:const|let|class|function) (\w+)", re.MULTILINE)


def test_every_module_is_joined() -> None:
    assert sorted(MODULES) == sorted(path.stem for path in FOLDER.glob("*.js"))


def test_no_name_is_there_twice() -> None:
    names = [name for module in MODULES for name in TOP_LEVEL.findall(source(module))]
    assert len(names) > 40 and len(names) == len(set(names))


def test_modules_only_import_what_comes_before_them() -> None:
    for i, module in enumerate(MODULES):
        lines = re.findall(r"^import .*$", source(module), re.MULTILINE)
        for line in lines:
            found = re.fullmatch(r'import \{ ([\w, ]+) \} from "\./(\w+)\.js";', line)
            assert found, f"{module}: {line}"
            assert found[2] in MODULES[:i], f"{module} imports {found[2]}"
            exported = re.findall(
                r"^export (?:class|function|const) (\w+)", source(found[2]), re.MULTILINE
            )
            assert set(found[1].split(", ")) <= set(exported), f"{module}: {line}"


def test_the_script_is_plain_and_cannot_end_its_element() -> None:
    assert not re.search(r"^\s*(import|export) ", script(), re.MULTILINE)
    assert "</" not in script() and "<!--" not in script()
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                      "new Function", "fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon"):  # fmt: skip
        assert forbidden not in script()


def run_node(program: str, given: Any) -> Any:
    if NODE is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node is not installed")
        pytest.skip("node is not installed")
    found = subprocess.run(
        [NODE, "--input-type=module", "-e", program],
        input=json.dumps(given), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


PAINT = f"""
import {{ readFileSync }} from "node:fs";
import {{ inflate }} from "{FOLDER}/inflate.js";
import * as tiles from "{FOLDER}/tiles.js";
import {{ paint }} from "{FOLDER}/paint.js";
const given = JSON.parse(readFileSync(0, "utf8"));
const [count, planes, height, width] = given.dims;
const size = 8 * given.ends + count * planes * height * width;
const bytes = inflate(new Uint8Array(Buffer.from(given.data, "base64")), size);
const stack = {{ count, planes, height, width, codes: bytes.subarray(8 * given.ends),
  low: new Float32Array(bytes.buffer, 0, given.ends), slope: given.slope ?? null,
  high: new Float32Array(bytes.buffer, 4 * given.ends, given.ends), missing: given.missing,
  lowest: given.low, highest: given.high, order: given.order ?? "RGB" }};
const colors = Object.fromEntries(Object.entries(given.palettes).map(([n, p]) => [n, Uint8Array.from(p)]));
const {{ times = 1, every = 1 }} = given;
const [wide, tall] = [width, height].map((side) => Math.ceil(side / every) * times);
const layout = {{ columns: given.columns, rows: Math.ceil(count / given.columns), times, every, width: wide, height: tall, gap: 1 }};
const answer = {{}};
for (const [scale, color] of given.ways) {{
  const order = tiles.orderOf(stack, "index");
  const pixels = paint(stack, order, layout, scale, color, colors);
  answer[scale + " " + color] = [...pixels];
  // What is drawn over other pixels is the same as what is drawn anew.
  const other = paint(stack, order.toReversed(), layout, scale, color, colors);
  if (String(paint(stack, order, layout, scale, color, colors, other)) !== String(pixels)) throw new Error("what was there shows");
}}
answer.size = tiles.sizeOf(layout);
console.log(JSON.stringify(answer));
"""
PALETTES = {name: palette(name).ravel().tolist() for name in ("gray", "heat", "diverging")}
WAYS = [(scale, color) for scale in SCALES for color in ("gray", "heat", "diverging")]


def painted(values: np.ndarray, **more: Any) -> dict[str, np.ndarray]:
    """What the page's own modules draw of (n, planes, h, w): (H, W, 4) for each way."""
    flat = values.reshape(values.shape[0] * values.shape[1], -1)
    finite = np.isfinite(flat)
    low = np.min(flat, axis=1, where=finite, initial=np.inf)
    high = np.max(flat, axis=1, where=finite, initial=-np.inf)
    given = {
        "data": pack(flat, low, high), "dims": values.shape, "ends": len(flat), "ways": WAYS,
        "low": float(low.min()), "high": float(high.max()), "missing": not finite.all(),
        "palettes": PALETTES, "columns": 3, **more,
    }  # fmt: skip
    found = run_node(PAINT, given)
    size = found.pop("size")
    return {
        way: np.array(pixels, np.uint8).reshape(size["height"], size["width"], 4)
        for way, pixels in found.items()
    }


def close_in_color(found: np.ndarray, wanted: np.ndarray, color: str) -> None:
    """The same colour, or that of a level beside it: a byte for a value is half a level exact."""
    assert found.shape[:2] == wanted.shape[:2]
    shown = found[..., 3] == 255
    assert (found[~shown] == 0).all(), "what is no tile is transparent"
    steps = np.abs(np.diff(palette(color)[:253].astype(int), axis=0)).max()
    difference = np.abs(found[shown][:, :3].astype(int) - wanted[shown].astype(int))
    assert difference.max() <= steps


@pytest.mark.parametrize("missing", [False, True])
def test_the_page_draws_what_python_draws(missing: bool) -> None:
    """Levels and colours are those of pictures/scale.py and color.py, to within one level."""
    values = np.random.default_rng(4).normal(size=(5, 1, 6, 7)).astype(np.float32)
    values[1] *= 3
    values[2] = 0.25
    if missing:
        values[3, 0, 2, 2], values[3, 0, 0, 1] = np.nan, np.inf
    for way, pixels in painted(values).items():
        scale, color = way.split()
        wanted = grid(values[:, 0], scale, color=color, columns=3).array
        close_in_color(pixels, wanted, color)
        assert (pixels[..., 3] == 255).sum() == 5 * 42
        if missing:
            assert (pixels[8 - 1 + 2, 2] == (255, 0, 255, 255)).all()  # the fourth tile, y 2, x 2


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_filters_in_colour(order: str) -> None:
    values = np.random.default_rng(5).normal(size=(4, 3, 5, 5)).astype(np.float32)
    for way, pixels in painted(values, order=order).items():
        scale = way.split()[0]
        wanted = grid(values, scale, channels=order, columns=3).array
        close_in_color(pixels, wanted, "gray")


def test_what_is_no_number_is_magenta_in_colour_too() -> None:
    """Whichever of the three planes it is in."""
    values = np.random.default_rng(7).normal(size=(3, 3, 4, 5)).astype(np.float32)
    for plane in range(3):
        values[plane, plane, 1, 2] = np.nan
    for pixels in painted(values).values():
        magenta = (pixels == (255, 0, 255, 255)).all(axis=-1)
        assert sorted(zip(*np.nonzero(magenta), strict=True)) == [(1, 2), (1, 8), (1, 14)]


@pytest.mark.parametrize("planes", [1, 3])
def test_enlarged_tiles_repeat_each_pixel(planes: int) -> None:
    values = np.random.default_rng(8).normal(size=(5, planes, 4, 3)).astype(np.float32)
    small, large = painted(values), painted(values, times=3)
    for way, pixels in small.items():
        wanted = np.zeros((2 * 13 - 1, 3 * 10 - 1, 4), np.uint8)
        for row, column in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
            tile = pixels[5 * row :, 4 * column :][:4, :3]
            each = np.repeat(np.repeat(tile, 3, axis=0), 3, axis=1)
            wanted[13 * row :, 10 * column :][:12, :9] = each
        np.testing.assert_array_equal(large[way], wanted)


@pytest.mark.parametrize("planes", [1, 3])
def test_tiles_made_smaller_show_the_mean_level_of_each_block(planes: int) -> None:
    values = np.random.default_rng(9).uniform(-1, 2, (2, planes, 7, 5)).astype(np.float32)
    values[1, 0, 6, 4] = np.inf
    low, high = values[np.isfinite(values)].min(), values[np.isfinite(values)].max()
    pixels = painted(values, every=2, low=float(low), high=float(high))["all gray"]
    top = 252 if planes == 1 else 255  # a palette leaves room for magenta, see pictures/color.py
    for tile, y, x in np.ndindex(2, 4, 3):
        block = values[tile, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        found = pixels[y, 4 * tile + x]
        if not np.isfinite(block).all():
            assert tuple(found) == (255, 0, 255, 255) and (tile, y, x) == (1, 3, 2)
            continue
        levels = ((block - low) / (high - low) * top).mean(axis=(1, 2))
        colors = levels if planes == 3 else palette("gray")[int(levels[0] + 0.5)]
        assert np.abs(found[:3].astype(float) - colors).max() <= 1.5


def test_after_relu_is_computed_from_before() -> None:
    values = np.random.default_rng(6).normal(size=(3, 1, 9, 9)).astype(np.float32)
    after = np.maximum(values, 0)
    given = {"slope": 0, "low": float(after.min()), "high": float(after.max())}
    for way, pixels in painted(values, **given).items():
        scale, color = way.split()
        shown = pixels[..., 3] == 255
        wanted = grid(after[:, 0], scale, color=color, columns=3).array
        # Half a step of the values before is up to one level of those after, where half is cut off.
        steps = np.abs(np.diff(palette(color)[:253].astype(int), axis=0)).max()
        difference = np.abs(pixels[shown][:, :3].astype(int) - wanted[shown].astype(int))
        assert difference.max() <= 2 * steps


LAYOUT = f"""
import {{ readFileSync }} from "node:fs";
import {{ layoutOf, sizeOf }} from "{FOLDER}/tiles.js";
const answer = JSON.parse(readFileSync(0, "utf8")).map((each) => {{
  const layout = layoutOf(...each);
  return {{ ...layout, size: sizeOf(layout) }};
}});
console.log(JSON.stringify(answer));
"""


def test_tiles_are_enlarged_and_made_smaller_by_whole_numbers() -> None:
    cases = [
        [count, side, round(side * ratio) or 1, room, 520]
        for count in (1, 2, 3, 48, 96, 512, 4096)
        for side in (1, 3, 7, 13, 27, 55, 112, 224, 600)
        for ratio in (1, 0.5, 3)
        for room in (60, 320, 700, 1000)
    ]
    for case, found in zip(cases, run_node(LAYOUT, cases), strict=True):
        count, height, width, room, _ = case
        times, every = found["times"], found["every"]
        assert times == int(times) >= 1 and every == int(every) >= 1 and 1 in (times, every)
        assert found["width"] == (width * times if every == 1 else -(-width // every))
        assert found["height"] == (height * times if every == 1 else -(-height // every))
        assert found["columns"] * found["rows"] >= count > found["columns"] * (found["rows"] - 1)
        if found["columns"] > 1:
            assert found["size"]["width"] <= room
        assert found["width"] <= room or every == times == 1
        if every > 1:  # only what has detail to lose, or is too wide
            assert min(height, width) >= 48 or width > room
            assert min(found["width"], found["height"]) >= 16 or width > room


INFLATE = f"""
import {{ readFileSync }} from "node:fs";
import {{ inflate }} from "{FOLDER}/inflate.js";
const answer = JSON.parse(readFileSync(0, "utf8")).map(([data, size]) => {{
  try {{
    return Buffer.from(inflate(new Uint8Array(Buffer.from(data, "base64")), size)).toString("base64");
  }} catch (error) {{
    return String(error);
  }}
}});
console.log(JSON.stringify(answer));
"""


def test_inflate_reads_what_zlib_writes_and_refuses_the_rest() -> None:
    import base64
    import zlib

    random = np.random.default_rng(8)
    contents = [
        b"", b"a", b"abc" * 5000, bytes(70_000), random.bytes(70_000),
        random.integers(0, 5, 30_000).astype(np.uint8).tobytes(),
        (random.normal(size=50_000) * 20 + 128).astype(np.uint8).tobytes(),
    ]  # fmt: skip
    cases, wanted = [], []
    for content in contents:
        for level in (0, 1, 6, 9):
            for strategy in (
                zlib.Z_DEFAULT_STRATEGY,
                zlib.Z_HUFFMAN_ONLY,
                zlib.Z_RLE,
                zlib.Z_FIXED,
            ):
                deflate = zlib.compressobj(level, zlib.DEFLATED, 15, 9, strategy)
                packed = deflate.compress(content) + deflate.flush()
                cases.append([base64.b64encode(packed).decode(), len(content)])
                wanted.append(base64.b64encode(content).decode())
    assert run_node(INFLATE, cases) == wanted
    whole = zlib.compress(contents[-1])
    cut = [base64.b64encode(whole[:n]).decode() for n in (3, 100, len(whole) // 2)]
    for said in run_node(INFLATE, [[each, 50_000] for each in cut]):
        assert said.startswith(("Error: damaged data", "RangeError", "TypeError"))
