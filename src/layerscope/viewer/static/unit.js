// The right side: the selected unit, its map, what it sees of the image, its filter, its numbers.

import { byId, drawPixels, make, say, sparing } from "./elements.js";
import { spreadTerms } from "./stage.js";
import { Bars } from "../page/bars.js";
import { Grid } from "../page/grid.js";
import { Histogram } from "../page/histogram.js";
import { bytesOf, unpack } from "../page/packed.js";
import { scaleWords } from "../page/settings.js";
import { Painter } from "../page/paint.js";
import { extentOf, layoutOf, sizeOf, unitAt } from "../page/tiles.js";
import { number } from "../page/words.js";
import { single } from "../page/zoom.js";

/** @typedef {import("./facts.js").Write} Write */
/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("../page/settings.js").Settings} Settings */
/** @typedef {import("../page/tiles.js").Palettes} Palettes */
/** @typedef {import("../page/tiles.js").Tiles} Tiles */
/** @typedef {{tile: number, y: number, x: number}} Spot */

const MAP = 300;
const SEEN = 190;

/** The right side of the page. */
export class UnitPanel {
  /** @param {Settings} settings @param {Palettes} palettes @param {Link} link @param {(y: number, x: number) => void} move */
  constructor(settings, palettes, link, move) {
    this.settings = settings;
    this.palettes = palettes;
    this.link = link;
    this.move = move;
    /** @type {Write | null} */
    this.write = null;
    /** @type {Spot | null} */
    this.spot = null;
    /** @type {Tiles | null} */
    this.tiles = null;
    /** @type {import("../page/tiles.js").Layout | null} */
    this.layout = null;
    this.frame = 0;
    this.key = "";
    /** @type {import("./frames.js").Spread | null} */
    this.spread = null;
    /** @type {{box: number[] | null, wide: number[] | null, size: number[] | null, words: string} | null} */
    this.seen = null;
    this.spreadSoon = sparing(() => this.drawSpread(), 200);
    this.asking = false;
    this.label = "";
    this.canvas = make("canvas");
    this.painter = new Painter(this.canvas, palettes);
    this.cross = make("span", "cross");
    this.frameBox = make("div", "frame");
    this.mapBox = make("div", "map");
    this.mapWords = make("p", "dim");
    this.spreadBox = make("div", "spread");
    this.spreadTerms = make("dl", "numbers");
    this.fold = make("details", "fold");
    this.picture = make("canvas");
    this.box = make("span", "seen");
    this.wide = make("span", "seen wide");
    this.sightFrame = make("div", "frame");
    this.sightWords = make("p", "dim");
    this.sightBox = make("section", "sight");
    this.buildMap();
    this.buildSight();
  }

