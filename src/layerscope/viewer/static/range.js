// The ends of the scale "fixed range", and the zoom: what the bar has besides the choices.

import { button, make, say } from "./elements.js";

/** @typedef {import("./place.js").Place} Place */
/** @typedef {import("../page/tiles.js").Extent} Extent */

/** Two numbers and a button. */
export class Range {
  /** @param {HTMLElement} bar @param {(ends: Partial<Place>) => void} change @param {() => void} zoom */
  constructor(bar, change, zoom) {
    this.box = make("span", "range");
    this.low = this.end("value of the darkest", (low) => change({ low }));
    this.high = this.end("value of the brightest", (high) => change({ high }));
    this.zoom = button("Zoom 1\u00d7", zoom);
    this.zoom.title = "key z";
    bar.append(this.box, this.zoom);
  }

  /** @param {string} label @param {(value: number) => void} change @returns {HTMLInputElement} */
  end(label, change) {
    const input = make("input");
    input.type = "number";
    input.step = "any";
    input.setAttribute("aria-label", label);
    input.addEventListener("change", () => change(Number(input.value)));
    this.box.append(input);
    return input;
  }

  /** @param {Place} place @returns {Extent | null} the fixed ends, where they are wanted */
  show({ low, high, scale, zoom }) {
    this.box.hidden = scale !== "fixed";
    this.low.value = String(low ?? "");
    this.high.value = String(high ?? "");
    say(this.zoom, `Zoom ${zoom}\u00d7`);
    return scale === "fixed" && low !== null && high !== null ? { low, high } : null;
  }
}
