"""Weights from files and to files: caffemodel and HDF5.

Behaviour: `caffe/src/caffe/net.cpp` (CopyTrainedLayersFrom, ToProto, ToHDF5).
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from layerscope.errors import ReadError
from layerscope.files import write_file
from layerscope.pycaffe.definition import Definition, is_source
from layerscope.pycaffe.errors import CaffeError
from layerscope.pycaffe.params import Params
from layerscope.readers.caffe import hdf5
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.weights import Weights
from layerscope.readers.caffe.wire import decode
from layerscope.readers.caffe.write import blob_message, to_bytes
from layerscope.readers.file import InputFile
from layerscope.text import plural, quoted


def trained(file: InputFile) -> Weights:
    """The weights of a caffemodel.

    Raises:
        ReadError: it is a text, or damaged.
    """
    if file.kind == "text":
        raise ReadError(f"{file.name}: a text definition, but the weights should stand here")
    return Weights(decode(file.view, file.name), file.name)


def copy_from(params: Params, file: InputFile) -> None:
    """Take the weights of a file for layers of the same names; see `Net.copy_from`."""
    if file.kind == "hdf5":
        load_hdf5(params, file)
        return
    weights = trained(file)
    arrays = {}
    for name in weights:  # in the order of the file: the last copy of a shared param stays
        blobs, count = params.layers.get(name, []), weights.count(name)
        if blobs and count != len(blobs):
            raise _wrong_number(name, len(blobs), file.name, count)
        if blobs:
            arrays[name] = [weights.array(name, i, b.shape) for i, b in enumerate(blobs)]
    params.copy(file.name, arrays)


def save(definition: Definition, params: Params, path: str | PathLike[str]) -> None:
    """Write definition and weights as a caffemodel; see `Net.save`.

    What only forks of Caffe have in their settings has no place in the file, and is left out.
    """
    net = Message(message_type("NetParameter"))
    net.set("name", definition.name)
    layers = []
    for each in definition.layers:
        layer = _numbered(each)
        layer.drop("blobs")
        blobs = [] if is_source(each) else params.layers.get(each.name, [])
        if blobs:
            layer.set("blobs", [blob_message(blob.numbers()) for blob in blobs])
        layers.append(layer)
    net.set("layer", layers)
    write_file(Path(path), to_bytes(net))


def _numbered(message: Message) -> Message:
    """A copy without the fields that have no number."""
    copy = message.copy()
    for field, value in list(message.given()):
        if not field.number:
            copy.drop(field.name)
        elif field.kind == "message":
            inner = [_numbered(each) for each in value] if field.repeated else _numbered(value)
            copy.set(field.name, inner)
    return copy


def save_hdf5(
    definition: Definition, params: Params, path: str | PathLike[str], write_diff: bool
) -> None:
    """Write the params that each layer owns as HDF5; see `Net.save_hdf5`."""
    own = {
        name: [(i, b) for i, b in enumerate(params.layers.get(name, ())) if params.owned(name, i)]
        for name in definition.layer_names
    }
    data = {name: [(i, blob.numbers()) for i, blob in blobs] for name, blobs in own.items()}
    diff = {name: [(i, blob.diff) for i, blob in blobs] for name, blobs in own.items()}
    hdf5.save(Path(path), data, diff if write_diff else None)


def load_hdf5(params: Params, file: InputFile) -> None:
    """Take the weights of an HDF5 file; see `Net.load_hdf5`."""
    arrays = {}
    for name, found in hdf5.load(file.path).items():
        blobs = params.layers.get(name, [])
        if not blobs or not found:
            continue
        missing = [i for i in range(len(blobs)) if i not in found]
        if any(params.owned(name, i) for i in missing) or max(found) >= len(blobs):
            raise _wrong_number(name, len(blobs), file.name, len(found))
        arrays[name] = [found.get(i, blob.numbers()) for i, blob in enumerate(blobs)]
    params.copy(file.name, arrays)


def _wrong_number(layer: str, wanted: int, name: str, found: int) -> CaffeError:
    return CaffeError(
        f"layer {quoted(layer)} takes {plural(wanted, 'blob')} of weights, {name} has {found}"
    )
