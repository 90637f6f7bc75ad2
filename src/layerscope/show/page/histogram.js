// How numbers are spread: bars from the lowest to the highest value, exact zeros told apart.

import { number } from "./words.js";

const SPREAD_WIDTH = 256;
const SPREAD_HEIGHT = 72;
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [words]
 * @returns {SVGElement}
 */
export function svgElement(name, attributes, words = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (words) element.textContent = words;
  return element;
}

/** The view of one distribution; the box has its size from the style sheet. */
export class Histogram {
  /**
   * @param {HTMLElement} stage the box to fill
   * @param {number} low
   * @param {number} high
   * @param {ArrayLike<number>} counts of the values other than zero, in equal steps
   * @param {string} title
   */
  constructor(stage, low, high, counts, title) {
    this.stage = stage;
    this.low = low;
    this.high = high;
    this.counts = Array.from(counts);
    this.title = title;
    this.canvas = null; // nothing to focus
  }

  draw() {
    if (this.stage.firstChild) return;
    const { low, high, counts } = this;
    const most = Math.max(1, ...counts);
    const step = SPREAD_WIDTH / counts.length;
    const [width, height, foot] = [SPREAD_WIDTH, SPREAD_HEIGHT, SPREAD_HEIGHT + 14];
    const svg = svgElement("svg", {
      viewBox: `0 0 ${width} ${height + 16}`, width, height: height + 16, role: "img", "aria-label": this.title, class: "histogram",
    });
    counts.forEach((count, i) => {
      if (!count) return;
      const tall = Math.max(1, (count / most) * height);
      const bar = svgElement("rect", {
        x: (i * step).toFixed(2), y: (height - tall).toFixed(2), width: (step * 0.86).toFixed(2), height: tall.toFixed(2), class: "bin",
      });
      const from = low + ((high - low) * i) / counts.length;
      const to = low + ((high - low) * (i + 1)) / counts.length;
      bar.append(svgElement("title", {}, `${number(from, 3)} to ${number(to, 3)}: ${count.toLocaleString("en")}`));
      svg.append(bar);
    });
    svg.append(svgElement("line", { x1: 0, x2: width, y1: height + 0.5, y2: height + 0.5, class: "axis" }));
    const zero = low < 0 && high > 0 ? (-low / (high - low)) * width : -1;
    if (zero >= 0) svg.append(svgElement("line", { x1: zero, x2: zero, y1: 0, y2: height + 4, class: "zero" }));
    svg.append(svgElement("text", { x: 0, y: foot }, number(low, 3)));
    if (zero > 50 && zero < width - 50) {
      svg.append(svgElement("text", { x: zero, y: foot, "text-anchor": "middle" }, "0"));
    }
    svg.append(svgElement("text", { x: width, y: foot, "text-anchor": "end" }, number(high, 3)));
    this.stage.append(svg);
  }

  fit() {}

  release() {
    this.stage.replaceChildren();
  }
}
