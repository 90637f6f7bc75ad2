// Where a key leads from a place: to the next unit, the next layer, the next state of a blob.

import { findBlob, middleOf } from "./facts.js";

/** @typedef {import("./facts.js").Facts} Facts */
/** @typedef {import("./facts.js").Item} Item */
/** @typedef {import("./place.js").Place} Place */
/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {import("./unit.js").UnitPanel} UnitPanel */

const ROW = 10; // so many values of a vector up and down lead on

/** Steps over what is on the screen. */
export class Walk {
  /** @param {Facts} facts @param {Stage} stage @param {UnitPanel} unit */
  constructor(facts, stage, unit) {
    this.facts = facts;
    this.stage = stage;
    this.unit = unit;
  }

  /** @param {Place} place @param {number} right @param {number} down @returns {Partial<Place>} what changes */
  move(place, right, down) {
    const found = findBlob(this.facts, place.blob);
    const { tiles } = this.unit;
    if (!found || place.param) return {};
    if (tiles && document.activeElement === this.unit.canvas) {
      const y = Math.max(0, Math.min(tiles.height - 1, place.y + down));
      return { y, x: Math.max(0, Math.min(tiles.width - 1, place.x + right)) };
    }
    return { tile: this.neighbour(place.tile, right, down), ...(place.tile < 0 ? middleOf(found.write) : {}) };
  }

  /** @param {number} tile @param {number} right @param {number} down @returns {number} the tile there */
  neighbour(tile, right, down) {
    const { view, first } = this.stage;
    if (!view) return Math.max(tile, 0); // its first frame is on the way
    if (!("order" in view)) return first + Math.max(0, Math.min(view.values.length - 1, tile - first + right + ROW * down));
    const at = view.order.indexOf(tile - first);
    const wanted = at < 0 ? 0 : at + right + down * view.layout.columns;
    return wanted >= 0 && wanted < view.order.length ? view.order[wanted] + first : tile;
  }

  /** @param {Place} place @param {number} by @returns {Item | undefined} that many layers on; at the ends the last one there */
  layer({ blob }, by) {
    const items = this.facts.items.filter((item) => item.writes.length);
    const at = items.findIndex((item) => item.writes.some((write) => write.blob === blob));
    return items[Math.max(0, Math.min(items.length - 1, at + by))];
  }

  /** @param {Place} place @returns {Partial<Place>} the next state of its blob: before ReLU, after it */
  state({ blob }) {
    const found = findBlob(this.facts, blob);
    if (!found) return {};
    const { writes } = found.item;
    return { blob: writes[(writes.indexOf(found.write) + 1) % writes.length].blob, param: "" };
  }
}
