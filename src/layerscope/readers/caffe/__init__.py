"""Caffe files to `Net`.

prototxt (text) and wire (binary) decode messages by one schema; upgrade and phase bring the
definition to what Caffe would run; weights finds the trained arrays; build makes the graph, asking
the registry for each layer type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from layerscope.errors import ReadError, UnsupportedError
from layerscope.inputs import Preprocessing
from layerscope.net import Net
from layerscope.readers.caffe.build import NetBuilder, sized
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.phase import TESTING, State, kept
from layerscope.readers.caffe.prototxt import parse
from layerscope.readers.caffe.upgrade import upgrade
from layerscope.readers.caffe.weights import Weights
from layerscope.readers.caffe.wire import decode
from layerscope.readers.file import InputFile
from layerscope.text import printable

# The mean of ILSVRC-2012 in BGR, which nearly all public Caffe nets were trained with.
IMAGENET_BGR = (104.0, 117.0, 123.0)
_SOLVER_FIELDS = {"base_lr", "max_iter", "lr_policy", "train_net", "snapshot_prefix", "solver_mode"}


def open_caffe(
    definition: InputFile,
    weights: InputFile | None,
    *,
    state: State = TESTING,
) -> Net:
    """Build a net from a definition and, if given, trained weights.

    Args:
        definition: a prototxt, or a caffemodel that holds its own definition.
        weights: a caffemodel.
        state: which layers are there.

    Raises:
        ReadError: a file is damaged, or the weights do not fit.
        UnsupportedError: the net has something that is not known.
    """
    notes: list[str] = []
    if weights is not None and definition.kind == "binary" and weights.kind == "text":
        notes.append(
            f"{definition.name} holds the weights and {weights.name} the definition: read so"
        )
        definition, weights = weights, definition
    if weights is not None and weights.kind == "text":
        raise ReadError(f"{weights.name}: a text definition, but the weights should stand here")
    for each in (definition, weights):
        if each is not None and each.kind == "hdf5":
            raise UnsupportedError(f"{each.name}: HDF5 weights are not read yet; give a caffemodel")
    root = read_definition(definition)
    if weights is None and definition.kind == "binary":
        weights = definition
        notes.append(f"{definition.name}: definition and weights are both taken from it")
    trained = None
    if weights is not None:
        stored = root if weights is definition else decode(weights.view, weights.name)
        trained = Weights(stored, weights.name)
    upgrade(root)
    layers = kept(root.layer, replace(state, stages=(*root.state.stage, *state.stages)))
    if not layers:
        raise ReadError(f"{definition.name}: no layers for the {state.phase} phase in it")
    notes += root.origin.all_notes() if root.origin else []
    name = printable(root.name or definition.path.stem)

    def build(shapes: Mapping[str, Sequence[int]], fill: bool) -> Net:
        builder = NetBuilder(sized(layers, shapes), trained, fill=fill)
        builder.build()
        return Net(
            name=name,
            format="caffe",
            layers=tuple(builder.layers),
            blobs=builder.blobs,
            graph=builder.g.finish(),
            outputs=builder.outputs,
            preprocessing=preprocessing(layers),
            notes=(*notes, *dict.fromkeys([*builder.notes, *builder.weight_notes()])),
            rebuild=lambda more, again: build({**shapes, **more}, fill or again),
        )

    return build({}, False)


def read_definition(file: InputFile) -> Message:
    """The NetParameter of a definition in text or binary form."""
    if file.kind == "binary":
        root = decode(file.view, file.name)
    else:
        root = parse(bytes(file.view), file.name)
        solver = _SOLVER_FIELDS & {name for name, _ in root.unknown}
        if not (root.layer or root.layers) and solver:
            raise ReadError(
                f"{file.name}: a solver's settings ({', '.join(sorted(solver)[:3])}), not a net;"
                " open the file that its 'net' or 'train_net' names"
            )
    if not (root.layer or root.layers):
        raise ReadError(f"{file.name}: no layers in it; is it a net's definition?")
    return root


def preprocessing(layers: Sequence[Message]) -> Preprocessing:
    """How the net wants its images: its own transform_param, or Caffe's usual way."""
    usual = Preprocessing(mean=IMAGENET_BGR, source="Caffe's usual way; the net does not say")
    for each in layers:
        if not each.top or each.bottom or not each.has("transform_param"):
            continue
        given = each.transform_param
        means = tuple(float(m) for m in given.mean_value)
        how = replace(
            usual,
            mean=means or (() if not given.has("mean_file") else usual.mean),
            scale=float(given.scale),
            channels="gray" if given.force_gray else "BGR",
            source="the net's transform_param",
        )
        if given.has("mean_file"):
            unread = printable(given.mean_file, 60)
            how = replace(how, source=f"the net's transform_param; mean file {unread} not read")
        return how
    return usual
