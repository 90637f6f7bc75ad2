"""Weights without a net: a layer for each prefix of the names, with params and no blobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from layerscope.errors import ReadError
from layerscope.inputs import Preprocessing
from layerscope.net import Graph, Layer, Net, Param
from layerscope.text import printable

TYPE = "Params"
WITHOUT_NET = "holds weights without a net, so nothing can run"


def weights_net(
    file: str,
    format: str,
    tensors: Mapping[str, NDArray[Any]],
    todo: str,
    notes: Sequence[str] = (),
    bits: Mapping[str, int] | None = None,
) -> Net:
    """A net of params alone, to be listed and drawn.

    Args:
        file: the name of the file.
        format: of the file.
        tensors: name to array, "layer1.0.conv1.weight" for a param of layer "layer1.0.conv1".
        todo: what would give a net that runs.
        notes: what the user should know.
        bits: name to what one number takes in the file, where the array's are of another type.

    Raises:
        ReadError: no tensors.
    """
    if not tensors:
        raise ReadError(f"{file}: no tensors in it")
    reason = f"{file} {WITHOUT_NET}; {todo}"
    groups: dict[str, list[Param]] = {}
    for name, array in tensors.items():
        layer = name.rpartition(".")[0] or name
        each = (bits or {}).get(name, 8 * array.itemsize)
        groups.setdefault(layer, []).append(Param(name, array.shape, array, bits=each))
    layers = tuple(
        Layer(name, TYPE, "", (), (), tuple(params), reason=reason)
        for name, params in groups.items()
    )
    return Net(
        name=printable(file.rpartition(".")[0] or file),
        format=format,
        layers=layers,
        blobs={},
        graph=Graph((), {}, {}, dict(tensors), ()),
        outputs=(),
        preprocessing=Preprocessing("RGB", source="no net, so nothing is fed"),
        notes=(reason, *notes),
    )
