// Where the viewer is, as words: what a link holds.

import { findBlob } from "./facts.js";
import { CONTROLS } from "../page/settings.js";

/** @typedef {import("./facts.js").Facts} Facts */
/** @typedef {import("./facts.js").Item} Item */
/** @typedef {import("./facts.js").Write} Write */

/**
 * @typedef {object} Place
 * @property {string} blob
 * @property {string} param "layer.number" where a param is shown instead
 * @property {number} tile the selected one; -1 for none
 * @property {number} y
 * @property {number} x
 * @property {number} first of the tiles that are shown
 * @property {string} image
 * @property {string} scale
 * @property {string} color
 * @property {string} sort
 * @property {number | null} low of the fixed scale
 * @property {number | null} high
 * @property {number} zoom
 * @property {string} layers "list" or "diagram"
 * @property {string} method of attribution; "" for none
 * @property {string} at the blob that it looks at; "" for the last map
 * @property {number} opacity of its map, in percent
 */

/** @type {Place} */
const START = {
  blob: "", param: "", tile: -1, y: 0, x: 0, first: 0, image: "", scale: "auto", color: "auto",
  sort: "index", low: null, high: null, zoom: 1, layers: "list",
  method: "", at: "", opacity: 100,
};

export const ZOOMS = [1, 2, 4, 8];
export const SHADE = 5; // percent: a step of the opacity

/** @type {Record<string, unknown[]>} what may be said of these; a link may say anything */
const CHOICES = {
  zoom: ZOOMS, layers: ["list", "diagram"], scale: [...valuesOf("scale"), "fixed"], color: valuesOf("color"), sort: valuesOf("sort"),
  opacity: Array.from({ length: 100 / SHADE + 1 }, (_, i) => SHADE * i),
};

/** @param {keyof typeof CONTROLS} name @returns {string[]} */
function valuesOf(name) {
  return CONTROLS[name][1].map(([value]) => value);
}

/** @param {string} kept @returns {Place} what those words say */
export function readPlace(kept) {
  const words = new URLSearchParams(kept);
  /** @type {Record<string, unknown>} */
  const found = { ...START };
  for (const [name, value] of words) {
    if (!Object.hasOwn(START, name)) continue;
    const number = typeof START[/** @type {keyof Place} */ (name)] === "number" || name === "low" || name === "high";
    const said = number ? Number(value) : value;
    const known = Object.hasOwn(CHOICES, name) ? CHOICES[name].includes(said) : !number || Number.isFinite(said);
    if (known) found[name] = said;
  }
  if (found.scale === "fixed" && (found.low === null || found.high === null)) found.scale = START.scale;
  return /** @type {Place} */ (found);
}

/**
 * Make a place one that is there: of a link to another net, or of other names of the same numbers, no more is kept.
 * @param {Place} place @param {{item: Item, write: Write}} found its blob @param {Facts} facts
 */
export function settle(place, { item, write }, facts) {
  const { dims, maps } = write;
  place.blob = write.blob;
  if (!item.layers.some((layer) => layer.params.some((each) => `${layer.key}.${each.number}` === place.param))) place.param = "";
  const [height, width] = maps ? dims.slice(-2) : [1, 1];
  const tiles = maps ? dims.slice(0, -2) : dims;
  const there = isBelow(place.tile, tiles.reduce((all, each) => all * each, 1)) && isBelow(place.y, height) && isBelow(place.x, width);
  if (!there) Object.assign(place, { tile: -1, y: 0, x: 0 });
  if (!isBelow(place.first, 2 ** 31)) place.first = 0;
  if (!facts.methods.some((each) => each.name === place.method)) place.method = "";
  if (!findBlob(facts, place.at)) place.at = "";
}

/** @param {number} place @param {number} end @returns {boolean} */
function isBelow(place, end) {
  return Number.isInteger(place) && place >= 0 && place < end;
}

/** @param {Place} place @returns {string} what differs from the beginning */
export function writePlace(place) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(place)) {
    if (value !== START[/** @type {keyof Place} */ (name)] && value !== null) words.set(name, String(value));
  }
  return words.toString();
}

/**
 * Where the words of a place are kept.
 * @typedef {object} Keeper
 * @property {() => string} read
 * @property {(words: string, step: boolean) => void} write `step`: one may go back to the last ones
 * @property {() => void} back
 * @property {(moved: () => void) => void} listen
 */
