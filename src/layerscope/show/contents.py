"""The report's table of contents: the diagram of the net and the list of its layers."""

from __future__ import annotations

from collections.abc import Iterator

from layerscope.errors import LimitError
from layerscope.net import Layer, Net
from layerscope.show.architecture import FAMILIES, family_of, net_diagram
from layerscope.show.notebook import escaped


def anchor(index: int) -> str:
    """The id of the section of a layer."""
    return f"layer{index}"


def family_class(net: Net, layer: Layer) -> str:
    """The class that gives a layer the colour that it has in the diagram."""
    family = family_of(layer, {net.graph.nodes[i].op_type for i in layer.nodes})
    return f"family{list(FAMILIES).index(family)}"


def family_style() -> str:
    """The rules of those classes."""
    colors = enumerate(FAMILIES.values())
    return "".join(f".family{i} {{ --family: {color}; }}\n" for i, color in colors)


def blocks(net: Net) -> list[str]:
    """For each layer the anchor that the block of the diagram leads to in which it is drawn.

    A block is a blob with all that writes it in place; it leads to the first of these layers.
    """
    first: dict[str, str] = {}
    found = []
    for i, layer in enumerate(net.layers):
        base = net.blobs[layer.tops[0]].base if layer.tops else ""
        over = [b for b in layer.bottoms if net.blobs[b].base == base]
        leads_to = first.get(base, anchor(i)) if over else anchor(i)
        for top in layer.tops:
            first[net.blobs[top].base] = leads_to
        found.append(leads_to)
    return found


class Contents:
    """The diagram and the list of a net, each in a box that folds.

    Attributes:
        style: the rule that tells the style sheet how wide the diagram is.
    """

    def __init__(self, net: Net) -> None:
        self._net = net
        self._diagram, self.style = "", ""
        links = {}
        for layer, leads_to in zip(net.layers, blocks(net), strict=True):
            links.update(dict.fromkeys(layer.tops or (layer.name,), leads_to))
        try:
            drawing = net_diagram(net, links=links)
        except LimitError as error:
            self._diagram = f'<p class="dim">{escaped(error, 300)}</p>'
            return
        self.style = f":root {{ --drawing: {drawing.width}px; }}\n"
        self._diagram = f'<nav class="drawing" aria-label="diagram">{drawing.svg}</nav>'

    def html(self) -> Iterator[str]:
        """Both boxes."""
        yield '<div class="contents">'
        yield f'<details class="diagram" open><summary>diagram</summary>{self._diagram}</details>'
        yield '<details class="list"><summary>list of layers</summary>'
        yield '<nav aria-label="list of layers"><ol>'
        for i, layer in enumerate(self._net.layers):
            yield (
                f'<li><a class="{family_class(self._net, layer)}" href="#{anchor(i)}">'
                f"<span>{escaped(layer.name)}</span><small>{escaped(layer.type)}</small></a></li>"
            )
        yield "</ol></nav></details></div>"
