// Unpacks zlib streams (RFC 1950, RFC 1951).  The browser's own DecompressionStream gives its answer
// later; a page that is being printed has to draw now.

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const LENGTH_BITS = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_BITS = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
const ORDER_OF_LENGTHS = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LONGEST = 15;

/**
 * The table of a Huffman code: the next 15 bits give (symbol << 4 | length of its code).
 * @param {number[]} lengths of the code of each symbol; 0 where it has none
 * @returns {Uint16Array}
 */
function huffmanTable(lengths) {
  const table = new Uint16Array(1 << LONGEST);
  let code = 0;
  for (let length = 1; length <= LONGEST; length++, code <<= 1) {
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] !== length) continue;
      let reversed = 0;
      for (let bit = 0; bit < length; bit++) reversed |= ((code >> bit) & 1) << (length - 1 - bit);
      for (let place = reversed; place < table.length; place += 1 << length) {
        table[place] = (symbol << 4) | length;
      }
      code++;
    }
  }
  return table;
}

/** Bits from the lowest to the highest of each byte. */
class Bits {
  /** @param {Uint8Array} bytes @param {number} at the first byte to read */
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
    this.held = 0;
    this.count = 0;
  }

  /** @param {number} wanted at most 16 @returns {number} */
  take(wanted) {
    while (this.count < wanted) {
      this.held |= this.bytes[this.at++] << this.count;
      this.count += 8;
    }
    const found = this.held & ((1 << wanted) - 1);
    this.held >>>= wanted;
    this.count -= wanted;
    return found;
  }

  /** @param {Uint16Array} table @returns {number} */
  symbol(table) {
    while (this.count < LONGEST) {
      this.held |= (this.bytes[this.at++] || 0) << this.count;
      this.count += 8;
    }
    const entry = table[this.held & 0x7fff];
    if (entry === 0) throw new Error("damaged data: no such code");
    this.held >>>= entry & 15;
    this.count -= entry & 15;
    return entry >> 4;
  }

  /** Give back what was read ahead, and go on at the next whole byte. */
  align() {
    this.at -= this.count >> 3;
    this.held = this.count = 0;
  }
}

/**
 * @param {Bits} bits
 * @returns {[Uint16Array, Uint16Array]} the tables of literals and of distances
 */
function readTables(bits) {
  const literals = bits.take(5) + 257;
  const distances = bits.take(5) + 1;
  const known = bits.take(4) + 4;
  /** @type {number[]} */
  const first = new Array(19).fill(0);
  for (let i = 0; i < known; i++) first[ORDER_OF_LENGTHS[i]] = bits.take(3);
  const table = huffmanTable(first);
  /** @type {number[]} */
  const lengths = [];
  while (lengths.length < literals + distances) {
    const symbol = bits.symbol(table);
    if (symbol < 16) {
      lengths.push(symbol);
      continue;
    }
    const again = symbol === 16 ? lengths[lengths.length - 1] : 0;
    const times = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    for (let i = 0; i < times; i++) lengths.push(again);
  }
  return [huffmanTable(lengths.slice(0, literals)), huffmanTable(lengths.slice(literals))];
}

/** @returns {[Uint16Array, Uint16Array]} */
function fixedTables() {
  const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  return [huffmanTable(lengths), huffmanTable(new Array(30).fill(5))];
}

/**
 * Unpack a zlib stream.
 * @param {Uint8Array} packed
 * @param {number} size how many bytes come out
 * @returns {Uint8Array}
 */
export function inflate(packed, size) {
  const out = new Uint8Array(size);
  const bits = new Bits(packed, 2);
  let at = 0;
  for (let last = 0; !last; ) {
    if (bits.at > packed.length) throw new Error("damaged data: no end");
    last = bits.take(1);
    const kind = bits.take(2);
    if (kind === 0) {
      bits.align();
      const length = bits.take(16);
      bits.take(16);
      bits.align();
      out.set(packed.subarray(bits.at, bits.at + length), at);
      bits.at += length;
      at += length;
      continue;
    }
    const [literals, distances] = kind === 1 ? fixedTables() : readTables(bits);
    at = inflateBlock(bits, literals, distances, out, at);
  }
  if (at !== size) throw new Error(`damaged data: ${at} bytes instead of ${size}`);
  return out;
}

/**
 * @param {Bits} bits
 * @param {Uint16Array} literals
 * @param {Uint16Array} distances
 * @param {Uint8Array} out
 * @param {number} at
 * @returns {number} the place behind what was written
 */
function inflateBlock(bits, literals, distances, out, at) {
  for (;;) {
    if (at > out.length || bits.at > bits.bytes.length + 4) throw new Error("damaged data: no end");
    const symbol = bits.symbol(literals);
    if (symbol < 256) {
      out[at++] = symbol;
    } else if (symbol === 256) {
      return at;
    } else {
      const length = LENGTH_BASE[symbol - 257] + bits.take(LENGTH_BITS[symbol - 257]);
      const way = bits.symbol(distances);
      const from = at - DISTANCE_BASE[way] - bits.take(DISTANCE_BITS[way]);
      if (from < 0) throw new Error("damaged data: before its beginning");
      for (let i = 0; i < length; i++) out[at++] = out[from + i];
    }
  }
}
