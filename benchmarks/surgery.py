"""What changing a weight costs in `layerscope.pycaffe`: a run after a change, and one that looks.

Three kinds of run are timed in turn: nothing was handed out; every param's array is held, so that
all of them are compared; one number was changed, so that the net is built again.
"""

from __future__ import annotations

import numpy as np

import layerscope.pycaffe as caffe
from benchmarks.nets import NetFiles
from benchmarks.timing import Figure, rounds


def measure(files: NetFiles, batch: int, *, quick: bool) -> list[Figure]:
    """The seconds of the three runs."""
    net = caffe.Net(str(files.prototxt), caffe.TEST, weights=str(files.caffemodel))
    data = net.blobs["data"]
    data.reshape(batch, *data.shape[1:])
    data.data[...] = np.random.default_rng(0).normal(size=data.shape)
    net.forward()

    def held() -> None:
        arrays = [blob.data for blobs in net.params.values() for blob in blobs]
        net.forward()
        del arrays

    def changed() -> None:
        next(iter(net.params.values()))[0].data[0] += 1e-3
        net.forward()

    works = {"plain": net.forward, "held": held, "changed": changed}
    count = 3 if quick else 15
    found = rounds(works, count, warm=1)
    name = f"pycaffe {files.name} batch {batch}"
    note = f"{count} rounds"
    return [
        Figure(f"{name}: forward", 1e3 * found.median("plain"), "ms", note=note),
        Figure(f"{name}: all params compared", 1e3 * found.difference("held", "plain"), "ms",
               note="added to it while every array is held"),
        Figure(f"{name}: forward after a change", 1e3 * found.median("changed"), "ms"),
    ]  # fmt: skip
