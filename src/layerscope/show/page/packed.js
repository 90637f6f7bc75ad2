// What is packed into the page, unpacked when it is wanted.  pictures/packed.py writes it.

import { inflate } from "./inflate.js";

/** @typedef {import("./tiles.js").Tiles} Tiles */

/**
 * @typedef {object} Packed what the page says of a stack of tiles
 * @property {string} data the id of the element with its bytes
 * @property {number} count
 * @property {number} planes
 * @property {number} height
 * @property {number} width
 * @property {boolean} shared whether all tiles have one pair of ends
 * @property {number | null} slope
 * @property {number} low
 * @property {number} high
 * @property {boolean} missing
 * @property {"RGB" | "BGR"} order
 */

/** @param {string} text base64 @returns {Uint8Array<ArrayBuffer>} */
export function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** @param {string} id @returns {string} the text of an element of the page */
export function textOf(id) {
  return document.getElementById(id)?.textContent?.trim() ?? "";
}

/** @param {Packed} packed @returns {Tiles} */
export function unpack(packed) {
  const { count, planes, height, width } = packed;
  const ends = packed.shared ? 1 : count * planes;
  const size = 8 * ends + count * planes * height * width;
  const bytes = inflate(bytesOf(textOf(packed.data)), size);
  return {
    count, planes, height, width,
    low: new Float32Array(bytes.buffer, 0, ends),
    high: new Float32Array(bytes.buffer, 4 * ends, ends),
    codes: bytes.subarray(8 * ends),
    slope: packed.slope,
    lowest: packed.low,
    highest: packed.high,
    missing: packed.missing,
    order: packed.order,
  };
}
