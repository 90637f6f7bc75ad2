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

/**
 * @param {HTMLElement} stage the box to fill
 * @param {number} low
 * @param {number} high
 * @param {ArrayLike<number>} counts of the values other than zero, in equal steps
 * @param {string} title
 */
export function drawHistogram(stage, low, high, counts, title) {
  const most = Math.max(1, ...Array.from(counts));
  const step = SPREAD_WIDTH / counts.length;
  const svg = svgElement("svg", {
    viewBox: `0 0 ${SPREAD_WIDTH} ${SPREAD_HEIGHT + 16}`, width: SPREAD_WIDTH, height: SPREAD_HEIGHT + 16, role: "img", "aria-label": title, class: "histogram",
  });
  Array.from(counts).forEach((count, i) => {
    if (!count) return;
    const height = Math.max(1, (count / most) * SPREAD_HEIGHT);
    const bar = svgElement("rect", {
      x: (i * step).toFixed(2), y: (SPREAD_HEIGHT - height).toFixed(2), width: (step * 0.86).toFixed(2), height: height.toFixed(2), class: "bin",
    });
    const from = low + ((high - low) * i) / counts.length;
    const to = low + ((high - low) * (i + 1)) / counts.length;
    bar.append(svgElement("title", {}, `${number(from, 3)} to ${number(to, 3)}: ${count.toLocaleString("en")}`));
    svg.append(bar);
  });
  svg.append(svgElement("line", { x1: 0, x2: SPREAD_WIDTH, y1: SPREAD_HEIGHT + 0.5, y2: SPREAD_HEIGHT + 0.5, class: "axis" }));
  const zero = low < 0 && high > 0 ? (-low / (high - low)) * SPREAD_WIDTH : -1;
  if (zero >= 0) svg.append(svgElement("line", { x1: zero, x2: zero, y1: 0, y2: SPREAD_HEIGHT + 4, class: "zero" }));
  svg.append(svgElement("text", { x: 0, y: SPREAD_HEIGHT + 14 }, number(low, 3)));
  if (zero > 50 && zero < SPREAD_WIDTH - 50) {
    svg.append(svgElement("text", { x: zero, y: SPREAD_HEIGHT + 14, "text-anchor": "middle" }, "0"));
  }
  svg.append(svgElement("text", { x: SPREAD_WIDTH, y: SPREAD_HEIGHT + 14, "text-anchor": "end" }, number(high, 3)));
  stage.append(svg);
}
