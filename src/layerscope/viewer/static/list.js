// The list of layers: each with a small live picture of its blob.

import { button, byId, make, press, say, sayName } from "./elements.js";
import { lastWrite } from "./facts.js";
import { Painter } from "../page/paint.js";
import { layoutOf, orderOf } from "../page/tiles.js";

/** @typedef {import("./facts.js").Facts} Facts */
/** @typedef {import("./facts.js").Item} Item */
/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Part} Part */
/** @typedef {import("../page/settings.js").Settings} Settings */
/** @typedef {import("../page/tiles.js").Palettes} Palettes */

const WIDE = 120;
const TALL = 60;

/** The list. */
export class List {
  /**
   * @param {Facts} facts
   * @param {Settings} settings
   * @param {Palettes} palettes
   * @param {(item: Item) => void} choose
   * @param {() => void} seen says that other thumbnails are on the screen
   */
  constructor(facts, settings, palettes, choose, seen) {
    this.settings = settings;
    this.palettes = palettes;
    /** @type {Map<Element, string>} */
    this.blobs = new Map();
    /** @type {Set<Element>} */
    this.visible = new Set();
    /** @type {Map<string, Painter>} */
    this.painters = new Map();
    /** @type {HTMLButtonElement[]} */
    this.rows = [];
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.visible.add(target);
        else this.visible.delete(target);
      }
      seen();
    }, { rootMargin: "40px" });
    for (const item of facts.items) {
      const row = this.row(item, choose);
      byId("list").append(row);
      const blob = lastWrite(item)?.blob;
      if (blob === undefined) continue;
      this.blobs.set(row, blob);
      observer.observe(row);
    }
    // Where the window changes its form, as a telephone that is turned, the list does too.
    matchMedia("(max-width: 60rem)").addEventListener("change", () => this.reveal());
    const lacking = facts.items.filter((item) => item.reason).length;
    say(byId("counted"), `${this.blobs.size} blobs, first 8 channels${lacking ? `; ${lacking} not computed` : ""}`);
  }

  /** @param {Item} item @param {(item: Item) => void} choose */
  row(item, choose) {
    const row = make("li");
    const open = button("", () => choose(item));
    open.style.setProperty("--family", item.color);
    const words = make("span", "words");
    const types = item.layers.map((layer) => layer.type).join(", ");
    const name = make("b");
    sayName(name, item.title);
    words.append(name, make("small", "", item.shape || (item.reason ? "not computed" : "no blob")), make("small", "", types));
    const box = make("span", "thumb");
    const blob = lastWrite(item)?.blob;
    if (blob !== undefined) {
      const canvas = make("canvas");
      canvas.setAttribute("aria-hidden", "true");
      this.painters.set(blob, new Painter(canvas, this.palettes));
      box.append(canvas);
    }
    if (item.reason) row.title = item.reason;
    open.append(words, box);
    row.append(open);
    this.rows.push(open);
    return row;
  }

  /** @param {number} id of the item that is shown */
  mark(id) {
    this.rows.forEach((row, i) => {
      if (i !== id) return row.removeAttribute("aria-current");
      if (row.hasAttribute("aria-current")) return;
      row.setAttribute("aria-current", "true");
      this.reveal();
    });
  }

  reveal() {
    const row = this.rows.find((each) => each.hasAttribute("aria-current"));
    row?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** @returns {string[]} the blobs whose thumbnails are on the screen */
  wanted() {
    const found = [...this.blobs].filter(([row]) => this.visible.has(row)).map(([, blob]) => blob);
    return byId("list").hidden ? [] : found;
  }

  /** @param {Frame} frame */
  update(frame) {
    for (const [blob, part] of Object.entries(frame.head.thumbs ?? {})) {
      const painter = this.painters.get(blob);
      if (painter) this.draw(painter, frame, part);
    }
  }

  /** @param {Painter} painter @param {Frame} frame @param {Part} part */
  draw(painter, frame, part) {
    const tiles = frame.tiles(part);
    if (!tiles) return drawThin(painter.canvas, frame.values(part));
    const { scale, color } = this.settings.choice;
    const layout = layoutOf(tiles.count, tiles.height, tiles.width, WIDE, TALL);
    painter.draw(tiles, orderOf(tiles, "index"), layout, scale === "fixed" || scale === "auto" ? "all" : scale, color);
    mark(painter.canvas, "tiles");
  }
}

/** @param {HTMLCanvasElement} canvas @param {string} drawn what is on it; the page changes only where that does */
function mark(canvas, drawn) {
  if (canvas.dataset.drawn !== drawn) canvas.dataset.drawn = drawn;
}

/** @param {HTMLCanvasElement} canvas @param {Float32Array} values as bars from the line of zero */
function drawThin(canvas, values) {
  const tall = 40;
  const wide = Math.max(1, Math.floor(WIDE / values.length));
  const long = Math.max(1, wide * values.length);
  if (canvas.width !== long || canvas.height !== tall) [canvas.width, canvas.height] = [long, tall];
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.clearRect(0, 0, long, tall);
  let [low, high] = [0, 0];
  for (const value of values) [low, high] = [Math.min(low, value || 0), Math.max(high, value || 0)];
  const span = high - low || 1;
  const zero = Math.round((high / span) * (tall - 1));
  pen.fillStyle = getComputedStyle(canvas).getPropertyValue("--mark");
  values.forEach((value, i) => {
    const top = Math.round(((high - (value || 0)) / span) * (tall - 1));
    pen.fillRect(i * wide, Math.min(top, zero), wide > 2 ? wide - 1 : wide, Math.max(1, Math.abs(top - zero)));
  });
  mark(canvas, "bars");
}

/** @param {boolean} list which of list and diagram is shown */
export function showList(list) {
  document.body.classList.toggle("drawn", !list);
  press(byId("aslist"), list);
  press(byId("asdiagram"), !list);
  byId("list").hidden = !list;
  byId("diagram").hidden = list;
}
