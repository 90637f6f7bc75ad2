// The viewer in a cell of a notebook: the cell (widget.js) gives it a port and the place to begin at.

import { Link } from "./link.js";
import { Port } from "./port.js";
import { start } from "./viewer.js";

/** @typedef {import("./place.js").Keeper} Keeper */

/**
 * Where the viewer is, kept by the cell: the address is the notebook's own, and so is its history.
 * @implements {Keeper}
 */
class Memory {
  /** @param {string} words @param {MessagePort} port */
  constructor(words, port) {
    this.words = words;
    this.port = port;
    /** @type {string[]} */
    this.steps = [];
    this.moved = () => {};
  }

  read() {
    return this.words;
  }

  /** @param {string} words @param {boolean} step */
  write(words, step) {
    if (words === this.words) return;
    if (step) this.steps.push(this.words);
    this.words = words;
    this.port.postMessage({ place: words });
  }

  back() {
    const words = this.steps.pop();
    if (words === undefined) return;
    this.write(words, false);
    this.moved();
  }

  /** @param {() => void} moved */
  listen(moved) {
    this.moved = moved;
  }
}

addEventListener("message", ({ source, data, ports: [port] }) => {
  if (source === parent && port) start(new Link(new Port(port)), new Memory(data.place, port));
}, { once: true });
