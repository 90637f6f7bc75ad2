// One tile, as large as the screen allows, in a dialog: the value of every unit can be read.

import { layoutOf, precisionOf, sizeOf, summaryOf, unitAt } from "./tiles.js";
import { Painter } from "./paint.js";
import { tileWords, unitWords } from "./grid.js";
import { measured, number } from "./words.js";

/** @typedef {import("./grid.js").Grid} Grid */
/** @typedef {import("./tiles.js").Tiles} Tiles */

/** The dialog; one for the whole page. */
export class Zoom {
  /** @param {HTMLElement} home where the dialog is put */
  constructor(home) {
    this.dialog = document.createElement("dialog");
    this.dialog.className = "zoom";
    this.title = document.createElement("h3");
    this.facts = document.createElement("p");
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.cross = document.createElement("span");
    this.cross.className = "cross";
    const frame = document.createElement("div");
    frame.className = "frame";
    frame.append(this.canvas, this.cross);
    const box = document.createElement("div");
    box.className = "scroll";
    box.append(frame);
    this.frame = frame;
    this.readout = document.createElement("p");
    this.readout.className = "readout";
    this.readout.setAttribute("aria-live", "polite");
    const row = document.createElement("p");
    row.className = "buttons";
    row.append(
      this.button("\u2190 previous", () => this.step(-1)),
      this.button("next \u2192", () => this.step(1)),
      this.button("close", () => this.dialog.close()),
    );
    this.dialog.append(this.title, this.facts, box, this.readout, row);
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener("close", () => this.grid?.canvas.focus({ preventScroll: true }));
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    home.append(this.dialog);
    /** @type {Grid | null} */
    this.grid = null;
    this.tile = this.y = this.x = 0;
    /** @type {Tiles | null} */
    this.one = null;
    /** @type {import("./tiles.js").Layout | null} */
    this.layout = null;
  }

  /** @param {string} words @param {() => void} action */
  button(words, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.addEventListener("click", action);
    return button;
  }

  /** @returns {boolean} */
  get isOpen() {
    return this.dialog.open;
  }

  /** @param {Grid} grid @param {number} tile */
  show(grid, tile) {
    this.grid = grid;
    this.tile = tile;
    this.y = grid.meta.height >> 1;
    this.x = grid.meta.width >> 1;
    if (!this.dialog.open) this.dialog.showModal();
    this.draw();
    this.canvas.focus({ preventScroll: true });
  }

  /** @param {number} by show the tile so many places further in the grid */
  step(by) {
    const { grid } = this;
    if (!grid) return;
    const place = grid.order.indexOf(this.tile) + by;
    if (place < 0 || place >= grid.order.length) return;
    grid.markPlace(place);
    this.tile = grid.order[place];
    this.draw();
  }

  /** @param {number} right @param {number} down move the unit whose value is told */
  move(right, down) {
    if (!this.one) return;
    this.x = Math.max(0, Math.min(this.one.width - 1, this.x + right));
    this.y = Math.max(0, Math.min(this.one.height - 1, this.y + down));
    this.say();
  }

  /** Draw the tile with what is chosen now. */
  draw() {
    const { grid } = this;
    if (!grid) return;
    const all = (grid.tiles ??= grid.load());
    this.one = single(all, this.tile);
    const room = Math.min(window.innerWidth - 64, 900);
    this.layout = layoutOf(1, all.height, all.width, room, window.innerHeight - 260);
    this.layout = this.layout.every > 1 ? { ...this.layout, every: 1, times: 1, width: all.width, height: all.height } : this.layout;
    const { color } = grid.settings.choice;
    const size = sizeOf(this.layout);
    this.frame.style.width = `${size.width}px`;
    this.frame.style.height = `${size.height}px`;
    new Painter(this.canvas, grid.painter.palettes).draw(this.one, [0], this.layout, grid.scale, color);
    const { low, mean, high } = summaryOf(all, this.tile);
    const name = tileWords(grid.meta, this.tile);
    this.title.textContent = `${grid.meta.title}: ${name}`;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${grid.meta.title}: ${name}; arrow keys move the unit`);
    // A tile with ends of its own is told exactly; of small ones, which share them, values are packed.
    const precision = all.means ? 0 : precisionOf(all, this.tile);
    /** @param {number} value */
    const words = (value) => (precision ? measured(value, precision) : number(value));
    this.facts.textContent = `${all.height} x ${all.width}, ${words(low)} to ${words(high)}, mean ${words(mean)}`;
    this.say();
  }

  say() {
    const { grid, layout, one } = this;
    if (!grid || !layout || !one) return;
    const size = layout.times / layout.every;
    this.cross.style.left = `${this.x * size}px`;
    this.cross.style.top = `${this.y * size}px`;
    this.cross.style.width = this.cross.style.height = `${Math.max(3, size)}px`;
    this.readout.textContent = unitWords(grid.tiles ?? grid.load(), grid.meta, this.tile, this.y, this.x);
  }

  /** @param {PointerEvent} event */
  point(event) {
    if (!this.layout || !this.one) return;
    const box = this.canvas.getBoundingClientRect();
    const unit = unitAt(this.layout, this.one, event.clientX - box.left, event.clientY - box.top);
    if (!unit) return;
    this.x = unit.x;
    this.y = unit.y;
    this.say();
  }
}

/**
 * One tile as a stack of its own, on the scale of all.
 * @param {Tiles} tiles
 * @param {number} tile
 * @returns {Tiles}
 */
export function single(tiles, tile) {
  const area = tiles.planes * tiles.height * tiles.width;
  const part = tiles.low.length === 1 ? [0, 1] : [tile * tiles.planes, (tile + 1) * tiles.planes];
  return {
    ...tiles,
    count: 1,
    codes: tiles.codes.subarray(tile * area, (tile + 1) * area),
    low: tiles.low.subarray(...part),
    high: tiles.high.subarray(...part),
    means: tiles.means ? tiles.means.subarray(tile, tile + 1) : null,
  };
}