  buildMap() {
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.frameBox.append(this.canvas, this.cross);
    this.mapBox.append(this.frameBox, this.mapWords);
    this.mapBox.hidden = true;
    this.fold.append(make("summary", "", "Its distribution"), this.spreadBox, this.spreadTerms);
    this.fold.hidden = true;
    this.fold.open = true;
    this.fold.addEventListener("toggle", () => this.drawSpread());
    byId("unitmap").append(this.mapBox);
    byId("unitspread").append(this.fold);
    /** @param {PointerEvent} event */
    const point = (event) => {
      if (!this.layout || !this.tiles || (event.type === "pointermove" && !event.buttons)) return;
      const box = this.canvas.getBoundingClientRect();
      const scale = this.canvas.width / box.width;
      const found = unitAt(this.layout, this.tiles, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
      if (found) this.move(found.y, found.x);
    };
    this.canvas.addEventListener("pointerdown", point);
    this.canvas.addEventListener("pointermove", point);
  }

  buildSight() {
    this.picture.setAttribute("role", "img");
    this.sightFrame.append(this.picture, this.wide, this.box);
    this.sightBox.append(make("h3", "", "What it sees"), this.sightFrame, this.sightWords);
    this.sightBox.hidden = true;
    byId("sight").append(this.sightBox);
  }

  /** @param {Write | null} write @param {Spot | null} spot @param {string} title */
  select(write, spot, title) {
    const key = JSON.stringify([write?.blob, spot]);
    if (key === this.key) return;
    this.seen = null;
    if (write !== this.write) this.tiles = null;
    this.key = key;
    this.write = write;
    this.spot = spot;
    const none = !write || !spot;
    if (none || !this.tiles || !write.maps) this.mapBox.hidden = this.fold.hidden = true;
    say(byId("unittitle"), none ? "No unit selected" : title);
    say(byId("unitvalue"), none ? "Click a value, or use the arrow keys." : "\u2026");
    if (none) {
      this.sightBox.hidden = true;
      byId("filter").replaceChildren();
      return;
    }
    this.drawMap();
    if (this.frame) this.ask();
    if (this.frame) this.value();
  }

  /** @returns {number[]} the place of the unit in its blob, without the batch */
  index() {
    const { write, spot } = this;
    if (!write || !spot) return [];
    if (!write.maps) return [spot.tile];
    let { tile } = spot;
    const index = [spot.y, spot.x];
    for (const size of write.dims.slice(0, -2).reverse()) {
      index.unshift(tile % size);
      tile = Math.floor(tile / size);
    }
    return index;
  }

  /** @param {Frame} frame @param {number} first the number of its first tile */
  update(frame, first) {
    const part = frame.head.blob;
    if (!part || !this.write || part.name !== this.write.blob || !this.spot) return;
    const unknown = this.frame === 0 || !this.seen?.box;
    this.frame = frame.head.frame ?? 0;
    if (unknown) this.ask();
    const all = frame.tiles(part);
    const tile = this.spot.tile - first;
    this.tiles = all && tile >= 0 && tile < all.count ? single(all, tile) : null;
    this.drawMap();
    this.spread = frame.head.tile ?? null;
    this.fold.hidden = !this.spread;
    this.spreadSoon(null);
    this.value();
  }

  drawSpread() {
    const { spread } = this;
    if (!spread || !this.fold.open) return;
    this.spreadBox.replaceChildren();
    new Histogram(this.spreadBox, spread.low, spread.high, spread.counts, "how the numbers of the map are spread").draw();
    this.spreadTerms.replaceChildren(...spreadTerms(spread));
  }

  drawMap() {
    const { tiles, spot } = this;
    this.mapBox.hidden = !tiles || !spot;
    if (!tiles || !spot) return;
    const room = Math.min(MAP, byId("unit").clientWidth - 34);
    let layout = layoutOf(1, tiles.height, tiles.width, room, MAP);
    if (layout.every > 1) layout = { ...layout, every: 1, times: 1, width: tiles.width, height: tiles.height };
    this.layout = layout;
    const size = sizeOf(layout);
    const shrink = Math.min(1, room / size.width);
    const { scale: chosen, color } = this.settings.choice;
    const scale = chosen === "all" || chosen === "auto" ? "tile" : chosen; // large enough for a scale of its own
    this.frameBox.style.width = `${size.width * shrink}px`;
    this.frameBox.style.height = `${size.height * shrink}px`;
    this.painter.draw(tiles, [0], layout, scale, color);
    this.canvas.dataset.drawn = "map";
    const { low, high } = extentOf(tiles, 0, scale);
    say(this.mapWords, `${tiles.height}x${tiles.width}, scaled ${scaleWords(scale)}: ${number(low, 3)} \u2026 ${number(high, 3)}`);
    const each = (layout.times / layout.every) * shrink;
    this.cross.style.left = `${spot.x * each}px`;
    this.cross.style.top = `${spot.y * each}px`;
    this.cross.style.width = this.cross.style.height = `${Math.max(3, each)}px`;
    this.canvas.setAttribute("aria-label", `map of ${byId("unittitle").textContent}; arrow keys move the unit`);
  }

  async value() {
    if (this.asking || !this.write || !this.spot) return;
    const { key, spot, write } = this;
    this.asking = true;
    const place = write.maps ? spot : { tile: 0, y: 0, x: spot.tile };
    const found = await this.link.ask({ ask: "values", blob: write.blob, ...place, h: 1, w: 1 });
    this.asking = false;
    if (key !== this.key) return void this.value();
    if (found.fault) return say(byId("unitvalue"), found.fault);
    const value = new Float32Array(bytesOf(found.values).buffer)[0];
    say(byId("unitvalue"), `${number(value, 8)}${this.label ? ` (${this.label})` : ""}`);
  }

  async ask() {
    const { key, write } = this;
    this.label = "";
    const found = await this.link.ask({ ask: "unit", blob: write?.blob, index: this.index() });
    if (key !== this.key || found.fault) return;
    this.label = found.label;
    if (found.label) this.value();
    this.seen = found.sight;
    this.placeBox();
    this.showFilter(found.filter);
  }

  placeBox() {
    const { seen } = this;
    this.sightBox.hidden = !seen || !seen.words;
    if (!seen) return;
    say(this.sightWords, seen.words);
    const { width, height } = this.picture;
    const there = Boolean(seen.box) && width > 1;
    this.sightFrame.hidden = !there;
    if (!there || !seen.box || !seen.size) return;
    const times = Math.min(3, SEEN / Math.max(width, height));
    this.sightFrame.style.width = `${width * times}px`;
    this.sightFrame.style.height = `${height * times}px`;
    const scale = (times * width) / seen.size[0];
    outline(this.box, seen.box, scale);
    const beyond = seen.wide && String(seen.wide) !== String(seen.box);
    this.wide.hidden = !beyond;
    if (beyond && seen.wide) outline(this.wide, seen.wide, scale);
    this.picture.setAttribute("aria-label", `the input; ${seen.words}`);
  }

  /** @param {number} width @param {number} height @param {Uint8Array} rgb what the net sees */
  setPicture(width, height, rgb) {
    drawPixels(this.picture, width, height, rgb);
    this.placeBox();
  }

  /** @param {{panel: any, data: string, title: string, statement: string, layer: string} | null} found */
  showFilter(found) {
    const box = byId("filter");
    box.replaceChildren();
    if (!found) return;
    const stage = make("div", "stage small");
    const readout = make("p", "readout");
    box.append(make("h3", "", "Its filter"), make("p", "dim", `${found.layer}: ${found.statement}`), stage, readout);
    const room = byId("unit").clientWidth - 40;
    const { panel, data } = found;
    if (panel.kind === "tiles") {
      const grid = new Grid(stage, readout, panel.tiles, () => unpack(panel.tiles, () => data), this.settings, this.palettes, () => {});
      grid.fit(room, 170);
      grid.draw();
    } else if (panel.kind === "vector") {
      const bars = new Bars(stage, readout, new Float32Array(bytesOf(data).buffer), found.title, [], [], 70);
      bars.fit(room);
      bars.draw();
    }
  }
}

/** @param {HTMLElement} span @param {number[]} box x0, y0, x1, y1 with its ends @param {number} scale */
function outline(span, [x0, y0, x1, y1], scale) {
  span.style.left = `${x0 * scale}px`;
  span.style.top = `${y0 * scale}px`;
  span.style.width = `${Math.max(3, (x1 - x0 + 1) * scale)}px`;
  span.style.height = `${Math.max(3, (y1 - y0 + 1) * scale)}px`;
}
