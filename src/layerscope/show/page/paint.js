// From tiles to pixels on a canvas; the colours are those of pictures/color.py.
//
// A live page draws a million pixels for each image of a camera.  So a code gets its colour when it
// is first met, a line of tiles is written once and copied, and a canvas keeps its pixels.

import { colorOf, decoded, extentOf, levelOf, sizeOf, topOf } from "./tiles.js";

/** @typedef {import("./tiles.js").Tiles} Tiles */
/** @typedef {import("./tiles.js").Layout} Layout */
/** @typedef {import("./tiles.js").Extent} Extent */
/** @typedef {import("./tiles.js").Scale} Scale */
/** @typedef {import("./tiles.js").Color} Color */
/** @typedef {import("./tiles.js").Palettes} Palettes */
/** @typedef {{tiles: Tiles, scale: Scale, top: number, colors: Uint32Array}} Ink what gives codes their colours */

const CODES = 256;
const MISSING = 254; // of a palette: the colour of what is NaN or infinite
const MAGENTA = 0xffff00ff;

/** A canvas that tiles are drawn on again and again. */
export class Painter {
  /** @param {HTMLCanvasElement} canvas @param {Palettes} palettes */
  constructor(canvas, palettes) {
    this.canvas = canvas;
    this.palettes = palettes;
    this.form = "";
    /** @type {ImageData | null} */
    this.image = null;
  }

  /** @param {Tiles} tiles @param {number[]} order @param {Layout} layout @param {Scale} scale @param {Color} color */
  draw(tiles, order, layout, scale, color) {
    const { canvas } = this;
    const { columns, width, height, gap } = layout;
    const form = [order.length, columns, width, height, gap].join();
    if (!this.image || form !== this.form) {
      const size = sizeOf(layout);
      this.image = new ImageData(size.width, size.height);
      this.form = form;
      if (canvas.width !== size.width) canvas.width = size.width;
      if (canvas.height !== size.height) canvas.height = size.height;
    }
    paint(tiles, order, layout, scale, color, this.palettes, this.image.data);
    canvas.getContext("2d")?.putImageData(this.image, 0, 0);
  }

  /** Forget the pixels. */
  release() {
    this.image = null;
    this.canvas.width = this.canvas.height = 0;
  }
}

/**
 * Draw tiles: four bytes a pixel, the gaps transparent.
 * @param {Tiles} tiles
 * @param {number[]} order which tile is at which place
 * @param {Layout} layout
 * @param {Scale} scale
 * @param {Color} color
 * @param {Palettes} palettes
 * @param {Uint8ClampedArray<ArrayBuffer>} [bytes] what was drawn before with as many tiles and this layout
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function paint(tiles, order, layout, scale, color, palettes, bytes = blank(layout)) {
  const pixels = new Uint32Array(bytes.buffer);
  const name = colorOf(color, scale);
  const full = tiles.planes === 3 || (name === "gray" && !tiles.missing);
  const ink = { tiles, scale, top: topOf(scale, full), colors: full ? grays() : packedColors(palettes[name]) };
  const { columns } = layout;
  const stride = sizeOf(layout).width;
  for (let place = 0; place < order.length; place += columns) {
    const row = order.slice(place, place + columns);
    const start = (place / columns) * (layout.height + layout.gap) * stride;
    if (tiles.planes === 1 && layout.every === 1) paintCodes(ink, row, layout, pixels, start, stride);
    else row.forEach((tile, i) => paintMeans(ink, tile, layout, pixels, start + i * (layout.width + layout.gap), stride));
  }
  return bytes;
}

/** @param {Layout} layout */
function blank(layout) {
  const size = sizeOf(layout);
  return new Uint8ClampedArray(4 * size.width * size.height);
}

/**
 * A row of tiles of which every value is drawn, in one plane: each code has its colour.
 * @param {Ink} ink
 * @param {number[]} row
 * @param {Layout} layout
 * @param {Uint32Array} pixels
 * @param {number} start the place of the upper left pixel
 * @param {number} stride pixels in a line
 */
function paintCodes(ink, row, layout, pixels, start, stride) {
  const { codes, width, height } = ink.tiles;
  const { times } = layout;
  const extents = row.map((tile) => extentOf(ink.tiles, tile, ink.scale));
  const inks = new Uint32Array(CODES * row.length); // 0 is no colour: all are opaque
  const length = row.length * (layout.width + layout.gap) - layout.gap;
  for (let y = 0; y < height; y++) {
    const line = start + y * times * stride;
    for (let i = 0; i < row.length; i++) {
      let code = (row[i] * height + y) * width;
      let at = line + i * (layout.width + layout.gap);
      for (const end = code + width; code < end; code++) {
        const place = CODES * i + codes[code];
        let color = inks[place];
        if (color === 0) color = inks[place] = colorOfCode(ink, row[i], codes[code], extents[i]);
        pixels[at++] = color;
        for (let more = 1; more < times; more++) pixels[at++] = color;
      }
    }
    for (let more = 1; more < times; more++) pixels.copyWithin(line + more * stride, line, line + length);
  }
}

