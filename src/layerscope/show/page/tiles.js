// Tiles: many small planes of numbers, a byte each.  From bytes to values, from values to levels, and
// where they go in a box; the rules are those of pictures/scale.py.  paint.js makes pixels of them.

/**
 * @typedef {"all" | "tile" | "signed" | "tile-signed" | "fixed"} Scale
 * @typedef {"auto" | "gray" | "heat" | "diverging"} Color
 * @typedef {"index" | "mean" | "max"} Sort
 * @typedef {{low: number, high: number}} Extent the values of the darkest and the brightest level
 * @typedef {Record<"gray" | "heat" | "diverging", Uint8Array>} Palettes 256 colours, three bytes each
 *
 * @typedef {object} Tiles
 * @property {number} count how many tiles there are
 * @property {number} planes 1, or 3 for tiles in colour
 * @property {number} height
 * @property {number} width
 * @property {Uint8Array} codes count * planes * height * width; 0 is NaN or infinite
 * @property {Float32Array} low the value of code 1: of each plane, or one for all of them
 * @property {Float32Array} high the value of code 255; it may be the lesser one
 * @property {Float32Array | null} [means] the true mean of each tile, where it is known
 * @property {number | null} slope what values below zero are multiplied with; null leaves them
 * @property {number} lowest the least value of the whole array, shown or not
 * @property {number} highest the greatest
 * @property {boolean} missing whether any value is NaN or infinite
 * @property {"RGB" | "BGR"} order of three planes
 * @property {Extent} [range] the ends of the scale "fixed"
 *
 * @typedef {object} Layout
 * @property {number} columns
 * @property {number} rows
 * @property {number} times screen pixels to a value, where tiles are enlarged
 * @property {number} every values to a screen pixel, where they are made smaller
 * @property {number} width of a tile on the screen
 * @property {number} height
 * @property {number} gap
 */

const STEPS = 254;
const TOP = 252; // of a palette; behind it are the places for what is no colour

/**
 * @param {Tiles} tiles
 * @param {number} plane counted over all tiles
 * @param {number} code
 * @returns {number} NaN where the value is not finite
 */
export function decoded(tiles, plane, code) {
  if (code === 0) return NaN;
  const place = tiles.low.length === 1 ? 0 : plane;
  const low = tiles.low[place];
  const value = code === STEPS + 1 ? tiles.high[place] : low + ((code - 1) / STEPS) * (tiles.high[place] - low);
  return tiles.slope !== null && value < 0 ? value * tiles.slope : value;
}

/**
 * The value of one unit.
 * @param {Tiles} tiles
 * @param {number} tile
 * @param {number} y
 * @param {number} x
 * @param {number} [plane]
 * @returns {number}
 */
export function valueAt(tiles, tile, y, x, plane = 0) {
  const which = tile * tiles.planes + plane;
  return decoded(tiles, which, tiles.codes[(which * tiles.height + y) * tiles.width + x]);
}

/**
 * How far a value may be from the true one.
 * @param {Tiles} tiles
 * @param {number} tile
 * @param {number} [plane]
 * @returns {number}
 */
export function precisionOf(tiles, tile, plane = 0) {
  const place = tiles.low.length === 1 ? 0 : tile * tiles.planes + plane;
  return Math.abs(tiles.high[place] - tiles.low[place]) / STEPS / 2;
}

/**
 * Lowest, mean and highest finite value of a tile; NaN where it has none.
 * @param {Tiles} tiles
 * @param {number} tile
 * @returns {{low: number, mean: number, high: number}}
 */
