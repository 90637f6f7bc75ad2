"""Weights in other files: read from the model's own folder, and from nowhere else."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import layerscope as ls
from layerscope.errors import LayerscopeError, ReadError
from readers.onnx.models import model, node, numbers, plain_run, saved

WEIGHTS = numbers(400, 2)


def external(location: str, **entries: Any) -> Any:
    """A model whose weights lie at `location`."""
    tensor = TensorProto(
        name="w", data_type=1, dims=WEIGHTS.shape, data_location=TensorProto.EXTERNAL
    )
    for key, value in {"location": location, **entries}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    return model([node("MatMul", "x w", "y", "fc")], {"x": (1, 400)}, "y", {"w": tensor})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the model, with the weights beside it and outside of it."""
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    for path in (inside / "w.bin", inside / "sub" / "w.bin", tmp_path / "secret.bin"):
        path.write_bytes(WEIGHTS.tobytes())
    return inside


@pytest.mark.parametrize("location", ["w.bin", "sub/w.bin", "./w.bin"])
def test_beside_the_model(folder: Path, location: str) -> None:
    path = saved(folder, external(location))
    net = ls.open(path)
    base: Any = net.params["fc"][0].data
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj, mmap.mmap)
    x = numbers(1, 400, seed=1)
    np.testing.assert_allclose(net.run(x)["y"], plain_run(path, {"x": x})["y"], rtol=1e-5)


def test_offset_and_length(folder: Path) -> None:
    (folder / "w.bin").write_bytes(b"\0" * 64 + WEIGHTS.tobytes() + b"\1" * 8)
    net = ls.open(saved(folder, external("w.bin", offset=64, length=WEIGHTS.nbytes)))
    np.testing.assert_array_equal(net.params["fc"][0].data, WEIGHTS)


def refused(path: Path, kind: type[LayerscopeError], words: str) -> None:
    with pytest.raises(kind) as caught:
        ls.open(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert 'weights "w"' in str(caught.value)
    assert str(caught.value).endswith('; node "fc" (MatMul) reads it')


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin", "sub/../../secret.bin", "sub/../w.bin", "..", "../inside/w.bin",
        "/etc/passwd", "//etc/passwd", "C:\\w.bin", "C:w.bin", "\\\\host\\w.bin", "..\\secret.bin",
        "w.bin:stream", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_ways_out(folder: Path, location: str) -> None:
    refused(saved(folder, external(location)), ReadError, "outside its folder")


def test_absolute_path_to_the_folder_itself(folder: Path) -> None:
    refused(saved(folder, external(str(folder / "w.bin"))), ReadError, "outside its folder")


@pytest.mark.parametrize("location", ["", ".", "sub/", "w\0.bin", "./"])
def test_no_file_named(folder: Path, location: str) -> None:
    refused(saved(folder, external(location)), ReadError, "names no file")


@pytest.mark.parametrize(
    "location",
    [
        "*/_ORT_MEM_ADDR_/*",
        "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*",
        "_ort_mem_addr_",
        "a/_ORT_MEM_ADDR_/b",
    ],
)
def test_addresses_of_memory(folder: Path, location: str) -> None:
    made = external(location, offset=94000000000000, length=WEIGHTS.nbytes)
    refused(saved(folder, made), ReadError, "address of memory")


def test_links_out(folder: Path, tmp_path: Path) -> None:
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    refused(saved(folder, external("link.bin")), ReadError, "by a link to a file outside")
    (folder / "up").symlink_to(tmp_path)
    refused(saved(folder, external("up/secret.bin")), ReadError, "by a link to a file outside")
    os.link(tmp_path / "secret.bin", folder / "hard.bin")
    refused(saved(folder, external("hard.bin")), ReadError, "hard link")
    (folder / "round.bin").symlink_to("round.bin")
    with pytest.raises(LayerscopeError):
        ls.open(saved(folder, external("round.bin")))


def test_links_within(folder: Path) -> None:
    (folder / "link.bin").symlink_to("w.bin")
    assert ls.open(saved(folder, external("link.bin"))).params["fc"][0].data.shape == (400, 2)


def test_a_cache_that_links_model_and_weights_to_one_store(folder: Path, tmp_path: Path) -> None:
    """So download caches lay out a model: both names are links to one store."""
    store = tmp_path / "blobs"
    store.mkdir()
    (store / "aa").write_bytes(external("model.bin").SerializeToString())
    (store / "bb").write_bytes(WEIGHTS.tobytes())
    shown = tmp_path / "snapshots" / "1"
    shown.mkdir(parents=True)
    (shown / "model.onnx").symlink_to(store / "aa")
    (shown / "model.bin").symlink_to(store / "bb")
    np.testing.assert_array_equal(ls.open(shown / "model.onnx").params["fc"][0].data, WEIGHTS)
    (shown / "model.bin").unlink()
    (shown / "model.bin").symlink_to(tmp_path / "secret.bin")
    refused(shown / "model.onnx", ReadError, "outside its folder")


def test_missing_file(folder: Path) -> None:
    refused(saved(folder, external("gone.bin")), ReadError, "gone.bin is missing")


def test_not_a_regular_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    refused(saved(folder, external("pipe")), ReadError, "not a regular file")
    refused(saved(folder, external("sub")), ReadError, "not a regular file")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"offset": 4}, "bytes 4 to 3204 of w.bin, which has 3200"),
        ({"offset": 2**62}, "which has 3200"),
        ({"offset": -1}, "is no number of bytes"),
        ({"offset": "1e3"}, "is no number of bytes"),
        ({"offset": "9" * 40}, "is no number of bytes"),
        ({"length": 3196}, "of 3196 bytes, its shape needs 3200"),
        ({"length": 2**50}, "its shape needs 3200"),
        ({"__class__": "x"}, "unknown entry"),
    ],
)
def test_bad_places(folder: Path, entries: dict[str, Any], words: str) -> None:
    refused(saved(folder, external("w.bin", **entries)), ReadError, words)


def test_a_place_given_twice(folder: Path) -> None:
    made = external("w.bin")
    entry = made.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    with pytest.raises(ReadError, match="given twice"):
        ls.open(saved(folder, made))


def test_inside_nodes_nothing_is_external(folder: Path) -> None:
    """The runtime would open these itself: as a constant, in a branch, in a function."""
    tensor = external("w.bin").graph.initializer[0]
    constant = node("Constant", "", "w", "held", value=tensor)
    info = helper.make_tensor_value_info("w", 1, None)
    plain = helper.make_graph([node("Identity", "x", "w")], "else", [], [info])
    branch = helper.make_graph([constant], "then", [], [info])
    held = helper.make_graph([node("Identity", "w2", "w")], "then", [], [info], [tensor])
    held.initializer[0].name = "w2"
    function = helper.make_function(
        "own", "F", [], ["w"], [constant], [helper.make_opsetid("", 18)]
    )
    condition = {"c": (TensorProto.BOOL, ()), "x": (400, 2)}
    for made in (
        model([constant], {"x": (1, 400)}, "w"),
        model([node("If", "c", "y", then_branch=branch, else_branch=plain)], condition, "y"),
        model([node("If", "c", "y", then_branch=held, else_branch=plain)], condition, "y"),
        model([node("F", "", "y", domain="own")], {"x": (1,)}, "y", domains={"own": 1},
              functions=[function]),
    ):  # fmt: skip
        with pytest.raises(ReadError, match="external data inside a node"):
            ls.open(saved(folder, made))
