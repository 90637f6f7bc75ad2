"""PyTorch modules to `Net`.

example makes the input that the module is run with; state keeps the module as it was; export asks
torch.export for the graph and the ONNX exporter for its ops, translations and tidy keep that graph
as plain as the module; naming calls each layer as the module is called; tracing is the older way,
for what the exporter refuses.  The draft that comes of it is built as that of an ONNX file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from layerscope.errors import SystemFaultError, UnsupportedError, UsageError
from layerscope.net import Net
from layerscope.readers.onnx import built
from layerscope.readers.onnx.draft import Draft
from layerscope.text import quoted, shape

EXTRA = "pip install 'layerscope[torch]'"
PREPROCESSING = "the usual way of PyTorch nets; the net does not say"


def is_module(given: object) -> bool:
    """Whether an object is an nn.Module; PyTorch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, torch.nn.Module)


def need_torch(what: str, *packages: str) -> None:
    """Raise the error that names the extra unless PyTorch (and what is named) is installed.

    Raises:
        SystemFaultError: it is not.
    """
    for package in ("torch", *packages):
        spec = find_spec(package)
        if spec is None or spec.origin is None:  # a mere folder of that name has no origin
            raise SystemFaultError(f"{what} needs the package {package}: {EXTRA}")


def open_module(module: Any, example: Any, asked: Mapping[str, Sequence[int]] | None = None) -> Net:
    """The net of a live module, in eval mode, with a copy of its weights as they are now.

    Args:
        module: an `nn.Module`; it is left as it was.
        example: what it takes: a tensor, a tuple of them, a dict of keyword tensors; a shape stands
            for a tensor of that shape.
        asked: nothing; the example says the shapes.

    Raises:
        UsageError: the example does not fit.
        UnsupportedError: the module has no fixed graph, is quantized, or holds what ONNX lacks.
        SystemFaultError: a package of the extra `torch` is not installed.
    """
    need_torch("reading a PyTorch module", "onnxscript")
    from layerscope.readers.torch.export import exported

    if asked:
        raise UsageError("input_shapes are for files; a module's example input says its shapes")
    module = _unwrapped(module)
    _refuse(module)
    draft, shapes = exported(module, example)
    return _finished(built(draft, shapes), draft, shapes)


def _unwrapped(module: Any) -> Any:
    """The module within what `torch.compile` or a data-parallel wrapper has made of it."""
    import torch

    while True:
        if hasattr(module, "_orig_mod"):
            module = module._orig_mod
        elif isinstance(module, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
            module = module.module
        else:
            return module


def _refuse(module: Any) -> None:
    import torch

    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedError(
            f"{quoted(name)} is TorchScript: give the nn.Module that it was made from"
        )
    for path, part in module.named_modules():
        if ".quantized" in type(part).__module__:
            raise UnsupportedError(
                f"layer {quoted(path or name)} ({type(part).__name__}) is quantized, which is not"
                " read: give the module from before it was converted"
            )
    for path, tensor in (*module.named_parameters(), *module.named_buffers()):
        if (
            tensor.is_quantized
            or tensor.is_meta
            or isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin)
        ):
            what = "is quantized" if tensor.is_quantized else "has no numbers yet"
            raise UnsupportedError(f"param {quoted(path)} {what}, which is not read")
        if tensor.dtype == torch.bfloat16:
            raise UnsupportedError(
                f"param {quoted(path)} is bfloat16, which ONNX Runtime does not compute with: open"
                " copy.deepcopy(module).float()"
            )


def _finished(net: Net, draft: Draft, shapes: Mapping[str, tuple[int, ...]]) -> Net:
    """The net under its format, which only changes its batch."""

    def rebuild(more: Mapping[str, Sequence[int]], fill: bool, without: Sequence[str]) -> Net:
        for name, dims in more.items():
            known = shapes[name]
            free = net.graph.free_batch and len(dims) == len(known)
            if tuple(dims) != known and not (free and tuple(dims[1:]) == known[1:]):
                raise UsageError(
                    f"input {quoted(name)} is {shape(known)} in this net, not {shape(dims)}: open"
                    " the module again with an example input of that shape"
                )
        now = {**shapes, **{name: tuple(dims) for name, dims in more.items()}}
        return _finished(built(draft, now), draft, now)

    how = net.preprocessing
    if how.source.startswith("the usual way"):
        how = replace(how, source=PREPROCESSING)
    return replace(net, format="pytorch", preprocessing=how, rebuild=rebuild)
