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
 * @property {boolean} shared whether all tiles of the data have one pair of ends
 * @property {string} ends base64 of other ends, where the data are those of another stack; or ""
 * @property {string} means base64 of the mean of each tile; or "" for small tiles
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

/**
 * @param {Packed} packed
 * @param {(id: string) => string} [read] gives the data of that id, as base64
 * @returns {Tiles}
 */
export function unpack(packed, read = textOf) {
  const { count, planes, height, width } = packed;
  const ends = packed.shared ? 1 : count * planes;
  const size = 8 * ends + count * planes * height * width;
  const bytes = inflate(bytesOf(read(packed.data)), size);
  const own = new Float32Array(bytes.buffer, 0, 2 * ends);
  const both = packed.ends ? new Float32Array(bytesOf(packed.ends).buffer) : own;
  return {
    count, planes, height, width,
    low: both.subarray(0, both.length / 2),
    high: both.subarray(both.length / 2),
    codes: bytes.subarray(8 * ends),
    means: packed.means ? new Float32Array(bytesOf(packed.means).buffer) : null,
    slope: packed.slope,
    lowest: packed.low,
    highest: packed.high,
    missing: packed.missing,
    order: packed.order,
  };
}