export function summaryOf(tiles, tile) {
  const area = tiles.height * tiles.width;
  let [low, high, sum, finite] = [Infinity, -Infinity, 0, 0];
  for (let plane = tile * tiles.planes; plane < (tile + 1) * tiles.planes; plane++) {
    const counts = new Uint32Array(STEPS + 2);
    for (let i = plane * area; i < (plane + 1) * area; i++) counts[tiles.codes[i]]++;
    for (let code = 1; code < counts.length; code++) {
      if (!counts[code]) continue;
      const value = decoded(tiles, plane, code);
      sum += counts[code] * value;
      finite += counts[code];
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return finite ? { low, mean: tiles.means ? tiles.means[tile] : sum / finite, high } : { low: NaN, mean: NaN, high: NaN };
}

/**
 * The tiles in the order in which they are shown; equal ones stay in their own order.
 * @param {Tiles} tiles
 * @param {Sort} sort
 * @param {boolean} [sizes] whether a value counts by its size, not its sign
 * @returns {number[]}
 */
export function orderOf(tiles, sort, sizes = false) {
  const order = Array.from({ length: tiles.count }, (_, i) => i);
  if (sort === "index") return order;
  const keys = order.map((tile) => {
    const { low, mean, high } = summaryOf(tiles, tile);
    const key = sizes ? (sort === "mean" ? Math.abs(mean) : Math.max(-low, high)) : sort === "mean" ? mean : high;
    return Number.isNaN(key) ? -Infinity : key;
  });
  return order.sort((a, b) => (keys[a] === keys[b] ? a - b : keys[b] - keys[a]));
}

/**
 * The ends of the scale for one tile.
 * @param {Tiles} tiles
 * @param {number} tile
 * @param {Scale} scale
 * @returns {Extent}
 */
export function extentOf(tiles, tile, scale) {
  if (scale === "fixed" && tiles.range) return tiles.range;
  const own = scale === "tile" || scale === "tile-signed";
  const { low, high } = own ? summaryOf(tiles, tile) : { low: tiles.lowest, high: tiles.highest };
  const most = Math.max(-low, high);
  return isSigned(scale) ? { low: -most, high: most } : { low, high };
}

/** @param {Scale} scale @returns {boolean} whether zero is the middle of the scale */
export function isSigned(scale) {
  return scale === "signed" || scale === "tile-signed";
}

/**
 * The top level that a palette and a scale leave: one around zero needs a middle one.
 * @param {Scale} scale
 * @param {boolean} full whether all 256 levels are grays
 * @returns {number}
 */
export function topOf(scale, full) {
  return full ? (isSigned(scale) ? 254 : 255) : TOP;
}

/**
 * The level of a value, as pictures/scale.py gives it.
 * @param {number} value
 * @param {Extent} extent
 * @param {number} top
 * @returns {number} not yet rounded
 */
export function levelOf(value, extent, top) {
  const span = extent.high / 2 - extent.low / 2; // halves: the ends of float64 have no difference
  if (!(span > 0)) return Math.floor(top / 2);
  return Math.min(top, Math.max(0, ((value / 2 - extent.low / 2) / span) * top));
}

/**
 * Where tiles go in a box: as large as whole numbers allow, so that all of them are seen at once.
 * @param {number} count
 * @param {number} height of a tile, in values
 * @param {number} width
 * @param {number} room pixels from left to right
 * @param {number} tall pixels from top to bottom that are aimed at
 * @returns {Layout}
 */
export function layoutOf(count, height, width, room, tall) {
  /** @param {number} wide @param {number} high @param {number} gap */
  const fits = (wide, high, gap) => {
    const columns = Math.max(1, Math.min(count, Math.floor((room + gap) / (wide + gap))));
    return { columns, rows: Math.ceil(count / columns), width: wide, height: high, gap };
  };
  const most = count === 1 ? 16 : 12;
  for (let times = most; times >= 1; times--) {
    const found = fits(width * times, height * times, times > 3 ? 2 : 1);
    const whole = found.rows * (found.height + found.gap) <= tall && found.width <= room;
    if (whole) return { ...balanced(found, count), times, every: 1 };
  }
  // Small tiles would lose what there is to see: they stay as they are, and the box scrolls.
  if (Math.min(height, width) < 48 && width <= room) {
    return { ...balanced(fits(width, height, 1), count), times: 1, every: 1 };
  }
  for (let every = 2; ; every++) {
    const found = fits(Math.ceil(width / every), Math.ceil(height / every), 1);
    const whole = found.rows * (found.height + 1) <= tall && found.width <= room;
    const least = Math.min(found.width, found.height) < 24 && found.width <= room;
    if (whole || least) return { ...balanced(found, count), times: 1, every };
  }
}

/**
 * The same columns with every tile larger, as far as a canvas may be.
 * @param {Layout} layout
 * @param {number} height of a tile, in values
 * @param {number} width
 * @param {number} zoom
 * @returns {Layout}
 */
export function enlarged(layout, height, width, zoom) {
  const [values, most] = [layout.columns * layout.rows * height * width, 24e6];
  const scale = Math.min((layout.times / layout.every) * zoom, Math.max(layout.times / layout.every, Math.sqrt(most / values)));
  const times = Math.max(1, Math.floor(scale));
  const every = scale < 1 ? Math.ceil(1 / scale) : 1;
  const size = every > 1
    ? { width: Math.ceil(width / every), height: Math.ceil(height / every) }
    : { width: width * times, height: height * times };
  return { ...layout, ...size, times, every, gap: times > 3 ? 2 : 1 };
}

/**
 * The same rows with columns so that the last row is as full as it can be.
 * @template {{columns: number, rows: number}} T
 * @param {T} found
 * @param {number} count
 * @returns {T}
 */
function balanced(found, count) {
  return { ...found, columns: Math.ceil(count / found.rows) };
}

/**
 * @param {Layout} layout
 * @returns {{width: number, height: number}} of the whole
 */
export function sizeOf(layout) {
  return {
    width: layout.columns * (layout.width + layout.gap) - layout.gap,
    height: layout.rows * (layout.height + layout.gap) - layout.gap,
  };
}

/**
 * What is under a pixel: a place in the grid and the unit in its tile.
 * @param {Layout} layout
 * @param {Tiles} tiles
 * @param {number} px
 * @param {number} py
 * @returns {{place: number, y: number, x: number} | null}
 */
export function unitAt(layout, tiles, px, py) {
  const [wide, high] = [layout.width + layout.gap, layout.height + layout.gap];
  const [column, row] = [Math.floor(px / wide), Math.floor(py / high)];
  const [right, down] = [px - column * wide, py - row * high];
  const place = row * layout.columns + column;
  if (px < 0 || py < 0 || column >= layout.columns || place >= tiles.count) return null;
  if (right >= layout.width || down >= layout.height) return null;
  const x = Math.min(tiles.width - 1, Math.floor((right * layout.every) / layout.times));
  const y = Math.min(tiles.height - 1, Math.floor((down * layout.every) / layout.times));
  return { place, y, x };
}

/**
 * @param {Color} color
 * @param {Scale} scale
 * @returns {"gray" | "heat" | "diverging"}
 */
export function colorOf(color, scale) {
  return color === "auto" ? (scale === "signed" ? "diverging" : "gray") : color;
}
