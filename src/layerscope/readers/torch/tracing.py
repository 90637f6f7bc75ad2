"""PyTorch's older exporter: it runs the module once and notes the ops.

It also takes ops that the newer one does not translate.  It never sees a branch, so it is asked
only after torch.export has followed the module without meeting one.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from layerscope.readers.file import InputFile
from layerscope.readers.onnx.draft import Draft
from layerscope.readers.onnx.parse import parse
from layerscope.readers.torch.example import Example, tensors_of
from layerscope.text import printable

OPSET = 18


def traced(module: Any, example: Example) -> tuple[Draft, dict[str, tuple[int, ...]]]:
    """The draft of a module and the shapes of its inputs, at the batch of the example."""
    import torch

    from layerscope.readers.torch.export import Memory

    content = io.BytesIO()
    bound = inspect.signature(module.forward).bind(*example.args, **example.kwargs).arguments
    plain = all(isinstance(each, torch.Tensor) for each in bound.values())
    with _no_dump(torch._C):
        torch.onnx.export(
            module,
            example.args,
            content,
            kwargs=example.kwargs,
            input_names=list(bound) if plain else None,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # else batch norms go into convolutions
            do_constant_folding=False,
            opset_version=OPSET,
        )
    name = type(module).__name__
    draft = parse(cast(InputFile, Memory(name, content.getvalue())))
    draft.name = printable(name)
    for node in draft.nodes:
        node.name = path_of(node.name)
    fed = tensors_of([*example.args, *example.kwargs.values()])
    shapes = {
        each.name: tuple(tensor.shape) for each, tensor in zip(draft.inputs, fed, strict=True)
    }
    draft.notes.append("the batch is fixed: the module was traced")
    return draft, shapes


@contextmanager
def _no_dump(native: Any) -> Iterator[None]:
    """The exporter would print the whole graph that it fails at, past Python's stdout."""
    dump = getattr(native, "_jit_onnx_log", None)
    native._jit_onnx_log = lambda *words: None
    try:
        yield
    finally:
        if dump is not None:
            native._jit_onnx_log = dump


def path_of(scopes: str) -> str:
    """A node's scopes as the module's path and the op.

    >>> path_of("/layer1/layer1.0/conv1/Conv")
    'layer1.0.conv1.conv'
    """
    *modules, op = scopes.strip("/").split("/")
    path: list[str] = []
    for each in modules:
        if path and each.startswith(f"{path[-1]}."):
            path[-1] = each
        else:
            path.append(each)
    return ".".join([*path, op.lower()])
