// Where the viewer is: what a link holds.  Every change goes into the address, so a view is a link.

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
 */

/** @type {Place} */
const START = {
  blob: "", param: "", tile: -1, y: 0, x: 0, first: 0, image: "", scale: "auto", color: "auto",
  sort: "index", low: null, high: null, zoom: 1, layers: "list",
};

/** @returns {Place} what the address says */
export function readPlace() {
  const words = new URLSearchParams(location.hash.slice(1));
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

/** @param {Place} place @param {boolean} step whether the back button should come back to the last one */
export function writePlace(place, step) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(place)) {
    if (value !== START[/** @type {keyof Place} */ (name)] && value !== null) words.set(name, String(value));
  }
  const address = `#${words}`;
  if (address === location.hash || (address === "#" && !location.hash)) return;
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}
