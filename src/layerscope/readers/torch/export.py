"""A module to a draft: by torch.export and its ONNX exporter, or else by tracing."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from typing import Any, cast

import numpy as np

from layerscope.errors import UnsupportedError, UsageError
from layerscope.readers.file import InputFile
from layerscope.readers.onnx.draft import Draft
from layerscope.readers.onnx.parse import parse
from layerscope.readers.torch.example import Example, example_of
from layerscope.readers.torch.naming import Origins, rename
from layerscope.readers.torch.state import evaluated, silence
from layerscope.readers.torch.tidy import before_bias, tidied
from layerscope.readers.torch.translations import translations
from layerscope.text import one_line, printable, quoted

Shapes = dict[str, tuple[int, ...]]


class Memory:
    """A model in memory, as `parse` takes a file."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name, self.path, self.view = name, Path(name), memoryview(content)


def exported(module: Any, given: Any) -> tuple[Draft, Shapes]:
    """The draft of a module, and the shapes of its inputs in the example.

    Raises:
        UsageError: the module does not take the example.
        UnsupportedError: it has no fixed graph, or holds an op that ONNX does not have.
    """
    example = example_of(module, given)
    _check_call(module, example)
    with silence(), evaluated(module):
        try:
            made, batch = _exported(module, example)
        except Exception as error:  # the exporters have no common base of their errors
            if _depends_on_numbers(error):
                raise UnsupportedError(_branching(module, error)) from None
            return _by_tracing(module, example, error)
        return _drafted(module, made, batch)


def _check_call(module: Any, example: Example) -> None:
    """Whether `forward` takes such arguments."""
    try:
        inspect.signature(module.forward).bind(*example.args, **example.kwargs)
    except TypeError as error:
        name = type(module).__name__
        raise UsageError(f"the example input does not fit {name}.forward: {error}") from None


# --- torch.export ---


def _exported(module: Any, example: Example) -> tuple[Any, int]:
    """The exporter's model, and the example's batch, or 0 where the batch cannot be free."""
    import torch

    program, batch = _program(module, example)
    _drop_plain_outputs(program)
    made = torch.onnx.export(
        program,
        dynamo=True,
        optimize=False,
        verbose=False,
        custom_translation_table=translations(),
    )
    return made, batch


def _drop_plain_outputs(program: Any) -> None:
    """Have a program give None where `forward` returns a number or a text that is no tensor.

    The ONNX exporter stops at those; None it leaves out.
    """
    from torch.export.graph_signature import ConstantArgument, OutputSpec

    specs = program.graph_signature.output_specs
    node = next(each for each in program.graph.nodes if each.op == "output")
    given = list(node.args[0])
    for i, spec in enumerate(specs):
        if isinstance(spec.arg, ConstantArgument):
            none = ConstantArgument(name=spec.arg.name, value=None)
            specs[i], given[i] = OutputSpec(spec.kind, none, spec.target), None
    node.args = (tuple(given),)


def _drafted(module: Any, made: Any, batch: int) -> tuple[Draft, Shapes]:
    """The draft of the exporter's model, tidied and with the module's names."""
    model = made.model
    own = _own_names(module, model)
    origins = Origins(made.exported_program)
    tidied(model, origins, own)
    inner = before_bias(model, origins)
    inputs = [value.name for value in model.graph.inputs]
    parts = module.named_modules(remove_duplicate=False)  # a part may have several paths
    leaves = {path for path, part in parts if _is_leaf(part)}
    rename(model, origins, leaves, [*inputs, *model.graph.initializers])
    draft = _draft(type(module).__name__, model)
    draft.inner = frozenset(value.name for value in inner)
    shapes = {each.name: _shape(each.dims, batch) for each in draft.inputs}
    if not batch:
        draft.notes.append("the batch is fixed: the module or its example input allows no other")
    return draft, shapes


def _is_leaf(part: Any) -> bool:
    """Whether a module holds no other ones, but for what computes its weights."""
    return all(name == "parametrizations" for name, _ in part.named_children())


def _own_names(module: Any, model: Any) -> set[str]:
    """The names of params and buffers; one that parts share gets the name that it has first."""
    names: set[str] = set()
    for listed in (module.named_parameters, module.named_buffers):
        first = {id(tensor): name for name, tensor in listed()}
        for name, tensor in listed(remove_duplicate=False):
            value = model.graph.initializers.get(name)
            if value is not None and first[id(tensor)] not in model.graph.initializers:
                value.name = first[id(tensor)]
        names.update(first.values())
    return names


