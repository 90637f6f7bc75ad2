"""What a page is told of the net before anything runs: layers, blobs, params, labels, palettes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import layerscope
from layerscope.measure.attribution import methods
from layerscope.net import Blob, Layer, Net, Param
from layerscope.pictures.color import COLORS, palette
from layerscope.pictures.sheet import INKS, Area, Group, Mark, Words
from layerscope.show.architecture import FAMILIES, family_of, net_diagram
from layerscope.text import count, plural, printable, times
from layerscope.viewer.gallery import UPLOAD_BYTES
from layerscope.viewer.mover import methods_json
from layerscope.viewer.session import Session
from layerscope.viewer.wire import MOST_VALUES, is_maps


def facts(session: Session) -> dict[str, Any]:
    """Everything about the net that stays as it is."""
    net = session.net
    weights = sum(p.size for layer in net.layers for p in layer.params if not p.shared_with)
    size = session.image_size
    return {
        "version": layerscope.__version__,
        "name": printable(net.name),
        "words": f"{plural(len(net.layers), 'layer')}, {count(weights)} weights",
        "notes": [printable(note, 300) for note in net.notes],
        "items": items(net),
        "input": session.main_input,
        "size": list(size) if size else None,
        "gray": size is not None and net.blobs[session.main_input].shape[1] == 1,
        "probability": session.probability or "",
        "labels": [printable(each) for each in session.labels[:MOST_VALUES]],
        "palettes": {n: b64encode(palette(n).tobytes()).decode("ascii") for n in COLORS},
        "upload": UPLOAD_BYTES,
        "methods": methods_json(methods()) if session.image_size else [],
    }


def items(net: Net) -> list[dict[str, Any]]:
    """The rows of the list: each blob with all that writes it in place, in the order of the net."""
    found: list[dict[str, Any]] = []
    by_blob: dict[str, dict[str, Any]] = {}
    for layer in net.layers:
        for top in layer.tops if not layer.reason else ():
            blob = net.blobs[top]
            over = [by_blob[b] for b in layer.bottoms if b in by_blob and _same(net, b, blob)]
            item = over[0] if over else _item(net, layer, blob)
            if not over:
                found.append(item)
            item["layers"].append(_layer(net, layer))
            _write(net, item, layer, blob)
            by_blob[top] = item
        if layer.reason or not layer.tops:
            found.append(_item(net, layer, None))
            found[-1]["layers"].append(_layer(net, layer))
    for number, item in enumerate(found):
        item["id"] = number
    return found


def _same(net: Net, bottom: str, blob: Blob) -> bool:
    below = net.blobs[bottom]
    return below.base == blob.base and below.replaced


def _item(net: Net, layer: Layer, blob: Blob | None) -> dict[str, Any]:
    dims = blob.shape[1:] if blob and len(blob.shape) > 1 else blob.shape if blob else ()
    fed = blob is not None and blob.value in net.inputs
    ops = {net.graph.nodes[i].op_type for i in layer.nodes}
    return {
        "title": printable(blob.base if blob else layer.name),
        "shape": times(dims) if blob else "",
        "color": FAMILIES["input" if fed else family_of(layer, ops)],
        "reason": printable(layer.reason, 300),
        "layers": [],
        "writes": [],
    }


def _write(net: Net, item: dict[str, Any], layer: Layer, blob: Blob) -> None:
    """Note a blob; a layer that only passes on what is there makes no other one."""
    words = f"{printable(layer.name, 40)} ({printable(layer.type, 40)})"
    last = item["writes"][-1] if item["writes"] else None
    if last is not None and net.blobs[last["blob"]].value == blob.value:
        last["also"].append(last["blob"])
        last["blob"], last["name"] = blob.name, printable(blob.name)
        last["after"] += f", {words}"
        return
    dims = blob.shape[1:] if len(blob.shape) > 1 else blob.shape
    maps = is_maps(dims)
    depth = int(dims[1]) if maps and len(dims) == 4 else 1
    item["writes"].append(
        {
            "blob": blob.name, "name": printable(blob.name), "after": words, "dims": list(dims),
            "maps": maps, "unit": "slice" if depth > 1 else "channel", "depth": depth, "also": [],
        }
    )  # fmt: skip


def _layer(net: Net, layer: Layer) -> dict[str, Any]:
    return {
        "name": printable(layer.name),
        "key": layer.name,
        "type": printable(layer.type),
        "summary": printable(layer.summary, 200),
        "params": [_param(number, each) for number, each in enumerate(layer.params)],
    }


def _param(number: int, param: Param) -> dict[str, Any]:
    shared = f", shared with {printable(param.shared_with)}" if param.shared_with else ""
    return {"number": number, "name": printable(param.name), "shape": times(param.shape) + shared}


def diagram_json(net: Net) -> dict[str, Any]:
    """The diagram as a list of shapes, which the page draws; a link is the number of an item.

    Raises:
        LimitError: the net is too large for a diagram.
    """
    links = {}
    for item in items(net):
        names = [write["blob"] for write in item["writes"]]
        for name in names or [layer["key"] for layer in item["layers"]]:
            links[name] = str(item["id"])
    sheet = net_diagram(net, links=links).sheet
    parts = []
    for part in sheet.parts:
        if isinstance(part, Group):
            marks = [_mark(mark) for mark in part.marks]
            parts.append({"title": part.title, "link": part.link, "marks": marks})
        else:
            parts.append({"marks": [_mark(part)]})
    return {
        "width": sheet.width, "height": sheet.height, "label": sheet.label,
        "inks": list(INKS), "parts": parts,
    }  # fmt: skip


def _mark(mark: Mark) -> dict[str, Any]:
    if isinstance(mark, Words):
        return {"kind": "words", **mark._asdict()}
    if isinstance(mark, Area):
        return {"kind": "area", **mark._asdict()}
    return {"kind": "line", "way": " ".join(_way(mark)), "color": mark.color, "dashed": mark.dashed}


def _way(line: Any) -> Iterator[str]:
    yield f"M{_spot(line.start)}"
    for step in line.steps:
        yield ("C" if len(step) == 3 else "L") + " ".join(map(_spot, step))


def _spot(spot: tuple[float, float]) -> str:
    return f"{spot[0]:.1f},{spot[1]:.1f}"
