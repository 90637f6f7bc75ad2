"""How an image becomes the input of an ONNX net, which does not say it itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, get_args

from onnx import TensorProto

from layerscope.inputs import METADATA_KEY, Channels, Fit, Layout, Preprocessing
from layerscope.readers.onnx.draft import Draft
from layerscope.readers.onnx.shapes import element_name
from layerscope.readers.onnx.signature import is_channels_last

# Of ImageNet in RGB, 0 to 1: what nearly all public PyTorch nets were trained with.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
_MIDDLE = 128.0  # what an input of int8 lacks: 0 to 255 becomes -128 to 127


def preprocessing(draft: Draft, shapes: Mapping[str, tuple[int, ...]]) -> Preprocessing:
    """The file's own note, if layerscope wrote it; else the usual way for the first image input."""
    noted = _noted(draft.metadata.get(METADATA_KEY, ""))
    if noted is not None:
        return noted
    element, dims = int(TensorProto.FLOAT), (1, 3, 224, 224)
    for each in draft.inputs:
        found = shapes[each.name]
        last = is_channels_last(found)
        if len(found) == 4 and (last or found[1] in (1, 3)):
            element, dims = each.element, found
            break
    layout: Layout = "NHWC" if is_channels_last(dims) else "NCHW"
    gray = dims[3 if layout == "NHWC" else 1] == 1
    channels: Channels = "gray" if gray else "RGB"
    if element in (TensorProto.UINT8, TensorProto.INT8):
        middle = (_MIDDLE,) if element == TensorProto.INT8 else ()
        source = f"the input takes {element_name(element)}"
        return Preprocessing(channels, mean=middle, layout=layout, source=source)
    source = "the usual way of ONNX nets; the net does not say"
    if gray:
        return Preprocessing(channels, scale=1 / 255, layout=layout, source=source, stated=False)
    mean = tuple(255 * each for each in MEAN)
    return Preprocessing(
        channels,
        mean=mean,
        scale=1 / 255,
        std=DEVIATION,
        layout=layout,
        source=source,
        stated=False,
    )


def _noted(words: str) -> Preprocessing | None:
    """What `layerscope convert` wrote into the file; None where it is absent or damaged."""
    try:
        found: Any = json.loads(words[:10_000])
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    numbers = [*_numbers(found.get("mean")), *_numbers(found.get("std")), found.get("scale")]
    whole = all(isinstance(n, (int, float)) and isfinite(n) for n in numbers)
    choices = (("channels", Channels), ("fit", Fit), ("layout", Layout))
    if not whole or any(found.get(key) not in get_args(kind) for key, kind in choices):
        return None
    return Preprocessing(
        channels=found["channels"],
        mean=tuple(_numbers(found["mean"])),
        scale=float(found["scale"]),
        std=tuple(_numbers(found["std"])),
        fit=found["fit"],
        layout=found["layout"],
        source="the note in the file",
    )


def _numbers(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [None]
