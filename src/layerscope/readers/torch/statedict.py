"""Weights that `torch.save` wrote: read by PyTorch's reader for plain tensors, never unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from layerscope.errors import ReadError
from layerscope.net import Net
from layerscope.readers.file import InputFile
from layerscope.readers.torch import need_torch
from layerscope.readers.torch.state import silence
from layerscope.readers.weights import weights_net
from layerscope.text import one_line, plural, printable, quoted

# Under what training programs keep the weights, the likeliest first.
_KEYS = ("state_dict", "model_state_dict", "model", "net", "params", "model_ema", "ema")
MOST_NAMES = 4  # in a note
ADVICE = "load it into its module and open that: layerscope.open(module, example)"


def open_state_dict(file: InputFile) -> Net:
    """The weights of a file as a net of params.

    Raises:
        ReadError: it holds other objects than tensors, which could run a program, or is damaged.
        SystemFaultError: PyTorch is not installed.
    """
    need_torch(f"{file.name}: reading PyTorch weights")
    import torch

    try:
        with silence():
            content = torch.load(file.path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged file meets any exception of zip, pickle and PyTorch
        raise ReadError(f"{file.name}: {_reason(error)}") from None
    notes: list[str] = []
    found = _chosen(content, file.name, notes)
    tensors, unread = {}, []
    for name, tensor in found.items():
        array = _array(tensor, len(file.view))
        if array is None:
            unread.append(printable(name, 40))
        else:
            tensors[str(name)] = array
    if unread:
        names = ", ".join(unread[:MOST_NAMES]) + (" ..." if len(unread) > MOST_NAMES else "")
        notes.append(
            f"{len(unread)} of {plural(len(found), 'tensor')} are not plain numbers in the file"
            f" (sparse, quantized, complex, repeated): {names}"
        )
    file.check_unchanged()
    bits = {str(name): 8 * tensor.element_size() for name, tensor in found.items()}
    return weights_net(file.name, "pytorch", tensors, ADVICE, notes, bits)


def _reason(error: Exception) -> str:
    words = str(error)
    if "weights_only" in words or "Unsupported" in words:
        what = words.partition("GLOBAL ")[2].split(" ")[0]
        named = f" ({printable(what, 60)})" if what else ""
        return (
            f"holds other Python objects than tensors{named}, which could run a program, so it is"
            " not opened; save the weights alone: torch.save(module.state_dict(), file)"
        )
    return f"not readable as PyTorch weights: {one_line(words, 120) or type(error).__name__}"


def _chosen(content: Any, file: str, notes: list[str]) -> dict[str, Any]:
    """The tensors by name; of a checkpoint those of its model."""
    import torch

    if isinstance(content, torch.Tensor):
        return {"tensor": content}
    if not isinstance(content, Mapping):
        raise ReadError(f"{file}: holds a {type(content).__name__}, not tensors by name")
    found = _tensors(content)
    if not found:
        held = {key: each for key, each in content.items() if _tensors(each)}
        key = next((key for key in (*_KEYS, *held) if key in held), None)
        if key is None:
            raise ReadError(f"{file}: holds no tensors by name")
        notes.append(f"the tensors under {quoted(key)} of a checkpoint")
        found = _tensors(content[key])
        notes += _others([f"{key}/{each}" for each in content[key] if each not in found])
        content = {name: each for name, each in content.items() if name != key}
    notes += _others([name for name in content if name not in found])
    return found


def _others(names: list[Any]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(printable(each, 30) for each in names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return [f"not shown: {shown}{more}"]


def _tensors(content: Any) -> dict[str, Any]:
    import torch

    if not isinstance(content, Mapping):
        return {}
    return {name: each for name, each in content.items() if isinstance(each, torch.Tensor)}


def _array(tensor: Any, limit: int) -> NDArray[Any] | None:
    """A view on the numbers; None where they do not stand in the file one by one."""
    import torch

    plain = tensor.layout == torch.strided and not tensor.is_quantized
    if not plain or tensor.is_complex() or tensor.numel() * tensor.element_size() > limit:
        return None
    tensor = tensor.detach()
    try:
        array: NDArray[Any] = tensor.numpy()
    except (TypeError, RuntimeError):  # a type that NumPy does not have
        array = tensor.float().numpy()
    array.flags.writeable = False
    return array
