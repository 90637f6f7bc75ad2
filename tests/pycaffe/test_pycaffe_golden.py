"""What BVLC Caffe computed, through pycaffe's face: whole runs, and every layer by itself."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import layerscope.pycaffe as caffe
from closeness import assert_blob_close
from conftest import GOLDEN
from layerscope.readers.caffe.upgrade import current_type
from pycaffe.nets import needs


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
@pytest.mark.source("BVLC Caffe 1.0.0, CPU")
def test_equals_caffe(case: Path) -> None:
    definition, weights = case / "net.prototxt", case / "net.caffemodel"
    without_fillers = re.sub(r"filler *\{[^}]*\}", "", definition.read_text())
    types = re.findall(r'type: *"?([A-Za-z0-9_]+)"?', without_fillers)
    needs(*dict.fromkeys(current_type(each) for each in types))
    net = caffe.Net(str(definition), caffe.TEST, weights=str(weights) if weights.exists() else None)
    with np.load(case / "golden.npz") as golden:
        wanted = {name: golden[name] for name in golden.files}
    for name in net.inputs:
        net.blobs[name].reshape(*wanted[f"in/{name}"].shape)
        net.blobs[name].data[...] = wanted[f"in/{name}"]
    for name, array in wanted.items():
        if name.startswith("param/"):
            layer, index = re.fullmatch(r"param/(.*)/(\d+)", name).groups()
            np.testing.assert_array_equal(net.params[layer][int(index)].data, array)
    compared = 0
    for part in (net._layer_names[-1:], net._layer_names):  # at once, then one after another
        for name in net.inputs:
            net.blobs[name].data[...] = wanted[f"in/{name}"]
        if part[:-1]:
            for each in part:
                net.forward(start=each, end=each)
        else:
            net.forward(end=part[0])
        for name, blob in net.blobs.items():
            if f"out/{name}" in wanted:
                assert_blob_close(blob.data, wanted[f"out/{name}"], f"{case.name}/{name}")
                compared += 1
    assert compared
