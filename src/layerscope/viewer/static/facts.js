// What the server tells of the net; viewer/facts.py writes it.

/**
 * @typedef {object} Write one state of a blob: layers that work in place write it again
 * @property {string} blob its key
 * @property {string} name
 * @property {string} after the layers that gave it this state
 * @property {number[]} dims of one image
 * @property {boolean} maps whether it has planes
 * @property {string} unit "channel" or "slice"
 * @property {number} depth
 * @property {string[]} also other names of the same numbers
 *
 * @typedef {{number: number, name: string, shape: string}} ParamFact
 * @typedef {{name: string, key: string, type: string, summary: string, params: ParamFact[]}} LayerFact
 *
 * @typedef {object} Item a row of the list
 * @property {number} id
 * @property {string} title
 * @property {string} shape
 * @property {string} color of its family
 * @property {string} reason why it is not computed; "" when it is
 * @property {LayerFact[]} layers
 * @property {Write[]} writes
 *
 * @typedef {{name: string, title: string, summary: string, many: boolean, at: "input" | "layer"}} MethodFact of attribution
 *
 * @typedef {object} Facts
 * @property {string} version
 * @property {string} name
 * @property {string} words
 * @property {string[]} notes
 * @property {Item[]} items
 * @property {string} input
 * @property {[number, number] | null} size height and width of the image that the net takes
 * @property {boolean} gray
 * @property {string} probability
 * @property {string[]} labels
 * @property {Record<"gray" | "heat" | "diverging", string>} palettes
 * @property {number} upload the most bytes of an upload
 * @property {MethodFact[]} methods of attribution; none where no image is fed
 */

/**
 * The tile of a unit and its place in it.
 * @param {Write} write
 * @param {number[]} index of the unit in its blob, without the batch
 * @returns {{tile: number, y: number, x: number}}
 */
export function spotOf({ maps, dims }, index) {
  if (!maps) return { tile: index[0] || 0, y: 0, x: 0 };
  if (dims.length === 2) return { tile: 0, y: index[0] || 0, x: index[1] || 0 };
  const tile = index.slice(0, -2).reduce((sum, each, i) => sum * (i ? dims[i] : 1) + each, 0);
  return { tile, y: index[index.length - 2], x: index[index.length - 1] };
}

/** @param {Write} write @returns {{y: number, x: number}} the middle of a map */
export function middleOf({ maps, dims }) {
  return maps ? { y: dims[dims.length - 2] >> 1, x: dims[dims.length - 1] >> 1 } : { y: 0, x: 0 };
}

/** @param {Write} write @param {{tile: number, y: number, x: number}} spot @returns {string} what a unit is called */
export function unitTitle(write, { tile, y, x }) {
  if (!write.maps) return `${write.name} ${tile}`;
  const where = write.depth > 1 ? `channel ${Math.floor(tile / write.depth)}, slice ${tile % write.depth}` : `channel ${tile}`;
  return `${write.name} ${where}, y ${y}, x ${x}`;
}

/** @param {Item} item @returns {Write | undefined} its last state */
export function lastWrite(item) {
  return item.writes[item.writes.length - 1];
}

/** @param {Facts} facts @param {string} blob @returns {{item: Item, write: Write} | null} */
export function findBlob(facts, blob) {
  for (const item of facts.items) {
    const write = item.writes.find((each) => each.blob === blob || each.also.includes(blob));
    if (write) return { item, write };
  }
  return null;
}