/** @param {Ink} ink @param {number} plane @param {number} code @param {Extent} extent */
function colorOfCode(ink, plane, code, extent) {
  if (code === 0) return ink.colors[MISSING];
  return ink.colors[Math.floor(Math.fround(levelOf(decoded(ink.tiles, plane, code), extent, ink.top)) + 0.5)];
}

/**
 * A tile in colour, or one of which each pixel is the mean of several values.
 * @param {Ink} ink
 * @param {number} tile
 * @param {Layout} layout
 * @param {Uint32Array} pixels
 * @param {number} start
 * @param {number} stride
 */
function paintMeans(ink, tile, layout, pixels, start, stride) {
  const { tiles, colors } = ink;
  const { every, times } = layout;
  const [lines, columns] = [Math.ceil(tiles.height / every), Math.ceil(tiles.width / every)];
  const planes = Array.from({ length: tiles.planes }, (_, i) => meansOf(ink, tile, i, every));
  for (let i = 0; i < lines * columns; i++) {
    const level = planes[0][i];
    const color = tiles.planes === 3 ? mixed(level, planes[1][i], planes[2][i], tiles.order) : colors[level < 0 ? MISSING : level];
    const at = start + Math.floor(i / columns) * times * stride + (i % columns) * times;
    for (let down = 0; down < times; down++) {
      for (let right = 0; right < times; right++) pixels[at + down * stride + right] = color;
    }
  }
}

/**
 * The mean level of each block of a plane, rounded; -1 where a value is not finite.
 * @param {Ink} ink
 * @param {number} tile
 * @param {number} plane of the tile
 * @param {number} every
 * @returns {Int16Array}
 */
function meansOf(ink, tile, plane, every) {
  const { codes, planes, height, width } = ink.tiles;
  const levels = levelsOf(ink.tiles, tile * planes + plane, extentOf(ink.tiles, tile, ink.scale), ink.top);
  const first = (tile * planes + plane) * height * width;
  const found = new Int16Array(Math.ceil(height / every) * Math.ceil(width / every));
  for (let y = 0, place = 0; y < height; y += every) {
    const bottom = Math.min(y + every, height);
    for (let x = 0; x < width; x += every) {
      const right = Math.min(x + every, width);
      let [sum, least] = [0, 0];
      for (let v = y; v < bottom; v++) {
        for (let u = x; u < right; u++) {
          const level = levels[codes[first + v * width + u]];
          sum += level;
          if (level < least) least = level;
        }
      }
      found[place++] = least < 0 ? -1 : Math.floor(sum / ((bottom - y) * (right - x)) + 0.5);
    }
  }
  return found;
}

/**
 * The level of each code of one plane; -1 for what is not finite.
 * @param {Tiles} tiles
 * @param {number} plane
 * @param {Extent} extent
 * @param {number} top
 * @returns {Float32Array}
 */
function levelsOf(tiles, plane, extent, top) {
  const levels = new Float32Array(CODES);
  levels[0] = -1;
  for (let code = 1; code < CODES; code++) {
    levels[code] = levelOf(decoded(tiles, plane, code), extent, top);
  }
  return levels;
}

/**
 * @param {number} first
 * @param {number} green
 * @param {number} third
 * @param {"RGB" | "BGR"} order
 * @returns {number} the pixel; magenta where a plane has no finite value
 */
function mixed(first, green, third, order) {
  if (first < 0 || green < 0 || third < 0) return MAGENTA;
  const [red, blue] = order === "BGR" ? [third, first] : [first, third];
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}

const GRAYS = Uint32Array.from({ length: 256 }, (_, i) => (0xff000000 | (i * 0x10101)) >>> 0);

/** @returns {Uint32Array} the gray of each level: there is no other colour, see `paint` */
function grays() {
  return GRAYS;
}

/** @type {WeakMap<Uint8Array, Uint32Array>} */
const PACKED = new WeakMap();

/** @param {Uint8Array} palette @returns {Uint32Array} */
function packedColors(palette) {
  const known = PACKED.get(palette);
  if (known) return known;
  const found = Uint32Array.from({ length: 256 }, (_, i) => {
    const [red, green, blue] = palette.subarray(3 * i, 3 * i + 3);
    return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
  });
  PACKED.set(palette, found);
  return found;
}
