// The talk with who answers: looks, frames, questions and their answers; the way they take is given.

import { Frame } from "./frames.js";

/** @typedef {{image: string, thumbs: string[], blob: string, first: number, tile: number}} Look */
/** @typedef {Record<string, any>} Answer */

/**
 * What a way tells.
 * @typedef {object} Ends
 * @property {() => void} opened what is said now arrives
 * @property {(data: string | ArrayBuffer) => void} heard
 * @property {() => void} closed nothing more comes of what was asked
 * @property {(words: string) => void} state how the way is; "" when it is well
 */

/**
 * The way to who answers: http.js in a browser's tab, port.js in a notebook.
 * @typedef {object} Way
 * @property {(ends: Ends) => void} listen
 * @property {() => void} open
 * @property {(path: string) => Promise<any>} get
 * @property {(file: Blob) => Promise<Answer>} upload
 * @property {(message: object | ArrayBuffer) => void} send
 * @property {boolean} isOpen
 * @property {number} queued bytes that have not left yet
 */

/** The talk; after a break it goes on by itself. */
export class Link {
  /** @param {Way} way */
  constructor(way) {
    this.way = way;
    /** @type {Map<number, (answer: Answer) => void>} */
    this.waiting = new Map();
    this.asked = 0;
    /** @type {object[]} */
    this.early = []; // questions from before the connection was there
    this.broken = false;
    /** @type {Look | null} */
    this.look = null;
    /** @type {(frame: Frame) => void} */
    this.onframe = () => {};
    /** @type {(words: string) => void} */
    this.onstate = () => {};
    /** @type {() => void} */
    this.onbreak = () => {};
    way.listen({
      opened: () => this.opened(),
      heard: (data) => this.hear(data),
      closed: () => this.closed(),
      state: (words) => this.onstate(words),
    });
  }

  /** @param {string} path @returns {Promise<any>} */
  get(path) {
    return this.way.get(path);
  }

  /** @param {Blob} file @returns {Promise<Answer>} */
  upload(file) {
    return this.way.upload(file);
  }

  open() {
    this.way.open();
  }

  opened() {
    this.broken = false;
    this.onbreak();
    this.onstate("");
    if (this.look) this.send({ look: this.look });
    for (const message of this.early.splice(0)) this.send(message);
  }

  closed() {
    this.broken = true;
    this.onbreak();
    for (const answer of this.waiting.values()) answer({ fault: "the connection broke off" });
    this.waiting.clear();
    this.early.length = 0;
  }

  /** @param {string | ArrayBuffer} data */
  hear(data) {
    if (typeof data === "string") {
      const answer = JSON.parse(data);
      this.waiting.get(answer.id)?.(answer);
      this.waiting.delete(answer.id);
      return;
    }
    // A page that is not seen says nothing, and so gets nothing more until it is.
    if (document.hidden) document.addEventListener("visibilitychange", () => this.send({ drawn: true }), { once: true });
    else this.send({ drawn: true });
    this.onframe(new Frame(data));
  }

  /** @param {object} message */
  send(message) {
    if (this.way.isOpen) this.way.send(message);
  }

  /** @param {ArrayBuffer} frame of the camera @returns {boolean} whether it was sent */
  sendFrame(frame) {
    if (!this.way.isOpen || this.way.queued > 2 * frame.byteLength || document.hidden) return false;
    this.way.send(frame);
    return true;
  }

  /** @param {Look} look what is on the screen now */
  see(look) {
    if (JSON.stringify(look) === JSON.stringify(this.look)) return;
    this.look = look;
    this.send({ look });
  }

  /** @param {Record<string, unknown>} question @returns {Promise<Answer>} */
  ask(question) {
    if (this.broken) return Promise.resolve({ fault: "layerscope does not answer" });
    const id = ++this.asked;
    const message = { id, ...question };
    if (this.way.isOpen) this.send(message);
    else this.early.push(message);
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }
}
