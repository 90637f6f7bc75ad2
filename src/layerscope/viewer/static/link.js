// The way to the server: the token, the WebSocket, questions and their answers.

import { Frame } from "./frames.js";

/** @typedef {{image: string, thumbs: string[], blob: string, first: number, tile: number}} Look */
/** @typedef {Record<string, any>} Answer */

const KEPT = "layerscope token";
const REFUSED = 4401;

/**
 * The token of the link, which leaves the address at once; or that of the last visit.
 * @returns {string}
 */
export function takeToken() {
  const words = new URLSearchParams(location.hash.slice(1));
  const given = words.get("token");
  if (given) {
    localStorage.setItem(KEPT, given);
    words.delete("token");
    history.replaceState(null, "", words.size ? `#${words}` : location.pathname);
  }
  return given ?? localStorage.getItem(KEPT) ?? "";
}

/** The connection; it comes back by itself. */
export class Link {
  /** @param {string} token */
  constructor(token) {
    this.token = token;
    /** @type {WebSocket | null} */
    this.socket = null;
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
  }

  /** @param {string} path @returns {Promise<any>} */
  async get(path) {
    const found = await fetch(path, { headers: { "x-layerscope-token": this.token } });
    if (found.status === 403) throw new Error("This page needs its link: open the one that layerscope printed.");
    return found.json();
  }

  /** @param {Blob} file @returns {Promise<Answer>} */
  async upload(file) {
    try {
      const found = await fetch("/api/images", { method: "POST", body: file, headers: { "x-layerscope-token": this.token } });
      return await found.json();
    } catch {
      return { fault: "the upload broke off" };
    }
  }

  open() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.addEventListener("open", () => {
      socket.send(JSON.stringify({ token: this.token }));
      this.broken = false;
      this.onstate("");
      if (this.look) this.send({ look: this.look });
      for (const message of this.early.splice(0)) this.send(message);
    });
    socket.addEventListener("message", ({ data }) => this.hear(data));
    socket.addEventListener("close", ({ code }) => {
      this.broken = true;
      for (const answer of this.waiting.values()) answer({ fault: "the connection broke off" });
      this.waiting.clear();
      this.early.length = 0;
      if (code === REFUSED) return this.onstate("This page needs its link: open the one that layerscope printed.");
      this.onstate("layerscope does not answer; trying again");
      setTimeout(() => this.open(), 1500);
    });
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

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** @param {object} message */
  send(message) {
    if (this.isOpen) this.socket?.send(JSON.stringify(message));
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
    if (this.isOpen) this.send(message);
    else this.early.push(message);
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }
}
