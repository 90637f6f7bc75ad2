// Where the viewer is, as words: what a link holds.

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

/** @param {string} kept @returns {Place} what those words say */
export function readPlace(kept) {
  const words = new URLSearchParams(kept);
  /** @type {Record<string, unknown>} */
  const found = { ...START };
  for (const [name, value] of words) {
    if (!(name in START)) continue;
    const number = typeof START[/** @type {keyof Place} */ (name)] === "number" || name === "low" || name === "high";
    if (!number) found[name] = value;
    else if (Number.isFinite(Number(value))) found[name] = Number(value);
  }
  return /** @type {Place} */ (found);
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
