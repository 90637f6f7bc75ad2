"""What a page asks about one unit: its value, what it sees, its filter, why it is what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from layerscope.blobs import Blobs
from layerscope.errors import UsageError
from layerscope.inputs import Fed
from layerscope.measure.explain import Derivation, Step, Unit, Window
from layerscope.net import Layer, Named, Net
from layerscope.show.explanation import (
    equation,
    layer_label,
    outside_words,
    pixel_words,
    place,
    spans,
    step_label,
    unit_label,
)
from layerscope.show.figures import Figure, Source, figure, share
from layerscope.show.sight import Sight, unit_sight
from layerscope.show.sources import Sources
from layerscope.text import printable, quoted, shape
from layerscope.viewer.facts import diagram_json
from layerscope.viewer.scope import Scope
from layerscope.viewer.wire import base64_of, is_maps, spread_json

MOST_REGION = 4096
MOST_STEPS = 12
MOST_PLANES = 6
MOST_CELLS = 256  # of a plane that is written out
PARAM_BYTES = 1_500_000


def values(scope: Scope, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A region of one tile of a blob, or a part of a vector, as base64 of float32."""
    name = _blob(scope.session.net, asked)
    array = scope.array(name)
    one = array[0] if array.ndim > 1 else np.atleast_1d(array)
    planes = one.reshape(-1, *one.shape[-2:]) if is_maps(one.shape) else one.reshape(1, 1, -1)
    tile, y, x, height, width = (_number(asked, key) for key in ("tile", "y", "x", "h", "w"))
    if not (tile < len(planes) and y < planes.shape[1] and x < planes.shape[2]):
        raise UsageError(f"blob {quoted(name)} {shape(array.shape)} has no such region")
    if height * width > MOST_REGION:
        raise UsageError(f"a region of {height}x{width} values; {MOST_REGION} are given at once")
    part = planes[tile, y : y + height, x : x + width]
    return {
        "frame": scope.frame,
        "shape": list(part.shape),
        "values": base64_of(part.astype("<f4")),
    }


