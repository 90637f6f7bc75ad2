"""The example input of a module: what its `forward` is called with while its graph is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerscope.errors import UsageError
from layerscope.text import quoted

FORMS = "a tensor, a shape as (1, 3, 224, 224), a tuple of those, or a dict of keyword tensors"


@dataclass(frozen=True)
class Example:
    """The arguments of one call.

    Attributes:
        args, kwargs: as `forward` takes them.
        batch: the first axis of every tensor, where all have one and the same; else 0.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int

    def mapped(self, change: Callable[[Any], Any]) -> Example:
        """The same with every tensor changed."""
        return _checked(
            tuple(_mapped(each, change) for each in self.args),
            {name: _mapped(each, change) for name, each in self.kwargs.items()},
        )

    def paired(self) -> Example:
        """A batch of one doubled: a batch of one would be taken for a fixed size."""
        import torch

        return self.mapped(lambda tensor: torch.cat([tensor, tensor])) if self.batch == 1 else self


def example_of(module: Any, given: Any) -> Example:
    """The example input in one form.

    Raises:
        UsageError: it is of another form.
    """
    if given is None:
        name = type(module).__name__
        raise UsageError(f"module {quoted(name)} needs an example input: {FORMS}")
    if isinstance(given, Mapping):
        return _checked((), {str(name): _tensor(module, each) for name, each in given.items()})
    if isinstance(given, (tuple, list)) and not _is_shape(given):
        return _checked(tuple(_tensor(module, each) for each in given), {})
    return _checked((_tensor(module, given),), {})


def _is_shape(given: Any) -> bool:
    whole = isinstance(given, (tuple, list)) and len(given) > 0
    return whole and all(isinstance(each, int) and not isinstance(each, bool) for each in given)


def _tensor(module: Any, given: Any) -> Any:
    import torch

    if isinstance(given, torch.Tensor):
        return given.detach()
    if isinstance(given, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(given))
    if _is_shape(given):
        if min(given) < 1:
            raise UsageError(f"example input {tuple(given)}: every number must be at least 1")
        kept = (*module.parameters(), *module.buffers())
        like = next((each for each in kept if each.is_floating_point()), torch.zeros(()))
        seeded = torch.Generator().manual_seed(0)
        return torch.randn(tuple(given), generator=seeded).to(like.device, like.dtype)
    if isinstance(given, (tuple, list)) and given:
        return _again(given, [_tensor(module, each) for each in given])
    raise UsageError(f"the example input is a {type(given).__name__}; give {FORMS}")


def _mapped(given: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(given, (tuple, list)):
        return _again(given, [_mapped(each, change) for each in given])
    return change(given)


def _again(given: Any, parts: list[Any]) -> Any:
    """The parts as the list or tuple that they came as."""
    return parts if isinstance(given, list) else tuple(parts)


def tensors_of(given: Any) -> list[Any]:
    """The tensors of an argument, or of several."""
    if isinstance(given, (tuple, list)):
        return [tensor for each in given for tensor in tensors_of(each)]
    return [given]


def _checked(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Example:
    firsts = {t.shape[0] if t.ndim else 0 for t in tensors_of([*args, *kwargs.values()])}
    return Example(tuple(args), dict(kwargs), firsts.pop() if len(firsts) == 1 else 0)
