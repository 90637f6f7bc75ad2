"""HDF5 files that do not mean well; what Caffe writes is tested in test_quirks_weights.py (q38)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layerscope.errors import LimitError, ReadError
from layerscope.readers.caffe.hdf5 import load

h5py = pytest.importorskip("h5py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.caffemodel.h5"


def test_numbers_in_other_files_are_not_read(path: Path) -> None:
    other = path.with_name("other.h5")
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(6.0)
    raw = path.with_name("raw")
    raw.write_bytes(bytes(24))
    virtual = h5py.VirtualLayout((6,), "f8")
    virtual[:] = h5py.VirtualSource(str(other), "secret", (6,))
    with h5py.File(path, "w") as file:
        layer = file.create_group("data/a")
        layer["0"] = np.float32([1, 2])
        layer["1"] = h5py.ExternalLink(str(other), "secret")
        layer.create_virtual_dataset("2", virtual)
        layer.create_dataset("3", (6,), "f4", external=[(str(raw), 0, 24)])
    found = load(path)
    assert list(found) == ["a"] and list(found["a"]) == [0]
    np.testing.assert_array_equal(found["a"][0], [1, 2])


def test_groups_that_hold_themselves(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data["a"] = data["b"] = data
    with pytest.raises(LimitError, match="more than 20,000 groups"):
        load(path)


@pytest.mark.parametrize("key", ["w", "-1", "99999", "²"])
def test_datasets_that_are_not_numbered(path: Path, key: str) -> None:
    with h5py.File(path, "w") as file:
        file[f"data/a/{key}"] = np.float32([1])
    with pytest.raises(ReadError, match='layer "a": its datasets are not numbered'):
        load(path)
