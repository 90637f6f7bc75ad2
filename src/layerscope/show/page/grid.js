// A grid of tiles on a canvas: hover tells a value, a click or Enter opens a tile, arrows move.

import { enlarged, isSigned, layoutOf, orderOf, sizeOf, unitAt, valueAt, precisionOf } from "./tiles.js";
import { Painter } from "./paint.js";
import { scaleWords } from "./settings.js";
import { measured, number } from "./words.js";

/** @typedef {import("./tiles.js").Tiles} Tiles */
/** @typedef {import("./tiles.js").Layout} Layout */
/** @typedef {import("./tiles.js").Palettes} Palettes */
/** @typedef {{choice: import("./settings.js").Choice}} Settings the reader's, or in part fixed ones */
/** @typedef {{place: number, y: number, x: number}} Unit a tile by its place, and a value in it */

/**
 * @typedef {object} GridMeta
 * @property {number} count tiles that can be shown
 * @property {number} height of a tile
 * @property {number} width
 * @property {string} title what a screen reader says
 * @property {string} unit what a tile is: "channel", "filter", ...
 * @property {import("./tiles.js").Scale} scale what it is drawn with, unless another scale is chosen
 * @property {number} depth slices of a channel, or kernels of a filter, that are tiles of their own
 * @property {number} [first] the number of the first tile, where others are before it
 */

const GRID_TALL = 520;
const PARAM_TALL = 340;
const NARROW = 500; // a telephone: what is narrow may be longer
const NARROW_TALL = 760;

