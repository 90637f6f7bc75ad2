// A message of the server: a head, and the arrays that it points into.  viewer/wire.py writes it.

/** @typedef {import("../page/tiles.js").Tiles} Tiles */

/**
 * @typedef {object} Part tiles or a vector, as offsets
 * @property {number} count
 * @property {number} total
 * @property {number} [values]
 * @property {number} [planes]
 * @property {number} [height]
 * @property {number} [width]
 * @property {number} [low]
 * @property {number} [high]
 * @property {number} [codes]
 * @property {number} [lowest]
 * @property {number} [highest]
 * @property {boolean} [missing]
 * @property {"RGB" | "BGR"} [order]
 * @property {number} [first]
 * @property {number} [most]
 * @property {number} [rows] along the first axis: the first is shown
 * @property {string} [name]
 *
 * @typedef {{size: number, low: number, mean: number, high: number, zeros: number, not_finite: number,
 *   dead: number, channels: number, counts: number[]}} Spread
 * @typedef {{index: number, value: number | null, label: string}} Guess a value that is not finite is null
 *
 * @typedef {object} Head
 * @property {"frame" | "fault"} kind
 * @property {number} [frame]
 * @property {string} [image]
 * @property {string} [fault]
 * @property {boolean} [waiting]
 * @property {number} seen the last camera frame that was looked at
 * @property {number} dropped camera frames that were not
 * @property {string} [fed]
 * @property {Record<string, Part>} [thumbs]
 * @property {Part} [blob]
 * @property {Spread} [spread]
 * @property {(Spread & {tile: number}) | null} [tile]
 * @property {Guess[]} [guesses]
 * @property {Record<string, number>} [times]
 */

/** One message. */
export class Frame {
  /** @param {ArrayBuffer} buffer */
  constructor(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    /** @type {Head} */
    this.head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    this.buffer = buffer;
    this.start = 4 + length;
  }

  /** @param {Part} part @returns {Tiles | null} null for a vector */
  tiles(part) {
    const { count, planes = 1, height = 1, width = 1, low, high, codes } = part;
    if (low === undefined || high === undefined || codes === undefined) return null;
    const ends = count * planes;
    return {
      count, planes, height, width,
      low: new Float32Array(this.buffer, this.start + low, ends),
      high: new Float32Array(this.buffer, this.start + high, ends),
      codes: new Uint8Array(this.buffer, this.start + codes, ends * height * width),
      slope: null,
      lowest: part.lowest ?? 0,
      highest: part.highest ?? 0,
      missing: part.missing ?? false,
      order: part.order ?? "RGB",
    };
  }

  /** @param {Part} part @returns {Float32Array} the values of a vector */
  values(part) {
    return new Float32Array(this.buffer, this.start + (part.values ?? 0), part.count);
  }
}
