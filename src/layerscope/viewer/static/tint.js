// A map of attribution over the gray image: the stronger, the more color covers it.
// The rule and its numbers are those of show/attribution_picture.py.

import { bytesOf } from "../page/packed.js";

/** @typedef {import("../page/tiles.js").Palettes} Palettes */

/**
 * @typedef {object} MapAnswer what viewer/mover.py tells of a map
 * @property {number} height
 * @property {number} width
 * @property {number} step
 * @property {string} words
 * @property {string} values float32, in base64
 * @property {string} gray a byte a place, in base64
 * @property {number} plain the gray below the bar of colors
 * @property {number} low
 * @property {number} high
 * @property {boolean} empty
 * @property {"heat" | "diverging"} color
 * @property {number} cover
 * @property {number} bend
 * @property {number} hue
 * @property {[string, string]} ends
 * @property {string} reading
 * @property {string} over
 *
 * @typedef {object} Tinted
 * @property {MapAnswer} meta
 * @property {Float32Array} values
 * @property {Uint8Array} gray
 */

const TOP = 252; // the last color of a palette

/** @param {MapAnswer} meta @returns {Tinted} */
export function tinted(meta) {
  return { meta, values: new Float32Array(bytesOf(meta.values).buffer), gray: bytesOf(meta.gray) };
}

/**
 * Draw a map over its ground.
 * @param {HTMLCanvasElement} canvas
 * @param {Tinted} map
 * @param {Palettes} palettes
 * @param {number} opacity 0 to 1
 */
export function drawTinted(canvas, { meta, values, gray }, palettes, opacity) {
  draw(canvas, meta.width, meta.height, meta, (at) => values[at], (at) => gray[at], palettes, opacity);
}

/**
 * Draw the colors from the lowest to the highest.
 * @param {HTMLCanvasElement} canvas
 * @param {MapAnswer} meta
 * @param {Palettes} palettes
 */
export function drawRamp(canvas, meta, palettes) {
  draw(canvas, TOP + 1, 1, meta, (at) => meta.low + (at / TOP) * (meta.high - meta.low), () => meta.plain, palettes, 1);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {MapAnswer} meta
 * @param {(at: number) => number} value
 * @param {(at: number) => number} ground
 * @param {Palettes} palettes
 * @param {number} opacity
 */
function draw(canvas, width, height, { low, high, color, cover, bend, hue }, value, ground, palettes, opacity) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const image = new ImageData(width, height);
  const span = high - low || 1;
  const colors = palettes[color];
  for (let at = 0; at < width * height; at++) {
    const number = value(at);
    const inside = Number.isNaN(number) ? 0 : Math.max(low, Math.min(high, number));
    let share = (inside - low) / span;
    let level = share;
    if (color === "diverging") {
      share = Math.abs(2 * share - 1);
      level = (1 + Math.sign(inside) * (hue + (1 - hue) * share)) / 2; // not through white
    }
    const from = 3 * Math.floor(level * TOP + 0.5);
    const part = opacity * cover * share ** bend;
    const below = ground(at) * (1 - part);
    for (let plane = 0; plane < 3; plane++) image.data[4 * at + plane] = Math.round(colors[from + plane] * part + below);
    image.data[4 * at + 3] = 255;
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
