"""A drawing as SVG: stands alone as a file, takes on the colours of a page that it is part of."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from layerscope.pictures.sheet import INKS, Area, Group, Line, Mark, Sheet, Spot, Words
from layerscope.text import printable

FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
_CLASS = "ls-diagram"
_STYLE = "".join(
    f".{_CLASS} .ls-{name}{{fill:var(--{name},{color})}}"
    f".{_CLASS} .ls-{name}-line{{stroke:var(--{name},{color})}}"
    for name, color in INKS.items()
) + (
    f".{_CLASS} a:hover polygon,.{_CLASS} a:focus polygon{{stroke:var(--mark,#2458b8);"
    "stroke-width:2}"
)


def svg(sheet: Sheet) -> str:
    """The drawing as one `svg` element, which needs nothing else."""
    linked = any(isinstance(part, Group) and part.link for part in sheet.parts)
    role = "group" if linked else "img"  # what is inside an image cannot be reached by keys
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{_CLASS}" width="{sheet.width}"'
        f' height="{sheet.height}" viewBox="0 0 {sheet.width} {sheet.height}" role="{role}"'
        f' aria-label="{_text(sheet.label)}" font-family="{FONT}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{sheet.width}" height="{sheet.height}"{_fill("page")}/>',
    ]
    parts += [_group(each) if isinstance(each, Group) else _mark(each) for each in sheet.parts]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _group(group: Group) -> str:
    marks = "".join(map(_mark, group.marks))
    inner = f'<g data-key="{_text(group.key)}"><title>{_text(group.title)}</title>{marks}</g>'
    if not group.link:
        return inner
    return f'<a href="#{quote(group.link, safe="", errors="replace")}">{inner}</a>'


def _mark(mark: Mark) -> str:
    if isinstance(mark, Words):
        middle = ' text-anchor="middle"' if mark.middle else ""
        return (
            f'<text x="{mark.x:g}" y="{mark.y:g}" font-size="{mark.size:g}"{middle}'
            f"{_fill(mark.color)}>{_text(mark.words)}</text>"
        )
    if isinstance(mark, Line):
        way = "M" + _spot(mark.start)
        for step in mark.steps:
            way += ("C" if len(step) == 3 else "L") + " ".join(map(_spot, step))
        return f'<path d="{way}" fill="none"{_stroke(mark.color, 1.3, mark.dashed)}/>'
    corners = " ".join(map(_spot, mark.corners))
    return f'<polygon points="{corners}"{_paint(mark)}/>'


def _paint(area: Area) -> str:
    fill = _fill(area.fill) if area.fill else ' fill="none"'
    outline = _stroke(area.outline, area.width, area.dashed) if area.outline else ""
    both = area.fill in INKS and area.outline in INKS
    if both:  # one class attribute for two inks
        fill = f' class="ls-{area.fill} ls-{area.outline}-line" fill="{INKS[area.fill]}"'
        outline = outline.replace(f' class="ls-{area.outline}-line"', "")
    return fill + outline


def _fill(color: str) -> str:
    if color in INKS:
        return f' class="ls-{color}" fill="{INKS[color]}"'
    return f' fill="{color}"'


def _stroke(color: str, width: float, dashed: bool) -> str:
    rest = f' stroke-width="{width:g}"' if width != 1 else ""
    rest += ' stroke-dasharray="4 3"' if dashed else ' stroke-linejoin="round"'
    if color in INKS:
        return f' class="ls-{color}-line" stroke="{INKS[color]}"{rest}'
    return f' stroke="{color}"{rest}'


def _spot(spot: Spot) -> str:
    return f"{round(spot[0], 1):.6g},{round(spot[1], 1):.7g}"


def _text(words: str) -> str:
    return escape(printable(words, limit=4000))
