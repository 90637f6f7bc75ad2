"""What is fed: the shape of every input, as one number an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layerscope.errors import UnsupportedError, UsageError
from layerscope.net import Named
from layerscope.readers.onnx.draft import Dims, Draft, Input
from layerscope.text import printable, quoted, shape

Shapes = dict[str, tuple[int, ...]]
_IMAGE_AXES = {"NCHW": ("batch", "channels", "height", "width"),
               "NHWC": ("batch", "height", "width", "channels")}  # fmt: skip
_USUAL = {"batch": 1, "channels": 3, "height": 224, "width": 224}


def input_shapes(draft: Draft, asked: Mapping[str, Sequence[int]]) -> tuple[Shapes, bool]:
    """The shape of every input, and whether the batch is free.

    Args:
        draft: the model.
        asked: what the caller wants in place of what the file says.

    Raises:
        UsageError: a shape that is asked for does not fit.
        UnsupportedError: an axis other than the batch is free and the caller does not say its size.
        UnknownNameError: there is no such input.
    """
    known = Named(
        dict.fromkeys(each.name for each in draft.inputs), "input", f"net {quoted(draft.name)}"
    )
    for name, dims in asked.items():
        known[name]
        if any(d < 1 for d in dims):
            raise UsageError(
                f"input {quoted(name)}: shape {shape(dims)}; every number must be at least 1"
            )
    sizes = _axis_sizes(draft.inputs, asked)
    shapes: Shapes = {}
    for each in draft.inputs:
        if each.name in asked:
            shapes[each.name] = tuple(int(d) for d in asked[each.name])
            _check_rank(each, shapes[each.name])
        else:
            shapes[each.name] = _resolved(each, sizes)
    return shapes, _free_batch(draft.inputs)


def _axis_sizes(inputs: Sequence[Input], asked: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The sizes of the axes that the file names: one name has one size wherever it stands."""
    sizes: dict[str, int] = {}
    for each in inputs:
        for axis, size in zip(each.dims or (), asked.get(each.name, ()), strict=False):
            if isinstance(axis, str):
                sizes.setdefault(axis, int(size))
    for each in inputs:
        if each.dims and isinstance(each.dims[0], str):
            sizes.setdefault(each.dims[0], 1)
    return sizes


def axis_sizes(draft: Draft, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The same for all inputs, once their shapes are settled."""
    return _axis_sizes(draft.inputs, shapes)


def _check_rank(given: Input, dims: tuple[int, ...]) -> None:
    if given.dims is not None and len(given.dims) != len(dims):
        raise UsageError(
            f"input {quoted(given.name)} has {len(given.dims)} axes, the shape asked for is"
            f" {shape(dims)}"
        )


def _resolved(given: Input, sizes: Mapping[str, int]) -> tuple[int, ...]:
    name = printable(given.name, 60)
    if given.dims is None:
        raise UnsupportedError(
            f"input {quoted(given.name)} has no shape in the file: give"
            f" --input-shape {name}=1,3,224,224"
        )
    dims = [sizes.get(d, d) if isinstance(d, str) else d for d in given.dims]
    if dims and not isinstance(dims[0], int):
        dims[0] = 1
    free = [i for i, d in enumerate(dims) if not isinstance(d, int)]
    if not free:
        return tuple(d for d in dims if isinstance(d, int))
    axes = _axis_names(given.dims)
    words = [_axis_words(axes[i], given.dims[i]) for i in free]
    together = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    guess = [d if isinstance(d, int) else _USUAL.get(axes[i], 128) for i, d in enumerate(dims)]
    raise UnsupportedError(
        f"input {quoted(given.name)} has {together} free: give"
        f" --input-shape {name}={','.join(map(str, guess))}"
    )


def _axis_names(dims: Dims) -> tuple[str, ...]:
    if len(dims) != 4:
        return tuple(f"axis {i}" for i in range(len(dims)))
    return _IMAGE_AXES["NHWC" if is_channels_last(dims) else "NCHW"]


def _axis_words(axis: str, told: int | str | None) -> str:
    return f"{axis} ({printable(told, 30)})" if told and told != axis else axis


def is_channels_last(dims: Sequence[int | str | None]) -> bool:
    """Whether a shape is (N, H, W, C), as TensorFlow has it, and not (N, C, H, W)."""
    return len(dims) == 4 and dims[3] in (1, 3) and dims[1] not in (1, 3)


def _free_batch(inputs: Sequence[Input]) -> bool:
    """Whether the file leaves the first axis of all inputs free, and means the same by it."""
    firsts = [each.dims[0] if each.dims else 0 for each in inputs]
    return bool(firsts) and not any(isinstance(d, int) for d in firsts) and len(set(firsts)) == 1