def unit(scope: Scope, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a unit sees of the input, and the weights that make its channel."""
    net = scope.session.net
    found = unit_asked(net, asked)
    dims = net.blobs[found.blob].shape
    label = ""
    if found.blob == scope.session.probability and len(scope.session.labels) == dims[1]:
        label = printable(scope.session.labels[found.index[1]])
    return {
        "unit": str(found), "label": label,
        "sight": _sight(unit_sight(net, scope.fed, found)), "filter": _filter(scope, found),
    }  # fmt: skip


def why(scope: Scope, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The arithmetic of a unit of this frame."""
    found = scope.explainer.explain(unit_asked(scope.session.net, asked))
    return {"frame": scope.frame, **derivation_json(found)}


def param(scope: Scope, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A param of a layer as the report packs it, as much at once as there: from `first` on.

    A filter of many kernels is not cut, where a whole one has room.
    """
    net = scope.session.net
    layer = _layer(net, asked)
    number = _number(asked, "number")
    if number >= len(layer.params):
        raise UsageError(f"layer {quoted(layer.name)} has no param {number}")
    source = Sources(net, Blobs({}), ()).param(layer, number, layer.params[number])
    spread = scope.session.spread((layer.name, number), source)
    share([source], PARAM_BYTES)
    most = source.shown
    if source.unit == "kernel" and most > source.depth:
        most -= most % source.depth
    last = (source.total - 1) // most * most if most else 0
    source.first = min(_number(asked, "first"), last) // max(1, most) * most
    source.shown = min(most, source.total - source.first)
    paging = {
        "first": source.first, "count": source.shown, "total": source.total, "most": most,
        "channels": layer.params[number].shape[0] if layer.params[number].shape else 0,
    }  # fmt: skip
    return {**_figure_json(figure(source, spread)), **paging}


def picture(scope: Scope, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the net sees of an image of the gallery, or of what is before it now."""
    key, most = asked.get("image", ""), _number(asked, "most")
    fed: Mapping[str, Fed] = scope.fed
    if key:
        found = scope.session.gallery.get(printable(key, 60))
        fed = scope.session.feed(found.source, found.statement)
    if not fed:
        raise UsageError("no image is before the net yet")
    main = fed[scope.session.main_input]
    if main.picture is None:
        return {"width": 0, "height": 0, "rgb": "", "statement": main.statement}
    pixels = main.picture if main.picture.ndim == 3 else np.repeat(main.picture[:, :, None], 3, 2)
    step = max(1, -(-max(pixels.shape[:2]) // most)) if most else 1
    pixels = pixels[::step, ::step]
    return {
        "width": pixels.shape[1], "height": pixels.shape[0], "rgb": base64_of(pixels),
        "statement": main.statement,
    }  # fmt: skip


def diagram(scope: Scope, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The diagram of the net."""
    return diagram_json(scope.session.net)


ANSWERS: dict[str, Callable[[Scope, Mapping[str, Any]], dict[str, Any]]] = {
    "values": values, "unit": unit, "why": why, "param": param, "picture": picture,
    "diagram": diagram,
}  # fmt: skip


def answer(scope: Scope, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one question of a page.

    Raises:
        LayerscopeError: there is none; the message says why.
    """
    question = ANSWERS.get(printable(asked.get("ask", ""), 40))
    if question is None:
        raise UsageError(f"the page asks for {printable(asked.get('ask'), 40)}, which is unknown")
    return question(scope, asked)


def derivation_json(found: Derivation) -> dict[str, Any]:
    """An explanation in the words of every other surface, with the numbers that are drawn."""
    total = len(found.steps) + found.more
    return {
        "unit": str(found.unit), "title": unit_label(found), "value": found.value,
        "recomputed": found.recomputed, "difference": found.difference,
        "relative": found.relative, "reason": found.reason,
        "layers": [layer_label(layer) for layer in found.layers],
        "pixel": list(found.pixel), "pixel_words": pixel_words(found) if found.pixel else "",
        "fed": found.statement, "strongest": found.strongest,
        "bottoms": [f"{printable(name)} {shape(dims)}" for name, dims in found.bottoms],
        "steps": [_step(step) for step in found.steps[:MOST_STEPS]], "steps_total": total,
    }  # fmt: skip


def _step(step: Step) -> dict[str, Any]:
    window = step.window
    return {
        "label": step_label(step), "equation": equation(step, 7), "kind": step.kind,
        "result": step.result, "engine": step.engine,
        "outside": outside_words(step) if step.outside else "",
        "counts": step.counts,
        "window": _window(window) if window is not None else None,
        "operands": [
            {
                "role": o.role, "place": place(o.source, o.index), "value": o.value,
                "weight": o.weight, "part": o.part,
                "learned": place(o.weight_source, o.weight_index) if o.weight_source else "",
            }
            for o in step.operands
        ],
    }  # fmt: skip


def _window(window: Window) -> dict[str, Any]:
    """The planes that add most; those of more cells than can be read are not written out."""
    cells = window.values[0].size
    order = window.order[:MOST_PLANES].tolist() if cells <= MOST_CELLS else []
    if window.winner is not None and order:
        order = [window.winner[0]]
    rows, columns = spans(window)
    return {
        "rows": rows, "columns": columns, "total": len(window.values), "cells": cells,
        "winner": list(window.winner) if window.winner is not None else None,
        "planes": [
            {
                "label": window.labels[p], "plane": p, "sum": float(window.sums[p]),
                "values": window.values[p].tolist(), "parts": window.parts[p].tolist(),
                "weights": window.weights[p].tolist() if window.weights is not None else None,
                "inside": np.broadcast_to(window.inside, window.values.shape)[p].tolist(),
            }
            for p in order
        ],
    }  # fmt: skip


def _sight(found: Sight) -> dict[str, Any]:
    return {
        "words": found.words, "box": list(found.box) if found.box else None,
        "wide": list(found.wide) if found.wide else None,
        "size": list(found.picture.shape[1::-1]) if found.picture is not None else None,
    }  # fmt: skip


def _filter(scope: Scope, found: Unit) -> dict[str, Any] | None:
    """The weights of a unit's channel: kernels, a filter in colour, or a row."""
    net = scope.session.net
    layer = _writer(net, found.blob)
    channel = found.index[1] if len(found.index) > 1 else found.index[0] if found.index else 0
    if layer is None or not layer.params or layer.params[0].array is None:
        return None
    first = layer.params[0]
    channels = net.blobs[found.blob].shape[1:2]
    if first.shape[:1] != channels or first.size <= first.shape[0]:
        return None
    source = Sources(net, Blobs({}), ()).param(layer, 0, first)
    each = source.depth if source.tiles is not None and source.unit == "kernel" else 1
    if source.tiles is not None and source.unit in ("kernel", "filter"):
        source.tiles = source.tiles[channel * each : (channel + 1) * each]
        source.unit = "channel" if source.unit == "kernel" else "filter"
        source.depth = 1
    else:
        source.tiles, source.unit = None, "value"
    source.array = np.asarray(first.data)[channel]
    source.array = source.array.reshape(-1) if source.tiles is None else source.array
    source.words, source.name = (), f"{first.name}[{channel}]"
    source.dims = first.shape[1:]
    return {**_figure(source), "layer": layer_label(layer)}


def _writer(net: Net, name: str) -> Layer | None:
    """The layer whose params made a blob: behind what was written in place over it."""
    seen = set()
    while name not in seen:
        seen.add(name)
        blob = net.blobs[name]
        layer = next((each for each in net.layers if each.name == blob.layer), None)
        if layer is None or (layer.params and len(layer.params[0].shape) > 1):
            return layer
        below = [b for b in layer.bottoms if net.blobs[b].base == blob.base]
        if not below:
            return layer
        name = below[0]
    return None


def _figure(source: Source) -> dict[str, Any]:
    share([source], PARAM_BYTES)
    return _figure_json(figure(source))


def _figure_json(found: Figure) -> dict[str, Any]:
    source = found.source
    return {
        "title": source.title, "statement": found.statement, "words": list(source.words),
        "panel": found.panel, "data": found.data, "spread": spread_json(found.spread),
    }  # fmt: skip


def _blob(net: Net, asked: Mapping[str, Any]) -> str:
    found = asked.get("blob")
    Named(net.blobs, "blob", f"net {quoted(net.name)}")[str(found)]
    return str(found)


def _layer(net: Net, asked: Mapping[str, Any]) -> Layer:
    return net.layer(str(asked.get("layer")))


def unit_asked(net: Net, asked: Mapping[str, Any]) -> Unit:
    """A unit from its blob and its place in one image."""
    name = _blob(net, asked)
    index = asked.get("index")
    dims = net.blobs[name].shape
    if not isinstance(index, list) or not all(type(i) is int and i >= 0 for i in index):
        raise UsageError("a unit is a blob and a list of numbers")
    batch = (0,) if len(dims) > 1 else ()
    place = (*batch, *index, *(0,) * (len(dims) - len(batch) - len(index)))
    if not dims and place == (0,):
        place = ()  # a blob of one number has no axes
    within = zip(place[len(batch) :], dims[len(batch) :], strict=False)
    if len(place) != len(dims) or not all(i < d for i, d in within):
        raise UsageError(f"blob {quoted(name)} {shape(dims)} has no unit {shape(index)}")
    return Unit(name, place, 0)


def _number(asked: Mapping[str, Any], key: str) -> int:
    found = asked.get(key, 0)
    if type(found) is not int or not 0 <= found < 1 << 31:
        raise UsageError(f"{key} must be a number of 0 or more")
    return found
