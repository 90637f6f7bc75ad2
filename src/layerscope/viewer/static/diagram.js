// The diagram of the net, drawn from a list of shapes: text stays text.

import { byId, make } from "./elements.js";
import { svgElement } from "../page/histogram.js";

/**
 * @typedef {{kind: "words", x: number, y: number, words: string, size: number, color: string, middle: boolean}} WordsMark
 * @typedef {{kind: "area", corners: [number, number][], fill: string, outline: string, width: number, dashed: boolean}} AreaMark
 * @typedef {{kind: "line", way: string, color: string, dashed: boolean}} LineMark
 * @typedef {WordsMark | AreaMark | LineMark} Mark
 * @typedef {{title?: string, link?: string, marks: Mark[]}} Part
 * @typedef {{width: number, height: number, label: string, inks: string[], parts: Part[]}} Drawing
 */

const LEAST = 0.6;

/** The diagram. */
export class Diagram {
  /** @param {(id: number) => void} choose */
  constructor(choose) {
    this.choose = choose;
    /** @type {Map<number, SVGElement>} */
    this.blocks = new Map();
    this.current = -1;
  }

  /** @param {Drawing} drawing */
  draw(drawing) {
    const { width, height } = drawing;
    const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": drawing.label });
    svg.style.minWidth = `${LEAST * width}px`; // smaller words are not read: the box scrolls
    const ink = inkOf(drawing.inks);
    for (const part of drawing.parts) {
      const group = svgElement("g", {});
      if (part.title) group.append(svgElement("title", {}, part.title));
      for (const mark of part.marks) group.append(shapeOf(mark, ink));
      if (part.link) this.listen(group, Number(part.link), part.title ?? "");
      svg.append(group);
    }
    byId("diagram").replaceChildren(svg);
    this.mark(this.current);
  }

  /** @param {SVGElement} group @param {number} id @param {string} title */
  listen(group, id, title) {
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "button");
    group.setAttribute("aria-label", title);
    group.classList.add("block");
    group.addEventListener("click", () => this.choose(id));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // of the space bar, which scrolls
      this.choose(id);
    });
    this.blocks.set(id, group);
  }

  /** @param {number} id */
  mark(id) {
    this.blocks.get(this.current)?.removeAttribute("aria-current");
    this.current = id;
    const block = this.blocks.get(id);
    block?.setAttribute("aria-current", "true");
    if (!byId("diagram").hidden) block?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** @param {string} words */
  fail(words) {
    byId("diagram").replaceChildren(make("p", "dim", words));
  }
}

/** @param {string[]} inks @returns {(color: string) => string} inks are colours of the page */
function inkOf(inks) {
  return (color) => (inks.includes(color) ? `var(--${color})` : color);
}

/** @param {Mark} mark @param {(color: string) => string} ink @returns {SVGElement} */
function shapeOf(mark, ink) {
  if (mark.kind === "words") {
    const made = svgElement("text", { x: mark.x, y: mark.y, "font-size": mark.size, "text-anchor": mark.middle ? "middle" : "start" }, mark.words);
    made.style.fill = ink(mark.color);
    return made;
  }
  const made = mark.kind === "line"
    ? svgElement("path", { d: mark.way, fill: "none", "stroke-width": 1.3 })
    : svgElement("polygon", { points: mark.corners.map((spot) => spot.map((v) => v.toFixed(1)).join(",")).join(" "), "stroke-width": mark.width });
  const outline = mark.kind === "line" ? mark.color : mark.outline;
  if (mark.kind === "area") made.style.fill = mark.fill ? ink(mark.fill) : "none";
  if (outline) made.style.stroke = ink(outline);
  if (mark.dashed) made.setAttribute("stroke-dasharray", "4 3");
  return made;
}
