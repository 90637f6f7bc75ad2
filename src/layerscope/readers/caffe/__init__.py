"""Caffe files to `Net`.

prototxt (text) and wire (binary) decode messages by one schema; upgrade and phase bring the
definition to what Caffe would run; weights finds the trained arrays; build makes the graph, asking
the registry for each layer type.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from layerscope.errors import ReadError
from layerscope.inputs import Preprocessing
from layerscope.net import Graph, Named, Net
from layerscope.readers.caffe.build import NetBuilder
from layerscope.readers.caffe.hdf5 import hdf5_weights
from layerscope.readers.caffe.message import Message
from layerscope.readers.caffe.phase import TESTING, State, kept
from layerscope.readers.caffe.prototxt import parse
from layerscope.readers.caffe.upgrade import upgrade
from layerscope.readers.caffe.weights import Weights
from layerscope.readers.caffe.wire import decode
from layerscope.readers.file import InputFile
from layerscope.text import printable, quoted

# The mean of ILSVRC-2012 in BGR, which nearly all public Caffe nets were trained with.
IMAGENET_BGR = (104.0, 117.0, 123.0)
_SOLVER_FIELDS = {"base_lr", "max_iter", "lr_policy", "train_net", "snapshot_prefix", "solver_mode"}
_SOLVER_NETS = ("net_param", "test_net_param", "train_net_param")


def open_caffe(
    definition: InputFile,
    weights: InputFile | None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    *,
    state: State = TESTING,
) -> Net:
    """Build a net from a definition and, if given, trained weights.

    Args:
        definition: a prototxt, or a caffemodel that holds its own definition.
        weights: a caffemodel, or the same as HDF5.
        input_shapes: input name to shape, where the file does not state it or states another.
        state: which layers are there.

    Raises:
        UsageError: a shape for an input that the net does not have, or none where one is needed.
        ReadError: a file is damaged, or the weights do not fit.
        UnsupportedError: the net has something that is not known.
    """
    notes: list[str] = []
    definition, weights = _in_order(definition, weights, notes)
    root = read_definition(definition)
    trained = _trained(weights, None if weights is not definition else root)
    upgrade(root)
    layers = kept(root.layer, replace(state, stages=(*root.state.stage, *state.stages)))
    if not layers:
        raise ReadError(f"{definition.name}: no layers for the {state.phase} phase in it")
    notes += root.origin.all_notes() if root.origin else []
    name = printable(root.name or definition.path.stem)

    def build(
        shapes: Mapping[str, Sequence[int]], fill: bool, without: Collection[str] = ()
    ) -> Net:
        builder = NetBuilder(layers, trained, fill=fill, input_shapes=shapes, without=without)
        builder.build()
        graph = builder.g.finish()
        return Net(
            name=name,
            format="caffe",
            layers=tuple(builder.layers),
            blobs=builder.blobs,
            graph=graph,
            outputs=builder.outputs,
            preprocessing=preprocessing(layers, _channels(graph)),
            notes=(*notes, *builder.all_notes()),
            optional=builder.optional,
            rebuild=lambda more, again, less: build(
                {**shapes, **more}, fill or again, {*without, *less}
            ),
        )

    net = build(input_shapes or {}, False)
    known = Named(dict.fromkeys(net.inputs), "input", f"net {quoted(name)}")
    for asked in input_shapes or {}:
        known[asked]
    for file in filter(None, (definition, weights)):
        file.check_unchanged()
    return net


def _in_order(
    definition: InputFile, weights: InputFile | None, notes: list[str]
) -> tuple[InputFile, InputFile | None]:
    """The two files in the order that they were meant in; one caffemodel is both."""
    if weights is not None and definition.kind != "text" and weights.kind == "text":
        notes.append(
            f"{definition.name} holds the weights and {weights.name} the definition: read so"
        )
        definition, weights = weights, definition
    if weights is not None and weights.kind == "text":
        raise ReadError(f"{weights.name}: a text definition, but the weights should stand here")
    if definition.kind == "hdf5":
        raise ReadError(
            f"{definition.name}: weights without their definition; give the prototxt too:"
            " NET WEIGHTS"
        )
    if weights is None and definition.kind == "binary":
        notes.append(f"{definition.name}: definition and weights are both taken from it")
        weights = definition
    return definition, weights


def _trained(file: InputFile | None, root: Message | None) -> Weights | None:
    """The weights of a file; `root` is its content where that is decoded already."""
    if file is None:
        return None
    if file.kind == "hdf5":
        return hdf5_weights(file)
    return Weights(root or decode(file.view, file.name), file.name)


def read_definition(file: InputFile) -> Message:
    """The NetParameter of a definition in text or binary form."""
    if file.kind == "binary":
        root = decode(file.view, file.name)
    else:
        root = parse(bytes(file.view), file.name)
        if not (root.layer or root.layers):
            root = _net_of_solver(file, {name for name, _ in root.unknown}) or root
    if not (root.layer or root.layers):
        raise ReadError(f"{file.name}: no layers in it; is it a net's definition?")
    if file.kind == "binary" and not any(each.top for each in (*root.layer, *root.layers)):
        raise ReadError(
            f"{file.name}: weights without their definition; give the prototxt too: NET WEIGHTS"
        )
    return root


def _net_of_solver(file: InputFile, fields: Collection[str]) -> Message | None:
    """The net that stands inside a solver's settings; None where these are no such settings.

    Raises:
        ReadError: the settings name the file of their net.
    """
    inside = [name for name in _SOLVER_NETS if name in fields]
    if inside:
        settings = parse(bytes(file.view), file.name, "SolverParameter")
        found = getattr(settings, inside[0])
        root: Message = found[0] if isinstance(found, list) else found
        if root.origin is not None:
            root.origin.notes.append(
                f"{file.name}: a solver's settings; the net in its {inside[0]} is opened"
            )
        return root
    given = sorted(_SOLVER_FIELDS.intersection(fields))
    if given:
        raise ReadError(
            f"{file.name}: a solver's settings ({', '.join(given[:3])}), not a net;"
            " open the file that its 'net' or 'train_net' names"
        )
    return None


def _channels(graph: Graph) -> int:
    """Channels of the first input that an image could fill; 3 where there is none."""
    shapes = [graph.shapes[name] for name in graph.inputs]
    return next((dims[1] for dims in shapes if len(dims) == 4), 3)


def preprocessing(layers: Sequence[Message], channels: int) -> Preprocessing:
    """How the net wants its images: its own transform_param, or Caffe's usual way."""
    usual = Preprocessing(
        channels="gray" if channels == 1 else "BGR",
        mean=() if channels == 1 else IMAGENET_BGR,
        source="Caffe's usual way; the net does not say",
        stated=False,
    )
    for each in layers:
        if not each.top or each.bottom or not each.has("transform_param"):
            continue
        given = each.transform_param
        how = replace(
            usual,
            mean=tuple(float(m) for m in given.mean_value),
            scale=float(given.scale),
            source="the net's transform_param",
            stated=True,
        )
        if given.has("mean_file"):
            unread = printable(given.mean_file, 60)
            source = f"the net's transform_param; mean file {unread} not read"
            how = replace(how, mean=usual.mean, source=source)
        return how
    return usual
