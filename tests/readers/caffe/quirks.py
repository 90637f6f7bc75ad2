"""What the tests of Caffe's quirks are written with: bytes by hand, files, and the one-line error."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import layerscope as ls
from closeness import assert_blob_close
from layerscope import cli
from layerscope.readers.caffe.write import write_caffemodel

RANDOM = np.random.default_rng(40)
X = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }\n'
C = 'layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 2 kernel_size: 1 } }\n'


def fc(name: str, bottom: str, outs: int, more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {more}'
        f" inner_product_param {{ num_output: {outs} bias_term: false }} }}\n"
    )


# --- protobuf's wire format ---


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def run(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def shaped(*dims: int) -> bytes:
    return run(7, run(1, b"".join(map(varint, dims))))


def legacy(*dims: int) -> bytes:
    """num, channels, height, width."""
    return b"".join(number(i + 1, d) for i, d in enumerate(dims))


def floats(array: object, field: int = 5) -> bytes:
    return run(field, np.asarray(array, "<f4").tobytes())


def layer(name: str, kind: str, *blobs: bytes, more: bytes = b"") -> bytes:
    content = run(1, name.encode()) + run(2, kind.encode()) + b"".join(run(7, b) for b in blobs)
    return run(100, content + more)


# --- files ---


def written(folder: Path, text: str | bytes, weights: bytes | None = None) -> list[Path]:
    """A definition and, if given, weights."""
    paths = [folder / "net.prototxt", folder / "net.caffemodel"]
    paths[0].write_bytes(text.encode() if isinstance(text, str) else text)
    if weights is None:
        return paths[:1]
    paths[1].write_bytes(weights)
    return paths


def trained(folder: Path, text: str | bytes, **arrays: list[np.ndarray]) -> ls.Net:
    """A net with weights by layer name, in the order given."""
    paths = [*written(folder, text), folder / "net.caffemodel"]
    write_caffemodel(paths[1], "net", [(name, "", each) for name, each in arrays.items()])
    return ls.open(*paths)


def random(*dims: int) -> np.ndarray:
    return RANDOM.normal(size=dims).astype(np.float32)


def refusal(capsys, *words: object, command: str = "shapes") -> tuple[int, str]:
    """The exit code of a command, and the one line that it says; nothing may be printed else."""
    code = cli.run([command, *map(str, words)])
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and captured.err.endswith("\n")
    line = captured.err[:-1]
    assert line.startswith("error: ") and line.isprintable() and len(line) <= 300
    return code, line.removeprefix("error: ")


# --- layer "c" ---

BLOBS = [random(2, 3, 1, 1), random(2)]


def by_hand(x: np.ndarray, blobs: list[np.ndarray] = BLOBS) -> np.ndarray:
    """What layer "c" computes: a matrix and a bias at every place."""
    matrix = np.reshape(blobs[0], (2, 3))
    return np.einsum("oc,nchw->nohw", matrix, x) + np.reshape(blobs[1], (2, 1, 1))


def assert_computes(net: ls.Net, shape: tuple[int, ...] = (2, 3, 4, 5), blob: str = "c") -> None:
    x = random(*shape)
    assert_blob_close(net.run(x)[blob], by_hand(x), blob)


def stored(array: np.ndarray) -> bytes:
    """An array as a blob of a caffemodel."""
    return shaped(*array.shape) + run(5, array.astype("<f4").tobytes())
