"""A small file from a stranger must not become a large process, nor a long wait."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MB = 1_000_000
SIZE = 4 * MB
SECONDS = 5  # of processor time; each takes less than 3 on a slow machine

CHILD = """
import json, resource, sys, time
import layerscope

def memory(which):
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(which))
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

tiny, *files = sys.argv[1:]
layerscope.open(tiny)  # loads the reader's modules
before, start = memory("VmRSS"), time.process_time()
try:
    net = layerscope.open(*files)
    end = f"opened with {len(net.layers)} layers and {len(net.notes)} notes"
except layerscope.LayerscopeError as error:
    end = f"{type(error).__name__}: {error}"
seconds, grown = time.process_time() - start, memory("VmHWM") - before
print(json.dumps([end, grown, seconds]))
"""
TINY = b"layer { name: 'a' type: 'Input' top: 'a' input_param { shape { dim: 1 dim: 3 } } }"
FIELDS = "LimitError: {}: more than 200,000 fields; no real net has so many"


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def part(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def layer(content: bytes) -> bytes:
    return part(100, part(1, b"a") + part(2, b"Convolution") + content)


def fill(unit: bytes) -> bytes:
    return unit * (SIZE // len(unit))


def open_in_child(tmp_path: Path, *files: Path) -> tuple[str, float, float]:
    """How it ended, the bytes it took at its peak, the seconds of processor time."""
    tiny = tmp_path / "tiny.prototxt"
    tiny.write_bytes(TINY)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tiny), *map(str, files)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    end, grown, seconds = json.loads(done.stdout)
    return end, grown, seconds


BINARY: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty V1 layers": (lambda: fill(part(2, b"")), FIELDS),
    "empty layers": (lambda: fill(part(100, b""))[: 3 * MB], FIELDS),
    "empty blobs": (lambda: layer(fill(part(7, b""))), FIELDS),
    "packed dims": (lambda: layer(part(7, part(7, part(1, fill(b"\x01"))))), FIELDS),
    "empty packed data": (lambda: layer(part(7, fill(part(5, b"")))), FIELDS),
    "unknown fields": (lambda: fill(b"\x78\x01"), FIELDS),
    "unknown kinds": (
        lambda: b"".join(varint(n << 3) + b"\x01" for n in range(1000, 1000 + SIZE // 4)),
        FIELDS,
    ),
    "a group of fields": (lambda: b"\x83\x01" + fill(b"\x08\x01") + b"\x84\x01", FIELDS),
    "alternating floats": (
        lambda: layer(part(7, fill(b"\x2d\0\0\x80\x3f\x35\0\0\x80\x3f"))),
        FIELDS,
    ),
    "short runs of floats": (
        lambda: layer(part(4, b"y") + part(7, fill(b"\x2d\0\0\x80\x3f" * 9 + b"\x35\0\0\x80\x3f"))),
        'ReadError: {}: layer "a": Convolution takes 1',
    ),
    "a long name": (
        lambda: part(100, part(4, b"y") + part(1, fill("😀".encode()))),
        "LimitError: {}: a name of 1,000,000 characters",
    ),
    "a long name of another encoding": (
        lambda: part(100, part(4, b"y") + part(1, fill(b"\xff"))),
        "LimitError: {}: a name of 4,000,000 characters",
    ),
}
TEXT: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty layers": (lambda: fill(b"layer{}"), FIELDS),
    "empty layers in lines": (lambda: fill(b"layer{}\n"), FIELDS),
    "a list of floats": (
        lambda: b"layer{blobs{data:[" + fill(b"0,") + b"0]}}",
        'ReadError: {}: layer "" has no type',
    ),
    "floats one by one": (
        lambda: b"layer{blobs{" + fill(b"data:0 ") + b"}}",
        'ReadError: {}: layer "" has no type',
    ),
    "a list of dims": (lambda: b"layer{blobs{shape{dim:[" + fill(b"0,") + b"0]}}}", FIELDS),
    "one word": (lambda: fill(b"a"), 'ReadError: {}: after "aaa'),
    "one decimal number": (lambda: b"input_dim: " + fill(b"9"), "ReadError: {}: input_dim needs a"),
    "one hexadecimal number": (
        lambda: b"layer{loss_weight: 0x" + fill(b"9"),
        "ReadError: {}: loss_weight needs a number, found",
    ),
    "one string": (lambda: b'name: "' + fill(b"a") + b'"', "ReadError: net.bin: no layers"),
    "one open string": (lambda: b'name: "' + fill(b"a"), "ReadError: {}: the string of name is"),
    "one string of escapes": (
        lambda: b'name: "' + fill(b"\\n") + b'"',
        "ReadError: net.bin: no layers",
    ),
    "empty strings": (lambda: b"name: " + fill(b'""'), FIELDS),
    "braces": (lambda: fill(b"{"), "ReadError: {}: a field name should stand here"),
    "nested groups": (lambda: fill(b"a{"), "LimitError: {}: nested deeper than 64"),
    "nested layers": (lambda: fill(b"layer{"), "LimitError: {}: nested deeper than 64"),
    "one comment": (lambda: fill(b"#"), "ReadError: net.bin: no layers"),
    "comments": (lambda: fill(b"#\n"), "ReadError: net.bin: no layers"),
    "spaces": (lambda: fill(b" "), "ReadError: net.bin: no layers"),
    "line ends before a fault": (lambda: fill(b"\n") + b"}", "ReadError: net.bin:4000001:1: a"),
    "unknown fields": (lambda: fill(b"a:1 "), FIELDS),
    "unknown kinds": (
        lambda: b"layer{%s}" % b"".join(b"convolution_para%d:1 " % n for n in range(SIZE // 22)),
        'ReadError: {}: layer "" has no type',
    ),
    "texts of another encoding": (lambda: fill("input:'中'\n".encode("gbk")), FIELDS),
    "values of no enum": (lambda: fill(b"layer{include{phase:X}}\n"), FIELDS),
}
CASES = [
    *(pytest.param(make, end, id=f"binary: {name}") for name, (make, end) in BINARY.items()),
    *(pytest.param(make, end, id=f"text: {name}") for name, (make, end) in TEXT.items()),
]


@pytest.mark.parametrize(("make", "expected"), CASES)
def test_a_hostile_file_ends_soon_and_small(
    tmp_path: Path, make: Callable[[], bytes], expected: str
) -> None:
    path = tmp_path / "net.bin"
    path.write_bytes(make())
    end, grown, seconds = open_in_child(tmp_path, path)
    print(f"{grown / MB:.0f} MB, {seconds:.2f} s: {end}")
    start, _, rest = expected.partition("{}")
    assert end.startswith(start)
    assert rest in end
    assert "net.bin" in end
    assert len(end) < 320
    assert grown < 150 * MB + 2.5 * path.stat().st_size
    assert seconds < SECONDS


def test_forty_megabytes_of_weights_take_little_more_than_the_file(tmp_path: Path) -> None:
    definition, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    definition.write_bytes(
        b"layer { name: 'in' type: 'Input' top: 'in' input_param { shape { dim: 1 dim: 1000 } } }"
        b"layer { name: 'fc' type: 'InnerProduct' bottom: 'in' top: 'fc'"
        b" inner_product_param { num_output: 10000 bias_term: false } }"
    )
    shape = part(7, part(1, varint(10_000) + varint(1000)))
    blob = part(7, shape + part(5, bytes(40 * MB)))
    weights.write_bytes(part(100, part(1, b"fc") + part(2, b"InnerProduct") + blob))
    end, grown, seconds = open_in_child(tmp_path, definition, weights)
    print(f"{grown / MB:.0f} MB, {seconds:.2f} s: {end}")
    assert end == "opened with 2 layers and 0 notes"
    assert grown < 150 * MB + 2.5 * weights.stat().st_size
    assert seconds < SECONDS