def _program(module: Any, example: Example) -> tuple[Any, int]:
    """The exported program, and the example's batch, or 0 where the batch cannot be free."""
    import torch

    if example.batch:
        paired = example.paired()
        free = {0: torch.export.Dim.AUTO}
        bound = inspect.signature(module.forward).bind(*paired.args, **paired.kwargs).arguments
        specs = {name: _specs(value, free) for name, value in bound.items()}
        try:
            program = torch.export.export(
                module, paired.args, paired.kwargs, dynamic_shapes=specs, strict=False
            )
            sizes = [meta.shape[0] for meta in _fed(program)]
            if sizes and not any(isinstance(size, int) for size in sizes):
                return program, example.batch
        except Exception as error:
            if _depends_on_numbers(error):
                raise  # at a fixed batch it would be the same
    fixed = torch.export.export(module, example.args, example.kwargs, strict=False)
    return fixed, 0


def _specs(value: Any, free: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_specs(each, free) for each in value)
    if isinstance(value, dict):
        return {name: _specs(each, free) for name, each in value.items()}
    return free


def _fed(program: Any) -> list[Any]:
    names = set(program.graph_signature.user_inputs)
    return [node.meta["val"] for node in program.graph.nodes if node.name in names]


def _shape(dims: Any, batch: int) -> tuple[int, ...]:
    return tuple(each if isinstance(each, int) else batch for each in dims)


def _draft(name: str, model: Any) -> Draft:
    """The draft of the exporter's model; the weights are copied, once, from tensor to array.

    A view would change with the module while it is trained further.
    """
    import onnx_ir as ir

    tensors, elements = {}, {}
    for key, value in model.graph.initializers.items():
        tensors[key] = np.array(value.const_value.numpy(), order="C")
        tensors[key].flags.writeable = False
        elements[key] = int(value.const_value.dtype)
    inputs = {value.name for value in model.graph.inputs}
    model.graph.initializers.clear()
    draft = parse(cast(InputFile, Memory(name, ir.to_proto(model).SerializeToString())))
    draft.name = printable(name)
    draft.tensors.update(tensors)
    draft.elements.update(elements)
    draft.inputs = [each for each in draft.inputs if each.name in inputs]
    return draft


# --- tracing ---


def _by_tracing(module: Any, example: Example, first: Exception) -> tuple[Draft, Shapes]:
    """What the exporter cannot translate, the older one sometimes can."""
    from layerscope.readers.torch.tracing import traced

    try:
        draft, shapes = traced(module, example)
    except Exception:
        raise UnsupportedError(
            f"module {quoted(type(module).__name__)} cannot be exported: {_reason(first)}"
        ) from None
    draft.notes.append(
        one_line(f"traced, as torch.export refuses the module: {_reason(first)}", 200)
    )
    return draft, shapes


# --- errors ---


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found


def _depends_on_numbers(error: BaseException) -> bool:
    return any("DataDependent" in type(each).__name__ for each in _causes(error))


def _reason(error: BaseException) -> str:
    """The innermost cause in one line, with the line of the user's code."""
    root = _causes(error)[-1]
    words = next((line for line in str(root).splitlines() if line.strip()), "")
    where = _place(root)
    return one_line(f"{type(root).__name__}: {words}{f' ({where})' if where else ''}", 200)


def _place(error: BaseException) -> str:
    """File, line and function of the last step outside PyTorch."""
    frame = _user_frame(error)
    return f"{printable(Path(frame[0]).name)}:{frame[1]} in {frame[2]}" if frame else ""


def _user_frame(error: BaseException) -> tuple[str, int, str, Any] | None:
    import torch

    library, own = str(Path(torch.__file__).parent), str(Path(__file__).parents[2])
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        inside = file.startswith((library, own, "<")) or "/onnxscript/" in file
        if not inside and "contextlib" not in file:
            first = frame.f_code.co_varnames[:1]  # what is mostly called self
            owner = frame.f_locals.get(first[0]) if first else None
            found = (file, line, frame.f_code.co_name, owner)
    return found


def _branching(module: Any, error: BaseException) -> str:
    """The message about a module that decides by its numbers."""
    name = type(module).__name__
    frames = [found for each in _causes(error) if (found := _user_frame(each))]
    path = ""
    if frames:
        owner = frames[-1][3]
        path = next((path for path, part in module.named_modules() if part is owner), "")
        place = f"{printable(Path(frames[-1][0]).name)}:{frames[-1][1]}"
    where = f"layer {quoted(path)} of {name}" if path else name
    at = f" ({place})" if frames else ""
    return (
        f"{where} decides by the numbers it is fed (an if, a loop or a size){at}: such a module has"
        " no fixed graph; open a part without it, or write it with torch.where"
    )
