"""A net as an ONNX model: with its arrays beside it for the engine, or in it for a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from layerscope.inputs import METADATA_KEY, Preprocessing
from layerscope.net import Net, values_read

_BLOCKED = 4  # axes of the values that the runtime may hold in a blocked layout
INLINE_BYTES = 1024  # smaller arrays stand in the graph, where the optimizer can fold them
# Only what these read is lent to the runtime: where the optimizer moves a Transpose past a sum, it
# turns the array of the sum, and one that is lent would come back as it was.
# Products are not moved past; ops that take the array alone may vanish, so what reads them counts.
WEIGHING = frozenset("Conv ConvTranspose Gemm MatMul LSTM GRU RNN Gather".split())
ALONE = frozenset("Cast Flatten Identity Reshape Squeeze Transpose Unsqueeze".split())


def model(net: Net, values: Sequence[str]) -> ModelProto:
    """The ONNX model that computes some values; large arrays are declared, not held."""
    graph = GraphProto(name=net.name)
    graph.node.extend(net.graph.nodes)
    for name in net.inputs:
        dims: list[int | str | None] = [d if d >= 0 else None for d in net.graph.shapes[name]]
        if net.graph.free_batch and dims:
            dims[0] = "N" if len(net.inputs) == 1 else f"N_{name}"
        graph.input.append(helper.make_tensor_value_info(name, net.graph.types[name], dims))
    for value in values:
        held = value
        if not is_held(net.graph.types[value]):
            held = f"{value}:float"
            graph.node.append(helper.make_node("Cast", [value], [held], to=TensorProto.FLOAT))
        graph.output.append(helper.make_empty_tensor_value_info(held))
    apart, read = beside(net), {name for node in net.graph.nodes for name in values_read(node)}
    for name, array in net.graph.tensors.items():
        if array is None or name in apart:
            continue
        if name in read or _is_small(array):
            graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    for name, array in apart.items():
        graph.initializer.append(_declared(name, array, net.graph.types[name]))
    imports = [helper.make_opsetid("", net.graph.opset)]
    imports += [helper.make_opsetid(*each) for each in net.graph.domains.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=net.graph.ir_version)


def put_in_order(held: ModelProto, net: Net, values: Sequence[str]) -> None:
    """Have the runtime finish each image-like value where it is made, not at the end of the run.

    The runtime computes convolutions in a blocked channel layout, and turns each value that is an
    output back into N C H W by a step of its own.  It walks the graph from its ends, the last one
    first, so most of those steps would come at the end of the run: until then every value is held
    twice, and has left the processor's cache when it is turned.  A reader of each value, in
    reversed order, makes the walk begin at the first value.  `Size` reads no numbers, and its
    result is not asked for.
    """
    order = [
        value
        for value in values
        if net.graph.types.get(value) == TensorProto.FLOAT
        and len(net.graph.shapes.get(value, ())) == _BLOCKED
    ]
    if len(order) < 2:
        return
    taken = {*net.graph.shapes, *(name for node in held.graph.node for name in node.output)}
    for value in reversed(order):
        name = f"{value}:size"
        while name in taken:
            name += "'"
        taken.add(name)
        held.graph.node.append(helper.make_node("Size", [value], [name]))
        held.graph.output.append(helper.make_tensor_value_info(name, TensorProto.INT64, ()))


def is_held(element: int) -> bool:
    """Whether NumPy itself has a type for these numbers; bfloat16 and its like are cast."""
    return helper.tensor_dtype_to_np_dtype(element).type.__module__ == "numpy"


def _is_small(array: NDArray[Any]) -> bool:
    """Whether an array stands in the graph anyhow; text and numbers below a byte always do."""
    return array.nbytes <= INLINE_BYTES or array.dtype.kind in "OSU" or "int4" in array.dtype.name


def beside(net: Net) -> dict[str, NDArray[Any]]:
    """The arrays that go beside the graph, which holds less than 2 GB itself.

    The runtime refuses those that no node reads.
    """
    read = {name for node in net.graph.nodes for name in values_read(node)}
    return {
        name: array
        for name, array in net.graph.tensors.items()
        if array is not None and name in read and not _is_small(array)
    }


def lent(net: Net) -> set[str]:
    """Which of the arrays beside the graph the runtime may read in place: weights of products.

    It copies the others, as its optimizer may change them.
    """
    weighing: dict[str, bool] = {}
    for node in reversed(net.graph.nodes):
        alone = node.op_type in ALONE and all(weighing.get(name, True) for name in node.output)
        for name in values_read(node):
            fit = node.op_type in WEIGHING or (alone and node.input[0] == name)
            weighing[name] = weighing.get(name, True) and fit
    return {name for name, fit in weighing.items() if fit}


def _declared(name: str, array: NDArray[Any], element: int) -> TensorProto:
    tensor = TensorProto(
        name=name, data_type=element, dims=array.shape, data_location=TensorProto.EXTERNAL
    )
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "given as arrays"
    return tensor


def standalone(net: Net, blobs: Sequence[str]) -> ModelProto:
    """The ONNX model that holds its weights and gives blobs under their own names.

    Where a blob is another one under a second name (dropout when testing), an Identity gives it
    that name.
    """
    held = model(net, ())
    graph = held.graph
    _name_after_layers(graph, net)
    read = {name for node in graph.node for name in values_read(node)}
    del graph.initializer[:]
    named = set(net.graph.shapes)
    for key in blobs:
        value = net.blobs[key].value
        if value != key or value in net.inputs or value in net.graph.tensors:
            name = key if key not in named else f"{key}:output"
            graph.node.append(helper.make_node("Identity", [value], [name], name=f"output {name}"))
            read.add(value)
        else:
            name = key
        graph.output.append(_output(net, key, name))
    for name, array in net.graph.tensors.items():
        if array is not None and name in read:
            graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    held.producer_name = "layerscope"
    entry = held.metadata_props.add()
    entry.key, entry.value = "preprocessing", str(net.preprocessing)
    if isinstance(net.preprocessing.mean, tuple):
        entry = held.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, _as_json(net.preprocessing)
    return held


def _as_json(how: Preprocessing) -> str:
    """The preprocessing so that it can be read again."""
    names = ("channels", "mean", "scale", "std", "fit", "layout")
    return json.dumps({name: getattr(how, name) for name in names})


def _name_after_layers(graph: GraphProto, net: Net) -> None:
    """Give each node the name of its layer, or `layer/Op` where several make the layer."""
    taken: set[str] = set()
    for layer in net.layers:
        for i in layer.nodes:
            node = graph.node[i]
            name = layer.name if len(layer.nodes) == 1 else f"{layer.name}/{node.op_type}"
            number = 2
            node.name = name
            while node.name in taken:
                node.name, number = f"{name}:{number}", number + 1
            taken.add(node.name)


def _output(net: Net, key: str, name: str) -> ValueInfoProto:
    """An output of open shape: the batch is free, and shape inference finds the rest."""
    element = net.graph.types[net.blobs[key].value]
    return helper.make_tensor_value_info(name, element, [None] * len(net.blobs[key].shape))