/** The view of one stack of tiles. */
export class Grid {
  /**
   * @param {HTMLElement} stage the box to fill
   * @param {HTMLElement} readout the line below it
   * @param {GridMeta} meta
   * @param {() => Tiles} load gives the tiles; called when they are to be seen
   * @param {Settings} settings
   * @param {Palettes} palettes
   * @param {(grid: Grid, tile: number, y: number, x: number) => void} open enlarges a tile
   */
  constructor(stage, readout, meta, load, settings, palettes, open) {
    this.stage = stage;
    this.readout = readout;
    this.meta = meta;
    this.load = load;
    this.settings = settings;
    this.open = open;
    /** @type {Tiles | null} */
    this.tiles = null;
    /** @type {number[]} */
    this.order = [];
    this.sorted = "";
    /** @type {((sort: import("./tiles.js").Sort) => number[]) | null} another order than that of its own values */
    this.orderBy = null;
    /** @type {(unit: Unit | null) => void} what else is to follow the pointer */
    this.follow = () => {};
    this.place = -1;
    this.chosen = -1; // the tile that keeps the mark when nothing else has it
    this.zoom = 1;
    /** @type {{place: number, y: number, x: number} | null} */
    this.told = null;
    /** @type {(tile: number, y: number, x: number) => void} hears which unit is told */
    this.tells = () => {};
    this.visible = false;
    this.canvas = document.createElement("canvas");
    this.painter = new Painter(this.canvas, palettes);
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${meta.title}; arrow keys choose a ${meta.unit}, Enter enlarges it`);
    this.mark = document.createElement("span");
    this.mark.className = "mark";
    this.mark.hidden = true;
    this.frame = document.createElement("div");
    this.frame.className = "frame";
    this.frame.append(this.canvas, this.mark);
    stage.append(this.frame);
    /** @type {Layout} */
    this.layout = layoutOf(meta.count, meta.height, meta.width, GRID_TALL, GRID_TALL);
    this.listen();
  }

  /**
   * The box is sized, and nothing decoded.
   * @param {number} room pixels from left to right
   * @param {number} [tall] pixels from top to bottom that are aimed at
   */
  fit(room, tall = this.tall(room)) {
    const { count, height, width } = this.meta;
    this.layout = layoutOf(count, height, width, Math.max(60, room - 6), tall);
    if (this.zoom > 1) this.layout = enlarged(this.layout, height, width, this.zoom);
    const size = sizeOf(this.layout);
    this.frame.style.width = `${size.width}px`;
    this.frame.style.height = `${size.height}px`;
    if (this.visible) this.draw();
    this.markPlace(this.place);
  }

  /** @param {number} room @returns {number} */
  tall(room) {
    const blob = this.meta.unit === "channel" || this.meta.unit === "slice";
    const most = room < NARROW ? NARROW_TALL : blob ? GRID_TALL : PARAM_TALL;
    return Math.min(most, Math.max(240, window.innerHeight * 0.8));
  }

  /** @param {Tiles} tiles the next ones of the same form */
  update(tiles) {
    this.tiles = tiles;
    this.sorted = "";
    this.draw();
    if (this.chosen >= 0 && !this.told) this.markPlace(this.order.indexOf(this.chosen));
  }

  /** @param {number} tile that keeps the mark; -1 for none */
  choose(tile) {
    this.chosen = tile;
    this.markPlace(this.order.indexOf(tile));
  }

  /** @returns {import("./tiles.js").Scale} */
  get scale() {
    const { scale } = this.settings.choice;
    return scale === "auto" ? this.meta.scale : scale;
  }

  /** Draw now. */
  draw() {
    this.visible = true;
    const tiles = (this.tiles ??= this.load());
    const { scale } = this;
    const { color, sort } = this.settings.choice;
    if (this.sorted !== sort) this.order = this.orderBy ? this.orderBy(sort) : orderOf(tiles, sort);
    this.sorted = sort;
    this.painter.draw(tiles, this.order, this.layout, scale, color);
    const drawn = `${scale} ${color} ${sort}`;
    if (this.canvas.dataset.drawn !== drawn) this.canvas.dataset.drawn = drawn;
    this.say(this.told);
  }

  /** Forget pixels and numbers: the page has many grids, and a telephone little memory. */
  release() {
    this.visible = false;
    this.tiles = null;
    this.sorted = "";
    this.painter.release();
    delete this.canvas.dataset.drawn;
  }

  /** @param {Unit | null} unit what to tell the value of */
  say(unit) {
    const { tiles, meta, layout } = this;
    this.told = unit;
    if (!tiles) return;
    if (!unit) {
      const { scale } = this;
      const most = Math.max(-tiles.lowest, tiles.highest);
      const whole = isSigned(scale) ? { low: -most, high: most } : { low: tiles.lowest, high: tiles.highest };
      const { low, high } = scale === "fixed" && tiles.range ? tiles.range : whole;
      const drawn = layout.every > 1 ? `, drawn ${layout.every} times smaller` : layout.times > 1 ? `, drawn ${layout.times} times larger` : "";
      this.readout.textContent = `scaled ${scaleWords(scale)}: ${number(low, 3)} \u2026 ${number(high, 3)}${drawn}`;
      return;
    }
    this.readout.textContent = unitWords(tiles, meta, this.order[unit.place], unit.y, unit.x);
    this.tells(this.order[unit.place], unit.y, unit.x);
  }

  /** @param {Unit | null} unit what to mark and tell the value of */
  point(unit) {
    this.markPlace(unit ? unit.place : -1);
    this.say(unit);
  }

  /** @param {number} place which tile of the grid has the mark; -1 for none */
  markPlace(place) {
    this.place = Math.max(-1, Math.min(place, this.meta.count - 1));
    this.mark.hidden = this.place < 0;
    if (this.place < 0) return;
    const { columns, width, height, gap } = this.layout;
    this.mark.style.left = `${(this.place % columns) * (width + gap)}px`;
    this.mark.style.top = `${Math.floor(this.place / columns) * (height + gap)}px`;
    this.mark.style.width = `${width}px`;
    this.mark.style.height = `${height}px`;
  }

  /** @param {number} right @param {number} down move the mark by so many tiles */
  move(right, down) {
    if (!this.tiles) this.draw();
    const wanted = this.place < 0 ? 0 : this.place + right + down * this.layout.columns;
    if (wanted >= 0 && wanted < this.meta.count) this.markPlace(wanted);
    this.mark.scrollIntoView({ block: "nearest", inline: "nearest" });
    const tile = this.order[this.place];
    const middle = { place: this.place, y: this.meta.height >> 1, x: this.meta.width >> 1 };
    this.say(middle);
    this.follow(middle);
    this.canvas.setAttribute("aria-label", `${this.meta.title}; ${tileWords(this.meta, tile)}`);
  }

  /** Enlarge the tile that has the mark. */
  enter() {
    if (this.place < 0) this.move(0, 0);
    this.open(this, this.order[this.place], this.meta.height >> 1, this.meta.width >> 1);
  }

  listen() {
    /** @param {PointerEvent | MouseEvent} event */
    const under = (event) => {
      if (!this.tiles) return null;
      const box = this.canvas.getBoundingClientRect();
      const [fx, fy] = [this.canvas.width / box.width, this.canvas.height / box.height];
      return unitAt(this.layout, this.tiles, (event.clientX - box.left) * fx, (event.clientY - box.top) * fy);
    };
    this.canvas.addEventListener("pointermove", (event) => {
      const unit = under(event);
      this.point(unit);
      this.follow(unit);
    });
    this.canvas.addEventListener("pointerleave", () => {
      if (this.chosen >= 0) this.markPlace(this.order.indexOf(this.chosen));
      else if (document.activeElement !== this.canvas) this.markPlace(-1);
      this.say(null);
      this.follow(null);
    });
    this.canvas.addEventListener("click", (event) => {
      const unit = under(event);
      if (!unit) return;
      this.canvas.focus({ preventScroll: true });
      this.markPlace(unit.place);
      this.open(this, this.order[unit.place], unit.y, unit.x);
    });
  }
}

/**
 * @param {GridMeta} meta
 * @param {number} tile
 * @returns {string} "channel 3", or "channel 3, slice 1", "filter 3, kernel 1"
 */
export function tileWords(meta, tile) {
  if (meta.unit === "matrix") return meta.unit;
  tile += meta.first ?? 0;
  if (meta.unit === "slice") return `channel ${Math.floor(tile / meta.depth)}, slice ${tile % meta.depth}`;
  if (meta.unit === "kernel") return `filter ${Math.floor(tile / meta.depth)}, kernel ${tile % meta.depth}`;
  if (meta.unit === "map") return "map"; // there is one alone
  return `${meta.unit} ${tile}`;
}

/**
 * @param {Tiles} tiles
 * @param {GridMeta} meta
 * @param {number} tile
 * @param {number} y
 * @param {number} x
 * @returns {string} the value of one unit, and where it is
 */
export function unitWords(tiles, meta, tile, y, x) {
  const row = meta.unit === "matrix" ? y + (meta.first ?? 0) : y; // its rows are what is counted
  const where = `${tileWords(meta, tile)}, y ${row}, x ${x}`;
  const planes = tiles.planes === 1 ? [0] : [...tiles.order].map((_, i) => i);
  const values = planes.map((plane) => measured(valueAt(tiles, tile, y, x, plane), precisionOf(tiles, tile, plane)));
  if (tiles.planes === 1) return `${where}: ${values[0]}`;
  return `${where}: ${values.map((value, i) => `${tiles.order[i]} ${value}`).join(", ")}`;
}
